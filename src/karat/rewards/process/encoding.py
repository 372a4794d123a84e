"""Solutions in steps to token trees that are read at the end of each step; the same in training and scoring.

    plain text    tokenizer(prompt joiner step sep between step sep between ... step sep), its own special tokens (or
                  `opening`) before it, none after; `joiner` stands where neither side has white space
    chat          the chat template over the prompt (plain text becomes one user turn) up to where the assistant's words
                  begin, then the steps as above

The last step too is closed by its separator, and nothing follows: no EOS, no end of turn, so that a step is read the
same whether it is the last. The text is tokenised whole, as a model would write it, and a step is read at the token
that holds the last character of its separator, which the tokenizer's offsets tell: separators may be any text, of one
token or several. Where a token straddles the border it counts to the step whose last character it holds. Some
tokenizers split white space by what follows it: a letter is set behind the last separator and taken off again, so that
the last step's end is cut into tokens as the end of a step before another.

Over-length policy: "keep-last" drops the oldest steps, from between the prompt and the rest, and counts them;
"refuse" refuses the solution, as both do one whose prompt and last step alone are too long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from karat.errors import DataError, InputError, ModelError
from karat.rewards.encoding import Tokens, encoding_hash, render_conversation, require_known
from karat.rewards.process.problem import StepProblem
from karat.rewards.tree import TokenTree
from karat.types import Message, TokenIds

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LOOK_AHEAD = "A"
"""Set behind the last separator while tokenising: as most steps, it begins with a letter."""
MARK = "KARATSTEPSBEGINHERE"
"""Stands for the assistant's words while a chat template is rendered."""


@dataclass(frozen=True, slots=True)
class StepPolicy:
    """What turns steps into tokens besides the tokenizer; stored with every process reward."""

    separator: str = "\n\n"
    """Ends every step; the step is read at its last token."""
    chat: bool = False
    """Whether the prompt is rendered by the chat template; otherwise a conversation is joined by blank lines."""
    max_length: int = 2048
    """Longest prompt + steps, tokens."""
    too_long: Literal["keep-last", "refuse"] = "keep-last"
    joiner: str = "\n"
    """Between a plain prompt and the first step, where neither has white space there."""
    between: str = ""
    """Between a separator and the next step; for formats whose steps are read before their border ends."""
    opening: str = ""
    """Before a plain prompt, in place of the tokenizer's own special tokens; empty: those."""

    def __post_init__(self) -> None:
        if not self.separator:
            raise InputError("separator is empty; name the text that ends a step, such as a newline.")
        if self.max_length < 1:
            raise InputError(f"max_length = {self.max_length}: a solution has at least 1 token.")
        if self.too_long not in ("keep-last", "refuse"):
            raise InputError(f"too_long = {self.too_long!r} is not one of keep-last, refuse.")


@dataclass(frozen=True, slots=True)
class EncodedSteps:
    """A tree whose reads are the steps of a problem's solutions, and what did not get into it."""

    tree: TokenTree
    kept: tuple[tuple[int, ...], ...]
    """Per solution of the problem, the indices of the steps that the tree's reads stand for, in order; none for a
    solution that was refused, which has no branch."""
    refused: Mapping[int, str] = field(default_factory=dict)
    """Why, by index of the solution."""
    steps_cut: int = 0
    """Steps that the limit of length took."""
    solutions_cut: int = 0
    empty_steps: int = 0
    """Steps without text; read all the same."""
    inner_separators: int = 0
    """Steps that hold the separator in their text; read at their end alone."""
    straddling: int = 0
    """Steps that are read at a token which holds characters of the next as well."""

    @property
    def branch_of(self) -> tuple[int, ...]:
        """The solution that each branch of the tree stands for."""
        return tuple(index for index, steps in enumerate(self.kept) if steps)

    @property
    def n_reads(self) -> int:
        return sum(map(len, self.kept))


@dataclass(frozen=True, slots=True)
class _Text:
    """One text to tokenise, and where in it each step ends (exclusive, separator included)."""

    text: str
    ends: tuple[int, ...]
    has_specials: bool


@dataclass(frozen=True, slots=True)
class _Read:
    """A tokenised solution up to its last read."""

    ids: Tokens
    reads: tuple[int, ...]
    straddling: int


