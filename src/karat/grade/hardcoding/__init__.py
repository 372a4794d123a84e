"""Special-casing: inputs that the author of a candidate cannot have seen."""

from __future__ import annotations

from karat.grade.hardcoding.assess import Gap, gap_of, special_casing
from karat.grade.hardcoding.gap import contested_tests, gap_findings
from karat.grade.hardcoding.held_out import HeldOut, Probes, hidden_results
from karat.grade.hardcoding.relations import relation_problem

__all__ = [
    "Gap",
    "HeldOut",
    "Probes",
    "contested_tests",
    "gap_findings",
    "gap_of",
    "hidden_results",
    "relation_problem",
    "special_casing",
]
