"""A mitigation as a reward: other rewards, one rule, and the rule's numbers, fitted by `karat stress --export` on a
pool or by `karat audit reward --fix` on preference pairs.

Folder:
    karat.json               kind "mitigated reward": the rule, its numbers, the rewards it asks, where it was fitted
    references.jsonl.gz      reference responses by prompt, for the rules that compare a response with them

A score depends on the prompt, the response and what is in the folder; what it is scored together with does not matter.
Rules that need references give no score, with the reason, for a prompt that has none stored.

Axes: R responses, M members, K references of a prompt, F features of style.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from karat import __version__
from karat.data.text_features import FEATURES, count_features
from karat.errors import ModelError, ResourceError
from karat.numerics.length_trend import LengthTrend
from karat.numerics.mitigation_rules import FittedRule, RuleInputs, members_of, rule_scores, standardised
from karat.numerics.rule_names import FROM_LABELS, RULES
from karat.numerics.similarity import mean_text_similarity
from karat.numerics.style_trend import StyleTrend
from karat.rewards.embedding import mean_embedding_similarity
from karat.rewards.groups import Group, last_text
from karat.rewards.protocol import Reward
from karat.types import NAN, TOKENS_PER_PACK, Score, Text, TokenIds

MANIFEST, REFERENCES = "karat.json", "references.jsonl.gz"
KIND = "mitigated reward"
EXPORT_AGAIN = "Export it again (karat stress --export, karat audit reward --fix)."
TEXT_SIMILARITY = "text"
"""Similarity of character n-grams; any other name is a model's, whose hidden states are compared."""


@dataclass(frozen=True, slots=True)
class MemberSpec:
    """A reward that the rule asks.

    Attributes:
        name: the pool's column that it stands for.
        reward: as `karat.rewards.load_reward` takes it; head: one of its heads by name, or empty for its score.
    """

    name: str
    reward: str
    head: str = ""


@dataclass(frozen=True, slots=True)
class References:
    """Responses to one prompt that others are compared with.

    Attributes:
        score_MK: the members' scores of them; texts: empty unless similarity is asked for.
    """

    score_MK: np.ndarray
    texts: tuple[str, ...] = ()


