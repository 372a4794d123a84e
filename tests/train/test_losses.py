"""The torch losses: equal to their numpy references, lawful, stable, differentiable."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from karat.errors import InputError
from karat.numerics import attributes, preference_likelihood
from karat.train.config import LossName, TrainConfig
from karat.train.losses import PairBatch, PairLoss, count_missing_strength, make_loss
from karat.types import PreferencePair

KINDS: tuple[LossName, ...] = ("bt", "margin", "strength", "robust")
N_PAIRS, N_RESPONSES, N_HEADS = 11, 9, 3


def rewards(seed: int = 0, heads: int = N_HEADS) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 3, (N_RESPONSES, heads)))


def batch(seed: int = 1, heads: int = N_HEADS, **changes: Any) -> PairBatch:
    rng = np.random.default_rng(seed)
    strength = rng.uniform(0, 3, N_PAIRS)
    strength[2] = math.nan
    label = rng.uniform(0.5, 1, N_PAIRS)
    label[:3] = 1.0, 0.5, 1.0
    made = PairBatch(
        chosen=torch.from_numpy(rng.integers(0, 4, N_PAIRS)),
        rejected=torch.from_numpy(rng.integers(4, N_RESPONSES, N_PAIRS)),
        label=torch.from_numpy(label),
        strength=torch.from_numpy(strength),
        weight=torch.from_numpy(rng.dirichlet(np.ones(N_PAIRS))),
        head_weight=torch.from_numpy(rng.exponential(size=(N_PAIRS, heads))),
    )
    return replace(made, **changes)


def take(whole: PairBatch, index: slice) -> PairBatch:
    names = ("chosen", "rejected", "label", "strength", "weight", "head_weight")
    return replace(whole, **{name: getattr(whole, name)[index] for name in names})


def one_pair(
    chosen: float, rejected: float, loss: PairLoss, *, label: float = 1.0, strength: float = math.nan
) -> float:
    single = PairBatch(
        chosen=torch.tensor([0]),
        rejected=torch.tensor([1]),
        label=torch.tensor([label]),
        strength=torch.tensor([strength]),
        weight=torch.tensor([1.0]),
        head_weight=torch.ones(1, 1),
    )
    return float(loss(torch.tensor([[chosen], [rejected]], dtype=torch.float64), single).detach())


def in_numpy(kind: LossName, reward_RH: np.ndarray, pairs: PairBatch, *, center: float) -> float:
    total = 0.0
    n_heads = reward_RH.shape[1]
    label, strength = pairs.label.numpy(), pairs.strength.numpy()
    for head in range(n_heads):
        chosen, rejected = reward_RH[pairs.chosen.numpy(), head], reward_RH[pairs.rejected.numpy(), head]
        loss = {
            "bt": lambda d: preference_likelihood.bradley_terry_loss(d, label),
            "margin": lambda d: preference_likelihood.margin_loss(d, label, strength),
            "strength": lambda d: preference_likelihood.scaled_loss(d, label, strength),
            "robust": lambda d: preference_likelihood.robust_loss(d, label, flip_rate=0.15),
        }[kind](chosen - rejected)
        loss = loss + center * preference_likelihood.centering_penalty(chosen, rejected)
        total += float(np.sum(pairs.weight.numpy() * pairs.head_weight[:, head].numpy() * loss)) / n_heads
    return total


@pytest.mark.parametrize("center", [0.0, 0.01])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_numpy_reference(kind: LossName, center: float) -> None:
    found = PairLoss(kind, flip_rate=0.15, center=center)(rewards(), batch())
    assert float(found) == pytest.approx(in_numpy(kind, rewards().numpy(), batch(), center=center), abs=1e-12)


def test_hand_values() -> None:
    assert one_pair(0.0, 0.0, PairLoss("bt")) == pytest.approx(math.log(2))
    assert one_pair(math.log(3), 0.0, PairLoss("bt")) == pytest.approx(math.log(4 / 3))  # sigma(log 3) = 3/4
    assert one_pair(math.log(3), 0.0, PairLoss("margin"), strength=math.log(3)) == pytest.approx(math.log(2))
    assert one_pair(math.log(3), 0.0, PairLoss("strength"), strength=3.0) == pytest.approx(3 * math.log(4 / 3))
    # 0.8 * 3/4 + 0.1 = 0.7
    assert one_pair(math.log(3), 0.0, PairLoss("robust", flip_rate=0.1)) == pytest.approx(-math.log(0.7))
    assert one_pair(2.0, -1.0, PairLoss("bt", center=0.5)) == pytest.approx(math.log1p(math.exp(-3)) + 0.5)


def test_missing_strength_is_plain_bradley_terry() -> None:
    plain = one_pair(1.3, 0.2, PairLoss("bt"))
    assert one_pair(1.3, 0.2, PairLoss("margin")) == plain
    assert one_pair(1.3, 0.2, PairLoss("strength")) == plain


@pytest.mark.parametrize("kind", KINDS)
def test_swapping_the_responses_and_the_label_changes_nothing(kind: LossName) -> None:
    loss, pairs = PairLoss(kind, flip_rate=0.2, center=0.1), batch()
    swapped = replace(pairs, chosen=pairs.rejected, rejected=pairs.chosen, label=1 - pairs.label)
    assert float(loss(rewards(), swapped)) == pytest.approx(float(loss(rewards(), pairs)), abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_changes_only_the_centering(kind: LossName) -> None:
    free, centered = PairLoss(kind, flip_rate=0.2), PairLoss(kind, flip_rate=0.2, center=0.1)
    assert float(free(rewards() + 7, batch())) == pytest.approx(float(free(rewards(), batch())), abs=1e-12)
    assert float(centered(rewards() + 7, batch())) > float(centered(rewards(), batch())) + 1


@pytest.mark.parametrize("kind", KINDS)
def test_packs_add_up_to_the_step(kind: LossName) -> None:
    loss, whole = PairLoss(kind, flip_rate=0.2, center=0.1), batch()
    parts = [loss(rewards(), take(whole, slice(start, start + 4))) for start in range(0, N_PAIRS, 4)]
    assert float(sum(parts)) == pytest.approx(float(loss(rewards(), whole)), abs=1e-12)


def test_robust_without_flips_is_bradley_terry() -> None:
    robust, plain = rewards().requires_grad_(), rewards().requires_grad_()
    PairLoss("robust", flip_rate=0.0)(robust, batch()).backward()
    PairLoss("bt")(plain, batch()).backward()
    assert robust.grad is not None
    assert torch.allclose(robust.grad, plain.grad, atol=1e-14, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flip_rate", [0.0, 0.15, -1.0])
def test_gradients(kind: LossName, flip_rate: float) -> None:
    loss = PairLoss(kind, flip_rate=flip_rate, center=0.01).double()
    assert torch.autograd.gradcheck(lambda reward_RH: loss(reward_RH, batch()), (rewards().requires_grad_(),))


def test_gradient_of_the_flip_rate() -> None:
    loss = PairLoss("robust").double()
    assert [name for name, _ in loss.named_parameters()] == ["flip_logit"]
    assert loss.flip_rate == pytest.approx(0.1)

    def of_logit(logit: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(loss, {"flip_logit": logit}, (rewards(), batch()))

    assert torch.autograd.gradcheck(of_logit, (torch.tensor(-0.4, dtype=torch.float64, requires_grad=True),))


def test_the_flip_rate_is_learned_from_flipped_labels() -> None:
    rng = np.random.default_rng(0)
    margin = rng.normal(0, 4, 4000)
    wins = np.where(rng.random(4000) < 0.2, -1, 1) * np.where(rng.random(4000) < 1 / (1 + np.exp(-margin)), 1, -1)
    pairs = PairBatch(
        chosen=torch.arange(4000),
        rejected=torch.full((4000,), 4000),
        label=torch.ones(4000),
        strength=torch.full((4000,), math.nan),
        weight=torch.full((4000,), 1 / 4000),
        head_weight=torch.ones(4000, 1),
    )
    reward_RH = torch.from_numpy(np.append(margin * wins, 0.0)[:, None]).float()
    loss = PairLoss("robust")
    optimiser = torch.optim.LBFGS(loss.parameters(), max_iter=50)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        found = loss(reward_RH, pairs)
        found.backward()
        return found

    optimiser.step(closure)
    assert loss.flip_rate == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("margin", [1e4, -1e4])
def test_huge_margins_stay_finite_in_float32(kind: LossName, margin: float) -> None:
    reward_RH = torch.tensor([[margin], [0.0]], requires_grad=True)
    pairs = PairBatch(
        chosen=torch.tensor([0, 0]),
        rejected=torch.tensor([1, 1]),
        label=torch.tensor([1.0, 0.5]),
        strength=torch.tensor([1.0, math.nan]),
        weight=torch.tensor([0.5, 0.5]),
        head_weight=torch.ones(2, 1),
    )
    loss = PairLoss(kind)
    found = loss(reward_RH, pairs)
    found.backward()
    assert torch.isfinite(found)
    assert reward_RH.grad is not None
    assert torch.isfinite(reward_RH.grad).all()
    if kind == "bt":  # the wrong pair costs |d| where d < 0, the tie |d| / 2 on either side
        assert found.item() == pytest.approx(2500 if margin > 0 else 7500)
    if kind == "robust":  # a flip explains any wrong pair at the price of -log e, here with e = 0.1
        assert found.item() < -math.log(0.1)


def test_all_ties_pull_the_margin_to_zero() -> None:
    reward_RH = torch.tensor([[2.0], [0.0]], dtype=torch.float64, requires_grad=True)
    tie = take(batch(heads=1, label=torch.full((N_PAIRS,), 0.5)), slice(0, 1))
    tie = replace(tie, chosen=torch.tensor([0]), rejected=torch.tensor([1]))
    PairLoss("bt")(reward_RH, tie).backward()
    assert reward_RH.grad is not None
    assert reward_RH.grad[0, 0] > 0 > reward_RH.grad[1, 0]


def test_half_precision_rewards_are_widened() -> None:
    assert PairLoss("bt")(rewards().bfloat16(), batch()).dtype == torch.float32


# ---------------------------------------------------------------------------------------------------------- attributes
def test_attributes_equal_the_numpy_reference() -> None:
    rng = np.random.default_rng(3)
    rating_RA = rng.normal(size=(N_RESPONSES, 2))
    rating_RA[rng.random((N_RESPONSES, 2)) < 0.4] = math.nan
    pairs = batch(heads=2, ratings=torch.from_numpy(rating_RA))
    weights = np.array([1.0, -0.5])
    head_RA = rewards(heads=2).numpy()
    score_R = head_RA @ weights
    error_R = attributes.rating_loss(head_RA, rating_RA)
    chosen, rejected = pairs.chosen.numpy(), pairs.rejected.numpy()
    loss_P = preference_likelihood.bradley_terry_loss(score_R[chosen] - score_R[rejected], pairs.label.numpy())
    wanted = np.sum(pairs.weight.numpy() * (loss_P + (error_R[chosen] + error_R[rejected]) / 2))
    found = make_loss(TrainConfig(), ("help", "verbosity"), weights)(rewards(heads=2), pairs)
    assert float(found) == pytest.approx(float(wanted), abs=1e-12)


def test_a_missing_rating_sends_no_gradient() -> None:
    rating_RA = torch.full((N_RESPONSES, 2), math.nan, dtype=torch.float64)
    loss = make_loss(TrainConfig(), ("a", "b"), (1.0, 0.0))
    reward_RH = rewards(heads=2).requires_grad_()
    loss(reward_RH, batch(heads=2, ratings=rating_RA)).backward()
    assert reward_RH.grad is not None
    assert reward_RH.grad[:, 0].abs().sum() > 0  # through the preference
    assert reward_RH.grad[:, 1].abs().sum() == 0  # weight 0, no rating
    assert torch.autograd.gradcheck(
        lambda reward: loss(reward, batch(heads=2, ratings=rating_RA)), (rewards(heads=2).requires_grad_(),)
    )


# ------------------------------------------------------------------------------------------------------------ messages
def test_count_missing_strength() -> None:
    def pairs(*strengths: float) -> list[PreferencePair]:
        return [PreferencePair("p", "a", "b", strength=value, row=7 + i) for i, value in enumerate(strengths)]

    assert count_missing_strength(pairs(1.0, math.nan, 0.0)) == 1
    with pytest.raises(InputError, match=r"none of the 2 pairs has a strength .* use --loss bt"):
        count_missing_strength(pairs(math.nan, math.nan))
    with pytest.raises(InputError, match=r"1 of 2 are negative or infinite \(first: pair 1, row 8, -2.0\)"):
        count_missing_strength(pairs(1.0, -2.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": torch.ones(N_PAIRS + 1)}, r"label: shape \(12,\), but chosen has 11 pairs"),
        ({"label": torch.full((N_PAIRS,), 1.5)}, r"label: pair 0 has 1.5; it must be a probability"),
        ({"weight": torch.full((N_PAIRS,), -1.0)}, r"weight: pair 0 has -1.0"),
        ({"strength": torch.full((N_PAIRS,), math.inf)}, r"strength: pair 0 has inf; it must be finite"),
        ({"rejected": torch.full((N_PAIRS,), -1)}, r"rejected: pair 0 has -1; it must be an index"),
        ({"head_weight": torch.ones(N_PAIRS)}, r"head_weight: shape \(11,\), must be \(11, heads\)"),
    ],
)
def test_batch_messages(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        batch(**changes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_strength_below_0_stops_only_the_losses_that_use_it(kind: LossName) -> None:
    """Sets whose scores contradict their labels carry such strengths; plain Bradley-Terry trains on them."""
    contradicted = batch(strength=torch.full((N_PAIRS,), -1.0))
    if kind in ("margin", "strength"):
        with pytest.raises(InputError, match=r"strength: pair 0 has -1.0; it must be 0 or more"):
            PairLoss(kind)(rewards(), contradicted)
    else:
        assert PairLoss(kind)(rewards(), contradicted) == PairLoss(kind)(rewards(), batch())


def test_head_messages() -> None:
    with pytest.raises(InputError, match="head_weight: 3 heads, but the rewards have 2"):
        PairLoss("bt")(rewards(heads=2), batch())
    with pytest.raises(InputError, match="3 heads for 2 attributes"):
        PairLoss("bt", attribute_weight_A=(1.0, 1.0))(rewards(), batch())
    with pytest.raises(InputError, match=r"ratings: shape \(9, 1\), must be \(9, 2\)"):
        PairLoss("bt", attribute_weight_A=(1.0, 1.0))(rewards(heads=2), batch(heads=2, ratings=torch.ones(9, 1)))
    with pytest.raises(InputError, match="1 names and 0 weights"):
        make_loss(TrainConfig(), ("a",))
    with pytest.raises(InputError, match="the weight of 'a' is nan"):
        make_loss(TrainConfig(), ("a",), (math.nan,))
    with pytest.raises(InputError, match="every weight is 0"):
        make_loss(TrainConfig(), ("a",), (0.0,))


def test_only_an_estimated_flip_rate_is_a_parameter() -> None:
    assert not list(make_loss(TrainConfig()).parameters())
    assert not list(make_loss(TrainConfig(loss="robust", flip_rate=0.1)).parameters())
    assert len(list(make_loss(TrainConfig(loss="robust")).parameters())) == 1
    assert make_loss(TrainConfig(loss="robust", flip_rate=0.1)).flip_rate == 0.1
    assert math.isnan(make_loss(TrainConfig()).flip_rate)
