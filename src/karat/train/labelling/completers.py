"""What completes the first steps of a solution: a causal language model, or a user's function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from karat.data.records import plain, user
from karat.errors import DataError, InputError
from karat.train.labelling.config import LabelConfig
from karat.train.labelling.types import Ask, Completion
from karat.types import Text, TokenIds

if TYPE_CHECKING:
    from karat.policies import Policy, SamplingConfig

CompleteFunction = Callable[[Any, list[str], int, int], Sequence[Any]]


class Completer(Protocol):
    """Anything that completes solutions. Same ask, same completions."""

    @property
    def name(self) -> str: ...

    @property
    def counts_tokens(self) -> bool: ...

    def complete(self, asks: Sequence[Ask]) -> list[list[Completion]]:
        """As many completions of each ask as it wants, in order."""
        ...


def text_before(steps: Sequence[str], separator: str) -> str:
    """The text of the first steps, as a response holds them: each followed by the separator."""
    return "".join(step + separator for step in steps)


def make_completer(spec: str | CompleteFunction | Completer, config: LabelConfig) -> Completer:
    """The completer that a text names, or that a function or a completer is.

    Args:
        spec: a hub name or folder of a causal language model, `default`, or `module:function`, called with the prompt
            (text or turns), the steps so far, a number n and a seed, which returns n texts.
    Raises: InputError and its kin for what it names.
    """
    if not isinstance(spec, str):
        return cast("Completer", spec) if hasattr(spec, "complete") else FunctionCompleter(spec)
    if ":" in spec and not Path(spec).exists():
        from karat.rewards.kinds import import_function

        return FunctionCompleter(import_function(spec), name=spec)
    import torch

    from karat.policies import Policy, SamplingConfig
    from karat.rewards.model import resolve_model

    drawing = SamplingConfig(max_new_tokens=config.max_new_tokens, temperature=config.temperature, top_p=config.top_p)
    policy = Policy.load(resolve_model(spec), name=spec, dtype=getattr(torch, config.dtype))
    return PolicyCompleter(policy, drawing, config)


@dataclass(frozen=True)
class FunctionCompleter:
    """A user's function. What it raises, and what it returns that is no text, is missing, with the reason."""

    function: CompleteFunction
    name: str = ""
    counts_tokens: bool = False

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise InputError(f"the completer is a {type(self.function).__name__}; give a model's name or a function.")
        if not self.name:
            object.__setattr__(self, "name", getattr(self.function, "__name__", type(self.function).__name__))

    def complete(self, asks: Sequence[Ask]) -> list[list[Completion]]:
        return [self._complete(ask) for ask in asks]

    def _complete(self, ask: Ask) -> list[Completion]:
        try:
            returned: Any = self.function(plain(ask.prompt), list(ask.steps), ask.n, ask.seed)
            returned = [] if returned is None else returned
            # the characters of one text, or the keys of a mapping, are no completions
            is_several = isinstance(returned, Iterable) and not isinstance(returned, str | bytes | Mapping)
            found = list(returned) if is_several else []
        except Exception as error:  # the user's code may raise anything; the other prefixes must survive it
            return [Completion(None, why=f"the completer raised {type(error).__name__}: {error}")] * ask.n
        if not is_several:
            raise InputError(
                f"{self.name} returned a {type(returned).__name__}; it must return a list of {ask.n} texts."
            )
        if len(found) > ask.n:
            raise InputError(f"{self.name} returned {len(found)} completions where {ask.n} were asked for.")
        found += [None] * (ask.n - len(found))
        return [
            Completion(text) if isinstance(text, str) else Completion(None, why="the completer returned no text")
            for text in found
        ]


class PolicyCompleter:
    """A causal language model: each prefix is computed once, and its completions share it."""

    counts_tokens = True

    def __init__(self, policy: Policy, drawing: SamplingConfig, config: LabelConfig) -> None:
        self.policy = policy
        self.name = policy.name
        self._drawing = drawing
        self._config = config

    def complete(self, asks: Sequence[Ask]) -> list[list[Completion]]:
        found: list[list[Completion]] = [[] for _ in asks]
        ids: dict[int, list[int]] = {}
        for index, ask in enumerate(asks):
            try:
                ids[index] = self._prefix_ids(ask)
            except DataError as error:
                found[index] = [Completion(None, why=str(error))] * ask.n
        for n in sorted({asks[index].n for index in ids}):
            chosen = [index for index in ids if asks[index].n == n]
            sampled = self.policy.sample(
                [ids[index] for index in chosen],
                n,
                config=self._drawing,
                seed=[self._config.seed],
                keys=[asks[index].seed for index in chosen],
                rows_per_batch=self._config.rows_per_batch,
            )
            for index, responses in zip(chosen, sampled, strict=True):
                found[index] = [
                    self._completion(item.text, len(item.token_ids), item.is_finished) for item in responses
                ]
        return found

    def _prefix_ids(self, ask: Ask) -> list[int]:
        """Tokens of the prompt and the steps so far. Raises: DataError: they leave no room for a completion."""
        before = text_before(ask.steps, self._config.separator)
        if isinstance(ask.prompt, TokenIds):
            raise DataError("the prompt is tokenised; a prefix of steps needs it as text.")
        if isinstance(ask.prompt, str) and not (self._config.completer_chat and self.policy.has_template):
            return self.policy.prompt_ids(ask.prompt + self._config.separator + before)
        prompt: Text = user(ask.prompt) if isinstance(ask.prompt, str) else ask.prompt
        ids = self.policy.prompt_ids(prompt)
        if before:
            ids += self.policy.tokenizer(before, add_special_tokens=False)["input_ids"]
        if len(ids) >= self.policy.context:
            raise DataError("the prompt and its steps fill the model's context.")
        return ids

    def _completion(self, text: str, n_tokens: int, is_finished: bool) -> Completion:
        """Cut at the text that ends a completion, where one is named and found."""
        head, end, _ = text.partition(self._config.stop) if self._config.stop else (text, "", "")
        return Completion(head, n_tokens, is_finished or bool(end))
