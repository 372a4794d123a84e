"""`karat check` end to end on a tiny decoder: each route, what it finds, what it says it did not check."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import karat
from karat.data import write_pairs
from karat.errors import DataError, InputError
from rewards.tiny import save_tiny
from train.toy import toy_pairs


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KARAT_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny(tmp_path_factory.mktemp("lm")))


@pytest.fixture(scope="module")
def pairs_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    write_pairs(path, toy_pairs(60))
    return str(path)


def codes(result: karat.Result) -> dict[str, str]:
    return {finding.code: finding.verdict for finding in result.findings}


def test_builtin_world_with_a_length_reward_finds_what_is_planted() -> None:
    """A reward that pays for length alone: the lean is found, and so is that it carries no gold."""
    result = karat.check(reward="builtin:longer")
    notes = [table.note for table in result.tables if "rows read from" in table.note]
    assert [note for note in notes if "builtin:checkable, held-out prompts" in note] == notes != []
    verdicts = codes(result)
    assert verdicts["RM202"] == "problem"
    assert verdicts["RM201"] == "problem"
    assert result.values["world"]["test_pairs"] == result.values["n_pairs"]
    assert any(table.name == "planted" for table in result.tables)
    stressed = result.values["stress"]
    assert (stressed["n"][-1], len(stressed["gold"])) == (32, 32)
    assert verdicts["ST302"] == "problem"  # choosing by length buys no gold
    assert not any("nan" in finding.baseline for finding in result.findings)
    assert {finding.gold for finding in result.findings if finding.code == "ST302"} == {"program check"}


def test_the_audits_are_part_of_the_check() -> None:
    """Both audits' findings are there, none of them "not checked": what would enable it are the audits' own options."""
    result = karat.check(reward="builtin:longer")
    verdicts = codes(result)
    audits = {code: verdict for code, verdict in verdicts.items() if code[:2] in ("DA", "RW")}
    assert {"DA101", "DA201", "RW101", "RW107", "RW203", "RW215"} <= set(audits)
    assert "not checked" not in audits.values()
    assert audits["RW215"] == "problem"  # padding earns score
    world = result.values["world"]
    assert result.values["audit_data"]["n_pairs"] == world["train_pairs"] + world["test_pairs"]
    assert result.values["audit_reward"]["n_pairs"] == world["test_pairs"]
    names = [table.name for table in result.tables]
    assert "probes" in names
    assert names.count("account") == 1  # the pool's


def test_builtin_world_with_a_blind_reward_raises_no_alarm_for_length() -> None:
    assert codes(karat.check(reward="builtin:random"))["RM202"] != "problem"


def test_builtin_world_trains_a_reward_and_keeps_it(lm: str, tmp_path: Path) -> None:
    result = karat.check(out=tmp_path, model=lm)
    stressed = {f"ST30{number}" for number in range(1, 7)}
    assert set(codes(result)) >= {"RM101", "RM102", "RM103", "RM104", "RM105", "RM201", "RM202", "SC101"} | stressed
    assert (tmp_path / "reward" / "karat.json").exists()
    assert result.values["steps"] == len(result.values["losses"])
    assert "held-out pairs of built-in world" in result.lead


def test_a_folder_that_karat_did_not_make_is_never_removed(lm: str, tmp_path: Path) -> None:
    (tmp_path / "reward").mkdir()
    (tmp_path / "reward" / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="holds no karat run"):
        karat.check(out=tmp_path, model=lm)
    assert (tmp_path / "reward" / "thesis.tex").read_text() == "mine"


def test_users_pairs_train_within_the_time_and_say_what_was_not_checked(lm: str, pairs_file: str) -> None:
    result = karat.check(data=pairs_file, model=lm, minutes=1.0)
    assert codes(result)["RM201"] == "not checked"
    assert result.values["n_pairs"] + result.values["train_pairs"] == 60


def test_given_reward_is_judged_on_all_pairs(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs.jsonl", toy_pairs(300, per_prompt=1))
    result = karat.check(data=str(tmp_path / "pairs.jsonl"), reward="builtin:longer")
    assert result.values["n_pairs"] == 300
    assert codes(result)["RM101"] == "problem"  # it is the content-blind rule


def test_named_gold_of_users_pairs(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"p{i}", "chosen": "x" * (1 + i % 7), "rejected": "yyyy", "t_chosen": i % 2, "t_rejected": 0.5}
        for i in range(60)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = karat.check(data=str(path), reward="builtin:longer", gold="t")
    finding = next(finding for finding in result.findings if finding.code == "RM201")
    assert (finding.gold, finding.n_used) == ("t", 60)
    with pytest.raises(DataError, match="gold 'nothing'"):
        karat.check(data=str(path), reward="builtin:longer", gold="nothing")


def pool_file(folder: Path) -> str:
    rows = [
        {"prompt": f"q{i // 16}", "response": "x" * (i * 7 % 23 + 1), "truth": float(-(i * 7 % 23)) + i % 5}
        for i in range(640)
    ]
    path = folder / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_reward_on_a_pool_is_put_to_stress(tmp_path: Path) -> None:
    result = karat.check(pool=pool_file(tmp_path), reward="builtin:longer", gold="truth")
    found = codes(result)
    assert result.command == "check"
    assert found["ST302"] == "problem"  # longer is worse here
    assert found["SC101"] == "ok"
    assert "reward_under_check" not in result.lead
    assert result.values["gold_gain"][-1] < 0 < result.values["proxy_gain"][-1]


def test_pairs_and_pool_in_one_report(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs.jsonl", toy_pairs(60, per_prompt=1))
    result = karat.check(
        data=str(tmp_path / "pairs.jsonl"), reward="builtin:longer", pool=pool_file(tmp_path), gold="truth"
    )
    assert {"RM101", "ST301", "ST302"} <= set(codes(result))
    assert codes(result)["RM201"] == "not checked"  # the gold is the pool's alone
    assert result.values["n_pairs"] == 60
    assert result.values["stress"]["n"][-1] == 16


def test_pool_alone_and_foreign_gold_are_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match="no reward to put to test"):
        karat.check(pool="pool.jsonl")
    with pytest.raises(InputError, match="gold is named 'gold'"):
        karat.check(gold="truth")
