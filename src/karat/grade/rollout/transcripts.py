"""Lists of messages to actions: OpenAI and Anthropic tool calls, Responses items, tags in text, fenced blocks."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from karat.grade.rollout.diffs import actions_of_patch, looks_like_patch
from karat.grade.rollout.tools import MAX_TEXT, tool_actions
from karat.grade.rollout.types import Action, Role, Turn

MAX_ACTIONS = 20_000
MAX_WAITING = 50
_FENCE = re.compile(
    r"^(?P<mark>`{3,}|~{3,})[ \t]*(?P<language>[\w+-]*)[^\n]*\n(?P<body>.*?)^(?P=mark)`*[ \t]*$", re.M | re.S
)
_ARGUMENTS = ("arguments", "input", "action", "operation")
_SHELL_FENCES = frozenset(["bash", "sh", "shell", "console", "zsh", "mswea_bash_command", "terminal", "shell-session"])
_FUNCTION = re.compile(r"<function=([\w.-]+)>(.*?)</function>", re.S)
_PARAMETER = re.compile(r"<parameter=([\w.-]+)>\n?(.*?)\n?</parameter>", re.S)
_EXECUTE = re.compile(r"<execute_(bash|ipython)>\n?(.*?)\n?</execute_\1>", re.S)
_TOOL_CALL = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.S)
_INVOKE = re.compile(r'<invoke name="([\w.-]+)">(.*?)</invoke>', re.S)
_INVOKE_PARAMETER = re.compile(r'<parameter name="([\w.-]+)">(.*?)</parameter>', re.S)


@dataclass(slots=True)
class _Call:
    name: str
    arguments: Any
    call_id: str = ""
    result: str = ""


@dataclass(slots=True)
class Reading:
    """What was made of one transcript so far."""

    actions: list[Action] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    problems: Counter[str] = field(default_factory=Counter)
    calls: list[_Call] = field(default_factory=list)
    waiting: list[_Call] = field(default_factory=list)
    """Calls without a result so far, the latest few."""

    def finish(self) -> None:
        """Turn the calls, now with their results, into actions."""
        for step, call in enumerate(self.calls):
            if len(self.actions) >= MAX_ACTIONS:
                self.problems[f"tool calls beyond {MAX_ACTIONS:,} actions"] += len(self.calls) - step
                return
            if call.name == "(patch)":
                found, problems = actions_of_patch(str(call.arguments), step, same_step=True)
                self.problems.update(problems)
                self.actions += found
                continue
            actions, problem = tool_actions(call.name, call.arguments, step, call.result)
            self.actions += actions
            if problem:
                self.problems[problem] += 1

    def say(self, role: Role, text: str) -> None:
        if text.strip():
            self.turns.append(Turn(role, text[:MAX_TEXT], len(self.calls)))

    def call(self, name: str, arguments: Any, call_id: str = "") -> None:
        self.calls.append(_Call(name, arguments, call_id))
        self.waiting = [*self.waiting[-MAX_WAITING:], self.calls[-1]]

    def answer(self, text: str, call_id: str = "") -> bool:
        """Give a result to the call with this id, or to the first that has none."""
        fits = [call for call in self.waiting if not call_id or call.call_id == call_id]
        fits = fits or [call for call in self.waiting if not call.call_id]
        if fits:
            fits[0].result = text[:MAX_TEXT]
            self.waiting.remove(fits[0])
        return bool(fits)


def read_messages(messages: Iterable[Any]) -> Reading:
    """Messages of a conversation, in order, to calls with results and to turns."""
    reading = Reading()
    for message in messages:
        if not isinstance(message, Mapping):
            reading.problems["a message that is not an object"] += 1
            continue
        _read_message(reading, _unwrapped(message))
    reading.finish()
    return reading


def _unwrapped(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Lines of Claude Code and Codex sessions hold the message in `message` or `payload`."""
    for key in ("message", "payload"):
        inner = message.get(key)
        if isinstance(inner, Mapping) and ("role" in inner or "type" in inner):
            return inner
    return message


