"""Gold: agreement and the lean towards length are recovered where they are planted, and not where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from karat.check.gold import gold_findings, split_by_gold
from karat.errors import DataError
from karat.types import Finding, PreferencePair


def pairs(n: int, *, equal_share: float = 0.4, seed: int = 0) -> list[PreferencePair]:
    """Pairs whose gold is binary, with labels that follow it in 3 of 4 cases and lengths that follow nothing."""
    rng = np.random.default_rng(seed)
    out = []
    for index in range(n):
        gold = [1.0, 1.0] if rng.random() < equal_share else [1.0, 0.0] if rng.random() < 0.75 else [0.0, 1.0]
        text = ["x" * int(rng.integers(1, 50)) for _ in range(2)]
        extra = {"gold_chosen": gold[0], "gold_rejected": gold[1]}
        out.append(PreferencePair(f"p{index}", text[0], text[1] + "y", prompt_id=f"p{index}", extra=extra))
    return out


def found(pairs_P: list[PreferencePair], margin_P: np.ndarray) -> dict[str, Finding]:
    findings, _ = gold_findings(
        pairs_P, margin_P, np.zeros(len(pairs_P)), gold="gold", gold_name="program check", rng=np.random.default_rng(0)
    )
    return {finding.code: finding for finding in findings}


def gold_margin(items: list[PreferencePair]) -> np.ndarray:
    return np.array([pair.extra["gold_chosen"] - pair.extra["gold_rejected"] for pair in items])


def length_margin(items: list[PreferencePair]) -> np.ndarray:
    return np.array([float(len(pair.chosen) - len(pair.rejected)) for pair in items])  # type: ignore[arg-type]


def test_reward_that_is_the_gold_agrees_with_it() -> None:
    items = pairs(400)
    finding = found(items, gold_margin(items))["RM201"]
    assert finding.verdict == "ok"
    assert finding.baseline.startswith("accuracy 1.000")
    assert finding.gold == "program check"
    assert finding.n_used == sum(pair.extra["gold_chosen"] != pair.extra["gold_rejected"] for pair in items)


def test_reward_that_is_length_carries_no_gold_and_leans() -> None:
    items = pairs(600)
    by_code = found(items, length_margin(items))
    assert by_code["RM201"].verdict == "problem"
    assert by_code["RM202"].verdict == "problem"
    assert by_code["RM202"].effect == 1.0


def test_reward_that_ignores_length_does_not_lean() -> None:
    items = pairs(3000)
    noise = np.random.default_rng(1).normal(size=len(items))
    assert found(items, noise)["RM202"].verdict == "ok"


def test_false_alarms_of_a_healthy_reward() -> None:
    """A reward of gold plus noise: over 40 worlds, neither finding cries more than its 2.5 % tail allows."""
    alarms = 0
    for seed in range(40):
        items = pairs(300, seed=seed)
        margin = gold_margin(items) + np.random.default_rng(seed).normal(size=len(items))
        alarms += sum(finding.verdict == "problem" for finding in found(items, margin).values())
    assert alarms <= 3


def test_ties_count_one_half() -> None:
    items = pairs(100)
    assert found(items, np.zeros(len(items)))["RM201"].baseline.startswith("accuracy 0.500")


def test_missing_scores_and_missing_gold_are_counted() -> None:
    items = pairs(100, equal_share=0.0)
    items[0] = PreferencePair("p", "a", "b", prompt_id="p", extra={"gold_chosen": None, "gold_rejected": 1.0})
    margin = gold_margin(items[1:])
    margin[0] = np.nan
    finding = found(items, np.concatenate(([0.0], margin)))["RM201"]
    assert (finding.n_used, finding.n_missing) == (98, 2)


def test_gold_that_is_not_there_names_the_columns() -> None:
    with pytest.raises(DataError, match=r"truth_chosen and truth_rejected.*gold_chosen, gold_rejected"):
        split_by_gold(pairs(5), "truth")
