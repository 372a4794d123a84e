"""`karat explain CODE`: what a finding measures, how its verdict is decided, and what to do about it."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Mapping

from karat.errors import InputError
from karat.types import Result

Explanation = tuple[str, str, str, str]
"""Title, what it measures, how the verdict is decided, what to do."""

_HEADINGS = ("What it measures", "How the verdict is decided", "What to do")


def explain(code: str, explanations: Mapping[str, Explanation], *, width: int = 80) -> str:
    """The explanation of one finding as text.

    Args:
        code: a finding's code; upper and lower case are the same.
        explanations: code -> explanation, for every code there is.
        width: columns to wrap at.
    Raises: InputError: no such code; the message names the nearest ones.
    """
    code = known_code(code, explanations)
    title, *paragraphs = explanations[code]
    blocks = [f"{code}  {title}"]
    for heading, paragraph in zip(_HEADINGS, paragraphs, strict=True):
        body = textwrap.fill(" ".join(paragraph.split()), width, initial_indent="  ", subsequent_indent="  ")
        blocks.append(f"{heading}\n{body}")
    return "\n\n".join(blocks) + "\n"


def explain_markdown(code: str, explanations: Mapping[str, Explanation]) -> str:
    """The same as Markdown. The texts are karat's own, so they keep the markup they have."""
    code = known_code(code, explanations)
    title, *paragraphs = explanations[code]
    blocks = [f"# `{code}` {title}"]
    for heading, paragraph in zip(_HEADINGS, paragraphs, strict=True):
        blocks += [f"## {heading}", " ".join(paragraph.split())]
    return "\n\n".join(blocks) + "\n"


def explain_result(code: str, explanations: Mapping[str, Explanation]) -> Result:
    """The same as a result, for the JSON output."""
    code = known_code(code, explanations)
    title, measures, decided, action = explanations[code]
    return Result(
        "explain",
        values={"code": code, "title": title, "measures": measures, "decided": decided, "action": action},
    )


def list_codes(explanations: Mapping[str, Explanation]) -> str:
    """Every code with its title, one a line."""
    stem = max((len(code) for code in explanations), default=0)
    return "".join(f"{code:<{stem}}  {explanations[code][0]}\n" for code in sorted(explanations))


def known_code(code: str, explanations: Mapping[str, Explanation]) -> str:
    """`code` as it is spelt in the registry. Raises InputError where there is none like it."""
    spelt = {known.casefold(): known for known in explanations}
    if code.casefold() in spelt:
        return spelt[code.casefold()]
    near = [spelt[match] for match in difflib.get_close_matches(code.casefold(), spelt, n=3, cutoff=0.5)]
    hint = f"Did you mean {' or '.join(near)}?" if near else "Run `karat explain` for the list."
    raise InputError(f"no finding has the code {code!r}. {hint}")
