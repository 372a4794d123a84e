"""What the sanity part states: RW101 to RW107, a table of calls, and values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from karat.audit.reward.sanity_model import ModelFacts
from karat.numerics.intervals import wilson
from karat.types import NAN, Finding, Result, Table, Verdict

COMMAND = "audit reward"
TOLERANCE = 1e-4
"""SDs of the scores: rounding in float32."""
MATTERS = 1e-2
"""SDs of the scores: turns round pairs that are this close."""
MISSING_LIMIT = 0.01
TIE_LIMIT = 0.05
LEAST_PAIRS = 5
"""Fewer say neither that scores tell responses apart nor that they do not."""
UNIT = "SD of scores"

_PARITY_RULE = (
    f"ok: at most {TOLERANCE:g} SD. problem: more than {MATTERS:g} SD. unclear: between, which turns round the closest "
    "pairs only."
)
EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "RW101": (
        "Scores are reproducible",
        "The largest difference between the scores of two equal calls, in standard deviations of the scores.",
        f"{_PARITY_RULE} not checked: no scores.",
        "Fix the seed, set the temperature to 0, or score several times and take the mean.",
    ),
    "RW102": (
        "Scores do not depend on the call",
        "The largest difference when the same responses are scored in another call: prompts in another order, one "
        "prompt a call, responses in another order, each response alone.",
        f"{_PARITY_RULE} not checked: no scores, or two equal calls differ already (RW101).",
        "Score in float32; look for padding that is attended to, or for a reward that ranks within its call.",
    ),
    "RW103": (
        "Plain transformers gives the same scores",
        "The largest difference from AutoModelForSequenceClassification on padded batches, padded right and padded "
        "left: what other engines load.",
        f"{_PARITY_RULE} not checked: not a reward model, or transformers cannot score it in a batch.",
        "Set a pad token that is not EOS in config.json (pad = EOS makes transformers read the token before the end).",
    ),
    "RW104": (
        "Texts become tokens as they should",
        "Sequences that begin with BOS twice, end with EOS twice, or, of plain text, do not end with EOS; "
        "conversations without a chat template; prompts that cannot be encoded.",
        "ok: none. problem: any. not checked: not a reward model.",
        "Let either the template or the tokenizer add the special tokens, not both; use the template of the training.",
    ),
    "RW105": (
        "Nothing is cut",
        "The share of responses whose sequence is longer than the reward's limit, with Wilson's interval. What is cut "
        "is not scored.",
        "ok: none. unclear: some, at most 5 %. problem: more. not checked: not a reward model.",
        "Raise --max-length, as far as the model was trained for.",
    ),
    "RW106": (
        "Scores tell responses apart",
        "The share of pairs whose two scores are equal, with Wilson's interval; beside it the spread of the scores, "
        "and how many pairs would be ties in float16 and bfloat16.",
        "problem: all scores are equal, or more than half of the pairs are ties. unclear: more than 5 % are ties, or "
        "would be in bfloat16, or there are fewer than 5 pairs. ok: else. not checked: fewer than two scores.",
        "A constant reward teaches nothing. Ties: score in float32, and subtract the mean before storing in 16 bits.",
    ),
    "RW107": (
        "Every response gets a score",
        "The share of responses without a score, with Wilson's interval; reasons are counted. A missing score is never "
        "taken as 0.",
        "ok: none. unclear: at most 1 %. problem: more, or a call that raised or took too long.",
        "Find out which responses get no score: a policy can learn to write them.",
    ),
}


@dataclass(frozen=True, slots=True)
class Parity:
    """One other call: the largest difference from the first, SD; responses that lost their score; responses."""

    name: str
    error: float
    n_missing: int
    n: int


@dataclass(frozen=True, slots=True)
class Scale:
    """Spread of the scores; ties of chosen and rejected, as scored and in narrower types."""

    n_scores: int
    mean: float
    sd: float
    low: float
    high: float
    most_common_share: float
    n_pairs: int
    n_ties: int
    n_ties_rounded: dict[str, int]


@dataclass(frozen=True, slots=True)
class Sanity:
    """Everything that was seen. `unit`: SD of the scores, or 1 where they do not differ; reasons: missing -> count."""

    n_pairs: int
    n_responses: int
    reasons: dict[str, int]
    scale: Scale
    unit: float
    parities: tuple[Parity, ...]
    n_raised: int
    n_timeouts: int
    model: ModelFacts | None

    @property
    def n_missing(self) -> int:
        return sum(self.reasons.values())


def result_of(found: Sanity) -> Result:
    findings = (
        _repeat(found), _calls(found), _engine(found), _tokens(found), _cut(found), _apart(found), _missing(found)
    )  # fmt: skip
    return Result(COMMAND, findings=findings, tables=(_table(found),), values=_values(found))


def _finding(code: str, verdict: Verdict, **rest: Any) -> Finding:
    rest.setdefault("action", EXPLANATIONS[code][3] if verdict in ("problem", "unclear") else "")
    return Finding(code, EXPLANATIONS[code][0], verdict, **rest)


def _by_size(error: float) -> Verdict:
    if error != error:
        return "not checked"
    return "ok" if error <= TOLERANCE else "problem" if error > MATTERS else "unclear"


def _parity(code: str, parities: tuple[Parity, ...], unit: str) -> Finding:
    known = [each for each in parities if each.error == each.error]
    if not known:
        return _finding(code, "not checked", action="needs scores of at least one prompt", unit=unit)
    worst = max(known, key=lambda each: each.error)
    lost = max(each.n_missing for each in parities)
    verdict = "problem" if lost else _by_size(worst.error)
    lost_text = f"; {lost} responses lost their score" if lost else ""
    return _finding(
        code, verdict, effect=worst.error, unit=unit, n_used=worst.n - worst.n_missing, n_missing=lost,
        baseline=f"{worst.name}; {TOLERANCE:g} by rounding{lost_text}",
    )  # fmt: skip


def _unit(found: Sanity) -> str:
    return UNIT if found.scale.sd > 0 else "reward units"


def _repeat(found: Sanity) -> Finding:
    return _parity("RW101", found.parities[:1], _unit(found))


def _calls(found: Sanity) -> Finding:
    first = _repeat(found)
    if first.verdict in ("problem", "unclear"):
        return _finding("RW102", "not checked", action="needs scores that two equal calls agree on (RW101)")
    finding = _parity("RW102", found.parities[1:], _unit(found))
    if finding.verdict == "problem" and found.model is not None and found.model.n_cut:
        told = "responses were cut (RW105), and how much of a prompt is cut depends on the longest response beside it"
        return replace(finding, baseline=f"{finding.baseline}; {told}")
    return finding


def _engine(found: Sanity) -> Finding:
    facts = found.model
    if facts is None:
        return _finding("RW103", "not checked", action="needs a reward model: a folder or a hub name")
    if not facts.error:
        return _finding("RW103", "not checked", action=f"transformers was not asked: {facts.why_not}")
    side = max(facts.error, key=lambda name: facts.error[name])
    told = ", ".join(f"padded {name} {error:.2g}" for name, error in facts.error.items())
    eos = "; its pad token is EOS" if facts.pad_is_eos else ""
    return _finding(
        "RW103", _by_size(facts.error[side]), effect=facts.error[side], unit=_unit(found), baseline=told + eos,
        n_used=found.parities[0].n if found.parities else 0,
    )  # fmt: skip


def _tokens(found: Sanity) -> Finding:
    facts = found.model
    if facts is None:
        return _finding("RW104", "not checked", action="needs a reward model: a folder or a hub name")
    counts = {
        "begin with BOS twice": facts.n_double_bos,
        "end with EOS twice": facts.n_double_eos,
        "do not end with EOS": facts.n_without_end,
    }
    wrong = [f"{count} of {facts.n_sequences} {what}" for what, count in counts.items() if count]
    if facts.n_refused:
        wrong.append(f"{facts.n_refused} prompts cannot be encoded")
    kind = "conversations by the chat template" if facts.is_chat else "plain text" + (
        ", although the tokenizer has a chat template" if facts.has_template else ""
    )  # fmt: skip
    return _finding(
        "RW104", "problem" if wrong else "ok", effect=float(max([*counts.values(), facts.n_refused])),
        unit="sequences", n_used=facts.n_sequences, n_failed=facts.n_refused, baseline="; ".join([kind, *wrong]),
    )  # fmt: skip


def _cut(found: Sanity) -> Finding:
    facts = found.model
    if facts is None or not facts.n_sequences:
        return _finding("RW105", "not checked", action="needs a reward model that can encode the data")
    share = facts.n_cut / facts.n_sequences
    low, high = wilson(facts.n_cut, facts.n_sequences)
    verdict: Verdict = "ok" if not facts.n_cut else "unclear" if share <= TIE_LIMIT else "problem"
    return _finding(
        "RW105", verdict, effect=share, low=low, high=high, unit="share of responses", n_used=facts.n_sequences,
        baseline=f"limit {facts.limit} tokens",
    )  # fmt: skip


def _apart(found: Sanity) -> Finding:
    scale = found.scale
    if scale.n_scores < 2 or not scale.n_pairs:
        return _finding("RW106", "not checked", action="needs two scores of one pair", n_missing=found.n_missing)
    share = scale.n_ties / scale.n_pairs
    low, high = wilson(scale.n_ties, scale.n_pairs)
    rounded = scale.n_ties_rounded["bfloat16"] / scale.n_pairs
    is_problem = scale.sd == 0 or share > 0.5
    verdict: Verdict = "problem" if is_problem else "unclear" if max(share, rounded) > TIE_LIMIT else "ok"
    if scale.n_pairs < LEAST_PAIRS:
        verdict = "unclear"
    told = ", ".join(f"{count} in {name}" for name, count in scale.n_ties_rounded.items())
    return _finding(
        "RW106", verdict, effect=share, low=low, high=high, unit="share of pairs tied", n_used=scale.n_pairs,
        n_missing=found.n_pairs - scale.n_pairs,
        baseline=f"scores {scale.low:.4g} to {scale.high:.4g}, mean {scale.mean:.4g}, SD {scale.sd:.3g}; the most "
        f"common value in {scale.most_common_share:.0%}; ties of {scale.n_pairs} pairs: {scale.n_ties}, {told}",
    )  # fmt: skip


def _missing(found: Sanity) -> Finding:
    n, share = found.n_responses, found.n_missing / found.n_responses
    low, high = wilson(found.n_missing, n)
    failed = found.n_raised + found.n_timeouts
    verdict: Verdict = "problem" if failed or share > MISSING_LIMIT else "unclear" if found.n_missing else "ok"
    told = "; ".join(f"{count} x {reason}" for reason, count in list(found.reasons.items())[:3])
    calls = f"calls that raised: {found.n_raised}, that took too long: {found.n_timeouts}" if failed else ""
    return _finding(
        "RW107", verdict, effect=share, low=low, high=high, unit="share of responses", n_used=n - found.n_missing,
        n_missing=found.n_missing, baseline="; ".join(filter(None, (calls, told))),
    )  # fmt: skip


def _table(found: Sanity) -> Table:
    rows = [(each.name, each.error, each.n, each.n_missing, _by_size(each.error)) for each in found.parities]
    if found.model is not None:
        n = found.parities[0].n if found.parities else 0
        rows += [
            (f"plain transformers, padded {side}", error, n, 0, _by_size(error))
            for side, error in found.model.error.items()
        ]
    note = (
        f"Largest difference from the first call's scores, in {_unit(found)} ({found.unit:.4g} reward units); rounding "
        f"gives at most {TOLERANCE:g}."
    )
    return Table("sanity_calls", "The same responses in other calls", ("call", "error", "n", "missing", "verdict"),
                 tuple(rows), note)  # fmt: skip


def _values(found: Sanity) -> dict[str, Any]:
    scale = found.scale
    return {
        "sanity_score_sd": scale.sd,
        "sanity_score_mean": scale.mean,
        "sanity_tie_rate": scale.n_ties / scale.n_pairs if scale.n_pairs else NAN,
        "sanity_missing_rate": found.n_missing / found.n_responses,
        "sanity_call_error": {each.name: each.error for each in found.parities},
        "sanity_transformers_error": dict(found.model.error) if found.model else {},
        "sanity_n_timeouts": found.n_timeouts,
        "sanity_n_raised": found.n_raised,
    }
