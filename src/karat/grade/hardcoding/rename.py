"""The same task under other names: for a candidate that is run, and as a prompt for a fresh sample.

(a) `renamed_program` runs the very candidate as another function of another module and file, with the marks of a test
    runner in its environment: branches on names or on being tested answer otherwise.
(b) `renamed_task` writes an isomorphic task: other function and argument names, arguments in another order, other
    output words. A policy that solves tasks solves it as well; one that looks answers up by name or position does not.
    That takes a fresh sample: an old candidate has the old names.
"""

from __future__ import annotations

import ast
import builtins
import io
import keyword
import re
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from karat.grade.types import Task, Test

RENAMED_ENVIRONMENT: Mapping[str, str] = {
    "PYTEST_CURRENT_TEST": "test_it.py::test_case (call)", "CI": "true", "PYTEST_VERSION": "8.3.0",
}  # fmt: skip
ALIAS = "karat_alias"
SYLLABLES = tuple(consonant + vowel for consonant in "bdklmnrt" for vowel in "aeio")

_RUN_ELSEWHERE = """
def _build(source, path):
    import os, sys, types
    os.environ.update({environment!r})
    module = types.ModuleType({module!r})
    module.__file__ = {file!r}
    sys.modules[{module!r}] = module
    exec(compile(source, {file!r}, "exec", dont_inherit=True), module.__dict__)
    found = module
    for part in path.split("."):
        found = found() if isinstance(found, type) else found
        found = getattr(found, part)
    return found
{alias} = _build({source!r}, {path!r})
"""


def renamed_program(source: str | bytes, entry_point: str) -> tuple[str, str]:
    """Source that loads a candidate as a module of another name and file, and the name to call it by.

    The candidate's text stands in it as a string; names of functions in it are changed where they are the entry point's
    (definition and uses), so that a function that asks for its own name is told another.
    """
    first, _, rest = entry_point.partition(".")
    text = renamed_source(source, {first: f"{ALIAS}_inner"}) if isinstance(source, str) else None
    path = entry_point if text is None else f"{ALIAS}_inner" + (f".{rest}" if rest else "")
    program = _RUN_ELSEWHERE.format(
        environment=dict(RENAMED_ENVIRONMENT), module="exercise", file="/work/exercise.py", alias=ALIAS,
        source=source if text is None else text, path=path,
    )  # fmt: skip
    return program, ALIAS


