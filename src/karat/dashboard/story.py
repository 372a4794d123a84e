"""The words of the dashboard: the verdict in one line, the story of an alarm, texts of rollouts folded and harmless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from karat.dashboard.reading import Snapshot
from karat.report.text import escape_short, escape_text, format_number
from karat.run_records import Action, Alarm, Witness
from karat.store import StoredRollout

SHOWN_CHARS = 600
"""Of a text, while it is folded."""
TEXT_LIMIT = 6_000
"""Of a text, on a page."""
_END, _TAIL = 200, 2_000
"""Of these, from its end."""
ACTION_LIMIT = 50
VERDICTS = ("problem", "unclear", "ok", "not checked")


@dataclass(frozen=True, slots=True)
class Folded:
    """A text for reading: its beginning, its middle to be unfolded, its end, and its length where it was cut."""

    head: str
    middle: str = ""
    tail: str = ""
    note: str = ""


def fold(text: str, *, n_chars: int = 0) -> Folded:
    """A text of a model, escaped. What games a reward stands at the end as often as at the start: both are in sight.

    n_chars: its length as it came, where what we have is shorter.
    """
    length, cut = max(len(text), n_chars), n_chars > len(text)
    if len(text) > 2 * TEXT_LIMIT:  # do not escape a megabyte to show a page of it
        text = text[:TEXT_LIMIT] + text[-TEXT_LIMIT:]
    shown = escape_text(text, keep_newlines=True)
    if len(shown) > TEXT_LIMIT or length > 2 * TEXT_LIMIT:
        shown, cut = f"{shown[: TEXT_LIMIT - _TAIL]}\n[...]\n{shown[-_TAIL:]}", True
    note = f"Cut: the text has {length:,} characters." if cut else ""
    if len(shown) <= SHOWN_CHARS:
        return Folded(shown, note=note)
    return Folded(shown[: SHOWN_CHARS - _END], shown[SHOWN_CHARS - _END : -_END], shown[-_END:], note)


def verdict(seen: Snapshot) -> tuple[str, str]:
    """A word for the badge, and the sentence beside it. "ok" is never said of a run that goes on."""
    told, lead = seen.info.get("verdict"), seen.info.get("lead")
    if told in VERDICTS and isinstance(lead, str) and lead:
        return str(told), escape_short(lead, 600)
    alarms = [alarm for alarm in seen.alarms if alarm.level == "alarm"]
    notices = len({alarm.signal for alarm in seen.alarms if alarm.level == "notice"})
    left = f" {_count(notices, 'signal')} left the healthy range, which may be learning." if notices else ""
    if alarms:
        first = alarms[0]
        sentence = (
            f"Alarm at step {first.step:,}: {escape_short(first.reason, 300)} The change began at about step "
            f"{first.onset:,} ({first.onset_low:,} to {first.onset_high:,})."
        )
        return "problem", sentence
    if not seen.steps:
        return "not checked", "No step of the run is stored yet."
    so_far = f"No alarm in {_count(len(seen.steps), 'step')}."
    if not seen.n_gold and not seen.n_labels:
        return "not checked", (
            f"{so_far} No gold was given, so what the reward is worth was not checked; tampering was, where it is "
            f"recorded.{left}"
        )
    return "no alarm", f"{so_far} {_count(max(seen.n_gold, seen.n_labels), 'gold')} were compared.{left}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def alarm_story(alarm: Alarm, actions: Sequence[Action], seen: Snapshot) -> dict[str, Any]:
    """What an alarm says, as (name, text) rows, with its witnesses and what was done about it."""
    taken = [action for action in actions if action.step >= alarm.step][:ACTION_LIMIT]
    budget = seen.info.get("false_alarm_steps")
    rate = f" At this line a healthy run has on average at most one false alarm in {budget:,} steps." if isinstance(
        budget, int
    ) else ""  # fmt: skip
    rows = [
        ("what", escape_short(alarm.reason, 600)),
        ("raised", f"step {alarm.step:,}"),
        ("began", f"about step {alarm.onset:,}; between {alarm.onset_low:,} and {alarm.onset_high:,}"),
        ("signal", escape_short(alarm.signal, 120)),
        *([("detector", escape_short(alarm.detector, 120))] if alarm.detector != alarm.signal else []),
        (
            "evidence",
            f"{format_number(alarm.evidence)} nats against the line at {format_number(alarm.threshold)}.{rate}",
        ),
        ("gold", escape_short(alarm.gold, 120) or "none: this alarm rests on no gold"),
        ("predicted", escape_short(alarm.probe, 600) or "by no audit of the reward that this run was given"),
    ]
    return {
        "step": alarm.step,
        "rows": rows,
        "witnesses": [_witness(witness) for witness in alarm.witnesses[:3]],
        "actions": [_action(action) for action in taken],
        "advice": advice(alarm, taken),
    }


def advice(alarm: Alarm, taken: Sequence[Action]) -> list[str]:
    """What to do about an alarm, in order."""
    stopped = any(action.done and action.kind in ("stop", "roll_back") for action in taken)
    before = max(alarm.onset_low - 1, 0)
    return [
        "The run was stopped; leave it so." if stopped else "Stop the run, or pause it, until the rollouts are read.",
        "Read the rollouts below: does the reward pay for what you want?",
        f"If not, go back to a checkpoint at or before step {before:,}, the last step that was surely healthy.",
        "Mend the reward before you go on: karat audit reward shows what it pays for, karat stress how far it holds.",
    ]


def _witness(witness: Witness) -> dict[str, Any]:
    return {
        "step": witness.step,
        "proxy": format_number(witness.proxy),
        "gold": format_number(witness.gold),
        "note": escape_short(witness.note, 300),
        "prompt": fold(witness.prompt),
        "response": fold(witness.response),
    }


def _action(action: Action) -> dict[str, Any]:
    return {
        "step": f"{action.step:,}",
        "kind": escape_short(action.kind, 60),
        "outcome": "done" if action.done else "failed",
        "reason": escape_short(action.reason, 300),
        "detail": escape_short(action.detail, 300),
    }


def alarm_rows(alarms: Sequence[Alarm], limit: int = 50) -> list[dict[str, str]]:
    """Every alarm and notice in a line, the gravest first."""
    ordered = sorted(alarms, key=lambda alarm: (alarm.level != "alarm", alarm.step))
    return [
        {
            "step": f"{alarm.step:,}",
            "level": alarm.level,
            "signal": escape_short(alarm.signal, 60),
            "onset": f"{alarm.onset:,} ({alarm.onset_low:,} to {alarm.onset_high:,})",
            "evidence": f"{format_number(alarm.evidence)} / {format_number(alarm.threshold)}",
            "reason": escape_short(alarm.reason, 300),
        }
        for alarm in ordered[:limit]
    ]


def rollout_card(rollout: StoredRollout) -> dict[str, Any]:
    """A stored rollout for reading."""
    scores = [(escape_short(name, 40), format_number(value)) for name, value in list(rollout.scores.items())[:12]]
    notes = [(escape_short(name, 40), escape_short(text, 200)) for name, text in list(rollout.notes.items())[:6]]
    return {
        "step": rollout.step,
        "index": rollout.index,
        "group": rollout.group,
        "proxy": format_number(rollout.proxy),
        "gold": format_number(rollout.gold),
        "by": escape_short(rollout.labelled_by, 60),
        "waits": rollout.waits,
        "details": [*scores, *notes],
        "prompt": fold(rollout.prompt, n_chars=rollout.prompt_chars),
        "response": fold(rollout.response, n_chars=rollout.response_chars),
    }
