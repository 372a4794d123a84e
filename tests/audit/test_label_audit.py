"""The label noise part on pairs with planted flips, votes and circles; and on inputs that allow little of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from karat.audit.data.agreement import audit_agreement
from karat.audit.data.config import AuditDataConfig
from karat.audit.data.cycles import audit_cycles, count_cycles, cyclic_share, noise_of_cycles
from karat.audit.data.label_noise import audit_labels, judge_labels, top_suspects
from karat.audit.data.noise_findings import EXPLANATIONS, rate_finding
from karat.audit.data.votes import read_votes, votes_of
from karat.errors import DataError
from karat.numerics.label_noise import auroc, fit_noise
from karat.rewards import vectors
from karat.rewards.vectors import PairVectors
from karat.types import Message, PreferencePair, Result


def planted_pairs(rate: float, n: int = 600, seed: int = 0) -> tuple[list[PreferencePair], np.ndarray, np.ndarray]:
    """Pairs whose vectors decide the preference but for noise; the flips, and the chosen side's vector."""
    rng = np.random.default_rng(seed)
    x_PD = rng.normal(size=(n, 8))
    won = rng.random(n) < 1 / (1 + np.exp(-x_PD @ np.full(8, 1.5)))
    flipped = rng.random(n) < rate
    chosen_PD = np.where((won != flipped)[:, None], x_PD, -x_PD)
    pairs = [
        PreferencePair(f"prompt {i}", f"good {i}", f"bad {i}", prompt_id=str(i), row=i, source="ab"[i % 2])
        for i in range(n)
    ]
    return pairs, flipped, chosen_PD