def _read_message(reading: Reading, message: Mapping[str, Any]) -> None:
    kind = message.get("type")
    role = message.get("role") or message.get("from") or ("" if kind else None)
    if kind in ("function_call", "custom_tool_call", "local_shell_call", "shell_call", "apply_patch_call"):
        arguments: Any = next((message[key] for key in _ARGUMENTS if key in message), {})
        name = message.get("name") or {"apply_patch_call": "apply_patch"}.get(str(kind), "shell")
        reading.call(str(name), arguments, str(message.get("call_id") or ""))
    elif (isinstance(kind, str) and kind.endswith("_call_output")) or kind == "function_call_output":
        output = _output_text(message.get("output"))
        if not reading.answer(output, str(message.get("call_id") or "")):
            reading.problems["a tool result without a call"] += 1
    elif role in ("tool", "function", "tool_result", "observation", "environment", "ipython"):
        call_id = str(message.get("tool_call_id") or message.get("id") or "")
        if not reading.answer(text_of(message.get("content")), call_id):
            reading.problems["a tool result without a call"] += 1
    elif role in ("assistant", "ai", "gpt", "model", "agent"):
        _read_agent(reading, message)
    elif role in ("user", "human"):
        _read_user(reading, message)
    elif role in ("system", "developer"):
        reading.say("system", _said(message))
    elif isinstance(kind, str) and kind in (
        "reasoning", "summary", "system", "progress", "file-history-snapshot", "queue-operation", "session_meta",
        "turn_context", "event_msg", "result", "compacted", "user_message", "agent_message", "token_count", "meta",
    ):  # fmt: skip
        return
    else:
        shown = str(role or kind)[:40]
        reading.problems[f"a message of role {shown!r}" if role else f"a message of type {shown!r}"] += 1


def _output_text(output: Any) -> str:
    """Some session files wrap the output of a command as JSON text."""
    if isinstance(output, str) and output.startswith("{") and '"output"' in output:
        try:
            return text_of(json.loads(output, strict=False))
        except (ValueError, RecursionError):
            return output
    return text_of(output)


def _said(message: Mapping[str, Any]) -> str:
    return text_of(message.get("content") if "content" in message else message.get("value") or message.get("text"))


def _read_user(reading: Reading, message: Mapping[str, Any]) -> None:
    """What a user says; a text that follows a command without a result is that command's output (mini-swe-agent)."""
    content = message.get("content")
    said: list[str] = []
    if isinstance(content, list):
        for block in content:
            if isinstance(block, Mapping) and block.get("type") in ("tool_result", "function_call_output"):
                if not reading.answer(text_of(block.get("content")), str(block.get("tool_use_id") or "")):
                    reading.problems["a tool result without a call"] += 1
            else:
                said.append(text_of(block))
        text = "\n".join(part for part in said if part)
    else:
        text = _said(message)
    if reading.waiting and not isinstance(content, list) and not reading.waiting[-1].call_id:
        reading.answer(text)
    else:
        reading.say("user", text)


def _read_agent(reading: Reading, message: Mapping[str, Any]) -> None:
    content = message.get("content")
    said: list[str] = []
    calls = 0
    for block in content if isinstance(content, list) else []:
        if isinstance(block, Mapping) and block.get("type") in ("tool_use", "tool_call", "server_tool_use"):
            reading.say("agent", "\n".join(said))
            said.clear()
            reading.call(
                str(block.get("name") or ""), block.get("input", block.get("arguments")), str(block.get("id") or "")
            )
            calls += 1
        else:
            said.append(text_of(block))
    text = "\n".join(said) if isinstance(content, list) else _said(message)
    reasoning = message.get("reasoning_content")
    reading.say("agent", "\n".join(part for part in (reasoning if isinstance(reasoning, str) else "", text) if part))
    listed = message.get("tool_calls")
    for call in listed if isinstance(listed, list) else []:
        calls += _read_call(reading, call)
    if isinstance(message.get("function_call"), Mapping):
        calls += _read_call(reading, message["function_call"])
    if not calls:
        _read_text_calls(reading, text)


