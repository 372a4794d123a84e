"""Runs a pytest suite and returns what became of each test as data. Two uses.

Trusted: in a process that never loads candidate code; the candidate's modules are stand-ins (`proxy`). Shared: in the
candidate's own process, where a suite cannot be proxied; what it returns is then a claim, to be checked from outside.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from karat.sandbox.inside import proxy, relay, suite_seal

REASON_LENGTH = 600
TEMPORARY = "tmp-of-tests"
OPTIONS = (
    *("-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", "-p", "no:doctest", "-rN"),
    *("-p", "no:junitxml", "-p", "no:pastebin", "-p", "no:stepwise", "-p", "no:setuponly", "-o", "addopts="),
)


def prepare(config: dict[str, Any]) -> Any:
    """Make pytest importable and import it."""
    sys.path += [folder for folder in config["packages"] if folder not in sys.path]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(name, None)
    sys.dont_write_bytecode = True
    pytest = importlib.import_module("pytest")
    for name in ("_pytest.assertion.rewrite", "_pytest.python", "_pytest.raises", "unittest.mock", "_pytest.unittest"):
        importlib.import_module(name)
    return pytest


# ------------------------------------------------------------------------------------------------------------ trusted
def run_trusted(config: dict[str, Any]) -> str:
    """A suite with stand-ins for the candidate's modules. The answer is JSON text."""
    prepare(config)
    sys.path.insert(0, os.getcwd())
    return json.dumps(proxied(config))


def proxied(config: dict[str, Any]) -> dict[str, Any]:
    from karat.sandbox.inside import child

    asker = child.Asker("relay", {})
    link = proxy.Link(lambda text: str(asker(text)), config["known"], reference=config["reference"])
    sys.meta_path.insert(0, proxy.ProxyFinder(link, set(config["modules"]), config["python_path"]))
    for name in list(sys.modules):
        if name.split(".")[0] in config["modules"]:
            del sys.modules[name]
    plugin = Recorder(lambda: (len(link.limits), len(link.suspicious), link.gone))
    run_pytest(config, plugin)
    seen = {label: sorted(kinds) for label, kinds in link.expected.seen.items()}
    return plugin.told() | {"limits": link.limits, "suspicious": link.suspicious, "seen": seen}


# ------------------------------------------------------------------------------------------------------------- shared
def run_shared(config: dict[str, Any]) -> str:
    """The suite and the candidate in this process. What matters for outcomes is sealed before he is imported."""
    prepare(config)
    seal = suite_seal.Seal()
    folders = [os.path.join(os.getcwd(), folder) for folder in config["python_path"]]
    sys.path[:0] = [*folders, os.getcwd()]
    relay.FINDER.open(config["python_path"], skip=config["pinned"])
    plugin = Recorder(seal.changed)
    code = run_pytest(config, plugin)
    return json.dumps(plugin.told() | {"exit": code, "seals": seal.changes, "nonce": config["nonce"]})


def run_pytest(config: dict[str, Any], plugin: Any) -> int:
    pytest = sys.modules["pytest"]
    here = os.getcwd()
    arguments = [*OPTIONS, "-c", os.devnull, "--rootdir", here, "--confcutdir", here, "-o", "xfail_strict=true"]
    arguments += ["--basetemp", os.path.join(here, TEMPORARY)]  # the only folder that every back end has
    arguments += [] if config["conftest"] else ["--noconftest"]
    return int(pytest.main([*arguments, *config["tests"]], plugins=[plugin]))


class Recorder:
    """A pytest plugin that keeps ids, outcomes and reasons; `state` is read after each test."""

    def __init__(self, state: Callable[[], Any]) -> None:
        self.state = state
        self.collected: list[str] = []
        self.errors: list[list[str]] = []
        self.records: dict[str, dict[str, Any]] = {}
        self.last = state()

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.errors.append([report.nodeid, text_of(report)])
        elif report.skipped:
            self.errors.append([report.nodeid, f"skipped: {text_of(report)}"])

    def pytest_collection_finish(self, session: Any) -> None:
        self.collected = [item.nodeid for item in session.items]

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        self.records[nodeid] = {"outcome": "", "reason": "", "before": self.last, "started": time.monotonic()}

    def pytest_runtest_logreport(self, report: Any) -> None:
        record = self.records[report.nodeid]
        outcome = report.outcome
        if hasattr(report, "wasxfail"):
            outcome = "xfailed" if outcome == "skipped" else "xpassed"
        if report.when == "call" or (outcome != "passed" and record["outcome"] in ("", "passed")):
            record["outcome"], record["when"] = outcome, report.when
            record["reason"] = "" if outcome == "passed" else text_of(report)

    def pytest_runtest_logfinish(self, nodeid: str, location: Any) -> None:
        record = self.records[nodeid]
        record["wall_s"] = time.monotonic() - record.pop("started")
        record["state"] = self.last = self.state()

    def told(self) -> dict[str, Any]:
        records = {name: record for name, record in self.records.items() if "started" not in record}
        return {"collected": self.collected, "errors": self.errors, "records": records}


def text_of(report: Any) -> str:
    """What went wrong, without source lines: the exception's message, or the lines that pytest marks as the error."""
    value = report.longrepr
    if isinstance(value, tuple):
        return str(value[2])[:REASON_LENGTH]
    crash = getattr(value, "reprcrash", None)
    if crash is not None:
        return str(crash.message)[:REASON_LENGTH]
    lines = str(value or "").splitlines()
    marked = [line.removeprefix("E").strip() for line in lines if line.startswith("E ")]
    return " ".join(marked or lines[-3:])[:REASON_LENGTH]
