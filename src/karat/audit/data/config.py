"""Options of `karat audit data`."""

from __future__ import annotations

from dataclasses import dataclass

from karat.audit.parts import names_of
from karat.data.reading import ReadingConfig
from karat.errors import InputError
from karat.options import option, require_ranges

PARTS = ("structure", "content", "noise", "coverage")
FIXES = ("dedupe", "drop", "flip", "soften", "resplit")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditDataConfig(ReadingConfig):
    """What is looked at, and how closely. Lengths in tokens, shares in [0, 1]."""

    parts: str = option("", f"Parts to run, comma-separated: {', '.join(PARTS)}; empty: all.")
    test: str = option("", "Held-out pairs, comma-separated files: must not share prompts; sources are judged on them.")
    benchmark: str = option("", "Files of benchmark prompts, comma-separated, that must not be in the data.")
    targets: str = option("", "Rows with a prompt each: where the reward will be used.")
    label_next: int = option(50, "Most prompts proposed for labelling next.")
    reward: str = option("", "Judge labels by this REWARD's margins; empty: by heads fitted to the other folds.")
    model: str = option("default", "Language model whose hidden states stand for the texts.")
    backbones: str = option("", "With several PAIRS: two or more models, comma-separated, for data against size.")
    near: float = option(0.8, "Jaccard similarity of word shingles from which texts are near duplicates.")
    max_length: int = option(2048, "Tokens a trainer will keep: what lies beyond is reported.")
    embed_pairs: int = option(2000, "Most pairs whose hidden states are computed (label noise, coverage).")
    model_pairs: int = option(50_000, "Most pairs that the content-blind models are fitted to.")
    folds: int = option(5, "Folds by prompt of a cross-fit.")
    repeats: int = option(3, "Cross-fits with other folds.")
    fix: str = option("", f"Write a cleaned copy: all, or of {', '.join(FIXES)}, comma-separated.")
    flip_above: float = option(0.9, "Flip a label only where it is wrong with at least this probability.")
    fix_test: float = option(0.1, "Share of prompts that --fix resplit puts into test.jsonl.")
    sizes: str = option("", "With several PAIRS: training sizes of the learning curve, pairs, comma-separated.")
    held_out: float = option(0.3, "With several PAIRS: share of each one's prompts that is judged on.")
    draws: int = option(0, "With several PAIRS: training sets drawn of each; 0: 10, and 3 with --train.")
    train: bool = option(False, "With several PAIRS: train whole reward models, not heads on hidden states.")
    workers: int = option(2, "Processes that read text.")
    resamples: int = option(1000, "Bootstrap draws of prompts.")
    seed: int = option(0, "Seed of folds, samples and draws.")

    def __post_init__(self) -> None:
        ReadingConfig.__post_init__(self)
        checks = (
            ("near", 0 < self.near <= 1, "in (0, 1]"),
            ("max_length", self.max_length >= 8, "at least 8 tokens"),
            ("embed_pairs", self.embed_pairs >= 0, "0 (none) or more"),
            ("label_next", self.label_next >= 0, "0 (none) or more"),
            ("model_pairs", self.model_pairs >= 1, "at least 1"),
            ("folds", self.folds >= 2, "at least 2"),
            ("repeats", self.repeats >= 1, "at least 1"),
            ("flip_above", 0.5 < self.flip_above <= 1, "in (0.5, 1]"),
            ("fix_test", 0 < self.fix_test < 1, "in (0, 1)"),
            ("held_out", 0 < self.held_out < 1, "in (0, 1)"),
            ("draws", self.draws == 0 or self.draws >= 2, "0 (automatic) or at least 2"),
            ("workers", self.workers >= 1, "at least 1"),
            ("resamples", self.resamples >= 100, "at least 100"),
            ("seed", self.seed >= 0, "0 or more"),
        )
        require_ranges(self, checks)
        for step in self.fixes:
            if step not in FIXES:
                raise InputError(f"fix: there is no {step!r}; there are: all, {', '.join(FIXES)}.")

    @property
    def fixes(self) -> tuple[str, ...]:
        """The steps of --fix, in the order in which they are done."""
        asked = names_of(self.fix)
        return FIXES if asked == ("all",) else asked
