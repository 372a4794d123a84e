"""How long the parts of an audit will take: a few calls are timed, and what each part will score is counted.

The time lies between two rules: in proportion to the text (a prompt once for all of its responses: reward models), and
in proportion to the responses (functions and judges that are called for each).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from karat.audit.reward.attack import SEARCH_SHARE
from karat.audit.reward.cases import Key, apply_probe, chosen_pairs, items_of_pairs, keys_of
from karat.audit.reward.config import AuditRewardConfig
from karat.audit.reward.limited import LimitedReward, Pace, characters_of, responses_of
from karat.audit.reward.measure import chosen_families
from karat.audit.reward.probes import Dialect
from karat.audit.reward.sophistry import drawn_items, read_items, texts_of
from karat.errors import KaratError
from karat.rewards.groups import Group, group_pairs
from karat.types import PreferencePair, Text

TIMED_PAIRS, MORE_PAIRS, ENOUGH_S = 8, 32, 2.0
"""More are timed where the first took less than enough: calls of few texts are slower for each."""
SAMPLE_PAIRS = 30
"""Pairs whose edits are made to count those of all."""
MEAN_STRING, A_PROMPT = 60, 3
"""Characters that an attack adds, and attacks that are scored together on a prompt, as seen on a reward model."""


@dataclass(frozen=True, slots=True)
class Work:
    """What will be scored: characters, a prompt once for its responses, and responses."""

    characters: float
    responses: float


def time_pace(reward: LimitedReward, pairs: Sequence[PreferencePair], rng: np.random.Generator) -> None:
    """Score a few pairs; the first call, which may load and compile, is not counted."""
    groups = group_pairs(chosen_pairs(pairs, 1 + TIMED_PAIRS + MORE_PAIRS, rng)).groups
    reward.score(groups[:1])
    few, more = groups[1 : 1 + TIMED_PAIRS] or groups, groups[1 + TIMED_PAIRS :]
    reward.pace = Pace()
    reward.score(few)
    if more and reward.pace.responses and reward.pace.seconds < ENOUGH_S:
        reward.pace = Pace()
        reward.score(more)


def works(
    parts: Sequence[str], pairs: Sequence[PreferencePair], config: AuditRewardConfig, rng: np.random.Generator
) -> dict[str, Work]:
    """Part -> what it will score, about. A part that its input does not allow, or that is not known, is left out."""
    counted: dict[str, Callable[[], Work]] = {
        "probes": lambda: _probes(pairs, config, rng),
        "sophistry": lambda: _sophistry(pairs, config, rng),
        "attack": lambda: _attack(pairs, config),
        "predict": lambda: _of_pairs(pairs, min(config.predict_responses, 2 * len(pairs))),
    }
    found = {}
    for part in parts:
        if part in counted:
            try:
                found[part] = counted[part]()
            except KaratError:  # the part itself will say why
                continue
    if config.fix:
        found["fix"] = _of_pairs(pairs, 2 * len(pairs))
    return found


def told(works: dict[str, Work], pace: Pace) -> tuple[int, str]:
    """How many responses in all, and the time in words, in all and by part."""
    total = Work(sum(each.characters for each in works.values()), sum(each.responses for each in works.values()))
    by_part = ", ".join(f"{part} {_time(work, pace)}" for part, work in works.items())
    return round(total.responses), f"about {_time(total, pace)}" + (f" ({by_part})" if len(works) > 1 else "")


def _time(work: Work, pace: Pace) -> str:
    least, most = (_duration(seconds) for seconds in pace.expected_s(work.characters, work.responses))
    return least if least == most else f"{least} to {most}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


# ------------------------------------------------------------------------------------------------------------ by part
def _probes(pairs: Sequence[PreferencePair], config: AuditRewardConfig, rng: np.random.Generator) -> Work:
    used = chosen_pairs([pair for pair in pairs if not pair.is_tie], config.probe_pairs, rng)
    dialect, few = Dialect.of(pairs), used[:: max(1, len(used) // SAMPLE_PAIRS)]
    items = items_of_pairs(few, dialect)
    batteries = [apply_probe(each, probe, items, dialect, 0) for each in chosen_families(config.probes)
                 for probe in each.probes]  # fmt: skip
    own, built_in = (
        _of_keys(keys_of(case for each in batteries if (each.probe.items is None) is is_own for case in each.cases))
        for is_own in (True, False)
    )
    copies = _of_pairs(few, 2 * len(few))
    many = len(used) / max(len(few), 1)
    return Work(
        many * (own.characters + copies.characters) + built_in.characters,
        many * (own.responses + copies.responses) + built_in.responses,
    )


def _of_keys(keys: Sequence[Key]) -> Work:
    by_prompt: dict[Text, list[Text]] = {}
    for prompt, _, response, _ in keys:
        by_prompt.setdefault(prompt, []).append(response)
    groups = [Group(prompt, tuple(texts)) for prompt, texts in by_prompt.items()]
    return Work(characters_of(groups), responses_of(groups))


def _sophistry(pairs: Sequence[PreferencePair], config: AuditRewardConfig, rng: np.random.Generator) -> Work:
    items = read_items(config.items)[0] if config.items else drawn_items(config, rng)
    dialect, (texts, _) = Dialect.of(pairs), texts_of(items, rng)
    groups = [
        Group(dialect.prompt(item.prompt), tuple(map(dialect.response, dict.fromkeys(row))))
        for item, row in zip(items, texts, strict=True)
    ]
    return Work(characters_of(groups), responses_of(groups))


def _attack(pairs: Sequence[PreferencePair], config: AuditRewardConfig) -> Work:
    """A third of the responses are the string alone; a prompt is scored with several at once."""
    prompt = characters_of([Group(pair.prompt, ()) for pair in pairs]) / len(pairs)
    response = characters_of([Group(pair.rejected, ()) for pair in pairs]) / len(pairs)
    each = (1 - SEARCH_SHARE["alone"]) * response + MEAN_STRING + prompt / A_PROMPT
    return Work(config.attack_queries * each, config.attack_queries)


def _of_pairs(pairs: Sequence[PreferencePair], responses: float) -> Work:
    """So many responses as the pairs have them: several pairs may share one, which is scored once."""
    groups = group_pairs(pairs).groups
    share = responses / (2 * len(pairs))
    return Work(share * characters_of(groups), share * responses_of(groups))
