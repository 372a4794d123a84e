"""For all tests: no law is timed. How long an example takes on a busy machine says nothing about it."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("karat", deadline=None)
settings.load_profile("karat")
