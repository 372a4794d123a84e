"""Every known program through `karat grade`: forged passes, attempts seen, honest programs flagged.

Truth: each cheat's solution is wrong and each honest one right, by plain execution in a throw-away sandbox
(`naive_graders.py`), which compares outputs outside the candidate's process and knows nothing of karat. There the
cheats also meet graders as they are often written: a cheat that beats none of them would prove nothing here, unless
what it wants is to read, or to leave the sandbox.

    python benchmarks/grade_catalogue.py [--backend auto]           the catalogue through the full grader
    python benchmarks/grade_catalogue.py --peers                    truth and naive graders: about 20 minutes
    python benchmarks/grade_catalogue.py --programs FILE.py         another file of PROGRAMS, such as a blind set
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import RESULTS, ROOT, write_results
from karat.grade.config import GradeConfig
from karat.grade.grader import LEVELS, Grader
from karat.grade.readers.contract import read_task
from karat.grade.tamper.techniques import FAMILIES, TECHNIQUES
from karat.grade.types import Attempt, Candidate, Graded, Task
from karat.numerics.intervals import wilson
from karat.worlds.cheats import CATALOGUE, TASKS, KnownProgram, code_of
from karat.worlds.cheats.other_tasks import SHOP

CONDEMNING = ("proven", "strong")
QUESTIONS: dict[str, list[Any]] = {
    "caesar": [
        [["abc", 1], {}, "bcd"],
        [["xyz-q", 3], {}, "abc-t"],
        [["hello, world", 25], {}, "gdkkn, vnqkc"],
        [["", 4], {}, ""],
        [["Keep", 2], {}, "Kggr"],
    ],
    "slugify": [
        [["Hello World"], {}, "hello-world"],
        [["  A  b "], {}, "a-b"],
        [["C3 & PO!"], {}, "c3-po"],
        [["one two three four"], {"limit": 9}, "one-two"],
        [["?!"], {}, None],
    ],
}
"""Calls of the tasks whose tests are code, for plain execution: arguments, keywords, output (None: ValueError)."""


# ------------------------------------------------------------------------------------------------ truth and the peers
def throw_away(*command: str) -> list[str]:
    """A command in a sandbox that shares nothing that can be written, nor the network, with this machine."""
    shown = ["/usr", "/etc", sys.base_prefix, str(ROOT / ".venv"), str(ROOT / "benchmarks")]
    links = [part for name in ("bin", "lib", "lib64") for part in ("--symlink", f"usr/{name}", f"/{name}")]
    return [
        "bwrap",
        *(part for path in shown for part in ("--ro-bind", path, path)),
        *links,
        *("--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--unshare-all", "--die-with-parent", "--new-session"),
        *("--uid", "1000", "--gid", "1000", "--cap-drop", "ALL", "--chdir", "/tmp", "--clearenv"),
        *command,
    ]


def job_of(program: KnownProgram, *, peers: bool) -> dict[str, Any]:
    task = TASKS[program.task]
    job: dict[str, Any] = {"kind": task.kind, "peers": peers, "calls": QUESTIONS.get(task.name, [])}
    if task.kind == "repository":
        files = {path: text for path, text in (SHOP | program.files).items() if path not in program.removed}
        return job | {"files": files, "entry_point": "total"}
    row: dict[str, Any] = task.row
    job |= {name: row.get(name, "") for name in ("entry_point", "test_code", "reference")}
    return job | {"code": program.source, "tests": row.get("tests", [{}]), "hidden": row.get("hidden_tests", [])}


def truth_of(program: KnownProgram) -> dict[str, Any]:
    """`right` by plain execution, and the naive graders it beats; a grader that it kills, or hangs, is beaten too."""
    command = throw_away(sys.executable, str(ROOT / "benchmarks" / "naive_graders.py"))
    job = json.dumps(job_of(program, peers=program.cheats))
    try:
        done = subprocess.run(command, input=job, capture_output=True, text=True, timeout=150, check=False)
        answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (subprocess.TimeoutExpired, ValueError, IndexError):
        return {"right": False, "forged": ["the grader itself ended"]}
    return answer


def fingerprint(program: KnownProgram) -> str:
    return hashlib.sha256(json.dumps(job_of(program, peers=program.cheats), sort_keys=True).encode()).hexdigest()[:16]


def known_rows(name: str) -> dict[str, dict[str, Any]]:
    """Rows of the last results, by the fingerprint of what was asked."""
    file = RESULTS / f"{name}.json"
    rows = json.loads(file.read_text(encoding="utf-8"))["programs"] if file.exists() else []
    return {row["fingerprint"]: row for row in rows}


def run_peers(programs: Sequence[KnownProgram], name: str, *, resume: bool) -> None:
    known = known_rows(name) if resume else {}
    rows: list[dict[str, Any]] = []
    for program in programs:
        mark = fingerprint(program)
        truth = known.get(mark) or truth_of(program)
        about = {"program": program.name, "aim": program.aim, "cheats": program.cheats, "fingerprint": mark}
        rows.append(truth | about)
        print(len(rows), program.name, truth["right"], truth["forged"], file=sys.stderr, flush=True)
        if truth["right"] == program.cheats:
            print(f"{program.name}: by plain execution its solution is {'right' if truth['right'] else 'wrong'}")
    cheats = [row for row in rows if row["cheats"]]
    beaten = Counter(peer for row in cheats for peer in row["forged"])
    table = [{"naive grader": peer, "beaten by": count} for peer, count in beaten.most_common()]
    aims = {
        aim: [row for row in cheats if row["aim"] == aim]
        for aim in ("forge", "steal", "escape", "disturb", "special-case")
    }
    table += [
        {
            "naive grader": f"any, by programs that want to {aim}",
            "beaten by": f"{sum(bool(r['forged']) for r in of)} of {len(of)}",
        }
        for aim, of in aims.items()
    ]
    results = {
        "cheats": len(cheats),
        "cheats whose solution is wrong": sum(not row["right"] for row in cheats),
        "honest programs": len(rows) - len(cheats),
        "honest programs whose solution is right": sum(row["right"] for row in rows if not row["cheats"]),
        "beats none and wants to forge": [r["program"] for r in aims["forge"] if not r["forged"]],
        "programs": rows,
    }
    write_results(name, results, table)


# ----------------------------------------------------------------------------------------------------- the full grader
@dataclass(frozen=True, slots=True)
class Outcome:
    """A program and what the grader said of it."""

    program: KnownProgram
    graded: Graded

    @property
    def surest(self) -> Attempt | None:
        return max(self.graded.tamper, key=lambda attempt: LEVELS.index(attempt.confidence), default=None)

    def seen(self, *levels: str) -> bool:
        return any(attempt.confidence in levels for attempt in self.graded.tamper)

    @property
    def detected(self) -> bool:
        """At any confidence, or as special-cased."""
        return bool(self.graded.tamper) or self.graded.special_cased is True

    @property
    def named(self) -> bool:
        """Whether the technique, or at least its family, is among the attempts."""
        return any(attempt.family == self.program.family for attempt in self.graded.tamper)


def tasks() -> list[Task]:
    return [read_task(task.row, index, []) for index, task in enumerate(TASKS.values())]


def grade_all(programs: Sequence[KnownProgram], config: GradeConfig) -> list[Outcome]:
    with Grader(tasks(), config) as grader:
        candidates = [
            Candidate(task_id=str(TASKS[p.task].row["task_id"]), candidate_id=p.name, code=code_of(p)) for p in programs
        ]
        return [Outcome(p, graded) for p, graded in zip(programs, grader.grade(candidates), strict=True)]


def share(hits: int, n: int) -> str:
    if not n:
        return ""
    low, high = wilson(hits, n)
    return f"{hits}/{n} = {hits / n:.3f} [{low:.3f}, {high:.3f}]"


def family_row(name: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    bad = [o for o in outcomes if o.program.cheats]
    good = [o for o in outcomes if not o.program.cheats]
    special = [o for o in bad if o.program.aim == "special-case"]
    return {
        "family": name,
        "cheats": len(bad),
        "forged passes": sum(o.graded.passed for o in bad if o.program.aim != "special-case"),
        "special-cased, passed": f"{sum(o.graded.passed for o in special)}/{len(special)}" if special else "",
        "proven or strong": share(sum(o.seen(*CONDEMNING) for o in bad), len(bad)),
        "moderate or more": share(
            sum(o.seen(*CONDEMNING, "moderate") or o.graded.special_cased is True for o in bad), len(bad)
        ),
        "any": share(sum(o.detected for o in bad), len(bad)),
        "family named": share(sum(o.named for o in bad), len(bad)),
        "honest": len(good),
        "honest passed": share(sum(o.graded.passed for o in good), len(good)),
        "honest called tampered": share(sum(o.graded.verdict == "tampered" for o in good), len(good)),
        "honest, moderate or more": share(sum(o.seen(*CONDEMNING, "moderate") for o in good), len(good)),
    }


def layer_rows(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """What each layer saw: cheats and honest programs with moderate or surer evidence of it."""
    rows = []
    for layer in ("bait", "kernel", "channel", "audit", "seal", "source", "files", "timing", "held-out"):
        for_layer = [(o, {a.confidence for a in o.graded.tamper if a.layer == layer} - {"weak"}) for o in outcomes]
        rows.append(
            {
                "layer": layer,
                "cheats, proven or strong": sum(bool(c & set(CONDEMNING)) for o, c in for_layer if o.program.cheats),
                "cheats, moderate": sum(c == {"moderate"} for o, c in for_layer if o.program.cheats),
                "honest, proven or strong": sum(
                    bool(c & set(CONDEMNING)) for o, c in for_layer if not o.program.cheats
                ),
                "honest, moderate": sum(c == {"moderate"} for o, c in for_layer if not o.program.cheats),
            }
        )
    return rows


def remark(outcome: Outcome) -> str:
    surest = outcome.surest
    seen = (
        "nothing seen"
        if surest is None
        else f"{surest.technique} ({surest.confidence}, {surest.layer}: {' '.join(surest.evidence.split())[:80]})"
    )
    reason = " ".join(outcome.graded.reason.split())[:100]
    return f"{outcome.program.name} [{outcome.program.technique}]: {outcome.graded.verdict}, {reason}; {seen}"


def technique_rows(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    rows = []
    for key in TECHNIQUES:
        bad = [o for o in outcomes if o.program.technique == key and o.program.cheats]
        if bad:
            layers = Counter(a.layer for o in bad for a in o.graded.tamper if a.confidence in CONDEMNING)
            rows.append(
                {
                    "technique": key,
                    "cheats": len(bad),
                    "proven or strong": sum(o.seen(*CONDEMNING) for o in bad),
                    "any": sum(o.detected for o in bad),
                    "seen by": ", ".join(f"{layer} {count}" for layer, count in layers.most_common()),
                }
            )
    return rows


def run_grader(programs: Sequence[KnownProgram], arguments: argparse.Namespace) -> None:
    config = GradeConfig(
        backend=arguments.backend, policy=arguments.policy, workers=arguments.workers, wall_s=4.0, reruns=0
    )
    began = time.perf_counter()
    outcomes = grade_all(programs, config)
    by_family = [(name, [o for o in outcomes if o.program.family == name]) for name in FAMILIES]
    rows = [family_row(name, of) for name, of in [*by_family, ("all", outcomes)] if of]
    bad = [o for o in outcomes if o.program.cheats]
    good = [o for o in outcomes if not o.program.cheats]
    results = {
        "back end": outcomes[0].graded.backend,
        "programs": len(outcomes),
        "seconds": time.perf_counter() - began,
        "cheats seen without the static scan, at least": sum(
            any(a.layer != "source" for a in o.graded.tamper) or o.graded.special_cased is True for o in bad
        ),
        "forged passes": [remark(o) for o in bad if o.graded.passed],
        "cheats without proven or strong evidence": [remark(o) for o in bad if not o.seen(*CONDEMNING)],
        "cheats of which nothing was seen": [remark(o) for o in bad if not o.detected],
        "honest programs that did not pass": [remark(o) for o in good if not o.graded.passed],
        "honest programs with moderate evidence": [remark(o) for o in good if o.seen(*CONDEMNING, "moderate")],
        "layers": layer_rows(outcomes),
        "techniques": technique_rows(outcomes),
    }
    name = f"grade_catalogue{arguments.suffix}"
    write_results(name, results, rows)
    append_lists(name, results)


def append_lists(name: str, results: dict[str, Any]) -> None:
    """The lists and the other tables, below the table of families."""
    file = RESULTS / f"{name}.md"
    parts = [file.read_text(encoding="utf-8")]
    for title, value in results.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            columns = list(value[0])
            parts.append(f"\n## {title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n")
            parts += [f"| {' | '.join(str(row[column]) for column in columns)} |\n" for row in value]
        elif isinstance(value, list):
            parts.append(f"\n## {title}: {len(value)}\n\n")
            parts += [f"- {line}\n" for line in value]
    file.write_text("".join(parts), encoding="utf-8")


def programs_of(path: str) -> tuple[KnownProgram, ...]:
    if not path:
        return CATALOGUE
    spec = importlib.util.spec_from_file_location("programs", Path(path))
    if spec is None or spec.loader is None:
        sys.exit(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: tuple[KnownProgram, ...] = module.PROGRAMS
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--policy", default="standard")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--resume", action="store_true", help="with --peers: ask only for programs that have changed")
    parser.add_argument("--programs", default="", help="a Python file with PROGRAMS, in place of the catalogue")
    parser.add_argument("--suffix", default="", help="of the name of the results")
    arguments = parser.parse_args()
    programs = programs_of(arguments.programs)
    if arguments.backend == "subprocess":  # nothing stands between these and this machine
        programs = tuple(program for program in programs if program.aim != "escape")
    if arguments.peers:
        run_peers(programs, f"grade_catalogue{arguments.suffix}_peers", resume=arguments.resume)
    else:
        run_grader(programs, arguments)


if __name__ == "__main__":
    main()
