"""Code out of a model's answer."""

from __future__ import annotations

import re
from typing import Literal

Extract = Literal["auto", "last block", "first block", "whole", "completion"]

FENCE = re.compile(r"^[ \t]*(```+|~~~+)[ \t]*([A-Za-z0-9_+#.-]*)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.M | re.S)
PYTHON = ("", "python", "py", "python3")


def code_of(answer: str, *, how: Extract = "auto", prompt: str = "") -> str:
    """The program in an answer.

    Args:
        answer: the model's text.
        how: whole: the text itself; completion: the text appended to `prompt`, which is code; first / last block: that
            fenced block of Python or of no named language; auto: the last such block, or the whole text without any.
        prompt: the task's prompt, for `completion`.
    Returns: source text; empty where a block is asked for and there is none. An unclosed fence runs to the end.
    """
    if how == "whole":
        return answer
    if how == "completion":
        return prompt + answer
    blocks = [match[3] for match in FENCE.finditer(answer) if match[2].lower() in PYTHON]
    if not blocks:
        return answer if how == "auto" else ""
    return blocks[0] if how == "first block" else blocks[-1]
