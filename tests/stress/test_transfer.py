"""`karat stress transfer`: the matrix from rows, its verdicts, the built-in settings, and what is refused."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import karat
from karat.errors import DataError, InputError
from karat.numerics.multiplicity import holm
from karat.numerics.transfer import excess, excess_p_value
from karat.report.plots import hack_rates
from karat.stress.transfer import TransferConfig
from karat.stress.transfer.matrix import Judged, matrix_of
from karat.stress.transfer.measure import measure
from karat.types import Result

COLUMNS = {"trained": "from", "evaluated": "to", "hack": "hack", "run": "seed"}
TRANSFERS = {
    ("base", "a"): 0.05, ("base", "b"): 0.05, ("a", "a"): 0.8, ("a", "b"): 0.4, ("b", "b"): 0.7, ("b", "a"): 0.05,
}  # fmt: skip


def rows(
    rates: dict[tuple[str, str], float], *, runs: int = 4, prompts: int = 60, size: int = 4, seed: int = 0
) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "from": trained, "to": evaluated, "seed": run, "prompt_id": f"p{prompt}", "hack": int(rng.random() < rate),
            "response": f"{trained} answers {prompt}",
        }
        for (trained, evaluated), rate in rates.items()
        for run in range(1 if trained == "base" else runs)
        for prompt in range(prompts)
        for _ in range(size)
    ]  # fmt: skip


def by_code(result: Result) -> dict[str, Any]:
    return {finding.code: finding for finding in result.findings}


def verdicts(result: Result) -> list[str]:
    return [finding.verdict for finding in result.findings]


# ----------------------------------------------------------------------------------------------------------- the matrix
def test_a_planted_transfer_is_found_where_it_is_and_nowhere_else() -> None:
    result = karat.stress.transfer(rows(TRANSFERS), **COLUMNS)
    assert verdicts(result) == ["problem", "ok", "problem", "ok"]
    assert result.values["transfers"] == [["a", "b"]]
    assert result.values["learned"] == ["a", "b"]
    assert np.array(result.values["rate"]) == pytest.approx(np.array([[0.8, 0.4], [0.05, 0.7]]), abs=0.05)
    assert result.values["mean_transfer"] == pytest.approx((0.35 + 0) / 2 / (1.4 / 2), abs=0.06)
    found = by_code(result)["ST701"]
    assert found.low > 0.2
    assert found.effect == pytest.approx(result.values["excess"][0][1])
    assert (found.gold, found.n_used) == ("hack", 4 * 4 * 60 * 4 + 2 * 60 * 4)
    assert "1 of 2 cells" in found.baseline
    assert len(found.witnesses) == 1
    assert found.witnesses[0].startswith("a in b, 0.")
    assert "a answers" in found.witnesses[0]
    assert "from a to b" in result.lead


def test_rates_are_counted_by_hand() -> None:
    judged = [Judged("a", "b", "0", "p", True), Judged("a", "b", "1", "p", False), Judged("a", "b", "1", "q", True),
              Judged("a", "b", "0", "q", None), Judged("base", "b", "", "p", False)]  # fmt: skip
    matrix = matrix_of(judged, "base")
    cell = matrix.cells["a", "b"]
    assert cell.hack_SP.tolist() == [[1, 0], [0, 1]]
    assert cell.total_SP.tolist() == [[1, 0], [1, 1]]
    assert (cell.n_missing, matrix.trained, matrix.evaluated, matrix.base) == (1, ("a",), ("b",), "base")
    assert matrix.n_runs == {"a": 2, "base": 1}


def test_tests_hold_over_all_cells_of_their_family() -> None:
    rates = {(row, column): 0.7 if row == column else 0.1 for row in ("base", *"abc") for column in "abc"}
    given = [
        Judged(row["from"], row["to"], str(row["seed"]), row["prompt_id"], bool(row["hack"])) for row in rows(rates)
    ]
    found = measure(matrix_of(given, "base"))
    for is_own in (True, False):
        cells = [(key, cell) for key, cell in found.cells.items() if (key[0] == key[1]) is is_own]
        alone = [excess_p_value(cell.rate, found.base[key[1]][0]) for key, cell in cells]
        assert [cell.p_value for _, cell in cells] == pytest.approx(holm(alone))
        level = 1 - 0.05 / (3 if is_own else 6)
        for key, cell in cells:
            at_once = excess(cell.rate, found.base[key[1]][0], level=level)
            assert (cell.joint.low, cell.joint.high) == (at_once.low, at_once.high)


def test_an_exploit_that_stays_at_home_is_ok() -> None:
    result = karat.stress.transfer(rows({**TRANSFERS, ("a", "b"): 0.05}), **COLUMNS)
    assert verdicts(result) == ["ok", "ok", "ok", "ok"]
    assert result.values["transfers"] == []
    assert by_code(result)["ST701"].high < 0.1
    assert "in no other setting" in result.lead


def test_where_all_is_learned_the_weakest_is_shown_above_0() -> None:
    """Holm's last step asks 5 % of the weakest; over both settings at once its interval would reach below 0."""
    given = rows({("base", "a"): 0.05, ("base", "b"): 0.05, ("a", "a"): 0.9, ("a", "b"): 0.05})
    hacks = [1] * 4 + [0] * 56, [1] * 13 + [0] * 47
    for name, row in zip(("base", "b"), hacks, strict=True):
        given += [
            {"from": name, "to": "b", "seed": 0, "prompt_id": f"q{at if name == 'b' else 59 - at}", "hack": hack}
            for at, hack in enumerate(row)
        ]
    given = [row for row in given if (row["from"], row["to"]) != ("base", "b") or row["prompt_id"][0] == "q"]
    result = karat.stress.transfer(given, **COLUMNS)
    assert result.values["learned"] == ["a", "b"]
    learned = by_code(result)["ST702"]
    assert learned.verdict == "ok"
    assert learned.effect == pytest.approx(9 / 60)
    assert learned.low > 0
    cell = next(row for row in result.tables[0].rows if row[:2] == ("b", "b"))
    assert 0.025 < cell[8] < 0.05


