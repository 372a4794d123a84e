"""Naming a reward on the command line: folder or hub name, module:function, builtin:NAME, ensemble:A,B, average:A,B."""

from __future__ import annotations

import hashlib
import importlib
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from karat.errors import InputError
from karat.rewards.groups import Group
from karat.rewards.protocol import Reward
from karat.types import NAN, TOKENS_PER_PACK, Message, Score, Text, TokenIds


def load_reward(spec: str, *, max_length: int = 0, tokens_per_pack: int = TOKENS_PER_PACK) -> Reward:
    """The reward that a text names.

    Args:
        spec: a folder or hub name of a sequence-classification model, a karat folder (a reward model, or what
            `karat stress --export` or `karat audit reward --fix` wrote), `module:function` (called as TRL calls reward
            functions), `builtin:NAME` (see BUILTINS; step-check computes the claims of steps), `ensemble:A,B,...` of
            any of these, or `average:A,B,...`: one model with the mean of the weights of several. A process reward may
            be named with what makes a response's score of its steps': FOLDER@min, product, last, mean or sum.
        max_length: tokens; 0: the reward's own limit. Only reward models use it.
        tokens_per_pack: most tokens in one forward pass. Only reward models use it.
    Raises: InputError: the text names nothing; its kin for what it names.
    """
    if spec.startswith("ensemble:"):
        members = [part.strip() for part in spec.removeprefix("ensemble:").split(",") if part.strip()]
        if len(members) < 2:
            raise InputError(f"{spec!r} names {len(members)} rewards; an ensemble needs at least 2: ensemble:A,B.")
        return EnsembleReward(
            [load_reward(member, max_length=max_length, tokens_per_pack=tokens_per_pack) for member in members],
            name=spec,
        )
    if spec.startswith("average:"):
        from karat.rewards.average import load_average

        paths = [part.strip() for part in spec.removeprefix("average:").split(",") if part.strip()]
        return load_average(paths, name=spec, max_length=max_length, tokens_per_pack=tokens_per_pack)
    if spec.startswith("builtin:"):
        name = spec.removeprefix("builtin:")
        if name == "step-check":
            from karat.rewards.step_check.reward import StepCheckReward

            return StepCheckReward()
        if name not in BUILTINS:
            known = ", ".join(sorted((*BUILTINS, "step-check")))
            raise InputError(f"there is no built-in reward {name!r}; there are: {known}.")
        return TextReward(spec, BUILTINS[name])
    if spec.startswith(("http://", "https://")):
        raise InputError(f"{spec}: rewards over HTTP are not supported. Name the folder that the server serves.")
    if ":" in spec and not Path(spec).exists():
        return FunctionReward(spec, import_function(spec))
    from karat.rewards.mitigated import MitigatedReward, is_mitigated

    if is_mitigated(spec):
        return MitigatedReward.load(spec, max_length=max_length, tokens_per_pack=tokens_per_pack)
    from karat.rewards.model import RewardModel, resolve_model
    from karat.rewards.process.model import ProcessReward, is_process, split_aggregate

    path, how = split_aggregate(spec)
    if how or is_process(resolve_model(path)):
        return ProcessReward.load(resolve_model(path), how, max_length=max_length, tokens_per_pack=tokens_per_pack)
    return RewardModel.load(resolve_model(spec), max_length=max_length, tokens_per_pack=tokens_per_pack)


def plain_text(text: Text) -> str:
    """Text as one string: the contents of a conversation joined by blank lines. Token ids have none: DataError."""
    if isinstance(text, str):
        return text
    if isinstance(text, TokenIds):
        raise InputError(
            "the data is tokenised; a reward that reads text needs text. Use a reward model, or text data."
        )
    return "\n\n".join(message.content for message in text)


# ----------------------------------------------------------------------------------------------------------- built-in
def _pseudo_random(prompt: str, response: str) -> float:
    """Uniform in [0, 1), fixed by the texts: a reward that knows nothing, and does so reproducibly."""
    return int.from_bytes(hashlib.sha256(f"{prompt}\0{response}".encode()).digest()[:6], "big") / 2**48


