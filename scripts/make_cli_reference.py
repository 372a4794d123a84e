"""Write docs/cli.md from the command line itself, so that the page cannot say anything else than the program does.

.venv/bin/python scripts/make_cli_reference.py           writes docs/cli.md
.venv/bin/python scripts/make_cli_reference.py --check   exit status 1 if the page is out of date
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import typer

from karat.cli.app import headed_parameters, required_usage
from karat.cli.main import app

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli.md"

INTRODUCTION = """\
# Command line

<!-- Written by scripts/make_cli_reference.py; change the commands, not this page. -->

`karat COMMAND --help` shows the same as this page. `karat --version` prints the version.

## What every command keeps to

**Exit status**

| status | meaning |
| --- | --- |
| 0 | ok; also "not checked", which claims nothing |
| 1 | a problem was found |
| 2 | wrong use, unreadable input, or an error |
| 3 | the verdict is unclear, with `--strict` |
| 130 | interrupted; what was written is kept |
| 141 | the reader of standard output went away (`karat check \\| head`) |

**Standard output** holds the result and nothing else. Progress, warnings and errors go to standard error; whatever a
library, a reward function or a child process prints meanwhile goes there too. Colour is used on a terminal only, and
not where `NO_COLOR` is set.

**Errors** take at most three lines: what, where, what to do. `--debug` adds the traceback. After an error standard
output holds no document, with `--json` neither: the exit status tells.

**`--json`** prints one document:

```text
{"karat": version, "command": ..., "verdict": "ok|problem|unclear|not checked",
 "findings": [{"code", "title", "verdict", "effect", "low", "high", "unit", "n_used", "n_failed", "n_missing",
               "gold", "witnesses", "action"}],
 "values": {..., "report": {"lead", "baselines", "tables", "provenance"}},
 "files": [...]}
```

A number that is undefined or missing is `null`; an infinite one is the text `"Infinity"` or `"-Infinity"`. The
document is pure ASCII. `values.report` has what the other forms of the report show besides: the verdict sentence, the
baseline of each finding by code, the tables by name, and the provenance (command line, configuration, seed, versions,
data fingerprints).
"""


def reference() -> str:
    """The whole page."""
    group: Any = typer.main.get_command(app)
    context = group.make_context("karat", [], resilient_parsing=True)
    parts = [INTRODUCTION]
    for name, command in group.commands.items():
        parts.append(_command(name, command, command.make_context(name, [], parent=context, resilient_parsing=True)))
    return "\n".join(parts)


def _command(name: str, command: Any, context: Any) -> str:
    usage = " ".join(["karat", name, *required_usage(command, context), "[OPTIONS]"])
    lines = [f"## karat {name}", "", f"```text\n{usage}\n```", "", inspect.cleandoc(command.help), ""]
    for heading, parameters in headed_parameters(command, context).items():
        rows = [_row(parameter, context) for parameter in parameters if parameter.name != "help"]
        if rows:
            lines += [f"**{heading}**", "", "| name | default | meaning |", "| --- | --- | --- |", *rows, ""]
    return "\n".join(lines)


def _row(parameter: Any, context: Any) -> str:
    """One table row from the same record that the help shows: name and type, then help text and default."""
    names, _ = parameter.get_help_record(context)
    if parameter.required:
        default = "required"
    elif parameter.default is None or parameter.default is False or parameter.default == "":
        default = ""
    else:
        default = f"`{'on' if parameter.default is True else parameter.default}`"
    cells = (f"`{names}`", default, parameter.help)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        sys.exit(PAGE.read_text(encoding="utf-8") != reference())
    PAGE.write_text(reference(), encoding="utf-8")
