"""What each mitigation is worth: at equal KL on the built-in pool, and under GRPO in the built-in words world.

    python benchmarks/mitigations.py pool
    python benchmarks/mitigations.py rl       about 15 minutes; goes on where it stopped

rl: 32 responses of the world's policy to each of its 224 prompts, scored by the length judge (proxy), the format and
the checks judge (the members); each rule is exported from this pool and is the reward of a run of 60 steps. Gold is the
world's, in SDs of the untrained policy's responses to 32 held-out prompts, 8 each.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import karat
from common import RESULTS, write_results
from karat.stress.run import stress as run_stress
from karat.worlds import words

PROXIES = ("regressional", "length_leak", "rare_hack", "heavy_tail")
RULES = ("proxy", "par", "par, 2 references", "clip", "length-lowess", "worst", "mean", "mbr")
SEEDS = (0, 1, 2)
STEPS = 60
JUDGES = {"judge": "length_judge", "format": "format_judge", "checks": "checks_judge", "gold": "gold"}


def on_the_pool() -> None:
    rows = []
    runs = [(proxy, "") for proxy in PROXIES] + [("heavy_tail", "regressional,length_leak,rare_hack")]
    for proxy, members in runs:
        result = run_stress("builtin:checkable", proxy=proxy, gold="gold", members=members)
        table = next(table for table in result.tables if table.name == "mitigations")
        rows += [
            {"proxy": proxy, "members": members, **dict(zip(table.columns[:-1], row, strict=False))}
            for row in table.rows
        ]
    write_results("mitigations_pool", {"pool": "builtin:checkable", "gold": "gold"}, rows)


def in_rl() -> None:
    file = RESULTS / "mitigations_rl.json"
    rows: list[dict[str, Any]] = json.loads(file.read_text())["rows"] if file.exists() else []
    done = {(row["rule"], row["seed"]) for row in rows}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_pool(folder / "pool.jsonl")
        for seed in SEEDS:
            for rule in RULES:
                if (rule, seed) not in done:
                    rows.append(one_run(folder, rule, seed))
                    write_results("mitigations_rl", {"steps": STEPS}, rows)


def write_pool(out: Path) -> None:
    """The words policy's responses with a column for each judge and the gold."""
    prompts = words.prompts(words.SETTINGS["length"].cue)
    asked = out.with_name("prompts.jsonl")
    asked.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
    sampled = out.with_name("sampled.jsonl")
    karat.pool(str(words.POLICY), str(asked), out=str(sampled), samples=32, max_new_tokens=words.MAX_WORDS)
    with out.open("w") as file:
        for line in sampled.read_text().splitlines():
            row = json.loads(line)
            for column, judge in JUDGES.items():
                row[column] = getattr(words, judge)([row["prompt"]], [row["response"]])[0]
            file.write(json.dumps(row) + "\n")


def one_run(folder: Path, rule: str, seed: int) -> dict[str, Any]:
    name, _, references = rule.partition(", ")
    rewards = ",".join(f"{column}={words.__name__}:{judge}" for column, judge in JUDGES.items() if column != "gold")
    out = folder / rule.replace(", ", "_").replace(" ", "_")
    run_stress(
        str(folder / "pool.jsonl"), out=out, proxy="judge", gold="gold", members="format,checks", export=name,
        rewards=rewards, references=int(references.split()[0]) if references else 16, resamples=100,
    )  # fmt: skip
    values = karat.stress.rl(
        setting="length", proxy=str(out / "reward"), gold=f"{words.__name__}:gold", steps=STEPS, eval_prompts=32,
        eval_samples=8, resamples=200, seed=seed, keep="none",
    ).values  # fmt: skip
    return summary(rule, seed, values["kl"], values["gold_gain"], values["peak_step"])


def summary(rule: str, seed: int, kl: list[float], gold: list[float], peak_step: int) -> dict[str, Any]:
    best = max(range(len(gold)), key=gold.__getitem__)
    return {
        "rule": rule, "seed": seed, "peak_gold": gold[best], "peak_step": peak_step, "peak_kl": kl[best],
        "last_gold": gold[-1], "last_kl": kl[-1],
    }  # fmt: skip


if __name__ == "__main__":
    {"pool": on_the_pool, "rl": in_rl}[sys.argv[1]]()
