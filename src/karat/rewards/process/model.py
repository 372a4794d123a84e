"""A process reward model on disk and in memory: a decoder with one logit per step, read at the end of each step.

Folder: that of an outcome reward (`karat.rewards.model`), so that transformers and vLLM load it as a classifier whose
one output, at the last token of a step's separator, is the step's logit. The manifest says `"kind": "process reward
model"` and, under "process", what `ProcessFacts` holds.

Heads: "scalar", one logit; or "two-class", one of right and one of wrong. The probability of a step is the logistic
function of the logit, or of the difference of the two: what a softmax over two classes gives.

Axes: S steps of one solution, R read positions, H heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from scipy.special import expit

from karat.errors import DataError, InputError, ModelError
from karat.numerics.process_aggregation import AGGREGATES, advice, aggregate
from karat.rewards.backbone import RewardNet, load_network
from karat.rewards.groups import Group
from karat.rewards.kinds import plain_text
from karat.rewards.model import (
    PROCESS_KIND,
    choose_pad_token,
    load_saved_network,
    load_tokenizer,
    place_for_scoring,
    read_manifest,
    require_same_encoding,
    save_reward_model,
    score_trees,
    vocabulary_of,
)
from karat.rewards.process.encoding import EncodedSteps, StepEncoder, StepPolicy
from karat.rewards.process.problem import StepProblem, split_steps_of
from karat.types import NAN, TOKENS_PER_PACK, Score, Text

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HeadKind = Literal["scalar", "two-class"]
HEADS_OF: dict[str, tuple[str, ...]] = {"scalar": ("reward",), "two-class": ("right", "wrong")}
COMBINE_OF: dict[str, tuple[float, ...]] = {"scalar": (1.0,), "two-class": (1.0, -1.0)}


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What a process reward is besides its network and its encoding; stored with it."""

    labels: str = ""
    """What its labels say of a step, one of `process_aggregation.LABELS`; empty: not known."""
    aggregate: str = ""
    """What makes a solution's score of its steps'; empty: what fits the labels."""
    likelihood: str = ""
    """What it was trained by; empty: not known."""
    bias: float = 0.0
    """Added to the logit; heads that karat trains have none."""
    split_on: str = ""
    """What ends a step in the responses that `score` is given; empty: the separator."""
    threshold: float | None = None
    """Probability below which a step is called wrong, where one was tuned."""
    threshold_split: str = ""
    """The data that the threshold was tuned on."""

    def __post_init__(self) -> None:
        if self.aggregate and self.aggregate not in AGGREGATES:
            raise InputError(f"aggregate = {self.aggregate!r} is not one of {', '.join(AGGREGATES)}.")
        if self.threshold is not None and not self.threshold_split:
            raise InputError(f"threshold = {self.threshold:g} without threshold_split; name the data it was tuned on.")


@dataclass(frozen=True, slots=True)
class StepScores:
    """Scores of the steps of a solution; NaN where a step has none, with the reason."""

    prob_S: np.ndarray
    missing: str = ""


