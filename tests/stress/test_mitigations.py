"""Mitigations on planted pools: at one KL, fitted on the other half, exported as the function that was compared."""

from __future__ import annotations

import json
import math
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from karat.errors import DataError, InputError
from karat.numerics.best_of_n import pool_matrix, prompt_draws
from karat.numerics.equal_kl import Path as RulePath
from karat.numerics.equal_kl import best_of_n_path
from karat.numerics.mitigation_rules import RuleInputs, fit_rule, rule_scores
from karat.numerics.rule_names import RuleSettings
from karat.rewards import Group, load_reward
from karat.rewards.mitigated import from_anywhere
from karat.stress.config import StressConfig
from karat.stress.mitigation_findings import mitigation_finding
from karat.stress.mitigations import (
    compare_mitigations,
    compare_paths,
    cross_fitted_scores,
    usable_responses,
    with_similarity,
)
from karat.stress.pool import read_stress_pool
from karat.stress.run import stress as run_stress
from karat.types import Finding, Result

Make = Callable[[np.random.Generator], Mapping[str, float]]
RULES_OF_ONE = {"proxy", "length-lowess", "length-isotonic", "clip", "mbr", "chi-square", "softmax"}


def rows(make: Make, n_prompts: int = 40, size: int = 24, seed: int = 0) -> list[dict[str, Any]]:
    """A pool whose responses have the scores that `make` draws, and as many characters as its "length" says."""
    rng = np.random.default_rng(seed)
    out = []
    for prompt in range(n_prompts):
        for number in range(size):
            drawn = dict(make(rng))
            text = f"{number} " + "".join(rng.choice(list("abcde "), int(drawn.pop("length", 30))))
            out.append({"prompt": f"question {prompt}", "response": text, **drawn})
    return out


def heavy(rng: np.random.Generator) -> dict[str, float]:
    gold = rng.standard_normal()
    return {"truth": gold, **{name: gold + 0.7 * rng.standard_t(2) for name in ("rm", "b", "c")}}


def leaky(rng: np.random.Generator) -> dict[str, float]:
    gold, length = rng.standard_normal(), round(math.exp(3.5 + 0.6 * rng.standard_normal()))
    return {"truth": gold, "rm": gold + 2 * math.log(length) + 0.5 * rng.standard_normal(), "length": length}


def honest(rng: np.random.Generator) -> dict[str, float]:
    gold = rng.standard_normal()
    return {"truth": gold, "rm": gold + rng.standard_normal()}


def finding(result: Result) -> Finding:
    return next(found for found in result.findings if found.code == "ST307")


def table(result: Result) -> dict[str, dict[str, Any]]:
    found = next(table for table in result.tables if table.name == "mitigations")
    return {row[0]: dict(zip(found.columns, row, strict=True)) for row in found.rows}


def stress(pool: Any, **options: Any) -> Result:
    return run_stress(pool, **{"proxy": "rm", "gold": "truth", "resamples": 400, **options})


# ---------------------------------------------------------------------------------------------------------- comparison
def test_ensembles_are_compared_where_members_are_named() -> None:
    result = stress(rows(heavy), members="b, c")
    found = table(result)
    assert set(found) == RULES_OF_ONE | {"mean", "worst", "variance", "kl-dro"}
    assert found["worst"]["less_proxy_low"] > 0.3
    assert not set(found["worst"]["group"]) & set(found["proxy"]["group"])
    assert result.values["mitigations"]["worst"] == found["worst"]["gold"]
    stated = finding(result)
    assert (stated.verdict, stated.gold, stated.n_used) == ("ok", "truth", 960)
    assert stated.low > 0.2
    assert "--export best writes" in stated.action
    assert "letters shared: no clear difference" in stated.baseline
    alone = stress(rows(heavy))
    assert set(alone.values["mitigations"]) == RULES_OF_ONE


