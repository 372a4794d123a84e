"""Shell commands to file actions: redirections, here-documents, sed, rm, mv, cp, patch, Python, tools of agents."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from karat.grade.rollout.diffs import actions_of_patch, looks_like_patch
from karat.grade.rollout.scripts import script_effects
from karat.grade.rollout.sed import apply_sed, sed_pairs
from karat.grade.rollout.shell import Command, parse_shell, substitutions
from karat.grade.rollout.types import Action, Text

_READERS = frozenset(
    [
        "cat",
        "head",
        "tail",
        "less",
        "more",
        "nl",
        "bat",
        "tac",
        "xxd",
        "strings",
        "od",
        "hexdump",
        "awk",
        "gawk",
        "cut",
        "jq",
        "wc",
        "diff",
        "cmp",
        "view",
        "open",
    ]
)
_PYTHONS = re.compile(r"^(python|pypy|ipython)[\d.]*$")
_SHELLS = frozenset(["bash", "sh", "zsh", "dash", "ksh"])
_PREFIXES = frozenset(
    [
        "sudo",
        "env",
        "nohup",
        "time",
        "nice",
        "stdbuf",
        "exec",
        "command",
        "builtin",
        "setsid",
        "ionice",
        "unbuffer",
        "eval",
        "doas",
    ]
)
_TOOLS = frozenset(["str_replace_editor", "str_replace_based_edit_tool", "edit_anthropic"])
MAX_DEPTH = 4


@dataclass(slots=True)
class Expanded:
    """What a script does, as far as it can be read."""

    actions: list[Action] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    """Nested ones too (`bash -c`, substitutions, scripts that the agent wrote)."""
    cwd: str = ""
    code: list[str] = field(default_factory=list)
    """Python code that it runs."""


Lookup = Callable[[str], str | None]


def expand_script(script: str, step: int, *, cwd: str = "", lookup: Lookup | None = None, result: str = "") -> Expanded:
    """Commands and file actions of a shell script.

    Args:
        script: as the agent sent it.
        step: of the actions.
        cwd: folder in which it starts; empty: the workspace.
        lookup: text of a file that the agent wrote, by path as written; None where it is not known.
        result: its output; the content of the file where it is a single `cat FILE`.
    """
    reader = _Expander(step, lookup or (lambda path: None), Expanded(cwd=cwd))
    reader.run(script, 0)
    found = reader.found
    plain = [command for command in found.commands if command.name not in ("cd", "pwd", "ls", "echo")]
    if len(plain) == 1 and plain[0].name == "cat" and len(plain[0].words) == 2 and not plain[0].redirects and result:
        found.actions = [_with_content(action, result) for action in found.actions]
    return found


def expand_code(code: str, step: int, *, cwd: str = "", lookup: Lookup | None = None) -> Expanded:
    """The same for Python code that the agent runs."""
    reader = _Expander(step, lookup or (lambda path: None), Expanded(cwd=cwd))
    reader.python(code, 0)
    return reader.found


def _with_content(action: Action, result: str) -> Action:
    return replace(action, before=Text(text=result, whole=True)) if action.kind == "read" else action


class _Expander:
    def __init__(self, step: int, lookup: Lookup, found: Expanded) -> None:
        self.step, self.lookup, self.found = step, lookup, found
        self.script = ""
        self.variables: dict[str, str] = {}

    def run(self, script: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            return
        outer, self.script = self.script, script
        previous: Command | None = None
        for command in parse_shell(script):
            self._expand(command)
            _strip_prefixes(command)
            self.found.commands.append(command)
            self._one(command, previous, depth)
            previous = command
        for inner in substitutions(script):
            self.run(inner, depth + 1)
        self.script = outer

    def python(self, code: str, depth: int) -> None:
        self.found.code.append(code)
        effects = script_effects(code, self.step)
        self.found.actions += [self._placed(action) for action in effects.actions]
        for text in effects.commands:
            self.run(text, depth + 1)

    def _expand(self, command: Command) -> None:
        """Variables that the script itself sets; of a loop, its first word stands for all."""
        if command.words[:1] == ["for"] and len(command.words) > 3 and command.words[2] == "in":
            self.variables[command.words[1]] = command.words[3]
        if not command.words:
            self.variables |= command.assignments
        if self.variables:
            command.words = [self._filled(word) for word in command.words]
            command.redirects = [(mark, self._filled(target)) for mark, target in command.redirects]

    def _filled(self, word: str) -> str:
        return re.sub(r"\$\{?(\w+)\}?", lambda match: self.variables.get(match[1], match[0]), word)

    # -------------------------------------------------------------------------------------------------- one command
    def _one(self, command: Command, previous: Command | None, depth: int) -> None:
        name, words = command.name, command.words[1:]
        self._redirects(command, previous)
        plain = [word for word in words if not word.startswith("-")]
        if name == "cd" and plain:
            self.found.cwd = join(self.found.cwd, plain[0])
        elif _PYTHONS.match(name):
            self._python(command, previous, depth)
        elif name in _SHELLS:
            self._shell(command, previous, depth)
        elif name in ("rm", "unlink", "shred", "rmdir"):
            self._each("delete", plain)
        elif name == "mv" and len(plain) > 1:
            self._move(plain)
        elif name in ("cp", "ln", "install", "rsync") and len(plain) > 1:
            self._each("read", plain[:-1])
            self._copy(plain)
        elif name == "git":
            self._git(words, depth)
        elif name == "sed" or name == "perl":
            self._sed(name, words)
        elif name == "patch":
            self._patch(command, previous)
        elif name == "apply_patch":
            self._apply(command.heredoc if command.heredoc else " ".join(words))
        elif name == "tee":
            self._tee(plain, previous, command, append="-a" in words)
        elif name == "truncate" and plain:
            self._each("write", plain[-1:], after="")
        elif name == "find":
            self._find(words)
        elif name in ("curl", "wget") and any(word in ("-o", "-O", "--output") for word in words[:-1]):
            at = next(index for index, word in enumerate(words) if word in ("-o", "-O", "--output"))
            self._each("write", [] if words[at + 1].startswith(("http", "-")) else words[at + 1 : at + 2])
        elif name == "xargs" and plain:
            self._xargs(plain, words)
        elif name in _TOOLS or name in ("edit", "create", "insert"):
            self._tool(command)
        elif name == "grep" or name in ("rg", "egrep", "fgrep", "ag"):
            self._each("read", [word for word in plain[1:] if "/" in word or "." in word])
        elif name in _READERS or name in ("source", "."):
            self._each("read", [word for word in plain if not re.fullmatch(r"[\d,+]+", word)])

    def _redirects(self, command: Command, previous: Command | None) -> None:
        for operator, target in command.redirects:
            if operator.endswith("<"):
                self._each("read", [target])
            elif target.startswith(("&", "/dev/")) or operator.endswith(">&") or re.fullmatch(r"\d", target):
                continue
            elif operator.lstrip("012&").startswith(">") and not operator.startswith("2"):
                self._write(target, _printed(command, previous), append=">>" in operator)

    def _write(self, path: str, text: str | None, *, append: bool) -> None:
        if append:
            after = Text(text=text) if text is not None else None
            self._add(Action(step=self.step, kind="edit", path=path, before=Text(text=""), after=after))
        else:
            after = Text(text=text, whole=True) if text is not None else None
            self._add(Action(step=self.step, kind="write", path=path, after=after))

    def _python(self, command: Command, previous: Command | None, depth: int) -> None:
        words = command.words[1:]
        if "-c" in words and words.index("-c") + 1 < len(words):
            self.python(words[words.index("-c") + 1], depth)
            return
        plain = [word for word in words if not word.startswith("-") or word == "-"]
        if command.heredoc is not None and (not plain or plain[0] == "-"):
            self.python(command.heredoc, depth)
        elif command.joined_by == "|" and not plain and previous is not None:
            self.python(_printed(previous, None) or "", depth)
        elif plain and plain[0].endswith(".py") and "-m" not in words:
            self._each("read", plain[:1])
            code = self.lookup(join(self.found.cwd, plain[0]))
            if code is not None:
                self.python(code, depth)

    def _shell(self, command: Command, previous: Command | None, depth: int) -> None:
        words = command.words[1:]
        flag = next((at for at, word in enumerate(words) if re.fullmatch(r"-[a-z]*c", word)), None)
        if flag is not None and flag + 1 < len(words):
            self.run(words[flag + 1], depth + 1)
        elif command.heredoc is not None:
            self.run(command.heredoc, depth + 1)
        elif command.joined_by == "|" and previous is not None:
            self.run(_printed(previous, None) or "", depth + 1)
        elif words and not words[-1].startswith("-"):
            path = next(word for word in words if not word.startswith("-")) if words else ""
            script = self.lookup(join(self.found.cwd, path))
            if script is not None:
                self.run(script, depth + 1)

    def _move(self, plain: list[str]) -> None:
        for source in plain[:-1]:
            target = plain[-1]
            if target.endswith("/") or len(plain) > 2:
                target = target.rstrip("/") + "/" + source.rsplit("/", 1)[-1]
            self._add(Action(step=self.step, kind="rename", path=target, old_path=self._full(source)))

    def _copy(self, plain: list[str]) -> None:
        source, target = plain[0], plain[-1]
        if target.endswith("/") or len(plain) > 2:
            target = target.rstrip("/") + "/" + source.rsplit("/", 1)[-1]
        self._each("write", [target], after=self.lookup(self._full(source)))

    def _git(self, words: list[str], depth: int) -> None:
        verb, plain = (words[0] if words else ""), [word for word in words[1:] if not word.startswith("-")]
        if verb == "rm":
            self._each("delete", plain)
        elif verb == "mv" and len(plain) > 1:
            self._move(plain)
        elif verb == "apply":
            for path in plain:
                self._apply(self.lookup(join(self.found.cwd, path)) or "")
            if self.found.commands[-1].heredoc:
                self._apply(self.found.commands[-1].heredoc or "")

    def _sed(self, name: str, words: list[str]) -> None:
        in_place = any(re.match(r"^-\w*i", word) or word.startswith("--in-place") for word in words)
        scripts, files, at = [], [], 0
        while at < len(words):
            word = words[at]
            if (word in ("-e", "--expression", "-pe", "-pie", "-ne") and at + 1 < len(words)) or (
                word.startswith("-") and name == "perl" and word.endswith("e") and at + 1 < len(words)
            ):
                scripts.append(words[at + 1])
                at += 1
            elif not word.startswith("-"):
                files.append(word)
            elif word == "-i" and at + 1 < len(words) and words[at + 1] in ("", ".bak"):
                at += 1
            at += 1
        if not scripts and files:
            scripts.append(files.pop(0))
        for path in files:
            if in_place:
                self._sed_file(path, "\n".join(scripts))
            else:
                self._each("read", [path])

    def _sed_file(self, path: str, script: str) -> None:
        text = self.lookup(self._full(path))
        changed = apply_sed(text, script) if text is not None else None
        if text is not None and changed is not None:
            self._add(Action(step=self.step, kind="edit", path=path, before=Text(text=text, whole=True),
                             after=Text(text=changed, whole=True)))  # fmt: skip
            return
        pairs = sed_pairs(script)
        before = Text(text="\n".join(old for old, _ in pairs)) if pairs else None
        after = Text(text="\n".join(new for _, new in pairs)) if pairs else None
        self._add(Action(step=self.step, kind="edit", path=path, before=before, after=after))

    def _patch(self, command: Command, previous: Command | None) -> None:
        if command.heredoc:
            self._apply(command.heredoc)
        elif previous is not None and command.joined_by == "|":
            self._apply(_printed(previous, None) or "")
        for operator, target in command.redirects:
            if operator == "<":
                self._apply(self.lookup(self._full(target)) or "")

    def _apply(self, text: str) -> None:
        if looks_like_patch(text):
            for action in actions_of_patch(text, self.step, command=self.script, same_step=True)[0]:
                self._add(action)

    def _tee(self, plain: list[str], previous: Command | None, command: Command, *, append: bool) -> None:
        text = command.heredoc
        if text is None and previous is not None and command.joined_by == "|":
            text = _printed(previous, None)
        for path in plain:
            if not path.startswith("/dev/"):
                self._write(path, text, append=append)

    def _find(self, words: list[str]) -> None:
        roots = [word for word in words[: _first_test(words)] if not word.startswith("-")] or ["."]
        names = [
            words[at + 1] for at, word in enumerate(words[:-1]) if word in ("-name", "-iname", "-path", "-wholename")
        ]
        pattern = join(roots[0], names[-1] if names else "*")
        text = " ".join(words)
        if "-delete" in words or re.search(r"-exec (rm|unlink)\b", text):
            self._each("delete", [pattern])
        elif re.search(r"-exec (sed|perl) \S*-?\w*i", text):
            pairs = sed_pairs(next((word for word in words if re.match(r"^s[/|#]", word)), ""))
            self._add(Action(step=self.step, kind="edit", path=pattern,
                             before=Text(text="\n".join(old for old, _ in pairs)) if pairs else None,
                             after=Text(text="\n".join(new for _, new in pairs)) if pairs else None))  # fmt: skip

    def _xargs(self, plain: list[str], words: list[str]) -> None:
        if plain[0] in ("rm", "sed") and self.script:
            target = re.search(
                r"(?:find|ls|git ls-files|grep -rl\w*)\s+(?:-\S+\s+)*(?:'[^']*'\s+)?([\w./*-]+)", self.script
            )
            if target:
                if plain[0] == "rm":
                    self._each("delete", [target[1]])
                else:
                    self._sed("sed", [*words[words.index("sed") + 1 :], target[1]])

    def _tool(self, command: Command) -> None:
        """Commands of agent scaffolds: `str_replace_editor`, SWE-agent's `create`, `edit 3:5 << end_of_edit`."""
        words = command.words[1:]
        options = {word[2:]: words[at + 1] for at, word in enumerate(words[:-1]) if word.startswith("--")}
        if command.name == "create" and words:
            self._add(
                Action(step=self.step, kind="write", path=words[0], after=Text(text="", whole=True), created=True)
            )
        elif command.name == "edit" and command.heredoc is not None:
            body = re.sub(r"\n?end_of_edit\s*$", "", command.heredoc)
            self._add(Action(step=self.step, kind="edit", path="", before=None, after=Text(text=body)))
        elif command.name in _TOOLS and len(words) > 1:
            path, verb = words[1], words[0]
            if verb == "view":
                self._each("read", [path])
            elif verb == "create":
                self._add(Action(step=self.step, kind="write", path=path, created=True,
                                 after=Text(text=options.get("file_text", ""), whole=True)))  # fmt: skip
            elif verb in ("str_replace", "insert"):
                self._add(Action(step=self.step, kind="edit", path=path, before=Text(text=options.get("old_str", "")),
                                 after=Text(text=options.get("new_str", ""))))  # fmt: skip

    # ------------------------------------------------------------------------------------------------------- helpers
    def _full(self, path: str) -> str:
        return join(self.found.cwd, path)

    def _placed(self, action: Action) -> Action:
        old = self._full(action.old_path) if action.old_path else ""
        return replace(action, path=self._full(action.path), old_path=old, command=self.script or action.command)

    def _add(self, action: Action) -> None:
        path = self._full(action.path) if action.path else ""
        self.found.actions.append(replace(action, path=path, command=action.command or self.script))

    def _each(self, kind: str, paths: list[str], after: str | None = None) -> None:
        text = Text(text=after, whole=True) if after is not None else None
        for path in paths:
            if path and "\n" not in path and len(path) < 500:
                self._add(Action(step=self.step, kind=kind, path=path, after=text))  # type: ignore[arg-type]


