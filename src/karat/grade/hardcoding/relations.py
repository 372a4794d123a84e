"""Metamorphic relations: what must hold between the answers to related inputs, whatever the right answer is.

They need no reference. A task names relations (`Task.relations`): a name of RELATIONS, a name with the argument that it
is about (`permutation:0`), or trusted source that defines `related(args)`, giving other argument tuples, and
`holds(args, answer, others, answers)`. Answers are plain values that were rebuilt outside; relations compare these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from karat.errors import InputError
from karat.grade.compare import agree
from karat.grade.hardcoding.asking import ask_function
from karat.grade.hardcoding.cases import target_of, visible_cases
from karat.grade.kinds.context import Context
from karat.grade.types import Comparison, Task, Test
from karat.sandbox.types import Call, Plain, Program

Args = tuple[Plain, ...]
MOST_CHECKED = 20
"""Inputs on which each relation is checked."""
LENIENT = Comparison(relative=1e-6, absolute=1e-9, sequences="alike")
FREE = Comparison(relative=1e-6, absolute=1e-9, sequences="alike", order="free")
SHIFT, SCALE = 7, 3
"""What is added to, or times, the numbers."""


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation of an answer to the answers of changed inputs.

    Attributes:
        says: in words.
        change: changed argument tuples; empty where the relation says nothing of this input.
        holds: (args, answer, changed args, their answers) -> whether it holds.
    """

    says: str
    change: Callable[[Args, int, np.random.Generator], list[Args]]
    holds: Callable[[Args, Plain, list[Args], list[Plain]], bool]


def _with(args: Args, place: int, value: Plain) -> Args:
    return (*args[:place], value, *args[place + 1 :])


def _same(left: Plain, right: Plain) -> bool:
    return not agree(left, right, LENIENT)


def _sequences(value: Plain) -> bool:
    return isinstance(value, (list, tuple, str)) and len(value) > 1


def _joined(like: Plain, items: Sequence[Plain]) -> Plain:
    return "".join(items) if isinstance(like, str) else type(like)(items)


def _permuted(args: Args, place: int, rng: np.random.Generator) -> list[Args]:
    value = args[place]
    if not _sequences(value):
        return []
    orders = [list(range(len(value)))[::-1], rng.permutation(len(value)).tolist()]
    return [_with(args, place, _joined(value, [value[at] for at in order])) for order in orders]


def _reversed(args: Args, place: int, rng: np.random.Generator) -> list[Args]:
    return [_with(args, place, args[place][::-1])] if _sequences(args[place]) else []


def _duplicated(args: Args, place: int, rng: np.random.Generator) -> list[Args]:
    value: Any = args[place]
    return [_with(args, place, value * 2)] if isinstance(value, (list, tuple, str)) and value else []


def _swapped(args: Args, place: int, rng: np.random.Generator) -> list[Args]:
    return [(*args[1::-1], *args[2:])] if len(args) >= 2 else []