@pytest.fixture
def as_vectors(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes `pair_vectors` give planted differences by row, NaN for the rows named missing."""

    def plant(chosen_PD: np.ndarray, missing: tuple[int, ...] = ()) -> None:
        def fake(pairs: Any, model: str, **_: Any) -> PairVectors:
            at = [pair.row for pair in pairs]
            gone = {index: "no tokens" for index, row in enumerate(at) if row in missing}
            chosen = chosen_PD[at].astype(np.float32)
            chosen[list(gone)] = np.nan
            return PairVectors(chosen, np.zeros_like(chosen), np.zeros_like(chosen), gone, 26, 0)

        monkeypatch.setattr(vectors, "pair_vectors", fake)

    return plant


def run(pairs: Any, out: Path | None = None, **options: Any) -> Result:
    return audit_labels(pairs, out=out, config=AuditDataConfig(**options), rng=np.random.default_rng(0))[0]


def finding(result: Result, code: str) -> Any:
    return next(found for found in result.findings if found.code == code)


# --------------------------------------------------------------------------------------------------------------- flips
def test_planted_flips_are_counted_and_found(as_vectors: Any, tmp_path: Path) -> None:
    pairs, flipped, chosen_PD = planted_pairs(0.25)
    as_vectors(chosen_PD)
    result, noise = audit_labels(pairs, out=tmp_path, config=AuditDataConfig(), rng=np.random.default_rng(0))
    assert noise is not None
    assert finding(result, "DA301").low <= 0.25 <= finding(result, "DA301").high
    assert (finding(result, "DA301").verdict, finding(result, "DA302").verdict) == ("problem", "problem")
    assert auroc(noise.posterior_P, flipped) > 0.9
    top, expected = top_suspects(noise)
    assert top.size == 30
    assert expected.low <= flipped[top].mean() <= 1
    rows = [json.loads(line) for line in (tmp_path / "suspects.jsonl").read_text().splitlines()]
    assert [row["posterior"] for row in rows] == sorted((row["posterior"] for row in rows), reverse=True)
    assert rows[0]["row"] == pairs[top[0]].row
    assert set(rows[0]) >= {"prompt", "chosen", "rejected", "strength", "spread", "posterior"}
    assert {table.name for table in result.tables} == {"suspects", "label_agreement", "label_noise_by_part"}
    assert result.values["noise_pairs"] == 600


def test_clean_labels_are_ok(as_vectors: Any) -> None:
    pairs, _, chosen_PD = planted_pairs(0.0)
    as_vectors(chosen_PD)
    result = run(pairs)
    assert finding(result, "DA301").verdict == "ok"
    assert finding(result, "DA302").verdict != "problem"


def test_ties_and_missing_vectors_are_left_out_and_counted(as_vectors: Any) -> None:
    pairs, _, chosen_PD = planted_pairs(0.1, n=100)
    pairs[3] = replace(pairs[3], label=0.5)
    as_vectors(chosen_PD, missing=(5, 6))
    result, noise = audit_labels(pairs, out=None, config=AuditDataConfig(), rng=np.random.default_rng(0))
    assert noise is not None
    assert np.flatnonzero(np.isnan(noise.posterior_P)).tolist() == [3, 5, 6]
    assert noise.missing == {5: "no tokens", 6: "no tokens"}
    assert (finding(result, "DA301").n_used, finding(result, "DA301").n_missing) == (97, 2)
    assert result.values["noise_ties"] == 1


def test_a_given_reward_that_contradicts_labels_may_itself_be_wrong() -> None:
    """The longer response is preferred in 70 % of pairs: labels that are flipped, or right and about something else."""
    rng = np.random.default_rng(0)
    pairs = []
    for row in range(600):
        long, short = "x" * int(rng.integers(40, 80)), "x" * int(rng.integers(1, 30))
        sides = (short, long) if rng.random() < 0.3 else (long, short)
        pairs.append(PreferencePair(f"p{row}", *sides, prompt_id=str(row), row=row))
    result = run(pairs, reward="builtin:longer")
    rate, suspects = finding(result, "DA301"), finding(result, "DA302")
    assert rate.low <= 0.3 <= rate.high
    assert rate.low > 0.1
    assert (rate.verdict, suspects.verdict) == ("unclear", "unclear")
    assert "either they are wrong, or the given reward is" in rate.action
    assert "must not have seen these pairs" in rate.baseline


def test_only_the_ceiling_shows_that_few_labels_are_flipped() -> None:
    """An interval that ends below 10 % rests on the logistic form; agreement that is seen does not."""
    fit = fit_noise(*clear_margins(0.03))
    assert rate_finding(fit, judge="heads", n_missing=0, witnesses=()).verdict == "ok"
    loose = replace(fit, ceiling=0.16)
    assert loose.high < 0.1
    assert rate_finding(loose, judge="heads", n_missing=0, witnesses=()).verdict == "unclear"
    assert rate_finding(replace(fit, ceiling=np.nan), judge="", n_missing=0, witnesses=()).verdict == "unclear"


def clear_margins(rate: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    size_P = 4 * np.abs(rng.normal(size=2000))
    agrees = (rng.random(2000) < 1 / (1 + np.exp(-size_P))) != (rng.random(2000) < rate)
    return np.where(agrees, size_P, -size_P), np.arange(2000)


def test_what_the_input_does_not_allow_is_not_checked(as_vectors: Any) -> None:
    pairs, _, chosen_PD = planted_pairs(0.0, n=30)
    as_vectors(chosen_PD)
    one = run(pairs[:1])
    assert {found.code: found.verdict for found in one.findings} == dict.fromkeys(
        ("DA301", "DA303", "DA305"), "not checked"
    )
    assert "at least 2" in finding(one, "DA301").action
    same = run([replace(pair, prompt_id="one") for pair in pairs])
    assert finding(same, "DA301").verdict == "not checked"
    assert "no pair has a decided label" in finding(run([replace(p, label=0.5) for p in pairs]), "DA301").action
    assert "there are no pairs to judge" in finding(run([]), "DA301").action
    as_vectors(chosen_PD, missing=tuple(range(30)))
    assert finding(run(pairs), "DA301").action == "no pair has a margin: no tokens"


def test_without_torch_the_rest_still_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: Any, **__: Any) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(vectors, "pair_vectors", absent)
    result = run(votes_on([[1, 1, 1]] * 30))
    assert finding(result, "DA301").action.startswith("needs the library torch")
    assert finding(result, "DA303").n_used == 30


def test_few_pairs_are_unclear(as_vectors: Any) -> None:
    pairs, _, chosen_PD = planted_pairs(0.0, n=6)
    as_vectors(chosen_PD)
    result, noise = audit_labels(pairs, out=None, config=AuditDataConfig(), rng=np.random.default_rng(0))
    assert finding(result, "DA301").verdict == "unclear"
    assert finding(result, "DA302").verdict != "problem"
    assert finding(result, "DA301").action.startswith("Not settled: the margins allow any flip rate from 0.00 to")
    with pytest.raises(DataError, match="there are no pairs to judge"):
        judge_labels([], config=AuditDataConfig(), rng=np.random.default_rng(0))
    assert noise is not None
    assert len(noise.pairs) == 6


# --------------------------------------------------------------------------------------------------------------- votes
def votes_on(values: list[list[int]], named: bool = True) -> list[PreferencePair]:
    """Rows of votes: 1 first, -1 second, 0 tie; the second side is put first half of the time, as data may."""
    pairs = []
    for unit, votes in enumerate(values):
        for number, value in enumerate(votes):
            sides = (f"b{unit}", f"a{unit}") if value < 0 else (f"a{unit}", f"b{unit}")
            who = f"w{number}" if named else ""
            label = 0.5 if value == 0 else 1.0
            pairs.append(PreferencePair(f"p{unit}", *sides, label=label, prompt_id=f"p{unit}", annotator=who))
    return pairs


def test_the_two_places_of_votes_say_the_same() -> None:
    """PandaLM's columns count in the data's order; the reader may have turned the pair."""
    talk = (Message("user", "?"),)
    turned = PreferencePair(
        talk, "two", "one", prompt_id="p", extra={"annotator1": 2, "annotator2": 2, "annotator3": 0,
                                                  "chosen_position": "second"}
    )  # fmt: skip
    columns = read_votes([turned])
    assert list(votes_of(turned)) == [("annotator1", 1), ("annotator2", 1), ("annotator3", 0)]  # for "two"
    assert columns.annotator_V.tolist() == ["annotator1", "annotator2", "annotator3"]
    sign = 1 if columns.text_N[columns.first_U[0]] == "two" else -1
    assert columns.value_V.tolist() == [sign, sign, 0]
    rows = read_votes(votes_on([[1, -1, 0]]))
    assert rows.value_V[0] == -rows.value_V[1] != rows.value_V[2] == 0
    assert rows.unit_V.tolist() == [0, 0, 0]


def test_which_side_is_first_does_not_hang_on_the_votes() -> None:
    """Otherwise the first vote would always be for it, and alpha would expect agreement."""
    votes = read_votes(votes_on([[1]] * 400))
    assert np.mean(votes.value_V) == pytest.approx(0, abs=0.15)
    again = read_votes(votes_on([[-1]] * 400))
    assert (votes.value_V == -again.value_V).all()


def test_a_second_vote_of_the_same_annotator_is_left_out() -> None:
    votes = read_votes([*votes_on([[1, 1]]), *votes_on([[1, 1]])])
    assert (votes.value_V.size, votes.n_again) == (2, 2)
    assert read_votes(votes_on([[1, 1]], named=False) * 2).value_V.size == 4  # nobody knows who voted


def test_agreement_and_a_careless_annotator() -> None:
    rng = np.random.default_rng(0)
    rate = [0.97, 0.97, 0.97, 0.5]
    values = [[truth if rng.random() < each else -truth for each in rate] for truth in rng.choice([-1, 1], 300)]
    result = audit_agreement(read_votes(votes_on(values)), rng=rng)
    alpha, who = result.findings
    assert alpha.verdict == "ok"
    assert (who.verdict, who.effect) == ("problem", 0.25)
    assert who.witnesses[0].startswith("w3: right in 0.")
    assert result.tables[0].rows[0][0] == "w3"
    assert result.values["annotators_suspicious"] == 1


def test_annotators_are_fine_only_where_a_coin_would_have_been_seen() -> None:
    def verdict(n_units: int) -> str:
        rng = np.random.default_rng(2)
        values = np.where(rng.random((n_units, 3)) < 0.8, 1, -1).tolist()
        return str(audit_agreement(read_votes(votes_on(values)), rng=rng).findings[1].verdict)

    assert [verdict(12), verdict(300)] == ["unclear", "ok"]


def test_agreement_by_chance_is_a_problem_and_one_prompt_unclear() -> None:
    rng = np.random.default_rng(1)
    chance = rng.choice([-1, 1], (200, 3)).tolist()
    assert audit_agreement(read_votes(votes_on(chance)), rng=rng).findings[0].verdict == "problem"
    one = [replace(pair, prompt_id="p", prompt="p") for pair in votes_on(chance)]
    found = audit_agreement(read_votes(one), rng=rng).findings[0]
    assert (found.verdict, np.isnan(found.low)) == ("unclear", True)
    assert audit_agreement(read_votes(votes_on([[1, 1]] * 50)), rng=rng).findings[0].verdict == "ok"
    same = audit_agreement(read_votes(votes_on([[0, 0]] * 5)), rng=rng).findings[0]
    assert (same.verdict, same.action[:19]) == ("unclear", "All votes are alike")


def test_unnamed_votes_have_no_annotator_to_judge() -> None:
    result = audit_agreement(read_votes(votes_on([[1, -1]] * 30, named=False)), rng=np.random.default_rng(0))
    assert result.findings[1].verdict == "not checked"
    assert "60 votes name no annotator" in result.findings[0].baseline
    copies = audit_agreement(read_votes(votes_on([[1, 1]] * 60, named=False)), rng=np.random.default_rng(0)).findings[0]
    assert (copies.verdict, copies.effect) == ("unclear", 1.0)
    assert copies.action.startswith("Name who voted")
    with pytest.raises(DataError, match="no two votes on the same pair"):
        audit_agreement(read_votes(votes_on([[1]] * 9)), rng=np.random.default_rng(0))


# ------------------------------------------------------------------------------------------------------------- circles
def ranked(n_prompts: int, n_responses: int, rate: float, seed: int = 0) -> list[PreferencePair]:
    """All comparisons of each prompt's responses, in order but for flips at random."""
    rng = np.random.default_rng(seed)
    pairs = []
    for prompt in range(n_prompts):
        for better in range(n_responses):
            for worse in range(better + 1, n_responses):
                sides = (f"r{better}", f"r{worse}") if rng.random() >= rate else (f"r{worse}", f"r{better}")
                pairs.append(PreferencePair(f"p{prompt}", *sides, prompt_id=f"p{prompt}"))
    return pairs


def test_one_circle_by_hand() -> None:
    pairs = [PreferencePair("p", *sides, prompt_id="p") for sides in (("a", "b"), ("b", "c"), ("c", "a"), ("a", "d"))]
    counts = count_cycles(read_votes(pairs))
    assert (counts.cyclic_G.tolist(), counts.complete_G.tolist()) == ([1], [1])
    assert (counts.in_cycle, counts.n_responses, counts.n_arrows) == (3, 4, 4)
    assert (counts.connected_G.tolist(), counts.strong_G.tolist()) == (
        [True],
        [False],
    )  # d beats nobody
    assert counts.witnesses == ((0, 1, 2),)
    result = audit_cycles(read_votes(pairs), rng=np.random.default_rng(0))
    assert result.findings[0].witnesses == ("“a” > “b” > “c” > “a”",)
    assert result.findings[0].verdict == "unclear"  # one prompt


def test_votes_that_cancel_are_no_arrow() -> None:
    pairs = [PreferencePair("p", *sides, prompt_id="p") for sides in (("a", "b"), ("b", "a"), ("b", "c"))]
    counts = count_cycles(read_votes(pairs))
    assert (counts.n_arrows, counts.n_split, counts.cyclic_G.sum()) == (1, 1, 0)
    with pytest.raises(DataError, match="no three responses to a prompt are all compared"):
        audit_cycles(read_votes(pairs), rng=np.random.default_rng(0))


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_circles_give_the_rate_of_wrong_labels(rate: float) -> None:
    counts = count_cycles(read_votes(ranked(120, 6, rate)))
    share = cyclic_share(counts, rng=np.random.default_rng(0))
    assert noise_of_cycles(share.low) <= rate <= noise_of_cycles(share.high)
    assert counts.complete_G.tolist() == [20] * 120


def test_verdicts_of_circles() -> None:
    rng = np.random.default_rng(0)
    found = {rate: audit_cycles(read_votes(ranked(60, 6, rate)), rng=rng).findings[0] for rate in (0.0, 0.3)}
    assert (found[0.0].verdict, found[0.0].effect) == ("ok", 0.0)
    assert 0 < found[0.0].high < 0.09
    assert found[0.3].verdict == "problem"
    assert noise_of_cycles(0.09) == pytest.approx(0.1)
    assert noise_of_cycles(0.3) == 0.5
    told = audit_cycles(read_votes(ranked(60, 6, 0.3)), rate=(0.1, 0.2), rng=rng).findings[0].baseline
    assert "would give 9.0% to 16.0%" in told
    baseline = audit_cycles(read_votes(ranked(40, 4, 0.0)), rng=np.random.default_rng(0)).findings[0].baseline
    assert "made from one score for each response cannot be circles" in baseline


def test_every_finding_is_explained(as_vectors: Any) -> None:
    pairs, _, chosen_PD = planted_pairs(0.25, n=60)
    as_vectors(chosen_PD)
    result = run(pairs)
    codes = {found.code for found in (*result.findings, *audit_agreement(read_votes(votes_on([[1, 1]] * 3)),
             rng=np.random.default_rng(0)).findings)}  # fmt: skip
    assert codes <= EXPLANATIONS.keys()
    for found in result.findings:
        assert found.title == EXPLANATIONS[found.code][0]
