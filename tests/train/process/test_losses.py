"""The torch loss of steps is the numpy reference; unknown labels send back nothing; pieces give the same gradient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import TrainingArguments

from karat.errors import InputError
from karat.numerics.process_likelihood import first_error_loss, outcome_loss, step_loss
from karat.rewards.process import StepEncoder, StepPolicy, load_process_for_training
from karat.rewards.process.model import COMBINE_OF
from karat.train.process.losses import StepBatch, StepLoss
from karat.train.process.objective import ProcessObjective
from karat.train.process.units import build_step_units, step_batch, step_targets
from karat.train.trainer import TreeTrainer
from karat.types import NO_ERROR, StepSolution
from rewards.tiny import byte_tokenizer, save_tiny
from train.process.toy import toy_solutions

NAN = float("nan")


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny(tmp_path_factory.mktemp("lm")))


def encoder(**policy: Any) -> StepEncoder:
    return StepEncoder(byte_tokenizer(), StepPolicy(**{"separator": "\n", **policy}))


@given(st.lists(st.tuples(st.floats(-9, 9), st.one_of(st.just(NAN), st.floats(0, 1)), st.floats(0, 2)), min_size=1))
def test_the_loss_is_the_reference(rows: list[tuple[float, float, float]]) -> None:
    logit, label, weight = (np.array(column) for column in zip(*rows, strict=True))
    batch = StepBatch(torch.from_numpy(label), torch.from_numpy(weight))
    found = StepLoss((1.0,))(torch.from_numpy(logit)[:, None], batch)
    assert float(found) == pytest.approx(float(np.nansum(weight * step_loss(logit, label))))


def test_two_classes_are_a_softmax() -> None:
    heads_RH = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    right = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    found = StepLoss(COMBINE_OF["two-class"])(heads_RH, StepBatch(right, torch.full((5,), 0.2, dtype=torch.float64)))
    wanted = torch.nn.functional.cross_entropy(heads_RH, (1 - right).long())
    assert float(found) == pytest.approx(float(wanted))


def test_a_step_without_a_label_sends_back_no_gradient() -> None:
    logit = torch.tensor([[0.3], [-0.2]], requires_grad=True)
    StepLoss((1.0,))(logit, StepBatch(torch.tensor([NAN, 1.0]), torch.tensor([0.5, 0.5]))).backward()
    assert logit.grad is not None
    assert logit.grad[0] == 0
    assert torch.isfinite(logit.grad).all()


def test_shapes_and_labels_are_checked() -> None:
    with pytest.raises(InputError, match=r"target has the shape \(2,\), weight \(1,\)"):
        StepBatch(torch.zeros(2), torch.zeros(1))
    with pytest.raises(InputError, match=r"a label is outside \[0, 1\]"):
        StepBatch(torch.tensor([2.0]), torch.ones(1))
    with pytest.raises(InputError, match=r"shape \(2, 2\), must be \(2, 1\)"):
        StepLoss((1.0,))(torch.zeros(2, 2), StepBatch(torch.zeros(2), torch.ones(2)))


# -------------------------------------------------------------------------------------------------- targets and weights
SOLUTIONS = [
    StepSolution("p", ("a", "b", "c"), (1.0, 0.4, NAN), first_error=1, prompt_id="p", final_right=1.0, row=0),
    StepSolution("p", ("a", "d"), (0.9, 0.8), first_error=NO_ERROR, prompt_id="p", final_right=0.0, row=1),
    StepSolution("q", ("e",), (NAN,), first_error=None, prompt_id="q", row=2),
    StepSolution("r", ("f", "g"), (NAN, 0.0), first_error=None, prompt_id="r", final_right=1.0, row=3),
]


def test_targets_by_likelihood() -> None:
    def targets(likelihood: Any) -> list[list[float]]:
        return [step_targets(one, likelihood).tolist() for one in SOLUTIONS]

    np.testing.assert_equal(targets("soft"), [[1.0, 0.4, NAN], [0.9, 0.8], [NAN], [NAN, 0.0]])
    np.testing.assert_equal(targets("hard"), [[1.0, 0.0, NAN], [1.0, 1.0], [NAN], [NAN, 0.0]])
    np.testing.assert_equal(targets("first-error"), [[1.0, 0.0, NAN], [1.0, 1.0], [NAN], [NAN, NAN]])
    np.testing.assert_equal(targets("outcome"), [[NAN, NAN, 1.0], [NAN, 0.0], [NAN], [NAN, 1.0]])


@pytest.mark.parametrize("likelihood", ["soft", "hard", "first-error", "outcome"])
def test_the_loss_of_a_step_is_the_mean_over_problems(likelihood: Any) -> None:
    """Against the reference, solution by solution: labelled steps share a problem's weight, or solutions do."""
    units = build_step_units(SOLUTIONS, encoder(), likelihood)
    rng = np.random.default_rng(0)
    logits = [rng.normal(size=len(one.steps)) for one in SOLUTIONS]
    if likelihood in ("soft", "hard"):
        first = [step_loss(logits[i], step_targets(SOLUTIONS[i], likelihood)) for i in (0, 1)]
        problems = [float(np.nanmean(np.concatenate(first))), float(step_loss(logits[3], [NAN, 0.0])[1])]
    elif likelihood == "first-error":
        problems = [(first_error_loss(logits[0], 1) + first_error_loss(logits[1], NO_ERROR)) / 2]
    else:
        problems = [(outcome_loss(logits[0], 1.0) + outcome_loss(logits[1], 0.0)) / 2, outcome_loss(logits[3], 1.0)]
    assert [len(unit.tree.branches) for unit in units.units] == [2, 1][: len(problems)]
    read = [
        np.concatenate([logits[i][: len(part)] for i, part in zip(members, unit.tree.read, strict=True)])
        for members, unit in zip(((0, 1), (3,)), units.units, strict=False)
    ]
    found = StepLoss((1.0,))(
        torch.from_numpy(np.concatenate(read))[:, None].float(), step_batch(units.units, len(units.units))
    )
    assert float(found) == pytest.approx(float(np.mean(problems)), rel=1e-5)