def _numbers_mapped(value: Plain, change: Callable[[Any], Any]) -> Plain:
    """Every number of a value changed; truth values and text stay."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return change(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value)(_numbers_mapped(item, change) for item in value)
    if isinstance(value, dict):
        return {key: _numbers_mapped(item, change) for key, item in value.items()}
    return value


def _mapped(change: Callable[[Any], Any]) -> Callable[[Args, int, np.random.Generator], list[Args]]:
    def changed(args: Args, place: int, rng: np.random.Generator) -> list[Args]:
        value = _numbers_mapped(args[place], change)
        return [_with(args, place, value)] if value != args[place] else []

    return changed


def _halves(args: Args, place: int, rng: np.random.Generator) -> list[Args]:
    value = args[place]
    if not _sequences(value):
        return []
    cut = 1 + int(rng.integers(len(value) - 1))
    return [_with(args, place, value[:cut]), _with(args, place, value[cut:])]


def _raised(args: Args, place: int, rng: np.random.Generator) -> list[Args]:
    value = args[place]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return []
    return [_with(args, place, value + step) for step in (1, SHIFT)]


def _is_number(value: Plain) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)


def _shifted_answer(change: Callable[[Any], Any]) -> Callable[[Args, Plain, list[Args], list[Plain]], bool]:
    return lambda args, answer, others, answers: all(_same(_numbers_mapped(answer, change), other) for other in answers)


def _unchanged(args: Args, answer: Plain, others: list[Args], answers: list[Plain]) -> bool:
    return all(_same(answer, other) for other in answers)


def _unchanged_but_order(args: Args, answer: Plain, others: list[Args], answers: list[Plain]) -> bool:
    return all(not agree(answer, other, FREE) for other in answers)


def _ordered(sign: int) -> Callable[[Args, Plain, list[Args], list[Plain]], bool]:
    def holds(args: Args, answer: Plain, others: list[Args], answers: list[Plain]) -> bool:
        chain = [answer, *answers]
        return not all(map(_is_number, chain)) or all(
            sign * (second - first) >= -1e-9 * abs(first) for first, second in pairwise(chain)
        )

    return holds


def _answer_as_input(args: Args, place: int, rng: np.random.Generator) -> list[Args]:
    return []  # needs the answer first: `check_relations` asks f(f(x)) for it


RELATIONS: Mapping[str, Relation] = {
    "permutation": Relation("the order of the items does not matter", _permuted, _unchanged),
    "equivariant": Relation("items in another order give the answer in another order", _permuted, _unchanged_but_order),
    "reversal": Relation("reversed, the answer is the same", _reversed, _unchanged),
    "mirror": Relation(
        "reversed, the answer is reversed", _reversed,
        lambda args, answer, others, answers: all(_same(answer[::-1], other) for other in answers),
    ),
    "symmetric": Relation("the first two arguments may change places", _swapped, _unchanged),
    "duplication": Relation("items twice over give the same answer", _duplicated, _unchanged),
    "shift": Relation("numbers raised by a constant raise the answer by it", _mapped(lambda v: v + SHIFT),
                      _shifted_answer(lambda v: v + SHIFT)),
    "shift invariant": Relation("numbers raised by a constant leave the answer", _mapped(lambda v: v + SHIFT),
                                _unchanged),
    "scaling": Relation("numbers times a constant give the answer times it", _mapped(lambda v: v * SCALE),
                        _shifted_answer(lambda v: v * SCALE)),
    "scale invariant": Relation("numbers times a positive constant leave the answer", _mapped(lambda v: v * SCALE),
                                _unchanged),
    "negation": Relation("negated numbers negate the answer", _mapped(lambda v: -v), _shifted_answer(lambda v: -v)),
    "even function": Relation("negated numbers leave the answer", _mapped(lambda v: -v), _unchanged),
    "additive": Relation(
        "the answers to two parts add up (or join up) to the answer to the whole", _halves,
        lambda args, answer, others, answers: _same(answer, answers[0] + answers[1]),
    ),
    "increasing": Relation("a larger number gives no smaller answer", _raised, _ordered(1)),
    "decreasing": Relation("a larger number gives no larger answer", _raised, _ordered(-1)),
    "idempotent": Relation("the answer, given back, is its own answer", _answer_as_input, _unchanged),
}  # fmt: skip

_TRUSTED = """

def _karat_related(args):
    return [tuple(item) for item in related(args)]

def _karat_holds(args, answer, others, answers):
    return bool(holds(args, answer, others, answers))
