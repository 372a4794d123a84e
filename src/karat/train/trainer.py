"""transformers.Trainer over packed token trees: one optimiser step is a set of units, divided into packs.

The gradient of a step does not depend on how it is packed: pack losses are sums whose weights belong to the step. Where
one tree is larger than a pack its branches are scored in pieces: rewards first, without gradient; then the loss and its
gradient at the rewards; then each piece again, backward from that gradient (as in GradCache, Gao et al. 2021,
arXiv 2101.06983). Exact for any loss, at the price of one more forward pass.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from karat.errors import InputError
from karat.rewards.backbone import RewardNet
from karat.rewards.tree import Piece, TreePack, pack_trees, plan_packs
from karat.train.objective import Objective
from karat.train.trunk_cache import TrunkCache
from karat.train.units import HasTree


class TrainedNet(nn.Module):
    """The network and the loss as one module, so that a trainable flip rate is saved and resumed with the weights."""

    def __init__(self, net: RewardNet, loss: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.loss = loss

    def forward(self, pack: TreePack) -> Tensor:
        reward_RH: Tensor = self.net(pack)
        return reward_RH


class UnitIndices(torch.utils.data.Dataset[dict[str, int]]):
    """Numbers of units; the trees themselves stay where they are."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> dict[str, int]:
        return {"unit": index}


def collate(items: Sequence[dict[str, int]]) -> dict[str, Tensor]:
    return {"unit": torch.tensor([item["unit"] for item in items])}