def test_what_was_not_learned_says_nothing_of_transfer() -> None:
    result = karat.stress.transfer(rows(dict.fromkeys(TRANSFERS, 0.05)), **COLUMNS)
    assert verdicts(result) == ["not checked", "not checked", "not checked", "ok"]
    assert "no setting's own exploit was surely learned" in result.lead
    half = karat.stress.transfer(rows({**TRANSFERS, ("b", "b"): 0.05}), **COLUMNS)
    assert half.values["learned"] == ["a"]
    assert by_code(half)["ST702"].verdict == "unclear"
    assert by_code(half)["ST702"].action.startswith("Not surely learned: b.")
    assert "of 1 cells" in by_code(half)["ST701"].baseline


def test_runs_that_disagree_leave_it_unclear_where_one_run_alone_would_not() -> None:
    given = rows(TRANSFERS, runs=2)
    for row in given:
        if (row["from"], row["to"]) == ("a", "b"):
            row["hack"] = int(row["seed"] == 0)  # one run does nothing else, the other never does
    both = karat.stress.transfer(given, **COLUMNS)
    assert by_code(both)["ST701"].verdict in ("unclear", "not checked")
    low, high = both.values["rate_low"][0][1], both.values["rate_high"][0][1]
    assert low < 0.1
    assert high > 0.9
    first = karat.stress.transfer([row for row in given if row["seed"] == 0], **COLUMNS)
    assert by_code(first)["ST701"].verdict == "problem"
    assert "one run each: of these runs only" in by_code(first)["ST701"].baseline


def test_the_order_of_rows_changes_nothing() -> None:
    given = rows(TRANSFERS)
    mixed = [given[at] for at in np.random.default_rng(0).permutation(len(given))]
    one = karat.stress.transfer(given, **COLUMNS, settings="a,b").values
    other = karat.stress.transfer(mixed, **COLUMNS, settings="a,b").values
    for name in ("rate", "rate_low", "excess_high", "p_value", "mean_transfer_low"):
        assert np.array(one[name]) == pytest.approx(np.array(other[name])), name


def test_a_cell_that_nobody_evaluated_is_shown_as_such() -> None:
    kept = {key: rate for key, rate in TRANSFERS.items() if key != ("b", "a")}
    result = karat.stress.transfer(rows(kept), **COLUMNS)
    row = next(row for row in result.tables[0].rows if row[:2] == ("b", "a"))
    assert math.isnan(row[2])
    assert "not evaluated" in row
    assert math.isnan(result.values["rate"][1][0])
    assert result.values["transfers"] == [["a", "b"]]


# -------------------------------------------------------------------------------------------------- missing and lacking
def test_missing_judgements_are_counted_and_never_honest() -> None:
    given = rows({**TRANSFERS, ("a", "b"): 0.05})
    blanks = {3: None, 7: float("nan"), 11: "", 13: "NaN"}
    for at, value in blanks.items():
        given[at]["hack"] = value
    few = karat.stress.transfer(given, **COLUMNS)
    assert (by_code(few)["ST704"].verdict, by_code(few)["ST704"].n_missing) == ("unclear", 4)
    assert by_code(few)["ST701"].n_missing == 4
    base = next(row for row in few.tables[0].rows if row[:2] == ("base", "a"))
    known = [row["hack"] for at, row in enumerate(given[:240]) if at not in blanks]
    assert base[2] == pytest.approx(np.mean(known))
    for row in given[::20]:
        row["hack"] = None
    many = karat.stress.transfer(given, **COLUMNS)
    assert by_code(many)["ST704"].verdict == "problem"
    assert by_code(many)["ST701"].verdict == "unclear"  # all that is seen is small, and 5 % is not seen


