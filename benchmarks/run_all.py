"""Every benchmark, one after the other, each in a process of its own. Takes about three hours on two cores."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RUNS = (
    "token_trees.py efficiency",
    "token_trees.py flat",
    "token_trees.py pairs",
    "token_trees.py scoring",
    "train_vs_trl.py --pairs 8",
    "train_vs_trl.py --pairs 8 --trl-checkpointing",
    "train_vs_trl.py --pairs 2",
    "train_vs_trl.py --pairs 16 --steps 4 --max-length 256",
    "train_vs_trl.py --pairs 32 --steps 3 --max-length 128",
    "train_vs_trl.py --pairs 16 --steps 2 --rounds 1 --trl-checkpointing",
    "train_vs_trl.py --pairs 32 --steps 2 --rounds 1 --trl-checkpointing",
    "quality.py hh --seeds 0 1 2",
    "quality.py ukp --seeds 0 1 2",
    "best_of_n.py",
    "mitigations.py pool",
    "mitigations.py rl",
    "synthetic.py heads",
    "synthetic.py own",
    "synthetic.py trained",
    "synthetic.py checkable",
    "grade_speed.py",
    "grade_honest.py",
    "grade_catalogue.py",
    "grade_hardcoding.py",
    "grade_hostile.py",
    "grade_parts.py",
    "step_check_rates.py",
    "step_labels.py",
    "prm_speed.py",
    "prm_world.py --work work/prm-world",
    "pressure_world.py --work work/prm-world",
    "prm_human.py --work work/prm-human",
    "process_vs_outcome.py --work work/process-vs-outcome",
)


def main() -> int:
    here = Path(__file__).parent
    failed = 0
    for run in RUNS:
        print(f"== {run}", flush=True)
        failed += subprocess.run([sys.executable, *run.split()], cwd=here, check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
