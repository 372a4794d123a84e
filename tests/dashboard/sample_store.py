"""A store of a small watched run, made through the store's own door: an alarm at step 20, golds, hostile texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from karat.run_records import Action, Alarm, EvidencePoint, Reading, RolloutBatch, Witness
from karat.store import RunStore

HOSTILE = (
    '<script>document.title=\'PWNED\'</script>"onmouseover="alert(1)" \x1b[31mred\x1b]0;t\x07 \u202eevil\u202c '
    "zero\u200bwidth NUL\x00 {{7*7}} </pre></main>"
)
SHOWN = r"\x1b[31mred\x1b]0;t\x07 \u202eevil\u202c zero\u200bwidth NUL\x00 {{7*7}}"
"""Its middle as a page shows it, before HTML."""
LONG = "x<" * 500_000
ALARM = Alarm(
    step=20, level="alarm", detector="discordance", signal="discordance", evidence=7.4, threshold=6.908, onset=15,
    onset_low=12, onset_high=17, reason=f"In 61 % of the clearest pairs the gold disagrees. {HOSTILE}", gold="checked",
    probe="flattery pays 0.41 SD",
    witnesses=(Witness(step=20, prompt=f"Q {HOSTILE}", response=f"A {HOSTILE}", proxy=1.5, gold=0.0, note=HOSTILE),),
)  # fmt: skip
NOTICE = Alarm(
    step=8, level="notice", detector="length", signal="length", evidence=7.0, threshold=6.908, onset=6, onset_low=5,
    onset_high=8, reason="Mean length left its range.",
)  # fmt: skip
INFO = {"source": f"run {HOSTILE}", "proxy": "helpful", "gold": "checked", "false_alarm_steps": 1000, "seed": 7}


def batch(step: int, *, gold: bool = True, n: int = 16) -> RolloutBatch:
    """Rollout i has proxy i and gold n - i; the first holds a megabyte, every one hostile text."""
    order = np.arange(n, dtype=float)
    return RolloutBatch(
        step=step,
        prompts=[f"prompt {index // 4} {HOSTILE}" for index in range(n)],
        responses=[LONG if index == 0 else f"response {index} of {step} {HOSTILE}" for index in range(n)],
        group_R=np.arange(n) // 4,
        proxy_R=order,
        gold_R=n - order if gold else np.full(n, np.nan),
        chance_R=np.ones(n),
        scores={f"part {HOSTILE}": order},
        notes={"finish": [HOSTILE] * n},
    )


def add_steps(store: RunStore, steps: range, *, gold: bool = True) -> None:
    for step in steps:
        store.add_batch(batch(step, gold=gold), keep=range(16))
        store.add_readings(
            [Reading(step, "discordance", 0.5 + step / 100, 8, 0), Reading(step, "length", 200.0 + step)]
        )
        store.add_evidence([EvidencePoint(step, "discordance", step / 2.8, 6.908)])


def fill(path: Path, *, steps: int = 24, alarmed: bool = True, gold: bool = True, hostile: bool = True) -> Path:
    """Write the run; its steps 9 and 10 are missing."""
    with RunStore.open(path) as store:
        store.set_info(INFO if hostile else {"proxy": "helpful", "gold": "checked"})
        add_steps(store, range(min(steps, 9)), gold=gold)
        add_steps(store, range(11, steps), gold=gold)
        if alarmed:
            store.add_alarm(NOTICE)
            store.add_alarm(ALARM)
            store.add_action(Action(20, "checkpoint_and_mark", f"alarm at step 20 {HOSTILE}", True, "checkpoint-20"))
            store.add_action(Action(21, "webhook", "alarm at step 20", False, f"timed out {HOSTILE}"))
    return path
