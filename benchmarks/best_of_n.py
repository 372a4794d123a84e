"""Time and memory of the best-of-n engine: every n at once, with bootstrap bands, over prompts, responses and draws.

For each size in a process of its own: `pool_matrix`, `prompt_draws`, `best_of_n_curve` for gold and proxy at every n to
G, and the peak. Beside it, for a small size, the plain way: drawing n responses again and again.

    python benchmarks/best_of_n.py
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np

from common import write_results
from karat.numerics.best_of_n import best_of_n_by_prompt, best_of_n_curve, pool_matrix, prompt_draws
from karat.numerics.goodhart import locate_peak

SIZES = ((100, 64, 2000), (1000, 64, 2000), (1000, 256, 2000), (1000, 1000, 500), (1000, 1000, 2000), (4000, 256, 2000))
PLAIN_DRAWS = 2000


def one(n_prompts: int, size: int, draws: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    gold = rng.standard_normal(n_prompts * size)
    proxy, prompt = gold + rng.standard_t(3, gold.size), np.repeat(np.arange(n_prompts), size)
    n = np.arange(1, size + 1)
    began = time.perf_counter()
    pool = pool_matrix(proxy, gold, prompt)
    count = prompt_draws(n_prompts, draws, rng)
    curve = best_of_n_curve(pool, n, count)
    best_of_n_curve(pool, n, count, of_proxy=True)
    locate_peak(curve, best_of_n_by_prompt(pool, pool.value_PG, n))
    took = time.perf_counter() - began
    return {"seconds": took, "peak_GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def plain(n_prompts: int, size: int) -> tuple[float, float]:
    """Seconds and largest error against the exact curve, of drawing PLAIN_DRAWS subsets for powers of two."""
    rng = np.random.default_rng(0)
    gold = rng.standard_normal((n_prompts, size))
    proxy = gold + rng.standard_t(3, gold.shape)
    n_values = 2 ** np.arange(int(np.log2(size)) + 1)
    began = time.perf_counter()
    found = []
    for n in n_values:
        total = 0.0
        for _ in range(PLAIN_DRAWS):
            pick = rng.permuted(np.broadcast_to(np.arange(size), gold.shape), axis=1)[:, :n]
            best = np.take_along_axis(pick, np.take_along_axis(proxy, pick, 1).argmax(1)[:, None], 1)
            total += float(np.take_along_axis(gold, best, 1).mean())
        found.append(total / PLAIN_DRAWS)
    took = time.perf_counter() - began
    pool = pool_matrix(proxy.ravel(), gold.ravel(), np.repeat(np.arange(n_prompts), size))
    exact = best_of_n_by_prompt(pool, pool.value_PG, n_values).mean(axis=0)
    return took, float(np.abs(exact - found).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", type=int, nargs=3, metavar=("P", "G", "B"), help="one size, for a process of its own")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(*arguments.one)))
        return
    rows = []
    for n_prompts, size, draws in SIZES:
        command = [sys.executable, __file__, "--one", str(n_prompts), str(size), str(draws)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append({"prompts": n_prompts, "responses": size, "draws": draws, **json.loads(done.stdout)})
    took, error = plain(100, 64)
    facts = {
        "plain resampling, 100 x 64, powers of two, no intervals, s": took,
        "its largest difference from the exact curve": error,
        "exact, every n and intervals, s": rows[0]["seconds"],
    }
    write_results("best_of_n", facts, rows)


if __name__ == "__main__":
    main()
