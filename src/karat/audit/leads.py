"""The sentence that answers the question of an audit, from the values that its parts gave."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from karat.types import Finding


def data_lead(name: str, values: Mapping[str, Any]) -> str:
    """Of `karat audit data`: how many pairs there are, and of each part that ran its one number."""
    told = []
    if _is_number(values.get("structure_near")):
        repeats = values.get("structure_exact", 0.0) + values["structure_near"]
        told.append(f"{repeats:.1%} repeat another")
    if _is_number(values.get("content_accuracy")):
        low, high = values["content_accuracy_low"], values["content_accuracy_high"]
        told.append(f"{values['content_accuracy']:.1%} [{low:.1%}, {high:.1%}] can be told without reading")
    if _is_number(values.get("noise_low")):
        fits = f"{values['noise_low']:.1%} to {values['noise_high']:.1%} if the judge is right where it is sure"
        told.append(f"at most {values['noise_ceiling']:.1%} of labels are flipped at random ({fits})")
    if _is_number(values.get("coverage_effective_topics")):
        told.append(f"the prompts are worth {values['coverage_effective_topics']:.0f} equal topics")
    return f"{values['n_pairs']:,} pairs of {name}: {'; '.join(told)}." if told else ""


def reward_lead(name: str, findings: Sequence[Finding]) -> str:
    """Of `karat audit reward`: what is wrong, in the order of the findings; or that nothing is, and how much ran."""
    checked = [finding for finding in findings if finding.verdict != "not checked"]
    wrong = [_within(finding.title) for finding in checked if finding.verdict == "problem"]
    if wrong:
        return f"The reward {name} fails {len(wrong)} of {len(checked)} checks, among them: {'; '.join(wrong[:3])}."
    n_unclear = sum(finding.verdict == "unclear" for finding in checked)
    left = f"; {n_unclear} are unclear" if n_unclear else ""
    return f"The reward {name} fails none of {len(checked)} checks{left}." if checked else ""


def _within(title: str) -> str:
    """A title within a sentence: without its capital, unless that is of a name ("JudgeBench: score")."""
    word = title.partition(" ")[0]
    return title[:1].lower() + title[1:] if word[1:] == word[1:].lower() else title


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
