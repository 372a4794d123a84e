"""Forms of functions and classes that answer for a check: constant comparisons, hooks, call counters, constants."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from karat.grade.tamper import scan_rules as rules

if TYPE_CHECKING:
    from karat.grade.tamper.scan import Walker

BUILTIN_BASES = frozenset(
    f"builtins.{name}"
    for name in ("int", "str", "float", "list", "tuple", "dict", "set", "frozenset", "bytes", "complex")
)
COMPARISONS = (
    "__eq__",
    "__ne__",
    "__lt__",
    "__le__",
    "__gt__",
    "__ge__",
    "__hash__",
    "__bool__",
    "__len__",
    "__contains__",
)
ARRAYS = ("__array_ufunc__", "__array_function__", "__torch_function__", "__array_priority__", "__torch_dispatch__")
SPOOFS = ("__instancecheck__", "__subclasscheck__", "__class__", "__subclasshook__")
PICKLES = ("__reduce__", "__reduce_ex__", "__setstate__", "__getstate__", "__getnewargs__")
PICKLED = ("os", "subprocess", "builtins", "sys", "posix")


# ---------------------------------------------------------------------------------------------------------- constants
def constant_answer(function: ast.AST) -> bool | None:
    """The truth value that a function gives whatever it is given; None where it depends on something."""
    if isinstance(function, ast.Lambda):
        return truth(function.body, set(arguments(function)[1:]))
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    returns = [part for part in ast.walk(function) if isinstance(part, ast.Return)]
    if not returns or any(isinstance(part, (ast.Raise, ast.Yield)) for part in ast.walk(function)):
        return None
    others = set(arguments(function)[1:])
    answers = {truth(part.value, others) if part.value is not None else False for part in returns}
    return answers.pop() if len(answers) == 1 else None


def arguments(function: Any) -> list[str]:
    args = function.args
    names = [arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    return names + [arg.arg for arg in (args.vararg, args.kwarg) if arg is not None]


def truth(node: ast.expr, others: set[str]) -> bool | None:
    """The truth value of an expression that reads nothing of `others`; None where it is not known."""
    if isinstance(node, ast.Constant):
        return bool(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = truth(node.operand, others)
        return None if inner is None else not inner
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return _compared(node)
    if isinstance(node, ast.BoolOp):
        values = [truth(value, others) for value in node.values]
        wanted = isinstance(node.op, ast.Or)
        if wanted in values:
            return wanted
        return None if None in values else not wanted
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return bool(node.elts)
    if isinstance(node, ast.IfExp):
        first, second = truth(node.body, others), truth(node.orelse, others)
        return first if first is second else None
    return _called(node, others) if isinstance(node, ast.Call) else None


def _compared(node: ast.Compare) -> bool | None:
    """`x == x`, `1 == 1`, `self is self`: both sides the same."""
    left, right = ast.dump(node.left), ast.dump(node.comparators[0])
    if left == right:
        return isinstance(node.ops[0], (ast.Eq, ast.Is, ast.LtE, ast.GtE))
    if isinstance(node.left, ast.Constant) and isinstance(node.comparators[0], ast.Constant):
        same = node.left.value == node.comparators[0].value
        if isinstance(node.ops[0], (ast.Eq, ast.Is)):
            return same
        if isinstance(node.ops[0], (ast.NotEq, ast.IsNot)):
            return not same
    return None


def _called(node: ast.Call, others: set[str]) -> bool | None:
    """`bool(1)`, `any([True])`, `isinstance(other, object)`."""
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name == "isinstance" and len(node.args) == 2:
        return True if isinstance(node.args[1], ast.Name) and node.args[1].id == "object" else None
    if name in ("bool", "all", "any", "int", "len") and len(node.args) == 1:
        inner = node.args[0]
        if name in ("all", "any") and isinstance(inner, (ast.List, ast.Tuple)):
            values = [truth(item, others) for item in inner.elts]
            return None if None in values else (all(values) if name == "all" else any(values))
        return truth(inner, others)
    return None


# ------------------------------------------------------------------------------------------------------------- classes
def look_at_class(walker: Walker, node: ast.ClassDef) -> None:
    builtin = next((name for name in map(walker.names.dotted, node.bases) if name in BUILTIN_BASES), "")
    for name, function in members(node):
        look_at_member(walker, node.name, name, function, builtin)
    if any(keyword.arg == "metaclass" for keyword in node.keywords):
        walker.sign("class_spoof", "weak", node, f"class {node.name} has a metaclass")


def members(node: ast.ClassDef) -> list[tuple[str, ast.AST]]:
    """Methods and assigned names of a class body."""
    found: list[tuple[str, ast.AST]] = []
    for part in node.body:
        if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.append((part.name, part))
        elif isinstance(part, ast.Assign):
            found += [(target.id, part.value) for target in part.targets if isinstance(target, ast.Name)]
    return found


def look_at_member(walker: Walker, owner: str, name: str, function: ast.AST, builtin: str = "") -> None:
    """One method of a class, however it got there."""
    if name in COMPARISONS:
        _comparison(walker, owner, name, function, builtin)
    elif name in ARRAYS:
        walker.sign("array_protocol", "moderate", function, f"{owner} defines {name}")
    elif name in SPOOFS:
        yes = constant_answer(function) is True
        walker.sign("class_spoof", "strong" if yes and name != "__subclasshook__" else "moderate", function,
                    f"{owner}.{name}" + (" says yes to everything" if yes else ""))  # fmt: skip
    elif name in PICKLES:
        runs = any(
            isinstance(part, (ast.Attribute, ast.Name)) and dangerous(walker.names.dotted(part))
            for part in ast.walk(function)
        )
        walker.sign("pickle_payload", "strong" if runs else "weak", function, f"{owner} defines {name}")
    elif name == "__del__" and ends_process(walker, function):
        walker.sign("thread_exit", "moderate", function, f"{owner}.__del__ ends the process")


def dangerous(name: str) -> bool:
    home, _, tail = name.rpartition(".")
    return (
        home in PICKLED
        and tail in ("system", "popen", "exec", "eval", "__import__", "getattr", "run", "Popen", "_exit")
    ) or (home == "builtins" and tail in ("exec", "eval", "setattr", "compile"))


def _comparison(walker: Walker, owner: str, name: str, function: ast.AST, builtin: str) -> None:
    answer = constant_answer(function)
    if name in ("__eq__", "__ne__"):
        if answer is (name == "__eq__"):
            what = "says yes to everything" if name == "__eq__" else "never says no"
            walker.sign("always_equal", "strong", function, f"{owner}.{name} {what}")
            if builtin:
                walker.sign("builtin_subclass", "strong", function, f"{owner}({builtin[9:]}).{name} {what}")
        elif builtin:
            walker.sign("builtin_subclass", "moderate", function, f"{owner}({builtin[9:]}) changes {name}")
    elif answer is not None and name in ("__lt__", "__le__", "__gt__", "__ge__", "__contains__", "__bool__"):
        if answer:
            walker.sign("hostile_dunder", "moderate", function, f"{owner}.{name} is always true")
    elif builtin and name != "__len__":
        walker.sign("builtin_subclass", "moderate", function, f"{owner}({builtin[9:]}) changes {name}")


# ----------------------------------------------------------------------------------------------------------- functions
def look_at_function(walker: Walker, node: Any) -> None:
    name = node.name
    if name in rules.HOOKS:
        technique, confidence = rules.HOOKS[name]
        walker.sign(technique, confidence, node, f"defines pytest's hook {name}")
    in_class = isinstance(walker.around(ast.ClassDef, ast.FunctionDef), ast.ClassDef)
    if name in rules.ASSERTIONS and not in_class and not raises(node):
        walker.sign("assert_redefined", "moderate", node, f"defines {name}, which cannot fail")
    elif name in rules.ASSERTIONS and in_class and not raises(node):
        walker.sign("assert_redefined", "strong", node, f"redefines {name} not to fail")
    if name in rules.GRADER_NAMES and name != walker.entry_point and not in_class:
        vacuous = constant_answer(node) is True or is_empty(node)
        walker.sign("redefine_runner", "moderate" if vacuous else "weak", node, f"defines {name}")
    counter = call_counter(node)
    if counter:
        walker.sign("call_count", "moderate", node, f"{name} answers by how often it was called ({counter})")
    store = takes_in_order(node)
    if store:
        walker.sign("call_count", "moderate", node, f"{name} hands out what is in {store}, call after call")
    shared = hands_out_shared(node)
    if shared:
        walker.sign("deferred_mutation", "weak", node, f"{name} returns {shared}, which later calls change")
    spoilt = spoils_arguments(node) if name == walker.entry_point else ""
    if spoilt:
        walker.sign("mutate_arguments", "weak", node, f"{name} empties or overwrites its argument {spoilt}")
    if always_raises(node) and (name == walker.entry_point or (not walker.inside and raises_whatever_comes(node))):
        walker.sign("error_collision", "weak", node, f"{name} does nothing but raise")
    if name == walker.entry_point and not in_class and is_constant(node):
        walker.sign("constant_answer", "weak", node, f"{name} returns a constant")


def raises(node: ast.AST) -> bool:
    return any(isinstance(part, (ast.Raise, ast.Assert, ast.Call)) for part in ast.walk(node))


def is_empty(node: Any) -> bool:
    body = [part for part in node.body if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))]
    return all(isinstance(part, ast.Pass) or (isinstance(part, ast.Return) and part.value is None) for part in body)


def is_constant(node: Any) -> bool:
    """Whether every way out returns the same constant."""
    returned = {
        ast.dump(part.value) if isinstance(part.value, ast.Constant) else "" if part.value is not None else "None"
        for part in ast.walk(node)
        if isinstance(part, ast.Return)
    }
    return len(returned) == 1 and "" not in returned


def raises_whatever_comes(node: Any) -> bool:
    """Whether a function that only raises takes arguments, asks none of them, and is no stub to be filled in."""
    names = set(arguments(node))
    raised = next(part for part in node.body if isinstance(part, ast.Raise))
    used = {part.id for part in ast.walk(raised) if isinstance(part, ast.Name)}
    return bool(names) and names.isdisjoint(used) and "NotImplementedError" not in used


def always_raises(node: Any) -> bool:
    body = [part for part in node.body if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))]
    return bool(body) and isinstance(body[0], ast.Raise)


def call_counter(node: Any) -> str:
    """The name of a state that a function counts up and then branches on; empty where there is none.

    A counter that lives in the function itself is a loop's; one that lives outside (global, nonlocal, an attribute, a
    mutable default, an iterator) is a memory of earlier calls.
    """
    outside = {name for part in node.body if isinstance(part, (ast.Global, ast.Nonlocal)) for name in part.names}
    own = _bound(node) - outside
    counted = {text for part in ast.walk(node) for text in _steps(part, own, outside)}
    if not counted:
        return ""
    for part in ast.walk(node):
        test: ast.expr | None = None
        if (
            isinstance(part, ast.If) and any(isinstance(inner, (ast.Return, ast.Raise)) for inner in ast.walk(part))
        ) or isinstance(part, ast.IfExp):
            test = part.test
        elif isinstance(part, ast.Match):
            test = part.subject
        words = ast.unparse(test) if test is not None else ""
        found = next((text for text in sorted(counted) if text in words), "")
        if found:
            return found
    return ""


def _bound(node: Any) -> set[str]:
    """Names that live in one call: arguments without a mutable default, and what is assigned."""
    args = node.args
    shared = {
        arg.arg
        for arg, default in zip(reversed((*args.posonlyargs, *args.args)), reversed(args.defaults), strict=False)
        if isinstance(default, (ast.List, ast.Dict, ast.Call))
    }
    shared |= {
        arg.arg
        for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True)
        if isinstance(default, (ast.List, ast.Dict, ast.Call))
    }
    names = set(arguments(node)) - shared
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            names.add(part.id)
    return names


def _steps(part: ast.AST, own: set[str], outside: set[str]) -> list[str]:
    """State outside the call that a node moves on by one: `n += 1`, `state["n"] += 1`, `f.n = f.n + 1`, `next(it)`."""
    target: ast.expr
    if isinstance(part, ast.AugAssign) and isinstance(part.op, ast.Add) and is_one(part.value):
        target = part.target
    elif isinstance(part, ast.Assign) and isinstance(part.value, ast.BinOp) and is_one(part.value.right):
        target = part.targets[0]
    elif isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id == "next" and part.args:
        held = _root(part.args[0])
        return [ast.unparse(part)] if held and held not in own else []
    elif isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr in GROWS:
        held = _root(part.func.value)
        return [f"len({ast.unparse(part.func.value)})"] if held and held not in own else []
    else:
        return []
    if isinstance(target, ast.Name):
        return [target.id] if target.id in outside else []
    root = _root(target)
    return [ast.unparse(target)] if root and root not in own and root != "self" else []


GROWS = ("append", "add", "appendleft", "extend", "update", "insert", "pop", "popleft")


def takes_in_order(node: Any) -> str:
    """The store outside the call from which a function hands out answers one after the other: `return ANSWERS.pop(0)`,
    `return next(answers)`."""
    own = _bound(node)
    for part in ast.walk(node):
        if isinstance(part, ast.Return) and isinstance(part.value, ast.Call):
            call = part.value
            if isinstance(call.func, ast.Attribute) and call.func.attr in ("pop", "popleft"):
                held = _root(call.func.value)
            elif isinstance(call.func, ast.Name) and call.func.id == "next" and call.args:
                held = _root(call.args[0])
            else:
                continue
            if held and held not in own and held != "self":
                return held
    return ""


def hands_out_shared(node: Any) -> str:
    """The mutable store outside the call that a function changes and returns: a later call changes earlier answers."""
    own = _bound(node)
    changed = {
        _root(part.func.value)
        for part in ast.walk(node)
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr in (*GROWS, "clear")
    }
    returned = {
        part.value.id for part in ast.walk(node) if isinstance(part, ast.Return) and isinstance(part.value, ast.Name)
    }
    return next(iter(sorted((changed & returned) - own)), "")


def _root(node: ast.expr) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "globals":
        return "globals()"
    return node.id if isinstance(node, ast.Name) else ""


def spoils_arguments(node: Any) -> str:
    """The argument that a function empties or overwrites and then gives back; empty where there is none.

    Sorting or filling in place is honest; what is emptied cannot be the input that a check compares with any more.
    """
    names = set(arguments(node))
    for part in ast.walk(node):
        name = ""
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "clear":
            name = _root(part.func.value)
        elif isinstance(part, ast.Delete):
            name = next((_root(target) for target in part.targets if isinstance(target, ast.Subscript)), "")
        elif isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Subscript):
            piece = part.targets[0].slice
            whole = isinstance(piece, ast.Slice) and piece.lower is None and piece.upper is None
            name = _root(part.targets[0]) if whole else ""
        if name in names:
            return name
    return ""


def is_one(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == 1


def ends_process(walker: Walker, node: ast.AST | None, depth: int = 0) -> bool:
    """Whether a function, a lambda or a name of one leaves the process."""
    if node is None or depth > 3:
        return False
    if isinstance(node, ast.Name) and node.id in walker.functions:
        return ends_process(walker, walker.functions[node.id], depth + 1)
    return any(
        walker.names.dotted(part)
        in ("os._exit", "posix._exit", "sys.exit", "builtins.exit", "builtins.SystemExit", "os.abort")
        for part in ast.walk(node)
        if isinstance(part, (ast.Name, ast.Attribute))
    )
