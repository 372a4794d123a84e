"""The report on disk: `report.html` and `result.json` in one folder."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from karat.errors import InputError
from karat.report.html import render_html
from karat.report.json import render_json
from karat.types import Result

HTML_NAME = "report.html"
JSON_NAME = "result.json"


def prepare_folder(out: Path, *, option: str = "--out") -> None:
    """Make the folder and see that it can be written to: better now than after an hour of work.

    Raises: InputError: it is a file, or it may not be written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"{option} {out}: a file of that name is in the way; name a folder.") from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise InputError(f"{option} {out}: this folder may not be written to; name another.")


def write_report(result: Result, out: Path) -> Result:
    """Write both files, each whole or not at all, and return the result with them added to its files."""
    page, document = out / HTML_NAME, out / JSON_NAME
    own = (str(page), str(document))
    others = tuple(path for path in result.files if path not in own)
    result = replace(result, files=(*own, *others))
    _write(page, render_html(result))
    _write(document, render_json(result))
    return result


def _write(path: Path, text: str) -> None:
    """Write beside the target, then rename: a full disk or an interrupt leaves the old file as it was."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8", newline="\n")
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
