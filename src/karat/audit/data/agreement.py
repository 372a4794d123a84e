"""How far annotators agree, who agrees less than the others, and how often they call it a tie: DA303 and DA304."""

from __future__ import annotations

import math

import numpy as np

from karat.audit.data.noise_findings import ALPHA_LIMIT, EXPLANATIONS
from karat.audit.data.votes import Votes
from karat.errors import DataError
from karat.numerics.agreement import FEW_VOTES, Reliability, annotator_reliability, krippendorff_alpha
from karat.numerics.intervals import Interval
from karat.types import Finding, Result, Table, Verdict

COMMAND = "audit data"
LIKELY = 0.05
"""Share of false ones among the annotators named (Benjamini and Hochberg)."""
MARGIN = 0.1
MOST_VOTES = 0.5
"""Share of the votes that must be by annotators in whose place a coin would be named."""
SHOWN = 20


def audit_agreement(votes: Votes, *, rng: np.random.Generator) -> Result:
    """Krippendorff's alpha over units with two votes or more, and the reliability of each named annotator.

    Raises: DataError: no two votes are on the same pair of responses.
    """
    used = votes.repeated()
    if not used.any():
        raise DataError(
            "no two votes on the same pair: needs rows that compare the same responses again, or columns annotator1, "
            "annotator2, ..."
        )
    unit, value, prompt = votes.unit_V[used], votes.value_V[used], votes.prompt_U[votes.unit_V[used]]
    alphas = {
        metric: krippendorff_alpha(value, unit, metric=metric, cluster_V=prompt, rng=rng)
        for metric in ("ordinal", "nominal")
    }
    named = np.array([bool(name) for name in votes.annotator_V[used]])
    side = named & (value != 0)
    reliability = _reliability(value[side], unit[side], votes.annotator_V[used][side])
    n_units = np.unique(unit).size
    tie_share = float(np.mean(votes.value_V == 0))
    values = {
        "agreement_alpha": alphas["ordinal"].estimate,
        "agreement_alpha_low": alphas["ordinal"].low,
        "agreement_alpha_high": alphas["ordinal"].high,
        "agreement_alpha_nominal": alphas["nominal"].estimate,
        "agreement_units": n_units,
        "agreement_votes": int(used.sum()),
        "agreement_tie_share": tie_share,
        "annotators": len(reliability.names) if reliability else 0,
        "annotators_typical": reliability.typical if reliability else math.nan,
        "annotators_suspicious": int(_flagged(reliability).sum()) if reliability else 0,
    }
    findings = (_alpha_finding(votes, alphas, n_units, int((~named).sum())), _annotator_finding(reliability))
    return Result(COMMAND, findings=findings, tables=_tables(reliability), values=values)


def _reliability(value_V: np.ndarray, unit_V: np.ndarray, annotator_V: np.ndarray) -> Reliability | None:
    """None where no unit has two decided votes by named annotators."""
    if not value_V.size or np.bincount(unit_V).max() < 2:
        return None
    return annotator_reliability((value_V > 0).astype(float), unit_V, annotator_V.astype(str), margin=MARGIN)


def _flagged(reliability: Reliability) -> np.ndarray:
    return np.asarray(np.nan_to_num(reliability.q_value_A, nan=1.0) <= LIKELY)


