"""Process rewards on real step labels of people: trained on one part, judged on problems that were not seen.

Fitted on 70 % of the problems of BIG-Bench-Mistake (five kinds, two of them drawn from) and MR-GSM8K, thresholds tuned
on 10 %, judged on 20 % of each, and on ProcessBench (gsm8k, and a draw of math), which states no licence and is judged
on only. Problems of ProcessBench are taken out of what is fitted and tuned on, by their text. Beside the process
reward: an outcome reward of the same solutions read at each step, the step check, and rules that read nothing. The top
layers of the default model are trained, what enters them is computed once. Killed, it goes on where it was: --work
holds what is done.

    python benchmarks/prm_human.py --work /tmp/prm-human --count         tokens of each part, and nothing more
    python benchmarks/prm_human.py --work /tmp/prm-human                 about 40 minutes on two quiet cores,
                                                                       half of it with --no-outcome
    python benchmarks/prm_human.py --work /tmp/prm-tiny --share 0.03 --no-write        a try of the whole course
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from common import real_file, write_results
from karat.data.steps import read_steps, split_steps, take_steps
from karat.rewards.process import ProcessReward, problems_of
from karat.rewards.step_check import check_solution
from karat.train.process import train_process
from karat.train.process.evaluation import evaluate_steps, score_solutions
from karat.train.process.measures import Thresholds, tune_thresholds
from karat.types import StepSolution

KINDS = ("dyck_languages", "logical_deduction", "multistep_arithmetic", "tracking_shuffled_objects", "word_sorting")
MOST = {"dyck_languages": 600, "word_sorting": 120}
"""Solutions drawn of a kind, for time: of the first there are most, those of the second are four times as long."""
TEST, TUNE, SEED = 0.2, 0.125, 0
"""Shares of the problems: a fifth is judged on, an eighth of the others tuned on."""
TRAINING: dict[str, Any] = {
    "freeze_below": 22, "max_length": 1024, "epochs": 1.0, "test_fraction": 0.0, "tune_fraction": 0.0, "seed": SEED,
    "save_steps": 20,
}  # fmt: skip
WITHOUT_OUTCOME = ("ProcessBench math",)
"""Sets on which the outcome reward is left out, for time."""
Scores = list[np.ndarray]
TOLD = ("process_f1", "first_error_found", "right_kept", "step_f1", "auroc")


# ----------------------------------------------------------------------------------------------------------- the parts
def key_of(solution: StepSolution) -> str:
    """The problem's text without the white space and case that copies differ in."""
    return " ".join(str(solution.prompt).lower().split())


def read(*path: str, source: str) -> tuple[StepSolution, ...]:
    return tuple(replace(one, source=source) for one in read_steps(str(real_file(*path))).solutions)


def gather(share: float, math: int) -> dict[str, tuple[StepSolution, ...]]:
    """Solutions by part: fit, tune, and the sets that are judged on."""
    parts: dict[str, tuple[StepSolution, ...]] = {"fit": (), "tune": ()}
    bench = {
        "ProcessBench gsm8k": read("processbench", "dataset__gsm8k.json.zst", source="gsm8k"),
        "ProcessBench math": read("processbench", "dataset__math.json.zst", source="math"),
    }
    seen = {key_of(solution) for found in bench.values() for solution in found}
    for name, files in {
        "BIG-Bench-Mistake": [("bigbench_mistake", f"{kind}.jsonl.zst", kind) for kind in KINDS],
        "MR-GSM8K": [("mr_gsm8k_subset", "mr_gsm8k_human_labels_subset.jsonl.zst", "mr_gsm8k")],
    }.items():
        solutions = [
            one
            for folder, file, kind in files
            for one in _drawn(read(folder, file, source=kind), MOST.get(kind, 10_000))
        ]
        rest, parts[name] = split_steps(
            [one for one in solutions if key_of(one) not in seen], test_fraction=TEST, seed=SEED
        )
        fit, tune = split_steps(rest, test_fraction=TUNE, seed=SEED + 1)
        parts["fit"] += tuple(fit)
        parts["tune"] += tuple(tune)
    parts |= bench
    parts["ProcessBench math"] = _drawn(parts["ProcessBench math"], math)
    return parts if share >= 1 else {name: _drawn(found, round(share * len(found))) for name, found in parts.items()}


