"""What a sed script of a simple form does to a text; and what it shows of old and new where the text is unknown."""

from __future__ import annotations

import re


def sed_pairs(script: str) -> list[tuple[str, str]]:
    """Pattern and replacement of each `s` command; for `c` and `i` the new text; for `d` the pattern and nothing."""
    found = []
    for match in re.finditer(r"(?:^|[;\n\d$,/{}\s])s([/|#@!,:~])((?:\\.|(?!\1).)*)\1((?:\\.|(?!\1).)*)\1", script):
        found.append((_plain_pattern(match[2]), _plain_pattern(match[3])))
    for match in re.finditer(r"/((?:\\.|[^/])*)/\s*([dci])\\?(.*)", script):
        found.append((_plain_pattern(match[1]), "" if match[2] == "d" else match[3].strip()))
    return found


def _plain_pattern(text: str) -> str:
    return re.sub(r"\\([/.|#@\[\]()*$^\"'])", r"\1", text).strip("^$").replace("\\n", "\n").replace("\\s*", " ")


def apply_sed(text: str, script: str) -> str | None:
    """The text after a sed script of the simple forms `Nd`, `N,Md`, `/x/d`, `[N]s/x/y/[g]`, `Nc`; None: another."""
    lines = text.split("\n")
    for part in [piece.strip() for piece in re.split(r"\n|;(?=\s*(?:\d|s[/|#]|/|$))", script) if piece.strip()]:
        match = re.fullmatch(r"(\d+)?(?:,(\d+|\$))?\s*(?:/((?:\\.|[^/])*)/)?\s*(d|s([/|#@,])(.*)|[ci]\\?\s*(.*))", part)
        if match is None:
            return None
        first = int(match[1]) if match[1] else 1
        last = len(lines) if match[2] == "$" or not match[1] else int(match[2] or first)
        try:
            lines = _sed_lines(lines, first, last, match)
        except (re.error, IndexError, ValueError):
            return None
    return "\n".join(lines)


def _sed_lines(lines: list[str], first: int, last: int, match: re.Match[str]) -> list[str]:
    out = []
    for number, line in enumerate(lines, 1):
        hit = first <= number <= last and (match[3] is None or re.search(_python_pattern(match[3]), line))
        if not hit:
            out.append(line)
        elif match[4].startswith("s"):
            pieces = re.split(rf"(?<!\\){re.escape(match[5])}", match[6])
            old, new, flags = pieces[0], pieces[1], (pieces[2] if len(pieces) > 2 else "")
            new = re.sub(r"(?<!\\)&", r"\\g<0>", new).replace("\\/", "/")
            out.append(re.sub(_python_pattern(old), new, line, count=0 if "g" in flags else 1))
        elif match[4][0] in "ci":
            out += [match[7] or ""] + ([line] if match[4][0] == "i" else [])
    return out


def _python_pattern(pattern: str) -> str:
    """A basic regular expression of sed as one of Python: there, plain brackets and + stand for themselves."""
    swapped = re.sub(r"\\([(){}+?|])|([(){}+?|])", lambda m: m[1] if m[1] else "\\" + m[2], pattern)
    return swapped.replace("\\/", "/")
