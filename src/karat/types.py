"""Frozen records that cross layers: text, preference pairs, pools, scores, accounts of a reading, findings.

Nothing here computes; nothing here imports anything heavier than the standard library.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

NAN = math.nan

TOKENS_PER_PACK = 4096
"""Default budget of one forward pass: enough to fill the matrix products, and its activations stay near the caches.
Here because options name it as well as the layers that compute, and options load nothing else."""


# ------------------------------------------------------------------------------------------------------------ text
@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class TokenIds:
    """Text that arrived already tokenised."""

    ids: tuple[int, ...]


Text = str | tuple[Message, ...] | TokenIds
"""Plain text, a conversation, or token ids. Prompt and responses of one record are always of the same kind;
for TokenIds the prompt is empty and each response holds the whole sequence (the shared prefix is found later)."""


# ------------------------------------------------------------------------------------------------------- preferences
@dataclass(frozen=True, slots=True)
class PreferencePair:
    """A prompt, two responses, and how much the first was preferred.

    A reader puts the preferred response in `chosen`; `label` then lies in [0.5, 1].
    """

    prompt: Text
    chosen: Text
    rejected: Text
    label: float = 1.0
    """Probability that `chosen` is preferred: 1 a plain preference, 0.5 a tie, between them a soft label."""
    strength: float = NAN
    """Strength of the preference in the source's own units (margin, rating difference); NaN when not given."""
    prompt_id: str = ""
    """Equal for pairs of the same prompt: pairs are clustered and split by it. Readers always set it."""
    row: int = -1
    """0-based row (or pair) number in the source, for messages and joins."""
    source: str = ""
    """Sub-source named by the data (a `source` / `subset` / `domain` column); empty when the data names none."""
    annotator: str = ""
    chosen_attributes: Mapping[str, float] = field(default_factory=dict)
    """Attribute ratings of `chosen` by name (helpfulness, ...); NaN or absent means missing."""
    rejected_attributes: Mapping[str, float] = field(default_factory=dict)
    tools: str = ""
    """JSON text of the tools offered to the model, given to the chat template; empty when none."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Columns that karat does not interpret, kept as they came."""

    @property
    def is_tie(self) -> bool:
        return self.label == 0.5


@dataclass(frozen=True, slots=True)
class PoolRow:
    """One response of a pool, with any number of named scores."""

    prompt_id: str
    response_id: str
    prompt: Text
    response: Text
    scores: Mapping[str, float] = field(default_factory=dict)
    row: int = -1
    extra: Mapping[str, Any] = field(default_factory=dict)


NO_ERROR = -1
"""In place of the index of the first wrong step: there is none."""


@dataclass(frozen=True, slots=True)
class StepSolution:
    """A solution in steps, and what is known of each step."""

    prompt: Text
    steps: tuple[str, ...]
    labels: tuple[float, ...] = ()
    """Per step, the probability in [0, 1] that it is right; NaN where that is undefined or not known. Always one a
    step: readers fill in NaN."""
    first_error: int | None = None
    """Index of the first wrong step, or NO_ERROR; None where it is not known."""
    prompt_id: str = ""
    """Equal for solutions of one problem: they are clustered and split by it. Readers always set it."""
    solution_id: str = ""
    answer: str = ""
    """What the final answer should be, for a program to compare with; empty where not known."""
    final_right: float = NAN
    """1 where the final answer is right, 0 where it is wrong, NaN where that is not known."""
    row: int = -1
    source: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Columns that karat does not interpret, kept as they came."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a reward gives one response. A missing score is NaN with a reason, never 0."""

    value: float
    heads: tuple[float, ...] = ()
    spread: float = NAN
    """Standard deviation over heads (ddof=1), reward units; NaN with fewer than two heads."""
    missing: str = ""

    @property
    def is_missing(self) -> bool:
        return self.missing != ""


# ---------------------------------------------------------------------------------------------- accounts of a reading
@dataclass(frozen=True, slots=True)
class AccountEntry:
    """One kind of thing that a reader dropped or changed."""

    action: Literal["dropped", "changed", "noted"]
    reason: str
    count: int
    first_rows: tuple[int, ...]
    """0-based numbers of the first few rows concerned (at most five)."""


@dataclass(frozen=True, slots=True)
class Account:
    """Everything that happened to the rows of a source between the file and the records."""

    source: str
    format: str
    rows_read: int
    records: int
    entries: tuple[AccountEntry, ...] = ()
    fingerprint: str = ""
    """SHA-256 (first 16 hex digits) over the records read, in order."""

    @property
    def rows_dropped(self) -> int:
        return sum(entry.count for entry in self.entries if entry.action == "dropped")

    def __iter__(self) -> Iterator[AccountEntry]:
        return iter(self.entries)


# ------------------------------------------------------------------------------------------------------------ findings
Verdict = Literal["ok", "problem", "unclear", "not checked"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One checked statement. The report prints it; it computes nothing."""

    code: str
    title: str
    verdict: Verdict
    effect: float = NAN
    low: float = NAN
    high: float = NAN
    unit: str = ""
    n_used: int = 0
    n_failed: int = 0
    n_missing: int = 0
    gold: str = ""
    """Name of the gold that the statement rests on; empty when it rests on none."""
    baseline: str = ""
    """What the effect is to be compared with, as text with its number."""
    witnesses: tuple[str, ...] = ()
    """At most three examples, as text from the data (untrusted; the report escapes it)."""
    action: str = ""
    """What the user should do about it; for `not checked`: which input would enable the check."""


@dataclass(frozen=True, slots=True)
class Table:
    """A named table of plain values for the report and the JSON output."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What every verb returns: findings, tables, and values with stable names; files that it wrote."""

    command: str
    findings: tuple[Finding, ...] = ()
    tables: tuple[Table, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Configuration, seed, versions and data fingerprints, as text or numbers."""
    lead: str = ""
    """One sentence that answers the user's question; empty to let the report derive one from the verdicts."""

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the findings: problem, then unclear, then ok; "not checked" when nothing was checked."""
        verdicts = {finding.verdict for finding in self.findings}
        ordered: tuple[Verdict, ...] = ("problem", "unclear", "ok")
        return next((verdict for verdict in ordered if verdict in verdicts), "not checked")
