"""What labelling found: RM401 to RM406, their verdict rules and explanations, and the tables beside them.

Axes: P solutions, S steps of one solution, C checked prefixes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from karat.data.account import account_table
from karat.numerics.intervals import UNDEFINED, Interval, clustered_proportion
from karat.numerics.step_values import cohen_kappa, soft_values, value_intervals
from karat.train.labelling.config import LabelConfig
from karat.train.labelling.records import Labelled
from karat.types import NAN, NO_ERROR, Account, Finding, Result, Table, Verdict

OK_LABELLED, LEAST_LABELLED = 0.9, 0.5
OK_MISSING, MOST_MISSING = 0.05, 0.2
OK_DOUBT, MOST_DOUBT = 0.05, 0.2
MOST_BROKEN = 0.1
SUBSTANTIAL = 0.6
"""Kappa from which Landis and Koch (1977) call an agreement substantial."""

EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "RM401": (
        "Solutions that got labels",
        "The share of solutions whose steps could be labelled from completions. Without labels are those without a "
        "right answer, those whose problem no completion solves (a wrong step could not be told from a hard one), and "
        "those of which no completion counts.",
        "ok: at least 90 %. problem: fewer than half. unclear: between. This counts what happened.",
        "Give the answers that are missing; a completer that solves the problems; easier problems; more rollouts.",
    ),
    "RM402": (
        "Agreement with the labels that were there",
        "Cohen's kappa of made and given labels over steps that have both, up to the first wrong step by the given "
        "ones, with an interval over problems. Labels made from completions say whether the answer can still be "
        "reached, given ones mostly whether the step is right: they differ where a completer repairs a wrong step, or "
        "fails after a right one.",
        "ok: the interval is above 0.6 (substantial, by Landis and Koch). problem: it ends below. unclear: neither. "
        "not checked: no step has both.",
        "problem: look at the witnesses; use a stronger completer, more rollouts, or a judge that has to agree.",
    ),
    "RM403": (
        "Solutions on which the judge agrees",
        "The share of solutions of which the judge names the same first wrong step (or none) as the completions do; "
        "only these are kept. Beside it, kappa. What both get wrong alike stays in: agreement is no truth.",
        "ok: kappa's interval is above 0.6. problem: it ends below. unclear: neither. not checked: no judge.",
        "problem: read some of the solutions on which they differ, to see which of the two errs, before training.",
    ),
    "RM404": (
        "Completions of which nothing is known",
        "The share of completions that do not count: cut by --max-new-tokens, failed, or with an answer that cannot be "
        "compared. They are left out of the labels, not counted as wrong, unless --unfinished says so.",
        "ok: at most 5 %. unclear: at most 20 %. problem: more.",
        "Cut: raise --max-new-tokens, or name the text that ends a solution by --stop. Failed: see the reasons. "
        "Not comparable: give a --checker.",
    ),
    "RM405": (
        "Right steps that look wrong by chance",
        "Of the steps named as first wrong because no completion after them was right: the mean chance of finding "
        "none if the step were right and the value of its prefix unchanged, from the completions of the prefix before.",
        "ok: at most 5 %. unclear: at most 20 %. problem: more. not checked: no step was named from completions.",
        "Raise --rollouts, or let the search spend them where they are needed: --probe-error 0.05.",
    ),
    "RM406": (
        "Answers reached again behind a wrong step",
        "Completions of a prefix are taken to say whether all of it is right. The share of prefixes looked at that "
        "contradict it: with mc, later steps that have right completions; with binary, one more prefix of a share of "
        "the solutions, behind the step that the search named. Where repairs are frequent a search ends at the last "
        "step, and has nothing behind it to look at: the share of last steps stands beside.",
        "ok: the interval ends at most at 10 %. problem: it begins above. unclear: neither. not checked: none looked "
        "at.",
        "The completer repairs wrong steps, or solves by luck. Search with --probe-error and --recovery, or use mc and "
        "its soft labels, which show the fall of the value.",
    ),
}


def labelling_result(
    labelled: Sequence[Labelled],
    kept: Sequence[Labelled],
    account: Account,
    *,
    config: LabelConfig,
    completer: str,
    judge: str,
    files: tuple[str, ...],
) -> Result:
    """Findings, tables and values of the labels made."""
    given, judged = _Given(labelled), _Judged(labelled)
    made, full = sum(item.found.rollouts for item in labelled), sum(item.found.full_rollouts for item in labelled)
    findings = (
        _rm401(labelled),
        given.finding(config.seed),
        judged.finding(config.seed, judge),
        _rm404(labelled),
        _rm405(labelled),
        _rm406(labelled),
    )
    tokens = sum(item.found.tokens for item in labelled)
    values: dict[str, Any] = {
        "solutions": len(labelled),
        "problems": len({item.solution.prompt_id for item in labelled}),
        "labelled": sum(item.is_labelled for item in labelled),
        "kept": len(kept),
        "steps_labelled": sum(int(np.isfinite(item.found.label_S).sum()) for item in labelled),
        "with_wrong_step": sum(item.found.first_error not in (None, NO_ERROR) for item in labelled),
        "rollouts": made,
        "full_rollouts": full,
        "rollout_share": made / full if full else NAN,
        "tokens": tokens or None,
        "value_sd": _label_sd(labelled),
        "value_interval_width": _interval_width(labelled),
        "last_step_share": _last_step_share(labelled),
        "undecided_probes": sum(item.found.undecided for item in labelled),
    }
    values |= {name: finding.effect for name, finding in zip(_EFFECTS, findings, strict=True)}
    return Result(
        command="train",
        findings=findings,
        tables=(_cost_table(labelled), _reasons_table(labelled), account_table(account)),
        values=values,
        files=files,
        provenance={**asdict(config), "completer": completer, "judge": judge, "data": account.source},
        lead=f"{len(kept):,} of {len(labelled):,} solutions have labels to train on, from {made:,} completions by "
        f"{completer}" + (f" ({made / full:.0%} of what completing every step takes)." if full else "."),
    )


_EFFECTS = ("labelled_share", "given_kappa", "judge_agreement", "missing_share", "doubt", "broken_share")


def _finding(code: str, verdict: Verdict, interval: Interval, unit: str, *, action: str = "", **more: Any) -> Finding:
    return Finding(
        code=code, title=EXPLANATIONS[code][0], verdict=verdict, effect=interval.estimate, low=interval.low,
        high=interval.high, unit=unit, action="" if verdict == "ok" else action or EXPLANATIONS[code][3], **more,
    )  # fmt: skip


def _share(values: Sequence[float], labelled: Sequence[Labelled]) -> Interval:
    return clustered_proportion(values, [item.solution.prompt_id for item in labelled]) if values else UNDEFINED


def _graded(value: float, ok: float, most: float) -> Verdict:
    if math.isnan(value):
        return "not checked"
    return "ok" if value <= ok else "unclear" if value <= most else "problem"


def _rm401(labelled: Sequence[Labelled]) -> Finding:
    """ok: at least OK_LABELLED. problem: less than LEAST_LABELLED. unclear: else."""
    share = _share([float(item.is_labelled) for item in labelled], labelled)
    lacking = [item for item in labelled if not item.is_labelled]
    return _finding(
        "RM401", _graded(1 - share.estimate, 1 - OK_LABELLED, 1 - LEAST_LABELLED), share, "share of solutions",
        n_used=len(labelled), n_missing=len(lacking),
        witnesses=tuple(_witness(item, item.found.why) for item in lacking[:3]),
    )  # fmt: skip


def _rm404(labelled: Sequence[Labelled]) -> Finding:
    """ok: at most OK_MISSING. unclear: at most MOST_MISSING. problem: more."""
    missing = [item.found.missing for item in labelled]
    counted = [item.found.counted for item in labelled]
    value = np.repeat([1.0, 0.0] * len(labelled), np.array([missing, counted]).T.ravel())
    of = np.repeat([item.solution.prompt_id for item in labelled], np.add(missing, counted))
    share = clustered_proportion(value, of) if value.size else UNDEFINED
    reasons = _reasons(labelled)
    return _finding(
        "RM404", _graded(share.estimate, OK_MISSING, MOST_MISSING), share, "share of completions",
        n_used=sum(counted), n_missing=sum(missing), witnesses=tuple(f"{why} ({n})" for why, n in reasons[:3]),
        baseline="" if not any(missing) else _bounds(labelled),
    )  # fmt: skip


def _bounds(labelled: Sequence[Labelled]) -> str:
    hits = sum(h or 0 for item in labelled for h in item.found.hits_S)
    counted = sum(n or 0 for item in labelled for n in item.found.counted_S)
    missing = sum(n or 0 for item in labelled for n in item.found.missing_S)
    asked = counted + missing
    if not asked:
        return ""
    return f"the mean label would lie between {hits / asked:.3f} and {(hits + missing) / asked:.3f} whatever they are"


def _rm405(labelled: Sequence[Labelled]) -> Finding:
    """ok: at most OK_DOUBT. unclear: at most MOST_DOUBT. problem: more. not checked: no step was so named."""
    named = [item for item in labelled if not math.isnan(item.found.doubt)]
    share = _share([item.found.doubt for item in named], named)
    worst = sorted(named, key=lambda item: -item.found.doubt)[:3]
    return _finding(
        "RM405", _graded(share.estimate, OK_DOUBT, MOST_DOUBT), share, "mean chance", n_used=len(named),
        witnesses=tuple(
            _witness(item, f"step {item.found.first_error}: {item.found.doubt:.2f}") for item in worst
        ),
    )  # fmt: skip


def _last_step_share(labelled: Sequence[Labelled]) -> float:
    """Share of the solutions with a first wrong step in which it is the last one; NaN without such solutions."""
    wrong = [item for item in labelled if item.found.first_error not in (None, NO_ERROR)]
    is_last = [item.found.first_error == len(item.solution.steps) - 1 for item in wrong]
    return float(np.mean(is_last)) if wrong else NAN


def _rm406(labelled: Sequence[Labelled]) -> Finding:
    """ok: ends at most at MOST_BROKEN. problem: begins above. unclear: neither. not checked: none looked at."""
    last = _last_step_share(labelled)
    looked = [item for item in labelled if item.found.checked]
    n_checked = [item.found.checked for item in looked]
    value = np.repeat([item.found.broken / item.found.checked for item in looked], n_checked)
    of = np.repeat([item.solution.prompt_id for item in looked], n_checked)
    share = clustered_proportion(value, of) if looked else UNDEFINED
    return _finding(
        "RM406",
        "not checked" if not looked else _by_line(1 - share.high, 1 - share.low, 1 - MOST_BROKEN),
        share, "share of prefixes", n_used=int(sum(n_checked)),
        baseline=f"the last step is named in {last:.1%} of wrong solutions" if last == last else "",
        witnesses=tuple(
            _witness(item, f"step {item.found.first_error} wrong, and right completions behind it")
            for item in looked if item.found.broken and item.found.first_error != NO_ERROR
        )[:3],
    )  # fmt: skip


def _by_line(low: float, high: float, line: float) -> Verdict:
    """ok: the interval is above the line. problem: it ends below. unclear: neither."""
    return "ok" if low >= line else "problem" if high < line else "unclear"


class _Given:
    """Made labels against those that the rows held, step by step and first wrong step by first wrong step."""

    def __init__(self, labelled: Sequence[Labelled]) -> None:
        self.made: list[float] = []
        self.given: list[float] = []
        self.of: list[str] = []
        self.firsts: list[float] = []
        self.firsts_of: list[str] = []
        self.witnesses: list[str] = []
        for item in labelled:
            if item.is_labelled:
                self._add(item)

    def _add(self, item: Labelled) -> None:
        solution, found = item.solution, item.found
        first = solution.first_error
        end = len(solution.steps) if first in (None, NO_ERROR) else first + 1
        for made, given in zip(found.label_S[:end], solution.labels[:end], strict=False):
            # a soft label above 0 is a right one by the hard label's rule; a given 0.5 says neither
            if not math.isnan(made) and not math.isnan(given) and given != 0.5:
                self.made.append(float(made > 0))
                self.given.append(float(given > 0.5))
                self.of.append(solution.prompt_id)
        if first is not None and found.first_error is not None:
            self.firsts.append(float(first == found.first_error))
            self.firsts_of.append(solution.prompt_id)
            if first != found.first_error:
                self.witnesses.append(_witness(item, f"first wrong step {found.first_error}, given {first}"))

    def finding(self, seed: int) -> Finding:
        """ok: kappa's interval above SUBSTANTIAL. problem: ends below. unclear: neither. not checked: none given."""
        if not self.made:
            return _finding("RM402", "not checked", UNDEFINED, "kappa", action="The rows hold no labels of steps.")
        kappa = cohen_kappa(self.made, self.given, self.of, rng=np.random.default_rng([seed, 402]))
        same = clustered_proportion(np.equal(self.made, self.given).astype(float), self.of)
        told = f"the same label on {same.estimate:.1%} [{same.low:.1%}, {same.high:.1%}] of the steps"
        if self.firsts:
            right = clustered_proportion(self.firsts, self.firsts_of)
            told += (
                f"; the same first wrong step in {right.estimate:.1%} [{right.low:.1%}, {right.high:.1%}] of "
                f"{len(self.firsts)} solutions"
            )
        return _finding(
            "RM402", _by_line(kappa.low, kappa.high, SUBSTANTIAL), kappa, "kappa", n_used=len(self.made),
            gold="the labels of the rows", baseline=told, witnesses=tuple(self.witnesses[:3]),
        )  # fmt: skip


