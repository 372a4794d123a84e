"""Process rewards that karat did not write: token classifiers, and language models that answer with a label token.

    token classifier   two labels at every token (TRL's PRMTrainer, until it was removed; class 1 is right). Its head
                       has a bias, of which the difference of the classes counts: `ProcessFacts.bias`.
    label tokens       a language model whose next token after a step's tag is "+" or "-" (Math-Shepherd). The rows of
                       its output layer for the two tokens are a two-class head.

Both are run as token trees like any other; saved with `save_process_reward`, they become karat folders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from karat.errors import ModelError
from karat.rewards.backbone import load_config, load_network, load_whole
from karat.rewards.model import load_tokenizer, place_for_scoring, replace_head, vocabulary_of
from karat.rewards.process.encoding import StepEncoder, StepPolicy
from karat.rewards.process.model import COMBINE_OF, HEADS_OF, ProcessFacts, ProcessReward

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
    head = getattr(load_whole(AutoModelForTokenClassification, path), "score", None)
    if not isinstance(head, nn.Linear):
        raise ModelError(f"{path} has no linear `score` head; karat covers decoder LLMs.")
    order = [right, 1 - right]
    bias = 0.0 if head.bias is None else float(head.bias[right] - head.bias[1 - right])
    return _with_head(path, head.weight[order], bias, policy, facts)


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
        policy: how its training data was laid out; its separator ends where the label is predicted.
        facts: what else is known of it; its bias is filled in here.
    Raises: ModelError: a label that is not one token, or no linear output layer.
    """
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(path)
    ids = [_label_id(tokenizer, label) for label in (right, wrong)]
    head = load_whole(AutoModelForCausalLM, path).get_output_embeddings()
    if not isinstance(head, nn.Linear):
        raise ModelError(f"{path} has no linear output layer, whose rows would score the labels.")
    bias = 0.0 if head.bias is None else float(head.bias[ids[0]] - head.bias[ids[1]])
    return _with_head(path, head.weight[ids], bias, policy, facts)


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


def _with_head(
    path: str, weight_HD: torch.Tensor, bias: float, policy: StepPolicy, facts: ProcessFacts | None
) -> ProcessReward:
    given = facts or ProcessFacts()
    net, model = load_network(path, n_heads=2)
    replace_head(net, weight_HD.detach().float(), torch.tensor(COMBINE_OF["two-class"]))
    known: dict[str, Any] = {name: getattr(given, name) for name in ProcessFacts.__slots__}
    encoder = StepEncoder(load_tokenizer(path), policy, vocabulary=vocabulary_of(net))
    place_for_scoring(net, None)
    heads = HEADS_OF["two-class"]
    return ProcessReward(
        net, model, encoder, name=path, facts=ProcessFacts(**{**known, "bias": bias}), network_heads=heads
    )
