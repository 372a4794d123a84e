"""Real files: what the published decisions and a count by hand give, from the published scores."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from karat.audit.reward.benchmarks import audit_benchmarks
from karat.audit.reward.benchmarks.columns import load_any
from karat.audit.reward.config import AuditRewardConfig
from karat.data.account import AccountBuilder
from karat.data.files import open_source
from karat.types import Result

REWARDS = ("Skywork_Skywork-Reward-Gemma-2-27B", "Skywork_Skywork-Reward-Llama-3.1-8B", "internlm_internlm2-20b-reward")
MATH = ("rewardmath_scores", "rewardmath_scores_compact.jsonl.zst")


def real(*parts: str) -> Path:
    root = Path(os.environ.get("KARAT_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
    file = root.joinpath(*parts)
    if not file.exists():
        pytest.skip(f"no {'/'.join(parts)} in {root}; name the folder with KARAT_DATA")
    return file


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [row.raw for row in open_source(file).rows(AccountBuilder("test"))]


def audit(reward: str, file: Path, against: str = "") -> Result:
    config = AuditRewardConfig(benchmarks=str(file), resamples=200, against=against)
    return audit_benchmarks(load_any(reward), config=config, rng=np.random.default_rng(0))


def head(result: Result, name: str) -> dict[str, Any]:
    table = next(item for item in result.tables if item.name == name)
    return dict(zip(table.columns, table.rows[0], strict=True))


@pytest.mark.parametrize("name", REWARDS)
def test_judgebench_gives_the_published_decisions_where_ties_are_lost(name: str) -> None:
    rows = rows_of(real("judgebench", f"scores__{name}.jsonl.zst"))
    published = np.mean([row["judgments"][0]["decision"] == row["label"] for row in rows])
    found = head(audit(f"column:{name}", real("judgebench")), "benchmark_judgebench_gpt_4o")
    assert found["ties lost"] == pytest.approx(published)
    assert found["n"] == 350


def test_five_public_rewards_cannot_be_told_apart_on_judgebench() -> None:
    values = audit("builtin:longer", real("judgebench"), against="column:*").values
    assert (values["benchmark_judgebench_gpt_4o_leaders"], values["benchmark_judgebench_gpt_4o_rank_low"]) == (5, 6)


def test_rewardmath_by_a_count_of_its_own() -> None:
    file = real(*MATH)
    strictly = np.mean([row["scores"]["gpt4o"][0] > max(row["scores"]["gpt4o"][1:]) for row in rows_of(file)])
    result = audit("column:gpt4o", file, against="column:*")
    found = head(result, "benchmark_rewardmath_scores")
    assert (found["ties lost"], found["chance"]) == (pytest.approx(strictly), pytest.approx(0.1))
    assert result.values["benchmark_rewardmath_scores_leaders"] == 4


def test_every_row_of_the_hhh_file_is_unwrapped() -> None:
    result = audit("builtin:longer", real("prometheus_eval", "eval__benchmark__data__hhh_alignment_eval.json.zst"))
    assert result.values["benchmark_hhh_alignment_n"] == 221
