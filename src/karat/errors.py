"""The exception tree. Every message says what, where, which value, and what to do.

KaratError
├── InputError          a caller gave something that cannot be used (also a ValueError)      exit status 2
│   ├── DataError       a file, a row or a column; names the row where there is one
│   └── ModelError      a model, tokenizer or checkpoint that cannot be used as asked
├── ResourceError       the machine gave out: disk full, no network, out of memory          exit status 2
└── MissingDependencyError   an optional extra is not installed; names the pip command           exit status 2
"""

from __future__ import annotations


class KaratError(Exception):
    """Base of all errors that karat raises on purpose; the command line prints it without a traceback."""


class InputError(KaratError, ValueError):
    """An argument, option or value that cannot be used."""


class DataError(InputError):
    """A file, row or column that cannot be used."""


class ModelError(InputError):
    """A model, tokenizer or checkpoint that cannot be used as asked."""


class ResourceError(KaratError):
    """The machine gave out: disk full, network unreachable, memory exhausted."""


class MissingDependencyError(KaratError, ImportError):
    """An optional part of karat was asked for whose packages are not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; this part of karat needs it. Run: pip install 'karat[{extra}]'")