class _Judged:
    """The judge's first wrong steps against those of the completions."""

    def __init__(self, labelled: Sequence[Labelled]) -> None:
        asked = [item for item in labelled if item.judged is not None or item.judge_failed]
        self.failed = [item for item in asked if item.judged is None or item.found.first_error is None]
        self.compared = [item for item in asked if item.judged is not None and item.found.first_error is not None]

    def finding(self, seed: int, judge: str) -> Finding:
        """ok: kappa's interval above SUBSTANTIAL. problem: ends below. unclear: neither. not checked: no judge."""
        if not self.compared:
            return _finding(
                "RM403", "not checked", UNDEFINED, "share of solutions", n_failed=len(self.failed),
                action="No solution was judged; see the reasons." if self.failed else "Give a --judge.",
                witnesses=tuple(_witness(item, item.judge_failed) for item in self.failed[:3]),
            )  # fmt: skip
        share = _share([float(item.is_agreed) for item in self.compared], self.compared)
        kappa = cohen_kappa(
            [float(item.judged or 0) for item in self.compared],
            [float(item.found.first_error or 0) for item in self.compared],
            [item.solution.prompt_id for item in self.compared],
            rng=np.random.default_rng([seed, 403]),
        )
        differ = [item for item in self.compared if not item.is_agreed]
        return _finding(
            "RM403", _by_line(kappa.low, kappa.high, SUBSTANTIAL), share, "share of solutions",
            n_used=len(self.compared), n_failed=len(self.failed),
            baseline=f"kappa {kappa.estimate:.3f} [{kappa.low:.3f}, {kappa.high:.3f}]; {len(self.compared)} calls of "
            f"{judge}",
            witnesses=tuple(
                _witness(item, f"completions {item.found.first_error}, judge {item.judged}") for item in differ[:3]
            ),
        )  # fmt: skip


