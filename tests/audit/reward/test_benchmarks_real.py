"""Published results, from the published scores."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from karat.audit.reward.benchmarks import audit_benchmarks
from karat.audit.reward.benchmarks.columns import load_any
from karat.audit.reward.config import AuditRewardConfig
from karat.types import Result


def audit(reward: str, *parts: str, against: str = "") -> Result:
    root = Path(os.environ.get("KARAT_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
    file = root.joinpath(*parts)
    if not file.exists():
        pytest.skip(f"no {'/'.join(parts)} in {root}; name the folder with KARAT_DATA")
    config = AuditRewardConfig(benchmarks=str(file), resamples=200, against=against)
    return audit_benchmarks(load_any(reward), config=config, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "lost"),
    [("Skywork_Skywork-Reward-Gemma-2-27B", 0.6429), ("internlm_internlm2-20b-reward", 0.6343)],
)
def test_judgebench_as_published_where_ties_are_lost(name: str, lost: float) -> None:
    result = audit(f"column:{name}", "judgebench")
    table = next(t for t in result.tables if "gpt_4o" in t.name)
    head = dict(zip(table.columns, table.rows[0], strict=True))
    assert head["ties lost"] == pytest.approx(lost, abs=5e-5)
    assert head["n"] == 350


def test_five_public_rewards_cannot_be_told_apart_on_judgebench() -> None:
    result = audit("builtin:longer", "judgebench", against="column:*")
    assert result.values["benchmark_judgebench_gpt_4o_leaders"] == 5
    assert result.values["benchmark_judgebench_gpt_4o_rank_low"] == 6


def test_rewardmath_as_published_where_ties_are_lost() -> None:
    result = audit("column:gpt4o", "rewardmath_scores", "rewardmath_scores_compact.jsonl.zst", against="column:*")
    table = next(t for t in result.tables if t.name == "benchmark_rewardmath_scores")
    assert dict(zip(table.columns, table.rows[0], strict=True))["ties lost"] == pytest.approx(0.2588, abs=5e-5)
    assert result.values["benchmark_rewardmath_scores_leaders"] == 4


def test_every_row_of_the_hhh_file_is_unwrapped() -> None:
    result = audit("builtin:longer", "prometheus_eval", "eval__benchmark__data__hhh_alignment_eval.json.zst")
    assert result.values["benchmark_hhh_alignment_n"] == 221
