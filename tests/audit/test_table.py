"""The compact table of pairs and its sample."""

from __future__ import annotations

import numpy as np
import pytest

from karat.audit.data.table import read_table
from karat.errors import DataError

ROWS = [{"prompt": f"q{number % 7}", "chosen": f"yes {number}", "rejected": f"no {number}"} for number in range(40)]


def test_every_pair_is_in_the_table_in_its_order() -> None:
    table, _ = read_table((ROWS,), {}, sample_pairs=0)
    assert len(table) == 40
    assert table.chosen[13].as_py() == "yes 13"
    assert table.row_P.tolist() == list(range(40))
    assert len(table.prompt_id.unique()) == 7
    assert np.isnan(table.first_chosen_P).all()
    assert table.where(3) == "row 3"


def test_the_sample_holds_whole_prompts_and_no_more_pairs_than_asked() -> None:
    _, sample = read_table((ROWS,), {}, sample_pairs=20, seed=1)
    sizes = {name: sum(pair.prompt_id == name for pair in sample) for name in {pair.prompt_id for pair in sample}}
    assert 0 < len(sample) <= 20
    assert all(size in (5, 6) for size in sizes.values())
    assert [pair.row for pair in sample] == sorted(pair.row for pair in sample)


def test_the_sample_does_not_depend_on_the_order_of_the_rows() -> None:
    forward = read_table((ROWS,), {}, sample_pairs=12, seed=3)[1]
    backward = read_table((ROWS[::-1],), {}, sample_pairs=12, seed=3)[1]
    assert {pair.chosen for pair in forward} == {pair.chosen for pair in backward}


def test_one_large_prompt_is_a_sample_although_it_is_too_large() -> None:
    rows = [{"prompt": "q", "chosen": f"a{number}", "rejected": "b"} for number in range(9)]
    assert len(read_table((rows,), {}, sample_pairs=4)[1]) == 9


def test_the_sample_is_bounded_while_it_is_collected() -> None:
    rows = [{"prompt": f"q{number}", "chosen": "a", "rejected": "b"} for number in range(3000)]
    sample = read_table((rows,), {}, sample_pairs=100)[1]
    assert len(sample) == 100


def test_no_usable_pair_is_an_error_with_its_reason() -> None:
    with pytest.raises(DataError, match="no row gives a usable pair: chosen equals rejected"):
        read_table(([{"prompt": "q", "chosen": "a", "rejected": "a"}],), {}, sample_pairs=5)
