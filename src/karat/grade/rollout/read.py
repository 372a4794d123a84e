"""Files and rows to rollouts: the form is recognised from the content; what is not understood is counted."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from karat.errors import DataError
from karat.grade.rollout import trajectories
from karat.grade.rollout.diffs import actions_of_patch, commit_turns, looks_like_patch
from karat.grade.rollout.transcripts import Reading, read_messages, read_text
from karat.grade.rollout.types import Action, Rollout, Turn

_PATCHES = ("patch", "model_patch", "diff", "git_patch", "submission", "test_patch")
_MESSAGES = ("messages", "conversation", "conversations", "transcript", "chat", "completion", "completions", "turns")
_NAMES = ("rollout_id", "instance_id", "trajectory_id", "traj_id", "sample_id", "candidate_id", "task_id", "id", "uid")
_TASKS = ("instruction", "problem_statement", "prompt", "task", "issue", "question", "input")
_LABELS = ("tampered", "label", "hacked", "is_hack", "cheats")
MAX_MB = 200
MAX_LINE = 2000
"""Characters of one line that are kept: minified files and data have longer ones, which tell nothing here."""


class RolloutReader:
    """Reads sources one after the other and keeps an account of what it could not read.

    Attributes:
        problems: reason to count, over all sources: files, lines and rows that gave no rollout.
        sources: names of what was read.
    """

    def __init__(self, *, max_mb: int = MAX_MB) -> None:
        self.max_bytes = max_mb << 20
        self.problems: Counter[str] = Counter()
        self.sources: list[str] = []
        self._names: Counter[str] = Counter()

    def read(self, sources: Iterable[Any]) -> Iterator[Rollout]:
        """Rollouts of paths, of rows (mappings), of texts of patches and of ready `Rollout` records."""
        for number, source in enumerate(sources):
            if isinstance(source, Rollout):
                yield source
            elif isinstance(source, Mapping):
                yield from self._row(source, f"row {number}", f"row-{number}")
            elif isinstance(source, list):
                yield from self._list(source, f"row {number}", f"row-{number}")
            elif isinstance(source, str) and "\n" in source:
                yield from self._content(source, f"text {number}", f"text-{number}")
            else:
                yield from self._path(Path(source))

    # ----------------------------------------------------------------------------------------------------------- files
    def _path(self, path: Path) -> Iterator[Rollout]:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
            if not files:
                self.problems["an empty folder"] += 1
            for file in files:
                yield from self._path(file)
            return
        if not path.exists():
            raise DataError(f"{path}: there is no such file. Name transcripts, patches, or a folder of them.")
        self.sources.append(str(path))
        try:
            content = self._bytes(path)
        except OSError as error:
            self.problems[f"a file that cannot be read ({type(error).__name__})"] += 1
            return
        if content is None:
            return
        if content[:2] == b"PK":
            yield from self._archive(content, str(path), path.stem)
            return
        text, is_utf8 = _decoded(content)
        if not is_utf8:
            self.problems["a file that is not UTF-8 (read with replacements)"] += 1
        yield from self._content(text, str(path), path.name)

    def _bytes(self, path: Path) -> bytes | None:
        if path.suffix == ".gz":
            with gzip.open(path, "rb") as file:
                content = file.read(self.max_bytes + 1)
        else:
            with path.open("rb") as plain:
                content = plain.read(self.max_bytes + 1)
        if len(content) > self.max_bytes:
            self.problems[f"a file larger than {self.max_bytes >> 20} MB"] += 1
            return None
        return content

    def _archive(self, content: bytes, source: str, name: str) -> Iterator[Rollout]:
        """An inspect_ai `.eval` file: a zip with a JSON file for each sample."""
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for item in archive.infolist():
                    if item.filename.startswith("samples/") and item.filename.endswith(".json"):
                        if item.file_size > self.max_bytes:
                            self.problems[f"a sample larger than {self.max_bytes >> 20} MB"] += 1
                            continue
                        sample = self._json(archive.read(item).decode("utf-8", "replace"))
                        if isinstance(sample, Mapping):
                            said, messages = trajectories.inspect_sample(sample)
                            yield self._rollout(
                                read_messages(messages), "inspect-eval", source, f"{name}:{said}", sample
                            )
        except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError) as error:
            self.problems[f"a zip that cannot be read ({type(error).__name__})"] += 1

    def _content(self, text: str, source: str, name: str) -> Iterator[Rollout]:
        start = text.lstrip("\ufeff \t\r\n")[:1]
        if not start:
            self.problems["an empty file"] += 1
        elif start in "{[":
            yield from self._json_text(text.lstrip("\ufeff"), source, name)
        elif looks_like_patch(text) and not text.lstrip().startswith(("User:", "Human:", "#")) and "```" not in text:
            yield self._patch(text, source, name, {})
        elif "```" in text or "~~~" in text:
            reading = read_text(text)
            if not reading.calls:
                self.problems["a text without commands or patches"] += 1
                return
            yield self._rollout(reading, "text", source, name, {})
        else:
            self.problems["a file of unknown form"] += 1

    def _json_text(self, text: str, source: str, name: str) -> Iterator[Rollout]:
        try:
            whole = json.loads(text, strict=False)
        except ValueError:
            rows = list(self._lines(text))
        except RecursionError:
            self.problems["JSON that is nested too deeply"] += 1
            return
        else:
            if isinstance(whole, list):
                yield from self._list(whole, source, name)
            else:
                yield from self._row(whole, source, name)
            return
        if rows and (_is_session(rows) or trajectories.is_openhands(rows)):
            yield from self._list(rows, source, name)
            return
        for number, row in enumerate(rows):
            if isinstance(row, list):
                yield from self._list(row, source, f"{name}:{number}")
            else:
                yield from self._row(row, source, f"{name}:{number}")

    def _lines(self, text: str) -> Iterator[Any]:
        for line in text.split("\n"):
            if line.strip():
                value = self._json(line)
                if value is not None:
                    yield value

    def _json(self, text: str) -> Any:
        try:
            return json.loads(text, strict=False)
        except (ValueError, RecursionError):
            self.problems["a line that is not JSON"] += 1
            return None

    # ------------------------------------------------------------------------------------------------------------ rows
    def _list(self, rows: list[Any], source: str, name: str) -> Iterator[Rollout]:
        if not rows:
            self.problems["an empty list"] += 1
        elif trajectories.is_openhands(rows):
            yield self._rollout(trajectories.read_openhands(rows), "openhands", source, name, {})
        elif _is_session(rows):
            yield self._rollout(read_messages(rows), "messages", source, name, {})
        else:
            for number, row in enumerate(rows):
                yield from self._row(row, source, f"{name}:{number}")

    def _row(self, row: Any, source: str, name: str) -> Iterator[Rollout]:
        if not isinstance(row, Mapping):
            self.problems["a row that is not an object"] += 1
            return
        said = next((str(row[key]) for key in _NAMES if isinstance(row.get(key), str | int)), name)
        if isinstance(row.get("samples"), list) and "eval" in row:
            for sample, messages in trajectories.inspect_samples(row):
                yield self._rollout(read_messages(messages), "inspect-eval", source, f"{name}:{sample}", {})
            return
        for form, fits, read in _FORMS:
            if fits(row):
                yield self._rollout(read(row), form, source, said, row)
                return
        patch = next((row[key] for key in _PATCHES if isinstance(row.get(key), str) and row[key].strip()), None)
        nested = row.get("test_result")
        if patch is None and isinstance(nested, Mapping) and isinstance(nested.get("git_patch"), str):
            patch = nested["git_patch"]
        if patch is not None:
            yield self._patch(patch, source, said, row)
        else:
            self.problems["a row of unknown form"] += 1

    def _patch(self, text: str, source: str, name: str, row: Mapping[str, Any]) -> Rollout:
        actions, problems = actions_of_patch(text, 0)
        if not actions:
            problems["a patch without a file that could be read"] = 1
        turns = [*_task_turns(row), *commit_turns(text)]
        reading = Reading(actions=actions, turns=turns, problems=Counter(problems))
        return self._rollout(reading, "patch", source, name, row, has_turns=True)

    def _rollout(
        self, reading: Reading, form: str, source: str, name: str, row: Mapping[str, Any], *, has_turns: bool = False
    ) -> Rollout:
        asked = [] if has_turns or any(turn.role == "user" for turn in reading.turns) else _task_turns(row)
        actions, n_cut = _bounded(reading.actions)
        if n_cut:
            reading.problems[f"text with lines beyond {MAX_LINE:,} characters, which were cut"] += n_cut
        self._names[name] += 1
        step = row.get("step", row.get("training_step"))
        label = next((row[key] for key in _LABELS if isinstance(row.get(key), bool | int)), None)
        allowed = row.get("allowed")
        return Rollout(
            rollout_id=name if self._names[name] == 1 else f"{name}#{self._names[name]}",
            format=form,
            actions=actions,
            turns=(*asked, *reading.turns),
            source=source,
            not_understood=dict(reading.problems),
            training_step=step if isinstance(step, int) else None,
            allowed=tuple(map(str, allowed)) if isinstance(allowed, list) else (),
            label=None if label is None else bool(label),
        )


def _bounded(actions: list[Action]) -> tuple[tuple[Action, ...], int]:
    """Actions whose lines have a length that every rule can take, and how many had to be cut."""
    found, n_cut = [], 0
    for action in actions:
        sides = [side.text for side in (action.before, action.after) if side is not None]
        texts = [action.command, action.result, *sides]
        if max(map(len, texts)) > MAX_LINE and any(len(line) > MAX_LINE for text in texts for line in text.split("\n")):
            before, after = (side and replace(side, text=_cut(side.text)) for side in (action.before, action.after))
            command, result = _cut(action.command), _cut(action.result)
            action = replace(action, command=command, result=result, before=before, after=after)
            n_cut += 1
        found.append(action)
    return tuple(found), n_cut


def _cut(text: str) -> str:
    return "\n".join(line[:MAX_LINE] for line in text.split("\n"))


def _task_turns(row: Mapping[str, Any]) -> list[Turn]:
    return [Turn("user", row[key], 0) for key in _TASKS if isinstance(row.get(key), str) and row[key].strip()]


def _decoded(content: bytes) -> tuple[str, bool]:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace"), True
    try:
        return content.decode("utf-8"), True
    except UnicodeDecodeError:
        return content.decode("utf-8", "replace"), False


def _is_session(rows: list[Any]) -> bool:
    """Whether the rows are the messages of one conversation."""
    sample = [row for row in rows[:50] if isinstance(row, Mapping)]
    if not sample:
        return False
    hits = 0
    for row in sample:
        inner = next((row[key] for key in ("message", "payload") if isinstance(row.get(key), Mapping)), row)
        hits += bool({"role", "from"} & inner.keys() and {"content", "tool_calls", "value"} & inner.keys()) or bool(
            str(inner.get("type", "")).endswith(("_call", "_call_output"))
        )
    return hits >= max(1, len(sample) // 3) and "messages" not in sample[0]


def _conversation(row: Mapping[str, Any]) -> list[Any] | None:
    """Messages of a row; TRL keeps the prompt and the completion apart."""
    for key in _MESSAGES:
        value = row.get(key)
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                value = json.loads(value, strict=False)
            except (ValueError, RecursionError):
                continue
        if isinstance(value, list) and value and all(isinstance(message, Mapping) for message in value):
            prompt = row.get("prompt")
            return [*(prompt if isinstance(prompt, list) else []), *value]
    return None


def _is_swe_agent(row: Mapping[str, Any]) -> bool:
    steps = row.get("trajectory")
    return isinstance(steps, list) and any(
        isinstance(step, Mapping) and isinstance(step.get("action"), str) and "observation" in step
        for step in steps[:20]
    ) and not trajectories.is_openhands(steps)  # fmt: skip


def _openhands_events(row: Mapping[str, Any]) -> list[Any] | None:
    keys = ("history", "trajectory", "events")
    return next(
        (row[key] for key in keys if isinstance(row.get(key), list) and trajectories.is_openhands(row[key])), None
    )


def _is_text(row: Mapping[str, Any]) -> bool:
    value = next(
        (row[key] for key in ("completion", "response", "text", "transcript") if isinstance(row.get(key), str)), ""
    )
    return "```" in value or "<function=" in value or "<tool_call>" in value or "<execute_" in value


def _read_completion(row: Mapping[str, Any]) -> Reading:
    text = next(row[key] for key in ("completion", "response", "text", "transcript") if isinstance(row.get(key), str))
    return read_messages([{"role": "assistant", "content": text}])


_FORMS: tuple[tuple[str, Callable[[Mapping[str, Any]], Any], Callable[[Mapping[str, Any]], Reading]], ...] = (
    ("swe-agent", _is_swe_agent, trajectories.read_swe_agent),
    ("openhands", _openhands_events, lambda row: trajectories.read_openhands(
        _openhands_events(row), row["instruction"] if isinstance(row.get("instruction"), str) else "")),
    ("atif", lambda row: isinstance(row.get("steps"), list) and str(row.get("schema_version", "")).startswith("ATIF"),
     trajectories.read_atif),
    ("mini-swe-agent", lambda row: str(row.get("trajectory_format", "")).startswith("mini-swe-agent")
     and isinstance(row.get("messages"), list), lambda row: read_messages(row["messages"])),
    ("messages", _conversation, lambda row: read_messages(_conversation(row) or [])),
    ("text", _is_text, _read_completion),
)  # fmt: skip
