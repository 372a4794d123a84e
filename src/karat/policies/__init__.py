"""Causal language models as policies: what writes the responses that rewards judge."""

from __future__ import annotations

from karat.policies.policy import Policy, Sampled, SamplingConfig

__all__ = ["Policy", "Sampled", "SamplingConfig"]
