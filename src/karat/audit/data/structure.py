"""The structure of a set of preferences: what repeats, contradicts, leaks, is left over or would be cut.

Nothing here asks whether a label is right; every statement is about the rows as they are.

Axes: P pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from karat.audit.data.config import AuditDataConfig
from karat.audit.data.duplicates import find_duplicates
from karat.audit.data.languages import find_languages
from karat.audit.data.oddities import find_oddities
from karat.audit.data.prompt_findings import audit_prompts
from karat.audit.data.repeat_findings import find_sides, repeat_findings, repeat_table, side_findings
from karat.audit.data.scan import scan_table
from karat.audit.data.table import PairTable
from karat.audit.data.text_findings import cut_findings, language_findings, leftover_findings
from karat.audit.data.truncation import find_truncation
from karat.types import Finding, Result

COMMAND = "audit data"
VALUES = {
    "DA101": "structure_exact",
    "DA102": "structure_near",
    "DA103": "structure_opposite",
    "DA104": "structure_identical",
    "DA105": "structure_empty",
    "DA106": "structure_prompts_differ",
    "DA107": "structure_unusable",
    "DA111": "structure_leaked",
    "DA112": "structure_shared_prompts",
    "DA113": "structure_near_prompts",
    "DA121": "structure_contaminated",
    "DA131": "structure_languages_differ",
    "DA132": "structure_leftovers",
    "DA133": "structure_leftovers_one_sided",
    "DA141": "structure_cut",
    "DA142": "structure_same_after_cut",
}
"""Name of the value that holds the effect of each finding; NaN where it was not checked."""


@dataclass(frozen=True, slots=True)
class StructureFlags:
    """What repair needs to know of each pair, by its index in the table.

    Attributes:
        exact_of_P: the earlier pair that this one repeats exactly (but for case and white space); -1: none.
        near_group_P: the earliest pair of its group of exact and near duplicates; its own index where it is alone.
        near_P: nearly, and not exactly, repeats another pair of its group.
        opposite_P: the same responses are in the data with the other one preferred, by the same annotator or with no
            annotator named.
        identical_P: both sides are one text, but for white space at the end, and it is no tie.
        empty_P: a side without text.
        leaked_P: a training pair whose prompt is held out too.
        contaminated_P: holds the prompt of a named benchmark.
        prompt_group_P: the first pair whose prompt equals or nearly equals this one's; one side of a split.
    """

    exact_of_P: np.ndarray
    near_group_P: np.ndarray
    near_P: np.ndarray
    opposite_P: np.ndarray
    identical_P: np.ndarray
    empty_P: np.ndarray
    leaked_P: np.ndarray
    contaminated_P: np.ndarray
    prompt_group_P: np.ndarray


def audit_structure(
    table: PairTable, *, config: AuditDataConfig, progress: Callable[..., None] | None = None
) -> tuple[Result, StructureFlags]:
    """Findings DA101 to DA142, tables, values `structure_*`, and flags for repair.

    Args:
        table: all pairs.
        config: near, max_length, model, test, benchmark, workers, seed.
        progress: called as progress(stage, done, total, note).
    Raises: DataError: a file of --test or --benchmark cannot be read.
    """
    rng = np.random.default_rng([config.seed, 40, 0])
    scan = scan_table(table, near=config.near, workers=config.workers, progress=progress)
    prompts = audit_prompts(table, scan.prompts, config=config, progress=progress)
    if progress:
        progress("comparing near duplicates", 0, None, "")
    repeats = find_duplicates(table, scan, near=config.near)
    sides = find_sides(table)
    language, languages = language_findings(table, find_languages(table, rng))
    leftovers, leftover_table = leftover_findings(
        table, find_oddities(table, workers=config.workers, progress=progress)
    )
    cut = find_truncation(table, max_length=config.max_length, model=config.model, rng=rng)
    findings: tuple[Finding, ...] = (
        *repeat_findings(table, repeats, near=config.near),
        *side_findings(table, repeats, sides),
        *prompts.findings,
        language,
        *leftovers,
        *cut_findings(table, cut, max_length=config.max_length),
    )
    tables = (repeat_table(repeats, table), *prompts.tables, *([languages] if languages else []), leftover_table)
    flags = StructureFlags(
        exact_of_P=repeats.exact_of_P,
        near_group_P=repeats.near_group_P,
        near_P=repeats.near_P,
        opposite_P=repeats.own_opposite_P,
        identical_P=sides.same_P & (table.label_P != 0.5),
        empty_P=sides.chosen_empty_P | sides.rejected_empty_P,
        leaked_P=prompts.leaked_P,
        contaminated_P=prompts.contaminated_P,
        prompt_group_P=prompts.group_P,
    )
    values = {VALUES[each.code]: each.effect for each in findings} | {"structure_prompts": scan.prompts.key_U.size}
    return Result(COMMAND, findings=findings, tables=tables, values=values), flags
