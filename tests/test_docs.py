"""The documentation stays true: links lead somewhere, commands and options exist, Python snippets compile."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

import karat
from karat.cli.main import app
from scripts_loaded import load_script

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (page.name, body) for page in PAGES for kind, body in BLOCK.findall(page.read_text("utf-8")) if kind == language
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_commands_and_options_exist() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    seen = 0
    for page, body in blocks("bash"):
        for line in body.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if not words or not words[0].endswith("karat") or len(words) < 2:
                continue
            name = two if (two := " ".join(words[1:3])) in commands else words[1]
            assert name in commands, f"{page}: karat {name}"
            known = {name for param in commands[name].params for name in param.opts}
            wrong = [word for word in words[2:] if word.startswith("--") and word.split("=")[0] not in known]
            assert not wrong, f"{page}: karat {name} has no {wrong}"
            seen += 1
    assert seen >= 5


def test_python_snippets_compile() -> None:
    snippets = list(blocks("python"))
    assert snippets
    for page, body in snippets:
        tree = ast.parse(body, page)  # raises where a snippet is no Python
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "karat":
                assert hasattr(karat, node.attr), f"{page}: karat.{node.attr} does not exist"


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for page, body in blocks("bash"):
        for target in re.findall(r"^make (\w+)", body, re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page}: make {target}"


def test_benchmarks_named_in_the_docs_exist() -> None:
    for page in PAGES:
        for name in re.findall(r"benchmarks/(\w+\.py)", page.read_text("utf-8")):
            assert (ROOT / "benchmarks" / name).exists(), f"{page.name}: benchmarks/{name}"


def test_the_catalogues_page_shows_the_recorded_results() -> None:
    """Its tables are made by scripts/make_catalogue_tables.py."""
    module = load_script("make_catalogue_tables")
    page = module.PAGE.read_text("utf-8")
    assert module.with_tables(page) == page
    assert module.with_tables(page.replace("| 247 |", "| 248 |")) == page  # and notices a number that is not