def _first_test(words: list[str]) -> int:
    return next((at for at, word in enumerate(words) if word.startswith("-") and at > 0), len(words))


def _strip_prefixes(command: Command) -> None:
    """Takes `sudo`, `env A=1`, `timeout 60` ... off, so that the command's own name comes first."""
    while command.words:
        name = command.name
        if name in _PREFIXES and len(command.words) > 1:
            command.words.pop(0)
            while command.words and (command.words[0].startswith("-") or (name == "env" and "=" in command.words[0])):
                word = command.words.pop(0)
                if "=" in word and not word.startswith("-"):
                    key, value = word.split("=", 1)
                    command.assignments[key] = value
        elif name == "timeout" and len(command.words) > 2:
            command.words.pop(0)
            while command.words and command.words[0].startswith("-"):
                command.words.pop(0)
            command.words.pop(0)
        else:
            return


def _printed(command: Command, previous: Command | None) -> str | None:
    """What a command prints, where that can be read off it."""
    words = command.words[1:]
    if command.heredoc is not None and command.name in ("cat", "tee", ""):
        return command.heredoc
    if command.name == "cat" and words == ["/dev/null"]:
        return ""
    if command.name == "echo":
        while words and re.fullmatch(r"-[neE]+", words[0]):
            words = words[1:]
        return _unescaped(" ".join(words)) + "\n"
    if command.name == "printf" and words:
        text = _unescaped(words[0])
        if "%" in text and len(words) > 1:
            text = re.sub(r"%[sd]", lambda match: words[1], text)
        return text
    if command.name in ("true", ":", "") or not command.words:
        return ""
    if command.name in ("base64", "cat") and previous is not None and command.joined_by == "|":
        return None
    return None


def _unescaped(text: str) -> str:
    return text.replace("\\n", "\n").replace("\\t", "\t")


def join(cwd: str, path: str) -> str:
    """A path below a folder, with `.` and `..` taken out; absolute ones stay absolute."""
    path = path.strip().strip("\"'")
    whole = path if path.startswith(("/", "~", "$")) or not cwd else f"{cwd}/{path}"
    parts: list[str] = []
    for part in whole.split("/"):
        if part == ".." and parts and parts[-1] not in ("..", ""):
            parts.pop()
        elif part not in (".",) and not (part == "" and parts):
            parts.append(part)
    return "/".join(parts) if parts != [""] else "/"
