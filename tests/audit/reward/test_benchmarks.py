from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from karat.audit.reward.benchmarks import audit_benchmarks
from karat.audit.reward.benchmarks.columns import ColumnReward, load_any
from karat.audit.reward.benchmarks.items import Aggregate, Benchmark, Item, pooled
from karat.audit.reward.benchmarks.reading import read_benchmarks
from karat.audit.reward.benchmarks.scoring import layout_of, mean_of, outcomes_of, top_outcome
from karat.audit.reward.config import AuditRewardConfig
from karat.errors import DataError, InputError
from karat.rewards.groups import Group, last_text
from karat.rewards.kinds import TextReward
from karat.types import NAN, Result, Score


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def audit(reward: Any, spec: Path | str, **options: Any) -> Result:
    loaded = load_any(reward) if isinstance(reward, str) else reward
    config = AuditRewardConfig(benchmarks=str(spec), resamples=200, **options)
    return audit_benchmarks(loaded, config=config, rng=np.random.default_rng(0))


def by_text(scores: Mapping[str, float]) -> TextReward:
    """A reward with a score for each response, whatever the prompt."""
    return TextReward("by text", lambda prompt, response: scores[response])


def numbers(result: Result, table: str) -> dict[str, dict[str, Any]]:
    found = next(item for item in result.tables if item.name == table)
    return {row[0]: dict(zip(found.columns, row, strict=True)) for row in found.rows}


def responses_of(path: Path) -> Benchmark:
    found = read_benchmarks(str(path))[0]
    assert isinstance(found, Benchmark)
    return found


def verdicts(result: Result) -> dict[str, str]:
    return {finding.code: finding.verdict for finding in result.findings}


# -------------------------------------------------------------------------------- outcomes
def test_the_share_of_right_ones_at_the_top() -> None:
    assert top_outcome(np.array([1.0, 1.0]), 1) == (0.5, 0.0, 1.0)
    assert top_outcome(np.array([2.0, 2.0, 1.0, 2.0]), 1)[0] == pytest.approx(1 / 3)
    assert top_outcome(np.array([1.0, 2.0]), 1) == (0.0, 0.0, 0.0)
    assert top_outcome(np.array([2.0, 1.95]), 1, 0.1) == (0.5, 0.0, 1.0)


def scored(items: Sequence[Item], scores: np.ndarray, aggregate: Aggregate) -> float:
    benchmark = Benchmark(kind="", name="", items=tuple(items), aggregates=(aggregate,), formula="")
    layout = layout_of(benchmark)
    return mean_of(aggregate, layout, outcomes_of(layout, items, list(scores)).value_P)


def test_a_shift_of_each_prompt_changes_nothing_and_swapped_sides_mirror() -> None:
    rng = np.random.default_rng(0)
    items = [Item(name=str(i), cluster=str(i), n_responses=2) for i in range(30)]
    margins = rng.integers(-2, 3, (30, 2)).astype(float)
    every = pooled("all", "overall", [""])
    plain = scored(items, margins, every)
    assert scored(items, margins + 100 * rng.standard_normal((30, 1)), every) == plain
    assert scored(items, margins[:, ::-1], every) == pytest.approx(1 - plain)


# -------------------------------------------------------------------------------- RewardBench
def rewardbench_row(subset: str, prompt: str, chosen: str = "good", rejected: str = "bad!!") -> dict[str, Any]:
    return {
        "prompt": prompt, "chosen": chosen, "rejected": rejected, "chosen_model": "a", "rejected_model": "b",
        "subset": subset, "id": 1,
    }  # fmt: skip


