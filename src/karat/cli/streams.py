"""Who may write where: standard output belongs to the result, standard error to progress, warnings and errors."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Iterator

_QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_VERBOSITY": "error",
    "DATASETS_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TOKENIZERS_PARALLELISM": "false",  # else it warns after every fork
    "TQDM_DISABLE": "1",
}


def quiet_libraries() -> None:
    """Silence the chatter of the libraries underneath; what the user set in the environment stays.

    Called by the command line only, and before the verb imports them: as a library, karat leaves logging alone.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    for name in ("matplotlib", "transformers", "datasets", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if not sys.warnoptions:  # python -W wins
        warnings.simplefilter("ignore")


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send all that is written to standard output to standard error meanwhile, native code and child processes too.

    A stray print in a user's reward function must not break the JSON document on standard output.
    """
    sys.stdout.flush()
    with contextlib.redirect_stdout(sys.stderr), _descriptor_of_stderr() as elsewhere:
        try:
            kept = os.dup(1)
        except OSError:  # no standard output at all
            yield
            return
        try:
            os.dup2(elsewhere, 1)
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)


@contextlib.contextmanager
def _descriptor_of_stderr() -> Iterator[int]:
    """Descriptor 2, or one that leads nowhere where standard error is closed (`2>&-`)."""
    try:
        os.fstat(2)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            yield nowhere
        finally:
            os.close(nowhere)
    else:
        yield 2


def terminal_width() -> int:
    """Columns for the terminal report: those of the terminal, at most 120; 80 where there is none."""
    return min(shutil.get_terminal_size((80, 24)).columns, 120)


def wants_colour() -> bool:
    """Colour on a terminal only, never with NO_COLOR (https://no-color.org: set and not empty) or a dumb one."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