def _read_call(reading: Reading, call: Any) -> int:
    if not isinstance(call, Mapping):
        reading.problems["a tool call that is not an object"] += 1
        return 0
    function = call.get("function")
    if isinstance(function, Mapping):
        name: Any = function.get("name")
        arguments: Any = function.get("arguments")
    else:  # inspect_ai, LangChain, ATIF
        name = function or call.get("name") or call.get("function_name")
        arguments = next((call[key] for key in ("arguments", "args", "input") if key in call), None)
    reading.call(str(name or ""), arguments, str(call.get("id") or call.get("tool_call_id") or ""))
    return 1


def _read_text_calls(reading: Reading, text: str) -> None:
    """Calls written into the text: tags of agent scaffolds, else fenced shell blocks and patches."""
    found: list[tuple[int, str, Any]] = []
    for match in _FUNCTION.finditer(text):
        found.append((match.start(), match[1], dict(_PARAMETER.findall(match[2]))))
    for match in _INVOKE.finditer(text):
        found.append((match.start(), match[1], dict(_INVOKE_PARAMETER.findall(match[2]))))
    for match in _EXECUTE.finditer(text):
        found.append(
            (match.start(), "bash" if match[1] == "bash" else "ipython", {"command": match[2], "code": match[2]})
        )
    for match in _TOOL_CALL.finditer(text):
        try:
            call = json.loads(match[1], strict=False)
        except (ValueError, RecursionError):
            reading.problems["a <tool_call> that is not JSON"] += 1
            continue
        if isinstance(call, dict):
            found.append((match.start(), str(call.get("name", "")), call.get("arguments", call.get("parameters"))))
    if not found:
        found = fenced_calls(text)
    for _, name, arguments in sorted(found, key=lambda item: item[0]):
        reading.call(name, arguments)


def fenced_calls(text: str) -> list[tuple[int, str, Any]]:
    """Fenced shell blocks and patches of a text as (place, tool, arguments)."""
    found: list[tuple[int, str, Any]] = []
    for match in _FENCE.finditer(text):
        language, body = match["language"].lower(), match["body"]
        if language in _SHELL_FENCES:
            command = "\n".join(re.sub(r"^\$ ", "", line) for line in body.split("\n"))
            found.append((match.start(), "bash", {"command": command}))
        elif language in ("diff", "patch") or (language in ("", "text") and looks_like_patch(body)):
            found.append((match.start(), "(patch)", body))
    return found


def read_text(text: str) -> Reading:
    """A transcript in plain text: fenced commands and patches in order; what follows a command is its output.

    Lines that begin with `User:` or `Human:` are the user's.
    """
    reading = Reading()
    at = 0
    for match in _FENCE.finditer(text):
        _say_lines(reading, text[at : match.start()])
        at = match.end()
        language, body = match["language"].lower(), match["body"]
        calls = fenced_calls(match[0])
        if calls:
            reading.call(calls[0][1], calls[0][2])
        elif language in ("", "text", "output") and reading.waiting:
            reading.answer(body)
        elif language in ("", "text", "output"):
            reading.problems["a fenced block without a language"] += 1
    _say_lines(reading, text[at:])
    reading.finish()
    return reading


def _say_lines(reading: Reading, text: str) -> None:
    for part in re.split(
        r"^(?=(?:#+\s*)?\**(?:User|Human|Assistant|Agent|AI|System|Task|Issue)\**:)", text, flags=re.M
    ):
        if re.match(r"(?:#+\s*)?\**(User|Human|Task|Issue)\**:", part):
            reading.say("user", part.split(":", 1)[1])
        elif part.strip():
            reading.say("agent", part)


def text_of(content: Any) -> str:
    """The text of a content: text, a list of blocks, or an object with one."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(part for part in map(text_of, content) if part)
    if isinstance(content, Mapping):
        for key in ("text", "content", "output", "stdout", "value"):
            if key in content:
                return text_of(content[key])
        return ""
    return "" if content is None else str(content)