class ProcessReward:
    """A reward that is a network read at each step. Satisfies `karat.rewards.Reward` and `StepScorer`.

    Attributes:
        name: what the user called it (folder or hub name, with @aggregate where given).
        head_names: of the reward, whose score is the aggregate: one.
        network_heads: of the network.
        manifest: the content of karat.json; empty for a folder that karat did not write.
        n_cut: solutions scored so far some steps of which the limit of length cut.
    """

    head_names: tuple[str, ...] = ("reward",)

    def __init__(
        self,
        net: RewardNet,
        model: PreTrainedModel,
        encoder: StepEncoder,
        *,
        name: str,
        facts: ProcessFacts | None = None,
        network_heads: Sequence[str] = ("reward",),
        manifest: Mapping[str, Any] | None = None,
        tokens_per_pack: int = TOKENS_PER_PACK,
    ) -> None:
        self.net = net
        self.model = model
        self.encoder = encoder
        self.name = name
        self.facts = facts or ProcessFacts()
        self.network_heads = tuple(network_heads)
        self.manifest = dict(manifest or {})
        self.tokens_per_pack = tokens_per_pack
        self.n_cut = 0

    @classmethod
    def load(
        cls,
        path: str,
        aggregate: str = "",
        *,
        max_length: int = 0,
        tokens_per_pack: int = TOKENS_PER_PACK,
        device: str | None = None,
    ) -> ProcessReward:
        """Read a folder or hub name.

        Args:
            path: a karat folder of a process reward, or a token-classification checkpoint with two labels, as TRL's
                PRMTrainer wrote them (`process.foreign`, where other forms are loaded too).
            aggregate: one of AGGREGATES; empty: the stored one, else what fits the labels.
            max_length: tokens; 0: as in training.
            tokens_per_pack: most tokens in one forward pass.
            device: torch device; None: CUDA where there is one.
        Raises: ModelError: no process reward, or a folder whose parts contradict each other. InputError: no such
            aggregate.
        """
        manifest = read_manifest(path)
        if manifest.get("kind") != PROCESS_KIND:
            from karat.rewards.process.foreign import load_token_classifier

            reward = load_token_classifier(path)
        else:
            net, model, names = load_saved_network(path, manifest)
            stored = manifest.get("encoding", {})
            policy = StepPolicy(**_known(StepPolicy, stored))
            encoder = StepEncoder(load_tokenizer(path), policy, vocabulary=vocabulary_of(net))
            require_same_encoding(encoder, stored, path)
            facts = ProcessFacts(**_known(ProcessFacts, manifest.get("process", {})))
            reward = cls(net, model, encoder, name=path, facts=facts, network_heads=names, manifest=manifest)
        place_for_scoring(reward.net, device)
        reward.tokens_per_pack = tokens_per_pack
        if max_length:
            reward.limit_length(max_length)
        return reward.with_aggregate(aggregate) if aggregate else reward

    @property
    def aggregate(self) -> str:
        """What makes a solution's score of its steps'."""
        return self.facts.aggregate or advice(self.facts.labels).aggregate

    def with_aggregate(self, how: str) -> ProcessReward:
        """The same reward (and network) with another aggregate. Raises: InputError: there is none of that name."""
        facts = ProcessFacts(**{**asdict(self.facts), "aggregate": how})
        return ProcessReward(
            self.net,
            self.model,
            self.encoder,
            name=f"{self.name.removesuffix(f'@{self.facts.aggregate}')}@{how}",
            facts=facts,
            network_heads=self.network_heads,
            manifest=self.manifest,
            tokens_per_pack=self.tokens_per_pack,
        )

    def limit_length(self, max_length: int) -> None:
        """Another longest prompt + steps, tokens."""
        policy = StepPolicy(**{**asdict(self.encoder.policy), "max_length": max_length})
        self.encoder = StepEncoder(self.encoder.tokenizer, policy, vocabulary=self.encoder.vocabulary)

    # -------------------------------------------------------------------------------------------------------- scoring
    def score_steps(self, prompt: Text, steps: Sequence[str]) -> list[float]:
        """Probability in [0, 1] that each step of one solution is right; NaN where a step has no score.

        Raises: DataError: the solution cannot be encoded at all.
        """
        found = self.score_solutions([StepProblem(prompt, (tuple(steps),))])[0][0]
        if found.missing and np.isnan(found.prob_S).all():
            raise DataError(f"{self.name}: {found.missing}")
        return [float(value) for value in found.prob_S]

    def score_problems(self, problems: Sequence[StepProblem]) -> list[list[np.ndarray]]:
        """Probabilities of the steps, per problem and solution (S,) float64; NaN = missing."""
        return [[found.prob_S for found in row] for row in self.score_solutions(problems)]

    def score_solutions(self, problems: Sequence[StepProblem]) -> list[list[StepScores]]:
        """As `score_problems`, with the reason where a step is missing: cut, refused, or not finite."""
        encoded = self.encoder.encode_each(problems)
        self.n_cut += sum(item.solutions_cut for item in encoded if isinstance(item, EncodedSteps))
        prob_R = iter(self.score_encoded([item for item in encoded if isinstance(item, EncodedSteps)]))
        return [
            _by_solution(problem, item, next(prob_R))
            if isinstance(item, EncodedSteps)
            else [StepScores(np.full(len(steps), NAN), str(item)) for steps in problem.solutions]
            for problem, item in zip(problems, encoded, strict=True)
        ]

    def score_encoded(self, encoded: Sequence[EncodedSteps]) -> list[np.ndarray]:
        """Probabilities at the reads of each tree, (R,) float64 each; NaN where the logit is not finite."""
        combine_H = self.net.combine_H.cpu().double().numpy()
        rewards = score_trees(self.net, [item.tree for item in encoded], tokens_per_pack=self.tokens_per_pack)
        logits = [reward_RH @ combine_H + self.facts.bias for reward_RH in rewards]
        return [np.where(np.isfinite(logit_R), expit(logit_R), NAN) for logit_R in logits]

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        """The aggregate of the steps of every response, which are what `split_on` parts; missing with the reason."""
        problems: list[StepProblem] = []
        unread: dict[int, str] = {}
        for index, group in enumerate(groups):
            try:
                problems.append(self._as_problem(group))
            except InputError as error:
                unread[index] = str(error)
        rows = iter(self.score_solutions(problems))
        return [
            [Score(NAN, missing=unread[index])] * len(group.responses)
            if index in unread
            else [self._score_of(found) for found in next(rows)]
            for index, group in enumerate(groups)
        ]

    def _as_problem(self, group: Group) -> StepProblem:
        split_on = self.facts.split_on or self.encoder.policy.separator
        solutions = tuple(split_steps_of(plain_text(response), split_on) for response in group.responses)
        return StepProblem(group.prompt, solutions, group.tools)

    def _score_of(self, found: StepScores) -> Score:
        value = aggregate(found.prob_S, self.aggregate)
        return Score(NAN, missing=found.missing) if np.isnan(value) else Score(value)


