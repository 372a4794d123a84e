"""Over-optimisation of proxies that learn from a gold's labels, single and in ensembles: Gao et al. and Coste et al.

    python benchmarks/synthetic.py heads      linear heads on the words world's policy, the default of the command
    python benchmarks/synthetic.py own        the same, each member with labels of its own
    python benchmarks/synthetic.py trained    whole reward models of 70,000 weights, by karat train
    python benchmarks/synthetic.py checkable  real samples of the default model, heads on its hidden states, best of 64

Writes results/synthetic_NAME.json and .md; heads and checkable also write docs/images/synthetic_NAME.svg. With
--states FILE the hidden states are kept there and read again, since reading 10,000 responses with the default model
takes two cores far longer than all the rest.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common import write_figure, write_results
from karat.report.panels import by_labels_and_noise
from karat.stress.synthetic import proxies, synthetic
from karat.stress.synthetic.setting import Prompt
from karat.types import Result

RUNS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "heads": (None, {}),
    "own": (None, {"member_labels": "own"}),
    "trained": (
        None,
        {"train": True, "lr": 1e-3, "epochs": 2.0, "sizes": "400", "seeds": 5, "members": 4, "samples": 128},
    ),
    "checkable": ("builtin:checkable", {"gold": "gold"}),
}


def rows_of(result: Result) -> list[dict[str, Any]]:
    """One row for each condition and rule, and for each contrast over all conditions."""
    found = []
    for condition in result.values["conditions"]:
        for rule, of in condition["rules"].items():
            found.append(
                {
                    "labels": condition["labels"], "flipped": condition["noise"], "rule": rule,
                    "accuracy": of["accuracy"], "proxy at last n, SD": of["proxy_gain"][-1],
                    "peak n": f"{of['peak_n']} [{of['peak_low']}, {of['peak_high']}]",
                    "gold at best n, SD": told(of, "best"),
                    "gold at last n, SD": f"{of['gold_gain'][-1]:.2f} [{of['gold_gain_low'][-1]:.2f}, "
                    f"{of['gold_gain_high'][-1]:.2f}]",
                    "drop, SD": told(of, "drop"), "alpha": told(of, "alpha"), "beta": told(of, "beta"),
                    "fit p": of["fit_p"],
                }
            )  # fmt: skip
    for one in result.values["contrasts"]:
        found.append(
            {
                "labels": one["conditions"], "rule": one["what"], "gold at last n, SD": told(one, "last"),
                "gold at best n, SD": told(one, "best"), "peak n": f"{told(one, 'later')} times",
            }
        )  # fmt: skip
    return found


def told(values: dict[str, Any], name: str) -> str:
    return f"{values[name]:.2f} [{values[f'{name}_low']:.2f}, {values[f'{name}_high']:.2f}]"


def draw(result: Result, name: str) -> None:
    table = next(table for table in result.tables if table.name == "synthetic_curves")
    write_figure(by_labels_and_noise(table), f"synthetic_{name}")


def kept_in(file: Path) -> Callable[..., list[np.ndarray]]:
    """`hidden_states`, from the file where there is one; else as it is, and kept."""
    read = proxies.hidden_states

    def hidden_states(prompts: Sequence[Prompt], model: str, progress: Any = None) -> list[np.ndarray]:
        if not file.exists():
            np.savez(
                file, **{p.prompt_id: state for p, state in zip(prompts, read(prompts, model, progress), strict=True)}
            )
        with np.load(file) as kept:
            return [kept[prompt.prompt_id] for prompt in prompts]

    return hidden_states


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", choices=RUNS)
    parser.add_argument("--states", type=Path, help="file that keeps the hidden states between runs")
    name, states = vars(parser.parse_args()).values()
    if states:
        proxies.hidden_states = kept_in(states)
    pool, options = RUNS[name]
    was_kept = bool(states and states.exists())
    began = time.perf_counter()
    result = synthetic(pool, **options)
    facts = {
        "seconds" + (", hidden states read before" if was_kept else ""): time.perf_counter() - began,
        "finding": result.lead,
        **{f"{f.code} {f.title}": f"{f.verdict}, {f.effect:.2f} [{f.low:.2f}, {f.high:.2f}]" for f in result.findings},
        "pool": result.provenance["pool"],
        "gold": result.provenance["gold"],
        "backbone": Path(result.provenance["model"]).name,
        **{key: result.provenance[key] for key in ("members", "seeds", "member_labels", "train", "seed")},
        **{key: result.values[key] for key in ("pair_prompts", "curve_prompts", "max_n", "n_used", "gold_sd")},
    }
    write_results(f"synthetic_{name}", facts, rows_of(result))
    if name in ("heads", "checkable"):
        draw(result, name)


if __name__ == "__main__":
    main()