class TreeTrainer(Trainer):
    """A Trainer whose step runs over token trees.

    Args (besides the Trainer's own):
        units: the training units, indexed by the dataset.
        objective: what is made of the rewards: the loss, and the counts for the log.
        tokens_per_pack: most tokens in one forward pass.
        lr_head: learning rate of the head (and of a trainable flip rate).
        cache: activations of frozen layers, when there are any.
    """

    def __init__(
        self,
        *,
        net: RewardNet,
        args: TrainingArguments,
        units: Sequence[HasTree],
        objective: Objective[Any],
        tokens_per_pack: int,
        lr_head: float,
        cache: TrunkCache | None = None,
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        super().__init__(
            model=TrainedNet(net, objective.loss),
            args=args,
            train_dataset=UnitIndices(len(units)),
            data_collator=collate,
            callbacks=callbacks,
        )
        self.remove_callback(PrinterCallback)  # it prints the log to standard output, which belongs to the result
        self.units = units
        self.objective: Objective[Any] = objective
        self.tokens_per_pack = tokens_per_pack
        self.lr_head = lr_head
        self.cache = cache
        self._recent: list[dict[str, float]] = []

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Two groups: the trunk at the learning rate, head and loss parameters at lr_head."""
        if self.optimizer is None:
            kind, options = self.get_optimizer_cls_and_kwargs(self.args)
            trained = cast(TrainedNet, self.model)
            trunk = [p for p in trained.net.trunk.parameters() if p.requires_grad]
            head = [p for p in (*trained.net.head.parameters(), *trained.loss.parameters()) if p.requires_grad]
            groups = [{"params": trunk, "lr": self.args.learning_rate}, {"params": head, "lr": self.lr_head}]
            self.optimizer = kind([group for group in groups if group["params"]], **options)
        return self.optimizer

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Forward and backward over one step's units; returns the step's loss, detached."""
        model.train()
        indices = inputs["unit"].tolist()
        units = [self.units[index] for index in indices]
        plan = plan_packs([unit.tree for unit in units], self.tokens_per_pack)
        split = any(len(p.branches) < len(units[p.tree].tree.branches) for pieces in plan for p in pieces)
        run = self._step_in_pieces if split else self._step_by_packs
        loss, reward_RH = run(model, units, indices, plan)
        if not torch.isfinite(loss):
            raise InputError(
                f"the loss is {float(loss)} at step {self.state.global_step + 1}: training has diverged. "
                f"Lower --lr (now {self.args.learning_rate:g}) or use --dtype float32; the last checkpoint is kept."
            )
        self._note(reward_RH, units)
        return loss

    def _step_by_packs(
        self, model: nn.Module, units: Sequence[HasTree], indices: Sequence[int], plan: list[list[Piece]]
    ) -> tuple[Tensor, Tensor]:
        total, rewards = torch.zeros((), device=self.args.device), []
        for number, pieces in enumerate(plan):
            here = [units[piece.tree] for piece in pieces]
            with self._sync(model, last=number == len(plan) - 1):
                reward_RH = model(self._pack(units, indices, pieces))
                loss = self._loss(reward_RH, self._batch(here, len(units)))
                self.accelerator.backward(loss)
            total += loss.detach()
            rewards.append(reward_RH.detach())
        return total, torch.cat(rewards)

    def _step_in_pieces(
        self, model: nn.Module, units: Sequence[HasTree], indices: Sequence[int], plan: list[list[Piece]]
    ) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            reward_RH = torch.cat([model(self._pack(units, indices, pieces)) for pieces in plan])
        reward_RH = reward_RH.requires_grad_()
        loss = self._loss(reward_RH, self._batch(units, len(units)))
        torch.autograd.backward(loss)  # reaches the rewards, and the flip rate where it is trained
        gradient_RH = reward_RH.grad
        assert gradient_RH is not None
        at = 0
        for number, pieces in enumerate(plan):
            n = sum(units[piece.tree].tree.n_reads(piece.branches) for piece in pieces)
            with self._sync(model, last=number == len(plan) - 1):
                again_RH = model(self._pack(units, indices, pieces))
                self.accelerator.backward((again_RH * gradient_RH[at : at + n]).sum())
            at += n
        return loss.detach(), reward_RH.detach()

    def _sync(self, model: nn.Module, *, last: bool) -> contextlib.AbstractContextManager[None]:
        """Gradients are exchanged between processes once per step, with its last pack."""
        return contextlib.nullcontext() if last else self.accelerator.no_sync(model)

    def _pack(self, units: Sequence[HasTree], indices: Sequence[int], pieces: Sequence[Piece]) -> TreePack:
        trees = [units[piece.tree].tree.subset(piece.branches) for piece in pieces]
        if self.cache is None:
            return pack_trees(trees)
        return pack_trees(trees, [self._cached(units[p.tree], indices[p.tree], p.branches) for p in pieces])

    def _cached(self, unit: HasTree, index: int, branches: Sequence[int]) -> np.ndarray:
        """Rows of the cache that belong to the root and to some of the branches, (tokens, D)."""
        assert self.cache is not None
        hidden_ND = self.cache[index]
        if len(branches) == len(unit.tree.branches):
            return hidden_ND
        n_root = len(unit.tree.root)
        ends = n_root + np.cumsum([len(branch) for branch in unit.tree.branches])
        rows = [np.arange(ends[b] - len(unit.tree.branches[b]), ends[b]) for b in branches]
        return np.asarray(hidden_ND[np.concatenate([np.arange(n_root), *rows])])

    def _batch(self, units: Sequence[HasTree], n_units: int) -> Any:
        return self.objective.batch(units, n_units).to(self.args.device)

    def _loss(self, reward_RH: Tensor, batch: Any) -> Tensor:
        trained: TrainedNet = self.accelerator.unwrap_model(self.model)
        loss: Tensor = trained.loss(reward_RH, batch)
        return loss

    def _note(self, reward_RH: Tensor, units: Sequence[HasTree]) -> None:
        """Exact counts of this step, for the log."""
        trained: TrainedNet = self.accelerator.unwrap_model(self.model)
        reward_R = reward_RH @ trained.net.combine_H.to(reward_RH)
        tokens = {"tokens": float(sum(unit.tree.n_tokens for unit in units))}
        self._recent.append(self.objective.counts(reward_R, units) | tokens)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what the objective makes of the exact counts since the last entry."""
        if "loss" in logs and self._recent:
            sums = {name: sum(step[name] for step in self._recent) for name in self._recent[0]}
            logs = {**logs, **self.objective.summary(sums), "unique_tokens": sums["tokens"]}
            self._recent.clear()
        super().log(logs, start_time)


class Pace(TrainerCallback):
    """Counts labelled items (pairs, steps) and tokens against the clock, and reports progress with items per second."""

    def __init__(
        self, progress: Callable[..., None] | None, items_per_step: float, tokens_per_step: float, *, items: str
    ) -> None:
        self.progress = progress
        self.items_per_step = items_per_step
        self.tokens_per_step = tokens_per_step
        self.items = items
        self.steps = 0
        self.seconds = 0.0
        self._began = 0.0

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._began = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.seconds += time.perf_counter() - self._began
        self.steps += 1
        if self.progress:
            rate = self.steps * self.items_per_step / self.seconds
            self.progress("training", state.global_step, state.max_steps, f"{rate:.2f} {self.items}/s")