class MitigatedReward:
    """A rule over other rewards. Satisfies `karat.rewards.Reward`; heads are the members, standardised."""

    def __init__(
        self,
        fitted: FittedRule,
        members: Sequence[MemberSpec],
        rewards: Mapping[str, Reward],
        *,
        name: str,
        references: Mapping[str, References] | None = None,
        similarity: str = TEXT_SIMILARITY,
        manifest: Mapping[str, Any] | None = None,
    ) -> None:
        self.fitted = fitted
        self.members = tuple(members)
        self.rewards = dict(rewards)
        self.name = name
        self.references = dict(references or {})
        self.similarity = similarity
        self.manifest = dict(manifest or {})
        several = len(self.members) > 1
        self.head_names = tuple(member.name for member in self.members) if several else ("reward",)

    @classmethod
    def load(cls, path: str, *, max_length: int = 0, tokens_per_pack: int = TOKENS_PER_PACK) -> MitigatedReward:
        """Read a folder that `save_mitigated` wrote, and the rewards that it names.

        Raises: ModelError: the folder cannot be read; InputError and its kin: one of its rewards cannot be loaded.
        """
        from karat.rewards.kinds import load_reward

        file = Path(path) / MANIFEST
        try:
            manifest = json.loads(file.read_text(encoding="utf-8"))
            members = tuple(_member_from(entry) for entry in manifest["members"])
            fitted = _fitted_from(manifest["fitted"])
            stored = manifest["references"]
            similarity = _text(stored["similarity"]) if stored else TEXT_SIMILARITY
            used = members_of(fitted.rule, max(len(members), 2))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{file} is no complete mitigated reward ({type(error).__name__}: {error}). {EXPORT_AGAIN}"
            ) from error
        if len(members) != len(fitted.scale_M) or (used == 1) != (len(members) == 1):
            raise ModelError(
                f"{file}: rule {fitted.rule!r} with {len(members)} rewards and {len(fitted.scale_M)} scales. "
                f"{EXPORT_AGAIN}"
            )
        try:
            rewards = {
                spec: load_reward(spec, max_length=max_length, tokens_per_pack=tokens_per_pack)
                for spec in dict.fromkeys(member.reward for member in members)
            }
        except RecursionError:
            raise ModelError(f"{file} names itself among its rewards, or a reward that does.") from None
        for member in members:
            if member.head and member.head not in rewards[member.reward].head_names:
                heads = ", ".join(rewards[member.reward].head_names)
                raise ModelError(f"{file}: {member.reward} has no head {member.head!r}; it has: {heads}.")
        return cls(
            fitted, members, rewards, name=path, manifest=manifest,
            references=dict(_read_references(Path(path) / REFERENCES, len(members))) if stored else {},
            similarity=similarity,
        )  # fmt: skip

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        """Missing where a member's is, or where the rule needs references and the prompt has none; with reason."""
        by_reward = {spec: reward.score(groups) for spec, reward in self.rewards.items()}
        return [
            self._score_group(group, [self._of_member(member, by_reward, g) for member in self.members])
            for g, group in enumerate(groups)
        ]

    def _of_member(
        self, member: MemberSpec, by_reward: Mapping[str, Sequence[Sequence[Score]]], group: int
    ) -> list[Score]:
        scores = by_reward[member.reward][group]
        if not member.head:
            return list(scores)
        at = self.rewards[member.reward].head_names.index(member.head)
        # a reward of a single head gives no list of heads
        return [Score(s.heads[at] if s.heads else s.value, missing=s.missing) for s in scores]

    def _score_group(self, group: Group, scores_MR: Sequence[Sequence[Score]]) -> list[Score]:
        found = self.references.get(prompt_key(group.prompt)) if self.fitted.needs_references else None
        if self.fitted.needs_references and found is None:
            reason = (
                f"rule {self.fitted.rule!r} compares with reference responses, and none are stored for this prompt "
                f"({len(self.references)} prompts have them)"
            )
            return [Score(NAN, missing=reason)] * len(group.responses)
        if self.fitted.rule in FROM_LABELS and any(isinstance(text, TokenIds) for text in group.responses):
            reason = "token ids have neither length nor style in characters; give text"
            return [Score(NAN, missing=reason)] * len(group.responses)
        member_RM = np.array([[score.value for score in scores] for scores in scores_MR], float).T
        inputs = self._inputs(group, member_RM, found)
        value_R, heads_RM = rule_scores(self.fitted, inputs), standardised(self.fitted, inputs)
        return [self._score_of(value_R[r], heads_RM[r], [s[r] for s in scores_MR]) for r in range(len(value_R))]

    def _inputs(self, group: Group, member_RM: np.ndarray, found: References | None) -> RuleInputs:
        texts = [last_text(response) for response in group.responses]
        references = similarity = None
        if found is not None:
            references = found.score_MK[None]
            if self.fitted.rule == "mbr":
                similarity = reference_similarity(texts, found.texts, self.similarity)
        return RuleInputs(
            member_RM=member_RM, length_R=np.array([float(len(text)) for text in texts]),
            place_R=np.zeros(len(texts), int), reference_PMK=references, similarity_R=similarity,
            style_RF=style_counts(texts, self.fitted.style.names) if self.fitted.style else None,
        )  # fmt: skip

    def _score_of(self, value: float, heads_M: np.ndarray, scores: Sequence[Score]) -> Score:
        for member, score in zip(self.members, scores, strict=True):
            if score.is_missing:
                return Score(NAN, missing=f"{member.name} ({member.reward}): {score.missing}")
        if not math.isfinite(value):
            return Score(NAN, missing=f"rule {self.fitted.rule!r} gave {value}")
        if len(self.members) == 1:
            return Score(float(value))
        return Score(float(value), heads=tuple(map(float, heads_M)), spread=float(heads_M.std(ddof=1)))


def style_counts(texts: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """Counts of some of the `FEATURES` of texts, shape (R, F)."""
    columns = [FEATURES.index(name) for name in names]
    counts = [count_features(text) for text in texts]
    return np.array([[row[column] for column in columns] for row in counts], float).reshape(len(texts), len(columns))


def reference_similarity(texts: Sequence[str], references: Sequence[str], kind: str) -> np.ndarray:
    """Mean cosine of each text to the references: of character n-grams ("text"), or of a model's hidden states."""
    if kind == TEXT_SIMILARITY:
        return mean_text_similarity(texts, references)
    return mean_embedding_similarity(texts, references, kind)


def prompt_key(prompt: Text) -> str:
    """A prompt's name in the file of references: the same for the same text, whatever else a row has."""
    if isinstance(prompt, TokenIds):
        content: Any = list(prompt.ids)
    elif isinstance(prompt, str):
        content = prompt
    else:
        content = [[turn.role, turn.content] for turn in prompt]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:20]


# ------------------------------------------------------------------------------------------------------- read and save
def from_anywhere(reward: str) -> str:
    """A REWARD with its folders as absolute paths, so that they are found wherever the export is used."""
    for prefix in ("ensemble:", "average:"):
        if reward.startswith(prefix):
            parts = reward.removeprefix(prefix).split(",")
            return prefix + ",".join(from_anywhere(part.strip()) for part in parts)
    return str(Path(reward).resolve()) if Path(reward).exists() else reward


def is_mitigated(path: str) -> bool:
    """Whether a folder holds a mitigated reward (rather than a reward model, or nothing)."""
    file = Path(path) / MANIFEST
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("kind") == KIND