"""


def check_relations(task: Task, source: str | bytes, context: Context, *, rng: np.random.Generator) -> tuple[str, ...]:
    """The task's relations that a candidate breaks, each with an input that shows it.

    An input on which the candidate raises, or whose changed form it does not answer, says nothing.

    Raises: InputError: a name that is no relation, or trusted source that does not work.
    """
    inputs = [case.args for case in visible_cases(task) if not case.kwargs][:MOST_CHECKED]
    broken = []
    for text in task.relations:
        found = _first_break(text, task, source, context, inputs, rng)
        if found:
            broken.append(found)
    return tuple(broken)


def relation_problem(task: Task, context: Context) -> str:
    """Why the task's relations cannot be checked on anybody: a name or a source is wrong. Empty when they can."""
    try:
        check_relations(task, task.reference, context, rng=np.random.default_rng(0))
    except InputError as error:
        return str(error)
    return ""


def _first_break(
    text: str, task: Task, source: str | bytes, context: Context, inputs: Sequence[Args], rng: np.random.Generator
) -> str:
    if "def " in text:
        return _custom_break(text, task, source, context, inputs)
    name, _, place = text.partition(":")
    if name not in RELATIONS or not (place == "" or place.strip().isdigit()):
        raise InputError(
            f"task {task.task_id!r}: relation {text!r} is unknown. It is one of: {', '.join(RELATIONS)}; ':1' names "
            f"the argument; or source that defines related(args) and holds(args, answer, others, answers)."
        )
    at, relation = int(place or 0), RELATIONS[name]
    if name == "idempotent":
        pairs = _asked(task, source, context, inputs)
        groups = [(args, [_with(args, at, answer)]) for args, answer in pairs if at < len(args)]
    else:
        groups = [(args, relation.change(args, at, rng)) for args in inputs if at < len(args)]
    return _break_in(groups, task, source, context, relation.holds, f"{text}: {relation.says}")


def _custom_break(text: str, task: Task, source: str | bytes, context: Context, inputs: Sequence[Args]) -> str:
    session = context.trusted.open(Program(source=text + _TRUSTED, watch=False), limits=task.limits)
    try:

        def ask(target: str, *args: Plain) -> Any:
            reply = session.call(Call(target, args))
            if reply.status != "value":
                raise InputError(
                    f"task {task.task_id!r}: its relation does not work: {reply.type_name} {reply.message}. It must "
                    f"define related(args) and holds(args, answer, others, answers)."
                )
            return reply.value

        groups = [(args, [tuple(other) for other in ask("_karat_related", args)]) for args in inputs]
        return _break_in(
            groups, task, source, context, lambda *given: bool(ask("_karat_holds", *given)), "the task's own relation"
        )
    finally:
        session.close()


def _break_in(
    groups: Sequence[tuple[Args, list[Args]]],
    task: Task,
    source: str | bytes,
    context: Context,
    holds: Callable[[Args, Plain, list[Args], list[Plain]], bool],
    says: str,
) -> str:
    flat = [each for args, others in groups if others for each in (args, *others)]
    answers = dict(zip(range(len(flat)), _replies(task, source, context, flat), strict=False))
    at = 0
    for args, others in groups:
        if not others:
            continue
        got = [answers.get(at + offset) for offset in range(1 + len(others))]
        at += 1 + len(others)
        if any(reply is None or reply.status != "value" for reply in got):
            continue
        values = [reply.value for reply in got if reply is not None]
        try:
            kept = holds(args, values[0], others, values[1:])
        except (TypeError, ValueError, ArithmeticError, IndexError):
            kept = False  # an answer that is of no kind the relation could hold for
        if not kept:
            return f"{says}; broken on {args!r}"[:300]
    return ""


def _replies(task: Task, source: str | bytes, context: Context, inputs: Sequence[Args]) -> Sequence[Any]:
    tests = [Test(test_id=str(at), input=args) for at, args in enumerate(inputs)]
    return ask_function(source, target_of(task), tests, sandbox=context.sandbox, limits=task.limits).replies


def _asked(task: Task, source: str | bytes, context: Context, inputs: Sequence[Args]) -> list[tuple[Args, Plain]]:
    replies = _replies(task, source, context, inputs)
    return [(args, reply.value) for args, reply in zip(inputs, replies, strict=False) if reply.status == "value"]
