"""Options of `karat train`: one frozen dataclass; the command line is generated from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from karat.data.reading import ReadingConfig
from karat.errors import InputError
from karat.options import option, require_ranges
from karat.types import TOKENS_PER_PACK

LossName = Literal["bt", "margin", "strength", "robust"]
AUGMENTATIONS = ("rrm", "counterfactual")


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How a network is fitted, whatever the labels. Lengths in tokens, rates per step.

    Without slots: Python joins no two classes that both have some.
    """

    model: str = option("default", "Backbone: hub name, local folder, or 'default' (SmolLM2-135M-Instruct).")
    pairs_per_step: int = option(
        8, "Preference pairs in one optimiser step (with --group: prompts; with --process: problems, each in whole)."
    )
    max_steps: int = option(-1, "Stop after this many optimiser steps; -1: as many as --epochs asks for.")
    epochs: float = option(
        1.0, "Passes over the training data. Reward models over-fit quickly; 1 is the field's habit."
    )
    lr: float = option(
        0.0, "Peak learning rate; 0: 2e-5 for the trunk in full, 1e-4 with --freeze-below, 2e-4 with --lora."
    )
    lr_head: float = option(0.0, "Peak learning rate of the reward head; 0: ten times --lr.")
    warmup: float = option(0.05, "Share of the steps over which the learning rate rises from 0.")
    schedule: str = option(
        "cosine", "Learning-rate schedule, by its transformers name (cosine, linear, constant, ...)."
    )
    weight_decay: float = option(0.0, "AdamW weight decay.")
    seed: int = option(0, "Seed of the head's initial weights, the order of pairs and the bootstrap weights.")
    max_length: int = option(
        2048, "Longest prompt + response, tokens. Longer ones lose their oldest turns (or steps) first, counted."
    )
    lora: int = option(0, "LoRA rank; 0: no adapter. The saved folder is merged.")
    freeze_below: int = option(
        0, "Freeze the embedding and the layers below this one; their output is computed once and cached."
    )
    gradient_checkpointing: bool = option(
        False, "Recompute activations in the backward pass: less memory, a third more time."
    )
    tokens_per_pack: int = option(
        TOKENS_PER_PACK, "Most tokens in one forward pass; bounds the memory whatever the step's size."
    )
    test_fraction: float = option(0.1, "Share of prompts held out for the evaluation; 0: none.")
    test_data: str = option("", "Pairs (with --process: solutions) to evaluate on instead of a held-out share.")
    test_split: str = option("", "Split of --test-data, where that is a folder or hub data set.")
    save_steps: int = option(50, "Steps between checkpoints; a killed run resumes from the last complete one.")
    log_steps: int = option(1, "Steps between log entries.")
    report_to: str = option(
        "none", "Trackers, by their transformers names, comma-separated (wandb, trackio, tensorboard, ...)."
    )
    dtype: Literal["float32", "bfloat16"] = option("float32", "Type of the weights and of the arithmetic.")
    overwrite: bool = option(False, "Replace what --out holds from another run; this one, if it was killed, resumes.")

    def __post_init__(self) -> None:
        checks = (
            ("pairs_per_step", self.pairs_per_step >= 1, "at least 1"),
            ("max_steps", self.max_steps == -1 or self.max_steps >= 1, "-1 or at least 1"),
            ("epochs", self.epochs > 0, "more than 0"),
            ("lr", self.lr >= 0, "0 (automatic) or more"),
            ("lr_head", self.lr_head >= 0, "0 (automatic) or more"),
            ("warmup", 0 <= self.warmup < 1, "in [0, 1)"),
            ("max_length", self.max_length >= 8, "at least 8 tokens"),
            ("lora", self.lora >= 0, "0 or more"),
            ("freeze_below", self.freeze_below >= 0, "0 or more"),
            ("tokens_per_pack", self.tokens_per_pack >= 1, "at least 1"),
            ("test_fraction", 0 <= self.test_fraction < 1, "in [0, 1)"),
            ("save_steps", self.save_steps >= 1, "at least 1"),
            ("log_steps", self.log_steps >= 1, "at least 1"),
            ("dtype", self.dtype in ("float32", "bfloat16"), "float32 or bfloat16"),
        )
        require_ranges(self, checks)
        if self.lora and self.freeze_below:
            raise InputError(f"lora = {self.lora} and freeze_below = {self.freeze_below} exclude each other; drop one.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig(ReadingConfig, FitConfig):
    """How a reward model is trained from preference pairs. Probabilities in [0, 1]."""

    loss: LossName = option(
        "bt", "bt, margin (needs a strength), strength (scaled by it), or robust (label-flip noise)."
    )
    flip_rate: float = option(
        -1.0, "For --loss robust: share of flipped labels in [0, 0.5); -1: estimated while training."
    )
    center: float = option(
        0.0, "Weight of the centering penalty (r_chosen + r_rejected)^2 on the loss; 0.01 is common."
    )
    augment: str = option(
        "",
        "Pairs to add, comma-separated: rrm (responses to other prompts lose, or tie among themselves), counterfactual "
        "(the same response, padded or formatted).",
    )
    augment_per_pair: int = option(1, "Pairs that each kind of --augment adds for one of the data.")
    plain_label: float = option(
        0.5, "For counterfactual: probability that the plain response is preferred to the edited; 0.5 is a tie."
    )
    consistency: float = option(
        0.0, "Weight of (r(y) - r(y reworded))^2; reWordBench takes 10. Rewordings: see --paraphraser."
    )
    paraphraser: str = option(
        "",
        "For --consistency: module:function, called with a list of responses, returns as many texts or None; empty: "
        "the columns chosen_paraphrase and rejected_paraphrase, else built-in rewordings of the surface.",
    )
    group: bool = option(
        False, "All pairs of a prompt form one group whose loss is their mean (InstructGPT's K-wise batches)."
    )
    heads: int = option(
        1, "Reward heads on the one trunk, each with its own bootstrap of the prompts; spread = uncertainty."
    )
    attributes: str = option(
        "", "Attribute heads, comma-separated, as name or name=weight; 'auto': all that the data carries."
    )
    split_by: Literal["prompt", "source"] = option("prompt", "What is never on both sides of the split.")

    def __post_init__(self) -> None:
        ReadingConfig.__post_init__(self)
        FitConfig.__post_init__(self)
        checks = (
            ("loss", self.loss in ("bt", "margin", "strength", "robust"), "one of bt, margin, strength, robust"),
            ("flip_rate", self.flip_rate == -1 or 0 <= self.flip_rate < 0.5, "-1 (estimate) or in [0, 0.5)"),
            ("center", self.center >= 0, "0 or more"),
            ("augment_per_pair", self.augment_per_pair >= 1, "at least 1"),
            ("plain_label", 0.5 <= self.plain_label <= 1, "in [0.5, 1]"),
            ("consistency", self.consistency >= 0, "0 or more"),
            ("heads", 1 <= self.heads <= 1024, "1 to 1024"),
            ("split_by", self.split_by in ("prompt", "source"), "prompt or source"),
        )
        require_ranges(self, checks)
        for kind in self.augmentations:
            if kind not in AUGMENTATIONS:
                raise InputError(f"augment: there is no {kind!r}; there are: {', '.join(AUGMENTATIONS)}.")
        if self.paraphraser and not self.consistency:
            raise InputError("paraphraser is for --consistency: give its weight, or drop the paraphraser.")
        if self.heads > 1 and self.attributes:
            raise InputError(
                "heads and attributes exclude each other: attribute heads are named, bootstrap heads are not."
            )

    @property
    def augmentations(self) -> tuple[str, ...]:
        """The kinds that `augment` names."""
        return tuple(dict.fromkeys(kind.strip() for kind in self.augment.split(",") if kind.strip()))