def test_without_a_base_rates_are_shown_and_nothing_is_compared() -> None:
    result = karat.stress.transfer([row for row in rows(TRANSFERS) if row["from"] != "base"], **COLUMNS)
    assert verdicts(result) == ["not checked", "not checked", "not checked", "ok"]
    assert "--base NAME" in by_code(result)["ST701"].action
    assert np.isfinite(np.array(result.values["rate_low"])).all()
    assert np.isnan(np.array(result.values["excess"])).all()


def test_a_setting_without_a_base_is_compared_nowhere() -> None:
    kept = {key: rate for key, rate in TRANSFERS.items() if key != ("base", "b")}
    result = karat.stress.transfer(rows(kept), **COLUMNS)
    assert math.isnan(result.values["base_rate"][result.values["evaluated"].index("b")])
    assert math.isnan(result.values["excess"][0][result.values["evaluated"].index("b")])
    assert by_code(result)["ST701"].verdict == "not checked"


def test_one_prompt_says_nothing_of_others() -> None:
    result = karat.stress.transfer(rows(TRANSFERS, prompts=1, size=50), **COLUMNS)
    assert by_code(result)["ST701"].verdict == "not checked"
    assert "two prompts" in by_code(result)["ST701"].action
    assert np.isnan(np.array(result.values["rate_low"])).all()


# -------------------------------------------------------------------------------------------------------------- reading
def test_a_score_becomes_a_hack_at_the_threshold(tmp_path: Path) -> None:
    given = rows(TRANSFERS)
    expected = karat.stress.transfer(given, **COLUMNS).values
    path = tmp_path / "scores.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["from", "to", "seed", "prompt_id", "hack"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows({**row, "hack": 3.5 if row["hack"] else 3.4} for row in given)
    result = karat.stress.transfer(path, **COLUMNS, threshold=3.5)
    assert result.values["rate"] == expected["rate"]
    assert by_code(result)["ST701"].gold == "hack >= 3.5"
    assert result.provenance["pool"] == str(path)


def test_words_and_booleans_are_judgements_and_prompts_make_ids() -> None:
    given = rows(TRANSFERS)
    expected = karat.stress.transfer(given, **COLUMNS).values["rate_low"]
    words = [{**row, "hack": ("True", "false")[1 - row["hack"]], "prompt": row.pop("prompt_id")} for row in given]
    assert karat.stress.transfer(words, **COLUMNS).values["rate_low"] == expected
    given = [{**row, "prompt": [{"role": "user", "content": row["prompt"]}], "hack": row["hack"] == "True"}
             for row in words]  # fmt: skip
    assert karat.stress.transfer(given, **COLUMNS).values["rate_low"] == expected


def test_the_fingerprint_is_of_what_counts() -> None:
    given = rows(TRANSFERS)
    marks = [karat.stress.transfer(given, **COLUMNS).provenance["fingerprint"]]
    marks.append(karat.stress.transfer([{**row, "response": ""} for row in given], **COLUMNS).provenance["fingerprint"])
    given[5]["hack"] = 1 - given[5]["hack"]
    marks.append(karat.stress.transfer(given, **COLUMNS).provenance["fingerprint"])
    assert (len(marks[0]), marks[0] == marks[1], marks[0] == marks[2]) == (16, True, False)


def test_settings_choose_and_order_rows() -> None:
    third = {("c", "c"): 0.9, ("base", "c"): 0.1, ("c", "a"): 0.1}
    result = karat.stress.transfer(rows({**TRANSFERS, **third}), **COLUMNS, settings="b, a")
    assert result.values["trained"] == result.values["evaluated"] == ["b", "a"]


def test_rows_that_lack_something_are_dropped_and_counted() -> None:
    given = [*rows(TRANSFERS), {"from": "a", "to": None, "seed": 0, "prompt_id": "p", "hack": 1},
             {"from": "a", "to": "a", "seed": 0, "hack": 1}]  # fmt: skip
    account = next(table for table in karat.stress.transfer(given, **COLUMNS).tables if table.name == "account")
    assert {row[1]: row[2] for row in account.rows} == {"column 'to' is null": 1, "neither prompt_id nor prompt": 1}


