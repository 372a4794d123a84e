"""What training may add to its pairs: pairs whose label follows from how they are made, and rewordings.

rrm             For a prompt x with response y, and y', y'' the responses to another prompt: (x: y over y') whichever
                side y and y' are of, and (x: y', y'' a tie), half of each. What speaks for a response without regard to
                the prompt (length, format, a phrase) then loses as often as it wins (RRM, arXiv 2409.13156). Of that
                paper's combinations these two kinds are drawn; its filter by a first reward is left out.
counterfactual  (x: y, y padded or formatted) with `plain_label`, the probability that the plain one is preferred.
rewordings      One for each response, for the consistency penalty: from a function, from columns, or of the surface.

What is added belongs to the pair's prompt: one token tree, one weight, one side of the split. All of it follows from
the seed and the pairs, so that a resumed run has the same.

Axes: P pairs.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from karat.data.edits import FORMATTINGS, PADDINGS, edited, reworded
from karat.errors import DataError, InputError
from karat.rewards.groups import last_text
from karat.rewards.kinds import import_function, plain_text
from karat.train.config import TrainConfig
from karat.types import AccountEntry, PreferencePair, Text, TokenIds

TRIES = 20
"""Other prompts drawn before a pair goes without."""
NEAR, SHINGLE = 0.5, 5
"""Prompts are near equal from this Jaccard similarity of their runs of SHINGLE characters on."""
CHOSEN_COLUMN, REJECTED_COLUMN = "chosen_paraphrase", "rejected_paraphrase"
EDITS = {**PADDINGS, **FORMATTINGS}


@dataclass(frozen=True, slots=True)
class Extras:
    """What goes with the pairs.

    Attributes:
        added: for each pair, the pairs that are added to it; empty: none for any.
        rewordings: by (prompt, response), a text that says the same.
        entries: counts for the account; n_added: pairs added.
    """

    added: tuple[tuple[PreferencePair, ...], ...] = ()
    rewordings: Mapping[tuple[Text, Text], Text] = field(default_factory=dict)
    entries: tuple[AccountEntry, ...] = ()

    @property
    def n_added(self) -> int:
        return sum(map(len, self.added))

    def counts(self) -> dict[str, int]:
        """As values of the result."""
        return {"added_pairs": self.n_added, "rewordings": len(self.rewordings)}

    def fingerprint(self) -> str:
        """The same for the same extras; empty without any."""
        if not self.n_added and not self.rewordings:
            return ""
        digest = hashlib.sha256()
        for pair in (pair for own in self.added for pair in own):
            digest.update(repr((pair.prompt, pair.chosen, pair.rejected, pair.label)).encode(errors="surrogatepass"))
        digest.update(repr(list(self.rewordings.items())).encode(errors="surrogatepass"))
        return digest.hexdigest()[:16]


NO_EXTRAS = Extras()


def make_extras(pairs: Sequence[PreferencePair], config: TrainConfig) -> Extras:
    """What `augment` and `consistency` ask for, for the pairs that are trained on.

    Raises: InputError: the paraphraser cannot be used. DataError: token ids; one prompt; nothing can be reworded.
    """
    if not config.augmentations and not config.consistency:
        return NO_EXTRAS
    if any(isinstance(pair.chosen, TokenIds) for pair in pairs):
        raise DataError("the data is tokenised; --augment and --consistency edit text. Give text, or drop them.")
    rng = np.random.default_rng([config.seed, 3])
    made: list[list[PreferencePair]] = [[] for _ in pairs]
    counts: Counter[str] = Counter()
    for kind in config.augmentations:
        draw = _other_prompts(pairs) if kind == "rrm" else _counterfactual(config.plain_label)
        n_kind = 0
        for number, pair in enumerate(pairs):
            for _ in range(config.augment_per_pair):
                found, what = draw(number, pair, rng)
                counts[f"{kind}: {what}"] += 1
                if found is not None:
                    made[number].append(found)
                    n_kind += 1
        if not n_kind:
            raise DataError(
                f"augment = {kind}: no pair could be made ({', '.join(counts)}). Drop it, or mend the data."
            )
    rewordings: dict[tuple[Text, Text], Text] = {}
    if config.consistency:
        rewordings, what = _rewordings(pairs, config.paraphraser)
        counts[f"consistency: responses with a rewording ({what})"] = len(rewordings)
    entries = tuple(AccountEntry("noted", reason, count, ()) for reason, count in counts.items())
    return Extras(tuple(map(tuple, made)) if config.augmentations else (), rewordings, entries)


Draw = Callable[[int, PreferencePair, np.random.Generator], tuple[PreferencePair | None, str]]


def _other_prompts(pairs: Sequence[PreferencePair]) -> Draw:
    """One of the two kinds of rrm.

    Raises: DataError: all pairs have one prompt.
    """
    if len({pair.prompt_id for pair in pairs}) < 2:
        raise DataError("augment = rrm takes responses to other prompts, and the pairs to train on have one prompt.")
    shingles = [_shingles(plain_text(pair.prompt)) for pair in pairs]

    def draw(number: int, pair: PreferencePair, rng: np.random.Generator) -> tuple[PreferencePair | None, str]:
        for _ in range(TRIES):
            at = int(rng.integers(len(pairs)))
            other = pairs[at]
            if other.prompt_id != pair.prompt_id and _is_apart(pair, other, shingles[number], shingles[at]):
                break
        else:
            return None, f"no prompt unlike enough in {TRIES} draws: nothing added"
        if rng.random() < 0.5:
            own, foreign = (str(rng.choice(("chosen", "rejected"))) for _ in range(2))
            texts = getattr(pair, own), getattr(other, foreign)
            return _made(pair, *texts, 1.0), "a response over one to another prompt, added"
        return _made(pair, other.chosen, other.rejected, 0.5), "two responses to another prompt as a tie, added"

    return draw


def _is_apart(pair: PreferencePair, other: PreferencePair, own: frozenset[str], foreign: frozenset[str]) -> bool:
    """Whether the other's responses are wrong here: other texts, of the same kind, to a prompt not near equal."""
    if type(pair.prompt) is not type(other.prompt) or not {pair.chosen, pair.rejected}.isdisjoint(
        (other.chosen, other.rejected)
    ):
        return False
    union = len(own | foreign)
    return bool(union) and len(own & foreign) / union < NEAR


