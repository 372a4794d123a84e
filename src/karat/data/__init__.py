"""Preference pairs and pools from files, folders, the hub and memory, with an account of every row.

`read_pairs` gives all pairs of a source; `stream_pairs` and `stream_pool` give every row as it passes. Formats are
recognised by their columns (`list_formats`). What is dropped or changed stands, counted, in the account.
"""

from __future__ import annotations

from karat.data.pairs import PairData, PairRow, PairStream, read_pairs, stream_pairs, take_pairs, write_pairs
from karat.data.pools import PoolRead, PoolStream, detect_kind, stream_pool
from karat.data.reading import ReadingConfig
from karat.data.recognise import FormatInfo, list_formats
from karat.data.split import fingerprint, split_pairs

__all__ = [
    "FormatInfo",
    "PairData",
    "PairRow",
    "PairStream",
    "PoolRead",
    "PoolStream",
    "ReadingConfig",
    "detect_kind",
    "fingerprint",
    "list_formats",
    "read_pairs",
    "split_pairs",
    "stream_pairs",
    "stream_pool",
    "take_pairs",
    "write_pairs",
]
