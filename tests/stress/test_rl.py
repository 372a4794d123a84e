"""`karat stress rl`: real training of the words world's policy; what is seen, kept, stopped and refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import karat
from karat.data.pools import stream_pool
from karat.errors import DataError, InputError
from karat.numerics.goodhart import within_prompt_sd
from karat.rewards import load_reward
from karat.stress.rl import RlConfig
from karat.stress.rl.findings import findings_of, lead_of, measure, tables_of
from karat.stress.rl.rollouts import Checkpoint, with_known
from karat.stress.rl.run import certified_best_of_n
from karat.stress.rl.stopping import has_fallen, has_fallen_twice, level_of
from karat.stress.rl.training import RewardTally, counted
from karat.types import Result
from karat.worlds import words

FAST: dict[str, Any] = {"eval_prompts": 24, "eval_samples": 8, "resamples": 200}


def by_code(result: Result) -> dict[str, Any]:
    return {finding.code: finding for finding in result.findings}


@pytest.fixture(scope="module")
def padded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """The length judge, pushed far enough for its exploit."""
    out = tmp_path_factory.mktemp("rl")
    return karat.stress.rl(out=out, setting="length", steps=35, keep="best", **FAST), out


def test_the_proxy_rises_and_the_gold_rises_and_falls(padded: tuple[Result, Path]) -> None:
    values, found = padded[0].values, by_code(padded[0])
    assert values["step"] == [0, 5, 10, 15, 20, 25, 30, 35]
    assert values["proxy_gain"][-1] > 1.5
    assert values["kl"][0] == pytest.approx(0, abs=1e-6)
    assert values["kl"][-1] > 3
    assert np.all(np.diff(values["kl"]) > -0.5)
    assert 0 < values["peak_step"] < 25
    assert values["gold_gain"][-1] < values["gold_gain"][1] - 0.3
    assert found["ST501"].verdict == "problem"
    assert found["ST501"].low > 0
    assert found["ST501"].gold == "karat.worlds.words:gold"
    assert len(found["ST501"].witnesses) == 3
    assert (found["ST503"].verdict, found["ST503"].effect) == ("ok", 0)
    assert "the gold peaked at step" in padded[0].lead


def test_rollouts_are_a_pool_with_both_rewards(padded: tuple[Result, Path]) -> None:
    result, out = padded
    rows = [read.record for read in stream_pool(out / "rollouts.jsonl")]
    assert len(rows) == 8 * 24 * 8
    last = [row for row in rows if row and row.scores["step"] == 35]
    gold = words.gold([row.prompt for row in last], [row.response for row in last])  # type: ignore[misc]
    assert [row.scores["gold"] for row in last] == pytest.approx(gold)
    assert np.mean(gold) == pytest.approx(result.values["gold"][-1])
    sweep = karat.stress.capability([str(out / "rollouts.jsonl")], axis="step", proxy="proxy", gold="gold")
    assert {finding.code for finding in sweep.findings} == {"ST401", "ST402", "ST403"}


def test_the_best_policy_is_the_one_that_is_kept(padded: tuple[Result, Path]) -> None:
    result, out = padded
    again = karat.stress.rl(
        str(out / "policy"), [{"prompt": prompt} for prompt in words.prompts()], proxy=words.SETTINGS["length"].judge,
        gold="karat.worlds.words:gold", steps=1, eval_every=1, lr=1e-9, max_new_tokens=24, eval_prompts=100,
        eval_samples=8, resamples=100,
    )  # fmt: skip
    assert again.values["gold"][0] == pytest.approx(max(result.values["gold"]), abs=0.04)
    assert again.values["gold"][0] > min(result.values["gold"]) + 0.05


def test_the_same_seed_gives_the_same_run() -> None:
    first, second = (karat.stress.rl(setting="format", steps=3, eval_every=3, **FAST).values for _ in range(2))
    assert first == second


def test_a_gold_that_falls_stops_the_run_where_asked(padded: tuple[Result, Path]) -> None:
    result = karat.stress.rl(setting="length", steps=60, stop="observed", **FAST)
    assert result.values["stopped"] == "observed"
    assert padded[0].values["peak_step"] < result.values["step"][-1] < 60
    assert "Stopped: the gold fell" in result.lead


def test_looking_more_often_asks_for_more_at_each_look(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [level_of(looks) for looks in (1, 20, 100)] == pytest.approx([0.98, 0.98, 0.996])
    asked: list[float] = []

    def fallen(_: np.ndarray, level: float) -> bool:
        asked.append(level)
        return True

    monkeypatch.setattr("karat.stress.rl.run.has_fallen_twice", fallen)
    karat.stress.rl(setting="length", steps=199, eval_every=2, stop="observed", **FAST)
    assert asked == pytest.approx([0.996])


def test_level_runs_are_seldom_stopped_however_often_they_are_looked_at() -> None:
    rng, stopped = np.random.default_rng(6), [0, 0]
    for _ in range(60):
        gold_PK = rng.standard_normal((32, 1)) + 0.25 * rng.standard_normal((32, 101))
        for number, level in enumerate((0.98, level_of(100))):
            stopped[number] += any(has_fallen_twice(gold_PK[:, : k + 1], level) for k in range(2, 101))
    assert stopped[1] <= 3 < stopped[0]


def test_where_nothing_is_certified_nothing_is_trained() -> None:
    result = karat.stress.rl(proxy="builtin:longer", steps=5, stop="certified", **FAST)
    assert (result.values["certified_n"], result.values["step"], result.values["stopped"]) == (1, [0], "certified")
    assert result.lead.startswith("Not trained")
    assert [finding.verdict for finding in result.findings] == ["not checked"] * 3


def test_weights_that_are_no_longer_finite_are_told() -> None:
    with pytest.raises(InputError, match=r"not finite after step 1: training has diverged\. Lower --lr"):
        karat.stress.rl(setting="length", steps=1, lr=1e39, **FAST)


def test_a_proxy_near_the_gold_is_certified_and_stops_at_its_kl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "near_gold.py").write_text(
        "from karat.worlds import words\n"
        "def reward(prompts, completions, **_):\n"
        "    gold = words.gold(prompts, completions)\n"
        "    return [value + 0.0001 * len(text) for value, text in zip(gold, completions)]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    result = karat.stress.rl(proxy="near_gold:reward", steps=40, eval_every=2, stop="certified", **FAST)
    assert result.values["certified_n"] > 1
    assert result.values["kl"][-1] >= result.values["certified_kl"] > result.values["kl"][-2]
    assert result.values["gold_gain"][-1] > 0


def test_adapters_alone_are_trained_where_asked() -> None:
    result = karat.stress.rl(setting="format", steps=10, lora=4, lr=5e-3, **FAST)
    assert result.values["proxy_gain"][-1] > 0.1
    assert result.values["kl"][-1] > 0.01


# ------------------------------------------------------------------------------------------------------ missing scores
def test_a_missing_score_is_counted_and_left_out() -> None:
    class Some:
        name = "some"

        def score(self, groups: Any) -> Any:
            values = iter([1.0, None, 3.0, None, None, 5.0])
            return [[karat_score(next(values)) for _ in group.responses] for group in groups]

    def karat_score(value: float | None) -> Any:
        from karat.types import Score

        return Score(float("nan"), missing="empty") if value is None else Score(value)

    tally = RewardTally()
    score = counted(Some(), tally)  # type: ignore[arg-type]
    found = score(prompts=["a", "a", "a", "b", "b", "c"], completions=["x"] * 6)
    assert found == [1.0, None, 3.0, None, None, 5.0]
    assert (tally.asked, tally.missing) == (6, 3)


def test_missing_scores_neither_pull_nor_change_what_the_others_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The mean of the group in their place would shrink its deviation, and so pull the others harder."""
    from trl import GRPOTrainer  # type: ignore[attr-defined]

    (tmp_path / "some.py").write_text(
        "seen = []\n"
        "def reward(prompts, completions, **_):\n"
        "    values = [None if len(text) % 3 == 0 else float(len(text)) for text in completions]\n"
        "    seen.append(values)\n"
        "    return values\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    given: list[Any] = []
    inner = GRPOTrainer._generate_and_score_completions

    def watched(self: Any, inputs: Any) -> Any:
        batch = inner(self, inputs)
        given.append(batch["advantages"].numpy())
        return batch

    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", watched)
    karat.stress.rl(proxy="some:reward", setting="length", steps=1, prompts_per_step=4, eval_prompts=4, resamples=100)
    import some  # type: ignore[import-not-found]

    reward_PG = np.array(next(row for row in some.seen if len(row) == 4 * 8), float).reshape(4, 8)
    assert np.isnan(reward_PG).any()
    away_PG = reward_PG - np.nanmean(reward_PG, axis=1, keepdims=True)
    expected = np.nan_to_num(away_PG / (np.nanstd(reward_PG, axis=1, ddof=1, keepdims=True) + 1e-4))
    assert given[0].reshape(4, 8) == pytest.approx(expected, abs=1e-4)
    assert "returned None" not in caplog.text  # a line of TRL's at every step, with a response


def test_a_reward_that_fails_often_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half.py").write_text(
        "def reward(prompts, completions, **_):\n"
        "    return [None if len(text) % 2 else float(len(text)) for text in completions]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    result = karat.stress.rl(proxy="half:reward", steps=2, eval_every=2, **FAST)
    missing = by_code(result)["ST503"]
    assert missing.verdict == "problem"
    assert 0.2 < missing.low < missing.effect < missing.high < 0.8
    assert result.values["training_scores"] == 2 * 64
    assert missing.n_missing == result.values["training_scores_missing"]


# ----------------------------------------------------------------------------------------------------------- statistics
def checkpoints(gold_KPG: np.ndarray) -> list[Checkpoint]:
    """Checkpoints with that gold, a proxy that rises by 1 each, and KL of k squared."""
    K, P, G = gold_KPG.shape
    base = np.random.default_rng(1).standard_normal((P, G))
    return [
        Checkpoint(
            10 * k, tuple((f"text {p}",) * G for p in range(P)), base + k, gold_KPG[k], np.full((P, G), float(k * k)),
            np.ones((P, G)), np.zeros((P, G), bool),
        )
        for k in range(K)
    ]  # fmt: skip


def planted(means: list[float], n_prompts: int = 60, size: int = 8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array(means)[:, None, None] + rng.standard_normal((len(means), n_prompts, size))


def test_planted_means_are_found() -> None:
    config = RlConfig(proxy="p", gold="g", resamples=500)
    found = measure(checkpoints(planted([0, 0.5, 1, 0.5, -0.5])), config, "", (1, 0.0))
    assert found.gold is not None
    assert found.gold.mean_N == pytest.approx([0, 0.5, 1, 0.5, -0.5], abs=0.15)
    assert found.proxy.mean_N == pytest.approx(np.arange(5) / within_prompt_sd(found.points[0].proxy_PG))
    assert (found.peak, found.drop.low > 1) == (2, True)
    assert found.gain.low < 1 < found.gain.high + 0.1
    verdicts = [finding.verdict for finding in findings_of(found, config, RewardTally(10, 0))]
    assert verdicts == ["problem", "ok", "ok"]


def test_noise_alone_is_no_peak_and_no_fall() -> None:
    config = RlConfig(proxy="p", gold="g", resamples=100)
    told = [
        measure(checkpoints(planted([0.0] * 6, seed=seed)), config, "", (1, 0.0)).drop.low > 0 for seed in range(40)
    ]
    assert sum(told) <= 4


def test_a_fall_counts_when_it_is_seen_twice() -> None:
    rng = np.random.default_rng(0)
    gold_PK = np.array([0.0, 1.0, 0.9, 0.2, 0.1]) + 0.3 * rng.standard_normal((40, 5))
    assert [has_fallen(gold_PK[:, : k + 1]) for k in range(5)] == [False, False, False, True, True]
    assert [has_fallen_twice(gold_PK[:, : k + 1]) for k in range(5)] == [False, False, False, False, True]
    gold_PK[7, 2] = np.nan  # left out: 39 prompts tell the same
    assert has_fallen_twice(gold_PK)
    assert not has_fallen_twice(np.full((40, 5), np.nan))


def test_witnesses_are_those_whose_proxy_is_furthest_above_their_gold_in_deviations_of_their_own() -> None:
    points = checkpoints(planted([0, 1, -1], n_prompts=40, size=4))
    points[0].proxy_PG[:] *= 100  # a hundred times the gold's unit, as characters are
    last = points[-1]
    last.proxy_PG[:], last.gold_PG[:] = 0.0, 0.0
    last.proxy_PG[:4, 1] = 900, 800, 700, 600
    last.gold_PG[0, 1] = 12.0  # the highest proxy of all, and better than it says
    config = RlConfig(proxy="p", gold="g", resamples=100)
    found = findings_of(measure(points, config, "", (1, 0.0)), config, RewardTally(1, 0))[0]
    assert found.verdict == "problem"
    assert [text.split(",")[0] for text in found.witnesses] == ["proxy 800", "proxy 700", "proxy 600"]
    texts = tuple((("", "", "", "other")[p % 4],) * 4 for p in range(40))
    same = [*points[:-1], replace(last, responses=texts)]
    found = findings_of(measure(same, config, "", (1, 0.0)), config, RewardTally(1, 0))[0]
    assert found.witnesses == ("proxy 800, gold 0: (empty)", "proxy 600, gold 0: other")


def test_prompts_without_gold_are_left_out_and_counted() -> None:
    gold = planted([0, 1])
    gold[1, :7] = np.nan
    gold[:, 7, 0] = np.nan
    config = RlConfig(proxy="p", gold="g", resamples=100)
    found = measure(checkpoints(gold), config, "", (1, 0.0))
    assert found.n_dropped_prompts == 7
    assert with_known(checkpoints(gold), "gold_PG")[7, 0] == pytest.approx(gold[0, 7, 1:].mean())
    fall = findings_of(found, config, RewardTally())[0]
    assert fall.n_missing == 7 * 8 + 2


def test_a_proxy_without_a_score_at_some_checkpoint_is_no_crash() -> None:
    config = RlConfig(proxy="p", gold="g", resamples=100)
    points = checkpoints(planted([0, 1, 2], n_prompts=6))
    points[1].proxy_PG[:] = np.nan
    found = measure(points, config, "", (1, 0.0))
    assert (found.n_dropped_prompts, found.gold) == (6, None)
    assert np.isnan(found.proxy.mean_N).all()
    told = findings_of(found, config, RewardTally(4, 4))
    assert [finding.verdict for finding in told] == ["not checked", "not checked", "problem"]
    assert "left no held-out prompt with proxy scores" in lead_of(found, config, "policy")
    assert tables_of(found, config)[0].rows[0][:2] == (0, 0.0)


def test_a_gold_that_does_not_differ_has_no_unit() -> None:
    config = RlConfig(proxy="p", gold="g", resamples=100)
    found = measure(checkpoints(np.ones((3, 6, 4))), config, "", (1, 0.0))
    assert "nan" not in lead_of(found, config, "policy")
    assert "does not differ" in lead_of(found, config, "policy")


def test_a_proxy_without_any_score_is_told_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mute.py").write_text("def reward(prompts, completions, **_):\n    return [None] * len(completions)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match="none of 192 responses of the untrained policy a score"):
        karat.stress.rl(proxy="mute:reward", steps=1, **FAST)


def test_without_gold_the_truth_is_not_checked() -> None:
    config = RlConfig(proxy="p", resamples=100)
    points = checkpoints(np.full((3, 10, 4), np.nan))
    found = measure(points, config, "", (1, 0.0))
    assert found.gold is None
    assert [f.verdict for f in findings_of(found, config, RewardTally(4, 0))] == ["not checked", "not checked", "ok"]
    assert "No gold was named" in lead_of(found, config, "policy")


def test_nothing_is_certified_by_a_few_prompts() -> None:
    def certified(n_prompts: int, proxy_PG: np.ndarray) -> tuple[int, float]:
        shape = proxy_PG.shape
        gold_PG = proxy_PG + 0.1 * np.random.default_rng(1).standard_normal(shape) * proxy_PG.std()
        texts = (("text",) * shape[1],) * n_prompts
        point = Checkpoint(0, texts, proxy_PG, gold_PG, np.zeros(shape), np.ones(shape), np.zeros(shape, bool))
        return certified_best_of_n(point, RlConfig(proxy="p", gold="g"))

    rng = np.random.default_rng(0)
    smooth_PG = rng.standard_normal((8, 16))
    assert certified(8, smooth_PG)[0] > 1
    assert certified(7, smooth_PG[:7]) == (1, 0.0)


# ------------------------------------------------------------------------------------------------------------ bad input
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"setting": "nonsense"}, "no built-in setting 'nonsense'; there are: length, format, checks"),
        ({"steps": 0}, "steps = 0 is out of range"),
        ({"generations": 1}, "generations = 1 is out of range: it must be at least 2"),
        ({"proxy": "builtin:longer", "gold": "builtin:longer"}, "a reward cannot be its own truth"),
        ({"lr": -1.0}, "lr = -1 is out of range"),
        ({"lr": float("inf")}, "lr = inf is out of range"),
        ({"temperature": float("inf")}, "temperature = inf is out of range"),
        ({"eval_prompts": 65}, "eval_prompts = 65: the words world holds out 64"),
        ({"responses_per_pass": 7}, "does not divide"),
        ({"prompts": [{"prompt": "a"}]}, "prompts without a policy"),
        ({"policy": "somewhere"}, "no prompts for somewhere"),
        ({"policy": "somewhere", "prompts": [{"prompt": "a"}]}, "no proxy is named"),
    ],
)
def test_wrong_use_is_told(options: dict[str, Any], message: str) -> None:
    policy, prompts = options.pop("policy", ""), options.pop("prompts", None)
    with pytest.raises(InputError, match=message):
        karat.stress.rl(policy, prompts, **options)


def test_too_few_prompts_are_told() -> None:
    with pytest.raises(InputError, match="has 5 prompts; holding out 32 leaves too few"):
        karat.stress.rl(
            str(words.POLICY),
            [{"prompt": f"list {n}"} for n in range(5)],
            proxy="builtin:longer",
            gold="karat.worlds.words:gold",
        )


def test_a_missing_file_of_prompts_is_told(tmp_path: Path) -> None:
    with pytest.raises((DataError, InputError), match=r"no\.jsonl"):
        karat.stress.rl(str(words.POLICY), tmp_path / "no.jsonl", proxy="builtin:longer")


def test_the_command_writes_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from karat.cli.main import app

    arguments = ["stress", "rl", "--setting", "checks", "--steps", "4", "--eval-every", "2", "--eval-prompts", "8"]
    status = app([*arguments, "--out", str(tmp_path), "--json", "--quiet"], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    assert document["command"] == "stress rl"
    assert status in (0, 1, 3)
    assert len(document["values"]["step"]) == 3
    assert "training step" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "policy" / "config.json").is_file()
    assert load_reward(words.SETTINGS["checks"].judge).name.endswith("checks_judge")
