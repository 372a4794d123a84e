"""What the trainer logs beside the loss: exact counts of the pairs since the last entry."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import Trainer

from karat.rewards.tree import TokenTree
from karat.train.losses import PairLoss
from karat.train.objective import PairObjective
from karat.train.trainer import TreeTrainer
from karat.train.units import Unit


def unit(*labels: float) -> Unit:
    """One prompt with three responses; every pair prefers the first to the second."""
    n = len(labels)
    tree = TokenTree((5, 6), ((7,), (8,), (9,)))
    return Unit(tree, chosen=(0,) * n, rejected=(1,) * n, label=labels, strength=(math.nan,) * n, prompt_id="p")


def logged(monkeypatch: pytest.MonkeyPatch, *steps: tuple[list[list[float]], list[Unit]]) -> dict[str, float]:
    found: dict[str, float] = {}
    monkeypatch.setattr(Trainer, "log", lambda self, logs, start_time=None: found.update(logs))
    trainer: Any = object.__new__(TreeTrainer)
    trainer._recent = []
    trainer.objective = PairObjective(PairLoss("bt"), {})
    trainer.model = SimpleNamespace(net=SimpleNamespace(combine_H=torch.tensor([0.5, 0.5])))
    trainer.accelerator = SimpleNamespace(unwrap_model=lambda model: model)
    for rewards, units in steps:
        trainer._note(torch.tensor(rewards), units)
    trainer.log({"loss": 0.1})
    assert trainer._recent == []
    return found


def test_counts_are_exact_over_steps_of_unequal_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Margins by hand, heads averaged: 1 and 1 (right), 0 (a half), -2 (wrong), and one of a tied label, left out."""
    first = ([[2.0, 0.0], [0.0, 0.0], [9.0, 9.0]], [unit(1.0, 0.8)])
    second = ([[1.0, 1.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [2.0, 2.0], [0.0, 0.0]], [unit(1.0), unit(0.9, 0.5)])
    found = logged(monkeypatch, first, second)
    assert found["accuracy"] == (2 + 0.5 + 0) / 4
    assert found["margin"] == (1 + 1 + 0 - 2 - 2) / 5
    assert (found["pairs"], found["unique_tokens"]) == (5, 15)


def test_only_tied_labels_have_no_accuracy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert math.isnan(logged(monkeypatch, ([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]], [unit(0.5)]))["accuracy"])
