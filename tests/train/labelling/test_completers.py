"""A language model as completer: which tokens it continues, one batch or many, and what is too long for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from karat.errors import InputError
from karat.policies import Policy, SamplingConfig
from karat.train.labelling import LabelConfig, label_steps
from karat.train.labelling.completers import FunctionCompleter, PolicyCompleter, make_completer
from karat.train.labelling.types import Ask
from karat.types import Message, TokenIds
from rewards.tiny import save_tiny
from train.labelling.toy import toy_solution

CONFIG = LabelConfig(label="mc", max_new_tokens=6, temperature=1.0)


def completer(folder: Path, config: LabelConfig = CONFIG) -> PolicyCompleter:
    drawing = SamplingConfig(max_new_tokens=config.max_new_tokens, temperature=config.temperature)
    return PolicyCompleter(Policy.load(str(save_tiny(folder)), device="cpu"), drawing, config)


def test_a_prefix_is_the_prompt_and_the_steps_each_closed(tmp_path: Path) -> None:
    made = completer(tmp_path)
    chat = made.policy.tokenizer.decode(made._prefix_ids(Ask("why?", ("one", "two"), 1, 0)))
    assert chat == "<|start|>user\nwhy?<|end|><|start|>assistant\none\n\ntwo\n\n"
    turns = made._prefix_ids(Ask((Message("user", "why?"),), ("one", "two"), 1, 0))
    assert made.policy.tokenizer.decode(turns) == chat
    plain = completer(tmp_path, LabelConfig(completer_chat=False))
    text = plain.policy.tokenizer.decode(plain._prefix_ids(Ask("why?", ("one",), 1, 0)))
    assert text.removeprefix("<s>") == "why?\n\none\n\n"


def test_completions_do_not_depend_on_what_is_asked_beside(tmp_path: Path) -> None:
    made = completer(tmp_path)
    asks = [Ask("p", ("a",), 3, 7), Ask("p", ("a", "b"), 2, 8), Ask("a longer prompt", (), 3, 9)]
    together = made.complete(asks)
    assert [len(found) for found in together] == [3, 2, 3]
    assert together == [made.complete([ask])[0] for ask in asks]
    assert together[0][:2] == made.complete([Ask("p", ("a",), 2, 7)])[0]


def test_what_a_model_cannot_take_is_missing_with_a_reason(tmp_path: Path) -> None:
    made = completer(tmp_path)
    long, ids, good = made.complete(
        [Ask("p", ("x" * 5000,), 2, 0), Ask(TokenIds((1, 2)), (), 2, 0), Ask("p", (), 1, 0)]
    )
    assert [completion.why for completion in long] == ["the prompt and its steps fill the model's context."] * 2
    assert "tokenised" in ids[0].why
    assert good[0].text is not None


def test_text_that_ends_a_completion_is_cut_and_finishes_it(tmp_path: Path) -> None:
    made = completer(tmp_path, LabelConfig(stop="Q:"))
    assert made._completion("7.\n\nQ: next", 9, False).text == "7.\n\n"
    assert made._completion("7.\n\nQ: next", 9, False).is_finished
    assert not made._completion("7.\n\nThen", 9, False).is_finished


def test_a_model_labels_end_to_end_and_counts_what_was_cut(tmp_path: Path) -> None:
    model = str(save_tiny(tmp_path / "model"))
    solutions = [toy_solution("p", 3, 1), toy_solution("q", 3, -1)]
    result = label_steps(
        solutions,
        out=tmp_path / "out",
        completer=model,
        label="binary",
        rollouts=2,
        max_new_tokens=4,
        unfinished="wrong",
    )
    # random text never answers: the solution whose final answer is right needs none, the other's problem is unsolved
    assert result.values["labelled"] == 1
    assert result.values["tokens"] > 0
    assert result.values["rollouts"] == 3 * 2  # of two steps' prefixes, and of the prompt


def test_what_completes_is_named(tmp_path: Path) -> None:
    assert make_completer("json:dumps", CONFIG).name == "json:dumps"
    assert FunctionCompleter(lambda *_: []).name == "<lambda>"
    with pytest.raises(InputError, match="cannot be loaded as a causal language model"):
        make_completer(str(tmp_path), CONFIG)