def save_mitigated(
    folder: Path,
    fitted: FittedRule,
    members: Sequence[MemberSpec],
    *,
    references: Mapping[str, References] | None = None,
    similarity: str = TEXT_SIMILARITY,
    facts: Mapping[str, Any] | None = None,
) -> tuple[str, ...]:
    """Write the folder, the manifest last; the files written.

    Args:
        references: by `prompt_key`; needed where fitted.needs_references.
        facts: what else the manifest tells: pool, gold, the comparison.
    Raises: ModelError: another kind of reward is in the folder. ResourceError: it cannot be written.
    """
    manifest = {
        "karat": __version__,
        "kind": KIND,
        "rule": fitted.rule,
        "what": (RULES | FROM_LABELS)[fitted.rule],
        "members": [asdict(member) for member in members],
        "fitted": {**asdict(fitted), "cap": fitted.cap if math.isfinite(fitted.cap) else None},
        "references": {"prompts": len(references), "similarity": similarity} if references else None,
        **(facts or {}),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / MANIFEST).exists() and not is_mitigated(str(folder)):
            raise ModelError(f"{folder} holds another reward already. Name another folder (--out), or move it away.")
        (folder / REFERENCES).unlink(missing_ok=True)
        written = [folder / MANIFEST]
        if references:
            _write_references(folder / REFERENCES, references)
            written.append(folder / REFERENCES)
        partial = folder / f"{MANIFEST}.partial"
        partial.write_text(json.dumps(manifest, indent=1, allow_nan=False), encoding="utf-8")
        partial.replace(folder / MANIFEST)
    except OSError as error:
        raise ResourceError(f"cannot write {folder}: {error.strerror or error}.") from error
    return tuple(map(str, written))


def _member_from(stored: Mapping[str, Any]) -> MemberSpec:
    return MemberSpec(**{field: _text(value) for field, value in {**stored}.items()})


def _fitted_from(stored: Mapping[str, Any]) -> FittedRule:
    """Raises: ValueError, KeyError, TypeError: a field is missing, or no number that the rule could have."""
    trend, rest = stored["trend"], dict(stored)
    centre_M, scale_M = _numbers(rest.pop("centre_M")), _numbers(rest.pop("scale_M"))
    if len(centre_M) != len(scale_M) or not min(scale_M, default=1.0) > 0:
        raise ValueError(f"centres {centre_M} and scales {scale_M}: one of each to a reward, scales above 0")
    if rest["centre"] not in ("pool", "prompt"):
        raise ValueError(f"centre {rest['centre']!r}")
    for field in ("temperature", "similarity_weight"):
        (rest[field],) = _numbers([rest[field]])
    rest["cap"] = math.inf if rest["cap"] is None else _numbers([rest["cap"]])[0]
    rest["trend"] = LengthTrend(_numbers(trend["length_K"]), _numbers(trend["value_K"])) if trend else None
    rest["style"] = _style_from(rest["style"]) if rest.get("style") else None
    if (rest["rule"] in ("length-lowess", "length-isotonic") and not trend) or (
        rest["rule"] in FROM_LABELS and not trend and not rest["style"]
    ):
        raise ValueError(f"rule {rest['rule']!r} without its trend")
    return FittedRule(centre_M=centre_M, scale_M=scale_M, **rest)


def _style_from(stored: Mapping[str, Any]) -> StyleTrend:
    """Raises: ValueError, KeyError, TypeError: as `_fitted_from`."""
    names, weight_F = tuple(map(_text, stored["names"])), _numbers(stored["weight_F"])
    unknown = sorted(set(names) - set(FEATURES))
    if unknown or len(names) != len(weight_F):
        raise ValueError(f"style of {len(names)} features with {len(weight_F)} weights, not known: {unknown}")
    return StyleTrend(names, weight_F, _numbers([stored["centre"]])[0])


def _numbers(stored: Any) -> tuple[float, ...]:
    """Raises: TypeError, ValueError: not a list, or one of them is no finite number."""
    if not isinstance(stored, list):
        raise TypeError(f"{stored!r} in place of a list of numbers")
    for value in stored:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{value!r} in place of a number")
    return tuple(map(float, stored))


def _text(stored: Any) -> str:
    if not isinstance(stored, str):
        raise TypeError(f"{stored!r} in place of text")
    return stored


def _write_references(file: Path, references: Mapping[str, References]) -> None:
    rows = [
        {"prompt": key, "scores": found.score_MK.tolist(), "texts": list(found.texts)}
        for key, found in references.items()
    ]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    file.write_bytes(gzip.compress(content, mtime=0))


def _read_references(file: Path, n_members: int) -> Iterator[tuple[str, References]]:
    try:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                score_MK = np.array(row["scores"], float)
                if score_MK.ndim != 2 or len(score_MK) != n_members or not np.isfinite(score_MK).all():
                    raise ValueError(f"scores of shape {score_MK.shape} for {n_members} rewards, or not all finite")
                yield _text(row["prompt"]), References(score_MK, tuple(map(_text, row["texts"])))
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{file} cannot be read ({type(error).__name__}: {error}). It belongs to the folder: copy it too. "
            f"{EXPORT_AGAIN}"
        ) from error
