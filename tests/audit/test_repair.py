"""Repair: what is changed and why, what is written, whether it is worth it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.planted_pairs import planted_rows, spelled  # noqa: F401
from karat.audit.data.config import AuditDataConfig
from karat.audit.data.label_noise import audit_labels
from karat.audit.data.repair import changed_pair, places_of, repair
from karat.audit.data.repair_findings import EXPLANATIONS
from karat.audit.data.repair_rules import DOUBTED, EXACT, NEAR, SUSPECT, decide, held_out_groups
from karat.audit.data.structure import StructureFlags, audit_structure
from karat.audit.data.table import read_table
from karat.data import read_pairs
from karat.errors import DataError, InputError
from karat.types import PreferencePair, Result

ALL = ("dedupe", "drop", "flip", "soften", "resplit")


def no_flags(n_pairs: int, **marked: Any) -> StructureFlags:
    own = np.arange(n_pairs)
    plain = {
        name: own.copy() if name in ("near_group_P", "prompt_group_P") else np.zeros(n_pairs, bool)
        for name in StructureFlags.__slots__
    }
    plain["exact_of_P"] = np.full(n_pairs, -1)
    for name, places in marked.items():
        for place, value in places.items():
            plain[name][place] = value
    return StructureFlags(**plain)


def run(rows: Any, out: Path, **options: Any) -> Result:
    """Structure, labels and repair, as `karat audit data --fix` does."""
    config = AuditDataConfig(**({"repeats": 1, "folds": 3, "workers": 1, "resamples": 200} | options))
    table, sample = read_table((rows,), config.reading(), sample_pairs=config.embed_pairs)
    _, flags = audit_structure(table, config=config)
    _, noise = audit_labels(sample, out=None, config=config, rng=np.random.default_rng(0))
    return repair(rows, table, flags, noise, out=out, config=config, rng=np.random.default_rng(1))


def log_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "changes.jsonl").read_text().splitlines()]


# ---------------------------------------------------------------------------------------------------------------- rules
def test_one_change_each_the_first_that_applies() -> None:
    posterior = np.array([0.99, 0.99, 0.7, 0.2, 0.001, math.nan])
    flags = no_flags(6, exact_of_P={0: 3}, empty_P={5: True})
    found = decide(np.ones(6), posterior, flags, steps=ALL, flip_above=0.9)
    assert found.what_P.tolist() == ["dropped", "flipped", "dropped", "softened", "", "dropped"]
    assert found.why_P.tolist() == [EXACT, SUSPECT, SUSPECT, DOUBTED, "", "a side without text"]
    assert found.like_P.tolist() == [3, -1, -1, -1, -1, -1]
    assert found.label_P[[1, 3, 4]].tolist() == pytest.approx([0.0, 0.8, 1.0])


def test_softening_mixes_a_soft_label_with_its_opposite() -> None:
    # 0.8 flipped with probability 0.25: 0.8 * 0.75 + 0.2 * 0.25
    found = decide(np.array([0.8]), np.array([0.25]), None, steps=("soften",), flip_above=0.9)
    assert found.label_P[0] == pytest.approx(0.65)


def test_only_named_steps_act() -> None:
    posterior, flags = np.full(3, 0.95), no_flags(3, near_P={1: True}, near_group_P={1: 0})
    assert decide(np.ones(3), posterior, flags, steps=("dedupe",), flip_above=0.9).why_P.tolist() == ["", NEAR, ""]
    assert decide(np.ones(3), posterior, flags, steps=("resplit",), flip_above=0.9).is_kept.all()
    assert decide(np.ones(3), posterior, flags, steps=("flip",), flip_above=0.96).count("flipped") == 0


def test_a_turned_pair_keeps_no_strength_and_swaps_its_ratings() -> None:
    pair = PreferencePair("p", "a", "b", strength=2.0, chosen_attributes={"x": 1.0}, prompt_id="p")
    turned = changed_pair(pair, 0.0)
    assert (turned.chosen, turned.rejected, turned.label) == ("b", "a", 1.0)
    assert math.isnan(turned.strength)
    assert turned.rejected_attributes == {"x": 1.0}
    assert changed_pair(pair, 0.3).label == 0.7
    assert changed_pair(pair, 1.0) is pair


def test_near_prompts_stay_on_one_side_of_the_split() -> None:
    rows = planted_rows("p", 40, 0.0, 0)
    table, _ = read_table((rows,), AuditDataConfig().reading(), sample_pairs=0)
    group_P = np.arange(40) // 2 * 2
    is_test_P = held_out_groups(table, group_P, np.ones(40, bool), share=0.2, seed=0)
    assert is_test_P.sum() == 8
    assert (is_test_P[::2] == is_test_P[1::2]).all()
    with pytest.raises(DataError, match="share one"):
        held_out_groups(table, np.zeros(40, int), np.ones(40, bool), share=0.2, seed=0)


# ---------------------------------------------------------------------------------------------------- files and numbers
@pytest.mark.usefixtures("spelled")
def test_what_is_written_is_what_the_log_says(tmp_path: Path) -> None:
    rows = planted_rows("p", 120, 0.1, 1)
    rows += [dict(rows[3]), dict(rows[3]), {"prompt": "p e", "chosen": "0 0 0 0 0 0", "rejected": ""}]
    result = run(rows, tmp_path, fix="all", fix_test=0.25)
    log = log_of(tmp_path)
    parts = [read_pairs(str(tmp_path / name)).pairs for name in ("train.jsonl", "test.jsonl")]
    values = result.values
    assert sum(map(len, parts)) == values["repair_kept"] == len(rows) - values["repair_dropped"]
    assert not {pair.prompt for pair in parts[0]} & {pair.prompt for pair in parts[1]}
    assert {name: sum(each["what"] == name for each in log) for name in ("dropped", "flipped", "softened")} == {
        name: values[f"repair_{name}"] for name in ("dropped", "flipped", "softened")
    }
    repeats = [each for each in log if each["why"] == EXACT]
    assert [(each["row"], each["like_row"], each["after"]) for each in repeats] == [(120, 3, None), (121, 3, None)]
    assert repeats[0]["before"]["chosen"] == rows[3]["chosen"]
    assert [each["row"] for each in log if each["why"] == "a side without text"] == [122]
    soft = next(each for each in log if each["what"] == "softened")
    assert soft["after"]["label"] == pytest.approx(1 - soft["posterior"])
    assert {str(tmp_path / name) for name in ("train.jsonl", "test.jsonl", "changes.jsonl")} == set(result.files)
    assert [each.code for each in result.findings] == ["DA601", "DA602"] == list(EXPLANATIONS)


@pytest.mark.usefixtures("spelled")
def test_a_true_judge_repairs_flips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 25 % of labels flipped, repair by a reward that knows the truth raises held-out accuracy."""
    monkeypatch.setattr("karat.audit.data.label_noise._reward_margins", _true_margins)
    result = run(planted_rows("p", 400, 0.3, 2), tmp_path, fix="drop,flip", reward="true", flip_above=0.7)
    assert result.values["repair_accuracy_cleaned"] > result.values["repair_accuracy_raw"]
    assert result.values["repair_gain_high"] > 0
    turned = [each for each in log_of(tmp_path) if each["what"] == "flipped"]
    assert turned
    assert all(each["before"]["chosen"] == each["after"]["rejected"] for each in turned)
    assert all(float(each["after"]["chosen"].split()[0]) > 0 for each in turned)


