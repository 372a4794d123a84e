"""The record of a watched run: one SQLite file that several ranks write and a dashboard reads."""

from __future__ import annotations

from karat.store.records import StepSummary, StoredRollout
from karat.store.run_store import RunStore
from karat.store.schema import DEFAULT_NAME, is_store, store_file

__all__ = ["DEFAULT_NAME", "RunStore", "StepSummary", "StoredRollout", "is_store", "store_file"]
