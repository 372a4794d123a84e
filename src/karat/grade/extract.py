"""Code out of a model's answer."""

from __future__ import annotations

import re
from typing import Literal

Extract = Literal["auto", "last block", "first block", "whole", "completion"]

FENCE = re.compile(
    r"(?:^(?P<indent>[ \t]*)(?P<fence>```+|~~~+)[ \t]*(?P<name>[A-Za-z0-9_+#.-]*)[^\n]*"
    r"|(?<=[ \t:])(?P<late>```+)(?P<late_name>[A-Za-z0-9_+#.-]+)[ \t\r]*)\n"  # behind a sentence; only with a name
    r"(?P<body>.*?)(?:^[ \t]*(?:(?P=fence)|(?P=late))[ \t\r]*$|(?P<open>\Z))",
    re.M | re.S,
)
PYTHON = ("", "python", "py", "python3")


def code_of(answer: str, *, how: Extract = "auto", prompt: str = "") -> str:
    """The program in an answer.

    Args:
        answer: the model's text.
        how: whole: the text itself; completion: the text appended to `prompt`, which is code; first / last block: that
            fenced block of Python or of no named language; auto: the last such block, or the whole text without any.
        prompt: the task's prompt, for `completion`.
    Returns: source text; empty where a block is asked for and there is none. An unclosed fence runs to the end; a
        fence that is set in (in a list) is taken out with its margin.
    """
    if how == "whole":
        return answer
    if how == "completion":
        return prompt + answer
    blocks = [
        _text_of(match)
        for match in FENCE.finditer(answer)
        if (match["late_name"] or match["name"] or "").lower() in PYTHON
    ]
    if not blocks:
        return answer if how == "auto" else ""
    return blocks[0] if how == "first block" else blocks[-1]


def _text_of(block: re.Match[str]) -> str:
    text, margin = block["body"], len(block["indent"] or "")
    if block["open"] is not None:  # `return 1` and the closing fence on one line
        text = re.sub(r"[ \t]*(?:```+|~~~+)\s*\Z", "\n", text)
    return re.sub(rf"^[ \t]{{1,{margin}}}", "", text, flags=re.M) if margin else text
