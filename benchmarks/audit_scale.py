"""Time and memory of `karat audit data` on ten thousand, a hundred thousand and a million pairs.

Written for each size: a file of pairs (JSON lines; words by Zipf's law, prompts of 60 and responses of 80 words on
average, lengths log-normal), of which 10 % nearly repeat an earlier pair (about 2 % of the words of each text changed,
none in texts below 25 words) and 1 % repeat one exactly. Then `karat.audit_data(FILE, parts="structure,content")` in a
process of its own: structure, and what a content-blind rule can score; nothing that needs hidden states.

Seconds by stage are of the clock, and of the processors (which other work on the machine does not lengthen). The peak
is the proportional set size of the process and its children, summed, looked at every half second.

    python benchmarks/audit_scale.py                      all sizes
    python benchmarks/audit_scale.py --sizes 10000 --parts structure
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

SIZES = (10_000, 100_000, 1_000_000)
NEAR, EXACT = 0.10, 0.01
PROMPT_WORDS, RESPONSE_WORDS = 60, 80
EDITED, LEAST_EDITED = 0.02, 25
VOCABULARY = 20_000


def write_pairs(path: Path, n: int) -> dict[str, int]:
    """A file of n pairs; how many of them repeat another."""
    rng = np.random.default_rng(0)
    vocabulary = _vocabulary(rng)
    chance = 1 / np.arange(1, VOCABULARY + 1)
    cumulative = np.cumsum(chance / chance.sum())
    n_near, n_exact = int(NEAR * n), int(EXACT * n)
    kinds = rng.permutation(np.repeat(["new", "near", "exact"], [n - n_near - n_exact, n_near, n_exact]))
    kinds[0] = "new"
    kept: list[list[np.ndarray]] = []  # pairs that may be repeated, a bounded number of them
    with path.open("w", encoding="utf-8") as file:
        for kind in kinds:
            if kind == "new":
                texts = [
                    np.searchsorted(cumulative, rng.random(_length(mean, rng)))
                    for mean in (PROMPT_WORDS, RESPONSE_WORDS, RESPONSE_WORDS)
                ]
                if len(kept) < 200_000:
                    kept.append(texts)
            else:
                # each is repeated once at most: the groups are pairs
                texts = kept.pop(int(rng.integers(len(kept))))
                texts = [_edited(text, rng) if kind == "near" else text for text in texts]
            row = dict(zip(("prompt", "chosen", "rejected"), (" ".join(vocabulary[t]) for t in texts), strict=True))
            file.write(json.dumps(row) + "\n")
    return {"near": int((kinds == "near").sum()), "exact": int((kinds == "exact").sum())}


def _vocabulary(rng: np.random.Generator) -> np.ndarray:
    """Words of two to twelve letters, common ones shorter."""
    letters = np.array(list("etaoinshrdlcumwfgypbvk"))
    sizes = np.clip(np.round(2.5 + np.log10(np.arange(1, VOCABULARY + 1)) * 1.2 + rng.normal(0, 1, VOCABULARY)), 2, 12)
    return np.array(["".join(rng.choice(letters, int(size))) for size in sizes], dtype=object)


def _length(mean: int, rng: np.random.Generator) -> int:
    return int(np.clip(rng.lognormal(np.log(mean) - 0.32, 0.8), 4, 8 * mean))  # a mean of about `mean`


def _edited(text: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if text.size < LEAST_EDITED:
        return text
    changed = text.copy()
    changed[rng.choice(text.size, max(1, round(EDITED * text.size)), replace=False)] = rng.integers(VOCABULARY)
    return changed


def one(path: str, parts: str, workers: int) -> dict[str, Any]:
    """The audit of a file, with the seconds of each stage."""
    import karat

    marks: list[tuple[str, float, float]] = []

    def progress(stage: str, *_: Any) -> None:
        if not marks or marks[-1][0] != stage:
            marks.append((stage, time.perf_counter(), _processor_seconds()))

    began, began_cpu = time.perf_counter(), _processor_seconds()
    result = karat.audit_data(path, parts=parts, workers=workers, progress=progress)
    ended, ended_cpu = time.perf_counter(), _processor_seconds()
    seconds: dict[str, float] = {}
    marks[0] = (marks[0][0], began, began_cpu)
    for (stage, *start), (_, *stop) in zip(marks, [*marks[1:], ("", ended, ended_cpu)], strict=True):
        for kind, before, after in zip(("s", "CPU s"), start, stop, strict=True):
            seconds[f"{stage}, {kind}"] = seconds.get(f"{stage}, {kind}", 0.0) + after - before
    values = {name: result.values[name] for name in ("structure_exact", "structure_near")}
    return {"total, s": ended - began, "total, CPU s": ended_cpu - began_cpu, **seconds, **values}


def _processor_seconds() -> float:
    """Of this process, of the workers that it has, and of those that have ended."""
    import psutil

    workers = sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children(recursive=True))
    return workers + sum(os.times()[:4])


def measured(path: Path, parts: str, workers: int) -> dict[str, Any]:
    """`one` in a process of its own, with its peak memory."""
    import psutil

    command = [sys.executable, __file__, "--one", str(path), "--parts", parts, "--workers", str(workers)]
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        process = psutil.Process(child.pid)
        while child.poll() is None:
            try:
                family = [process, *process.children(recursive=True)]
                peak = max(peak, sum(member.memory_full_info().pss for member in family))
            except psutil.NoSuchProcess:
                pass  # a worker ended while it was looked at
            time.sleep(0.5)
        text = child.stdout.read() if child.stdout else ""
    if child.returncode:
        sys.exit(f"the audit of {path} ended with status {child.returncode}")
    found: dict[str, Any] = json.loads(text)
    return {"peak_GB": peak / 1e9, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="pairs")
    parser.add_argument("--parts", default="structure,content")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--name", default="audit_scale", help="of the results")
    parser.add_argument("--one", metavar="FILE", help="one audit, for a process of its own")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(arguments.one, arguments.parts, arguments.workers)))
        return
    from common import write_results

    facts = {
        "what": f'karat.audit_data(FILE, parts="{arguments.parts}"), {arguments.workers} workers',
        "load before": "jobs of others that were running on the machine when the audit began, by its load average",
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n in arguments.sizes:
            path = Path(folder) / f"{n}.jsonl"
            planted = write_pairs(path, n)
            load = os.getloadavg()[0]
            found = measured(path, arguments.parts, arguments.workers)
            # short texts are not edited, so a few near repetitions are exact ones
            repeats = (found.pop("structure_near") + found.pop("structure_exact")) * n
            rows.append(
                {
                    "pairs": n,
                    "file_GB": path.stat().st_size / 1e9,
                    **found,
                    "repeats found of planted": repeats / (planted["near"] + planted["exact"]),
                    "load before": load,
                }
            )
            path.unlink()
            write_results(arguments.name, facts, rows)


if __name__ == "__main__":
    main()
