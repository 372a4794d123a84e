"""karat, its environment and packages may lie in /tmp, where a program's own files go otherwise."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from karat.sandbox import available, open_sandbox
from karat.sandbox.types import Call, Limits, Program
from karat.sandbox.worker import standard_library

SOURCE = """
import tempfile

def answer():
    import below_tmp
    with tempfile.NamedTemporaryFile("w+") as file:
        file.write(below_tmp.VALUE)
        file.seek(0)
        return file.read()
"""


@pytest.fixture
def package() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)  # a program is another user
        Path(folder, "below_tmp.py").write_text("VALUE = 'here'\n")
        yield Path(folder)


@pytest.mark.parametrize("backend", ["namespaces", "bubblewrap", "subprocess"])
def test_packages_and_temporary_files(backend: str, package: Path) -> None:
    if reason := available(backend):
        pytest.skip(f"{backend}: {reason}")
    sandbox = open_sandbox(backend, packages=[package])
    try:
        run = sandbox.run(Program(source=SOURCE), [Call("answer")], limits=Limits())
    finally:
        sandbox.close()
    assert [(reply.status, reply.value, reply.message) for reply in run.replies] == [("value", "here", "")]


def test_the_standard_library_is_the_interpreters_own() -> None:
    """A virtual environment's folder would show its packages, and may lie anywhere."""
    assert sys.prefix != sys.base_prefix, "the suite runs in a virtual environment"
    assert not any(folder.startswith(sys.prefix) for folder in standard_library())
    assert all(Path(folder).is_relative_to(sys.base_prefix) for folder in standard_library())