def test_a_leak_is_taken_away_and_an_honest_reward_is_left_alone() -> None:
    leak = table(stress(rows(leaky)))
    for rule in ("length-lowess", "length-isotonic"):
        assert leak[rule]["less_proxy_low"] > 0.15
    result = stress(rows(honest, n_prompts=120))
    assert finding(result).verdict == "ok"
    assert finding(result).high < 0.1
    assert finding(result).action == ""
    # on an honest reward a length trend that was fitted elsewhere costs next to nothing, and is no gain
    for rule in ("length-lowess", "length-isotonic"):
        assert -0.1 < table(result)[rule]["less_proxy"] < 0.05


def test_all_are_read_at_one_kl_and_it_is_told() -> None:
    result = stress(rows(honest))
    found = table(result)
    kl = result.values["mitigations_kl"]
    assert {round(row["kl"], 9) for row in found.values()} == {round(kl, 9)}
    assert kl < math.log(24) - 23 / 24  # clipping makes ties, so best of 24 goes less far
    assert found["clip"]["strength"] == 24
    assert found["proxy"]["strength"] < 24
    assert found["chi-square"]["strength"] < 8
    note = next(table.note for table in result.tables if table.name == "mitigations")
    assert f"{kl:.2f} nats, as far as clip gets at best of 24" in note


def test_a_rule_that_gets_nowhere_is_set_apart() -> None:
    result = stress(rows(honest), clip_share=0.2)
    row = table(result)["clip"]
    config = StressConfig(
        proxy="rm", gold="truth", resamples=400, clip_share=0.2, export="clip", rewards="rm=builtin:longer"
    )
    assert row["group"] == "-"
    assert row["kl"] < 0.5 * result.values["mitigations_kl"]
    assert row["less_proxy_low"] <= row["less_proxy"] <= row["less_proxy_high"]
    assert list(table(result))[-1] == "clip"
    named = mitigation_finding(compare_mitigations(read_stress_pool(rows(honest), config), config), config)
    assert named.effect == pytest.approx(row["less_proxy"])
    assert f"clip is judged where it ends, at {row['kl']:.2f} nats" in named.baseline


def test_a_monotone_change_of_the_proxy_has_no_row_of_its_own() -> None:
    """PAR's sigmoid over any references chooses as the proxy does at every n, so it is left to RL."""
    rng = np.random.default_rng(0)
    gold = rng.standard_normal(2000)
    proxy, prompt = gold + rng.standard_normal(2000), np.repeat(np.arange(50), 40)
    shaped = 1 / (1 + np.exp(-(proxy[:, None] - rng.standard_normal((50, 5))[prompt]) / 1.4))
    paths = [best_of_n_path(pool_matrix(score, gold, prompt), 40) for score in (proxy, shaped.mean(axis=1))]
    assert paths[0].gold_PT == pytest.approx(paths[1].gold_PT, abs=1e-12)
    assert paths[0].kl_PT == pytest.approx(paths[1].kl_PT, abs=1e-12)
    assert "par" not in table(stress(rows(honest, n_prompts=10)))


def test_a_function_of_the_prompt_changes_nothing_once_prompts_are_centred() -> None:
    pool = rows(heavy, n_prompts=12, size=8)
    rng = np.random.default_rng(1)
    added = {row["prompt"]: dict.fromkeys(("rm", "b", "c", "truth"), 0.0) for row in pool}
    for each in added.values():
        each.update({name: 3 * rng.standard_normal() for name in each})
    moved = [{**row, **{name: row[name] + more for name, more in added[row["prompt"]].items()}} for row in pool]
    shown = {}
    for centre in ("prompt", "pool"):
        config = StressConfig(proxy="rm", gold="truth", members="b,c", resamples=200, centre=centre)
        first, again = (compare_mitigations(read_stress_pool(each, config), config) for each in (pool, moved))
        shown[centre] = [
            [(entry.difference.estimate, entry.difference.low, entry.gold.high, entry.kl) for entry in found.entries]
            for found in (first, again)
        ]
    assert np.array(shown["prompt"][0]) == pytest.approx(np.array(shown["prompt"][1]), abs=1e-9)
    # the pool's mean leaves it in, and clip's ties, which set the KL, carry it to every rule
    assert np.abs(np.array(shown["pool"][0]) - np.array(shown["pool"][1])).max() > 0.02


