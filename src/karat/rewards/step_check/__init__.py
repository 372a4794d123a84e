"""Checking the steps of a solution by computation: which of its claims are right, wrong, or not to be told."""

from karat.rewards.step_check.answers import same_answer
from karat.rewards.step_check.check import StepCheck, check_solution, check_step
from karat.rewards.step_check.claims import Claim
from karat.rewards.step_check.reward import StepCheckReward, label_steps_by_check

__all__ = [
    "Claim",
    "StepCheck",
    "StepCheckReward",
    "check_solution",
    "check_step",
    "label_steps_by_check",
    "same_answer",
]