def test_rewardbench_sections_weigh_as_published(tmp_path: Path) -> None:
    rows = [rewardbench_row("math-prm", f"p{i}") for i in range(3)]
    rows += [rewardbench_row("hep-python", f"q{i}", "no", "yes") for i in range(5)]
    rows += [rewardbench_row("mt-bench-easy", f"r{i}") for i in range(2)]
    rows += [rewardbench_row("shp", "s", "no", "yes")]
    reward = by_text({"good": 2, "bad!!": 1, "no": 0, "yes": 1})
    found = numbers(audit(reward, write(tmp_path / "rb.jsonl", rows)), "benchmark_rewardbench")
    # math-prm counts 984, the one code subset that is there 164, whatever their sizes
    assert found["Reasoning"]["score"] == pytest.approx(984 / (984 + 164))
    # Chat 1, Reasoning as above, Prior Sets 0 at half weight
    assert found["score (official)"]["score"] == pytest.approx((1 + 984 / 1148) / 2.5)
    assert found["overall (micro)"]["score"] == pytest.approx(5 / 11)
    assert found["overall (macro)"]["score"] == pytest.approx(2 / 4)


def test_code_tasks_in_six_languages_are_one_cluster(tmp_path: Path) -> None:
    asked = {
        "hep-python": "Write a Python function `has_close_elements(numbers: List[float]) -> bool` to solve it",
        "hep-js": "Write a JavaScript function `hasCloseElements(numbers)` to solve it",
        "hep-go": "Write a Go function `func HasCloseElements(numbers []float64) bool` to solve it",
        "hep-cpp": "Write a C++ function `bool has_close_elements(vector<float> numbers)` to solve it",
    }
    rows = [rewardbench_row(subset, prompt) for subset, prompt in asked.items()]
    benchmark = read_benchmarks(str(write(tmp_path / "rb.jsonl", rows)))[0]
    assert {item.cluster for item in benchmark.items} == {"code task hascloseelements"}
    assert "4 rows by the function's name" in benchmark.notes[0]


def test_best_of_four_and_ties_by_hand(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "prompt": "p", "chosen": ["a"], "rejected": ["b", "c", "d"], "subset": "Math"},
        {"id": "ref:0", "prompt": "r", "chosen": ["x"], "rejected": ["y", "z"], "subset": "Ties"},
        {"id": "tied:0", "prompt": "t", "chosen": ["u", "v"], "rejected": ["w"], "subset": "Ties"},
    ]
    scores = {"a": 1, "b": 1, "c": 0, "d": 0, "x": 5, "y": 1, "z": 2, "u": 4, "v": 6, "w": 1}
    found = numbers(audit(by_text(scores), write(tmp_path / "rb2.jsonl", rows)), "benchmark_rewardbench_2")
    assert found["Math"]["score"] == 0.5  # two of four at the top
    assert found["Math"]["chance"] == 0.25
    # both accurate; gap of the tied prompt 3, of the reference 3, spread 2: both preferences hold
    ties = 0.3 + 0.3 + 0.2 + 0.2 + 0.01 * math.tanh(3 / 2 - 1)
    assert found["Ties"]["score"] == pytest.approx(ties)
    assert found["score (macro, official)"]["score"] == pytest.approx((0.5 + ties) / 2)


def test_nothing_wrong_is_surely_better_than_chance(tmp_path: Path) -> None:
    rows = [
        {"id": str(i), "prompt": f"p{i}", "chosen": ["right"], "rejected": ["no", "nay", "nil"], "subset": subset}
        for i in range(40)
        for subset in ("Math", "Focus")
    ]
    scores = {"right": 2.0, "no": 1.0, "nay": 0.0, "nil": 0.0}
    score = audit(by_text(scores), write(tmp_path / "rb2.jsonl", [dict(row, chosen=["right"]) for row in rows]))
    assert verdicts(score)["RW601"] == "unclear"  # "right" is also the longest: as good as a rule that reads nothing
    even = {"right": 2.0, "wrong": 1.0, "false": 0.0}
    rows = [dict(row, rejected=["wrong", "false", "false"]) for row in rows]
    assert verdicts(audit(by_text(even), write(tmp_path / "even.jsonl", rows)))["RW601"] == "ok"


