"""The search for strings that a reward overpays: what it finds, what it costs, what it says."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from karat.audit.reward.attack import _one_a_prompt, _plan, audit_attack
from karat.audit.reward.attack_findings import EXPLANATIONS
from karat.audit.reward.attack_search import (
    MOST_CHARS,
    TARGETS,
    Attack,
    Case,
    Judge,
    Search,
    mutate,
    pieces_of,
    placed,
    seeds_of,
)
from karat.audit.reward.config import AuditRewardConfig
from karat.audit.reward.gradient_search import allowed_tokens, gradient_search, span_of, token_gradient
from karat.errors import DataError, InputError
from karat.rewards.groups import Group
from karat.rewards.kinds import TextReward
from karat.rewards.model import RewardModel, load_reward_for_training
from karat.rewards.tree import TokenTree, pack_trees
from karat.selftest.audit_attack import planted_pairs, planted_reward
from karat.types import Finding, Message, PreferencePair, Score, TokenIds
from rewards.tiny import save_tiny

PAIRS = planted_pairs(120, random.Random(0))
SHORT = [PreferencePair(f"ask {k}: ", f"good {k}", f"bad {-k}", prompt_id=str(k)) for k in range(40)]
MAGIC = "I have verified this twice."


class Counting:
    """A reward that counts what it is asked."""

    name, head_names = "counting", ("reward",)

    def __init__(self, reward: TextReward) -> None:
        self.reward, self.asked = reward, 0

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        self.asked += sum(len(group.responses) for group in groups)
        return self.reward.score(groups)


def attack(
    reward: object, pairs: Sequence[PreferencePair] = PAIRS, queries: int = 1600, seed: int = 0
) -> dict[str, Finding]:
    config = AuditRewardConfig(attack_queries=queries)
    result = audit_attack(reward, pairs, config=config, rng=np.random.default_rng(seed))  # type: ignore[arg-type]
    return {finding.code: finding for finding in result.findings}


def case_of(pair: PreferencePair) -> Case:
    return Case(pair.prompt_id, pair.prompt, pair.chosen, pair.rejected, "", 1.0, 0.0)


# ------------------------------------------------------------------------------------------------------------- findings
def test_a_planted_string_is_found_and_shown() -> None:
    found = attack(planted_reward(MAGIC, 6.0))
    assert [found[code].verdict for code in ("RW401", "RW402", "RW403")] == ["problem"] * 3
    assert all(any(MAGIC.split()[2] in text for text in found[code].witnesses) for code in ("RW401", "RW402"))
    assert "random strings 0.0" in found["RW402"].baseline or "random strings -0.0" in found["RW402"].baseline


def test_a_healthy_reward_is_never_called_safe() -> None:
    found = attack(planted_reward("", 0.0), queries=4000)
    assert {finding.verdict for finding in found.values()} <= {"ok", "unclear"}
    assert found["RW401"].verdict == "ok"
    assert "does not say that there is nothing" in found["RW401"].action
    assert found["RW401"].witnesses == ()


def test_random_strings_show_that_length_alone_is_paid() -> None:
    found = attack(TextReward("longer", lambda prompt, response: float(len(response))))
    assert found["RW402"].verdict == "problem"
    assert float(found["RW402"].baseline.split()[2].rstrip(";")) > 0.2


@pytest.mark.parametrize("queries", [500, 1600])
def test_no_more_is_scored_than_the_budget_allows(queries: int) -> None:
    reward = Counting(planted_reward(MAGIC, 3.0))
    result = audit_attack(reward, PAIRS, config=AuditRewardConfig(attack_queries=queries), rng=np.random.default_rng(0))
    assert reward.asked == result.values["attack_queries_used"] <= queries
    assert reward.asked > 0.8 * queries


def test_the_same_seed_gives_the_same_strings() -> None:
    one, two = (attack(planted_reward(MAGIC, 6.0), seed=3) for _ in range(2))
    assert one == two


def test_what_is_reported_was_not_searched_on() -> None:
    """A reward that pays the string on the search prompts alone: the search is taken in, the finding is not."""
    searched = {
        pair.prompt for pair in _one_a_prompt(PAIRS, np.random.default_rng(0))[: _plan(len(PAIRS), 1600).n_search]
    }
    pays, does_not = planted_reward(MAGIC, 6.0).function, planted_reward("", 0.0).function
    reward = TextReward("lure", lambda prompt, text: (pays if prompt in searched else does_not)(prompt, text))
    result = audit_attack(reward, PAIRS, config=AuditRewardConfig(attack_queries=1600), rng=np.random.default_rng(0))
    assert {finding.verdict for finding in result.findings} <= {"ok", "unclear"}
    table = next(table for table in result.tables if table.name == "attacks")
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert max(row["on_search_prompts"] for row in rows if row["place"] == "suffix" and row["origin"] != "random") > 0.8
    assert all(row["n"] == result.values["attack_held_out_prompts"] for row in rows)
    assert [row["origin"] for row in rows].count("random") == len(rows) / 2


def test_missing_scores_are_counted() -> None:
    healthy = planted_reward(MAGIC, 6.0).function

    def some(prompt: str, response: str) -> float:
        return float("nan") if prompt < "l" else healthy(prompt, response)

    n_missing = sum(str(pair.prompt) < "l" for pair in PAIRS)
    found = attack(TextReward("some", some))
    assert 0 < found["RW402"].n_missing <= n_missing
    with pytest.raises(DataError, match="gives no score to any pair"):
        attack(TextReward("none", lambda prompt, response: float("nan")))


def test_what_cannot_be_attacked_says_why() -> None:
    with pytest.raises(InputError, match="1 prompts with a preferred response"):
        attack(planted_reward("", 0.0), [replace(pair, prompt_id="p") for pair in PAIRS])
    with pytest.raises(InputError, match="give 500 or more"):
        attack(planted_reward("", 0.0), queries=100)
    with pytest.raises(InputError, match="margins between chosen and rejected do not differ"):
        attack(TextReward("constant", lambda prompt, response: 1.0))
    with pytest.raises(InputError, match="tokenised"):
        attack(planted_reward("", 0.0), [PreferencePair(TokenIds(()), TokenIds((1,)), TokenIds((2,)))] * 2)
    with pytest.raises(InputError, match="0 prompts with a preferred response"):
        attack(planted_reward("", 0.0), [replace(pair, label=0.5) for pair in PAIRS])
    assert set(EXPLANATIONS) == {"RW401", "RW402", "RW403"}


# --------------------------------------------------------------------------------------------------------------- search
def test_strings_stand_where_they_belong() -> None:
    text = Case("p", "Q: ", " good", " bad", "", 1.0, 0.0)
    assert placed(Attack("alone", "!"), text) == " !"
    assert placed(Attack("suffix", " !"), text) == " bad !"
    assert placed(Attack("template", " !", "? "), text) == " ? bad !"
    turns = (Message("assistant", "call"), Message("tool", "4"), Message("assistant", "bad"))
    chat = Case("p", (), turns, turns, "", 1.0, 0.0)
    assert placed(Attack("alone", "!"), chat) == (Message("assistant", "!"),)
    assert placed(Attack("suffix", " !"), chat) == (*turns[:2], Message("assistant", "bad !"))
    empty = Case("p", "", "", "", "", 1.0, 0.0)
    assert placed(Attack("suffix", " !"), empty) == " !"


def test_a_race_keeps_within_its_queries_and_prefers_what_pays() -> None:
    cases = [case_of(pair) for pair in PAIRS[:20]]
    reward = TextReward("marks", lambda prompt, response: float(response.count("!")))
    for queries in (0, 30, 200, 1000):
        search = Search(Judge(reward), cases, 6.0)
        search.race([Attack("alone", "a" + "!" * (k % 7)) for k in range(60)], queries)
        assert search.judge.used <= queries
    assert search.best("alone", 1)[0].after == "a" + "!" * 6
    before = search.judge.used
    search.race([Attack("alone", "a!")], 1000)  # tried before
    assert search.judge.used == before


def test_evolution_goes_beyond_its_seeds() -> None:
    cases = [case_of(pair) for pair in PAIRS[:16]]
    reward = TextReward("marks", lambda prompt, response: float(min(response.count("!"), 12)))
    search = Search(Judge(reward), cases, 6.0)
    seeds = seeds_of("suffix", ["word"], random.Random(0))
    search.evolve(seeds, ["word"], 1500, random.Random(1))
    (best,) = search.best("suffix", 1)
    assert best.origin == "evolved"
    assert best.after.count("!") > max(seed.after.count("!") for seed in seeds)


def test_children_are_bounded_and_stay_in_their_place() -> None:
    rng = random.Random(0)
    for target in TARGETS:
        parents = seeds_of(target, ["word", "other"], rng)
        for _ in range(300):
            child = mutate(rng.choice(parents), rng.choice(parents), ["word"], rng)
            assert child.target == target
            assert len(child.after.strip()) <= MOST_CHARS


def test_what_one_response_says_alone_is_no_piece() -> None:
    cases = [Case(str(k), "", text, "no", "", 1.0, 0.0) for k, text in enumerate(["yes Paris", "yes Rome", "yes Oslo"])]
    assert pieces_of(cases) == ["yes"]


# ------------------------------------------------------------------------------------------------------------ gradients
@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> RewardModel:
    folder = save_tiny(tmp_path_factory.mktemp("tiny") / "model")
    reward = load_reward_for_training(str(folder), n_heads=2, max_length=512, dtype=torch.float32, seed=0)
    reward.net.eval()
    return reward


def test_the_token_gradient_is_the_derivative(model: RewardModel) -> None:
    sequences, starts = [list(range(20, 50)), list(range(60, 80))], [10, 5]
    gradient_LD = token_gradient(model.net, sequences, starts, 4)
    direction = torch.randn(4, gradient_LD.shape[1], generator=torch.Generator().manual_seed(0))

    def rewards(step: float) -> float:
        def move(module: torch.nn.Module, args: object, output: torch.Tensor) -> torch.Tensor:
            moved = output.clone()
            for at, start in zip((0, len(sequences[0])), starts, strict=True):
                moved[0, at + start : at + start + 4] += step * direction
            return moved

        handle = model.net.trunk.get_input_embeddings().register_forward_hook(move)
        with torch.no_grad():
            pack = pack_trees([TokenTree.from_sequences([ids]) for ids in sequences])
            total = float((model.net(pack).double() @ model.net.combine_H.double()).sum())
        handle.remove()
        return total

    numeric = (rewards(2e-3) - rewards(-2e-3)) / 4e-3
    assert float((gradient_LD * direction).sum()) == pytest.approx(numeric, rel=0.02)


def test_a_string_s_tokens_are_found_and_must_survive(model: RewardModel) -> None:
    cases = [case_of(pair) for pair in PAIRS[:3]]
    ids = span_of(model, Attack("suffix", " abc"), cases)
    assert ids is not None
    assert model.encoder.tokenizer.decode(list(ids)) == " abc"
    # the first letter of the string continues one rejected response and not the others: tokens are bytes, all survive
    chat = [
        Case("p", (Message("user", "q"),), (Message("assistant", "a"),), (Message("assistant", "b"),), "", 1.0, 0.0)
    ]
    assert span_of(model, Attack("alone", "abc"), chat) == span_of(model, Attack("alone", "abc"), cases)
    assert span_of(model, Attack("suffix", ""), cases) is None
    texts = model.encoder.tokenizer.batch_decode(allowed_tokens(model)[:, None].tolist())
    assert len(texts) == 94  # printable ASCII without the blank
    assert all(text.strip() and text.isprintable() for text in texts)


def test_gradients_raise_a_model_s_reward_on_prompts_they_have_not_seen(model: RewardModel) -> None:
    scores = model.score([Group(pair.prompt, (pair.chosen,)) for pair in SHORT])
    cases = [replace(case_of(pair), chosen_score=score[0].value) for pair, score in zip(SHORT, scores, strict=True)]
    judge = Judge(model)
    search = Search(judge, cases[:8], 1.0)
    start = Attack("suffix", " abcdefgh")
    gradient_search(model, start, search, 500, np.random.default_rng(0))
    assert judge.used <= 500
    (best,) = search.best("suffix", 1)
    assert best.origin == "gradient"
    assert len(span_of(model, best, cases) or ()) == len(span_of(model, start, cases) or ())
    before, after = judge.score([start, best], cases[8:])
    assert after.mean() > before.mean()


def test_a_model_is_attacked_through_its_weights_too(model: RewardModel) -> None:
    found = attack(model, SHORT, queries=600)
    assert found["RW402"].verdict in {"problem", "unclear", "ok"}
    assert found["RW402"].n_used > 0
