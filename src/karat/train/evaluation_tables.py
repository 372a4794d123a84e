"""How the evaluation of a reward is shown: accuracy by slice, the reliability table, witnesses from the data.

Axes: P pairs, K bins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from karat.numerics.accuracy import RANDOM_ACCURACY, Slice
from karat.numerics.calibration import Calibration
from karat.types import PreferencePair, Table, Text, TokenIds

if TYPE_CHECKING:
    from karat.train.evaluation import Evaluation

WITNESS_CHARS = 120


def evaluation_tables(result: Evaluation) -> tuple[Table, ...]:
    """Accuracy by source (where the data names any), by tercile of the length gap, and the reliability table."""
    title = f"Accuracy by length gap (chosen - rejected, {result.length_unit})"
    tables = [_slice_table("accuracy_by_length_gap", title, result.by_length_gap)]
    if any(row.name for row in result.by_source):
        tables.insert(0, _slice_table("accuracy_by_source", "Accuracy by source", result.by_source))
    return (*tables, reliability_table(result.calibration))


def _slice_table(name: str, title: str, slices: tuple[Slice, ...]) -> Table:
    counted = ("slice", "pairs", "prompts", "accuracy", "low", "high", "longer", "shorter", "random")
    compared = ("baseline", "best_baseline", "gain", "gain_low", "gain_high")
    rows = []
    for row in slices:
        found, gain = row.accuracy, row.gain
        counts = (row.name or "(not named)", row.n_pairs, found.n_clusters)
        blind = (row.longer, row.shorter, RANDOM_ACCURACY, row.baseline, row.rule)
        rows.append((*counts, found.estimate, found.low, found.high, *blind, gain.estimate, gain.low, gain.high))
    note = (
        "A tie counts one half; 95 % intervals, clustered by prompt; gain: accuracy less that of the content-blind "
        "rule that is best over all pairs."
    )
    return Table(name, title, (*counted, *compared), tuple(rows), note)


def reliability_table(measured: Calibration) -> Table:
    table = measured.table
    rows = tuple(
        (float(predicted), observed.estimate, observed.low, observed.high, int(count))
        for predicted, observed, count in zip(table.confidence_K, measured.agreement_K, table.count_K, strict=True)
    )
    note = "Each pair is read from the side that the reward prefers; bins of equal mass, as far as ties allow."
    return Table(
        "reliability", "Confidence against agreement", ("predicted", "observed", "low", "high", "pairs"), rows, note
    )


def tercile_names(edges: tuple[float, float]) -> tuple[str, str, str]:
    low, high = edges
    return f"gap <= {low:g}", f"{low:g} < gap <= {high:g}", f"gap > {high:g}"


def find_witnesses(
    pairs: Sequence[PreferencePair], margin_P: np.ndarray, used: np.ndarray, gap_P: np.ndarray
) -> dict[str, tuple[str, ...]]:
    """At most three pairs of each kind: the worst wrong ones, the worst that length misled, missing and tied ones."""
    by_margin = used[np.argsort(margin_P[used], kind="stable")]
    wrong = by_margin[margin_P[by_margin] < 0]
    missing = np.flatnonzero(np.isnan(margin_P))
    chosen = {
        "wrong": wrong[:3],
        "misled": wrong[gap_P[wrong] < 0][:3],
        "missing": missing[:2],
        "tied": used[margin_P[used] == 0][:1],
    }
    return {kind: tuple(_witness(pairs[i], float(margin_P[i])) for i in found) for kind, found in chosen.items()}


def _witness(pair: PreferencePair, margin: float) -> str:
    scored = "score missing" if math.isnan(margin) else f"margin {margin:.2f}"
    prompt, chosen, rejected = _last_text(pair.prompt), _last_text(pair.chosen), _last_text(pair.rejected)
    tail = prompt if len(prompt) <= WITNESS_CHARS else "..." + prompt[3 - WITNESS_CHARS :]
    return f"row {pair.row}, {scored} | prompt: {tail} | chosen: {_head(chosen)} | rejected: {_head(rejected)}"


def _head(text: str) -> str:
    return text if len(text) <= WITNESS_CHARS else text[: WITNESS_CHARS - 3] + "..."


def _last_text(text: Text) -> str:
    """The text on one line; of a conversation, its last message."""
    if isinstance(text, TokenIds):
        return f"({len(text.ids)} token ids)"
    content = text if isinstance(text, str) else (text[-1].content if text else "")
    return " ".join(content.split())
