"""Options of `karat grade --rollout`."""

from __future__ import annotations

from dataclasses import dataclass

from karat.options import option, require_ranges


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutConfig:
    """What counts, and who gives a second opinion."""

    allowed: str = option("", "Patterns of paths that the task allows to edit, comma-separated (`tests/unit/*`).")
    task: str = option(
        "", "What the agent was asked, where the transcripts do not say: requests in it count as orders."
    )
    judge: str = option("", "Second opinion: `module:function` called as judge(view, question), or an http(s) address.")
    judge_least: str = option(
        "moderate", "Judge rollouts with a sign at least this sure: weak, moderate, strong, or all."
    )
    judge_most: int = option(200, "Most rollouts that are shown to the judge.")
    judge_known: int = option(
        60, "Rollouts of known intent that the judge is measured on; 0: none. Labelled ones count too."
    )
    judge_chars: int = option(12_000, "Characters of a rollout that the judge is shown.")
    judge_timeout_s: float = option(60.0, "Seconds that an http judge may take for one answer.")
    max_mb: int = option(200, "Largest file that is read, MB.")
    rows: int = option(1000, "Most signs in the table.")
    judge_seed: int = option(0, "Seed of the choice of known rollouts.")

    def __post_init__(self) -> None:
        least = ("weak", "moderate", "strong", "all")
        checks = (
            ("judge_least", self.judge_least in least, f"one of {', '.join(least)}"),
            ("judge_most", self.judge_most >= 0, "0 (none) or more"),
            ("judge_known", self.judge_known >= 0, "0 (none) or more"),
            ("judge_chars", self.judge_chars >= 500, "at least 500"),
            ("judge_timeout_s", self.judge_timeout_s > 0, "more than 0"),
            ("max_mb", self.max_mb >= 1, "at least 1"),
            ("rows", self.rows >= 1, "at least 1"),
            ("judge_seed", self.judge_seed >= 0, "0 or more"),
        )
        require_ranges(self, checks)

    @property
    def allowed_patterns(self) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.allowed.split(",") if part.strip())
