"""`karat pool MODEL PROMPTS --out FILE`: sample a pool, seeded, in batches, and go on where a stopped run stopped.

Rows: prompt_id, response_id, prompt, response, n_tokens, is_finished (0: cut at max_new_tokens).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from karat import __version__
from karat.data.account import account_table
from karat.data.part_files import PartFiles
from karat.data.prompts import Prompt, PromptData, read_prompts
from karat.data.records import plain, user
from karat.errors import DataError
from karat.numerics.intervals import clustered_proportion
from karat.policies import Policy, Sampled, SamplingConfig
from karat.pool.config import PoolConfig
from karat.rewards.model import resolve_model
from karat.types import Finding, Result, Verdict

OK_CUT, MOST_CUT = 0.01, 0.2

EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "PO101": (
        "Responses cut at the limit of tokens",
        "The share of sampled responses that did not end by themselves within --max-new-tokens. A reward and a gold "
        "see such a response without its end.",
        "ok: at most 1 %. unclear: at most 20 %. problem: more.",
        "Sample again with a larger --max-new-tokens, unless the policy will be trained with the same limit.",
    ),
    "PO102": (
        "Prompts without responses",
        "Prompts that could not be sampled from: no tokens, longer than the model's context, refused by its template.",
        "ok: none. problem: some.",
        "Shorten or mend the prompts that the witnesses name.",
    ),
}


def pool(
    model: str,
    prompts: Any,
    *,
    out: str | Path,
    config: PoolConfig | None = None,
    progress: Callable[..., None] | None = None,
    **options: Any,
) -> Result:
    """Sample responses to prompts from a causal language model.

    Args:
        model: a folder or hub name; `default` is the built-in one.
        prompts: see `karat.data.prompts.read_prompts`.
        out: .jsonl(.gz/.zst) or .parquet; must not exist, unless config.overwrite.
        config: options; `options` override single fields by name.
        progress: called as progress(stage, done, total, note).
    Returns: findings PO101 and PO102; values: prompts, responses, tokens, tokens_per_s, repeated_share.
    Raises: InputError and its kin for input that cannot be used; ResourceError for a full disk. A run that stops early
        leaves OUT.parts, from which the same call resumes.
    """
    config = replace(config or PoolConfig(), **options)
    drawing = SamplingConfig(
        max_new_tokens=config.max_new_tokens, temperature=config.temperature, top_p=config.top_p, top_k=config.top_k
    )
    data = read_prompts(prompts)
    wanted = data.prompts[: config.max_prompts or None]
    request = {
        **asdict(replace(config, overwrite=False)), "model": model, "prompts": data.account.source,
        "fingerprint": _fingerprint(wanted), "karat": __version__,
    }  # fmt: skip
    parts = PartFiles(Path(out), request, overwrite=config.overwrite)
    policy = Policy.load(resolve_model(model), name=model, dtype=getattr(torch, config.dtype))
    done, began, sampled_tokens = parts.finished(), time.perf_counter(), 0
    chunks = [wanted[at : at + config.prompts_per_part] for at in range(0, len(wanted), config.prompts_per_part)]
    for number, chunk in enumerate(chunks):
        if number >= done:
            rows = _sample(policy, chunk, number * config.prompts_per_part, config, drawing)
            parts.write(number, rows)
            sampled_tokens += sum(row["n_tokens"] or 0 for row in rows)
        if progress:
            at = number * config.prompts_per_part + len(chunk)
            rate = sampled_tokens / max(time.perf_counter() - began, 1e-9)
            progress("sampling", at, len(wanted), f"prompts, {rate:.0f} tokens/s")
    seconds = time.perf_counter() - began
    tally = _Tally()
    for number in range(len(chunks)):
        tally.add(parts.read(number))
    if not tally.responses:
        raise DataError(f"no prompt of {data.account.source} could be sampled from: {tally.refused[0]}")
    parts.finish()
    return _result(model, data, Path(out), config, tally, sampled_tokens / seconds if done < len(chunks) else None)


def _fingerprint(prompts: Sequence[Prompt]) -> str:
    facts = [(prompt.prompt_id, plain(prompt.prompt)) for prompt in prompts]
    return hashlib.sha256(repr(facts).encode(errors="surrogatepass")).hexdigest()[:16]


def _sample(
    policy: Policy, chunk: Sequence[Prompt], first: int, config: PoolConfig, drawing: SamplingConfig
) -> list[dict[str, Any]]:
    """Rows of a few prompts; of one that cannot be sampled from, a row with the reason and no response."""
    prompts = [
        user(item.prompt) if config.chat and policy.has_template and isinstance(item.prompt, str) else item.prompt
        for item in chunk
    ]
    ids: dict[int, list[int]] = {}
    why: dict[int, str] = {}
    for at, prompt in enumerate(prompts):
        try:
            ids[at] = policy.prompt_ids(prompt)
        except DataError as error:
            why[at] = str(error)
    sampled = policy.sample(
        list(ids.values()),
        config.samples,
        config=drawing,
        seed=[config.seed],
        keys=[first + at for at in ids],
        rows_per_batch=config.rows_per_batch,
    )
    by_prompt = dict(zip(ids, sampled, strict=True))
    rows = []
    for at, item in enumerate(chunk):
        shared = {"prompt_id": item.prompt_id, "prompt": plain(prompts[at])}
        if at in why:
            rows.append({**shared, "response_id": "", "response": None, "n_tokens": None, "why": why[at]})
        rows += [{**shared, **_row(response, n, prompts[at])} for n, response in enumerate(by_prompt.get(at, ()))]
    return rows


def _row(response: Sampled, number: int, prompt: Any) -> dict[str, Any]:
    is_chat = not isinstance(prompt, str)
    return {
        "response_id": str(number),
        "response": [{"role": "assistant", "content": response.text}] if is_chat else response.text,
        "n_tokens": len(response.token_ids),
        "is_finished": int(response.is_finished),
    }


class _Tally:
    """Counts over the rows, from the part files, so that a resumed run counts all of them."""

    def __init__(self) -> None:
        self.responses = self.tokens = self.repeated = 0
        self.is_cut: list[float] = []
        self.prompt_ids: list[str] = []
        self.refused: list[str] = []

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        seen: set[tuple[str, str]] = set()
        for row in rows:
            if row["response"] is None:
                self.refused.append(f"{row['prompt_id']}: {row['why']}")
                continue
            self.responses += 1
            self.prompt_ids.append(row["prompt_id"])
            self.is_cut.append(1.0 - row["is_finished"])
            self.tokens += row["n_tokens"]
            key = (row["prompt_id"], str(row["response"]))
            self.repeated += key in seen
            seen.add(key)


def _result(
    model: str, data: PromptData, out: Path, config: PoolConfig, tally: _Tally, tokens_per_s: float | None
) -> Result:
    prompts = np.unique(tally.prompt_ids, return_inverse=True)
    share = clustered_proportion(tally.is_cut, prompts[1])
    verdict: Verdict = "ok" if share.estimate <= OK_CUT else "unclear" if share.estimate <= MOST_CUT else "problem"
    findings = (
        Finding(
            code="PO101",
            title=EXPLANATIONS["PO101"][0],
            verdict=verdict,
            effect=share.estimate,
            low=share.low,
            high=share.high,
            unit="share of responses",
            n_used=tally.responses,
            action="" if verdict == "ok" else EXPLANATIONS["PO101"][3],
        ),
        Finding(
            code="PO102",
            title=EXPLANATIONS["PO102"][0],
            verdict="problem" if tally.refused else "ok",
            effect=float(len(tally.refused)),
            unit="prompts",
            n_used=len(prompts[0]),
            n_failed=len(tally.refused),
            witnesses=tuple(tally.refused[:3]),
            action=EXPLANATIONS["PO102"][3] if tally.refused else "",
        ),
    )
    repeated = tally.repeated / tally.responses
    return Result(
        command="pool",
        findings=findings,
        tables=(account_table(data.account),),
        values={
            "prompts": len(prompts[0]),
            "responses": tally.responses,
            "tokens": tally.tokens,
            "tokens_per_s": tokens_per_s,
            "repeated_share": repeated,
            "cut_share": share.estimate,
        },
        files=(str(out),),
        provenance={"model": model, "prompts": data.account.source, **asdict(config)},
        lead=f"{tally.responses} responses of {model} to {len(prompts[0])} prompts, {repeated:.1%} of them repeats.",
    )
