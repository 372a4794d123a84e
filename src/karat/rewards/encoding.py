"""Text to token trees: special tokens, EOS and chat template applied once, the same in training and scoring.

    plain text      tokenizer(prompt + response) with the tokenizer's own special tokens, then EOS if it is not there
    conversation    the chat template over prompt + response and nothing else (as TRL's GRPO and vLLM's `messages` do)
    token ids       as they came

Each sequence is tokenised whole and the tree is found afterwards, so a tree holds exactly the tokens that separate
sequences would have; a token that straddles the border of prompt and response falls into the branches.

Over-length policy: conversations lose their oldest turns first (the system message and the last turn stay), then any
prompt loses its oldest tokens, then a response its middle (the last token, where the reward is read, stays). All
branches of a tree lose the same turns and the same prompt tokens, and every loss is counted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from karat.errors import DataError, ModelError
from karat.rewards.groups import Group
from karat.rewards.tree import TokenTree
from karat.types import Message, Text, TokenIds

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from transformers import PreTrainedTokenizerBase

Tokens = tuple[int, ...]
MIN_PROMPT_TOKENS = 1


@dataclass(frozen=True, slots=True)
class EncodingPolicy:
    """What turns text into tokens besides the tokenizer; stored with every reward model."""

    max_length: int = 2048
    """Longest root + branch, tokens."""
    append_eos: bool = True
    """Whether plain text ends with the EOS token; conversations end as their template ends."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A tree and what the over-length policy took from it."""

    tree: TokenTree
    turns_dropped: int = 0
    prompt_tokens_cut: int = 0
    response_tokens_cut: int = 0

    @property
    def is_truncated(self) -> bool:
        return bool(self.turns_dropped or self.prompt_tokens_cut or self.response_tokens_cut)


class Encoder:
    """Turns prompts with responses into token trees by one fixed policy.

    Args:
        tokenizer: of the model.
        policy: what else decides the tokens.
        vocabulary: token ids that the model has embeddings for; 0: not known, and ids are not checked.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, policy: EncodingPolicy, *, vocabulary: int = 0) -> None:
        self.tokenizer = tokenizer
        self.policy = policy
        self.vocabulary = vocabulary

    @property
    def chat_template(self) -> str:
        return chat_template_of(self.tokenizer)

    def hash(self) -> str:
        """SHA-256 (first 16 hex digits) of everything but the vocabulary that decides the tokens of a text."""
        return encoding_hash(self.tokenizer, self.policy)

    def encode(self, group: Group) -> Encoded:
        """One prompt with its responses as a tree. Raises DataError or ModelError, see `encode_many`."""
        return self.encode_many([group])[0]

    def encode_many(self, groups: Sequence[Group]) -> list[Encoded]:
        """Prompts with their responses as trees, tokenised in one call.

        Raises:
            DataError: a group mixes kinds of text, or a sequence has no tokens, or one that the model does not have.
            ModelError: a conversation, but the tokenizer has no chat template.
        """
        sequences = iter(self._tokenise([item for group in groups for item in self._texts(group)]))
        encoded = []
        for group in groups:
            ids = [next(sequences) for _ in group.responses]
            for sequence in ids:
                require_known(sequence, self.vocabulary)
            if max(map(len, ids)) <= self.policy.max_length:
                encoded.append(Encoded(TokenTree.from_sequences(ids)))
            else:
                encoded.append(self._shorten(group, ids))
        return encoded

    def encode_each(self, groups: Sequence[Group]) -> list[Encoded | DataError]:
        """As `encode_many`; a group that cannot be encoded gives its error in its place, and the others their trees."""
        try:
            return list(self.encode_many(groups))
        except DataError:
            out: list[Encoded | DataError] = []
            for group in groups:
                try:
                    out.append(self.encode(group))
                except DataError as error:
                    out.append(error)
            return out

    def prompt_ids(self, group: Group) -> list[int]:
        """Tokens of the prompt alone, however many; none for a prompt without text."""
        prompt = group.prompt
        if isinstance(prompt, TokenIds):
            return list(prompt.ids)
        text = (
            prompt
            if isinstance(prompt, str)
            else render_conversation(self.tokenizer, prompt, group.tools)
            if prompt
            else ""
        )
        if not text:
            return []
        return list(self.tokenizer([text], add_special_tokens=isinstance(prompt, str))["input_ids"][0])

    def response_start(self, group: Group, encoded: Encoded) -> int:
        """Where the response begins in the one sequence of an encoded group: as many tokens are the prompt's.

        A token that straddles the border belongs to the response. Tokenised data without a prompt begins at 0.
        """
        prompt = group.prompt
        if isinstance(prompt, tuple):
            first = 1 if prompt and prompt[0].role == "system" else 0
            prompt = prompt[:first] + prompt[first + encoded.turns_dropped :]
        ids, cut = self.prompt_ids(Group(prompt, group.responses, group.tools)), encoded.prompt_tokens_cut
        sequence = encoded.tree.root + encoded.tree.branches[0]
        bos = 1 if sequence[0] == self.tokenizer.bos_token_id else 0
        whole = [*sequence[:bos], *ids[bos : bos + cut], *sequence[bos:]]
        n_shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ids, whole, strict=False)))
        return max(n_shared - cut, 0)

    def _texts(self, group: Group) -> list[tuple[str, bool] | tuple[int, ...]]:
        """One entry per response: (text, whether the tokenizer adds its special tokens), or ids as they came."""
        prompt = group.prompt
        texts: list[tuple[str, bool] | tuple[int, ...]] = []
        for response in group.responses:
            if isinstance(response, TokenIds) and (isinstance(prompt, TokenIds) or not prompt):
                texts.append((prompt.ids if isinstance(prompt, TokenIds) else ()) + response.ids)
            elif isinstance(prompt, str) and isinstance(response, str):
                texts.append((prompt + response, True))
            elif isinstance(prompt, tuple) and isinstance(response, tuple):
                texts.append((render_conversation(self.tokenizer, prompt + response, group.tools), False))
            else:
                raise DataError(
                    f"prompt is {_kind(prompt)} but a response is {_kind(response)}: "
                    "both must be plain text, both conversations, or both token ids. Convert one of them."
                )
        return texts

    def _tokenise(self, texts: list[Any]) -> list[list[int]]:
        out: list[list[int]] = [list(item) if not (item and isinstance(item[0], str)) else [] for item in texts]
        for with_specials in (True, False):
            at = [i for i, item in enumerate(texts) if item and isinstance(item[0], str) and item[1] is with_specials]
            if not at:
                continue
            ids_of = self.tokenizer([texts[i][0] for i in at], add_special_tokens=with_specials)["input_ids"]
            eos = self.tokenizer.eos_token_id if with_specials and self.policy.append_eos else None
            for i, ids in zip(at, ids_of, strict=True):
                out[i] = [*ids, eos] if eos is not None and ids[-1:] != [eos] else ids
        return out

    def _shorten(self, group: Group, sequences: list[list[int]]) -> Encoded:
        """Apply the over-length policy (see the module's docstring)."""
        prompt, turns_dropped = group.prompt, 0
        if isinstance(prompt, tuple):
            keep_first = 1 if prompt and prompt[0].role == "system" else 0
            while len(prompt) - keep_first > 1 and max(map(len, sequences)) > self.policy.max_length:
                n_before = len(prompt)
                prompt = prompt[:keep_first] + prompt[keep_first + 1 :]
                # A conversation that begins with an answer, or with a tool's result, is refused by strict templates.
                while len(prompt) - keep_first > 1 and prompt[keep_first].role != "user":
                    prompt = prompt[:keep_first] + prompt[keep_first + 1 :]
                turns_dropped += n_before - len(prompt)
                sequences = self._tokenise(self._texts(Group(prompt, group.responses, group.tools)))
        longest, n_prompt = (
            self.policy.max_length,
            self._prompt_tokens(Group(prompt, group.responses, group.tools), sequences),
        )
        bos = 1 if sequences[0][:1] == [self.tokenizer.bos_token_id] else 0
        cut = max(0, min(max(map(len, sequences)) - longest, n_prompt - bos - MIN_PROMPT_TOKENS))
        shorter = [ids[:bos] + ids[bos + cut :] for ids in sequences]
        fitting = [ids if len(ids) <= longest else ids[: longest - 1] + ids[-1:] for ids in shorter]
        response_cut = sum(map(len, shorter)) - sum(map(len, fitting))
        return Encoded(TokenTree.from_sequences(fitting), turns_dropped, cut, response_cut)

    def _prompt_tokens(self, group: Group, sequences: Sequence[list[int]]) -> int:
        """Tokens at the start of every sequence that belong to the prompt: what may be cut from it.

        Not the tree's root, which for a single response is all but its last token. Tokenised data without a prompt of
        its own has only the common prefix to go by.
        """
        if isinstance(group.responses[0], TokenIds) and not isinstance(group.prompt, TokenIds):
            return len(TokenTree.from_sequences(sequences).root)
        ids = self.prompt_ids(group)
        return min(
            sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ids, sequence, strict=False)))
            for sequence in sequences
        )


