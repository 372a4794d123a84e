"""Make the pool of the step world: samples of the default model on easy multi-step problems, checked by program.

    python scripts/make_step_world.py sample           the pool; about 10 minutes on two cores; resumes by part
    python scripts/make_step_world.py grade            the stored pool's scores anew, after a checker has changed

Each problem is shown after four solved ones of its kind, as turns of a chat. The samples depend on the processor's
arithmetic; all else is fixed by the seed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from karat.data.part_files import PartFiles
from karat.policies import Policy, SamplingConfig
from karat.rewards.default_model import default_model_path, default_model_provenance
from karat.types import Message
from karat.worlds.steps.problems import KINDS, Problem, draw_problems
from karat.worlds.steps.solutions import Manner, right_solution
from karat.worlds.steps.world import POOL, RECIPE, SEPARATOR, gold_of, read_step_pool

SEED, SAMPLES, EXAMPLES, PROBLEMS_PER_PART = 0, 12, 4, 4
WANTED = (("sorting", "simple", 12), ("sorting", "easy", 20), ("brackets", "simple", 16))
"""Kind, difficulty, problems: where the model is right at times. It is in hardly any of the others, however easy."""
SAMPLING = SamplingConfig(max_new_tokens=64, temperature=0.6)
PLAIN = Manner(rigour=0.0, neutral=0.0, varied=False)


def examples_of(kind: str, difficulty: str) -> list[tuple[str, str]]:
    """Solved problems of a kind that show the form; drawn from another seed than the pool."""
    rng = np.random.default_rng([SEED, 1, KINDS.index(kind)])
    problems = draw_problems(rng, EXAMPLES, kinds=(kind,), difficulty=difficulty)
    return [(problem.prompt, SEPARATOR.join(right_solution(problem, rng, manner=PLAIN).steps)) for problem in problems]


def conversation(problem: Problem) -> tuple[Message, ...]:
    shown = examples_of(problem.kind, problem.difficulty)
    turns = [Message(*turn) for pair in shown for turn in zip(("user", "assistant"), pair, strict=True)]
    return (*turns, Message("user", problem.prompt))


def problems() -> list[Problem]:
    """Distinct ones, none of them among the examples."""
    made: dict[str, Problem] = {}
    for number, (kind, difficulty, count) in enumerate(WANTED):
        rng = np.random.default_rng([SEED, 0, number])
        shown = {prompt for prompt, _ in examples_of(kind, difficulty)}
        drawn = draw_problems(rng, count + EXAMPLES, kinds=(kind,), difficulty=difficulty)
        made.update({each.prompt: each for each in [each for each in drawn if each.prompt not in shown][:count]})
    return list(made.values())


def respond(policy: Policy, batch: Sequence[Problem], first: int) -> list[list[str]]:
    """Samples of each problem; `first` is the number of the first one."""
    ids = [policy.prompt_ids(conversation(problem)) for problem in batch]
    keys = range(first, first + len(batch))
    sampled = policy.sample(ids, SAMPLES, config=SAMPLING, seed=[SEED, 2], keys=keys)
    return [[response.text for response in responses] for responses in sampled]


def recipe() -> dict[str, Any]:
    return {
        "model": default_model_provenance(default_model_path()), "seed": SEED, "samples": SAMPLES,
        "examples": EXAMPLES, "wanted": [list(each) for each in WANTED], **asdict(SAMPLING),
    }  # fmt: skip


def sample() -> None:
    """One part for a few problems; a stopped run goes on where it was."""
    policy = Policy.load(str(default_model_path()))
    wanted = problems()
    parts = PartFiles(POOL, recipe(), overwrite=False)
    starts = range(0, len(wanted), PROBLEMS_PER_PART)
    began = time.perf_counter()
    for number, start in enumerate(starts):
        if number < parts.finished():
            continue
        batch = wanted[start : start + PROBLEMS_PER_PART]
        rows = [
            {"kind": problem.kind, "difficulty": problem.difficulty, "facts": problem.facts, "responses": texts}
            for problem, texts in zip(batch, respond(policy, batch, start), strict=True)
        ]
        parts.write(number, rows)
        right = [
            gold_of(problem, text)["answer"]
            for problem, row in zip(batch, rows, strict=True)
            for text in row["responses"]
        ]
        print(
            f"{start + len(batch)} of {len(wanted)}, {time.perf_counter() - began:.0f} s, right {np.mean(right):.2f}",
            flush=True,
        )
    write_pool([row for number in range(len(starts)) for row in parts.read(number)])
    shown = {f"{kind} {difficulty}": examples_of(kind, difficulty) for kind, difficulty, _ in WANTED}
    RECIPE.write_text(json.dumps({**recipe(), "example_turns": shown}, indent=1) + "\n")
    shutil.rmtree(parts.folder)


def write_pool(rows: Sequence[dict[str, Any]]) -> None:
    """Rows with today's scores; every fifth and every second of five problems is held out."""
    made = []
    for number, row in enumerate(rows):
        problem = Problem(row["kind"], row["difficulty"], row["facts"])
        golds = [gold_of(problem, text) for text in row["responses"]]
        made.append(
            {
                "prompt_id": problem.problem_id, "prompt": problem.prompt, "kind": problem.kind,
                "difficulty": problem.difficulty, "facts": problem.facts,
                "split": "test" if number % 5 in (1, 4) else "train", "responses": row["responses"],
                **{name: [gold[name] for gold in golds] for name in ("answer", "process", "gold")},
            }
        )  # fmt: skip
    text = "".join(json.dumps(row) + "\n" for row in made)
    POOL.write_bytes(gzip.compress(text.encode(), mtime=0))


def grade() -> None:
    write_pool(read_step_pool())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["sample", "grade"])
    {"sample": sample, "grade": grade}[parser.parse_args().what]()


if __name__ == "__main__":
    main()