# -------------------------------------------------------------------------------- RM-Bench
def test_style_matrix(tmp_path: Path) -> None:
    rows = [
        {"id": i, "prompt": f"p{i}", "domain": domain, "chosen": ["c0", "c1", "c2"], "rejected": ["r0", "r1", "r2"]}
        for i, domain in enumerate(["chat", "math", "safety-refuse", "safety-response"] * 24)
    ]
    # pays for style first, for being right second
    reward = by_text({"c0": 0.5, "c1": 1.5, "c2": 2.5, "r0": 0, "r1": 1, "r2": 2})
    result = audit(reward, write(tmp_path / "rm.jsonl", rows))
    found = numbers(result, "benchmark_rm_bench")
    assert [found[name]["score"] for name in ("easy", "normal", "hard")] == pytest.approx([1.0, 1.0, 0.0])
    assert found["score (macro over domains)"]["score"] == pytest.approx(2 / 3)
    assert found["concise right, markdown wrong"]["score"] == 0.0
    assert (found["overall (micro)"]["n"], found["overall (micro)"]["prompts"]) == (96 * 9, 96)
    style = next(finding for finding in result.findings if finding.code == "RW602")
    assert style.effect == pytest.approx(1.0)
    assert style.verdict == "problem"  # the largest gap there is, though no resample differs
    assert style.high == pytest.approx(1.0)


# -------------------------------------------------------------------------------- other kinds
def test_llmbar_subsets_are_folders(tmp_path: Path) -> None:
    row = {"input": "i", "output_1": "wrong", "output_2": "right", "label": 2}
    write(tmp_path / "Natural" / "dataset.jsonl", [row])
    write(tmp_path / "Adversarial" / "Neighbor" / "dataset.jsonl", [row | {"label": 1}])
    write(tmp_path / "Adversarial" / "Manual" / "dataset.jsonl", [row])
    found = numbers(audit(by_text({"right": 1, "wrong": 0}), tmp_path), "benchmark_llmbar")
    assert found["overall (macro)"]["score"] == pytest.approx(2 / 3)
    assert (found["Natural"]["score"], found["Neighbor"]["score"], found["adversarial"]["score"]) == (1.0, 0.0, 0.5)


def test_judgebench_joins_published_scores(tmp_path: Path) -> None:
    pairs = [
        {"pair_id": str(i), "source": "livebench-math", "question": f"q{i}", "response_A": "a", "response_B": "b",
         "label": label} for i, label in enumerate(["A>B", "B>A", "B>A"])
    ]  # fmt: skip
    write(tmp_path / "data.jsonl", pairs)
    given = [(2, 1), (2, 1), (1, 1)]
    rows = [
        {"pair_id": str(i), "label": "", "judgments": [{"scores": list(pair)}, {"scores": list(pair[::-1])}]}
        for i, pair in enumerate(given)
    ]
    write(tmp_path / "scores__mine.jsonl", rows)
    found = numbers(audit("column:mine", tmp_path), "benchmark_judgebench_data")
    head = found["score (micro, official)"]
    assert head["score"] == pytest.approx(1.5 / 3)
    assert (head["ties"], head["ties lost"], head["ties won"]) == (1, pytest.approx(1 / 3), pytest.approx(2 / 3))
    with pytest.raises(DataError, match="scores of JudgeBench pairs, but not the pairs"):
        read_benchmarks(str(tmp_path / "scores__mine.jsonl"))


def test_wrapped_dialogues_and_biases(tmp_path: Path) -> None:
    frame = "###Task\n\n###The instruction to evaluate:\n{}\n\n###Response to evaluate:\n{}\n\n###Score Rubrics:\n[x]"
    hhh = [{"source": "honest", "chosen_instruction": frame.format("Is it?\n\nYes?", "No."),
            "rejected_instruction": frame.format("Is it?\n\nYes?", "Yes.")}]  # fmt: skip
    item = responses_of(write(tmp_path / "hhh.jsonl", hhh)).items[0]
    assert (last_text(item.prompt), last_text(item.responses[0])) == ("Is it?\n\nYes?", "No.")
    rows = {
        "length bias": [{"bias": "length bias", "instruction": "i", "response1": "a", "response2": "b", "label": 2}]
    }
    (tmp_path / "bias.json").write_text(json.dumps(rows), encoding="utf-8")
    bias = responses_of(tmp_path / "bias.json").items[0]
    assert (bias.subset, last_text(bias.responses[0])) == ("length bias", "b")