# -------------------------------------------------------------------------------------------------------------- tables
def _cost_table(labelled: Sequence[Labelled]) -> Table:
    """Completions made against those that every step would take, by the number of steps."""
    rows = []
    for n_steps in sorted({len(item.solution.steps) for item in labelled if item.found.full_rollouts}):
        of_length = [item for item in labelled if len(item.solution.steps) == n_steps and item.found.full_rollouts]
        made = sum(item.found.rollouts for item in of_length)
        full = sum(item.found.full_rollouts for item in of_length)
        rows.append((n_steps, len(of_length), made, full, made / full))
    note = "full: completions of every step but the last, whose answer is read. Solutions that begin alike share some."
    return Table("cost", "Completions by length", ("steps", "solutions", "made", "full", "share"), tuple(rows), note)


def _reasons_table(labelled: Sequence[Labelled]) -> Table:
    rows = [("completion", why, n) for why, n in _reasons(labelled)]
    lacking: dict[str, int] = {}
    for item in labelled:
        for why in filter(None, (item.found.why, item.judge_failed)):
            lacking[why] = lacking.get(why, 0) + 1
    rows += [("solution", why, n) for why, n in sorted(lacking.items(), key=lambda pair: -pair[1])]
    return Table("missing", "What is missing, and why", ("of", "reason", "count"), tuple(rows))


