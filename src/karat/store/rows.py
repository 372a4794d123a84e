"""Records to rows of the store and back: NaN as NULL, text of any kind, texts cut to a bound, columns packed.

Axes: R rollouts of a step, G prompts of it.
"""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from karat.errors import DataError, InputError
from karat.numerics.level_estimate import LevelEstimate, clustered_level, level_estimate
from karat.run_records import NAN, Action, Alarm, RolloutBatch, Witness

TEXT_CHARS = 32_768
"""Characters of a prompt or a response that are kept: about 8,000 tokens. Longer ones keep both their ends, because
what games a reward stands at the end as often as at the start."""
NOTE_CHARS = 2_000
FIXED = ("group", "proxy", "gold", "chance")
"""Columns that every step has, before its scores ("score:NAME") and numbers ("number:NAME")."""
_MOST_UNPACKED = 1 << 31  # bytes; a damaged or hostile file must not fill the memory


# ---------------------------------------------------------------------------------------------------------------- text
def text_in(text: object) -> str | bytes:
    """Text as the store keeps it: itself, or bytes where it holds lone surrogates, which UTF-8 has no code for."""
    text = str(text)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def text_out(value: Any) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def bounded(text: object, limit: int = TEXT_CHARS) -> str:
    """A text of more than `limit` characters cut in its middle, with a mark that says how long it was."""
    text = str(text)
    if len(text) <= limit:
        return text
    mark = f"\n[... cut by karat: {len(text):,} characters ...]\n"
    kept = max(limit - len(mark), 0)
    return text[: kept - kept // 3] + mark + (text[-(kept // 3) :] if kept >= 3 else "")


# ------------------------------------------------------------------------------------------------------------- numbers
def number_in(value: object) -> float | None:
    """A float for a column; NULL for NaN."""
    number = float(value)  # type: ignore[arg-type]
    return None if math.isnan(number) else number


def number_out(value: Any) -> float:
    return NAN if value is None or isinstance(value, str | bytes) else float(value)


def step_in(step: object) -> int:
    """Raises InputError: not a whole number that SQLite can hold."""
    try:
        number = int(step)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or number != step or abs(number) >= 1 << 62:
        raise InputError(f"step {step!r}: not a whole number. Number the steps of the run in order.")
    return int(number)


def json_in(record: Any) -> str:
    """JSON without NaN (null), of ASCII, so that lone surrogates survive."""
    return json.dumps(_plain(record), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str | bool | int) else str(value)


def json_out(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise DataError(f"{path}: a record of the store is damaged ({error}). Restore it from a copy.") from error


def number_of_json(value: Any) -> float:
    """A number that `json_in` wrote."""
    return NAN if value is None else float(value)


# ------------------------------------------------------------------------------------------------------------- columns
def check_batch(batch: RolloutBatch) -> None:
    """Raises InputError: a column is not as long as the responses."""
    n = batch.n_rollouts
    columns: dict[str, Any] = {
        "prompts": batch.prompts, "group_R": batch.group_R, "proxy_R": batch.proxy_R, "gold_R": batch.gold_R,
        "chance_R": batch.chance_R, **batch.scores, **batch.numbers, **batch.notes,
    }  # fmt: skip
    for name, column in columns.items():
        if len(column) != n:
            raise InputError(
                f"step {batch.step}: {name} has {len(column)} values for {n} responses. Give one for each rollout."
            )


def pack(batch: RolloutBatch) -> tuple[str, bytes]:
    """Names and zlib of the float64 columns of all rollouts; what no text is stays for ever."""
    columns = {
        "group": batch.group_R, "proxy": batch.proxy_R, "gold": batch.gold_R, "chance": batch.chance_R,
        **{f"score:{name}": column for name, column in batch.scores.items()},
        **{f"number:{name}": column for name, column in batch.numbers.items()},
    }  # fmt: skip
    matrix = np.array([np.asarray(column, dtype="<f8") for column in columns.values()]).reshape(len(columns), -1)
    return json_in(list(columns)), zlib.compress(matrix.tobytes(), 1)


def unpack(names: str, packed: bytes, n_rollouts: int, path: Path) -> dict[str, np.ndarray]:
    """Raises DataError: the bytes are not what `pack` wrote."""
    columns = json_out(names, path)
    size = len(columns) * n_rollouts * 8
    try:
        if size > _MOST_UNPACKED:
            raise ValueError(f"{size} bytes")
        reader = zlib.decompressobj()
        raw = reader.decompress(packed, size + 1)
        if len(raw) != size or columns[: len(FIXED)] != list(FIXED):
            raise ValueError(f"{len(raw)} bytes instead of {size}")
    except (ValueError, zlib.error, TypeError) as error:
        raise DataError(f"{path}: the numbers of a step are damaged ({error}). Restore it from a copy.") from error
    return dict(zip(columns, np.frombuffer(raw, "<f8").reshape(len(columns), n_rollouts).copy(), strict=True))


def digest(batch: RolloutBatch) -> bytes:
    """Tells the same step handed over twice from the step run again: golds come late, so they are left out."""
    seen = hashlib.blake2b(digest_size=16)
    seen.update(np.asarray(batch.proxy_R, "<f8").tobytes())
    for text in (*batch.prompts, *batch.responses):
        seen.update(text.encode("utf-8", "surrogatepass"))
        seen.update(b"\xff")
    if not batch.n_rollouts:
        seen.update(json_in(batch.metrics).encode())
    return seen.digest()


# ---------------------------------------------------------------------------------------------------------- summaries
def summary(
    proxy_R: np.ndarray, gold_R: np.ndarray, chance_R: np.ndarray, group_R: np.ndarray
) -> tuple[int, list[float | None], int, list[float | None]]:
    """n without proxy, mean and ends of the proxy, n golds, mean and ends of the gold; intervals 95 %.

    The proxy's is of the policy's mean, clustered on prompts. So is the gold's where every gold was asked for; where
    some were, it is of the mean of the step's rollouts, whose uncertainty is the draw.
    """
    asked_all = bool((chance_R >= 1).all())
    proxy = clustered_level(proxy_R, group_R)
    gold = clustered_level(gold_R, group_R) if asked_all else level_estimate(gold_R, np.clip(chance_R, 0, 1))
    n_missing = int((~np.isfinite(proxy_R)).sum())
    return n_missing, _ends(proxy), gold.n_used, _ends(gold)


def _ends(found: LevelEstimate) -> list[float | None]:
    return [number_in(value) for value in (found.mean, found.low, found.high)]


# ------------------------------------------------------------------------------------------------------------- records
def alarm_in(alarm: Alarm) -> str:
    record = asdict(alarm)
    for witness in record["witnesses"]:
        for name, limit in (("prompt", TEXT_CHARS), ("response", TEXT_CHARS), ("note", NOTE_CHARS)):
            witness[name] = bounded(witness[name], limit)
    return json_in(record)


def alarm_out(record: dict[str, Any], path: Path) -> Alarm:
    try:
        witnesses = tuple(
            Witness(**{**w, "proxy": number_of_json(w["proxy"]), "gold": number_of_json(w["gold"])})
            for w in record.pop("witnesses")
        )
        for name in ("evidence", "threshold"):
            record[name] = number_of_json(record[name])
        return Alarm(**record, witnesses=witnesses)
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(f"{path}: an alarm of the store is damaged ({error}). Restore it from a copy.") from error


def action_in(action: Action) -> str:
    record = asdict(action)
    record["reason"], record["detail"] = bounded(action.reason, NOTE_CHARS), bounded(action.detail, NOTE_CHARS)
    return json_in(record)


def action_out(record: dict[str, Any], path: Path) -> Action:
    try:
        return Action(**record)
    except TypeError as error:
        raise DataError(f"{path}: an action of the store is damaged ({error}). Restore it from a copy.") from error


def extra_in(batch: RolloutBatch, index: int) -> str:
    """Notes of one rollout. Its scores and numbers stand in the columns of its step."""
    notes: Mapping[str, Sequence[str]] = batch.notes
    return json_in({name: bounded(column[index], NOTE_CHARS) for name, column in notes.items()})
