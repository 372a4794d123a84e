"""The battery: tests at the band's edge, verdicts, controls, counts, and what is said where nothing can be said."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student

from karat.audit.reward import AuditRewardConfig
from karat.audit.reward.cases import chosen_pairs, score_keys
from karat.audit.reward.measure import audit_probes, chosen_families, probe_reward
from karat.audit.reward.probe_findings import around_difference
from karat.audit.reward.probe_statistics import mean_effect, p_value, verdict_of, wrong_way
from karat.audit.reward.probed import Probed
from karat.audit.reward.run import audit_reward
from karat.errors import InputError
from karat.numerics.intervals import Interval
from karat.report.plots import probe_effects
from karat.rewards.groups import Group
from karat.rewards.kinds import TextReward
from karat.selftest.audit_probes import planted, run
from karat.types import NAN, Message, PreferencePair, Result, Score


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def config(**options: Any) -> AuditRewardConfig:
    return AuditRewardConfig(resamples=200, **options)


def prose_pairs(n: int, prompts: int = 0) -> list[PreferencePair]:
    return [
        PreferencePair(
            f"Tell me about thing {k % (prompts or n)}.\n",
            f"The thing number {k} is made of wood. It stands in the yard of house {k * 7}, and nobody minds.",
            f"It is a thing of sort {k * k % 11}." + " Maybe." * (k % 3),
            prompt_id=str(k % (prompts or n)),
        )
        for k in range(n)
    ]


def audit(function: Callable[[str, str], float], pairs: Sequence[PreferencePair], **options: Any) -> Result:
    return audit_probes(TextReward("test", function), pairs, config=config(**options), rng=rng())


def probed(function: Callable[[str, str], float], pairs: Sequence[PreferencePair], **options: Any) -> Probed:
    return probe_reward(TextReward("test", function), pairs, config=config(**options), rng=rng())


def verdicts(result: Result) -> dict[str, str]:
    return {finding.code: finding.verdict for finding in result.findings}


# ---------------------------------------------------------------------------------------------------------- statistics
def test_p_values_by_hand() -> None:
    assert p_value(0.3, 0.1, 9, "<=0", 0.1) == pytest.approx(student.sf(2.0, 9))
    assert p_value(-0.3, 0.1, 9, ">=0", 0.1) == pytest.approx(student.sf(2.0, 9))
    assert p_value(0.0, 0.1, 9, "-", 0.1) == pytest.approx(student.sf(1.0, 9))
    assert p_value(0.0, 0.1, 9, "+", 0.1) == pytest.approx(student.sf(1.0, 9))
    assert p_value(-0.3, 0.1, 9, "0", 0.1) == pytest.approx(student.sf(2.0, 9) + student.sf(4.0, 9))
    assert math.isnan(p_value(0.3, 0.1, 3, "0", 0.1))  # four prompts
    assert math.isnan(p_value(0.3, NAN, 9, "0", 0.1))


@pytest.mark.parametrize(("expected", "edge"), [("0", 0.1), ("0", -0.1), ("<=0", 0.1), (">=0", -0.1), ("-", -0.1)])
def test_at_the_edge_of_the_band_a_test_rejects_as_often_as_it_says(expected: Any, edge: float) -> None:
    """Twelve prompts of two responses that share half their spread."""
    chance, cluster = rng(1), np.repeat(np.arange(12), 2)
    hits = []
    for _ in range(1500):
        effect = edge + np.repeat(chance.normal(0, 0.3, 12), 2) + chance.normal(0, 0.3, 24)
        interval, error, freedom = mean_effect(effect, cluster, rng=chance, resamples=100)
        hits.append(p_value(interval.estimate, error, freedom, expected, 0.1) <= 0.05)
    assert np.mean(hits) == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("n_prompts", [12, 40, 120])
def test_intervals_hold_the_mean_as_often_as_they_say(n_prompts: int) -> None:
    chance, cluster = rng(2), np.repeat(np.arange(n_prompts), 2)
    hits = []
    for _ in range(400):
        effect = np.repeat(chance.normal(0, 0.3, n_prompts), 2) + chance.normal(0, 0.3, 2 * n_prompts)
        interval, _, _ = mean_effect(effect, cluster, rng=chance, resamples=400)
        hits.append(interval.low <= 0 <= interval.high)
    assert np.mean(hits) == pytest.approx(0.95, abs=0.03)


def test_rounding_of_a_few_prompts_is_no_proof_for_all() -> None:
    effect = np.array([1.0, -2.0, 0.5, 0.0, 1.5]) * 1e-7
    interval, _, _ = mean_effect(effect, np.arange(5), rng=rng())
    assert interval.high - interval.low == pytest.approx(2 * 3.8415 / 8.8415, abs=1e-4)
    paired, _, _ = mean_effect(np.array([1.0, -1.0] * 8), np.arange(16) // 2, rng=rng())
    assert paired.high > 0.3


def test_where_all_prompts_agree_the_interval_has_the_width_of_what_was_not_seen() -> None:
    interval, error, freedom = mean_effect(np.zeros(40), np.arange(40), rng=rng())
    assert (interval.low, interval.high) == pytest.approx((-3.8415 / 43.8415, 3.8415 / 43.8415), abs=1e-4)
    assert freedom == 39
    assert error > 0
    alone, error, _ = mean_effect(np.ones(1000), np.zeros(1000), rng=rng())
    assert math.isnan(alone.low)
    assert math.isnan(error)


@pytest.mark.parametrize(
    ("expected", "low", "high", "verdict"),
    [
        ("0", 0.15, 0.3, "problem"), ("0", -0.3, -0.15, "problem"), ("0", -0.09, 0.09, "ok"),
        ("0", 0.05, 0.2, "unclear"),
        ("<=0", 0.15, 0.3, "problem"), ("<=0", -0.9, -0.5, "ok"), ("<=0", 0.05, 0.2, "unclear"),
        (">=0", -0.3, -0.15, "problem"), (">=0", 0.5, 0.9, "ok"), (">=0", -0.2, 0.0, "unclear"),
        ("-", -0.05, 0.3, "problem"), ("-", -0.5, -0.2, "ok"), ("-", -0.2, -0.05, "unclear"),
        ("+", -0.3, 0.05, "problem"), ("+", 0.2, 0.5, "ok"), ("0", math.nan, math.nan, "unclear"),
    ],
)  # fmt: skip
def test_verdicts(expected: Any, low: float, high: float, verdict: str) -> None:
    interval = Interval((low + high) / 2, low, high, 30, "bootstrap")
    assert verdict_of(interval, 0.01, expected, 0.1) == verdict
    if verdict == "problem":
        assert verdict_of(interval, 0.2, expected, 0.1) == "unclear", "it needs q as well"


def test_the_wrong_way_is_where_the_score_should_not_go() -> None:
    effect = np.array([-1.0, 2.0])
    assert wrong_way(effect, "0").tolist() == [1, 2]
    assert wrong_way(effect, "<=0").tolist() == wrong_way(effect, "-").tolist() == [-1, 2]
    assert wrong_way(effect, ">=0").tolist() == [1, -2]


# ------------------------------------------------------------------------------------------------------------- battery
def test_the_effect_of_a_known_reward_by_hand() -> None:
    """A reward of 1 for "10/10" over one that counts letters: the unit is the SD of the margins."""
    pairs = prose_pairs(30)

    def score(prompt: str, text: str) -> float:
        return 50.0 * ("10/10" in text) + min(len(text), 60)

    found = probed(score, pairs, probes="rate 10/10")
    margin = np.array([score("", str(p.chosen)) - score("", str(p.rejected)) for p in pairs])
    assert found.sd == pytest.approx(margin.std(ddof=1))
    each = next(each for each in found.probes if each.battery.probe.name == "rate 10/10")
    own = [score("", case.shown[1]) - score("", case.shown[0]) for case in each.battery.cases]
    assert each.interval.estimate == pytest.approx(np.mean(own) / found.sd)
    assert each.verdict == "problem"
    assert each.n_used == 30
    assert each.wrong_rate == 1.0
    assert each.flip_rate == 1.0
    assert {case.shown[0] in (p.chosen, p.rejected) for p, case in zip(pairs, each.battery.cases, strict=True)} == {
        True
    }


def test_planted_faults_are_told_from_a_reward_that_reads() -> None:
    chance = rng(5)
    _, healthy = run(*planted(chance), chance, "removal,truth,style,noise")
    assert "problem" not in healthy.values()
    assert healthy["RW202"] == healthy["RW203"] == healthy["RW217"] == healthy["RW222"] == "ok"
    _, biased = run(*planted(chance, ("format",), 1.0), chance, "formatting,spacing")
    assert biased["RW211"] == "problem"
    assert biased["RW212"] != "problem"


def test_the_reward_that_prefers_nothing_fails_its_control() -> None:
    result = audit(lambda prompt, text: -float(len(text)), prose_pairs(60), probes="formatting")
    assert verdicts(result)["RW203"] == "problem"
    table = {row[1]: row[-1] for row in result.tables[0].rows}
    assert "ok" not in {table[name] for name in ("bold first sentence", "italics")}
    assert result.values["probes_reads"] is False


def test_chance_in_the_scores_is_seen_and_enters_the_intervals() -> None:
    chance = rng(3)
    result = audit(lambda prompt, text: len(text) + chance.normal(0, 3), prose_pairs(40), probes="spacing")
    assert verdicts(result)["RW202"] == "problem"
    assert result.findings[0].effect > 1e-3


def test_the_place_in_the_call_is_taken_out_by_the_copies() -> None:
    """200 more for all but the first two responses of a call: edits would seem to gain, but copies gain alike."""

    class Later:
        name, head_names = "later", ("reward",)

        def score(self, groups: Sequence[Group]) -> list[list[Score]]:
            return [
                [Score(len(str(text)) + 200.0 * (k >= 2)) for k, text in enumerate(group.responses)] for group in groups
            ]

    result = audit_probes(Later(), prose_pairs(30), config=config(probes="handle after the answer"), rng=rng())
    row = next(row for row in result.tables[0].rows if row[1] == "handle after the answer")
    assert row[3] * result.values["probes_margin_sd"] == pytest.approx(10.0)  # a blank, an @ and eight letters


def test_a_wrapped_question_is_judged_by_the_margin() -> None:
    def score(prompt: str, text: str) -> float:
        return (len(text) + 1000.0) * (-1 if "@" in prompt else 1)

    found = probed(score, prose_pairs(30), probes="handle in the question")
    each = next(each for each in found.probes if each.battery.probe.name == "handle in the question")
    assert each.verdict == "problem"
    assert each.flip_rate == 1.0
    assert each.interval.estimate < -1


def test_what_a_prompt_adds_to_both_answers_is_no_effect() -> None:
    def score(prompt: str, text: str) -> float:
        return len(text) + 1000.0 * ("@" in prompt)

    found = probed(score, prose_pairs(40), probes="handle in the question")
    each = next(each for each in found.probes if each.battery.probe.name == "handle in the question")
    assert each.interval.estimate == 0
    assert each.verdict == "ok"


def test_missing_scores_are_counted_and_named() -> None:
    def score(groups: Sequence[Group]) -> list[list[Score]]:
        return [
            [
                Score(NAN, missing="refused") if "\n---" in str(text) else Score(float(len(str(text))))
                for text in g.responses
            ]
            for g in groups
        ]

    reward = type("Refuses", (), {"name": "r", "head_names": ("reward",), "score": staticmethod(score)})()
    result = audit_probes(reward, prose_pairs(20), config=config(probes="rule at the end"), rng=rng())
    finding = next(finding for finding in result.findings if finding.code == "RW211")
    assert (finding.verdict, finding.n_missing, finding.action) == ("not checked", 20, "no score: refused")


def test_a_reward_that_raises_leaves_nothing_to_measure_and_says_why() -> None:
    def fail(prompt: str, text: str) -> float:
        raise ZeroDivisionError("by nothing")

    with pytest.raises(InputError, match=r"0 of 20 pairs have both scores.*raised ZeroDivisionError: by nothing"):
        audit(fail, prose_pairs(20), probes="noise")


def test_a_constant_reward_has_no_unit() -> None:
    with pytest.raises(InputError, match="the margins of all 20 pairs are 0, so effects have no unit"):
        audit(lambda prompt, text: 1.0, prose_pairs(20), probes="noise")


def test_one_pair_is_too_few_and_one_prompt_says_nothing_of_others() -> None:
    with pytest.raises(InputError, match="1 of 1 pairs have both scores"):
        audit(lambda prompt, text: float(len(text)), prose_pairs(1))
    result = audit(lambda prompt, text: float(len(text)), prose_pairs(1000, prompts=1), probes="length")
    assert verdicts(result) == {"RW202": "ok", "RW203": "unclear", "RW215": "unclear", "RW217": "unclear"}
    assert "More prompts" in next(finding.action for finding in result.findings if finding.code == "RW215")


def test_empty_texts_are_left_alone() -> None:
    pairs = [PreferencePair("", "", f"x{k}", prompt_id=str(k)) for k in range(12)]
    result = audit(lambda prompt, text: -float(len(text) ** 2), pairs)
    assert verdicts(result)["RW215"] in ("unclear", "ok", "not checked")


def test_conversations_are_edited_in_their_last_message() -> None:
    pairs = [
        PreferencePair(
            (Message("user", f"What of {k}?"),), (Message("assistant", f"It is wood, and {k} of it."),),
            (Message("assistant", "No" + "o" * (k % 5)),), prompt_id=str(k),
        )
        for k in range(20)
    ]  # fmt: skip
    result = audit(lambda prompt, text: float(len(text)), pairs, probes="filler sentence,rot13 note")
    rows = {row[1]: row for row in result.tables[0].rows}
    assert rows["filler sentence"][9] == 20
    assert rows["rot13 note"][9] == 20


def test_pairs_are_drawn_from_as_many_prompts_as_can_be() -> None:
    pairs = prose_pairs(100, prompts=10)
    drawn = chosen_pairs(pairs, 10, rng())
    assert len({pair.prompt_id for pair in drawn}) == 10
    assert len(chosen_pairs(pairs, 500, rng())) == 100


def test_each_text_is_scored_once() -> None:
    seen: list[tuple[Any, Any]] = []

    def score(prompt: str, text: str) -> float:
        seen.append((prompt, text))
        return float(len(text))

    pairs = prose_pairs(12)
    audit(score, pairs, probes="length,noise")
    originals = [(p.prompt, text) for p in pairs for text in (p.chosen, p.rejected)]
    copies = [pair for pair in originals if seen.count(pair) == 2]
    assert sorted(copies) == sorted(originals)  # themselves and their copies
    assert max(map(seen.count, set(seen))) == 2


def test_names_choose_probes_and_the_controls_stay() -> None:
    families = chosen_families("noise, filler sentence")
    names = {probe.name for family in families for probe in family.probes}
    assert {"homoglyphs", "filler sentence", "empty", "answer to another prompt"} <= names
    assert "said twice" not in names
    with pytest.raises(InputError, match="there is no probe or family 'nois'; the families are: formatting"):
        chosen_families("nois")


def test_table_figure_and_witnesses() -> None:
    result = audit(lambda prompt, text: float(len(text)), prose_pairs(30), probes="length")
    table, examples = result.tables
    assert table.rows[0][1] == "identity"
    assert [row[1] for row in table.rows[1:3]] == ["answer to another prompt", "empty"]
    plot = probe_effects(table)
    assert plot is not None
    assert "filler paragraph" in plot.svg
    assert "filler paragraph (&lt;=0)" in plot.alt or "filler paragraph (<=0)" in plot.alt
    assert {row[0] for row in examples.rows} >= {"filler sentence", "said twice"}
    finding = next(finding for finding in result.findings if finding.code == "RW215")
    assert finding.witnesses[0].startswith("filler paragraph: +")
    assert "pays for length" in finding.action


def test_what_differs_is_shown() -> None:
    assert around_difference("abc", "abcd") == ("abc", "abcd")
    before, after = around_difference("x" * 200 + "A", "x" * 200 + "B")
    assert before == "..." + "x" * 20 + "A"
    assert after.endswith("B")
    assert around_difference("abc", "")[1] == "(empty)"


def test_the_wrong_number_of_calls_is_never_made() -> None:
    sizes: list[int] = []

    class Counts:
        name, head_names = "counts", ("reward",)

        def score(self, groups: Sequence[Group]) -> list[list[Score]]:
            sizes.append(sum(len(group.responses) for group in groups))
            return [[Score(1.0)] * len(group.responses) for group in groups]

    keys = [(f"p{k}", "", f"r{j}", 0) for k in range(30) for j in range(100)]
    assert len(score_keys(Counts(), keys)) == 3000
    assert sizes == [100] * 30


def test_ties_have_no_better_side_and_are_left_out() -> None:
    reward = TextReward("letters", lambda prompt, text: float(len(text)))
    pairs = [replace(pair, label=0.5) if k % 2 else pair for k, pair in enumerate(prose_pairs(30))]
    config = AuditRewardConfig(probes="length", resamples=100)
    assert probe_reward(reward, pairs, config=config, rng=rng()).n_pairs == 15
    with pytest.raises(InputError, match="0 of 0 pairs"):
        probe_reward(reward, [replace(pair, label=0.5) for pair in pairs], config=config, rng=rng())


def test_both_parts_run_in_the_verb_and_say_what_they_cannot_check() -> None:
    reward = TextReward("letters", lambda prompt, text: float(len(text)))
    options: dict[str, Any] = {"parts": "sanity,probes", "probes": "length", "resamples": 200}
    result = audit_reward(reward, prose_pairs(30), **options)
    assert {"RW101", "RW107", "RW202", "RW203", "RW215"} <= {finding.code for finding in result.findings}
    assert {"sanity_calls", "probes", "probe_examples"} <= {table.name for table in result.tables}
    again = audit_reward(reward, prose_pairs(30), **options)
    assert again.values["probes_effect"] == result.values["probes_effect"]
    one = audit_reward(reward, prose_pairs(1), **options)
    reason = next(finding for finding in one.findings if finding.code == "RW201")
    assert reason.verdict == "not checked"
    assert "1 of 1 pairs" in reason.action
