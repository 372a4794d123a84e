"""PRMBench (Song et al., arXiv 2501.03124): every wrong step of solutions that were made wrong in nine ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from karat.audit.reward.benchmarks.items import StepBenchmark, StepItem
from karat.audit.reward.benchmarks.processbench import step_columns
from karat.audit.reward.benchmarks.reading import AnyBenchmark, Kind, Part, is_texts, unread_note
from karat.data.records import as_number, prompt_hash

RIGHT_ONLY = "multi_solutions"
"""All steps of its solutions are right: scored by the F1 of right steps alone. In the pooled score they count with the
others', as in the benchmark's own code: a flagged one is a false alarm in both F1."""
GROUPS = {
    "simplicity": ("redundency", "circular"),
    "soundness": ("counterfactual", "step_contradiction", "domain_inconsistency", "confidence"),
    "sensitivity": ("missing_condition", "deception", RIGHT_ONLY),
}
"""Names as the data spells them."""
FORMULA = (
    "PRMScore = 0.5 F1 of right steps + 0.5 F1 of wrong steps, from the counts of all solutions together (micro, "
    "official); each kind from its own counts (multi_solutions: F1 of right steps alone); groups and macro: means of "
    "the kinds; a step below the threshold is called wrong"
)


def _matches(row: Mapping[str, Any]) -> bool:
    return (
        is_texts(row.get("modified_process"))
        and isinstance(row.get("error_steps"), list | tuple)
        and all(as_number(step).is_integer() for step in row["error_steps"])
        and isinstance(row.get("classification"), str)
    )


def _read(where: str, parts: Sequence[Part]) -> list[AnyBenchmark]:
    items, odd = [], 0
    for number, row in enumerate(row for part in parts for row in part.rows):
        if not _matches(row):
            odd += 1
            continue
        steps = tuple(row["modified_process"])
        wrong = {int(as_number(step)) for step in row["error_steps"]}  # 1 is the first
        question = str(row.get("original_question") or row.get("modified_question") or "")
        items.append(
            StepItem(
                name=str(row.get("idx", number)),
                cluster=prompt_hash(question, *steps[:1]),
                subset=row["classification"],
                prompt=str(row.get("modified_question") or question),
                steps=steps,
                wrong=tuple(index + 1 in wrong for index in range(len(steps))),
                columns=step_columns(row, len(steps)),
            )
        )
    notes = (f"{odd} rows without steps, error_steps and classification were left out",) if odd else ()
    return [
        StepBenchmark(
            kind="prmbench",
            name="PRMBench",
            items=tuple(items),
            labels="all",
            formula=FORMULA,
            groups=GROUPS,
            notes=(*unread_note(parts), *notes),
        )
    ]


KINDS = (
    Kind(
        "prmbench",
        "modified_question, classification: text; modified_process: list of texts; error_steps: list of numbers from 1",
        _matches,
        _read,
    ),
)