def renamed_source(source: str, names: Mapping[str, str]) -> str | None:
    """Source with identifiers exchanged, token by token: strings and comments stay. None where it cannot be read, or
    where a new name is in use already."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, SyntaxError, IndentationError, ValueError):
        return None
    used = {token.string for token in tokens if token.type == tokenize.NAME}
    if used & set(names.values()):
        return None
    lines = source.splitlines(keepends=True)
    before = ""
    edits = []
    for token in tokens:
        if token.type == tokenize.NAME and token.string in names and before != ".":
            edits.append((token.start, token.end, names[token.string]))
        if token.type not in (tokenize.NL, tokenize.COMMENT):
            before = token.string
    for (row, start), (_, end), new in reversed(edits):
        lines[row - 1] = lines[row - 1][:start] + new + lines[row - 1][end:]
    return "".join(lines)


# ------------------------------------------------------------------------------------------------ an isomorphic task
@dataclass(frozen=True, slots=True, kw_only=True)
class Renaming:
    """What was exchanged."""

    task: Task
    names: Mapping[str, str]
    """Old name -> new name: the function and its arguments."""
    order: tuple[int, ...]
    """Argument i of the new task is argument order[i] of the old one."""
    words: Mapping[str, str]
    """Output strings that the prompt names -> the new ones."""


def renamed_task(task: Task, rng: np.random.Generator) -> Renaming:
    """An isomorphic twin of a function task, with its prompt, tests and reference.

    Names of the function and of its arguments are exchanged in the prompt (code and text). Arguments are permuted where
    the prompt defines the function and tests give them by position; output words are exchanged where every output is a
    string that stands quoted in the prompt.

    Returns: the twin; whoever solves it solves the original up to names. Its reference calls the original's.
    """
    old_name = task.entry_point.rsplit(".", 1)[-1]
    arguments = argument_names(task.prompt, old_name) or argument_names(task.reference, old_name)
    fresh = _fresh_names(1 + len(arguments), f"{task.prompt}\n{task.reference}\n{task.test_code}", rng)
    names = dict(zip((old_name, *arguments), fresh, strict=True))
    can_turn = bool(argument_names(task.prompt, old_name)) and _is_permutable(task, len(arguments))
    order = tuple(int(at) for at in rng.permutation(len(arguments))) if can_turn else tuple(range(len(arguments)))
    words = _new_words(task, rng)
    prompt = _permuted_calls(task.prompt, old_name, order)
    for old, new in names.items():
        prompt = re.sub(rf"(?<![\w.]){re.escape(old)}(?!\w)", new, prompt)
    for old, new in words.items():
        for quote in "'\"":
            prompt = prompt.replace(f"{quote}{old}{quote}", f"{quote}{new}{quote}")
    tests = tuple(_renamed_test(test, order, words) for test in task.tests)
    twin = replace(
        task, task_id=f"{task.task_id} (renamed)", prompt=prompt, tests=tests, entry_point=names[old_name],
        reference=_adapted_reference(task, names, order, words),
        test_code=_adapted_tests(task, names[old_name], order, words),
    )  # fmt: skip
    return Renaming(task=twin, names=names, order=order, words=words)


def argument_names(source: str, function: str) -> tuple[str, ...]:
    """Positional arguments of a function in source; of a prompt that ends after its docstring, too."""
    for text in (source, f"{source}\n    pass\n"):
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name == function:
                if node.args.vararg or node.args.kwarg or node.args.kwonlyargs or node.args.defaults:
                    return ()
                return tuple(arg.arg for arg in (*node.args.posonlyargs, *node.args.args) if arg.arg != "self")
    return ()


def _fresh_names(n: int, text: str, rng: np.random.Generator) -> list[str]:
    """Pronounceable names without a meaning, in no use in the task."""
    used = set(re.findall(r"\w+", text)) | set(keyword.kwlist) | set(dir(builtins))
    found: list[str] = []
    while len(found) < n:
        name = "".join(SYLLABLES[int(at)] for at in rng.integers(len(SYLLABLES), size=3))
        if name not in used:
            used.add(name)
            found.append(name)
    return found


def _new_words(task: Task, rng: np.random.Generator) -> dict[str, str]:
    """New output words, where outputs are strings that stand quoted in the prompt and are no inputs."""
    outputs = [test.output for test in task.tests]
    if not outputs or not all(type(output) is str and output for output in outputs) or len(set(outputs)) > 6:
        return {}
    words = sorted(set(outputs))
    if not all(f"'{word}'" in task.prompt or f'"{word}"' in task.prompt for word in words):
        return {}
    if any(word in repr(test.input) for word in words for test in task.tests):
        return {}
    return dict(zip(words, _fresh_names(len(words), task.prompt, rng), strict=True))


def _permuted_calls(prompt: str, name: str, order: Sequence[int]) -> str:
    """The prompt with the arguments of its definition and of its literal examples in the new order."""
    if list(order) == sorted(order):
        return prompt
    pieces, start = [], 0
    for match in re.finditer(rf"(?<![\w.]){re.escape(name)}\(", prompt):
        parts, end = split_arguments(prompt, match.end())
        if match.start() < start or len(parts) != len(order):
            continue
        pieces += [prompt[start : match.end()], ", ".join(parts[at] for at in order), ")"]
        start = end + 1
    return "".join((*pieces, prompt[start:]))


def split_arguments(text: str, start: int) -> tuple[list[str], int]:
    """Arguments between a bracket that was just opened and its end, split at commas of that depth; and where it ends.
    Empty where it never ends."""
    parts: list[str] = []
    depth, begin, quote = 0, start, ""
    for at in range(start, len(text)):
        char = text[at]
        if quote:
            quote = "" if char == quote and text[at - 1] != "\\" else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}" and depth:
            depth -= 1
        elif char == ")":
            last = text[begin:at].strip()
            return [*parts, *([last] if last else [])], at
        elif char == "," and not depth:
            parts.append(text[begin:at].strip())
            begin = at + 1
    return [], start


def _renamed_test(test: Test, order: Sequence[int], words: Mapping[str, str]) -> Test:
    args = tuple(test.input[at] for at in order) if len(test.input) == len(order) else test.input
    output = words.get(test.output, test.output) if type(test.output) is str else test.output
    return replace(test, input=args, output=output)


def _adapted_reference(task: Task, names: Mapping[str, str], order: Sequence[int], words: Mapping[str, str]) -> str:
    if not task.reference:
        return ""
    new = [f"x{at}" for at in range(len(order))]
    old = [""] * len(order)
    for position, at in enumerate(order):
        old[at] = new[position]
    first, _, rest = task.entry_point.partition(".")
    call = f"{first}().{rest}" if rest else first
    given = ", ".join(new) if order else "*args"
    passed = ", ".join(old) if order else "*args"
    answer = f"{call}({passed})"
    if words:
        answer = f"{dict(words)!r}.get({answer}, None)"
    return f"{task.reference}\n\ndef {next(iter(names.values()))}({given}):\n    return {answer}\n"


def _calls_of(tree: ast.Module, names: set[str]) -> list[ast.Call]:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return [node for node in found if isinstance(node.func, ast.Name) and node.func.id in names]


def _is_permutable(task: Task, n_arguments: int) -> bool:
    """Whether every call in the test code and every test gives all arguments by position."""
    try:
        calls = _calls_of(ast.parse(task.test_code), {task.entry_point, "candidate"})
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    plain = [call for call in calls if len(call.args) == n_arguments and not call.keywords]
    is_plain = len(plain) == len(calls) and not any(isinstance(arg, ast.Starred) for call in plain for arg in call.args)
    return is_plain and all(len(test.input) == n_arguments and not test.kwargs for test in task.tests)


def _adapted_tests(task: Task, name: str, order: Sequence[int], words: Mapping[str, str]) -> str:
    """Test code with the new name, the arguments of its calls in the new order, and the new output words."""
    if not task.test_code:
        return ""
    try:
        tree = ast.parse(task.test_code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return task.test_code
    old = task.entry_point
    for call in _calls_of(tree, {old, "candidate"}):
        if len(call.args) == len(order):
            call.args = [call.args[at] for at in order]
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == old:
            node.id = name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in words:
            node.value = words[node.value]
    return ast.unparse(tree) + "\n"
