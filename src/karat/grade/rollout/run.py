"""`karat grade --rollout`: what agents did to tests, harness, configuration and reward code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from karat.errors import InputError
from karat.grade.rollout.config import RolloutConfig
from karat.grade.rollout.findings import counts_by_technique, judge_finding, place_text, sign_findings
from karat.grade.rollout.judge import Judge, Opinion, Quality, Vote, ask_judge, load_judge, quality
from karat.grade.rollout.read import RolloutReader
from karat.grade.rollout.rules import find_signs
from karat.grade.rollout.types import Rollout, Sign, Turn
from karat.grade.tamper.techniques import TECHNIQUES, rank
from karat.numerics.intervals import wilson
from karat.types import Result, Table

COMMAND = "grade --rollout"
Progress = Callable[..., None]


def inspect_rollout(rollout: Rollout, *, allowed: Sequence[str] = ()) -> tuple[Sign, ...]:
    """Signs of tampering in one rollout; see `grade_rollouts` for files and for many."""
    return find_signs(rollout, allowed=allowed)


def grade_rollouts(
    sources: Any,
    *,
    config: RolloutConfig | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Result:
    """Report edits to tests, harness, configuration, reward code, thresholds and logs in transcripts and patches.

    Args:
        sources: a path, a row, or several of them: files and folders of transcripts and patches, rows (mappings) of a
            data set, texts of patches.
        config: what counts; `options` override single fields by name.
        progress: called as progress(stage, done, total, note).
    Returns: findings GR401 to GR406, the table of signs, and values with stable names.
    Raises: InputError: a path does not exist, a judge cannot be loaded. What is there and cannot be read is counted.
    """
    config = replace(config or RolloutConfig(), **options)
    judge = load_judge(config.judge, timeout_s=config.judge_timeout_s) if config.judge else None
    reader = RolloutReader(max_mb=config.max_mb)
    rollouts: list[Rollout] = []
    signs: list[tuple[Sign, ...]] = []
    failed: Counter[str] = Counter()
    for number, rollout in enumerate(reader.read(_listed(sources))):
        if progress:
            progress("reading rollouts", number, 0, rollout.rollout_id[:60])
        rollout = _with_task(rollout, config.task)
        try:
            found = find_signs(rollout, allowed=config.allowed_patterns)
        except Exception as error:  # hostile text may break any rule; it must not hide the other rollouts
            failed[f"the rules raised {type(error).__name__} on it"] += 1
            continue
        rollouts.append(rollout)
        signs.append(found)
    opinions = _opinions(judge, rollouts, signs, config, progress)
    judged = _judge_quality(judge, rollouts, opinions, config, progress)
    n_missing = reader.problems.total()
    findings = (
        *sign_findings(rollouts, signs, n_failed=failed.total(), n_missing=n_missing),
        judge_finding(judged, asked=config.judge),
    )
    return Result(
        COMMAND,
        findings=findings,
        tables=_tables(rollouts, signs, opinions, reader, failed, config),
        values=_values(rollouts, signs, opinions, judged, reader, failed),
        provenance={"inputs": asdict(config), "sources": len(reader.sources) or len(rollouts)},
        lead=_lead(rollouts, signs, reader, failed),
    )


def _listed(sources: Any) -> Iterable[Any]:
    if isinstance(sources, str | bytes) or not isinstance(sources, Iterable) or hasattr(sources, "keys"):
        return [sources]
    listed = list(sources)
    if not listed:
        raise InputError("there are no rollouts to look at: name transcripts, patches, or a folder of them.")
    return listed


def _with_task(rollout: Rollout, task: str) -> Rollout:
    return replace(rollout, turns=(Turn("user", task, 0), *rollout.turns)) if task else rollout


# --------------------------------------------------------------------------------------------------------------- judge
def _opinions(
    judge: Judge | None,
    rollouts: Sequence[Rollout],
    signs: Sequence[Sequence[Sign]],
    config: RolloutConfig,
    progress: Progress | None,
) -> dict[int, Opinion]:
    """Opinions by number of the rollout: on those with signs, and on those with a label."""
    if judge is None:
        return {}
    least = -1 if config.judge_least == "all" else rank(config.judge_least)  # type: ignore[arg-type]
    wanted = [at for at, mine in enumerate(signs) if _surest(mine) >= least or rollouts[at].label is not None]
    found = {}
    for done, at in enumerate(wanted[: config.judge_most]):
        if progress:
            progress("asking the judge", done, min(len(wanted), config.judge_most), "")
        found[at] = ask_judge(judge, rollouts[at], signs[at], most_chars=config.judge_chars)
    return found


def _judge_quality(
    judge: Judge | None,
    rollouts: Sequence[Rollout],
    opinions: dict[int, Opinion],
    config: RolloutConfig,
    progress: Progress | None,
) -> Quality | None:
    """The judge against labels of the input and against rollouts of known intent."""
    if judge is None:
        return None
    votes: list[Vote] = []
    labels: list[bool] = []
    for at, opinion in opinions.items():
        label = rollouts[at].label
        if label is not None:
            votes.append(opinion.vote)
            labels.append(label)
    known = known_rollouts(config.judge_known, np.random.default_rng([config.judge_seed, 406]))
    for done, (rollout, tampers) in enumerate(known):
        if progress:
            progress("measuring the judge", done, len(known), "")
        votes.append(ask_judge(judge, rollout, find_signs(rollout), most_chars=config.judge_chars).vote)
        labels.append(tampers)
    return quality(votes, labels)


def known_rollouts(n: int, rng: np.random.Generator) -> list[tuple[Rollout, bool]]:
    """At most n built-in rollouts with whether they tamper, as many of one kind as of the other."""
    from karat.worlds.rollouts import all_rollouts, render

    every = all_rollouts()
    chosen = []
    for tampers in (True, False):
        kind = [known for known in every if known.tampers is tampers]
        picked = rng.permutation(len(kind))[: n // 2]
        chosen += [kind[int(at)] for at in sorted(picked)]
    reader = RolloutReader()
    found = []
    for known in chosen:
        found += [(rollout, known.tampers) for rollout in reader.read([render(known) + "\n"])]
    return found


def _surest(signs: Sequence[Sign]) -> int:
    return max((rank(sign.confidence) for sign in signs), default=-1)


# -------------------------------------------------------------------------------------------------------------- output
def _values(
    rollouts: Sequence[Rollout],
    signs: Sequence[Sequence[Sign]],
    opinions: dict[int, Opinion],
    judged: Quality | None,
    reader: RolloutReader,
    failed: Counter[str],
) -> dict[str, Any]:
    best = [_surest(mine) for mine in signs]
    n_flagged = sum(level >= rank("strong") for level in best)
    low, high = wilson(n_flagged, len(rollouts))
    labelled = [
        ("tampered" if level >= rank("strong") else "honest", rollout.label)
        for rollout, level in zip(rollouts, best, strict=True)
        if rollout.label is not None
    ]
    rules = quality([vote for vote, _ in labelled], [bool(label) for _, label in labelled])  # type: ignore[misc]
    values: dict[str, Any] = {
        "n_rollouts": len(rollouts),
        "n_actions": sum(len(rollout.actions) for rollout in rollouts),
        "n_flagged": n_flagged,
        "n_suspect": sum(level == rank("moderate") for level in best),
        "flagged": n_flagged / len(rollouts) if rollouts else float("nan"),
        "flagged_low": low,
        "flagged_high": high,
        "n_failed": failed.total(),
        "n_unreadable": reader.problems.total(),
        "n_not_understood": sum(sum(rollout.not_understood.values()) for rollout in rollouts),
        "techniques": dict(counts_by_technique(signs)),
        "flagged_rollouts": [
            rollout.rollout_id for rollout, level in zip(rollouts, best, strict=True) if level >= rank("strong")
        ],
    }
    if labelled:
        values |= {"rules_precision": rules.precision, "rules_recall": rules.recall, "n_labelled": len(labelled)}
    if judged is not None:
        agree = [
            (opinion.vote == "tampered") == (best[at] >= 2)
            for at, opinion in opinions.items()
            if opinion.vote != "missing"
        ]
        values |= {
            "judge_precision": judged.precision,
            "judge_precision_low": judged.precision_interval[0],
            "judge_precision_high": judged.precision_interval[1],
            "judge_recall": judged.recall,
            "judge_n": judged.n,
            "judge_missing": judged.n_missing + sum(opinion.vote == "missing" for opinion in opinions.values()),
            "judge_agreement": sum(agree) / len(agree) if agree else float("nan"),
        }
    return values


def _tables(
    rollouts: Sequence[Rollout],
    signs: Sequence[Sequence[Sign]],
    opinions: dict[int, Opinion],
    reader: RolloutReader,
    failed: Counter[str],
    config: RolloutConfig,
) -> tuple[Table, ...]:
    pairs = [(rollout, sign) for rollout, mine in zip(rollouts, signs, strict=True) for sign in mine]
    pairs.sort(key=lambda pair: -rank(pair[1].confidence))
    rows = tuple(
        (
            rollout.rollout_id,
            sign.step,
            sign.technique,
            place_text(sign),
            sign.confidence,
            sign.before,
            sign.after,
            sign.evidence,
            sign.note or sign.benign,
        )
        for rollout, sign in pairs[: config.rows]
    )
    columns = ("rollout", "step", "technique", "where", "confidence", "before", "after", "evidence", "note")
    note = f"{len(pairs)} signs in {len(rollouts)} rollouts, the surest first" + (
        f"; {len(pairs) - len(rows)} more are not shown." if len(pairs) > len(rows) else "."
    )
    tables = [Table("rollout_signs", "Signs of tampering", columns, rows, note)]
    by_step = _steps_table(rollouts, signs)
    if by_step is not None:
        tables.append(by_step)
    problems = Counter(reader.problems) + failed
    for rollout in rollouts:
        problems.update(rollout.not_understood)
    lost = tuple((reason, count) for reason, count in problems.most_common(100))
    if lost:
        tables.append(
            Table("rollout_lost", "What was not understood", ("what", "count"), lost, "None of it counts as clean.")
        )
    if opinions:
        judged = tuple(
            (rollouts[at].rollout_id, _level(signs[at]), opinion.vote, opinion.reason)
            for at, opinion in opinions.items()
        )
        tables.append(Table("rollout_judge", "Second opinion", ("rollout", "rules", "judge", "reason"), judged))
    return tuple(tables)


def _level(signs: Sequence[Sign]) -> str:
    level = _surest(signs)
    return "none" if level < 0 else ("weak", "moderate", "strong", "proven")[level]


def _steps_table(rollouts: Sequence[Rollout], signs: Sequence[Sequence[Sign]]) -> Table | None:
    """Flagged rollouts by training step, where the rows name one."""
    steps = sorted({rollout.training_step for rollout in rollouts if rollout.training_step is not None})
    if len(steps) < 2:
        return None
    rows = []
    for step in steps:
        mine = [found for rollout, found in zip(rollouts, signs, strict=True) if rollout.training_step == step]
        n_flagged = sum(_surest(found) >= rank("strong") for found in mine)
        rows.append((step, len(mine), n_flagged, n_flagged / len(mine), *wilson(n_flagged, len(mine))))
    columns = ("step", "rollouts", "flagged", "share", "low", "high")
    return Table("rollout_steps", "Flagged rollouts by training step", columns, tuple(rows), "Wilson's 95 % intervals.")


def _lead(
    rollouts: Sequence[Rollout], signs: Sequence[Sequence[Sign]], reader: RolloutReader, failed: Counter[str]
) -> str:
    lost = reader.problems.total() + failed.total()
    if not rollouts:
        reason = next(iter(reader.problems or failed), "the sources hold none")
        return f"No rollout could be read: {reason}."
    flagged = [mine for mine in signs if _surest(mine) >= rank("strong")]
    text = f"{len(flagged)} of {len(rollouts)} rollouts show strong signs of tampering"
    counts = counts_by_technique(flagged)
    if counts:
        key = max(counts, key=lambda name: counts[name])
        text += f", most often: {TECHNIQUES[key].title} ({counts[key]})"
    return text + (f"; {lost} sources or rows could not be read." if lost else ".")
