"""Shell scripts to simple commands: words, assignments, redirections, here-documents, and what joins them.

Not a shell: nothing is expanded or run. Substitutions stay in the word as they are written. It never fails; what it
cannot take apart (an open quote) ends with the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_OPERATORS = ("&&", "||", ";;", "|&", ";", "|", "&", "\n")
_SKIPPED = frozenset(
    (
        "if",
        "then",
        "else",
        "elif",
        "fi",
        "while",
        "until",
        "do",
        "done",
        "case",
        "esac",
        "{",
        "}",
        "(",
        ")",
        "!",
        "time",
        "in",
    )
)
_ASSIGNMENT = re.compile(r"^[A-Za-z_]\w*\+?=")
MAX_COMMANDS = 2000
MAX_CHARS = 400_000


@dataclass(slots=True)
class Command:
    """One simple command."""

    words: list[str] = field(default_factory=list)
    """Unquoted; the command's name first."""
    assignments: dict[str, str] = field(default_factory=dict)
    """Written before the name, or alone."""
    redirects: list[tuple[str, str]] = field(default_factory=list)
    """Operator (`>`, `>>`, `<`, `2>`, `&>`) and target."""
    heredoc: str | None = None
    joined_by: str = ""
    """Operator before it: empty, `&&`, `||`, `;`, `|` or `&`."""
    ended_by: str = ""
    text: str = ""
    line: int = 0
    """0-based line of the script."""

    @property
    def name(self) -> str:
        return self.words[0].rsplit("/", 1)[-1] if self.words else ""


def parse_shell(script: str) -> list[Command]:
    """The simple commands of a script, in order."""
    return _Reader(script[:MAX_CHARS]).commands()


class _Reader:
    def __init__(self, script: str) -> None:
        self.text = script.replace("\r\n", "\n").replace("\\\n", " ")
        self.at = 0
        self.found: list[Command] = []
        self.open_heredocs: list[tuple[Command, str, bool]] = []

    def commands(self) -> list[Command]:
        current, joined_by, began = Command(), "", 0
        while self.at < len(self.text) and len(self.found) < MAX_COMMANDS:
            character = self.text[self.at]
            operator = next((mark for mark in _OPERATORS if self.text.startswith(mark, self.at)), "")
            if character in " \t":
                self.at += 1
            elif character == "#" and (self.at == 0 or self.text[self.at - 1] in " \t\n;"):
                self.at = self._line_end()
            elif operator and not (operator == "&" and self.text.startswith("&>", self.at)):
                self._finish(current, joined_by, operator, began)
                joined_by = ";" if operator == "\n" else operator
                self.at += len(operator)
                if operator == "\n":
                    self._read_heredocs()
                current, began = Command(line=self.text.count("\n", 0, self.at)), self.at
            elif character in "()":
                self._finish(current, joined_by, ";", began)
                self.at += 1
                current, began = Command(line=self.text.count("\n", 0, self.at)), self.at
                joined_by = joined_by or ";"
            elif not self._redirect(current):
                self._add_word(current, self._word())
        self._finish(current, joined_by, "", began)
        return self.found

    def _finish(self, command: Command, joined_by: str, ended_by: str, began: int) -> None:
        while command.words and command.words[0] in _SKIPPED:
            command.words.pop(0)
        if command.words or command.assignments or command.redirects:
            command.joined_by, command.ended_by = (joined_by if self.found else ""), ended_by.strip(" ")
            command.text = self.text[began : self.at].strip()
            self.found.append(command)

    def _add_word(self, command: Command, word: str) -> None:
        if not command.words and _ASSIGNMENT.match(word):
            name, value = word.split("=", 1)
            command.assignments[name.rstrip("+")] = value
        else:
            command.words.append(word)

    def _redirect(self, command: Command) -> bool:
        match = re.compile(r"(\d*|&)(<<<|<<-?|>>|>\||>&|<&|<>|>|<)").match(self.text, self.at)
        if match is None:
            return False
        digit, operator = match[1], match[2]
        self.at = match.end()
        while self.text[self.at : self.at + 1] in (" ", "\t"):
            self.at += 1
        if operator.startswith("<<") and operator != "<<<":
            quoted = self.text[self.at : self.at + 1] in ("'", '"', "\\")
            delimiter = self._word()
            self.open_heredocs.append((command, delimiter, operator == "<<-" or quoted))
            command.heredoc = ""
            return True
        target = self._word()
        if operator == "<<<":
            command.heredoc = target
        else:
            command.redirects.append((f"{digit}{operator}", target))
        return True

    def _read_heredocs(self) -> None:
        for command, delimiter, _ in self.open_heredocs:
            body = []
            while self.at < len(self.text):
                end = self._line_end()
                line = self.text[self.at : end]
                self.at = min(end + 1, len(self.text))
                if line.strip() == delimiter:
                    break
                body.append(line)
            command.heredoc = "\n".join(body) + ("\n" if body else "")
        self.open_heredocs.clear()

    def _line_end(self) -> int:
        end = self.text.find("\n", self.at)
        return len(self.text) if end < 0 else end

    def _word(self) -> str:
        """The next word, unquoted; substitutions are copied with their brackets."""
        parts: list[str] = []
        while self.at < len(self.text):
            character = self.text[self.at]
            if character in " \t\n;|&()<>":
                break
            if character == "\\":
                parts.append(self.text[self.at + 1 : self.at + 2])
                self.at += 2
            elif character == "'":
                parts.append(self._until("'", raw=True))
            elif character == '"':
                parts.append(self._until('"', raw=False))
            elif self.text.startswith("$'", self.at):
                self.at += 1
                parts.append(_ansi(self._until("'", raw=False)))
            elif self.text.startswith(("$(", "<(", ">("), self.at):
                parts.append(self._brackets())
            elif character == "`":
                parts.append("`" + self._until("`", raw=True) + "`")
            else:
                parts.append(character)
                self.at += 1
        if not parts and self.at < len(self.text) and self.text[self.at] not in " \t\n;|&()<>":
            self.at += 1
        return "".join(parts)

    def _until(self, mark: str, *, raw: bool) -> str:
        self.at += 1
        parts: list[str] = []
        while self.at < len(self.text) and self.text[self.at] != mark:
            if self.text.startswith("$(", self.at) and not raw:
                parts.append(self._brackets())
            elif self.text[self.at] == "\\" and not raw:
                following = self.text[self.at + 1 : self.at + 2]
                parts.append(following if following in ('"', "\\", "$", "`") else "\\" + following)
                self.at += 2
            else:
                parts.append(self.text[self.at])
                self.at += 1
        self.at += 1
        return "".join(parts)

    def _brackets(self) -> str:
        """A substitution with its nested brackets, as written."""
        began, depth = self.at, 0
        self.at += 1
        while self.at < len(self.text):
            character = self.text[self.at]
            depth += (character == "(") - (character == ")")
            self.at += 1
            if depth == 0:
                break
        return self.text[began : self.at]


def _ansi(text: str) -> str:
    return text.replace("\\n", "\n").replace("\\t", "\t").replace("\\'", "'").replace("\\\\", "\\")


def substitutions(text: str) -> list[str]:
    """Scripts inside `$(...)`, backticks and process substitutions of a script."""
    found = re.findall(r"`([^`]+)`", text)
    for match in re.finditer(r"[$<>]\(", text):
        depth, at = 1, match.end()
        while at < len(text) and depth:
            depth += (text[at] == "(") - (text[at] == ")")
            at += 1
        if depth == 0 and not text.startswith("$((", match.start()):
            found.append(text[match.end() : at - 1])
    return found[:50]