def _kind(text: Text) -> str:
    return "token ids" if isinstance(text, TokenIds) else "plain text" if isinstance(text, str) else "a conversation"


def chat_template_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """The template that transformers would use; empty where there is none."""
    template = tokenizer.chat_template
    if isinstance(template, dict):  # several named templates: transformers uses the one called "default"
        template = template.get("default")
    return template or ""


def encoding_hash(tokenizer: PreTrainedTokenizerBase, policy: DataclassInstance) -> str:
    """SHA-256 (first 16 hex digits) of everything but the vocabulary that decides the tokens of a text."""
    facts = {
        **asdict(policy),
        "chat_template": chat_template_of(tokenizer),
        "eos": tokenizer.eos_token_id,
        "bos": tokenizer.bos_token_id,
        "specials_around_plain_text": tokenizer("a")["input_ids"],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def require_known(ids: Sequence[int], vocabulary: int) -> None:
    """Raises DataError for ids outside the model's embedding, at which torch would fail or read foreign memory."""
    if vocabulary and ids and not 0 <= min(ids) <= max(ids) < vocabulary:
        raise DataError(
            f"a token id lies outside the model's vocabulary of {vocabulary}: the data was tokenised for "
            "another model, or the tokenizer has more tokens than the model. Tokenise it with the model's own."
        )


def render_conversation(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], tools: str = "") -> str:
    """The chat template over a conversation and nothing else.

    Raises: ModelError: the tokenizer has no template. DataError: the template refuses the conversation.
    """
    if not chat_template_of(tokenizer):
        raise ModelError(
            f"the data holds conversations, but the tokenizer of {tokenizer.name_or_path!r} has no chat "
            "template. Use a model that has one, or put a chat_template.jinja into the model's folder."
        )
    turns = [{"role": message.role, "content": message.content} for message in messages]
    try:
        rendered = tokenizer.apply_chat_template(turns, tools=json.loads(tools) if tools else None, tokenize=False)
    except Exception as error:  # templates raise jinja errors of their own making
        roles = ", ".join(message.role for message in messages)
        raise DataError(f"the chat template refuses a conversation with the roles {roles}: {error}") from error
    return str(rendered)
