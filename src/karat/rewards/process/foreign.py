"""Process rewards that karat did not write: token classifiers, and language models that answer with a label token.

    token classifier   two labels at every token (TRL's PRMTrainer, until it was removed; class 1 is right). Its head
                       has a bias, of which the difference of the classes counts: `ProcessFacts.bias`.
    label tokens       a language model whose next token after a step's tag is "+" or "-" (Math-Shepherd), or whose
                       answer to a step in a turn of its own is (RLHFlow). The rows of its output layer for the two
                       tokens are a two-class head.

Both are run as token trees like any other; saved with `save_process_reward`, they become karat folders.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from karat.errors import ModelError
from karat.rewards.backbone import PARITY_TOLERANCE, load_config, load_network, load_whole
from karat.rewards.encoding import render_conversation
from karat.rewards.model import load_tokenizer, place_for_scoring, replace_head, vocabulary_of
from karat.rewards.process.encoding import StepEncoder, StepPolicy
from karat.rewards.process.model import COMBINE_OF, HEADS_OF, ProcessFacts, ProcessReward
from karat.rewards.tree import TokenTree, pack_trees
from karat.types import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TRL_POLICY = StepPolicy(separator="\n", joiner="", max_length=1024)
"""How TRL's PRMTrainer laid out its data by default."""
MATH_SHEPHERD_POLICY = StepPolicy(separator=" ки", joiner=" ", between="\n")
"""The tag that closes each step of Math-Shepherd, and the line break that follows it."""


def load_token_classifier(
    path: str, *, policy: StepPolicy = TRL_POLICY, right: int = 1, facts: ProcessFacts | None = None
) -> ProcessReward:
    """A token-classification checkpoint with two labels, read at the last token of each step.

    Args:
        path: folder or hub name.
        policy: how its training data was laid out; the default is TRL's default.
        right: which of its two labels means that a step is right.
        facts: what else is known of it; its bias is filled in here.
    Raises: ModelError: no token classifier with two labels and a linear head.
    """
    from transformers import AutoModelForTokenClassification

    config = load_config(path)
    if not any("TokenClassification" in name for name in config.architectures or ()):
        raise ModelError(
            f"{path} is a {', '.join(config.architectures or ['model without architecture'])}, no process reward. "
            "Train one with `karat train --process`, or name a token-classification checkpoint with two labels."
        )
    if config.num_labels != 2 or right not in (0, 1):
        raise ModelError(f"{path} has {config.num_labels} labels, and {right} is to mean right; there must be two.")
    model = load_whole(AutoModelForTokenClassification, path)
    return _read_by(path, model, getattr(model, "score", None), (right, 1 - right), policy, facts)


def load_label_tokens(
    path: str,
    *,
    right: str = "+",
    wrong: str = "-",
    policy: StepPolicy = MATH_SHEPHERD_POLICY,
    facts: ProcessFacts | None = None,
) -> ProcessReward:
    """A language model that says after each step's tag whether it is right; the tag is the policy's separator.

    Args:
        path: folder or hub name of a causal LM.
        right, wrong: the label tokens; the probability is a softmax over the two.
        policy: how its training data was laid out; its separator ends where the label is predicted. For RLHFlow's
            models: `turns_policy`.
        facts: what else is known of it; its bias is filled in here, and where it names no `split_on`, what parts the
            responses that it scores: policies write no tags, but line breaks (Math-Shepherd's steps are lines) or blank
            lines (RLHFlow's are paragraphs).
    Raises: ModelError: a label that is not one token, or no linear output layer.
    """
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(path)
    rows = (_label_id(tokenizer, right), _label_id(tokenizer, wrong))
    model = load_whole(AutoModelForCausalLM, path)
    facts = facts or ProcessFacts()
    if not facts.split_on and not policy.separator.isspace():
        facts = replace(facts, split_on=policy.between if policy.between.isspace() else "\n\n")
    return _read_by(path, model, model.get_output_embeddings(), rows, policy, facts)


