"""Tool calls to actions: shells, Python, editors, file tools. By name where it is known, else by its arguments."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from karat.grade.rollout.diffs import actions_of_patch
from karat.grade.rollout.types import Action, Text

_SHELLS = re.compile(
    r"^(bash|shell|sh|zsh|execute_bash|run_bash|bash_session|run_command|run_shell|run_shell_command|terminal|exec|"
    r"run_terminal_cmd|run_in_terminal|execute_command|exec_command|container\.exec|local_shell|cmd|command|execute|"
    r"mswea_bash_command|shell_command|run|bash_command|powershell)$"
)
_PYTHONS = re.compile(
    r"^(python|ipython|run_python|python_exec|execute_ipython_cell|run_ipython|code_interpreter|execute_python|"
    r"python_interpreter|jupyter|notebook_run|run_code|execute_code)$"
)
_NEUTRAL = re.compile(
    r"^(think|finish|submit|submit_answer|done|todo\w*|task\w*|plan|update_plan|final_answer|attempt_completion|"
    r"ask_\w+|message|exit|stop|noop|wait|memory|delegate|recall|bash_output|kill_shell|complete|exit_plan_mode|agent|"
    r"scroll_\w+|goto|condensation\w*|report_intent)$"
)
_FETCHES = re.compile(
    r"^(web_?fetch|web_?search|fetch\w*|browser?\w*|browse\w*|search_web|open_url|http_\w+|visit\w*)$"
)
_SEARCHES = re.compile(
    r"^(grep\w*|glob\w*|ls|list\w*|find\w*|search\w*|file_search|codebase_search|tree|directory_tree|ripgrep|lsp\w*)$"
)
_PATHS = ("path", "file_path", "filepath", "file", "filename", "file_name", "target_file", "notebook_path", "filePath",
          "relative_path", "absolute_path", "relative_workspace_path")  # fmt: skip
_CONTENTS = (
    "content",
    "contents",
    "file_text",
    "text",
    "new_content",
    "code_edit",
    "data",
    "new_source",
    "file_content",
)
_OLDS = ("old_str", "old_string", "old", "search", "old_text", "original", "find", "target", "oldString", "old_content")
_NEWS = ("new_str", "new_string", "new", "replace", "new_text", "replacement", "updated", "newString", "new_content")
_COMMANDS = ("command", "cmd", "script", "commands", "bash_command", "shell_command", "action", "input")
_CODES = ("code", "source", "python", "script", "input", "cell", "command")
MAX_TEXT = 2_000_000
"""Characters kept of one argument or result."""


def parse_arguments(arguments: Any) -> dict[str, Any] | None:
    """Arguments as a mapping: they come as one, or as JSON text; None where they are neither."""
    if isinstance(arguments, Mapping):
        return {str(key): value for key, value in arguments.items()}
    if isinstance(arguments, str):
        try:
            parsed = json.loads(arguments, strict=False) if arguments.strip() else {}
        except (ValueError, RecursionError):
            return {"input": arguments} if arguments.lstrip().startswith("*** Begin Patch") else None
        return (
            {str(key): value for key, value in parsed.items()} if isinstance(parsed, dict) else {"input": str(parsed)}
        )
    return {} if arguments is None else None


def tool_actions(name: str, arguments: Any, step: int, result: str) -> tuple[list[Action], str]:
    """Actions of one tool call, and why it was not understood (empty: it was).

    Args:
        name: of the tool; a prefix (`functions.`, `mcp__server__`) does not count.
        arguments: mapping or JSON text.
        step: number of the call.
        result: what the tool answered.
    """
    args = parse_arguments(arguments)
    short = re.sub(r"^(functions\.|mcp__\w+?__|default_api\.|repo_browser\.)", "", str(name)).strip()
    if args is None:
        return [], f"arguments of the tool {short[:40]!r} that are not JSON"
    low = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", short).lower()
    result = result[:MAX_TEXT]
    if low in ("apply_patch", "apply_diff", "patch", "apply_patch_call"):
        return _patched(args, step, result)
    if _is_editor(low, args):
        return _editor(args, step, result), ""
    if _NEUTRAL.match(low):
        return [], ""
    if _PYTHONS.match(low) and _first(args, _CODES):
        return [_ran(step, python=_first(args, _CODES), result=result)], ""
    if _SHELLS.match(low) and (command := command_text(args)) is not None:
        return [Action(step=step, kind="run", command=command[:MAX_TEXT], result=result)], ""
    if _FETCHES.match(low):
        where = _first(args, ("url", "query", "uri", "link", "q", "search_term"))
        return [Action(step=step, kind="run", command="curl " + shlex.quote(where), result=result)], ""
    return _by_arguments(low, args, step, result)


def _ran(step: int, *, python: str, result: str) -> Action:
    return Action(step=step, kind="run", command=python[:MAX_TEXT], result=result, mode="python")


def _is_editor(low: str, args: Mapping[str, Any]) -> bool:
    verbs = ("view", "create", "str_replace", "insert", "undo_edit", "delete", "write", "read", "replace", "rename")
    return args.get("command") in verbs and bool(_first(args, _PATHS)) and not _SHELLS.match(low)


def _editor(args: Mapping[str, Any], step: int, result: str) -> list[Action]:
    """The editor tools of Anthropic, OpenHands, SWE-agent and inspect_ai: one tool with a `command`."""
    verb, path = str(args["command"]), _first(args, _PATHS)
    if result.lstrip().startswith(("Error", "ERROR", "No replacement was performed", "Invalid `")):
        return [Action(step=step, kind="read", path=path, result=result)]
    if verb in ("view", "read"):
        return [Action(step=step, kind="read", path=path, result=result, before=_viewed(result, args))]
    if verb in ("create", "write"):
        text = Text(text=_first(args, _CONTENTS), whole=True)
        return [Action(step=step, kind="write", path=path, after=text, result=result)]
    if verb == "delete":
        return [Action(step=step, kind="delete", path=path, result=result)]
    if verb == "insert":
        line = args.get("insert_line")
        inserted = _text(args.get("new_str") or args.get("insert_text") or args.get("text"))
        first = int(line) + 1 if isinstance(line, int) else 1
        numbers = tuple(range(first, first + inserted.count("\n") + 1))
        after = Text(text=inserted, lines=numbers)
        return [Action(step=step, kind="edit", path=path, before=Text(text=""), after=after, result=result)]
    if verb == "undo_edit":
        return [Action(step=step, kind="run", command=f"git checkout -- {shlex.quote(path)}", result=result)]
    return [_replaced(args, path, step, result)]


def _replaced(args: Mapping[str, Any], path: str, step: int, result: str) -> Action:
    before, after = Text(text=_first(args, _OLDS)), Text(text=_first(args, _NEWS))
    return Action(step=step, kind="edit", path=path, before=before, after=after, result=result)


def _patched(args: Mapping[str, Any], step: int, result: str) -> tuple[list[Action], str]:
    text = _first(args, ("input", "patch", "diff", "patch_text", "content", "operation"))
    actions, problems = actions_of_patch(text, step, same_step=True)
    path = _first(args, _PATHS)
    if not actions and path and text:
        header = f"--- a/{path}\n+++ b/{path}\n"
        actions, problems = actions_of_patch(header + text, step, same_step=True)
    return actions, "" if actions else f"a patch that cannot be read ({', '.join(problems) or 'no file in it'})"


def _by_arguments(low: str, args: Mapping[str, Any], step: int, result: str) -> tuple[list[Action], str]:
    """File tools have many names; what they are given says what they do."""
    path = _first(args, _PATHS)
    edits = args.get("edits")
    if path and isinstance(edits, list) and all(isinstance(edit, Mapping) for edit in edits):
        return [_replaced(edit, path, step, result) for edit in edits], ""
    if "delete" in low or "remove" in low:
        return ([Action(step=step, kind="delete", path=path, result=result)], "") if path else ([], _unknown(low))
    old, new = (
        _first(args, ("source", "old_path", "from", "src")),
        _first(args, ("destination", "new_path", "to", "dst")),
    )
    if old and new and re.search(r"move|rename|mv", low):
        return [Action(step=step, kind="rename", path=new, old_path=old, result=result)], ""
    if path and any(key in args for key in _OLDS) and any(key in args for key in _NEWS):
        return [_replaced(args, path, step, result)], ""
    if path and ("diff" in args or "patch" in args):
        return _patched(args, step, result)
    if _SEARCHES.match(low):
        return [Action(step=step, kind="read", path=path or ".", command=" ".join(map(str, args.values()))[:2000])], ""
    if path and any(key in args for key in _CONTENTS):
        text = Text(text=_first(args, _CONTENTS), whole=True)
        if "append" in low:
            return [Action(step=step, kind="edit", path=path, before=Text(text=""), after=text, result=result)], ""
        return [Action(step=step, kind="write", path=path, after=text, result=result)], ""
    if path and re.search(r"read|view|open|cat|show|get", low):
        return [Action(step=step, kind="read", path=path, result=result, before=_viewed(result, args))], ""
    command = command_text(args) if re.search(r"bash|shell|exec|run|term|command", low) else None
    if command is not None:
        return [Action(step=step, kind="run", command=command[:MAX_TEXT], result=result)], ""
    return [], _unknown(low)


def _unknown(low: str) -> str:
    return f"the tool {low[:40]!r}"


def command_text(args: Mapping[str, Any]) -> str | None:
    """The shell command of a call: text, or a list of words (`["bash", "-lc", "..."]`)."""
    for key in _COMMANDS:
        value = args.get(key)
        if isinstance(value, Mapping):
            return command_text(value)
        if isinstance(value, str):
            return value
        if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
            if len(value) == 3 and re.fullmatch(r"-\w*c", value[1]):
                return str(value[2])
            return "\n".join(value) if key == "commands" else shlex.join(value)
    return None


_NUMBERED = re.compile(r"^\s*(\d+)(?:\t|→|\|| \| |: ?)(.*)$")


def _viewed(result: str, args: Mapping[str, Any]) -> Text | None:
    """Content shown by a viewer, without its line numbers; whole where it starts at 1 and no range was asked for."""
    if not result:
        return None
    numbers, texts, other = [], [], 0
    lines = result.split("\n")
    for line in lines:
        match = _NUMBERED.match(line)
        if match:
            numbers.append(int(match[1]))
            texts.append(match[2])
        elif line.strip():
            other += 1
    partial = any(args.get(key) for key in ("view_range", "offset", "limit", "start_line", "end_line"))
    if numbers and other <= 3:
        whole = numbers[0] == 1 and not partial and numbers == list(range(1, len(numbers) + 1))
        return Text(text="\n".join(texts), lines=tuple(numbers), whole=whole)
    return None if partial or "[truncated" in result else Text(text=result, whole=True)


def _first(args: Mapping[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        value = args.get(name)
        if isinstance(value, str):
            return value[:MAX_TEXT]
        if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            return "\n".join(value)[:MAX_TEXT]
        if isinstance(value, Mapping) and name in _CONTENTS:
            return json.dumps(value)[:MAX_TEXT]
    return ""


def _text(value: Any) -> str:
    return value[:MAX_TEXT] if isinstance(value, str) else ""
