"""Make the default world: sample the default model on checkable tasks, then let simulated annotators compare.

    python scripts/make_default_world.py pilot            right rate by family, on a few prompts each
    python scripts/make_default_world.py sample           the pool; about 7 minutes on two cores; resumes by batch
    python scripts/make_default_world.py grade            the stored pool's gold anew, after a checker has changed
    python scripts/make_default_world.py pairs            the preferences, from the stored pool; a second
    python scripts/make_default_world.py deep             64 responses to each of 160 prompts; up to 40 minutes; resumes

`sample` writes worlds/default/pool.jsonl.gz and recipe.json, `grade` rewrites the pools, `pairs` writes pairs.jsonl.gz,
`deep` writes deep.jsonl.gz and deep_recipe.json.
The same samples give the same pairs, byte for byte; the samples themselves depend on the processor's arithmetic.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import shutil
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from karat.data.part_files import PartFiles
from karat.policies import Policy, SamplingConfig
from karat.rewards.default_model import default_model_path, default_model_provenance
from karat.types import Message
from karat.worlds.annotators import compare_pool
from karat.worlds.planted import PLANTED
from karat.worlds.pool import DEFAULT, read_pool, read_rows
from karat.worlds.tasks import FAMILIES, Task, draw_tasks
from karat.worlds.world import load_default_world, pair_to_row

SEED, SAMPLES, NEW_TOKENS, TEMPERATURE, TOP_P, BATCH = 0, 6, 36, 0.7, 0.9, 64
DEEP_PROMPTS, DEEP_SAMPLES = 160, 64
DEEP = SamplingConfig(max_new_tokens=NEW_TOKENS, temperature=0.8)
PER_FAMILY = {
    "arithmetic": 32, "capital": 28, "list": 18, "json": 24, "length": 34, "ending": 30, "first": 26,
    "code": 8,
}  # fmt: skip


def load() -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = default_model_path()
    tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval(), tokenizer


def respond(model: Any, tokenizer: Any, prompts: Sequence[str], seed: int) -> list[str]:
    """One sampled response to each prompt."""
    torch.manual_seed(seed)
    chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
    texts = [tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]
    inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    with torch.no_grad():
        out = model.generate(
            **inputs, max_new_tokens=NEW_TOKENS, do_sample=True, temperature=TEMPERATURE, top_p=TOP_P, top_k=0
        )
    return [text.strip() for text in tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], True)]


def pilot() -> None:
    model, tokenizer = load()
    began, tokens = time.perf_counter(), 0
    for family in FAMILIES:
        tasks = draw_tasks({family.name: 6}, seed=SEED + 1)
        prompts = [task.prompt for task in tasks for _ in range(8)]
        responses = respond(model, tokenizer, prompts, SEED)
        golds = [task.gold(r) for task, r in zip([t for t in tasks for _ in range(8)], responses, strict=True)]
        tokens += sum(len(tokenizer(r)["input_ids"]) for r in responses)
        print(f"{family.name:11s} right {sum(golds) / len(golds):.2f}", flush=True)
        for prompt, response, gold in list(zip(prompts, responses, golds, strict=True))[::11]:
            print(f"    {gold:.0f} {prompt!r} -> {response!r}", flush=True)
    print(f"{tokens / (time.perf_counter() - began):.0f} tokens/s")


def sample() -> None:
    """Batches of prompts of like length; finished batches are kept beside the pool, so a stopped run goes on.

    The file's first line holds the settings: a run with other settings must not go on with it.
    """
    model, tokenizer = load()
    tasks = draw_tasks(PER_FAMILY, seed=SEED)
    order = sorted(range(len(tasks)), key=lambda index: (len(tasks[index].prompt), index))
    wanted = [index for index in order for _ in range(SAMPLES)]
    parts = DEFAULT / "batches.jsonl"
    DEFAULT.mkdir(exist_ok=True)
    settings = json.dumps(recipe(), sort_keys=True)
    lines = parts.read_text().splitlines(keepends=True) if parts.exists() else []
    whole = [line for line in lines if line.endswith("\n")]  # a killed run leaves its last line torn
    if whole and whole[0].strip() != settings:
        raise SystemExit(f"{parts} was begun with other settings or another model; delete it to begin anew.")
    parts.write_text("".join(whole or [settings + "\n"]))
    done = whole[1:]
    began = time.perf_counter()
    with parts.open("a") as file:
        for number, start in enumerate(range(0, len(wanted), BATCH)):
            if number < len(done):
                continue
            part = wanted[start : start + BATCH]
            responses = respond(model, tokenizer, [tasks[index].prompt for index in part], SEED * 1000 + number)
            file.write(json.dumps([part, responses]) + "\n")
            file.flush()
            print(f"{start + len(part)} of {len(wanted)}, {time.perf_counter() - began:.0f} s", flush=True)
    write_pool(tasks, [json.loads(line) for line in parts.read_text().splitlines()[1:]])
    parts.unlink()


def write_pool(tasks: Sequence[Task], batches: Sequence[Any]) -> None:
    responses: dict[int, dict[str, None]] = defaultdict(dict)  # distinct responses, in order
    for part, texts in batches:
        for index, text in zip(part, texts, strict=True):
            if text:
                responses[index][text] = None
    rows = [
        {
            "prompt_id": f"{task.family}-{index}", "family": task.family, "prompt": task.prompt,
            "facts": task.facts, "responses": list(responses[index]),
            "gold": [task.gold(text) for text in responses[index]],
        }
        for index, task in enumerate(tasks)
    ]  # fmt: skip
    write_rows("pool.jsonl.gz", rows)
    (DEFAULT / "recipe.json").write_text(json.dumps(recipe(), indent=1) + "\n")


def recipe() -> dict[str, Any]:
    return {
        "model": default_model_provenance(default_model_path()), "seed": SEED, "samples": SAMPLES,
        "max_new_tokens": NEW_TOKENS, "temperature": TEMPERATURE, "top_p": TOP_P, "batch": BATCH,
        "per_family": PER_FAMILY,
    }  # fmt: skip


def deep() -> None:
    """The pool for over-optimisation: many responses, repeats kept, to all test prompts and to some of the others."""
    tested = {pair.prompt_id for pair in load_default_world().test_pairs}
    prompts = sorted(read_pool(), key=lambda prompt: (prompt.prompt_id not in tested, prompt.prompt_id))[:DEEP_PROMPTS]
    policy = Policy.load(str(default_model_path()))
    settings = {**asdict(DEEP), "seed": SEED, "samples": DEEP_SAMPLES, "prompts": DEEP_PROMPTS}
    parts = PartFiles(DEFAULT / "deep.jsonl.gz", settings, overwrite=False)
    began = time.perf_counter()
    for number, prompt in enumerate(prompts):
        if number < parts.finished():
            continue
        ids = policy.prompt_ids((Message("user", prompt.prompt),))
        (sampled,) = policy.sample([ids], DEEP_SAMPLES, config=DEEP, seed=[SEED, 1], keys=[number])
        texts = [response.text for response in sampled]
        task = Task(prompt.family, prompt.prompt, prompt.facts)
        gold = [task.gold(text) for text in texts]
        parts.write(number, [{"prompt_id": prompt.prompt_id, "responses": texts, "gold": gold}])
        print(f"{number + 1} of {len(prompts)}, {time.perf_counter() - began:.0f} s", flush=True)
    rows = [row for number in range(len(prompts)) for row in parts.read(number)]
    write_deep(rows)
    (DEFAULT / "deep_recipe.json").write_text(
        json.dumps({"model": default_model_provenance(default_model_path()), **settings}, indent=1) + "\n"
    )
    shutil.rmtree(parts.folder)


def write_deep(rows: Sequence[Any]) -> None:
    """The deep pool, gold by today's checkers, with the planted proxies of `karat.worlds.planted`."""
    of = {prompt.prompt_id: prompt for prompt in read_pool()}
    made = []
    for row in rows:
        prompt = of[row["prompt_id"]]
        task = Task(prompt.family, prompt.prompt, prompt.facts)
        gold = [task.gold(text) for text in row["responses"]]
        proxies = {
            name: [round(score(row["prompt_id"], *pair), 4) for pair in zip(row["responses"], gold, strict=True)]
            for name, score in PLANTED.items()
        }
        question = [{"role": "user", "content": prompt.prompt}]
        made.append(
            {"prompt_id": row["prompt_id"], "prompt": question, "responses": row["responses"], "gold": gold, **proxies}
        )
    write_rows("deep.jsonl.gz", made)


