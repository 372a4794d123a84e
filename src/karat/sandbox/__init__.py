"""Runs untrusted code and says what it stops and what it does not stop.

`open_sandbox(backend)` gives a `Sandbox`; records are in `types`; what runs beside the candidate is in `inside`; which
walls must stand is in `policy`; what this machine offers is in `doctor`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path

from karat.errors import InputError
from karat.sandbox.policy import Policy, require_walls
from karat.sandbox.types import Sandbox

MODULES = {
    "namespaces": ("karat.sandbox.namespaces", "NamespaceSandbox"),
    "bubblewrap": ("karat.sandbox.bubblewrap", "BubblewrapSandbox"),
    "subprocess": ("karat.sandbox.plain", "PlainSandbox"),
    "container": ("karat.sandbox.container", "ContainerSandbox"),
}
"""Back ends by name, strongest first; each module has `available() -> str`, empty or why not."""

AUTO = ("namespaces", "bubblewrap", "subprocess")
"""What `auto` tries, in this order. A container engine is started only where it is named."""

BACKENDS = ("auto", *MODULES)


def available(backend: str) -> str:
    """Empty where a back end works here; else why not."""
    if os.name != "posix":
        return "it needs a POSIX system; run all of karat in the image of containers/Containerfile"
    reason: str = importlib.import_module(MODULES[backend][0]).available()
    return reason


def strongest() -> str:
    """The first back end of AUTO that works here.

    Raises: InputError: none does; with each one's reason.
    """
    why_not = {}
    for name in AUTO:
        if not (reason := available(name)):
            return name
        why_not[name] = reason
    raise InputError(f"No sandbox works here: {'; '.join(f'{name}: {reason}' for name, reason in why_not.items())}.")


def open_sandbox(
    backend: str = "auto",
    *,
    policy: Policy | None = None,
    packages: Sequence[str | Path] = (),
    preload: Sequence[str] = (),
) -> Sandbox:
    """The back end by name; `auto` takes the strongest that works here.

    Args:
        policy: which walls must stand. None asks for `standard` of `auto`, and for nothing of a back end that is named:
            naming a weak one is a decision, falling back to it is not.
        packages: folders of trusted packages that a program may import and not change.
        preload: modules that every program will import; a fork server loads them once, other back ends each time.
    Raises: InputError: no such back end, it does not work here, a wall is missing, or a folder is not there.
    """
    if backend not in BACKENDS:
        raise InputError(f"backend {backend!r} is unknown. It is one of: {', '.join(BACKENDS)}.")
    folders = tuple(str(Path(folder).resolve()) for folder in packages)
    for folder in folders:
        if not Path(folder).is_dir():
            raise InputError(f"packages: {folder} is not a folder. Name folders that hold importable packages.")
    name = backend
    if backend == "auto":
        name = strongest()
    elif reason := available(backend):
        raise InputError(
            f"The sandbox {backend!r} does not work here: {reason}. Try 'auto', or `karat grade --doctor`."
        )
    module, kind = MODULES[name]
    home = importlib.import_module(module)
    options = {"preload": (*home.PRELOAD, *preload)} if preload and name == "namespaces" else {}
    sandbox: Sandbox = getattr(home, kind)(packages=folders, **options)
    try:
        require_walls(sandbox, policy or ("standard" if backend == "auto" else "any"))
    except BaseException:
        sandbox.close()
        raise
    return sandbox


__all__ = ["AUTO", "BACKENDS", "Sandbox", "available", "open_sandbox"]
