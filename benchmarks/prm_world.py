"""A small decoder from scratch on the step world in words: first errors found with clean labels, and lost by bad ones.

The decoder (a Llama of 0.3 million weights, a word-level tokenizer) is made here. It is pretrained on right solutions,
by the next word and by telling words that were replaced from those that were not (Clark et al. 2020, arXiv 2003.10555),
so that it knows the world's arithmetic and no step label. `train_process` then trains its two upper layers on step
labels of program-made solutions; thresholds are tuned on labels of the same annotator, and it is judged on problems not
seen, by the true labels: once with clean labels, then with each planted fault of an annotator at several strengths.
What a fault costs is paired by problem. Killed, it goes on where it was: --work holds what is done.

    python benchmarks/prm_world.py --work /tmp/prm-world --count         tokens, and nothing more
    python benchmarks/prm_world.py --work /tmp/prm-world --only clean    the base and the first training: 5 minutes
    python benchmarks/prm_world.py --work /tmp/prm-world                 about 30 minutes on two quiet cores
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from common import write_results
from karat.numerics.intervals import Interval, cluster_bootstrap, cluster_totals
from karat.numerics.process_accuracy import first_below, first_error_totals, process_f1
from karat.rewards.process import ProcessReward
from karat.train.process import train_process
from karat.train.process.evaluation import score_solutions
from karat.train.process.measures import tune_thresholds
from karat.types import StepSolution
from karat.worlds.steps import StepFaults, annotate, draw_problems, right_solution, vocabulary, wrong_solution

SEED = 0
KINDS = ("calendar", "clock")
FITTED, TUNED, JUDGED, RIGHT, WRONG = 1600, 150, 300, 2, 3
"""Problems of each part; solutions of each."""
WIDTH, LOWER, UPPER = 64, 4, 2
"""Of the decoder: its layers are pretrained below, and begin at random above."""
PRETRAINED, STEPS, BATCH, LR, REPLACED = 20_000, 3000, 32, 4e-3, 0.12
"""Solutions, optimiser steps and their size; share of the words that are replaced."""
SEPARATOR = ";"
TRAINING: dict[str, Any] = {
    "separator": SEPARATOR, "freeze_below": LOWER, "epochs": 3.0, "lr": 3e-3, "lr_head": 3e-3, "pairs_per_step": 8,
    "test_fraction": 0.0, "tune_fraction": 0.0, "max_length": 256, "save_steps": 10_000, "log_steps": 50, "seed": SEED,
}  # fmt: skip
STRENGTHS: dict[str, tuple[float, ...]] = {
    "false_positive": (0.1, 0.3, 0.6),
    "false_negative": (0.05, 0.2, 0.4),
    "style": (0.1, 0.3, 0.6),
    "after_error": (0.3, 1.0),
    "granularity": (0.1, 0.3, 0.6),
    "neutral": (0.3, 1.0),
    "blind_spot": (0.1, 0.3, 0.6),
}
KEPT = "after_error 1, kept"
"""Trained with --after-error keep."""


# -------------------------------------------------------------------------------------------------------- the decoder
def make_base(folder: Path) -> str:
    """The pretrained decoder, with two layers more; ready for any process reward to start from."""
    if not (folder / "tokenizer.json").exists():
        torch.manual_seed(SEED)
        words = {word: index for index, word in enumerate(("<pad>", "<unk>", *vocabulary()))}
        tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[^\s;]+|;"), "removed", invert=True)
        lower, upper = (LlamaForCausalLM(config(len(words), layers)) for layers in (LOWER, LOWER + UPPER))
        pretrain(lower, words)
        upper.load_state_dict(lower.state_dict(), strict=False)
        upper.save_pretrained(folder)
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")
        fast.save_pretrained(folder)
    return str(folder)


def config(n_words: int, layers: int) -> LlamaConfig:
    # 1 / sqrt(64) and not the usual 0.02, at which so narrow a network hardly begins to learn
    return LlamaConfig(
        vocab_size=n_words, hidden_size=WIDTH, intermediate_size=3 * WIDTH, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=256, initializer_range=0.12,
        pad_token_id=0, bos_token_id=None, eos_token_id=None, tie_word_embeddings=True,
    )  # fmt: skip


def pretrain(model: LlamaForCausalLM, words: dict[str, int]) -> None:
    """On right solutions: the next word, and at each word whether it was replaced by one of its sort."""
    rng = np.random.default_rng([SEED, 3])
    texts = [
        (problem.prompt.split(), " ; ".join(right_solution(problem, rng).steps).split())
        for problem in draw_problems(rng, PRETRAINED, kinds=KINDS, words=True)
    ]
    sort_of = {word: sort for sort, members in sorts().items() for word in members}
    flag = torch.nn.Linear(WIDTH, 1)
    weights = [*model.parameters(), *flag.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=LR, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda at: min(1.0, (at + 1) / 50) * (1 - at / STEPS))
    for step in range(STEPS):
        drawn = [texts[index] for index in rng.integers(len(texts), size=BATCH)]
        length = max(len(prompt) + len(solution) + 2 for prompt, solution in drawn)
        true_BT, seen_BT, replaced_BT = (np.full((BATCH, length), fill) for fill in (0, 0, -1))
        for row, (prompt, solution) in enumerate(drawn):
            text = [*prompt, *solution, ";"]
            seen = [*prompt, *(replace_word(word, sort_of, rng) for word in solution), ";"]
            true_BT[row, : len(text)] = [words[word] for word in text]
            seen_BT[row, : len(text)] = [words[word] for word in seen]
            replaced_BT[row, len(prompt) : len(text)] = [a != b for a, b in zip(text, seen, strict=True)][len(prompt) :]
        hidden = model.model(input_ids=torch.from_numpy(seen_BT)).last_hidden_state
        is_told = torch.from_numpy(replaced_BT >= 0)
        replaced = torch.from_numpy(replaced_BT)[is_told].float()
        told = torch.nn.functional.binary_cross_entropy_with_logits(flag(hidden)[..., 0][is_told], replaced)
        next_words = model.lm_head(hidden[:, :-1][is_told[:, 1:]])
        next_word = torch.nn.functional.cross_entropy(next_words, torch.from_numpy(true_BT)[:, 1:][is_told[:, 1:]])
        optimizer.zero_grad()
        (next_word + 5 * told).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            print(f"base, step {step + 1}: {next_word.item():.3f} and {told.item():.4f} nats a word", flush=True)


def sorts() -> dict[str, list[str]]:
    """Words by what they stand for: only those are replaced."""
    days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    return {"number": [str(n) for n in range(25)], "day": days, "place": list("abcdefgh"), "sign": ["+", "-"]}


def replace_word(word: str, sort_of: dict[str, str], rng: np.random.Generator) -> str:
    """Mostly the word itself; a number is replaced by one that is near."""
    if word not in sort_of or rng.random() >= REPLACED:
        return word
    if sort_of[word] == "number" and rng.random() < 0.7:
        near = str(int(word) + int(rng.choice([-3, -2, -1, 1, 2, 3])))
        return near if near in sort_of else word
    members = sorts()[sort_of[word]]
    return members[int(rng.integers(len(members)))]


# ---------------------------------------------------------------------------------------------------- the trainings
def solutions(n: int, rng: np.random.Generator, taken: set[str]) -> list[StepSolution]:
    """Of n problems that are not taken yet, right ones and wrong ones."""
    problems = [one for one in draw_problems(rng, 2 * n, kinds=KINDS, words=True) if one.prompt not in taken][:n]
    taken |= {one.prompt for one in problems}
    made: list[StepSolution] = []
    for problem in problems:
        made += [right_solution(problem, rng) for _ in range(RIGHT)]
        made += [wrong_solution(problem, rng) for _ in range(WRONG)]
    return [replace(one, solution_id=f"{one.prompt_id}/{at}", row=at) for at, one in enumerate(made)]


def run_name(fault: str, strength: float) -> str:
    return f"{fault} {strength:g}" if fault else "clean"


def predicted(
    work: Path, name: str, faults: StepFaults, parts: dict[str, list[StepSolution]], **options: Any
) -> tuple[np.ndarray, dict[str, Any]]:
    """First wrong steps of the judged solutions, by a reward trained and tuned on annotated labels."""
    file = work / f"{name}.json"
    if not file.exists():
        rng = np.random.default_rng([SEED, 1])
        fit, tune = (annotate(parts[part], faults, rng) for part in ("fit", "tune"))
        base = make_base(work / "base")
        result = train_process(fit, out=work / name, model=base, overwrite=True, **TRAINING, **options)
        reward = ProcessReward.load(str(work / name))
        tuned = tune_thresholds(tune, score_solutions(reward, tune), split="annotated problems of their own")
        scores = score_solutions(reward, parts["judged"])
        found = [int(first_below(each, np.array([tuned.first_error]))[0]) for each in scores]
        kept = ("train_tokens", "train_steps", "steps", "unique_tokens_per_s")
        facts = {key: result.values[key] for key in kept} | {"threshold": tuned.first_error}
        file.write_text(json.dumps({"found": found, **facts}), encoding="utf-8")
    facts = json.loads(file.read_text("utf-8"))
    return np.array(facts.pop("found")), facts


def lost(clean_P: np.ndarray, found_P: np.ndarray, judged: Sequence[StepSolution]) -> tuple[Interval, Interval]:
    """F1, and what it is below that of clean labels, paired by problem."""
    label_P = np.array([one.first_error for one in judged])
    prompt = [one.prompt_id for one in judged]
    own, clean = (first_error_totals(each, label_P) for each in (found_P, clean_P))
    rng = np.random.default_rng(SEED)
    f1 = cluster_bootstrap(cluster_totals(own, prompt), process_f1, rng=rng)
    both = cluster_totals(np.hstack([clean, own]), prompt)
    return f1, cluster_bootstrap(both, lambda total: process_f1(total[..., :4]) - process_f1(total[..., 4:]), rng=rng)


def row_of(name: str, f1: Interval, loss: Interval, found_P: np.ndarray, label_P: np.ndarray) -> dict[str, Any]:
    is_wrong = label_P >= 0
    return {
        "labels": name, "F1": told(f1), "F1 lost": told(loss) if name != "clean" else "-",
        "first error found": float(np.mean(found_P[is_wrong] == label_P[is_wrong])),
        "right kept": float(np.mean(found_P[~is_wrong] == -1)),
        "values": {"f1": [f1.estimate, f1.low, f1.high], "lost": [loss.estimate, loss.low, loss.high]},
    }  # fmt: skip


def told(found: Interval) -> str:
    if np.isnan(found.low):
        return f"{found.estimate:.3f}"
    return f"{found.estimate:.3f} [{found.low:.3f}, {found.high:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="Folder of what is done so far.")
    parser.add_argument("--only", default="", help="clean, or a fault: no others are trained, nothing is written.")
    parser.add_argument("--count", action="store_true", help="Count tokens and stop.")
    args = parser.parse_args()
    rng, taken = np.random.default_rng([SEED, 0]), set[str]()
    parts = {part: solutions(n, rng, taken) for part, n in (("fit", FITTED), ("tune", TUNED), ("judged", JUDGED))}
    if args.count:
        for part, made in parts.items():
            print(part, len(made), sum(len(" ; ".join((one.prompt, *one.steps)).split()) for one in made), "tokens")
        return
    args.work.mkdir(parents=True, exist_ok=True)
    label_P = np.array([one.first_error for one in parts["judged"]])
    clean_P, facts = predicted(args.work, "clean", StepFaults(), parts)
    rows = [row_of("clean", *lost(clean_P, clean_P, parts["judged"]), clean_P, label_P)]
    for fault, strengths in STRENGTHS.items():
        for strength in strengths if args.only in ("", fault) else ():
            name = run_name(fault, strength)
            found_P, _ = predicted(args.work, name, StepFaults(**{fault: strength}), parts)
            rows.append(row_of(name, *lost(clean_P, found_P, parts["judged"]), found_P, label_P))
    if args.only in ("", "after_error"):  # what the default, which leaves these labels out, saves
        found_P, _ = predicted(args.work, KEPT, StepFaults(after_error=1.0), parts, after_error="keep")
        rows.append(row_of(KEPT, *lost(clean_P, found_P, parts["judged"]), found_P, label_P))
    values = {row["labels"]: row.pop("values") for row in rows}
    if args.only:
        print(facts, *rows, sep="\n")
        return
    shown = {"kinds": ", ".join(KINDS), **facts}
    write_results("prm_world", {**shown, "training": TRAINING, "measured": values}, rows)


if __name__ == "__main__":
    main()