def write_rows(name: str, rows: Sequence[Any]) -> None:
    """JSON lines in gzip without a time stamp, so that the same content gives the same bytes."""
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (DEFAULT / name).write_bytes(gzip.compress(text.encode(), mtime=0))


def grade() -> None:
    """Gold of the stored samples by today's checkers; prompts of families that are no more leave the pool.

    The recipe keeps telling how the samples were made, with those families, and names what was left out.
    """
    rows = [row for row in read_rows("pool.jsonl.gz") if row["family"] in PER_FAMILY]
    sampled = json.loads((DEFAULT / "recipe.json").read_text())
    sampled["left_out"] = sorted(set(sampled["per_family"]) - set(PER_FAMILY))
    (DEFAULT / "recipe.json").write_text(json.dumps(sampled, indent=1) + "\n")
    changed = 0
    for row in rows:
        task = Task(row["family"], row["prompt"], row["facts"])
        gold = [task.gold(text) for text in row["responses"]]
        changed += sum(new != old for new, old in zip(gold, row["gold"], strict=True))
        row["gold"] = gold
    write_rows("pool.jsonl.gz", rows)
    write_deep(read_rows("deep.jsonl.gz"))
    print(f"{len(rows)} prompts, {changed} golds changed")


def pairs() -> None:
    made = compare_pool(read_pool(), rng=random.Random(SEED))
    write_rows("pairs.jsonl.gz", [pair_to_row(pair) for pair in made])
    print(f"{len(made)} pairs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["pilot", "sample", "grade", "pairs", "deep"])
    {"pilot": pilot, "sample": sample, "grade": grade, "pairs": pairs, "deep": deep}[parser.parse_args().what]()


if __name__ == "__main__":
    main()