def _alpha_finding(votes: Votes, alphas: dict[str, Interval], n_units: int, n_unnamed: int) -> Finding:
    alpha = alphas["ordinal"]
    verdict: Verdict = "unclear"
    if alpha.high < ALPHA_LIMIT:
        verdict = "problem"
    elif alpha.low >= ALPHA_LIMIT and not n_unnamed:  # copies of a row are no votes, and agree perfectly
        verdict = "ok"
    baseline = f"1: always agree, 0: chance; nominal {alphas['nominal'].estimate:.3f}; " + (
        f"{np.mean(votes.value_V == 0):.1%} of votes are ties"
    )
    if n_unnamed:
        baseline += f"; {n_unnamed} votes name no annotator: copies of a row among them would look like agreement"
    if votes.n_again:
        baseline += f"; {votes.n_again} second votes of the same annotator left out"
    action = EXPLANATIONS["DA303"][3] if verdict != "ok" else ""
    if n_unnamed and alpha.low >= ALPHA_LIMIT:
        action = "Name who voted (a column annotator): without names, rows that were copied look like people who agree."
    if math.isnan(alpha.estimate):
        action = "All votes are alike, so nothing could have differed; alpha is not defined."
    return Finding(
        code="DA303",
        title=EXPLANATIONS["DA303"][0],
        verdict=verdict,
        effect=alpha.estimate,
        low=alpha.low,
        high=alpha.high,
        unit="alpha",
        n_used=n_units,
        gold="preference labels",
        baseline=baseline,
        action=action,
    )


def _annotator_finding(reliability: Reliability | None) -> Finding:
    title = EXPLANATIONS["DA304"][0]
    if reliability is None:
        why = "needs annotator names (a column annotator), with two of them or more on the same pairs"
        return Finding("DA304", title, "not checked", action=why)
    flagged = _flagged(reliability)
    n_votes, n_flagged = int(reliability.votes_A.sum()), int(flagged.sum())
    # A coin among the annotators would have been seen, had it given these votes; even alone of all that were tested.
    n_tested = int(np.sum(np.isfinite(reliability.p_value_A)))
    told = float(reliability.votes_A[reliability.coin_p_A * max(n_tested, 1) <= LIKELY].sum() / n_votes)
    verdict: Verdict = "problem" if n_flagged else "ok" if told >= MOST_VOTES else "unclear"
    worst = np.flatnonzero(flagged)[np.argsort(reliability.rate_A[flagged])]
    few = int(np.sum(reliability.votes_A < FEW_VOTES))
    return Finding(
        code="DA304",
        title=title,
        verdict=verdict,
        effect=float(reliability.votes_A[flagged].sum() / n_votes),
        unit="share of votes",
        n_used=n_votes,
        gold="the other annotators' votes",
        baseline=f"{n_flagged} of {len(reliability.names)} annotators; typical reliability {reliability.typical:.3f}; "
        f"{few} have fewer than {FEW_VOTES} votes, too few to tell; by {told:.0%} of the votes a coin would be seen",
        witnesses=tuple(_told(reliability, index) for index in worst[:3]),
        action="" if verdict == "ok" else EXPLANATIONS["DA304"][3],
    )


def _told(found: Reliability, index: int) -> str:
    return (
        f"{found.names[index]}: right in {found.rate_A[index]:.2f} [{found.low_A[index]:.2f}, "
        f"{found.high_A[index]:.2f}] of {int(found.votes_A[index])} votes, q = {found.q_value_A[index]:.2g}"
    )


def _tables(reliability: Reliability | None) -> tuple[Table, ...]:
    if reliability is None:
        return ()
    found = reliability
    order = np.lexsort((found.rate_A, np.nan_to_num(found.q_value_A, nan=1.0)))[:SHOWN]
    rows = tuple(
        (
            found.names[a], int(found.votes_A[a]), float(found.agree_A[a]), float(found.rate_A[a]),
            float(found.low_A[a]), float(found.high_A[a]), float(found.p_value_A[a]), float(found.q_value_A[a]),
        )
        for a in order
    )  # fmt: skip
    note = (
        f"The {len(rows)} least reliable of {len(found.names)}, by adjusted p-value. agrees: with the side that the "
        f"others' votes make likelier. reliability: one-coin model, drawn towards {found.typical:.3f} as by 10 votes. "
        f"q: of being more than {MARGIN:g} less reliable than is typical (Benjamini and Hochberg)."
    )
    columns = ("annotator", "votes", "agrees", "reliability", "low", "high", "p", "q")
    return (Table("annotators", "Annotators", columns, rows, note),)