def _drawn(solutions: Sequence[StepSolution], n: int) -> tuple[StepSolution, ...]:
    if n >= len(solutions):
        return tuple(solutions)
    kept = np.sort(np.random.default_rng(SEED).choice(len(solutions), max(n, 12), replace=False))
    return tuple(solutions[index] for index in kept)


# ------------------------------------------------------------------------------------------------------- what scores
def rules() -> dict[str, Callable[[StepSolution], np.ndarray]]:
    """Scores of steps in [0, 1] by rules that read nothing but positions and lengths."""

    def length(solution: StepSolution) -> np.ndarray:
        return np.array([len(step) for step in solution.steps], np.float64)

    return {
        "always right": lambda one: np.ones(len(one.steps)),
        "last step wrong": lambda one: np.r_[np.ones(len(one.steps) - 1), 0.0],
        "late steps wrong": lambda one: 1 / (1.0 + np.arange(len(one.steps))),
        "long steps wrong": lambda one: 1 / (1 + length(one) / 100),
        "short steps wrong": lambda one: length(one) / (100 + length(one)),
    }


def checked(solution: StepSolution) -> np.ndarray:
    """The step check: 1 right, 0 wrong, one half where it cannot tell; it flags only what it finds wrong."""
    value = {"right": 1.0, "wrong": 0.0, "undefined": 0.5}
    return np.array([value[found.verdict] for found in check_solution(str(solution.prompt), solution.steps)])


def trained(work: Path, name: str, fit: Sequence[StepSolution], **options: Any) -> Path:
    folder, done = work / name, work / f"{name}.json"
    if not done.exists():
        result = train_process(fit, out=folder, **TRAINING, **options)
        kept = ("train_steps", "train_solutions", "train_problems", "train_tokens", "unique_tokens_per_s", "steps")
        done.write_text(json.dumps({key: result.values[key] for key in kept}), encoding="utf-8")
    return folder


def scores_of(work: Path, name: str, part: str, solutions: Sequence[StepSolution]) -> Scores:
    """By a trained reward; kept in the work folder, with what it was of."""
    file = work / f"scores {name} {part}.json"
    print_of = take_steps(solutions).account.fingerprint
    if file.exists() and (kept := json.loads(file.read_text("utf-8")))["of"] == print_of:
        return [np.array(scored, np.float64) for scored in kept["scores"]]
    found = score_solutions(ProcessReward.load(str(work / name)), solutions)
    rows = [[None if np.isnan(value) else float(value) for value in scored] for scored in found]
    file.write_text(json.dumps({"of": print_of, "scores": rows}), encoding="utf-8")
    return found


# ------------------------------------------------------------------------------------------------------- what is told
def judged(
    solutions: Sequence[StepSolution], scores: Scores, thresholds: Thresholds, outcome: Scores | None = None
) -> dict[str, Any]:
    rng = np.random.default_rng(SEED)
    values = evaluate_steps(solutions, scores, rng=rng, thresholds=thresholds, outcome_PS=outcome).values()
    wanted = [*TOLD, *(("auroc_gain", "process_f1_gain", "outcome_auroc_gain") if outcome else ())]
    told = {f"{name}{end}": values[f"{name}{end}"] for name in wanted for end in ("", "_low", "_high")}
    kept = ("n_solutions", "n_problems", "n_steps", "n_wrong_steps", "n_missing", "n_judged", "n_unjudged")
    return told | {
        "threshold": thresholds.first_error, "tuned on": thresholds.split,
        **({"best_rule": values["best_rule"]} if outcome else {}), **{name: values[name] for name in kept},
    }  # fmt: skip