def _by_solution(problem: StepProblem, encoded: EncodedSteps, prob_R: np.ndarray) -> list[StepScores]:
    found, at = [], 0
    for index, (steps, kept) in enumerate(zip(problem.solutions, encoded.kept, strict=True)):
        prob_S = np.full(len(steps), NAN)
        prob_S[list(kept)] = prob_R[at : at + len(kept)]
        at += len(kept)
        missing = encoded.refused.get(index, "")
        if not missing and np.isnan(prob_S[list(kept)]).any():
            missing = "the network returned a score that is not finite"
        elif not missing and len(kept) < len(steps):
            missing = f"the limit of length cut {len(steps) - len(kept)} of {len(steps)} steps"
        found.append(StepScores(prob_S, missing))
    return found


def _known(record: type, stored: Mapping[str, Any]) -> dict[str, Any]:
    return {entry.name: stored[entry.name] for entry in fields(record) if entry.name in stored}


# --------------------------------------------------------------------------------------------------- make, save, name
def load_process_for_training(
    path: str,
    *,
    policy: StepPolicy,
    head: HeadKind = "scalar",
    facts: ProcessFacts | None = None,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> ProcessReward:
    """A backbone with a fresh head, or a process reward with the head that it has, to be trained on.

    Args:
        path: causal LM; or a karat folder of a process reward with the same kind of head, which is trained further.
        policy: of the encoding; it holds for the saved folder.
        head: "scalar" or "two-class".
        facts: to be stored with it.
        dtype: type of the weights.
        seed: of the head's initial weights.
    Raises: ModelError: as `load_network`; a tokenizer that does not serve (`StepEncoder`); another kind of head.
    """
    if head not in get_args(HeadKind):
        raise InputError(f"head = {head!r} is not one of {', '.join(get_args(HeadKind))}.")
    manifest = read_manifest(path)
    names = HEADS_OF[head]
    if manifest.get("kind") == PROCESS_KIND:
        net, model, found = load_saved_network(path, manifest)
        if found != names:
            raise ModelError(f"{path} has the heads {', '.join(found)}, not those of {head!r}. Ask for the same kind.")
        net.to(dtype)
    else:
        net, model = load_network(path, n_heads=len(names), dtype=dtype, seed=seed)
        net.combine_H = torch.tensor(COMBINE_OF[head])
    tokenizer = load_tokenizer(path)
    choose_pad_token(tokenizer, model.config.get_text_config().vocab_size)
    encoder = StepEncoder(tokenizer, policy, vocabulary=vocabulary_of(net))
    return ProcessReward(net, model, encoder, name=path, facts=facts, network_heads=names)


def save_process_reward(reward: ProcessReward, out: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Write the folder, as `save_reward_model` does; its kind and `reward.facts` go into the manifest.

    Args:
        manifest: facts to store besides.
    Returns: the manifest as written. Raises: ResourceError: the disk is full or not writable.
    """
    own = {"kind": PROCESS_KIND, "process": asdict(reward.facts)}
    return save_reward_model(reward, out, {**manifest, **own})


def split_aggregate(spec: str) -> tuple[str, str]:
    """FOLDER@AGGREGATE as folder and aggregate; the aggregate is empty where the text names none."""
    path, at, how = spec.rpartition("@")
    return (path, how) if at and how in AGGREGATES and not Path(spec).exists() else (spec, "")


def is_process(path: str) -> bool:
    """Whether a folder or hub name is a process reward: karat's own, or a classifier of tokens into two."""
    kind = read_manifest(path).get("kind")
    if kind is not None:
        return bool(kind == PROCESS_KIND)
    from karat.rewards.backbone import load_config

    config = load_config(path)
    return any("TokenClassification" in name for name in config.architectures or ())
