"""Time and memory of best of n: the engine alone, and `karat stress` on a parquet pool from reading to tables.

Engine, for each size in a process of its own: `pool_matrix`, `prompt_draws`, `best_of_n_curve` for gold and proxy at
every n to G, and the peak. Beside it, for a small size, the plain way: drawing n responses again and again.

Verb, likewise: a parquet pool with texts of 40 words is read, every statistic of `karat stress` is worked out
(curves, exact KL and chi-square, peak, drop height, win rates, softer rules, fits, tails, certificate, features,
evidence, plans) and put into tables, and mitigations are compared. Seconds are those
of the process, on one thread: the wall's on an idle machine, and not lengthened by other work.

    python benchmarks/best_of_n.py
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from common import write_results
from karat.numerics.best_of_n import best_of_n_by_prompt, best_of_n_curve, pool_matrix, prompt_draws
from karat.numerics.goodhart import locate_peak

SIZES = ((100, 64, 2000), (1000, 64, 2000), (1000, 256, 2000), (1000, 1000, 500), (1000, 1000, 2000), (4000, 256, 2000))
VERB_SIZES = ((250, 250, 500), (250, 250, 2000), (1000, 250, 2000), (250, 1000, 2000), (1000, 1000, 2000))
PLAIN_DRAWS = 2000
TEXT = "the of and to a in is it you that he was for on are with as I his they be at one have this from or had by"


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def one(n_prompts: int, size: int, draws: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    gold = rng.standard_normal(n_prompts * size)
    proxy, prompt = gold + rng.standard_t(3, gold.size), np.repeat(np.arange(n_prompts), size)
    n = np.arange(1, size + 1)
    began = time.process_time()
    pool = pool_matrix(proxy, gold, prompt)
    count = prompt_draws(n_prompts, draws, rng)
    curve = best_of_n_curve(pool, n, count)
    best_of_n_curve(pool, n, count, of_proxy=True)
    locate_peak(curve, best_of_n_by_prompt(pool, pool.value_PG, n))
    return {"seconds": time.process_time() - began, "peak_GB": peak_gb()}


def write_pool(path: Path, n_prompts: int, size: int) -> None:
    """A pool in long form, written prompt by prompt, so that writing it does not count as memory of the verb."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    writer, vocabulary = None, TEXT.split()
    for prompt in range(n_prompts):
        gold = rng.standard_normal(size)
        text = [" ".join(words) for words in np.array(vocabulary)[rng.integers(0, len(vocabulary), (size, 40))]]
        table = pa.table(
            {
                "prompt_id": [f"p{prompt}"] * size,
                "prompt": [f"question {prompt}"] * size,
                "response_id": [str(number) for number in range(size)],
                "response": text,
                "rm": gold + rng.standard_t(3, size),
                "truth": gold,
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def verb(path: Path, draws: int) -> dict[str, float]:
    """Seconds of the parts of `karat stress`."""
    from karat.stress.config import StressConfig
    from karat.stress.curves import measure
    from karat.stress.evidence import evidence_findings
    from karat.stress.findings import findings_of
    from karat.stress.mitigations import compare_mitigations
    from karat.stress.pool import read_stress_pool
    from karat.stress.tables import tables_of, values_of

    config = StressConfig(proxy="rm", gold="truth", resamples=draws)
    marks = [time.process_time()]
    pool = read_stress_pool(str(path), config)
    marks.append(time.process_time())
    found = measure(pool, config)
    findings_of(pool, found, "truth"), evidence_findings(pool, found)
    tables_of(pool, found, ("rm", "truth")), values_of(pool, found)
    marks.append(time.process_time())
    compare_mitigations(pool, config)
    marks.append(time.process_time())
    names = ("read_s", "statistics_s", "mitigations_s")
    parts = {name: after - before for name, before, after in zip(names, marks[:-1], marks[1:], strict=True)}
    return {**parts, "peak_GB": peak_gb()}


def plain(n_prompts: int, size: int) -> tuple[float, float]:
    """Seconds and largest error against the exact curve, of drawing PLAIN_DRAWS subsets for powers of two."""
    rng = np.random.default_rng(0)
    gold = rng.standard_normal((n_prompts, size))
    proxy = gold + rng.standard_t(3, gold.shape)
    n_values = 2 ** np.arange(int(np.log2(size)) + 1)
    began = time.process_time()
    found = []
    for n in n_values:
        total = 0.0
        for _ in range(PLAIN_DRAWS):
            pick = rng.permuted(np.broadcast_to(np.arange(size), gold.shape), axis=1)[:, :n]
            best = np.take_along_axis(pick, np.take_along_axis(proxy, pick, 1).argmax(1)[:, None], 1)
            total += float(np.take_along_axis(gold, best, 1).mean())
        found.append(total / PLAIN_DRAWS)
    took = time.process_time() - began
    pool = pool_matrix(proxy.ravel(), gold.ravel(), np.repeat(np.arange(n_prompts), size))
    exact = best_of_n_by_prompt(pool, pool.value_PG, n_values).mean(axis=0)
    return took, float(np.abs(exact - found).max())


def in_a_process(*arguments: str) -> dict[str, float]:
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def verb_rows(sizes: tuple[tuple[int, int, int], ...]) -> list[dict[str, float]]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n_prompts, size, draws in sizes:
            path = Path(folder) / f"{n_prompts}x{size}.parquet"
            if not path.exists():
                write_pool(path, n_prompts, size)
            found = in_a_process("--verb", str(path), str(draws))
            rows.append({"prompts": n_prompts, "responses": size, "draws": draws, **found})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", type=int, nargs=3, metavar=("P", "G", "B"), help="one size, for a process of its own")
    parser.add_argument("--part", choices=("engine", "verb"), help="only that part")
    parser.add_argument("--verb", nargs=2, metavar=("POOL", "B"), help="the verb on one pool, likewise")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(*arguments.one)))
        return
    if arguments.verb:
        print(json.dumps(verb(Path(arguments.verb[0]), int(arguments.verb[1]))))
        return
    if arguments.part != "verb":
        engine()
    if arguments.part != "engine":
        facts = {"what": "karat stress POOL.parquet --proxy rm --gold truth, by part, seconds of the process"}
        write_results("stress", facts, verb_rows(VERB_SIZES))


def engine() -> None:
    rows = [
        {
            "prompts": n_prompts,
            "responses": size,
            "draws": draws,
            **in_a_process("--one", *map(str, (n_prompts, size, draws))),
        }
        for n_prompts, size, draws in SIZES
    ]
    took, error = plain(100, 64)
    facts = {
        "plain resampling, 100 x 64, powers of two, no intervals, s": took,
        "its largest difference from the exact curve": error,
        "exact, every n and intervals, s": rows[0]["seconds"],
    }
    write_results("best_of_n", facts, rows)


if __name__ == "__main__":
    main()
