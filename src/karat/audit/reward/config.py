"""Options of `karat audit reward`."""

from __future__ import annotations

from dataclasses import dataclass

from karat.data.reading import ReadingConfig
from karat.errors import InputError
from karat.options import option, require_ranges

PARTS = ("sanity", "probes", "sophistry", "attack", "predict", "benchmarks", "process")
FIXES = ("length", "style")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRewardConfig(ReadingConfig):
    """What is tried on the reward. Effects are in SDs of the margin between chosen and rejected."""

    data: str = option("", "Preference pairs that the reward should order; empty: those of the built-in world.")
    parts: str = option("", f"Parts to run, comma-separated: {', '.join(PARTS)}; empty: all that the inputs allow.")
    pool: str = option("", "Samples of the policy to be optimised, for the prediction; empty: both sides of the pairs.")
    items: str = option("", "Rows of prompt, right and wrong for the sophistry part; empty: built-in items.")
    benchmarks: str = option("", "Benchmark files or hub names, comma-separated, each FILE or KIND:FILE.")
    against: str = option(
        "",
        "A REWARD to compare with on the benchmarks, or score columns of their files: column:A,column:B, or column:*.",
    )
    tie_tol: float = option(0.0, "On benchmarks, scores this close count as equal, reward units.")
    step_threshold: str = option(
        "",
        "The score below which a step is wrong: a number, the subset of a step benchmark to tune it on (kept in "
        "OUT/step_threshold.json), or such a file; empty: cross-fitted.",
    )
    steps: str = option("", "Solutions with step labels for the process part; empty: those of the built-in world.")
    step_solutions: int = option(400, "Most labelled solutions that the process part scores.")
    hacked_solutions: int = option(120, "Most of them that known hacks are tried on, half right and half wrong.")
    rewriter: str = option("", "module:function that rewrites a text, for the double-rewrite probes.")
    probes: str = option("", "Probes or families to run, comma-separated; empty: all.")
    probe_pairs: int = option(120, "Most pairs that a probe edits, one side of each.")
    band: float = option(
        0.1, "An effect within this many SDs of 0 counts as none; in the process part, within so much probability."
    )
    sophistry_items: int = option(70, "Built-in items of the sophistry part.")
    attack_queries: int = option(2000, "Responses that the attack may have scored; 0: no attack.")
    predict_responses: int = option(1000, "Most responses whose scores the prediction rests on.")
    timeout_s: float = option(
        60.0, "Longest that a call of the reward may take, seconds; more for more text, at its own pace."
    )
    fix: str = option("", "Write a calibrated reward to OUT/calibrated: length, style, or length,style.")
    max_length: int = option(0, "Longest prompt + response, tokens; 0: the reward's own limit.")
    resamples: int = option(1000, "Bootstrap draws of prompts.")
    seed: int = option(0, "Seed of samples, edits, searches and draws.")

    def __post_init__(self) -> None:
        ReadingConfig.__post_init__(self)
        checks = (
            ("probe_pairs", self.probe_pairs >= 1, "at least 1"),
            ("band", self.band > 0, "more than 0"),
            ("sophistry_items", self.sophistry_items >= 2, "at least 2"),
            ("step_solutions", self.step_solutions >= 2, "at least 2"),
            ("hacked_solutions", self.hacked_solutions >= 2, "at least 2"),
            ("predict_responses", self.predict_responses >= 4, "at least 4"),
            ("attack_queries", self.attack_queries >= 0, "0 (no attack) or more"),
            ("tie_tol", self.tie_tol >= 0, "0 or more"),
            ("timeout_s", self.timeout_s > 0, "more than 0 seconds"),
            ("max_length", self.max_length >= 0, "0 (the reward's own) or more"),
            ("resamples", self.resamples >= 100, "at least 100"),
            ("seed", self.seed >= 0, "0 or more"),
        )
        require_ranges(self, checks)
        for kind in filter(None, (part.strip() for part in self.fix.split(","))):
            if kind not in FIXES:
                raise InputError(f"fix: there is no {kind!r}; there are: {', '.join(FIXES)}, or both with a comma.")
