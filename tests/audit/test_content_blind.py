"""What can be told without reading: derived numbers, planted tastes, edges, messages."""

from __future__ import annotations

import math

import numpy as np
import pytest

import karat
from karat.audit.data.config import AuditDataConfig
from karat.audit.data.content_blind import Decided, audit_content_blind, draw_prompts, measure
from karat.audit.data.content_findings import EXPLANATIONS, findings_of
from karat.audit.data.content_models import BOOSTED, LOGISTIC, out_of_fold
from karat.audit.data.surface import FAMILIES, RULES, block_differences, feature_differences
from karat.audit.data.table import PairTable, read_table
from karat.data.text_features import FEATURES
from karat.errors import InputError
from karat.selftest import audit_content
from karat.types import Result

CONFIG = AuditDataConfig(resamples=100)


def table_of(rows: list[dict[str, object]]) -> PairTable:
    return read_table((rows,), CONFIG.reading(), sample_pairs=0)[0]


def audited(rows: list[dict[str, object]]) -> Result:
    return audit_content_blind(table_of(rows), config=CONFIG, rng=np.random.default_rng(0))


def pair(n: int, chosen: str, rejected: str, **rest: object) -> dict[str, object]:
    return {"prompt": f"question {n}", "chosen": chosen, "rejected": rejected, **rest}


def verdicts(result: Result) -> dict[str, str]:
    return {finding.code: finding.verdict for finding in result.findings}


# ------------------------------------------------------------------------------------------------------------ features
def test_differences_by_hand() -> None:
    found = block_differences(["one two **b**\n- x", ""], ["one", "two"])
    by_name = dict(zip(RULES, found.T, strict=True))
    assert by_name["length, words"].tolist() == pytest.approx([math.log(6 / 2), math.log(1 / 2)])
    assert by_name["markdown marks"].tolist() == pytest.approx([math.log(3), 0])  # one list item, one bold span
    assert by_name["distinct words, share"].tolist() == [0, 0]  # an empty text has none: no difference
    assert set(by_name) == {*FEATURES, "markdown marks"}
    assert sorted(name for names in FAMILIES.values() for name in names) == sorted(RULES)


def test_blocks_and_processes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [pair(n, "word " * (n % 7), "- a\n- b " * (n % 3) + "x") for n in range(40)]
    table = table_of([row for row in rows if str(row["chosen"]).strip()])
    whole = feature_differences(table.chosen, table.rejected)
    monkeypatch.setattr("karat.audit.data.surface.PAIRS_AT_ONCE", 7)
    monkeypatch.setattr("karat.audit.data.surface.PARALLEL_FROM", 1)
    assert np.array_equal(feature_differences(table.chosen, table.rejected, workers=2), whole)


# ------------------------------------------------------------------------------------------------------------ models
@pytest.mark.parametrize("kind", [LOGISTIC, BOOSTED])
def test_swapping_the_sides_turns_the_margin(kind: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, len(RULES)))
    x *= np.where(rng.random(120) < 0.8, np.sign(x[:, 1]), 1)[:, None]
    found = out_of_fold(kind, x, np.ones(120), np.arange(120) % 2)
    assert found.models[0](-x) == pytest.approx(-found.models[0](x))
    assert found.margin_P[::2] == pytest.approx(found.models[0](x[::2]))  # of the model without that fold
    assert np.mean(found.margin_P > 0) > 0.6


def test_soft_labels_count_as_parts_of_a_pair() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 3))
    half = out_of_fold(BOOSTED, x, np.full(200, 0.5001), np.arange(200) % 2).margin_P
    assert np.abs(half).max() < 0.01  # nothing is preferred, so nothing is learned


def test_whole_prompts_are_drawn_and_no_more_than_asked() -> None:
    prompt = np.repeat(np.arange(30), 3)
    drawn = draw_prompts(prompt, 20, np.random.default_rng(0))
    assert drawn.size == 18
    assert set(np.bincount(prompt[drawn])) == {0, 3}
    assert draw_prompts(np.zeros(9, np.int64), 4, np.random.default_rng(0)).size == 9  # one prompt at the least
    giant = np.array([0] * 50 + list(range(1, 31)))
    drawn_of = [np.unique(giant[draw_prompts(giant, 30, np.random.default_rng(seed))]).size for seed in range(50)]
    assert drawn_of == [30] * 50  # the prompt that does not fit does not keep others out


# ------------------------------------------------------------------------------------------------------------ findings
def test_a_planted_taste_for_lists_is_named_with_its_share() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for n in range(150):
        texts = [f"alpha beta {n}", f"- alpha beta {n}"]
        texts = texts if rng.random() < 0.1 else texts[::-1]
        rows.append(pair(n, *texts))
    result = audited(rows)
    assert verdicts(result) == {"DA201": "problem", "DA202": "problem", "DA203": "not checked", "DA204": "not checked"}
    single = result.findings[1]
    n_lists = sum(str(row["chosen"]).startswith("-") for row in rows)
    assert single.effect == n_lists / 150
    assert single.low < 0.9 < single.high
    assert "more list items" in result.values["content_called"]
    assert "more markdown marks" in result.values["content_called"]
    assert any("chosen: - alpha" in witness for witness in single.witnesses)
    assert result.values["content_accuracy"] == pytest.approx(n_lists / 150)
    assert result.values["content_told_share"] == pytest.approx(2 * n_lists / 150 - 1)
    assert result.tables[0].rows[0][2] == pytest.approx(n_lists / 150)