def turns_policy(path: str, *, right: str = "+", max_length: int = 2048) -> StepPolicy:
    """RLHFlow's layout: a user's turn with the problem and the first step, one with each further step, each answered.

    The model answers with a label; the steps before are answered with `right`, whatever the model would say of them.

    Args:
        path: folder or hub name of the model, whose chat template it is.
        right: the label of a right step.
        max_length: tokens.
    Raises: ModelError: no chat template, or one that writes turns otherwise than as they are.
    """
    tokenizer = load_tokenizer(path)
    marks = ("KARATFIRSTSTEP", "KARATLABEL", "KARATNEXTSTEP", "KARATNEXTLABEL")
    turns = [Message(("user", "assistant")[i % 2], mark) for i, mark in enumerate(marks)]
    rest, parts = render_conversation(tokenizer, turns), []
    for mark in marks:
        part, found, rest = rest.partition(mark)
        if not found:
            raise ModelError(f"the chat template of {path} does not write turns as they are, nor in their order.")
        parts.append(part)
    opening, separator, between, again = parts
    if separator != again:
        raise ModelError(f"the chat template of {path} opens the first answer otherwise than the second.")
    return StepPolicy(separator, max_length=max_length, joiner=" ", between=right + between, opening=opening)


def _label_id(tokenizer: PreTrainedTokenizerBase, label: str) -> int:
    """The last token of a label, as the model writes it; "▁+" of sentence pieces counts as "+"."""
    ids = list(tokenizer(label, add_special_tokens=False)["input_ids"])
    written = [index for index in ids if str(tokenizer.convert_ids_to_tokens(index)).strip("▁Ġ")]
    if len(written) != 1 or written[0] == tokenizer.unk_token_id:
        raise ModelError(
            f"the tokenizer of {tokenizer.name_or_path!r} writes the label {label!r} as {len(ids)} tokens; a label "
            "must be one that it knows. Name the labels that the model was trained with."
        )
    return int(written[0])


@torch.no_grad()
def _read_by(
    path: str, model: Any, head: Any, rows: tuple[int, int], policy: StepPolicy, facts: ProcessFacts | None
) -> ProcessReward:
    """The network with two rows of a linear layer, right and wrong, as its head.

    Raises: ModelError: the layer is not linear, or the model's own logits are not what these rows give.
    """
    if not isinstance(head, nn.Linear):
        raise ModelError(f"{path} has no linear layer whose rows would score steps; karat covers decoder LLMs.")
    bias = 0.0 if head.bias is None else float(head.bias[rows[0]] - head.bias[rows[1]])
    weight_HD = head.weight[list(rows)].float()
    vocabulary = model.config.get_text_config().vocab_size
    ids = torch.randint(0, vocabulary, (24,), generator=torch.Generator().manual_seed(0))
    logit_H = model.eval()(input_ids=ids[None]).logits[0, -1, list(rows)]
    net, owner = load_network(path, n_heads=2)
    replace_head(net, weight_HD, torch.tensor(COMBINE_OF["two-class"]))
    found = float(net(pack_trees([TokenTree((), (tuple(ids.tolist()),))]))[0] @ net.combine_H) + bias
    expected = float(logit_H[0] - logit_H[1])
    if abs(found - expected) > PARITY_TOLERANCE * max(1.0, abs(expected)):
        raise ModelError(
            f"{path}: the model's own logit is {expected:.4g} where its linear layer gives {found:.4g}; it caps or "
            "scales what the layer gives, which karat does not cover."
        )
    known: dict[str, Any] = {**({} if facts is None else asdict(facts)), "bias": bias}
    encoder = StepEncoder(load_tokenizer(path), policy, vocabulary=vocabulary_of(net))
    place_for_scoring(net, None)
    heads = HEADS_OF["two-class"]
    return ProcessReward(net, owner, encoder, name=path, facts=ProcessFacts(**known), network_heads=heads)
