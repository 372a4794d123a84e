"""Repeats, contradictions, leaks and benchmarks in preference data: planted, found, and nothing else found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from karat.audit.data.config import AuditDataConfig
from karat.audit.data.structure import StructureFlags, audit_structure
from karat.audit.data.structure_findings import EXPLANATIONS
from karat.audit.data.table import read_table
from karat.errors import DataError
from karat.types import Finding, Result

VOCABULARY = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "nrst"]


def words(n: int, seed: int) -> list[str]:
    return list(np.random.default_rng(seed).choice(VOCABULARY, n))


def pair(seed: int, **columns: Any) -> dict[str, Any]:
    """A pair of random texts: 20, 30 and 30 words."""
    text = " ".join(words(80, seed)).split()
    sides = {"prompt": text[:20], "chosen": text[20:50], "rejected": text[50:]}
    return {name: " ".join(part) + "." for name, part in sides.items()} | columns


def audited(rows: list[dict[str, Any]], *more: list[dict[str, Any]], **options: Any) -> tuple[Result, StructureFlags]:
    config = AuditDataConfig(workers=1, **options)
    return audit_structure(read_table((rows, *more), config.reading(), sample_pairs=0)[0], config=config)


def of(result: Result, code: str) -> Finding:
    return next(each for each in result.findings if each.code == code)


def edited(text: str, place: int = 3) -> str:
    changed = text.split()
    changed[place] = "changed"
    return " ".join(changed)


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return str(path)


def test_clean_pairs_have_no_problem_and_every_code_is_explained() -> None:
    result, flags = audited([pair(seed) for seed in range(60)])
    assert {each.code for each in result.findings} == EXPLANATIONS.keys()
    assert all(each.verdict in ("ok", "not checked") for each in result.findings)
    assert [each.code for each in result.findings if each.verdict == "not checked"] == [
        "DA111",
        "DA112",
        "DA121",
        "DA131",
    ]
    assert (flags.exact_of_P == -1).all()
    assert flags.near_group_P.tolist() == flags.prompt_group_P.tolist() == list(range(60))


def test_exact_repetitions_are_found_but_for_case_and_white_space() -> None:
    rows = [pair(seed) for seed in range(40)]
    loud = {name: text.upper().replace(" ", "  ") for name, text in rows[2].items()}
    result, flags = audited([*rows, rows[5], loud, rows[5]])
    assert flags.exact_of_P.tolist() == [-1] * 40 + [5, 2, 5]
    found = of(result, "DA101")
    assert (found.verdict, found.effect) == ("problem", pytest.approx(3 / 43))
    assert found.low < found.effect < found.high
    assert found.witnesses[0].startswith("row 40 repeats row 5: ")
    assert of(result, "DA102").verdict == of(result, "DA103").verdict == "ok"


def test_near_repetitions_are_found_with_their_group() -> None:
    rows = [pair(seed) for seed in range(40)]
    near = {name: edited(text, 6) for name, text in rows[7].items()}  # 27 of 31 and 17 of 21 shingles are shared
    far = {**rows[9], "rejected": pair(99)["rejected"]}
    result, flags = audited([*rows, near, far], near=0.8)
    assert flags.near_group_P.tolist() == [*range(40), 7, 41]
    assert of(result, "DA102").effect == pytest.approx(1 / 42)
    assert (audited([*rows, near, far], near=0.95)[1].near_group_P == np.arange(42)).all()
    assert "99.2%" in of(result, "DA102").baseline


def test_opposite_preferences_are_found_on_both_pairs() -> None:
    rows = [pair(seed) for seed in range(30)]
    turned = {**rows[4], "chosen": rows[4]["rejected"], "rejected": rows[4]["chosen"]}
    result, flags = audited([*rows, turned])
    assert np.flatnonzero(flags.opposite_P).tolist() == [4, 30]
    found = of(result, "DA103")
    assert (found.verdict, found.effect) == ("problem", pytest.approx(2 / 31))
    assert found.witnesses[0].startswith("row 4 and row 30: ")
    assert of(result, "DA101").effect == of(result, "DA102").effect == 0


def test_a_near_repetition_with_exchanged_sides_is_named_beside_them() -> None:
    rows = [pair(seed) for seed in range(30)]
    turned = {"prompt": rows[4]["prompt"], "chosen": edited(rows[4]["rejected"]), "rejected": rows[4]["chosen"]}
    result, _ = audited([*rows, turned])
    assert "1 near repetitions with the sides exchanged" in of(result, "DA103").baseline
    assert of(result, "DA103").verdict == "ok"


def test_other_annotators_of_a_pair_neither_repeat_nor_contradict_it() -> None:
    rows = [pair(seed, annotator="ann") for seed in range(30)]
    turned = {**rows[1], "chosen": rows[1]["rejected"], "rejected": rows[1]["chosen"], "annotator": "bob"}
    result, flags = audited([*rows, {**rows[0], "annotator": "bob"}, turned, rows[2]])
    assert np.flatnonzero(flags.exact_of_P >= 0).tolist() == [32]
    assert not flags.opposite_P.any()
    assert "2 more between different annotators" in of(result, "DA103").baseline


def test_a_tie_is_no_contradiction_and_repeats_itself_exchanged() -> None:
    rows = [{**pair(seed), "label": 0.5, "prompt_id": str(seed)} for seed in range(20)]
    turned = {**rows[0], "chosen": rows[0]["rejected"], "rejected": rows[0]["chosen"]}
    preferred = {**rows[1], "label": 1.0}
    _, flags = audited([*rows, turned, preferred])
    assert flags.exact_of_P.tolist() == [-1] * 20 + [0, -1]
    assert not flags.opposite_P.any()


def test_sides_that_are_no_comparison_are_counted_with_what_the_reader_dropped() -> None:
    rows = [pair(seed) for seed in range(20)]
    rows += [
        {"prompt": "q", "chosen": "same", "rejected": "same"},
        {"prompt": "q", "chosen": "a b", "rejected": "a b \n"},
    ]
    rows += [{"prompt": "q", "chosen": " ", "rejected": "text"}, {"prompt": "q", "chosen": "", "rejected": ""}]
    rows += [{"prompt": "q", "chosen": 3, "rejected": "text"}]
    result, flags = audited(rows)
    assert of(result, "DA104").effect == pytest.approx(2 / 25)
    assert of(result, "DA104").baseline == (
        "2 of 25: 1 byte by byte (dropped), 1 but for white space at the end (kept)"
    )
    assert of(result, "DA105").effect == pytest.approx(2 / 25)
    assert of(result, "DA105").verdict == "problem"
    assert of(result, "DA107").effect == pytest.approx(1 / 25)
    assert np.flatnonzero(flags.identical_P).tolist() == [20]
    assert np.flatnonzero(flags.empty_P).tolist() == [21]


def test_sides_that_differ_in_case_or_layout_alone_may_be_what_is_judged() -> None:
    rows = [pair(seed) for seed in range(20)]
    code = {"prompt": "q", "chosen": "def f(x):\n    return x", "rejected": "def f(x):\nreturn x"}
    result, flags = audited([*rows, code, {"prompt": "r", "chosen": "YES", "rejected": "yes"}])
    found = of(result, "DA104")
    assert (found.verdict, found.effect, found.witnesses[0]) == ("unclear", 0.0, "row 20: q")
    assert found.baseline == "0 of 22; 2 more but for case or other white space (kept)"
    assert not flags.identical_P.any()  # nothing that --fix drop would take away


def test_prompts_that_differ_are_counted_from_the_account() -> None:
    chats = [f"\n\nHuman: q{number}\n\nAssistant: " for number in range(20)]
    rows = [{"chosen": chat + "yes", "rejected": chat + "no"} for chat in chats]
    rows.append({"chosen": chats[0] + "yes", "rejected": chats[1] + "no"})
    result, _ = audited(rows)
    assert (of(result, "DA106").effect, of(result, "DA106").verdict) == (pytest.approx(1 / 21), "problem")
    assert of(result, "DA106").witnesses == ("row 20 (dropped)",)


def test_held_out_prompts_of_a_file_are_found_in_the_data(tmp_path: Path) -> None:
    rows = [pair(seed) for seed in range(30)]
    held = [pair(100), {**pair(101), "prompt": "Human: " + rows[3]["prompt"]}]
    held.append({**pair(102), "prompt": edited(rows[8]["prompt"], 19)})
    result, flags = audited(rows, test=write(tmp_path / "test.jsonl", held))
    found = of(result, "DA111")
    assert (found.verdict, found.effect) == ("problem", pytest.approx(2 / 3))
    assert "test.jsonl: 1 equal, 1 near, of 3 prompts" in found.baseline
    assert np.flatnonzero(flags.leaked_P).tolist() == [3, 8]
    clean, _ = audited(rows, test=write(tmp_path / "test.jsonl", [pair(100)]))
    assert of(clean, "DA111").verdict == "ok"


@pytest.mark.parametrize("name", ["split", "source"])
def test_a_column_may_name_the_held_out_split(name: str) -> None:
    rows = [pair(seed, **{name: "train" if seed < 20 else "test"}) for seed in range(30)]
    rows[25]["prompt"] = rows[2]["prompt"]
    result, flags = audited(rows)
    assert of(result, "DA111").effect == pytest.approx(1 / 10)
    assert np.flatnonzero(flags.leaked_P).tolist() == [2]


def test_sources_that_share_prompts() -> None:
    first, second = [pair(seed) for seed in range(30)], [pair(seed) for seed in range(100, 120)]
    second[4]["prompt"] = first[7]["prompt"]
    result, _ = audited(first, second)
    assert (of(result, "DA112").verdict, of(result, "DA112").effect) == ("problem", pytest.approx(1 / 20))


def test_near_prompts_are_one_group_for_a_split() -> None:
    rows = [pair(seed) for seed in range(30)]
    rows[12]["prompt"] = edited(rows[5]["prompt"], 19)
    rows[20]["prompt"] = rows[5]["prompt"]
    result, flags = audited(rows)
    assert flags.prompt_group_P[[5, 12, 20]].tolist() == [5, 5, 5]
    assert of(result, "DA113").effect == pytest.approx(1 / 29)


def test_pairs_without_a_prompt_share_none() -> None:
    rows = [{**pair(seed), "prompt": ""} for seed in range(20)]
    result, flags = audited([*rows, rows[3]])
    assert of(result, "DA113").verdict == "not checked"
    assert flags.prompt_group_P.tolist() == [*range(20), 3]
    assert flags.exact_of_P[20] == 3


def test_benchmark_rows_are_found_as_prompts_and_within_texts(tmp_path: Path) -> None:
    rows = [pair(seed) for seed in range(40)]
    question = " ".join(words(16, 500))
    rows[11]["rejected"] = f"{rows[11]['rejected']} {question} {rows[11]['chosen']}"
    rows[12]["prompt"] = "what is two and two?"
    rows[13]["chosen"] += " " + " ".join(words(9, 501))
    benchmark = [
        {"question": question},
        {"question": "What is two and two?"},
        {"question": edited(rows[14]["prompt"], 19)},
        {"question": " ".join(words(9, 501))},
        {"question": " ".join(words(20, 502))},
        {"question": "not there"},
    ]
    result, flags = audited(rows, benchmark=write(tmp_path / "bench.jsonl", benchmark))
    found = of(result, "DA121")
    assert (found.verdict, found.effect, found.n_used) == ("problem", pytest.approx(4 / 6), 6)
    assert np.flatnonzero(flags.contaminated_P).tolist() == [11, 12, 13, 14]
    listed = next(table for table in result.tables if table.name == "contaminated")
    assert [row[1:5] for row in listed.rows] == [
        (0, "row 11", "rejected", "13-word sequences"),
        (1, "row 12", "prompt", "equal prompt"),
        (2, "row 14", "prompt", "near prompt"),
        (3, "row 13", "chosen", "8-word sequences"),
    ]


def test_a_template_that_all_rows_share_is_no_contamination(tmp_path: Path) -> None:
    frame = " ".join(words(20, 600))
    rows = [{**pair(seed), "prompt": f"{frame} {pair(seed)['prompt']}"} for seed in range(20)]
    benchmark = [{"prompt": f"{frame} {' '.join(words(16, 700 + number))}"} for number in range(8)]
    result, _ = audited(rows, benchmark=write(tmp_path / "bench.jsonl", benchmark))
    assert (of(result, "DA121").verdict, of(result, "DA121").effect) == ("ok", 0)


def test_pair_files_are_benchmarks_too_and_a_file_without_prompts_is_refused(tmp_path: Path) -> None:
    chats = [
        {"chosen": f"\n\nHuman: {pair(s)['prompt']}\n\nAssistant: a", "rejected": "\n\nHuman: b\n\nAssistant: c"}
        for s in (1, 2)
    ]
    for chat in chats:
        chat["rejected"] = chat["chosen"] + " more"
    rows = [pair(seed) for seed in range(20)]
    result, _ = audited(rows, benchmark=write(tmp_path / "hh.jsonl", chats))
    assert of(result, "DA121").effect == 1
    with pytest.raises(DataError, match=r"bad\.jsonl: no prompt in 2 rows. A benchmark row needs one of"):
        audited(rows, benchmark=write(tmp_path / "bad.jsonl", [{"number": 3}, {"number": 4}]))


@pytest.mark.parametrize("n", [1, 2])
def test_one_pair_and_one_prompt_get_their_reasons(n: int) -> None:
    result, flags = audited([{**pair(seed), "prompt": "the only prompt"} for seed in range(n)])
    assert of(result, "DA113").action.startswith("one prompt repeats none")
    assert of(result, "DA101").verdict == ("not checked" if n == 1 else "ok")
    assert flags.near_group_P.tolist() == list(range(n))


def test_a_thousand_identical_prompts_and_texts() -> None:
    rows = [{"prompt": "same", "chosen": "yes", "rejected": "no"}] * 1000
    result, flags = audited(rows)
    assert of(result, "DA101").effect == pytest.approx(0.999)
    assert np.isnan(of(result, "DA101").low)
    assert (flags.near_group_P == 0).all()


def test_the_seed_and_the_number_of_threads_change_nothing() -> None:
    rows = [pair(seed) for seed in range(50)] + [pair(3), {**pair(4), "chosen": edited(pair(4)["chosen"])}]
    one, two = (
        audit_structure(read_table((rows,), {}, sample_pairs=0)[0], config=AuditDataConfig(workers=n)) for n in (1, 3)
    )
    assert [each.effect for each in one[0].findings] == pytest.approx(
        [each.effect for each in two[0].findings], nan_ok=True
    )
    assert (one[1].near_group_P == two[1].near_group_P).all()
