"""Checking the steps of a solution by computation: which of its claims are right, wrong, or not to be told."""

from karat.rewards.step_check.answers import same_answer
from karat.rewards.step_check.check import StepCheck, check_solution, check_step
from karat.rewards.step_check.claims import Claim

__all__ = ["Claim", "StepCheck", "check_solution", "check_step", "same_answer"]