def test_position_and_sources_are_judged() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for n in range(160):
        left, right = f"some {'words ' * int(rng.integers(1, 9))}{n}", f"some {'words ' * int(rng.integers(1, 9))}{n} x"
        longer_first = len(left) > len(right)
        first = longer_first if n % 2 else bool(rng.integers(2))
        rows.append(
            {
                "prompt": f"q {n}", "response_1": left, "response_2": right, "source": "ab"[n % 2],
                "preference_strength": -1 if first else 1,
            }
        )  # fmt: skip
    n_sources = audit_content_blind(_with_sources(rows), config=CONFIG, rng=np.random.default_rng(0))
    table = next(each for each in n_sources.tables if each.name == "content_sources")
    by_name = {row[0]: row for row in table.rows}
    assert by_name["b"][2] > 0.9 > by_name["a"][2]
    assert verdicts(n_sources)["DA204"] == "problem"


def _with_sources(rows: list[dict[str, object]]) -> PairTable:
    fixed = [
        pair(
            n, *((row["response_1"], row["response_2"]) if row["preference_strength"] == -1 else
                 (row["response_2"], row["response_1"])), source=row["source"],
        )
        for n, row in enumerate(rows)
    ]  # fmt: skip
    return table_of(fixed)


def test_the_place_of_the_preferred_response() -> None:
    def placed(share: float, n: int) -> str:
        first = (np.arange(n) < share * n).astype(float)
        pairs = Decided(
            np.zeros((n, len(RULES)), np.float32), np.ones(n), np.arange(n), first, np.zeros(n, np.int64), ("",)
        )
        found = measure(pairs, config=CONFIG, rng=np.random.default_rng(0), models=())
        return findings_of(found, {})[2].verdict

    assert [placed(0.7, 400), placed(0.5, 2000), placed(0.5, 100), placed(1.0, 50)] == [
        "problem", "ok", "unclear", "problem",
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ edges
def test_one_pair_and_one_prompt_and_identical_prompts_give_no_number() -> None:
    one = audited([pair(1, "a b c", "d")])
    assert verdicts(one) == dict.fromkeys(EXPLANATIONS, "not checked")
    assert "two prompts" in one.findings[1].action
    same = audited([{"prompt": "same", "chosen": f"long answer {n}", "rejected": f"x {n}"} for n in range(1000)])
    assert verdicts(same)["DA201"] == "not checked"
    assert "there are 1" in same.findings[0].action
    assert verdicts(same)["DA202"] == "not checked"


def test_copies_of_pairs_tell_nothing_of_each_other() -> None:
    """100 pairs labelled by lot, each five times under prompts of their own: trees that saw a copy told nearly all."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(100):
        texts = [" ".join(f"w{k}" for k in rng.integers(0, 999, int(rng.integers(20, 60)))) for _ in range(3)]
        rows += [{"prompt": f"{texts[0]} {copy}", "chosen": texts[1], "rejected": texts[2]} for copy in range(5)]
    result = audited(rows)
    assert verdicts(result)["DA201"] != "problem"
    assert result.values["content_accuracy_low"] < 0.5
    assert "of 100 prompts" in result.tables[0].note


def test_token_ids_have_no_surface() -> None:
    rows: list[dict[str, object]] = [
        {"prompt_id": str(n), "chosen": {"ids": [1, n, 3]}, "rejected": {"ids": [1, n]}, "label": 1.0, "prompt": ""}
        for n in range(30)
    ]
    with pytest.raises(InputError, match="30 of 30 pairs are token ids"):
        audited(rows)


def test_too_few_prompts_to_fit_models_to_are_not_checked() -> None:
    table = table_of([pair(n, "a b c", "d" * (n % 3)) for n in range(60)])
    config = AuditDataConfig(resamples=100, model_pairs=5)
    result = audit_content_blind(table, config=config, rng=np.random.default_rng(0))
    assert verdicts(result)["DA201"] == "not checked"
    assert "raise it" in result.findings[0].action


def test_sides_that_differ_in_nothing_are_told_by_nothing() -> None:
    result = audited([pair(n, "a b", "b a") for n in range(60)])
    assert verdicts(result)["DA202"] == "not checked"
    assert result.values["content_accuracy"] == 0.5
    assert verdicts(result)["DA201"] != "problem"


def test_ties_alone_are_refused_and_some_are_counted() -> None:
    tie = {"label": 0.5}
    rows = [pair(n, f"a {n}", "b", **tie) for n in range(3)]
    with pytest.raises(InputError, match="all 3 pairs are labelled as ties"):
        audit_content_blind(_labelled(rows, 0.5), config=CONFIG, rng=np.random.default_rng(0))


def _labelled(rows: list[dict[str, object]], label: float) -> PairTable:
    table = table_of([{key: value for key, value in row.items() if key != "label"} for row in rows])
    table.label_P[:] = label
    return table


def test_the_verb_runs_the_part_and_names_what_it_did_not_check() -> None:
    rows = [pair(n, f"a longer answer {n}", f"no {n}") for n in range(30)]
    result = karat.audit_data(rows, parts="content", resamples=100)
    assert verdicts(result)["DA201"] == "problem"
    assert result.values["n_pairs"] == 30


def test_planted_rows_are_kept() -> None:
    rows = audit_content.content_rows(6, 1)
    assert [row.code for row in rows] == list(audit_content.TITLES)
    assert all(row.is_kept for row in rows), [row for row in rows if not row.is_kept]