def _true_margins(pairs: Any, spec: str, reward: Any) -> tuple[np.ndarray, dict[int, str], str]:
    gap = [float(pair.chosen.split()[0]) - float(pair.rejected.split()[0]) for pair in pairs]
    return 8 * np.array(gap)[:, None], {}, spec


@pytest.mark.usefixtures("spelled")
def test_resplit_alone_changes_no_pair(tmp_path: Path) -> None:
    result = run(planted_rows("p", 30, 0.0, 3), tmp_path, fix="resplit")
    better, changed = result.findings
    assert (better.verdict, better.action) == ("not checked", "resplit alone changes no pair")
    assert changed.effect == 0
    assert log_of(tmp_path) == []


@pytest.mark.usefixtures("spelled")
def test_a_copy_that_differs_in_nothing_is_not_said_to_gain_or_lose(tmp_path: Path) -> None:
    """Folds of its own would find suspects that the copy does not have."""
    result = run(planted_rows("p", 200, 0.2, 4), tmp_path, fix="flip", flip_above=1.0)
    better, changed = result.findings
    assert changed.effect == 0
    assert (better.verdict, better.action) == ("not checked", "the steps change no pair: the copy is the data")


@pytest.mark.usefixtures("spelled")
def test_one_prompt_is_repaired_and_not_measured(tmp_path: Path) -> None:
    rows = [*planted_rows("p", 6, 0.0, 4, per_prompt=6)]
    table, _ = read_table((rows,), AuditDataConfig().reading(), sample_pairs=0)
    config = AuditDataConfig(fix="all", workers=1)
    _, flags = audit_structure(table, config=config)
    result = repair(rows, table, flags, None, out=tmp_path, config=config, rng=np.random.default_rng(0))
    assert result.findings[0].verdict == "not checked"
    assert "Not split" in result.findings[1].action
    assert len(read_pairs(str(tmp_path / "cleaned.jsonl")).pairs) == 6


def test_refusals(tmp_path: Path) -> None:
    rows = planted_rows("p", 4, 0.0, 5)
    table, _ = read_table((rows,), AuditDataConfig().reading(), sample_pairs=0)
    config = AuditDataConfig(fix="drop")
    everything = no_flags(4, empty_P=dict.fromkeys(range(4), True))
    with pytest.raises(DataError, match="would drop all 4 pairs"):
        repair(rows, table, everything, None, out=tmp_path, config=config, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="gives them once"):
        repair(iter(rows), table, None, None, out=tmp_path, config=config, rng=np.random.default_rng(0))
    with pytest.raises(DataError, match="the source changed"):
        repair(rows[1:], table, no_flags(4), None, out=tmp_path, config=config, rng=np.random.default_rng(0))


def test_sampled_pairs_are_found_again_among_equal_ones() -> None:
    rows = planted_rows("p", 10, 0.0, 6)
    rows.append(dict(rows[2]))
    table, sample = read_table((rows,), AuditDataConfig().reading(), sample_pairs=100)
    assert places_of(table, sample).tolist() == list(range(11))
    with pytest.raises(DataError, match="not in the table"):
        places_of(table, (PreferencePair("p", "x", "y", prompt_id="p", row=0),))
