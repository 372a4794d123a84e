"""Options of `karat stress`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from karat.errors import InputError
from karat.numerics.rule_names import RULES, Centre, RuleSettings
from karat.options import require_least

BEST = "best"
"""In place of a rule's name: the one with the most gold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StressConfig:
    """Which columns of the pool are the proxy and the gold, and how far and how finely to look."""

    proxy: str = field(default="", metadata={"help": "Column with the reward that would be optimised."})
    gold: str = field(
        default="", metadata={"help": "Column with what counts as true; without it the truth is not checked."}
    )
    members: str = field(
        default="",
        metadata={"help": "Columns of further rewards, by comma: ensembles of them and the proxy are compared."},
    )
    against: str = field(
        default="",
        metadata={
            "help": "Columns of other proxies, by comma: each is optimised alone and set beside the proxy, to tell "
            "which is harder to game."
        },
    )
    max_n: int = field(
        default=0, metadata={"help": "Largest best-of-n; 0: as far as most of the pool's responses reach."}
    )
    resamples: int = field(default=2000, metadata={"help": "Bootstrap draws of prompts."})
    seed: int = field(default=0, metadata={"help": "Seed of the bootstrap and of random tie breaking."})
    export: str = field(
        default="",
        metadata={"help": f"Rule to write as a REWARD to OUT/reward: {BEST} (most gold), {', '.join(RULES)}."},
    )
    rewards: str = field(
        default="",
        metadata={
            "help": "For --export: what scored each column, as COLUMN=REWARD by comma; REWARD#HEAD for one head."
        },
    )
    centre: Centre = field(
        default="pool",
        metadata={
            "help": "What members are centred by: pool (their means), or prompt (its reference responses, so that only "
            "prompts of the pool can be scored)."
        },
    )
    references: int = field(
        default=16, metadata={"help": "First responses of a prompt that par, mbr and --centre prompt compare with."}
    )
    caution: float = field(
        default=1.0, metadata={"help": "b of the rules variance and kl-dro, member SDs; smaller is more cautious."}
    )
    clip_share: float = field(default=0.95, metadata={"help": "Share of responses that lie below the rule clip's cut."})
    similarity: str = field(
        default="text",
        metadata={"help": "Of mbr: text (character n-grams), a MODEL (its hidden states), or empty: without mbr."},
    )
    similarity_weight: float = field(
        default=0.5, metadata={"help": "Of mbr: proxy SDs that one SD of similarity is worth."}
    )

    def __post_init__(self) -> None:
        if not self.proxy:
            raise InputError(
                "No proxy is named: give the column of the reward that would be optimised (--proxy COLUMN)."
            )
        if self.proxy == self.gold:
            raise InputError(
                f"proxy and gold are both {self.proxy!r}: a reward cannot be its own truth. Name another gold, or none."
            )
        for name in self.member_names:
            if name in (self.proxy, self.gold) or self.member_names.count(name) > 1:
                raise InputError(
                    f"members: {name!r} is the proxy, the gold or named twice. Name each other reward once."
                )
        self._check_against()
        require_least(self, {"max_n": 0, "resamples": 100, "references": 2})
        if self.max_n == 1:
            raise InputError("max_n = 1: best of 1 is no choice at all. Give 2 or more, or 0.")
        _ = self.rule_settings  # which refuses what is out of range
        self._check_export()

    def _check_against(self) -> None:
        for name in self.against_names:
            if name in (self.proxy, self.gold) or self.against_names.count(name) > 1:
                raise InputError(
                    f"against: {name!r} is the proxy, the gold or named twice. Name each other proxy once."
                )

    def _check_export(self) -> None:
        if self.export and self.export not in (BEST, *RULES):
            raise InputError(f"export: no rule {self.export!r}; there are: {BEST}, {', '.join(RULES)}.")
        if self.export == BEST and not self.gold:
            raise InputError("--export best needs --gold: without it no rule is better than another. Name a rule.")
        if self.export and not self.rewards:
            raise InputError(
                "--export needs --rewards: what scored each column, as "
                f"{','.join(f'{name}=REWARD' for name in (self.proxy, *self.member_names))}."
            )
        if self.export == "mbr" and not self.similarity:
            raise InputError("--export mbr needs --similarity: text, or a MODEL.")
        if self.rewards and not self.export:
            raise InputError("--rewards is for --export: name the rule to write, or leave it out.")

    @property
    def member_names(self) -> tuple[str, ...]:
        """The columns of `members`."""
        return tuple(name.strip() for name in self.members.split(",") if name.strip())

    @property
    def against_names(self) -> tuple[str, ...]:
        """The columns of `against`."""
        return tuple(name.strip() for name in self.against.split(",") if name.strip())

    @property
    def rule_settings(self) -> RuleSettings:
        """What the rules take of the options."""
        return RuleSettings(
            centre=self.centre, temperature=self.caution, clip_share=self.clip_share,
            similarity_weight=self.similarity_weight,
        )  # fmt: skip

    @property
    def reward_of(self) -> dict[str, str]:
        """The REWARD of each column that `rewards` names; a REWARD may hold commas of its own.

        Raises: InputError: not of the form COLUMN=REWARD,..., or a column that is neither the proxy nor a member.
        """
        columns = (self.proxy, *self.member_names)
        starts = "|".join(re.escape(name) for name in sorted(columns, key=len, reverse=True))
        found: dict[str, str] = {}
        for part in re.split(rf",\s*(?=(?:{starts})=)", self.rewards.strip()):
            name, _, reward = part.partition("=")
            if name.strip() not in columns or not reward.strip():
                raise InputError(
                    f"rewards: {part!r} is not COLUMN=REWARD with one of the columns {', '.join(columns)}. Part "
                    "entries by commas."
                )
            if name.strip() in found:
                raise InputError(f"rewards: column {name.strip()!r} is named twice. Give each column one REWARD.")
            found[name.strip()] = reward.strip().rstrip(", ")
        return found