def _reasons(labelled: Sequence[Labelled]) -> list[tuple[str, int]]:
    total: dict[str, int] = {}
    for item in labelled:
        for why, n in item.found.reasons.items():
            total[why] = total.get(why, 0) + n
    return sorted(total.items(), key=lambda pair: -pair[1])


def _probed(labelled: Sequence[Labelled]) -> tuple[list[int], list[int]]:
    """Hits and counted completions of every prefix that has some."""
    pairs = [
        (hits, counted)
        for item in labelled
        for hits, counted in zip(item.found.hits_S, item.found.counted_S, strict=True)
        if hits is not None and counted
    ]
    return [hits for hits, _ in pairs], [counted for _, counted in pairs]


def _label_sd(labelled: Sequence[Labelled]) -> float:
    """Mean standard deviation of a soft label, sqrt(p (1 - p) / n), over prefixes with completions."""
    hits, counted = _probed(labelled)
    if not hits:
        return NAN
    value = soft_values(hits, counted)
    return float(np.sqrt(value * (1 - value) / np.array(counted)).mean())


def _interval_width(labelled: Sequence[Labelled]) -> float:
    """Mean width of Wilson's interval of a prefix's value."""
    hits, counted = _probed(labelled)
    return float(np.diff(value_intervals(hits, counted), axis=1).mean()) if hits else NAN


def _witness(item: Labelled, what: str) -> str:
    name = item.solution.solution_id or f"row {item.solution.row}"
    return f"{name}: {what}"