def test_what_follows_the_last_label_is_not_computed() -> None:
    units = build_step_units(SOLUTIONS[:1], encoder(), "soft")
    text = encoder().tokenizer.decode((*units.units[0].tree.root, *units.units[0].tree.branches[0]))
    assert text == "p\na\nb\n"
    assert units.n_labels == 2


def test_dropped_and_cut_solutions_are_counted() -> None:
    long = StepSolution("s", ("x" * 30, "y"), (1.0, 0.0), first_error=1, prompt_id="s", row=4)
    units = build_step_units([*SOLUTIONS, long], encoder(max_length=16), "first-error")
    told = {(entry.action, entry.reason): (entry.count, entry.first_rows) for entry in units.entries}
    assert told == {
        ("dropped", "the first wrong step is not known"): (2, (2, 3)),
        ("changed", "longer than 16 tokens: oldest steps cut"): (1, (4,)),
    }
    assert units.units[1].target_R.tolist() == [0.0]  # the last step stays, with its label
    refusing = build_step_units([*SOLUTIONS, long], encoder(max_length=16, too_long="refuse"), "first-error")
    assert any(entry.action == "dropped" and "max_length = 16" in entry.reason for entry in refusing.entries)


# ---------------------------------------------------------------------------------------------------- packs and pieces
def _gradient(lm: str, folder: Path, tokens_per_pack: int, head: Any) -> tuple[float, torch.Tensor]:
    reward = load_process_for_training(lm, policy=StepPolicy(separator="\n"), head=head)
    units = build_step_units(toy_solutions(24, per_problem=4), reward.encoder, "soft").units
    arguments = TrainingArguments(output_dir=str(folder), report_to="none", use_cpu=True)
    trainer = TreeTrainer(
        net=reward.net, args=arguments, units=units, objective=ProcessObjective(StepLoss(COMBINE_OF[head])),
        tokens_per_pack=tokens_per_pack, lr_head=1.0,
    )  # fmt: skip
    loss = trainer.training_step(trainer.model, {"unit": torch.arange(len(units))})
    return float(loss), torch.cat([p.grad.flatten() for p in reward.net.parameters() if p.grad is not None])


@pytest.mark.parametrize("head", ["scalar", "two-class"])
def test_the_gradient_does_not_depend_on_the_packs(head: Any, lm: str, tmp_path: Path) -> None:
    """One pack, several, and packs so small that a problem is split between its solutions, each read several times."""
    whole = _gradient(lm, tmp_path, 100_000, head)
    for tokens in (200, 30):
        loss, gradient = _gradient(lm, tmp_path, tokens, head)
        assert loss == pytest.approx(whole[0], rel=1e-5)
        torch.testing.assert_close(gradient, whole[1], rtol=1e-3, atol=2e-6)


def test_counts_of_the_log() -> None:
    units = build_step_units(SOLUTIONS[:2], encoder(), "soft").units
    counts = ProcessObjective(StepLoss((1.0,))).counts(torch.tensor([1.0, -1.0, -2.0, 0.0]), units)
    # labels 1, 0.4, 0.9, 0.8: right, found, wrong, and a logit of 0 that counts one half
    assert counts == {"steps": 4.0, "decided": 4.0, "right": 2.5, "wrong": 1.0, "found": 1.0}