class StepEncoder:
    """Turns problems with solutions in steps into token trees by one fixed policy.

    Args:
        tokenizer: of the model; fast, since only those say which characters a token holds.
        policy: what else decides the tokens.
        vocabulary: token ids that the model has embeddings for; 0: not known, and ids are not checked.
    Attributes:
        separator_tokens: tokens of the separator between two words; more than one is fine, and worth a note.
    Raises: ModelError: a tokenizer without offsets, or one that cannot represent the separator.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, policy: StepPolicy, *, vocabulary: int = 0) -> None:
        if not tokenizer.is_fast:
            raise ModelError(
                f"the tokenizer of {tokenizer.name_or_path!r} is a slow one, which does not tell where in the text a "
                "token lies; steps are found by that. Save it as a fast tokenizer (tokenizer.json), or use another "
                "model."
            )
        self.tokenizer = tokenizer
        self.policy = policy
        self.vocabulary = vocabulary
        self.separator_tokens = self._count_separator()

    def hash(self) -> str:
        """SHA-256 (first 16 hex digits) of everything but the vocabulary that decides the tokens of a text."""
        return encoding_hash(self.tokenizer, self.policy)

    def encode(self, problem: StepProblem) -> EncodedSteps:
        """One problem as a tree. Raises DataError or ModelError, see `encode_each`."""
        encoded = self.encode_each([problem])[0]
        if isinstance(encoded, DataError):
            raise encoded
        return encoded

    def encode_each(self, problems: Sequence[StepProblem]) -> list[EncodedSteps | DataError]:
        """Problems as trees; one of which no solution can be encoded gives its error in its place.

        Raises: ModelError: the policy asks for a chat template that the tokenizer has not, or that hides the answer.
        """
        heads: list[tuple[str, bool] | DataError] = []
        for problem in problems:
            try:
                heads.append(self._head(problem))
            except DataError as error:
                heads.append(error)
        texts = [
            self._text(head, steps)
            for head, problem in zip(heads, problems, strict=True)
            if not isinstance(head, DataError)
            for steps in problem.solutions
        ]
        tokenised = iter(self._tokenise(texts))
        out: list[EncodedSteps | DataError] = []
        for head, problem in zip(heads, problems, strict=True):
            if isinstance(head, DataError):
                out.append(head)
                continue
            wholes = [next(tokenised) for _ in problem.solutions]
            try:
                out.append(self._encoded(head, problem, wholes))
            except DataError as error:
                out.append(error)
        return out

    # ---------------------------------------------------------------------------------------------------------- text
    def _head(self, problem: StepProblem) -> tuple[str, bool]:
        """What stands before the first step, and whether it is plain text, to which special tokens are added."""
        prompt = problem.prompt
        if isinstance(prompt, TokenIds):
            raise DataError("the prompt is tokenised; steps are found in text. Give the prompt as text.")
        if not self.policy.chat:
            text = prompt if isinstance(prompt, str) else "\n\n".join(turn.content for turn in prompt)
            return self.policy.opening + text, not self.policy.opening
        turns = (Message("user", prompt),) if isinstance(prompt, str) else prompt
        rendered = render_conversation(self.tokenizer, (*turns, Message("assistant", MARK)), problem.tools)
        head, mark, _ = rendered.rpartition(MARK)
        if not mark:
            raise ModelError(
                f"the chat template of {self.tokenizer.name_or_path!r} does not write the assistant's words as they "
                "are; steps cannot be found in it. Use plain text (chat = False), or another template."
            )
        return head, False

    def _text(self, head: tuple[str, bool], steps: Sequence[str]) -> _Text:
        text, has_specials = head
        first = steps[0] if steps else ""
        if not self.policy.chat and text and not text[-1].isspace() and not first[:1].isspace():
            text += self.policy.joiner
        ends = []
        for index, step in enumerate(steps):
            text += (self.policy.between if index else "") + step + self.policy.separator
            ends.append(len(text))
        return _Text(text, tuple(ends), has_specials)

    # -------------------------------------------------------------------------------------------------------- tokens
    def _tokenise(self, texts: Sequence[_Text]) -> list[_Read]:
        """Every text up to the token where its last step is read; without a step, no tokens."""
        found: dict[int, _Read] = {index: _Read((), (), 0) for index, text in enumerate(texts) if not text.ends}
        for look_ahead in (LOOK_AHEAD, ""):
            for has_specials in (True, False):
                at = [i for i, text in enumerate(texts) if i not in found and text.has_specials is has_specials]
                if not at:
                    continue
                batch = self.tokenizer(
                    [texts[i].text + look_ahead for i in at],
                    add_special_tokens=has_specials,
                    return_offsets_mapping=True,
                )
                for i, ids, offsets in zip(at, batch["input_ids"], batch["offset_mapping"], strict=True):
                    reads, beyond = read_positions(offsets, texts[i].ends)
                    # Where the last token holds the letter set behind it, that letter must not be there.
                    if not (look_ahead and beyond[-1]):
                        found[i] = _Read(tuple(ids[: reads[-1] + 1]), reads, sum(beyond))
        return [found[i] for i in range(len(texts))]

    def _count_separator(self) -> int:
        """Raises ModelError where the separator leaves no token, or an unknown one."""
        separator, options = self.policy.separator, {"add_special_tokens": False, "return_offsets_mapping": True}
        batch = self.tokenizer(f"x{separator}{LOOK_AHEAD}", **options)
        start, stop = 1, 1 + len(separator)
        held = [
            index
            for index, (first, last) in zip(batch["input_ids"], batch["offset_mapping"], strict=True)
            if first < stop and last > start
        ]
        is_unknown = self.tokenizer.unk_token_id is not None and self.tokenizer.unk_token_id in held
        is_dropped = list(batch["input_ids"]) == list(self.tokenizer(f"x{LOOK_AHEAD}", **options)["input_ids"])
        if is_unknown or is_dropped:
            how = "drops it" if is_dropped else "writes it as its unknown token"
            raise ModelError(
                f"the tokenizer of {self.tokenizer.name_or_path!r} has no token for the separator {separator!r}: it "
                f"{how}, so that steps would have no end. Name another separator, or add it to the tokenizer and the "
                "model."
            )
        words = [self.tokenizer(word, add_special_tokens=False)["input_ids"] for word in ("x", LOOK_AHEAD)]
        return max(1, len(batch["input_ids"]) - sum(map(len, words)))

    # -------------------------------------------------------------------------------------------------------- problem
    def _encoded(self, head: tuple[str, bool], problem: StepProblem, wholes: Sequence[_Read]) -> EncodedSteps:
        """Raises DataError: no solution can be encoded."""
        kept: list[tuple[int, ...]] = []
        fitting: list[_Read] = []
        refused: dict[int, str] = {}
        n_straddling = n_cut = n_shortened = 0
        for index, (steps, whole) in enumerate(zip(problem.solutions, wholes, strict=True)):
            try:
                first, read = self._shortened(head, steps, whole)
                require_known(read.ids, self.vocabulary)
            except DataError as error:
                refused[index] = str(error)
                kept.append(())
                continue
            kept.append(tuple(range(first, len(steps))))
            fitting.append(read)
            n_cut, n_shortened = n_cut + first, n_shortened + bool(first)
            n_straddling += read.straddling
        if not fitting:
            raise DataError(next(iter(refused.values()), "the problem has no solutions."))
        all_steps = [step for steps in problem.solutions for step in steps]
        return EncodedSteps(
            TokenTree.from_sequences([read.ids for read in fitting], [read.reads for read in fitting]),
            tuple(kept),
            refused,
            steps_cut=n_cut,
            solutions_cut=n_shortened,
            empty_steps=sum(not step.strip() for step in all_steps),
            inner_separators=sum(self.policy.separator in step for step in all_steps),
            straddling=n_straddling,
        )

    def _shortened(self, head: tuple[str, bool], steps: Sequence[str], whole: _Read) -> tuple[int, _Read]:
        """The first step that is kept, and the tokens from the prompt and it on. Raises DataError: nothing fits."""
        limit = self.policy.max_length
        if not steps:
            raise DataError("a solution without steps cannot be scored; give at least one.")
        if len(whole.ids) <= limit:
            return 0, whole
        if self.policy.too_long == "refuse":
            raise DataError(
                f"prompt and steps have {len(whole.ids)} tokens, more than max_length = {limit}, and too_long is "
                "'refuse'. Raise max_length, or keep the last steps."
            )
        # Without its first k steps it is shorter by what stands before their end, the prompt apart; the new border may
        # merge otherwise, so the search begins one step early, and the tokenizer has the last word.
        text, has_specials = head
        n_head = len(self.tokenizer(text, add_special_tokens=has_specials)["input_ids"])
        saved_S = np.asarray(whole.reads) + 1 - n_head
        early = int(np.searchsorted(saved_S, len(whole.ids) - limit))
        for first in range(max(early, 1), len(steps)):
            read = self._tokenise([self._text(head, steps[first:])])[0]
            if len(read.ids) <= limit:
                return first, read
        raise DataError(
            f"the prompt and the last step alone have more than max_length = {limit} tokens. Raise max_length, or "
            "shorten the prompt."
        )


def read_positions(offsets: Sequence[tuple[int, int]], ends: Sequence[int]) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Tokens that hold the character before each end, and whether they hold what comes after it too.

    Args:
        offsets: per token, the characters [start, stop) that it holds, as fast tokenizers tell; special tokens that no
            text stands for have (0, 0).
        ends: ascending positions in the text.
    """
    start_N = np.array([start for start, _ in offsets])
    stop_N = np.array([stop for _, stop in offsets])
    reach_N = np.maximum.accumulate(stop_N)
    n_text = int(np.flatnonzero(stop_N)[-1]) + 1 if stop_N.any() else 0
    reads, beyond = [], []
    for end in ends:
        at = min(int(np.searchsorted(reach_N, end)), n_text - 1)
        # A character of several bytes may be several tokens, which all hold it: the last of them.
        while at + 1 < n_text and start_N[at + 1] < min(end, stop_N[at + 1]):
            at += 1
        if start_N[at] >= end and stop_N[at] > end:  # the tokenizer dropped the characters before this end
            at = max(at - 1, 0)
        reads.append(at)
        beyond.append(bool(stop_N[at] > end))
    return tuple(reads), tuple(beyond)
