"""Whether a namespace was changed, read from its version tag: without touching what is in it.

CPython up to 3.13 gives each dict a number that no other state of any dict has had. Reading it writes nothing, while
comparing what a dict holds counts references, and each first write to a page of a forked process copies it.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

OFFSET = 24
"""Of ma_version_tag in PyDictObject on 64-bit CPython 3.11 to 3.13; checked before it is used."""


def reader() -> Callable[[Any], Any] | None:
    """A function from a namespace to an object whose `value` is the tag; None where there are none, or no ctypes yet:
    to load it in the candidate's process would cost more than it saves."""
    if "ctypes" not in sys.modules or sys.implementation.name != "cpython" or sys.version_info >= (3, 14):
        return None
    import ctypes

    def tag_of(namespace: Any) -> Any:
        if isinstance(namespace, MappingProxyType):
            (namespace,) = gc.get_referents(namespace)
        return ctypes.c_uint64.from_address(id(namespace) + OFFSET)

    return tag_of if works(tag_of) else None


def works(tag_of: Callable[[Any], Any]) -> bool:
    """Whether the tag stays while a dict is read, and moves with each kind of change."""
    tried: dict[str, int] = {"a": 1}
    tag = tag_of(tried)
    seen = [tag.value]
    tried.get("a")
    if tag.value != seen[0]:
        return False
    for change in (lambda: tried.update(a=2), lambda: tried.update(b=3), lambda: tried.pop("b"), tried.clear):
        change()
        seen.append(tag.value)
    return len(set(seen)) == len(seen)
