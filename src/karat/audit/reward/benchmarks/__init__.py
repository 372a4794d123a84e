"""Public benchmarks of rewards, read from files or the hub and scored with intervals, baselines and paired tests."""

from __future__ import annotations

from karat.audit.reward.benchmarks.run import audit_benchmarks

__all__ = ["audit_benchmarks"]
