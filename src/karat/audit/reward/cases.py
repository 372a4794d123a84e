"""Probes applied to pairs: which texts have to be scored, and what each comparison is made of."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from karat.audit.reward.probes import Dialect, Family, Item, Probe
from karat.audit.reward.probes.base import set_text
from karat.rewards.groups import Group, last_text
from karat.rewards.protocol import Reward
from karat.types import PreferencePair, Score, Text

Key = tuple[Text, str, Text, int]
"""Prompt, tools, response, and 1 for the copy that the identity control scores; a text is scored once."""
Terms = tuple[tuple[int, Key], ...]
"""Signs with what they belong to: a score, or the margin of two."""
RESPONSES_PER_CALL = 128
"""A call that fails or hangs costs so many scores, or those of one prompt."""


@dataclass(frozen=True, slots=True)
class Case:
    """One edit of one item. The effect is `after` less `before`.

    Attributes:
        rival: the better response, where the worse one was edited: the edit may make it win.
        shown: the text before and after.
    """

    cluster: str
    before: Terms
    after: Terms
    rival: Key | None
    shown: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Battery:
    """A probe with its cases. `n_not_applicable`: items that it does not apply to, or whose edit proves nothing."""

    family: Family
    probe: Probe
    cases: tuple[Case, ...]
    n_not_applicable: int


def chosen_pairs(pairs: Sequence[PreferencePair], most: int, rng: np.random.Generator) -> list[PreferencePair]:
    """At most so many pairs, drawn by chance, of as many prompts as can be."""
    seen: dict[str, int] = {}
    ranked: list[tuple[int, int, int]] = []
    for index in rng.permutation(len(pairs)):
        name = pairs[index].prompt_id
        seen[name] = seen.get(name, 0) + 1
        ranked.append((seen[name], len(ranked), int(index)))
    kept = sorted(index for *_, index in sorted(ranked)[:most])
    return [pairs[index] for index in kept]


def items_of_pairs(pairs: Sequence[PreferencePair], dialect: Dialect) -> list[tuple[Item, Item]]:
    """The better and the worse response of each pair as items. Another prompt's chosen response serves as `other`."""
    out = []
    for index, pair in enumerate(pairs):
        other = _other(pairs, index)
        rows = []
        for response, against, is_chosen in ((pair.chosen, pair.rejected, True), (pair.rejected, pair.chosen, False)):
            rows.append(
                Item(
                    prompt=pair.prompt, response=response, question=dialect.question(pair.prompt),
                    text=last_text(response), cluster=pair.prompt_id, is_chosen=is_chosen, against=against,
                    tools=pair.tools, other=other,
                )
            )  # fmt: skip
        out.append((rows[0], rows[1]))
    return out


def _other(pairs: Sequence[PreferencePair], index: int) -> str:
    """The chosen response of the next pair with another prompt, half the pairs away; empty where there is none."""
    n = len(pairs)
    here = pairs[index]
    own = {last_text(here.chosen).strip(), last_text(here.rejected).strip()}
    for step in range(n):
        pair = pairs[(index + n // 2 + step) % n]
        text = last_text(pair.chosen)
        if pair.prompt_id != here.prompt_id and pair.prompt != here.prompt and text.strip() and text.strip() not in own:
            return text
    return ""


def apply_probe(
    family: Family, probe: Probe, items: Sequence[tuple[Item, Item]], dialect: Dialect, seed: int
) -> Battery:
    """The cases of one probe; its chance depends on the seed and its own name only.

    A probe of both sides edits the better response of one half of the pairs and the worse one of the other half: as
    many texts from twice the prompts say more.
    """
    salt = zlib.crc32(probe.name.encode())
    rng = np.random.default_rng([seed, salt])
    if probe.items is not None:
        candidates = probe.items(dialect, rng)
    elif probe.sides == "both" and probe.edits == "response":
        candidates = [pair[(index + salt) % 2] for index, pair in enumerate(items)]
    else:
        candidates = [pair[0] for pair in items]
    cases = []
    for item in candidates:
        text = probe.after(item, rng)
        if text is not None:
            cases.append(_prompt_case(item, text, dialect) if probe.edits == "prompt" else _response_case(item, text))
    return Battery(family, probe, tuple(cases), len(candidates) - len(cases))


def _response_case(item: Item, text: str) -> Case:
    key = (item.prompt, item.tools, item.response, 0)
    edited = (item.prompt, item.tools, set_text(item.response, text), 0)
    rival = (item.prompt, item.tools, item.against, 0) if item.against is not None and not item.is_chosen else None
    return Case(item.cluster, ((1, key),), ((1, edited),), rival, (item.text, text))


def _prompt_case(item: Item, question: str, dialect: Dialect) -> Case:
    assert item.against is not None, "a probe of the prompt compares two responses"

    def margin(prompt: Text) -> Terms:
        assert item.against is not None
        return ((1, (prompt, item.tools, item.response, 0)), (-1, (prompt, item.tools, item.against, 0)))

    other = dialect.with_question(item.prompt, question)
    return Case(item.cluster, margin(item.prompt), margin(other), None, (item.question, question))


def keys_of(cases: Iterable[Case]) -> list[Key]:
    """All that has to be scored, each once, in order of first appearance."""
    found: dict[Key, None] = {}
    for case in cases:
        found.update((key, None) for _, key in (*case.before, *case.after))
        if case.rival is not None:
            found[case.rival] = None
    return list(found)


def score_keys(
    reward: Reward, keys: Sequence[Key], *, progress: Callable[..., None] | None = None, stage: str = "probing"
) -> dict[Key, Score]:
    """Scores of texts, all responses of a prompt in one group."""
    by_prompt: dict[tuple[Text, str], list[Key]] = {}
    for key in keys:
        by_prompt.setdefault(key[:2], []).append(key)
    calls: list[list[list[Key]]] = [[]]
    for members in by_prompt.values():
        if calls[-1] and sum(map(len, calls[-1])) + len(members) > RESPONSES_PER_CALL:
            calls.append([])
        calls[-1].append(members)
    scores: dict[Key, Score] = {}
    for call in filter(None, calls):
        groups = [Group(members[0][0], tuple(key[2] for key in members), members[0][1]) for members in call]
        for members, found in zip(call, reward.score(groups), strict=True):
            scores.update(zip(members, found, strict=True))
        if progress:
            progress(stage, len(scores), len(keys), "responses")
    return scores


def value_of(terms: Terms, scores: dict[Key, Score]) -> float:
    """The signed sum; NaN where one is missing."""
    return sum(sign * scores[key].value for sign, key in terms)