def test_numbers_of_a_rule_come_from_the_other_half() -> None:
    """A proxy that is the length in even prompts and its opposite in odd ones: fitted there, applied here, the trend
    is the wrong way round; fitted on all, there is none."""
    rng = np.random.default_rng(0)
    place = np.repeat(np.arange(20), 30)
    length = rng.integers(5, 200, place.size).astype(float)
    sign = np.where(place % 2 == 0, 1.0, -1.0)
    proxy = sign * np.log1p(length) + 0.1 * rng.standard_normal(place.size)
    inputs = RuleInputs(member_RM=proxy[:, None], length_R=length, place_R=place)
    score = cross_fitted_scores(inputs, settings=RuleSettings())["length-lowess"]
    even = place % 2 == 0
    assert np.corrcoef(score[even], np.log1p(length[even]))[0, 1] > 0.99
    ratio = score[even].std() / (proxy[even].std() / proxy[~even].std())
    assert ratio == pytest.approx(2.0, abs=0.1)  # the trend is added where it should be taken away


def test_choosing_the_best_of_equals_is_no_gain() -> None:
    rng = np.random.default_rng(1)
    gains, shown = [], []
    prompt, count = np.repeat(np.arange(40), 16), prompt_draws(40, 200, rng)
    for _ in range(40):
        gold = rng.standard_normal(prompt.size)
        score = {name: gold + rng.standard_normal(gold.size) for name in ("proxy", "mean", "worst", "clip", "kl-dro")}
        paths = {name: best_of_n_path(pool_matrix(each, gold, prompt), 16) for name, each in score.items()}
        found = compare_paths(paths, 1.0, count)
        gains.append(found.gain.estimate)
        shown.append(found.entries[0].difference.estimate)
    assert np.mean(gains) == pytest.approx(0, abs=0.06)
    assert np.mean(shown) > 0.1  # what the best of the table seems to gain


def test_intervals_hold_where_rules_differ_on_few_prompts() -> None:
    """Most prompts have the same choice under both rules, the rest differ by chance alone: percentiles miss 10 %."""
    rng = np.random.default_rng(0)
    count, n, missed = prompt_draws(40, 400, rng), np.array([1, 2]), 0
    for _ in range(600):
        differs = np.where(rng.random(40) < 0.12, rng.standard_normal(40), 0.0)
        gold = {"proxy": rng.standard_normal((40, 2))}
        gold["clip"] = gold["proxy"] + np.stack([np.zeros(40), differs], axis=1)
        paths = {rule: RulePath(strength_T=n, kl_PT=np.tile([0.0, 0.2], (40, 1)), gold_PT=gold[rule]) for rule in gold}
        entry = compare_paths(paths, 1.0, count).of("clip")
        assert entry is not None
        missed += not entry.difference.low <= 0 <= entry.difference.high
    assert missed / 600 < 0.06


def test_the_same_seed_gives_the_same_table() -> None:
    pool = rows(heavy, n_prompts=12, size=8)
    first, again = (table(stress(pool, members="b,c")) for _ in range(2))
    assert json.dumps(first) == json.dumps(again)


# ------------------------------------------------------------------------------------------------------------ bad input
def test_responses_without_a_member_are_left_out_and_counted() -> None:
    pool = rows(heavy)
    for number, row in enumerate(pool):
        if number % 8 == 0:
            row["c"] = None
    result = stress(pool, members="b,c")
    assert finding(result).n_missing == 120
    assert finding(result).n_used == 960 - 120
    note = next(table.note for table in result.tables if table.name == "mitigations")
    assert "120 responses without a member's score are left out" in note
    assert "best of 21" in note
    whole = stress([row for row in pool if row["c"] is not None], members="b,c")
    assert whole.values["mitigations"] == pytest.approx(result.values["mitigations"])


def test_prompts_left_with_too_few_are_counted_too() -> None:
    pool = rows(heavy, n_prompts=20, size=8)
    for number, row in enumerate(pool):
        if row["prompt"] == "question 3" and number % 8 < 6:
            row["b"] = None
    result = stress(pool, members="b,c")
    assert (finding(result).n_used, finding(result).n_missing) == (19 * 8, 8)
    note = next(table.note for table in result.tables if table.name == "mitigations")
    assert "6 responses without a member's score are left out, and 2 of prompts with fewer than 8 besides" in note