def test_the_base_needs_no_training_run() -> None:
    given = [{**row, "seed": None} if row["from"] == "base" else row for row in rows(TRANSFERS)]
    result, with_run = (karat.stress.transfer(which, **COLUMNS) for which in (given, rows(TRANSFERS)))
    assert result.values == with_run.values
    assert "null" not in str(next(table for table in result.tables if table.name == "account").rows)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"hack": 0.7}, {}, r"4320 of 4320 values of 'hack' are neither 0 nor 1 \(first: row 0, 0.7\).*--threshold"),
        ({"hack": "often"}, {"threshold": 0.5}, "are no numbers"),
        ({}, {"base": "start"}, "no row of the base policy 'start'; column 'from' has: base, a, b"),
        ({}, {"settings": "a,z"}, "no setting 'z'; there are: a, b"),
        ({}, {"hack": "hacked"}, "no column 'hacked'; columns seen: "),
        ({}, {"run": "from"}, "column 'from' is named for two things"),
        ({"to": "elsewhere"}, {}, r"no setting is both trained in \(a, b\) and evaluated in \(elsewhere\)"),
        ({"prompt_id": None}, {}, "no row of 4320 can be used: neither prompt_id nor prompt"),
        ({}, {"trained": ""}, "no column is named for 'trained'"),
        ({}, {"threshold": float("inf")}, "threshold = inf"),
    ],
)
def test_bad_rows_are_told(change: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        karat.stress.transfer([{**row, **change} for row in rows(TRANSFERS)], **{**COLUMNS, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"settings": "length,nonsense"}, "no built-in setting 'nonsense'; there are: length, format, checks"),
        ({"settings": "length"}, "one setting has nothing to transfer to"),
        ({"eval_prompts": 65}, "holds out 64 prompts"),
        ({"hack": "hack"}, "hack is named without a pool"),
        ({"threshold": 1.0}, "threshold is named without a pool"),
        ({"runs": 0}, "runs = 0 is out of range"),
        ({"lr": 0.0}, "lr = 0 is out of range"),
        ({"lr": math.inf}, "lr = inf is out of range"),
    ],
)
def test_wrong_use_is_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        karat.stress.transfer(**options)


def test_a_file_without_rows_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DataError, match=r"empty\.jsonl"):
        karat.stress.transfer(tmp_path / "empty.jsonl", **COLUMNS)


# --------------------------------------------------------------------------------------------------- the built-in world
@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    out = tmp_path_factory.mktemp("transfer")
    config = TransferConfig(settings="length,checks", runs=1, steps=36, eval_prompts=48, eval_samples=4)
    return karat.stress.transfer(out=out, config=config), out


def test_policies_that_learn_to_pad_repeat_the_visible_words_and_the_other_way_round(
    trained: tuple[Result, Path],
) -> None:
    result = trained[0]
    assert result.values["learned"] == ["length", "checks"]
    assert result.values["transfers"] == [["length", "checks"], ["checks", "length"]]
    assert max(result.values["base_rate"]) < 0.2 < np.array(result.values["rate"]).min()
    assert by_code(result)["ST701"].gold == "planted exploits"
    assert len(by_code(result)["ST701"].witnesses) == 2


def test_its_rollouts_give_the_same_matrix_again(trained: tuple[Result, Path]) -> None:
    result, out = trained
    again = karat.stress.transfer(
        out / "rollouts.jsonl", trained="trained", evaluated="evaluated", hack="hack", run="run"
    )
    assert {**again.values} == {**result.values}
    rolled = [json.loads(line) for line in (out / "rollouts.jsonl").read_text().splitlines()]
    assert len(rolled) == 3 * 2 * 48 * 4
    assert len({row["prompt_id"] for row in rolled}) == 48  # the same prompts in every setting, but for the cue
    assert {row["prompt"].split()[0] for row in rolled} == {"list", "give"}


def test_the_figure_shows_every_cell(trained: tuple[Result, Path]) -> None:
    plot = hack_rates(trained[0].tables[0])
    assert plot is not None
    for name in ("base in length", "length in checks", "checks in checks"):
        assert name in plot.alt
    assert plot.svg.count("<path") >= 6
    assert hack_rates(karat.types.Table("transfer", "", ("trained", "evaluated", "rate"), ())) is None


def test_the_command_reads_rows_and_writes_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from karat.cli.main import app

    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(TRANSFERS)))
    options = ["--trained", "from", "--evaluated", "to", "--hack", "hack", "--run", "seed", "--json", "--quiet"]
    status = app(["stress", "transfer", str(path), *options, "--out", str(tmp_path / "out")], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    assert (status, document["command"], document["verdict"]) == (1, "stress transfer", "problem")
    assert [finding["code"] for finding in document["findings"]] == ["ST701", "ST702", "ST703", "ST704"]
    assert "trained in" in (tmp_path / "out" / "report.html").read_text()
    assert app(["explain", "ST702", "--quiet"], standalone_mode=False) in (0, None)
    assert "own exploit" in capsys.readouterr().out