def test_process_rewards_columns_become_one_score(tmp_path: Path) -> None:
    row = {"problem": "p", "scores": {"prm": [[0.9, 0.5], [0.6, 0.6, 0.6], []], "rm": [3, 1, 2]}}
    benchmark = read_benchmarks(str(write(tmp_path / "math.jsonl", [row])))[0]
    columns = benchmark.items[0].columns
    assert columns["prm"][:2] == (0.5, 0.6)
    assert math.isnan(columns["prm"][2])
    assert columns["prm:mean"][:2] == pytest.approx((0.7, 0.6))
    assert columns["rm"] == (3.0, 1.0, 2.0)


def test_plain_pairs_with_score_columns(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"p{i}", "chosen": "yes", "rejected": "no", "rm_chosen": 1.0, "rm_rejected": i % 2} for i in range(4)
    ]
    found = numbers(audit("column:rm", write(tmp_path / "pairs.jsonl", rows)), "benchmark_pairs_pairs")
    assert found["overall (micro)"]["score"] == pytest.approx((2 + 2 / 2) / 4)


# -------------------------------------------------------------------------------- comparisons and ranks
def column_file(path: Path, accuracy: dict[str, float], n: int = 400, copies: int = 1) -> Path:
    """Pairs on which each column is right at its rate; `copies` rows share a prompt and their outcomes."""
    rng = np.random.default_rng(5)
    rows = []
    for prompt in range(n):
        right = {name: bool(rng.random() < rate) for name, rate in accuracy.items()}
        scores = {f"{name}_{side}": float(is_right == (side == "chosen")) for name, is_right in right.items()
                  for side in ("chosen", "rejected")}  # fmt: skip
        rows += [{"prompt": f"p{prompt}", "chosen": f"yes {i}", "rejected": "no", **scores} for i in range(copies)]
    return write(path, rows)


def test_two_rewards_and_many(tmp_path: Path) -> None:
    file = column_file(tmp_path / "pairs.jsonl", {"a": 0.8, "b": 0.6, "c": 0.8})
    two = next(f for f in audit("column:a", file, against="column:b").findings if f.code == "RW604")
    assert two.verdict == "ok"
    assert two.effect > 0.1
    assert (
        next(f for f in audit("column:b", file, against="column:a").findings if f.code == "RW604").verdict == "problem"
    )
    same = next(f for f in audit("column:a", file, against="column:absent,column:c").findings if f.code == "RW604")
    assert same.verdict == "unclear"
    many = audit("column:a", file, against="column:*")
    ranks = numbers(many, "benchmark_pairs_pairs_ranks")
    assert [ranks[f"column:{name}"]["not told from the best"] for name in "abc"] == ["yes", "", "yes"]
    assert many.values["benchmark_pairs_pairs_leaders"] == 2


def test_ranks_go_by_the_items_that_both_scored(tmp_path: Path) -> None:
    # "easy" scored half of the items only, 2/3 of them rightly; "all" got these right and the others wrong: 1/2
    rows = []
    for number in range(120):
        wins = {"all": number < 60, "never": False} | ({"easy": number % 3 != 0} if number < 60 else {})
        scores = {f"{name}_{side}": int(is_right == (side == "chosen")) for name, is_right in wins.items()
                  for side in ("chosen", "rejected")}  # fmt: skip
        rows.append({"prompt": f"p{number}", "chosen": "x", "rejected": "y", **scores})
    result = audit("column:easy", write(tmp_path / "pairs.jsonl", rows), against="column:all,column:never")
    ranks = numbers(result, "benchmark_pairs_pairs_ranks")
    assert ranks["column:easy"]["score"] > ranks["column:all"]["score"]
    assert {name: (row["rank from"], row["rank to"]) for name, row in ranks.items()} == {
        "column:all": (1, 1), "column:easy": (2, 2), "column:never": (3, 3),
    }  # fmt: skip
    found = next(finding for finding in result.findings if finding.code == "RW605")
    assert (found.verdict, found.effect) == ("problem", 2)


