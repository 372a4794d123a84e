"""The explanations of all findings, gathered."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from karat.cli import explain


def test_what_states_findings_is_explained() -> None:
    """Each module that has EXPLANATIONS is among those that are gathered, and no code has two meanings."""
    package = Path(explain.__file__).parents[1]
    stating = {
        ".".join(path.relative_to(package).with_suffix("").parts)
        for path in package.rglob("*.py")
        if re.search("^EXPLANATIONS\\b", path.read_text(encoding="utf-8"), re.M)
    }
    assert stating == set(explain.CHECKS)
    codes = [code for name in explain.CHECKS for code in import_module(f"karat.{name}").EXPLANATIONS]
    assert len(set(codes)) == len(codes)