def shown(row: Mapping[str, Any], name: str) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    return "-" if np.isnan(value) else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def compare(work: Path, parts: Mapping[str, tuple[StepSolution, ...]], names: Sequence[str]) -> list[dict[str, Any]]:
    """All scorers on all sets that are judged on."""
    tune = parts["tune"]
    tests = {name: found for name, found in parts.items() if name not in ("fit", "tune")}
    flags = Thresholds(step=0.25, first_error=0.25, split="fixed: what is found wrong")
    half = Thresholds(split="fixed")
    rows: list[dict[str, Any]] = []

    def add(part: str, scorer: str, scores: Scores, thresholds: Thresholds, outcome: Scores | None = None) -> None:
        row = judged(tests[part], scores, thresholds, outcome)
        rows.append({"set": part, "scorer": scorer, **row})

    tuned = {
        name: tune_thresholds(tune, scores_of(work, name, "tune", tune), split="held-out part of the fitted sets")
        for name in names
    }
    for part, solutions in tests.items():
        used = [name for name in names if name == "process" or part not in WITHOUT_OUTCOME]
        found = {name: scores_of(work, name, part, solutions) for name in used}
        outcome = found.get("outcome")
        add(part, "process reward", found["process"], tuned["process"], outcome)
        if part == "ProcessBench math":
            gsm8k = tests["ProcessBench gsm8k"]
            other = tune_thresholds(gsm8k, scores_of(work, "process", "ProcessBench gsm8k", gsm8k), split="gsm8k")
            add(part, "process reward, threshold of gsm8k", found["process"], other)
        if outcome is not None:
            add(part, "outcome reward at each step", outcome, tuned["outcome"])
        add(part, "builtin:step-check", [checked(one) for one in solutions], flags)
        for rule, score in rules().items():
            of_tune = tune_thresholds(tune, [score(one) for one in tune], split="held-out part of the fitted sets")
            is_fixed = rule in ("always right", "last step wrong")
            add(part, rule, [score(one) for one in solutions], half if is_fixed else of_tune)
    return rows


def count(parts: Mapping[str, tuple[StepSolution, ...]]) -> None:
    """Tokens of each part, each prompt once, cut as in training."""
    from transformers import AutoTokenizer

    from karat.rewards.model import resolve_model

    tokenizer = AutoTokenizer.from_pretrained(resolve_model("default"))
    for name, solutions in parts.items():
        n_tokens = 0
        for problem in problems_of(solutions)[0]:
            lengths = [len(tokenizer("\n\n".join(steps)).input_ids) for steps in problem.solutions]
            n_tokens += min(len(tokenizer(str(problem.prompt)).input_ids) + sum(lengths), 1024 * len(lengths))
        print(f"{name:22} {len(solutions):5} solutions {n_tokens:9,} tokens")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="Folder of what is done so far.")
    parser.add_argument("--share", type=float, default=1.0, help="Share of every part, to try the course.")
    parser.add_argument("--math", type=int, default=200, help="Solutions of ProcessBench math.")
    parser.add_argument("--count", action="store_true", help="Count tokens and stop.")
    parser.add_argument("--no-outcome", action="store_true", help="Leave the outcome reward out.")
    parser.add_argument("--no-write", action="store_true", help="Do not touch benchmarks/results.")
    args = parser.parse_args()
    parts = gather(args.share, args.math)
    if args.count:
        count(parts)
        return
    args.work.mkdir(parents=True, exist_ok=True)
    likelihoods = {"process": "soft", **({} if args.no_outcome else {"outcome": "outcome"})}
    for name, likelihood in likelihoods.items():
        trained(args.work, name, parts["fit"], likelihood=likelihood)
    rows = compare(args.work, parts, list(likelihoods))
    table = [{"set": row["set"], "scorer": row["scorer"], **{name: shown(row, name) for name in TOLD}} for row in rows]
    facts = {
        "training": TRAINING,
        "fitted": {name: json.loads((args.work / f"{name}.json").read_text("utf-8")) for name in likelihoods},
        "solutions": {name: len(found) for name, found in parts.items()},
        "problems": {name: len({one.prompt_id for one in found}) for name, found in parts.items()},
        "measured": rows,
    }
    if args.no_write:
        print(json.dumps(facts["fitted"]), *table, sep="\n")
    else:
        write_results("prm_human", facts, table)


if __name__ == "__main__":
    main()
