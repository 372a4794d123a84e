"""Targets of calls that name no function of the candidate: the ends of a test suite (see `relay` and `suite`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from karat.sandbox.inside import relay, suite

OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "@relay": relay.perform,
    "@trusted suite": suite.run_trusted,
    "@shared suite": suite.run_shared,
}
