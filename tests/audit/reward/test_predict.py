"""What optimisation will inflate first: from pairs, from a pool, and what cannot be said."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from karat.audit.reward.config import AuditRewardConfig
from karat.audit.reward.predict import growth_at_best_of_n, predict_inflation
from karat.data.text_features import FEATURES
from karat.errors import DataError, InputError
from karat.rewards.kinds import TextReward
from karat.types import Finding, PreferencePair, Result


def response(rng: random.Random) -> str:
    return " ".join(["right"] * rng.randint(0, 6) + ["word"] * rng.randint(2, 12)) + "!" * rng.randint(0, 4)


def pairs(count: int = 300, seed: int = 0) -> list[PreferencePair]:
    """Quality is the number of the word "right"; exclamation marks and length come at random."""
    rng = random.Random(seed)
    made = []
    for k in range(count):
        texts = [response(rng) for _ in range(2)]
        texts.sort(key=lambda text: -text.count("right") + 0.5 * rng.gauss(0, 1))
        made.append(PreferencePair(f"prompt {k}", texts[0], texts[1], prompt_id=f"p{k}", row=k))
    return made


def quality(prompt: str, response: str) -> float:
    return float(response.count("right"))


def marks(prompt: str, response: str) -> float:
    return response.count("right") + 2.0 * response.count("!")


def predict(function: object, given: Sequence[PreferencePair], **options: object) -> tuple[Finding, Result]:
    reward = TextReward("planted", function)  # type: ignore[arg-type]
    config = AuditRewardConfig(**options)  # type: ignore[arg-type]
    result = predict_inflation(reward, given, config=config, rng=np.random.default_rng(0))
    return result.findings[0], result


def row_of(result: Result, feature: str) -> dict[str, object]:
    table = next(table for table in result.tables if table.name == "prediction")
    return next(dict(zip(table.columns, row, strict=True)) for row in table.rows if row[0] == feature)


def pool_file(path: Path, *, prompts: int = 40, size: int = 8) -> Path:
    rng = random.Random(1)
    rows = [
        {
            "prompt_id": f"x{p}", "response_id": str(g), "prompt": f"ask {p}",
            "response": response(rng),
            "score": 0.0,
        }
        for p in range(prompts)
        for g in range(size)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_the_truth_inflates_nothing_that_is_not_asked_for() -> None:
    finding, result = predict(quality, pairs())
    assert finding.verdict in {"ok", "unclear"}
    assert result.values["predict_overpaid"] == []
    assert row_of(result, "length, words")["first_order"] > 0.3  # type: ignore[operator]
    assert "no samples of the policy" in result.tables[0].note


def test_an_overpaid_feature_is_named_first() -> None:
    finding, result = predict(marks, pairs())
    assert finding.verdict == "problem"
    assert finding.witnesses[0] == "exclamation marks"
    assert result.values["predict_features"][0] == "exclamation marks"
    row = row_of(result, "exclamation marks")
    assert row["first_order"] > 0.7 > 0.2 > abs(row["asked"])  # type: ignore[operator,arg-type]
    assert row["at_best_of_2"] > 0.3  # type: ignore[operator]


def test_a_pool_is_the_reference_where_one_is_given(tmp_path: Path) -> None:
    finding, result = predict(marks, pairs(), pool=str(pool_file(tmp_path / "pool.jsonl")))
    assert finding.verdict == "problem"
    assert finding.n_used == 320
    assert result.values["predict_n"] == 8
    assert row_of(result, "exclamation marks")["at_best_of_8"] > 0.8  # type: ignore[operator]
    assert "--pool" in result.tables[0].note
    nothing = lambda prompt, response: float("nan") if prompt.startswith("ask") else marks(prompt, response)  # noqa: E731
    with pytest.raises(DataError, match="none of the pool's 320 responses"):
        predict(nothing, pairs(), pool=str(tmp_path / "pool.jsonl"))
    with pytest.raises(DataError, match="no prompt has two responses"):
        predict(marks, pairs(), pool=str(pool_file(tmp_path / "thin.jsonl", size=1)))


def test_no_more_is_scored_than_asked_and_prompts_stay_whole() -> None:
    given = [replace(pair, prompt_id=f"p{k // 3}") for k, pair in enumerate(pairs())]
    finding, _ = predict(marks, given, predict_responses=120)
    assert finding.n_used <= 120
    assert finding.n_used % 6 == 0


def test_best_of_n_by_hand() -> None:
    # one prompt, two responses: the better by reward has f = 3, the mean is 2; the SD within the prompt is 1
    feature = np.zeros((2, len(FEATURES)))
    feature[:, 0] = [3.0, 1.0]
    growth, n = growth_at_best_of_n(feature, np.array([1.0, 0.0]), np.array([0, 0]))
    assert n == 2
    assert growth[0] * np.std([3, 1]) == pytest.approx(1.0) or growth[0] * np.std([3, 1], ddof=1) == pytest.approx(1.0)
    assert np.isnan(growth[1])


def test_what_cannot_be_predicted_says_why() -> None:
    with pytest.raises(InputError, match="1 prompts have scores"):
        predict(marks, [replace(pair, prompt_id="p") for pair in pairs(20)])
    with pytest.raises(InputError, match="it moves nothing"):
        predict(lambda prompt, response: 1.0, pairs(20))
    with pytest.raises(InputError, match="0 prompts have scores"):
        predict(lambda prompt, response: float("nan"), pairs(20))
    with pytest.raises(InputError, match="1 prompts have scores"):
        predict(marks, pairs(1))
    finding, _ = predict(marks, [replace(pair, chosen="right", rejected="right") for pair in pairs(30)] + pairs(4))
    assert finding.verdict == "not checked"
    assert "10 prompts" in finding.action


def test_missing_scores_are_counted() -> None:
    finding, _ = predict(lambda p, r: float("nan") if p.endswith("7") else marks(p, r), pairs())
    assert finding.n_missing == 30
    assert finding.n_used == 2 * 270
