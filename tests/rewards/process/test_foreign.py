"""Process rewards of other programs: the probabilities that their own recipe gives with plain transformers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForTokenClassification

from karat.errors import ModelError
from karat.rewards import load_reward
from karat.rewards.groups import Group
from karat.rewards.process import ProcessReward, StepPolicy, save_process_reward
from karat.rewards.process.foreign import (
    MATH_SHEPHERD_POLICY,
    load_label_tokens,
    load_token_classifier,
    turns_policy,
)
from karat.rewards.process.model import ProcessFacts
from rewards.tiny import byte_tokenizer, save_tiny

PROMPT, STEPS = "What is 2 + 3 * 4?", ("3 * 4 = 12", "2 + 12 = 14", "It is 14.")


def token_classifier(folder: Path, *, labels: int = 2, family: str = "llama") -> Path:
    path = save_tiny(folder / "lm", family)
    model = AutoModelForTokenClassification.from_pretrained(path, num_labels=labels)
    torch.manual_seed(3)
    with torch.no_grad():
        model.score.weight.normal_(std=0.3)
        model.score.bias.copy_(torch.tensor([0.4, -0.3, 0.1][:labels]))
    model.save_pretrained(folder / "prm")
    byte_tokenizer().save_pretrained(folder / "prm")
    return folder / "prm"


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_a_token_classifier_scores_as_in_trl(family: str, tmp_path: Path) -> None:
    """TRL: BOS, prompt, each step and a line break, two logits at the last token of each; class 1 is right."""
    path = token_classifier(tmp_path, family=family)
    model, tokenizer = AutoModelForTokenClassification.from_pretrained(path).eval(), byte_tokenizer()
    ids, reads = tokenizer(PROMPT)["input_ids"], []
    for step in STEPS:
        ids = ids + tokenizer(step + "\n", add_special_tokens=False)["input_ids"]
        reads.append(len(ids) - 1)
    with torch.no_grad():
        expected = torch.softmax(model(input_ids=torch.tensor([ids])).logits[0, reads], dim=-1)[:, 1]
    reward = load_reward(str(path))
    assert isinstance(reward, ProcessReward)
    assert reward.facts.bias == pytest.approx(-0.7)
    assert reward.score_steps(PROMPT, STEPS) == pytest.approx(expected.tolist(), rel=1e-4)
    assert load_reward(f"{path}@last").score_steps(PROMPT, STEPS)[-1] == pytest.approx(float(expected[-1]), rel=1e-4)  # type: ignore[attr-defined]
    mirrored = load_token_classifier(str(path), right=0).score_steps(PROMPT, STEPS)
    assert mirrored == pytest.approx((1 - expected).tolist(), rel=1e-4)


def test_it_becomes_a_karat_folder_with_its_bias(tmp_path: Path) -> None:
    reward = load_token_classifier(str(token_classifier(tmp_path)))
    save_process_reward(reward, tmp_path / "karat", {})
    again = ProcessReward.load(str(tmp_path / "karat"))
    assert again.facts.bias == reward.facts.bias != 0
    assert again.encoder.policy == reward.encoder.policy
    assert again.score_steps(PROMPT, STEPS) == pytest.approx(reward.score_steps(PROMPT, STEPS), rel=1e-5)


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_label_tokens_score_as_in_math_shepherd(family: str, tmp_path: Path) -> None:
    """Logits of the two labels at each tag, which here ends in a token of its own; softmax over the two."""
    path = save_tiny(tmp_path / "lm", family)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path).eval(), byte_tokenizer()
    text = f"{PROMPT} " + "\n".join(f"{step} ки" for step in STEPS)
    ids = tokenizer(text)["input_ids"]
    tag = tokenizer(" ки", add_special_tokens=False)["input_ids"]
    ends = [at + len(tag) - 1 for at in range(len(ids)) if ids[at : at + len(tag)] == tag]
    labels = [tokenizer(label, add_special_tokens=False)["input_ids"][0] for label in ("+", "-")]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0, ends][:, labels]
    reward = load_label_tokens(str(path))
    assert reward.score_steps(PROMPT, STEPS) == pytest.approx(torch.softmax(logits, dim=-1)[:, 0].tolist(), rel=1e-3)


def test_label_turns_score_as_in_rlhflow(tmp_path: Path) -> None:
    """The conversation so far with "+" for an answer, read before that "+"; step by step, each a pass of its own."""
    path = str(save_tiny(tmp_path / "lm"))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path).eval(), byte_tokenizer()
    labels = [tokenizer(label, add_special_tokens=False)["input_ids"][0] for label in ("+", "-")]
    turns, expected = [], []
    for index, step in enumerate(STEPS):
        turns.append({"role": "user", "content": step if index else f"{PROMPT} {step}"})
        turns.append({"role": "assistant", "content": "+"})
        ids = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)
        at = len(ids) - 1 - ids[::-1].index(labels[0]) - 1
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, at, labels]
        expected.append(float(torch.softmax(logits, dim=-1)[0]))
    reward = load_label_tokens(path, policy=turns_policy(path))
    assert reward.score_steps(PROMPT, STEPS) == pytest.approx(expected, rel=1e-4)
    lower = tmp_path / "lower"
    save_tiny(
        lower, tokenizer=byte_tokenizer(chat_template="{% for m in messages %}{{ m['content'] | lower }}{% endfor %}")
    )
    with pytest.raises(ModelError, match="does not write turns as they are"):
        turns_policy(str(lower))


def test_responses_are_parted_at_what_policies_write_not_at_the_tag(tmp_path: Path) -> None:
    path = str(save_tiny(tmp_path / "lm"))
    for policy, border in [(MATH_SHEPHERD_POLICY, "\n"), (turns_policy(path), "\n\n"), (StepPolicy("\n"), "\n")]:
        reward = load_label_tokens(path, policy=policy)
        (found,) = reward.score([Group(PROMPT, (border.join(STEPS),))])[0]
        assert found.value == pytest.approx(min(reward.score_steps(PROMPT, STEPS)), rel=1e-4)
    named = load_label_tokens(path, facts=ProcessFacts(split_on="|"))
    assert named.facts.split_on == "|"


def test_what_is_no_process_reward_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has 3 labels.*there must be two"):
        load_reward(str(token_classifier(tmp_path, labels=3)))
    with pytest.raises(ModelError, match=r"is a LlamaForCausalLM, no process reward"):
        load_token_classifier(str(tmp_path / "lm"))
    with pytest.raises(ModelError, match=r"writes the label 'good' as 4 tokens"):
        load_label_tokens(str(tmp_path / "lm"), right="good", policy=StepPolicy())
    capped = save_tiny(tmp_path / "capped", "gemma2_window_softcap")
    config = json.loads((capped / "config.json").read_text())
    (capped / "config.json").write_text(json.dumps({**config, "final_logit_softcapping": 0.1}))
    with pytest.raises(ModelError, match=r"it caps or scales what the layer gives"):
        load_label_tokens(str(capped))
