"""Known rollouts in the forms that people have: message lists, trajectories of frameworks, plain text, patches."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from karat.worlds.rollouts.known import KnownRollout, Step

_SYSTEM = "You are a coding agent. You work in /testbed."


def render(known: KnownRollout, form: str = "") -> str:
    """The rollout as the text of a file, in its own form or in another."""
    return FORMS[form or known.form](known)


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _editor(step: Step, *, command_key: str = "command") -> dict[str, Any]:
    """Arguments of an editor tool with a `command`."""
    if step.kind == "wrote":
        return {command_key: "create", "path": f"/testbed/{step.path}", "file_text": step.text}
    if step.kind == "edited":
        return {command_key: "str_replace", "path": f"/testbed/{step.path}", "old_str": step.old, "new_str": step.text}
    return {command_key: "view", "path": f"/testbed/{step.path}"}


def _shell(step: Step) -> str:
    """The step as a shell command."""
    if step.kind == "ran":
        return step.text
    if step.kind == "wrote":
        return f"cat > {step.path} <<'EOF'\n{step.text}\nEOF"
    if step.kind == "viewed":
        return f"cat {step.path}"
    if step.kind == "patched":
        return f"git apply - <<'EOF'\n{step.text}\nEOF"
    return (
        "python3 - <<'PYEOF'\nfrom pathlib import Path\n"
        f"p = Path({step.path!r})\np.write_text(p.read_text().replace({step.old!r}, {step.text!r}))\nPYEOF"
    )


def _openai(known: KnownRollout) -> str:
    """Chat messages with tool calls, as JSON with `messages`."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": known.task}]
    for number, step in enumerate(known.steps):
        name, arguments = ("bash", {"command": _shell(step)}) if step.kind in ("ran", "patched") else (
            "str_replace_editor", _editor(step))  # fmt: skip
        call = {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": _dump(arguments)}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"call_{number}", "content": step.output})
    return _dump({"rollout_id": known.name, "messages": messages})


def _anthropic(known: KnownRollout) -> str:
    """Messages with content blocks, one a line."""
    rows: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "text", "text": known.task}]}]
    for number, step in enumerate(known.steps):
        name, given = ("bash", {"command": _shell(step)}) if step.kind in ("ran", "patched") else (
            "str_replace_based_edit_tool", _editor(step))  # fmt: skip
        use = {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": given}
        answer = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": step.output}
        rows.append({"role": "assistant", "content": [{"type": "text", "text": "Next step."}, use]})
        rows.append({"role": "user", "content": [answer]})
    return "\n".join(map(_dump, rows))


def _claude_code(known: KnownRollout) -> str:
    """Session lines with a `message`; file tools Read, Write and Edit."""
    rows: list[dict[str, Any]] = [{"type": "user", "message": {"role": "user", "content": known.task}}]
    for number, step in enumerate(known.steps):
        path = f"/testbed/{step.path}"
        name, given = {
            "wrote": ("Write", {"file_path": path, "content": step.text}),
            "edited": ("Edit", {"file_path": path, "old_string": step.old, "new_string": step.text}),
            "viewed": ("Read", {"file_path": path}),
        }.get(step.kind, ("Bash", {"command": _shell(step), "description": "run"}))
        use = {"type": "tool_use", "id": f"t{number}", "name": name, "input": given}
        answer = {
            "type": "tool_result",
            "tool_use_id": f"t{number}",
            "content": [{"type": "text", "text": step.output}],
        }
        rows.append({"type": "assistant", "message": {"role": "assistant", "content": [use]}})
        rows.append({"type": "user", "message": {"role": "user", "content": [answer]}})
    return "\n".join(map(_dump, rows))


def _swe_agent(known: KnownRollout) -> str:
    steps = []
    for step in known.steps:
        action = _shell(step)
        if step.kind == "edited":
            old, new = (text.replace("'", "'\"'\"'") for text in (step.old, step.text))
            action = f"str_replace_editor str_replace /testbed/{step.path} --old_str '{old}' --new_str '{new}'"
        steps.append({"action": action, "observation": step.output, "thought": "Next step.", "response": ""})
    history = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": known.task}]
    return _dump({"trajectory": steps, "history": history, "info": {"exit_status": "submitted"}, "environment": "main"})


def _openhands(known: KnownRollout) -> str:
    events: list[dict[str, Any]] = [
        {"id": 0, "source": "user", "action": "message", "args": {"content": known.task}, "timestamp": "2025-01-01"}
    ]
    for step in known.steps:
        if step.kind == "wrote":
            name, args = "write", {"path": f"/testbed/{step.path}", "content": step.text}
        elif step.kind == "edited":
            name, args = "edit", _editor(step)
        elif step.kind == "viewed":
            name, args = "read", {"path": f"/testbed/{step.path}"}
        else:
            name, args = "run", {"command": _shell(step)}
        events.append({"id": len(events), "source": "agent", "action": name, "args": args})
        events.append({"id": len(events), "source": "agent", "observation": name, "content": step.output, "extras": {}})
    return _dump(events)


def _openhands_new(known: KnownRollout) -> str:
    """Events of the second generation, one a line."""
    said = {"role": "user", "content": [{"type": "text", "text": known.task}]}
    events: list[dict[str, Any]] = [{"kind": "MessageEvent", "source": "user", "llm_message": said}]
    for number, step in enumerate(known.steps):
        is_shell = step.kind in ("ran", "patched")
        name = "terminal" if is_shell else "file_editor"
        action = {"kind": "TerminalAction", "command": _shell(step)} if is_shell else {
            "kind": "FileEditorAction", **_editor(step)}  # fmt: skip
        call = {"tool_name": name, "tool_call_id": f"c{number}"}
        events.append({"kind": "ActionEvent", "source": "agent", "thought": [], "action": action, **call})
        answer = {"kind": "TerminalObservation", "content": [{"type": "text", "text": step.output}]}
        events.append({"kind": "ObservationEvent", "source": "environment", "observation": answer, **call})
    return "\n".join(map(_dump, events))


def _mini(known: KnownRollout) -> str:
    """mini-swe-agent: one fenced command a turn, its output in the next user turn."""
    messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": known.task}]
    for step in known.steps:
        messages.append({"role": "assistant", "content": f"THOUGHT: next.\n\n```bash\n{_shell(step)}\n```"})
        messages.append({"role": "user", "content": f"<returncode>0</returncode>\n<output>\n{step.output}\n</output>"})
    return _dump({"info": {}, "messages": messages, "trajectory_format": "mini-swe-agent-1"})


def _inspect(known: KnownRollout) -> str:
    messages: list[dict[str, Any]] = [{"role": "user", "content": known.task, "source": "input"}]
    for number, step in enumerate(known.steps):
        name, given = (
            ("bash", {"cmd": _shell(step)}) if step.kind in ("ran", "patched") else ("text_editor", _editor(step))
        )
        call = {"id": f"i{number}", "function": name, "arguments": given, "type": "function"}
        messages.append({"role": "assistant", "content": "", "source": "generate", "tool_calls": [call]})
        messages.append({"role": "tool", "content": step.output, "tool_call_id": f"i{number}", "function": name})
    sample = {"id": known.name, "epoch": 1, "input": known.task, "target": "", "messages": messages}
    return _dump({"version": 2, "status": "success", "eval": {"task": "coding"}, "samples": [sample]})


def _atif(known: KnownRollout) -> str:
    steps: list[dict[str, Any]] = [{"step_id": 1, "source": "user", "message": known.task}]
    for number, step in enumerate(known.steps):
        call = {"tool_call_id": f"a{number}", "function_name": "bash", "arguments": {"command": _shell(step)}}
        results = {"results": [{"source_call_id": f"a{number}", "content": step.output}]}
        steps.append(
            {"step_id": number + 2, "source": "agent", "message": "", "tool_calls": [call], "observation": results}
        )
    return _dump({"schema_version": "ATIF-v1.4", "session_id": known.name, "agent": {"name": "x"}, "steps": steps})


def _trl(known: KnownRollout) -> str:
    """A row of TRL: prompt and completion as message lists."""
    completion: list[dict[str, Any]] = []
    for step in known.steps:
        call = {"type": "function", "function": {"name": "run_shell", "arguments": {"command": _shell(step)}}}
        completion.append({"role": "assistant", "tool_calls": [call]})
        completion.append({"role": "tool", "name": "run_shell", "content": step.output})
    return _dump({"prompt": [{"role": "user", "content": known.task}], "completion": completion, "step": 40})


def _tags(known: KnownRollout) -> str:
    """Calls as tags in the text."""
    messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": known.task}]
    for step in known.steps:
        if step.kind in ("ran", "patched"):
            body = f"<function=execute_bash>\n<parameter=command>{_shell(step)}</parameter>\n</function>"
        else:
            inside = "\n".join(f"<parameter={key}>{value}</parameter>" for key, value in _editor(step).items())
            body = f"<function=str_replace_editor>\n{inside}\n</function>"
        messages.append({"role": "assistant", "content": f"Next.\n{body}"})
        messages.append({"role": "user", "content": f"EXECUTION RESULT of [{step.kind}]:\n{step.output}"})
    return _dump({"instance_id": known.name, "messages": messages})


def _responses(known: KnownRollout) -> str:
    """Items of the Responses form, one a line, as session files hold them."""
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": known.task}]}
    rows: list[dict[str, Any]] = [{"type": "response_item", "payload": said}]
    for number, step in enumerate(known.steps):
        call = {"type": "function_call", "name": "shell", "call_id": f"r{number}",
                "arguments": _dump({"command": ["bash", "-lc", _shell(step)]})}  # fmt: skip
        rows.append({"type": "response_item", "payload": call})
        output = {"type": "function_call_output", "call_id": f"r{number}", "output": _dump({"output": step.output})}
        rows.append({"type": "response_item", "payload": output})
    return "\n".join(map(_dump, rows))


def _text(known: KnownRollout) -> str:
    parts = [f"User: {known.task}\n"]
    for step in known.steps:
        if step.kind == "patched":
            parts.append(f"Assistant: this patch.\n\n```diff\n{step.text}\n```\n")
        else:
            parts.append(f"Assistant: next.\n\n```bash\n{_shell(step)}\n```\n")
            parts.append(f"```\n{step.output}\n```\n")
    return "\n".join(parts)


def _patch(known: KnownRollout) -> str:
    return "\n".join(step.text for step in known.steps if step.kind == "patched")


def _patch_row(known: KnownRollout) -> str:
    """A row with the task and the patch."""
    return _dump({"instance_id": known.name, "problem_statement": known.task, "model_patch": _patch(known)})


FORMS: dict[str, Callable[[KnownRollout], str]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "claude-code": _claude_code,
    "swe-agent": _swe_agent,
    "openhands": _openhands,
    "openhands-new": _openhands_new,
    "mini": _mini,
    "inspect": _inspect,
    "atif": _atif,
    "trl": _trl,
    "tags": _tags,
    "responses": _responses,
    "text": _text,
    "patch": _patch,
    "patch-row": _patch_row,
}
"""Name of a form to the function that writes it."""
