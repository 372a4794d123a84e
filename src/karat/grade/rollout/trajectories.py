"""Trajectories of agent frameworks: SWE-agent, OpenHands (old and new events), ATIF steps, inspect_ai logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from karat.grade.rollout.transcripts import Reading, read_messages, text_of

_OPENHANDS_TOOLS = {"run": "bash", "run_ipython": "ipython", "write": "write_file", "read": "read_file",
                    "browse": "browse", "browse_interactive": "browse"}  # fmt: skip
_SILENT = frozenset(
    [
        "message",
        "system",
        "think",
        "recall",
        "finish",
        "agent_state_changed",
        "change_agent_state",
        "null",
        "condensation",
        "delegate",
        "reject",
        "task_tracking",
        "loop_recovery",
        "condensation_request",
    ]
)


def read_swe_agent(row: Mapping[str, Any]) -> Reading:
    """A SWE-agent `.traj`: `trajectory` holds action and observation; the task is the first user turn of `history`."""
    reading = Reading()
    history = row.get("history")
    for message in history if isinstance(history, list) else []:
        if isinstance(message, Mapping) and message.get("role") in ("user", "system") and not message.get("is_demo"):
            reading.say("system" if message["role"] == "system" else "user", text_of(message.get("content")))
            if message["role"] == "user":
                break
    for step in row["trajectory"]:
        if not isinstance(step, Mapping):
            reading.problems["a step that is not an object"] += 1
            continue
        reading.say("agent", text_of(step.get("thought")) or text_of(step.get("response")))
        action = text_of(step.get("action"))
        if action.strip():
            reading.call("bash", {"command": action})
            reading.answer(text_of(step.get("observation")))
    reading.finish()
    return reading


def is_openhands(events: Any) -> bool:
    """Whether a list holds OpenHands events: a source beside an action or an observation."""
    sample = [event for event in flat_events(events)[:20] if isinstance(event, Mapping)]
    return any(
        ("action" in event and ("args" in event or event.get("kind") == "ActionEvent"))
        or ("observation" in event and ("extras" in event or event.get("kind") == "ObservationEvent"))
        for event in sample
    )


def flat_events(events: Any) -> list[Any]:
    """Old histories hold pairs of action and observation."""
    if not isinstance(events, list):
        return []
    return [inner for event in events for inner in (event if isinstance(event, list) else [event])]


def read_openhands(events: Any, instruction: str = "") -> Reading:
    """Events of OpenHands, of its first generation (`action`, `args`) and its second (`kind`)."""
    reading = Reading()
    reading.say("user", instruction)
    for event in flat_events(events):
        if not isinstance(event, Mapping):
            reading.problems["an event that is not an object"] += 1
        elif isinstance(event.get("kind"), str):
            _read_new_event(reading, event)
        elif "action" in event:
            _read_old_action(reading, event)
        elif "observation" in event:
            reading.answer(text_of(event.get("content")), "")
        else:
            reading.problems["an event without action or observation"] += 1
    reading.finish()
    return reading


def _read_old_action(reading: Reading, event: Mapping[str, Any]) -> None:
    name, raw = str(event.get("action")), event.get("args")
    args: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
    if name == "message":
        reading.say("user" if event.get("source") == "user" else "agent", text_of(args.get("content")))
    elif name == "edit":
        if args.get("command") or "old_str" in args:
            reading.call("str_replace_editor", dict(args))
        else:
            reading.call("write_file", dict(args))
    elif name in _OPENHANDS_TOOLS:
        reading.say("agent", text_of(args.get("thought")))
        reading.call(_OPENHANDS_TOOLS[name], dict(args))
    elif name == "call_tool_mcp":
        reading.call(str(args.get("name")), args.get("arguments"))
    elif name not in _SILENT:
        reading.problems[f"the event {name[:40]!r}"] += 1


def _read_new_event(reading: Reading, event: Mapping[str, Any]) -> None:
    kind = event["kind"]
    if kind == "ActionEvent":
        action = event.get("action")
        reading.say("agent", text_of(event.get("thought")))
        if isinstance(action, Mapping):
            name = str(event.get("tool_name") or action.get("kind") or "")
            reading.call(name, {key: value for key, value in action.items() if key != "kind"},
                         str(event.get("tool_call_id") or ""))  # fmt: skip
    elif kind == "ObservationEvent":
        reading.answer(text_of(event.get("observation")), str(event.get("tool_call_id") or ""))
    elif kind == "MessageEvent":
        message = event.get("llm_message")
        said = text_of(message.get("content")) if isinstance(message, Mapping) else ""
        reading.say("user" if event.get("source") == "user" else "agent", said)
    elif kind not in ("SystemPromptEvent", "ConversationStateUpdateEvent", "PauseEvent", "Condensation"):
        reading.problems[f"the event {kind[:40]!r}"] += 1


def read_atif(row: Mapping[str, Any]) -> Reading:
    """Steps with a source, a message, tool calls and an observation (the trajectory format of Harbor)."""
    reading = Reading()
    for step in row["steps"]:
        if not isinstance(step, Mapping):
            reading.problems["a step that is not an object"] += 1
            continue
        source = step.get("source")
        reading.say("user" if source == "user" else "system" if source == "system" else "agent",
                    text_of(step.get("message")))  # fmt: skip
        calls = step.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, Mapping):
                name = str(call.get("function_name") or call.get("name") or "")
                reading.call(name, call.get("arguments"), str(call.get("tool_call_id") or ""))
        observation = step.get("observation")
        results = observation.get("results") if isinstance(observation, Mapping) else None
        for result in results if isinstance(results, list) else []:
            if isinstance(result, Mapping):
                reading.answer(text_of(result.get("content")), str(result.get("source_call_id") or ""))
    reading.finish()
    return reading


def inspect_samples(log: Mapping[str, Any]) -> list[tuple[str, Sequence[Any]]]:
    """Name and messages of each sample of an inspect_ai log."""
    found = []
    for sample in log.get("samples") or []:
        if isinstance(sample, Mapping):
            found.append(inspect_sample(sample))
    return found


def inspect_sample(sample: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
    messages = sample.get("messages")
    name = f"{sample.get('id', '?')}/{sample.get('epoch', 1)}"
    return name, messages if isinstance(messages, list) else []


def read_inspect(messages: Sequence[Any]) -> Reading:
    return read_messages(messages)
