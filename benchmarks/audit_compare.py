"""Which of three real sets trains the better reward, and what repair of planted flips is worth.

    python benchmarks/audit_compare.py sets      hh, ukp and pandalm at equal size, mixtures, learning curves
    python benchmarks/audit_compare.py sizes     hh and pandalm on the first six layers of the default model, and on all
    python benchmarks/audit_compare.py repair    hh and ukp (a part) with 0 and 25 % of labels turned by lot

Vectors come from the cache (python benchmarks/audit_sets.py computes them). In `repair` the labels as they came are the
gold against which the gain is also read; they have mistakes of their own.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import karat
from audit_sets import read_set
from common import RESULTS, write_results
from karat.audit.data.repair_measure import worth_of
from karat.audit.data.repair_rules import Changes, decide
from karat.data import write_pairs
from karat.numerics.accuracy import pair_outcome
from karat.numerics.intervals import paired_difference
from karat.rewards.vectors import pair_vectors

SETS = ("hh", "ukp", "pandalm")
ALL_PAIRS = 12_000
SIZED, SHORT = ("hh", "pandalm"), 6
RATES, STEPS = (0.0, 0.25), (("drop", "flip"), ("soften",))


def compare_sets() -> None:
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{name}.jsonl" for name in SETS]
        for name, file in zip(SETS, files, strict=True):
            write_pairs(file, read_set(name))
        result = karat.audit_data(*map(str, files), embed_pairs=ALL_PAIRS, progress=told)
    facts: dict[str, Any] = {
        "seconds": time.perf_counter() - began,
        "lead": result.lead,
        "findings": [
            {
                "code": each.code, "verdict": each.verdict, "effect": each.effect, "low": each.low, "high": each.high,
                "baseline": each.baseline,
            }
            for each in result.findings
            if each.code.startswith("DA5")
        ],
    }  # fmt: skip
    tables = [table for table in result.tables if table.name.startswith("compare_")]
    for table in tables:
        rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        write_results(f"audit_{table.name}", facts if table.name == "compare_ranks" else {}, rows)


def compare_sizes() -> None:
    """Data against size: the smaller backbone is the default model cut after SHORT layers, with its own last norm."""
    with tempfile.TemporaryDirectory() as folder:
        short = shortened(Path(folder) / "short")
        files = [Path(folder) / f"{name}.jsonl" for name in SIZED]
        for name, file in zip(SIZED, files, strict=True):
            write_pairs(file, read_set(name))
        result = karat.audit_data(
            *map(str, files), backbones=f"{short},default", parts="content", embed_pairs=ALL_PAIRS, progress=told
        )
    found = next(each for each in result.findings if each.code == "DA504")
    facts = {
        "verdict": found.verdict, "effect": found.effect, "low": found.low, "high": found.high, "says": found.action,
        "couple": found.baseline.replace(short, f"{SHORT} layers"),
    }  # fmt: skip
    table = next(table for table in result.tables if table.name == "compare_grid")
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    write_results(
        "audit_compare_sizes",
        facts,
        [{k: v.replace(short, f"{SHORT} layers") if isinstance(v, str) else v for k, v in row.items()} for row in rows],
    )


def shortened(folder: Path) -> str:
    from transformers import AutoModelForCausalLM

    from karat.rewards.default_model import default_model_path
    from karat.rewards.model import load_tokenizer

    whole = str(default_model_path())
    AutoModelForCausalLM.from_pretrained(whole, num_hidden_layers=SHORT).save_pretrained(folder)
    load_tokenizer(whole).save_pretrained(folder)
    return str(folder)


def told(stage: str, done: int, total: int | None, note: str) -> None:
    if stage == "training rewards":
        print(f"{stage} {done} of {total}: {note}", flush=True)


def measure_repair() -> None:
    rows: list[dict[str, Any]] = []
    for name in ("hh", "ukp"):
        pairs = [pair for pair in read_set(name) if not pair.is_tie]
        if name == "ukp":  # by lot among pairs, so that all topics are there
            keep = np.random.default_rng(0).permutation(len(pairs))[:2000]
            pairs = [pairs[index] for index in keep]
        diff_PD = pair_vectors(pairs).difference()
        prompt_P = np.array([pair.prompt_id for pair in pairs], dtype=str)
        for rate in RATES:
            flip_P = np.where(np.random.default_rng(1).random(len(pairs)) < rate, -1.0, 1.0)
            for steps in STEPS:
                rows.append({"set": name, "flips": rate, **one_repair(diff_PD, flip_P, prompt_P, steps)})
                write_results("audit_repair", {"pairs_hh": 2307, "pairs_ukp": 2000, "folds": 3}, rows)


def one_repair(diff_PD: np.ndarray, flip_P: np.ndarray, prompt_P: np.ndarray, steps: tuple[str, ...]) -> dict[str, Any]:
    """Gain as the audit sees it, and against the labels before some were turned."""
    label_P = np.ones(len(diff_PD))

    def rule(inside: np.ndarray, posterior: np.ndarray) -> Changes:
        return decide(label_P[inside], posterior, None, steps=steps, flip_above=0.9)

    found = worth_of(
        diff_PD * flip_P[:, None], label_P, prompt_P, rule, steps=steps, margin_P=None, folds=3,
        rng=np.random.default_rng(2),
    )  # fmt: skip
    right = [pair_outcome(margin_P * flip_P) for margin_P in (found.before_P, found.after_P)]
    true = paired_difference(right[1], right[0], prompt_P, rng=np.random.default_rng(3))
    return {
        "steps": "+".join(steps), "changed": found.n_changed / len(label_P) * 1.5,
        "raw": found.raw.estimate, "gain": found.gain.estimate, "low": found.gain.low, "high": found.gain.high,
        "raw_before_turning": float(right[0].mean()), "true_gain": true.estimate, "true_low": true.low,
        "true_high": true.high, "nll_gain": found.loss_gain.estimate,
    }  # fmt: skip


if __name__ == "__main__":
    RESULTS.mkdir(exist_ok=True)
    {"sets": compare_sets, "sizes": compare_sizes, "repair": measure_repair}[sys.argv[1]]()