def test_copies_of_a_prompt_add_no_evidence(tmp_path: Path) -> None:
    once = column_file(tmp_path / "once.jsonl", {"a": 0.7, "b": 0.6}, n=60)
    often = column_file(tmp_path / "often.jsonl", {"a": 0.7, "b": 0.6}, n=60, copies=9)
    p = [
        audit("column:a", file, against="column:b").values[f"benchmark_pairs_{file.stem}_gap_p"]
        for file in (once, often)
    ]
    assert p[0] == pytest.approx(p[1])
    widths = [
        audit("column:a", file).values[f"benchmark_pairs_{file.stem}_high"]
        - audit("column:a", file).values[f"benchmark_pairs_{file.stem}_low"]
        for file in (once, often)
    ]
    assert widths[1] == pytest.approx(widths[0], rel=0.05)


# -------------------------------------------------------------------------------- edges
class Sometimes:
    """Scores every other response only."""

    name = "sometimes"
    head_names = ("reward",)

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        return [
            [Score(1.0 - i) if n % 2 else Score(NAN, missing="no answer") for i in range(len(group.responses))]
            for n, group in enumerate(groups)
        ]


def test_missing_scores_are_left_out_and_bounded(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{i}", "chosen": "yes", "rejected": "nope"} for i in range(40)]
    result = audit(Sometimes(), write(tmp_path / "pairs.jsonl", rows))
    head = numbers(result, "benchmark_pairs_pairs")["overall (micro)"]
    assert (head["score"], head["n"], head["missing"]) == (1.0, 20, 20)
    assert (head["missing lost"], head["missing won"]) == (0.5, 1.0)
    finding = result.findings[0]
    assert (finding.verdict, finding.n_missing) == ("unclear", 20)
    assert "0.500" in finding.action
    assert next(t for t in result.tables if t.name.endswith("_missing")).rows == (("no answer", 40),)


def test_few_scores_are_no_problem_where_the_missing_ones_may_be_right(tmp_path: Path) -> None:
    # 8 of 80 scored, all wrong: as bad as can be on these, and nothing is known of the rest
    rows: list[dict[str, Any]] = [{"prompt": f"p{i}", "chosen": "right", "rejected": "wrong"} for i in range(80)]
    for row in rows[:8]:
        row |= {"rm_chosen": 0.0, "rm_rejected": 1.0}
    assert verdicts(audit("column:rm", write(tmp_path / "few.jsonl", rows)))["RW601"] == "unclear"
    assert verdicts(audit("column:rm", write(tmp_path / "all.jsonl", rows[:8])))["RW601"] == "problem"


def test_one_pair_and_one_prompt_say_unclear(tmp_path: Path) -> None:
    row = {"prompt": "p", "chosen": "longer", "rejected": "short"}
    one = audit("builtin:longer", write(tmp_path / "one.jsonl", [row]))
    assert verdicts(one) == {"RW601": "unclear"}
    assert math.isnan(one.findings[0].low)
    rows = [row | {"chosen": f"longer {i}"} for i in range(1000)]
    many = audit("builtin:longer", write(tmp_path / "many.jsonl", rows), against="builtin:shorter")
    assert set(verdicts(many).values()) == {"unclear"}


def test_empty_texts_are_scored(tmp_path: Path) -> None:
    rows = [rewardbench_row("mt-bench-easy", f"p{i}", "", "bad") for i in range(30)]
    found = audit("builtin:longer", write(tmp_path / "rb.jsonl", rows))
    assert found.values["benchmark_rewardbench_score"] == 0.0


def test_what_cannot_be_scored_is_not_checked_with_its_reason(tmp_path: Path) -> None:
    file = write(tmp_path / "math.jsonl", [{"problem": f"p{i}", "scores": {"rm": [2, 1]}} for i in range(30)])
    pairs = write(tmp_path / "pairs.jsonl", [{"prompt": "p", "chosen": "a", "rejected": "b"}] * 2)
    steps = write(tmp_path / "steps.jsonl", [{"id": "a-0", "problem": "p", "steps": ["s"], "label": -1}] * 2)
    result = audit("builtin:longer", f"{file},{tmp_path / 'none.jsonl'},{pairs},{steps}")
    told = [finding.action for finding in result.findings if finding.verdict == "not checked"]
    assert len(told) == 3
    assert "holds scores and no texts" in told[0]
    assert "column:rm" in told[0]
    assert "no such file" in told[1]
    assert "a score for each step" in told[2]
    alone = audit("column:rm", file, against="column:absent")
    assert [(f.code, f.verdict) for f in alone.findings] == [("RW601", "ok"), ("RW604", "not checked")]
    assert "its score columns: rm" in alone.findings[1].action
    lost = audit("column:other", file).findings[0]
    assert lost.verdict == "not checked"
    assert "there is no column of scores 'other'; there are: rm" in lost.action


def test_messages(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no kind 'nokind'"):
        read_benchmarks("nokind:file.jsonl")
    odd = write(tmp_path / "odd.jsonl", [{"x": 1}])
    with pytest.raises(DataError, match=r"no benchmark format fits\. Columns seen: x"):
        read_benchmarks(str(odd))
    with pytest.raises(InputError, match="name one column"):
        load_any("column:*")
    bad = write(tmp_path / "bad.jsonl", [{"problem": "p", "steps": ["s"], "label": 3}])
    with pytest.raises(DataError, match="label 3 is no step of its 1 steps"):
        read_benchmarks(str(bad))
    assert ColumnReward("a").score([Group("p", ("r",))])[0][0].is_missing


GOOD_ROWS: dict[str, dict[str, Any]] = {
    "rewardbench2": {"prompt": "p", "chosen": ["a"], "rejected": ["b"], "subset": "Math", "id": "1"},
    "rewardmath-scores": {"problem": "p", "scores": {"a": [2.0, 1.0]}},
    "judgebench": {"pair_id": "1", "question": "q", "response_A": "a", "response_B": "b", "label": "A>B"},
    "prmbench": {"modified_process": ["s", "t"], "error_steps": [2], "classification": "circular"},
    "hhh": {
        "source": "harmless",
        **{f"{side}_instruction": f"###The instruction to evaluate:\nq\n\n###Response to evaluate:\n{side}\n\n###Score"
           for side in ("chosen", "rejected")},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "bad", "kept"),
    [
        ("rewardbench2", {"chosen": []}, 3),
        ("rewardbench2", {"rejected": None}, 3),
        ("rewardbench2", {"rejected": ["x", 3]}, 3),
        ("rewardmath-scores", {"scores": {}}, 3),
        ("rewardmath-scores", {"scores": {"a": [1.0]}}, 3),
        ("judgebench", {"pair_id": ["1"]}, 3),
        ("prmbench", {"error_steps": ["x"]}, 3),
        ("prmbench", {"error_steps": [None]}, 3),
        ("hhh", {"source": ["x"]}, 4),
    ],
)
def test_rows_that_do_not_fit_are_left_out_and_counted(
    tmp_path: Path, kind: str, bad: dict[str, Any], kept: int
) -> None:
    rows = [{**GOOD_ROWS[kind], "id": str(i)} for i in range(4)]
    rows[-1] |= bad
    found = read_benchmarks(str(write(tmp_path / "rows.jsonl", rows)))[0]
    assert (found.kind.partition("-")[0], len(found.items)) == (kind.partition("-")[0], kept)
    assert kept == 4 or "1 rows" in " ".join(found.notes)


def test_a_kind_that_is_named_is_taken(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "chosen": ["a"], "rejected": ["b", "c"], "subset": "Math", "id": "1"}]
    file = write(tmp_path / "file.jsonl", rows)
    assert read_benchmarks(f"rewardbench2:{file}")[0].kind == "rewardbench2"
    assert read_benchmarks(f"pairs:{file}")[0].kind == "pairs"
