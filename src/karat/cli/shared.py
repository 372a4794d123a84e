"""Options that every command has."""

from __future__ import annotations

from dataclasses import dataclass, field

from karat.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """How a command speaks."""

    json: bool = field(default=False, metadata={"help": "Print one JSON document on standard output, nothing else."})
    md: bool = field(default=False, metadata={"help": "Print Markdown."})
    quiet: bool = field(default=False, metadata={"help": "No progress on standard error; the result only."})
    debug: bool = field(
        default=False, metadata={"help": "Show tracebacks, and the warnings of the libraries underneath."}
    )

    def __post_init__(self) -> None:
        if self.json and self.md:
            raise InputError("--json and --md exclude each other: standard output holds one document. Give one.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedVerb(Shared):
    """How a command speaks that ends in a verdict."""

    strict: bool = field(default=False, metadata={"help": "Exit with status 3 when the verdict is unclear."})