def test_what_cannot_be_compared_says_why() -> None:
    pool = rows(heavy, n_prompts=6, size=6)
    without_gold = finding(stress(pool, gold="", members="b"))
    assert (without_gold.verdict, without_gold.action[:12]) == ("not checked", "needs --gold")
    few = finding(stress(pool[:18], members="b"))
    assert (few.verdict, "needs 4 prompts" in few.action) == ("not checked", True)
    for row in pool[::2]:
        row["truth"] = None
    assert "a gold for every response" in finding(stress(pool, members="b")).action
    for row in pool:
        row["b"] = None if row["prompt"] != "question 0" else row["b"]
    assert "1 have them, 30 responses lack a member" in finding(stress(pool, members="b")).action


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"members": "rm"}, "'rm' is the proxy"),
        ({"members": "b,b"}, "'b' is the proxy, the gold or named twice"),
        ({"members": "nope"}, "named as member"),
        ({"members": "d"}, "member 'd' is equal for all responses of every prompt"),
        ({"references": 1}, "references = 1 is out of range"),
        ({"caution": 0.0}, "temperature = 0: must be above 0; at the limit"),
        ({"clip_share": 1.5}, "clip_share = 1.5"),
        ({"export": "median", "rewards": "rm=x"}, "no rule 'median'; there are: best, proxy, mean"),
        ({"export": "worst"}, "--export needs --rewards: what scored each column, as rm=REWARD"),
        ({"export": "best", "gold": "", "rewards": "rm=x"}, "--export best needs --gold"),
        ({"rewards": "rm=x"}, "--rewards is for --export"),
        ({"export": "mbr", "similarity": "", "rewards": "rm=x"}, "--export mbr needs --similarity"),
        ({"export": "clip", "rewards": "x=y"}, "'x=y' is not COLUMN=REWARD with one of the columns rm"),
        ({"export": "clip", "rewards": "rm=a,rm=b"}, "column 'rm' is named twice"),
        ({"export": "worst", "rewards": "rm=builtin:longer"}, "rule 'worst' needs two rewards or more"),
        ({"export": "worst", "members": "b", "rewards": "rm=builtin:longer"}, "no REWARD is named for the column 'b'"),
        ({"export": "clip", "rewards": "rm=builtin:longer"}, "Name the reward that scored this column"),
        ({"export": "clip", "rewards": "rm=no_such:thing"}, "cannot import no_such"),
    ],
)
def test_wrong_use_is_named(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    pool = [{**row, "d": 1.0} for row in rows(heavy, n_prompts=6, size=6)]
    with pytest.raises((DataError, InputError)) as caught:
        stress(pool, out=tmp_path, **options)
    assert message in str(caught.value)
    assert not (tmp_path / "reward").exists()


def test_another_reward_is_refused_where_scores_lie_far_from_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half an SD off, which is a thousandth of these scores."""
    pool = [{**row, "rm": row["rm"] + 1000} for row in rows(honest, n_prompts=6, size=6)]
    stored = {row["response"]: row["rm"] for row in pool}
    module = types.ModuleType("far_from_zero")
    module.same = lambda prompts, completions, **_: [stored[text] for text in completions]  # type: ignore[attr-defined]
    module.other = lambda prompts, completions, **_: [stored[text] + 0.7 for text in completions]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(InputError, match="Name the reward that scored this column"):
        stress(pool, export="clip", rewards="rm=far_from_zero:other", out=tmp_path)
    assert stress(pool, export="clip", rewards="rm=far_from_zero:same", out=tmp_path).values["exported"] == "clip"


@pytest.mark.parametrize("text", [None, "the same"])
def test_references_need_prompts_that_can_be_told_apart(text: str | None, tmp_path: Path) -> None:
    pool = [{**row, "prompt_id": row["prompt"], "rm": float(len(row["response"]))} for row in rows(leaky, 6, 6)]
    for row in pool:
        row.update({"prompt": text}) if text else row.pop("prompt")
    with pytest.raises(InputError, match=r"prompt 'question 1' has the text of another prompt, or none\. Rule 'par'"):
        stress(pool, export="par", rewards="rm=builtin:longer", out=tmp_path)
    assert not (tmp_path / "reward").exists()
    assert stress(pool, export="clip", rewards="rm=builtin:longer", out=tmp_path).values["exported"] == "clip"


def test_a_reward_may_hold_commas() -> None:
    config = StressConfig(
        proxy="rm", members="b,c", export="worst", rewards="rm=ensemble:x,y, b=average:p,q,r,c=folder#helpful"
    )
    assert config.reward_of == {"rm": "ensemble:x,y", "b": "average:p,q,r", "c": "folder#helpful"}


def test_folders_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path)
    assert from_anywhere("a") == str(tmp_path / "a")
    assert from_anywhere("average:a, b") == f"average:{tmp_path / 'a'},{tmp_path / 'b'}"
    assert from_anywhere("ensemble:builtin:longer,b") == f"ensemble:builtin:longer,{tmp_path / 'b'}"
    assert from_anywhere("hub/name") == "hub/name"


def test_an_export_needs_a_folder() -> None:
    with pytest.raises(InputError, match="--export needs a folder"):
        stress(rows(heavy, n_prompts=4, size=4), export="clip", rewards="rm=builtin:longer")


# --------------------------------------------------------------------------------------------------------------- export
@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Exports a rule on a pool whose columns are scored by functions that look texts up, and loads it."""
    pool = rows(heavy, n_prompts=10, size=12)
    module = types.ModuleType("columns_of_the_pool")
    for name in ("rm", "b", "c"):
        stored = {(row["prompt"], row["response"]): row[name] for row in pool}

        def function(prompts: Any, completions: Any, stored: Any = stored, **_: Any) -> list[float | None]:
            return [
                stored.get(key, len(key[1]) / 30 if key[1].startswith("new") else None)
                for key in zip(prompts, completions, strict=True)
            ]

        setattr(module, name, function)
    monkeypatch.setitem(sys.modules, module.__name__, module)

    def export(rule: str, **options: Any) -> Any:
        rewards = ",".join(f"{name}=columns_of_the_pool:{name}" for name in ("rm", "b", "c"))
        result = stress(pool, members="b,c", export=rule, rewards=rewards, out=tmp_path, **options)
        return pool, result, load_reward(str(tmp_path / "reward"))

    return export


@pytest.mark.parametrize(
    "rule", ["best", "proxy", "mean", "worst", "variance", "kl-dro", "length-lowess", "length-isotonic", "clip", "mbr"]
)
@pytest.mark.parametrize("centre", ["pool", "prompt"])
def test_exported_scores_rank_as_the_compared_rule(rule: str, centre: str, exported: Callable[..., Any]) -> None:
    pool, result, reward = exported(rule, centre=centre)
    name = result.values["exported"]
    assert name == (result.values["mitigation_best"] if rule == "best" else rule)
    groups = [
        Group(f"question {p}", tuple(row["response"] for row in pool if row["prompt"] == f"question {p}"))
        for p in range(10)
    ]
    found = np.array([score.value for scores in reward.score(groups) for score in scores])
    assert np.isfinite(found).all()
    config = StressConfig(proxy="rm", gold="truth", members="b,c", centre=centre)  # type: ignore[arg-type]
    read = read_stress_pool(pool, config)
    usable = usable_responses(read, config)
    inputs = with_similarity(read, usable, "text")
    order = np.argsort(usable.index_R)
    settings = RuleSettings(centre=config.centre)
    same = rule_scores(fit_rule(name, inputs, settings=settings), inputs)[order]
    assert found == pytest.approx(same, rel=1e-9)
    # the comparison's numbers come from the other half of these ten prompts: nearly the same order
    compared = cross_fitted_scores(inputs, settings=settings)[name][order]
    kept = [spearmanr(found[p : p + 12], compared[p : p + 12])[0] for p in range(0, 120, 12)]
    assert np.mean(kept) > 0.9
    plain = next(row for row in result.tables if row.name == "mitigations").note
    assert f"Written as a reward: {name}" in plain
    assert str(Path(result.files[0]).name) == "karat.json"


def test_new_prompts_are_scored_where_no_references_are_needed(exported: Callable[..., Any]) -> None:
    _, result, reward = exported("worst")
    score = reward.score([Group("a prompt that is new", ("new words", "what nobody scored"))])[0]
    assert math.isfinite(score[0].value)
    assert score[1].missing.startswith("rm (columns_of_the_pool:rm): ")
    assert finding(result).baseline.startswith(f"gold SD at {result.values['mitigations_kl']:.2f} nats, chosen: worst")


def test_references_of_the_pools_prompts_go_with_what_needs_them(exported: Callable[..., Any]) -> None:
    pool, result, reward = exported("par", references=3)
    assert finding(result).verdict == "not checked"
    assert "acts in RL only" in finding(result).action
    first = [row["rm"] for row in pool[:3]]
    scale = reward.fitted.scale_M[0]
    score = reward.score([Group("question 0", (pool[5]["response"],))])[0][0].value
    assert score == pytest.approx(np.mean([1 / (1 + math.exp((r - pool[5]["rm"]) / scale)) for r in first]))
    assert reward.score([Group("another", ("new",))])[0][0].is_missing
    assert json.loads((Path(result.files[0])).read_text())["references"]["prompts"] == 10


def test_a_rule_that_costs_gold_is_a_problem_to_export(exported: Callable[..., Any]) -> None:
    result = exported("mbr", similarity_weight=50.0)[1]
    assert finding(result).verdict == "problem"
    assert finding(result).high < 0
    assert "mbr costs gold" in finding(result).action


def test_the_command_writes_a_reward_that_scores(exported: Callable[..., Any], tmp_path: Path) -> None:
    from karat.cli.main import app

    pool, *_ = exported("clip")
    file = tmp_path / "pool.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in pool))
    arguments = ["stress", str(file), "--proxy", "rm", "--gold", "truth", "--export", "best", "--quiet"]
    arguments += ["--rewards", "rm=columns_of_the_pool:rm", "--out", str(tmp_path / "out")]
    assert app(arguments, standalone_mode=False) in (0, 1)
    document = json.loads((tmp_path / "out" / "result.json").read_text())
    assert str(tmp_path / "out" / "reward" / "karat.json") in document["files"]
    assert "Mitigations at equal KL" in (tmp_path / "out" / "report.html").read_text()
    scored = tmp_path / "scored.jsonl"
    assert app(["score", str(tmp_path / "out" / "reward"), str(file), "--out", str(scored), "--name", "new", "--quiet"],
               standalone_mode=False) == 0  # fmt: skip
    assert all(math.isfinite(json.loads(line)["new"]) for line in scored.read_text().splitlines())


def test_an_exported_reward_is_optimised_by_rl(tmp_path: Path) -> None:
    from karat.stress.rl.run import rl
    from karat.worlds import words

    rng = np.random.default_rng(0)
    asked = words.prompts(words.SETTINGS["length"].cue)
    pool = [
        {"prompt": prompt, "response": text, "judge": words.length_judge([prompt], [text])[0]}
        for prompt in asked[:40]
        for text in (words.careless_response(prompt, rng) for _ in range(8))
    ]
    judge = words.SETTINGS["length"].judge
    run_stress(pool, proxy="judge", export="length-lowess", rewards=f"judge={judge}", out=tmp_path, resamples=100)
    result = rl(proxy=str(tmp_path / "reward"), steps=1, eval_every=1, eval_prompts=8, eval_samples=4, resamples=100)
    assert result.values["training_scores"] > 0
    assert result.values["training_scores_missing"] == 0
    assert all(map(math.isfinite, result.values["proxy"]))


def test_comparison_by_function() -> None:
    config = StressConfig(proxy="rm", gold="truth", members="b,c", resamples=200, similarity="")
    found = compare_mitigations(read_stress_pool(rows(heavy, n_prompts=16, size=8), config), config)
    assert found.of("mbr") is None
    assert found.entries[0].is_among_best
    for entry in found.entries:
        shares = bool(set(entry.group) & set(found.entries[0].group))
        assert entry.is_among_best == shares
