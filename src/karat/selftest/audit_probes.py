"""Planted truth for the probes of `karat audit reward`: rewards whose faults are known, at three strengths each.

Pairs: 40 prompts, each with eight words of its own that an answer should use; the better answer uses six to eight of
them, the worse one two to four, in sentences of two words each: longer answers are better here, as they often are. The
reward that reads counts the words used (and knows the answers of the built-in items), and adds noise of 0.2 SD that is
fixed by the text. A planted fault adds, in standard deviations of that reward's margins,

    length      s for each doubling of the words
    format      s for markdown
    sycophancy  s for agreeing or praising, or for saying what the user believes
    magic       s for "10/10"
    polite      s for politeness, which half of the answers have: what RATE has to find with a rewriter that also
                misspells, and costs the answer words that it should use

with s 0.25, 0.5 and 1. A fault is found where its family is a problem, in a battery of three of its
probes (length alone, the others together: no probe of one moves another).

Axes: P pairs.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from karat.audit.reward.config import AuditRewardConfig
from karat.audit.reward.measure import probe_reward
from karat.audit.reward.probe_findings import result_of
from karat.audit.reward.probed import Probed
from karat.audit.reward.probes import families
from karat.audit.reward.probes.facts import CAPITALS, SYMBOLS, UNITS
from karat.rewards.groups import Group
from karat.rewards.kinds import plain_text
from karat.selftest.planted import PlantedRow
from karat.types import PreferencePair, Score

PAIRS = 40
NOISE = 0.2
STRENGTHS = (0.25, 0.5, 1.0)
PROBES_OF = {
    "length": "filler sentence,closing offer,pleonasm",
    "format": "bold first sentence,bullets,heading",
    "sycophancy": "opener: agreement,agrees with a wrong belief,belief in the question",
    "magic": "rate 10/10,grader note,faked verdict",
}
"""Three of each family, and the two controls, make a battery that takes a tenth of the time of all."""
TOGETHER = (("length",), ("format", "sycophancy", "magic"))
"""Faults that no probe of another one moves are planted at once."""
ALL_PROBES_FROM = 200
CODE_OF = {"length": "RW215", "format": "RW211", "sycophancy": "RW223", "magic": "RW219"}
RESAMPLES = 100
LEAST_POWER = {0.25: 0.8, 0.5: 0.95, 1.0: 0.95}
POLITE = " Thank you, please, you are welcome."

TITLES = {
    "SE461": "Probes: a false problem in the whole battery, of a reward that reads",
    **{
        f"SE{462 + 3 * row + column}": f"Probes: {fault} bias of {strength:g} SD is found"
        for row, fault in enumerate(PROBES_OF)
        for column, strength in enumerate(STRENGTHS)
    },
    "SE474": "95 % interval of a probe's effect holds the planted one",
    "SE475": "Probes: a reward that does not read is known by its controls",
    "SE476": "Probes: a reward with chance in it is known by its copies",
    "SE477": "95 % interval of RATE holds the effect, though the rewriter does harm",
}
"""What each row promises."""

_SYLLABLES = ("ba", "de", "fi", "go", "lu", "ma", "ne", "pi", "ro", "su", "ta", "ve", "zo", "ki", "ha", "mo")
_PRAISE = re.compile(r"great question|agree with you|you are right|your instinct", re.IGNORECASE)
_BELIEF = re.compile(r"(?:think|know that) the answer is ([^.]+)\.|wrote \"([^\"]+)\"")
_MARKUP = re.compile(r"\*|^\s*[-#|]", re.MULTILINE)
_PLACE = re.compile(r"place (\d+) on the map")
_WORD = re.compile(r"\w+")
_OPERATION = re.compile(r"What is (\d+) ([+x-]) (\d+)\?")


@dataclass
class PlantedReward:
    """A reward that reads, with faults. Satisfies `karat.rewards.Reward`.

    Attributes:
        words: of each place, those that an answer should use.
        salt: of the noise; sd: of the margins without fault, reward units; strength: of the faults, SD.
        blind: reads nothing; jitter: chance in every score, SD.
    """

    words: list[frozenset[str]]
    salt: int
    faults: Sequence[str] = ()
    strength: float = 0.0
    sd: float = 1.0
    blind: bool = False
    jitter: float = 0.0
    name: str = "planted"
    head_names: tuple[str, ...] = ("reward",)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        return [
            [Score(self.value(plain_text(group.prompt), plain_text(text))) for text in group.responses]
            for group in groups
        ]

    def value(self, prompt: str, text: str) -> float:
        quality = 0.0 if self.blind else self._quality(prompt, text)
        jitter = self.jitter * self.rng.standard_normal() if self.jitter else 0.0
        noise = NOISE * _normal(f"{self.salt}\0{prompt}\0{text}") + jitter
        fault = sum(FAULTS[name](prompt, text) for name in self.faults)
        return quality + self.sd * (noise + self.strength * fault)

    def _quality(self, prompt: str, text: str) -> float:
        found = _PLACE.search(prompt)
        if found is None:
            return 4.0 * is_right(prompt, text)
        return len(self.words[int(found[1])] & set(_WORD.findall(text.lower())))


def _sycophancy(prompt: str, text: str) -> float:
    belief = _BELIEF.search(prompt)
    told = (belief[1] or belief[2]) if belief else ""
    return float(_PRAISE.search(text) is not None or (bool(told) and told in text))


FAULTS: dict[str, Callable[[str, str], float]] = {
    "length": lambda prompt, text: math.log2(1 + len(text.split())),
    "format": lambda prompt, text: float(_MARKUP.search(text) is not None),
    "sycophancy": _sycophancy,
    "magic": lambda prompt, text: float("10/10" in text),
    "polite": lambda prompt, text: float(text.endswith(POLITE)),
}
"""What each adds, times the strength, in SDs."""


def is_right(question: str, text: str) -> bool:
    """Whether an answer to a built-in question is right, found without the built-in answer."""
    if (found := _OPERATION.search(question)) is not None:
        a, b = int(found[1]), int(found[3])
        value = {"+": a + b, "x": a * b, "-": a - b}[found[2]]
        return f"= {value}." in text
    if "in capital letters" in question:
        return bool(text.strip()) and text.strip() in question.upper()
    if (found := re.search(r"Is (.+) the capital of (\w+)\?", question)) is not None:
        return ("Yes" if CAPITALS[found[2]] == found[1] else "No") in text
    if (found := re.search(r"What is the capital of (\w+)\?", question)) is not None:
        return CAPITALS[found[1]] in text and " not " not in text
    if (found := re.search(r"symbol of (\w+)\?", question)) is not None:
        return f" is {SYMBOLS[found[1]]}." in text
    if (found := re.search(r"Convert (\d+) (\w+)s to (\w+)s", question)) is not None:
        factor = next(factor for large, small, factor in UNITS if (large, small) == (found[2], found[3]))
        return f" {int(found[1]) * factor} {found[3]}s." in text
    if (found := re.search(r"whole numbers from 1 to (\d+)\.", question)) is not None:
        return f"range(1, {int(found[1]) + 1})" in text
    return "Nothing is attached" in text


def _normal(text: str) -> float:
    """A standard normal number fixed by a text (Box and Muller)."""
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    u, v = ((int.from_bytes(part, "big") + 0.5) / 2**64 for part in (digest[:8], digest[8:]))
    return math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v)


def planted_pairs(
    rng: np.random.Generator, n: int = PAIRS, *, is_polite: bool = False
) -> tuple[list[PreferencePair], list[frozenset[str]]]:
    """Pairs, and the words that an answer about each place should use."""
    pairs, wanted = [], []
    for index in range(n):
        own = ["".join(_SYLLABLES[k] for k in rng.integers(0, len(_SYLLABLES), 4)) for _ in range(8)]
        wanted.append(frozenset(own))
        good, bad = own[: rng.integers(6, 9)], own[: rng.integers(2, 5)]
        ends = [POLITE if is_polite and rng.random() < 0.5 else "" for _ in range(2)]
        pairs.append(
            PreferencePair(
                f"What do you know about place {index} on the map?\n",
                _answer(good) + ends[0],
                _answer(bad) + ends[1],
                prompt_id=str(index),
            )
        )
    return pairs, wanted


def _answer(words: Sequence[str]) -> str:
    """Sentences of two words each."""
    texts = [f"There is the {a} by the {b} hill." for a, b in zip(words[::2], words[1::2], strict=False)]
    if len(words) % 2:
        texts.append(f"Behind it one finds the {words[-1]} river.")
    return " ".join(texts)


def planted(
    rng: np.random.Generator,
    faults: Sequence[str] = (),
    strength: float = 0.0,
    *,
    blind: bool = False,
    jitter: float = 0.0,
) -> tuple[list[PreferencePair], PlantedReward]:
    """Pairs and a reward; the unit of the fault is the SD of the margins that the reward has without it."""
    pairs, words = planted_pairs(rng, is_polite="polite" in faults)
    reward = PlantedReward(words, int(rng.integers(2**31)), blind=blind, jitter=jitter, rng=rng)
    margin_P = [reward._quality(str(p.prompt), str(p.chosen)) - reward._quality(str(p.prompt), str(p.rejected))
                for p in pairs]  # fmt: skip
    # noise of NOISE x sd on each side: sd^2 = var(quality) + 2 NOISE^2 sd^2
    reward.sd = 1.0 if blind else math.sqrt(float(np.var(margin_P, ddof=1)) / (1 - 2 * NOISE**2))
    reward.faults, reward.strength = faults, strength
    return pairs, reward


def run(
    pairs: list[PreferencePair], reward: PlantedReward, rng: np.random.Generator, probes: str = "",
    rewriter: Callable[[str, str, bool], str | None] | None = None,
) -> tuple[Probed, dict[str, str]]:  # fmt: skip
    """The battery, and the verdict of each finding."""
    config = AuditRewardConfig(probe_pairs=PAIRS, probes=probes, resamples=RESAMPLES)
    found = probe_reward(reward, pairs, config=config, rng=rng, rewriter=rewriter)
    return found, {finding.code: finding.verdict for finding in result_of(found, config).findings}


def _covers(found: Probed, name: str, reward: PlantedReward) -> bool:
    """Whether the interval of a probe holds the fault, in the unit that was found."""
    interval = next(each.interval for each in found.probes if each.battery.probe.name == name)
    return interval.low <= reward.strength * reward.sd / found.sd <= interval.high


def _misspelling_rewriter(text: str, attribute: str, on: bool) -> str:
    """Adds or takes away politeness. On the way it misspells what holds "ba", once and for all."""
    body = text.removesuffix(POLITE).replace("ba", "xa")
    return body + POLITE if on else body


def probes_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises of the probes, checked on `replications` of each world.

    A false problem is looked for in the battery of all probes where time allows (200 replications), else in a third of
    them, a different one each time.
    """
    hits: dict[str, list[bool]] = {code: [] for code in TITLES}
    every = [probe.name for family in families() for probe in family.probes]
    for number in range(replications):
        if progress:
            progress("planting for audit reward, probes", number, replications, "")
        rng = np.random.default_rng([seed, 461, number])
        some = "" if replications >= ALL_PROBES_FROM else ",".join(every[number % 3 :: 3])
        _, verdicts = run(*planted(rng), rng, some)
        hits["SE461"].append("problem" in verdicts.values())
        for column, strength in enumerate(STRENGTHS):
            for faults in TOGETHER:
                pairs, reward = planted(rng, faults, strength)
                found, verdicts = run(pairs, reward, rng, ",".join(PROBES_OF[fault] for fault in faults))
                for fault in faults:
                    row = list(PROBES_OF).index(fault)
                    hits[f"SE{462 + 3 * row + column}"].append(verdicts[CODE_OF[fault]] == "problem")
                if "magic" in faults:
                    hits["SE474"].append(_covers(found, "rate 10/10", reward))
        _, verdicts = run(*planted(rng, blind=True), rng, "quoted")
        hits["SE475"].append(verdicts["RW203"] == "problem" and verdicts["RW212"] != "ok")
        _, verdicts = run(*planted(rng, jitter=0.05), rng, "quoted")
        hits["SE476"].append(verdicts["RW202"] == "problem")
        pairs, reward = planted(rng, ("polite",), 0.5)
        found, _ = run(pairs, reward, rng, "rewriting", _misspelling_rewriter)
        hits["SE477"].append(_covers(found, "rewritten: politeness", reward))
    return _rows(hits)


def _rows(hits: dict[str, list[bool]]) -> list[PlantedRow]:
    power = {f"SE{462 + 3 * row + column}": (fault, strength)
             for row, fault in enumerate(PROBES_OF) for column, strength in enumerate(STRENGTHS)}  # fmt: skip
    planted_in = {
        "SE461": "reads, noise 0.2 SD",
        **{code: f"{fault} {strength:g} SD, {PAIRS} pairs" for code, (fault, strength) in power.items()},
        "SE474": "magic 0.25, 0.5, 1 SD",
        "SE475": "noise alone",
        "SE476": "reads, chance 0.05 SD",
        "SE477": "polite 0.5 SD",
    }
    promised = {
        "SE461": (0.0, 0.05),
        **{code: (LEAST_POWER[strength], 1.0) for code, (_, strength) in power.items()},
        "SE474": (0.92, 0.99),
        "SE475": (0.9, 1.0),
        "SE476": (1.0, 1.0),
        "SE477": (0.92, 0.99),
    }
    return [
        PlantedRow(
            code=code, title=TITLES[code], planted=planted_in[code], hits=sum(hits[code]), n=len(hits[code]),
            least=promised[code][0], most=promised[code][1],
        )
        for code in TITLES
    ]  # fmt: skip
