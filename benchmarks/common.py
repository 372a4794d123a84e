"""What the benchmarks share: the real pairs, the machine's measured rate, and results written as JSON and a table."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from karat.report.plots import Plot

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
IMAGES = ROOT / "docs" / "images"
DATA = Path(os.environ.get("KARAT_DATA", ROOT.parent / "shared" / "data"))


def real_file(*parts: str) -> Path:
    """A file of the real data; exits with what to do where it is absent."""
    file = DATA.joinpath(*parts)
    if not file.exists():
        sys.exit(f"{file} is not there. Name the folder that holds the real data in KARAT_DATA.")
    return file


def hh_file() -> Path:
    return real_file("hh_rlhf_harmless_test", "harmless-base__test.jsonl.gz")


def matmul_gflops(rows: int = 1648, inner: int = 576, columns: int = 1536, repeats: int = 12) -> float:
    """This machine's float32 matrix-product rate, in multiply-adds times two per second, median of `repeats`.

    The shapes are those of the default model's feed-forward layers over a pack of about 8 pairs.
    """
    a, b = torch.randn(rows, inner), torch.randn(inner, columns)
    back = torch.randn(columns, inner)
    rates = []
    for _ in range(repeats):
        began = time.perf_counter()
        for _ in range(5):
            (a @ b) @ back
        rates.append(5 * 2 * 2 * rows * inner * columns / (time.perf_counter() - began) / 1e9)
    return statistics.median(rates)


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def write_results(name: str, results: dict[str, Any], rows: Sequence[dict[str, Any]]) -> None:
    """results/NAME.json, and the same rows as a table in results/NAME.md; both also to the screen."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    document = {"command": command, "machine": machine(), **results, "rows": list(rows)}
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row.get(column, "")) for column in columns) + " |" for row in rows]
    facts = [f"- {key}: {_cell(value)}" for key, value in results.items() if not isinstance(value, list | dict)]
    text = f"# {name}\n\n`{command}`\n\n" + "\n".join(facts) + "\n\n" + "\n".join(lines) + "\n"
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


def write_figure(plot: Plot | None, name: str) -> None:
    """docs/images/NAME.svg: a figure of the report as a file; its colours fall back to those that it names."""
    assert plot is not None
    svg = plot.svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" ', 1)
    svg = svg.replace('style="', 'style="background: #fff; ', 1)  # a page in dark colours would hide its text
    IMAGES.mkdir(parents=True, exist_ok=True)
    (IMAGES / f"{name}.svg").write_text(svg + "\n", encoding="utf-8")


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
