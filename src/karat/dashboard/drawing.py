"""The report's figures for a page whose policy allows no inline styles: styles become attributes of SVG."""

from __future__ import annotations

import re

from markupsafe import Markup

from karat.report.plots import Plot

_STYLE = re.compile(r' style="([^"]*)"')
_PATH = re.compile(r' d="[^"]*"')
_NUMBER = re.compile(r"(?<=\d\.\d)\d{3,}")


def inline(plot: Plot) -> Markup:
    """The markup of a figure with `style="fill: x"` as `fill="x"`, and coordinates to a tenth of a point or better.

    Every style that matplotlib writes is also an attribute of SVG; the width of the whole is left to the page.
    """
    head, _, rest = plot.svg.partition(">")
    head = _STYLE.sub("", head)
    rest = _STYLE.sub(_as_attributes, rest)
    return Markup(f"{head}>{_PATH.sub(_rounded, rest)}")  # markup of karat.report.plots, escaped there


def _as_attributes(found: re.Match[str]) -> str:
    written = []
    for declaration in found.group(1).split(";"):
        name, colon, value = declaration.partition(":")
        if colon:
            written.append(f' {name.strip()}="{value.strip()}"')
    return "".join(written)


def _rounded(found: re.Match[str]) -> str:
    return _NUMBER.sub("", found.group())