def _shingles(text: str) -> frozenset[str]:
    plain = " ".join(text.lower().split())
    return frozenset(plain[start : start + SHINGLE] for start in range(max(1, len(plain) - SHINGLE + 1))) - {""}


def _counterfactual(plain_label: float) -> Draw:
    """One side of the pair against itself, padded or formatted."""

    def draw(number: int, pair: PreferencePair, rng: np.random.Generator) -> tuple[PreferencePair | None, str]:
        side = str(rng.choice(("chosen", "rejected")))
        text = getattr(pair, side)
        for name in rng.permutation(list(EDITS)):
            other = edited(text, EDITS[str(name)])
            if other is not None and other != text:
                return _made(pair, text, other, plain_label), f"{name}, added"
        return None, "no edit applies: nothing added"

    return draw


def _made(pair: PreferencePair, chosen: Text, rejected: Text, label: float) -> PreferencePair:
    """A pair of the same prompt, without what was said of the old responses."""
    return PreferencePair(
        pair.prompt, chosen, rejected, label=label, prompt_id=pair.prompt_id, row=pair.row, source=pair.source,
        tools=pair.tools,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- rewordings
def _rewordings(pairs: Sequence[PreferencePair], paraphraser: str) -> tuple[dict[tuple[Text, Text], Text], str]:
    """By (prompt, response), what says the same; and where it comes from."""
    if paraphraser:
        found, what = _from_function(pairs, paraphraser), paraphraser
    elif any(pair.extra.get(column) for pair in pairs for column in (CHOSEN_COLUMN, REJECTED_COLUMN)):
        found, what = _from_columns(pairs), f"columns {CHOSEN_COLUMN}, {REJECTED_COLUMN}"
    else:
        sides = _sides(pairs)
        found = {(prompt, text): other for prompt, text in sides if (other := edited(text, reworded)) is not None}
        what = "of the surface"
    found = {key: other for key, other in found.items() if other != key[1]}
    if not found:
        raise DataError(f"consistency: not one response has a rewording ({what}). Give a paraphraser, or drop it.")
    return found, what


def _sides(pairs: Sequence[PreferencePair]) -> list[tuple[Text, Text]]:
    """Distinct (prompt, response), in order."""
    return list(dict.fromkeys((pair.prompt, text) for pair in pairs for text in (pair.chosen, pair.rejected)))


def _from_function(pairs: Sequence[PreferencePair], paraphraser: str) -> dict[tuple[Text, Text], Text]:
    function = import_function(paraphraser)
    sides = _sides(pairs)
    try:
        texts = list(function([last_text(text) for _, text in sides]))
    except Exception as error:  # the user's code may raise anything
        raise InputError(f"paraphraser {paraphraser} raised {type(error).__name__}: {error}. Mend it.") from error
    if len(texts) != len(sides):
        raise InputError(
            f"paraphraser {paraphraser} gave {len(texts)} texts for {len(sides)}; return one, or None, each."
        )
    return _placed(zip(sides, texts, strict=True), f"paraphraser {paraphraser}")


def _from_columns(pairs: Sequence[PreferencePair]) -> dict[tuple[Text, Text], Text]:
    stated = [
        ((pair.prompt, text), pair.extra.get(column))
        for pair in pairs
        for text, column in ((pair.chosen, CHOSEN_COLUMN), (pair.rejected, REJECTED_COLUMN))
    ]
    return _placed(stated, "paraphrase columns")


def _placed(stated: Any, source: str) -> dict[tuple[Text, Text], Text]:
    """Texts in the place of the last message; None and "" are no rewording.

    Raises: InputError: one of them is no text.
    """
    found = {}
    for (prompt, text), other in stated:
        if other is None or other == "":
            continue
        if not isinstance(other, str):
            raise InputError(f"{source}: {other!r} in place of a text or None. Give the whole response as text.")
        whole: Text = other if isinstance(text, str) else (*text[:-1], replace(text[-1], content=other))
        found[(prompt, text)] = whole
    return found