BUILTINS: dict[str, Callable[[str, str], float]] = {
    "longer": lambda prompt, response: float(len(response)),
    "shorter": lambda prompt, response: -float(len(response)),
    "random": _pseudo_random,
}
"""Content-blind rewards, characters: what any reward has to beat."""


@dataclass(frozen=True)
class TextReward:
    """A function of the prompt's and one response's text."""

    name: str
    function: Callable[[str, str], float]
    head_names: tuple[str, ...] = ("reward",)

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        return [
            [Score(self.function(plain_text(group.prompt), plain_text(response))) for response in group.responses]
            for group in groups
        ]


# ------------------------------------------------------------------------------------------------------------ function
@dataclass(frozen=True)
class FunctionReward:
    """A user's function, called by keyword as TRL's GRPO calls reward functions: prompts, completions -> list."""

    name: str
    function: Callable[..., Sequence[float | None]]
    head_names: tuple[str, ...] = ("reward",)

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        """One call for all responses. None ("not applicable") and an exception make scores missing, with reason."""
        prompts = [_as_trl(group.prompt) for group in groups for _ in group.responses]
        completions = [_as_trl(response) for group in groups for response in group.responses]
        try:
            values = list(self.function(prompts=prompts, completions=completions))
        except Exception as error:  # the user's code may raise anything; the rows must survive it
            flat = [Score(NAN, missing=f"{self.name} raised {type(error).__name__}: {error}")] * len(prompts)
        else:
            if len(values) != len(prompts):
                raise InputError(
                    f"{self.name} returned {len(values)} scores for {len(prompts)} responses; return one each."
                )
            flat = [self._score_of(value) for value in values]
        scores = iter(flat)
        return [[next(scores) for _ in group.responses] for group in groups]

    def _score_of(self, value: Any) -> Score:
        if value is None:
            return Score(NAN, missing=f"{self.name} returned None (not applicable)")
        try:
            number = float(value)
        except (TypeError, ValueError):
            return Score(NAN, missing=f"{self.name} returned {value!r}, which is no number")
        return Score(number) if math.isfinite(number) else Score(NAN, missing=f"{self.name} returned {number}")


def _as_trl(text: Text) -> str | list[dict[str, str]]:
    if isinstance(text, tuple):
        return [{"role": message.role, "content": message.content} for message in text if isinstance(message, Message)]
    return plain_text(text)


def import_function(spec: str) -> Callable[..., Any]:
    """The function that "module:function" names, looked for in the user's folder too.

    Raises: InputError: it cannot be imported, or is no function.
    """
    module_name, _, attribute = spec.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")  # the installed command does not look in the user's folder, `python -m` does
    try:
        function = getattr(importlib.import_module(module_name), attribute)
    except ImportError as error:
        raise InputError(f"{spec!r}: cannot import {module_name} ({error}). Run where it can be imported.") from error
    except AttributeError:
        raise InputError(f"{spec!r}: the module {module_name} has no {attribute!r}.") from None
    except Exception as error:  # an empty or relative name; and the user's module may raise anything
        raise InputError(f"{spec!r}: importing {module_name!r} raised {type(error).__name__}: {error}.") from error
    if not callable(function):
        raise InputError(f"{spec!r} is a {type(function).__name__}, not a function.")
    return function  # type: ignore[no-any-return]


# ------------------------------------------------------------------------------------------------------------ ensemble
class EnsembleReward:
    """The mean of several rewards, their spread, and each as a head. Missing where any member is missing."""

    def __init__(self, members: Sequence[Reward], *, name: str) -> None:
        self.members = tuple(members)
        self.name = name
        self.head_names = tuple(f"member_{index}" for index in range(len(self.members)))

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        by_member = [member.score(groups) for member in self.members]
        return [
            [self._join([scores[g][r] for scores in by_member]) for r in range(len(group.responses))]
            for g, group in enumerate(groups)
        ]

    def _join(self, scores: Sequence[Score]) -> Score:
        for member, score in zip(self.members, scores, strict=True):
            if score.is_missing:
                return Score(NAN, missing=f"{member.name}: {score.missing}")
        values = np.array([score.value for score in scores])
        return Score(float(values.mean()), heads=tuple(map(float, values)), spread=float(values.std(ddof=1)))
