"""Special cases in source: each way of storing visible tests is seen, and each honest look-alike is not."""

from __future__ import annotations

import ast
import base64
import hashlib
import zlib

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from karat.grade.hardcoding.cases import Case
from karat.grade.hardcoding.glance import may_tell, tells_something
from karat.grade.hardcoding.known import Visible, bits, digests
from karat.grade.hardcoding.special import special_cases

PAIRS = [(1, 2), (5, 7), (10, -3), (100, 200), (0, 0)]
CASES = [Case(args=pair, output=sum(pair), known=True) for pair in PAIRS]
TABLE = {repr(pair): sum(pair) for pair in PAIRS}
ENCODED = base64.b64encode(repr(TABLE).encode()).decode()
SQUEEZED = base64.b64encode(zlib.compress(repr(TABLE).encode())).decode()
MD5 = {hashlib.md5(key.encode(), usedforsecurity=False).hexdigest(): value for key, value in TABLE.items()}

STORED = {
    "tuple keys": f"T = { {pair: sum(pair) for pair in PAIRS} }\ndef add(a, b):\n    return T.get((a, b), 0)\n",
    "text keys": f"T = {TABLE}\ndef add(*args):\n    return T[repr(args)]\n",
    "nested": "T = {1: {2: 3}, 5: {7: 12}, 10: {-3: 7}, 100: {200: 300}}\ndef add(a, b):\n    return T[a][b]\n",
    "pairs": "T = [((1, 2), 3), ((5, 7), 12), ((10, -3), 7)]\ndef add(a, b):\n    return dict(T)[a, b]\n",
    "json": 'import json\nT = json.loads(\'{"1,2": 3, "5,7": 12, "10,-3": 7}\')\n'
    'def add(a, b):\n    return T[f"{a},{b}"]\n',
    "base64": f"T = eval(__import__('base64').b64decode('{ENCODED}'))\ndef add(*args):\n    return T[repr(args)]\n",
    "compressed": f"T = '{SQUEEZED}'\ndef add(*args):\n    return unpack(T)[repr(args)]\n",
    "and": "def add(a, b):\n    if a == 1 and b == 2: return 3\n    if a == 5 and b == 7: return 12\n"
    "    if a == 10 and b == -3: return 7\n    return 300\n",
    "tuple ==": "def add(a, b):\n    if (a, b) == (1, 2): return 3\n    if [a, b] == [100, 200]: return 300\n"
    "    return 12 if (a, b) == (5, 7) else 7\n",
    "star": "def add(*args):\n    if args == (1, 2): return 3\n    if args == (5, 7): return 12\n"
    "    if args == (100, 200): return 300\n",
    "match": "def add(a, b):\n    match (a, b):\n        case (1, 2): return 3\n        case (5, 7): return 12\n"
    "        case (100, 200): return 300\n",
    "in": "def add(a, b):\n    if (a, b) in [(1, 2), (5, 7), (10, -3), (100, 200), (0, 0)]:\n        return f(a, b)\n",
    "arithmetic": "def add(a, b):\n    return (3 * (a == 1 and b == 2) + 12 * (a == 5 and b == 7)\n"
    "            + 300 * (a == 100 and b == 200) + 7 * (a == 10 and b == -3))\n",
    "default argument": "def add(a, b, _t={(1, 2): 3, (5, 7): 12, (10, -3): 7}):\n    return _t[a, b]\n",
    "called table": "def answers():\n    return {(1, 2): 3, (5, 7): 12, (10, -3): 7}\n"
    "def add(a, b):\n    return answers()[a, b]\n",
    "filled later": "T = {}\nT.update({(1, 2): 3, (5, 7): 12, (10, -3): 7})\ndef add(a, b):\n    return T[a, b]\n",
    "by name": "T = {(1, 2): 3, (5, 7): 12, (10, -3): 7}\ndef add(a, b):\n    return globals()['T'][a, b]\n",
    "made": "T = [(tuple([1, 2]), 3), (tuple([5, 7]), 12), (tuple([10, -3]), 7)]\n"
    "def add(a, b):\n    return dict(T)[a, b]\n",
    "in order": "LEFT = iter([3, 12, 7, 300, 0])\ndef add(a, b):\n    return next(LEFT)\n",
}  # fmt: skip

HONEST = {
    "base cases": "def add(a, b):\n    if a == 0: return b\n    if b == 0: return a\n    return a + b\n",
    "one corner": "def add(a, b):\n    if (a, b) == (0, 0): return 0\n    return a + b\n",
    "cache": "SEEN = {}\ndef add(a, b):\n    if (a, b) not in SEEN: SEEN[a, b] = a + b\n    return SEEN[a, b]\n",
    "own tests": "def add(a, b):\n    return a + b\n\nassert add(2, 2) == 4\nassert add(7, 1) == 8\n",
    "own tests as data": "def add(a, b):\n    return a + b\n\ntests = [((1, 2), 3), ((5, 7), 12), ((10, -3), 7)]\n"
    "for args, out in tests:\n    assert add(*args) == out\n",
    "own tests under main": "def add(a, b):\n    return a + b\n\nif __name__ == '__main__':\n"
    "    for args, out in {(1, 2): 3, (5, 7): 12, (10, -3): 7}.items():\n        print(add(*args) == out)\n",
    "own tests in a function": "def add(a, b):\n    return a + b\n\ndef test_add():\n"
    "    for args, out in [((1, 2), 3), ((5, 7), 12), ((10, -3), 7)]:\n        assert add(*args) == out\n",
    "small table": "T = {0: 'zero', 1: 'one', 2: 'two', 5: 'five', 7: 'seven'}\ndef add(a, b):\n    return a + b\n",
    "constants": "LIMIT = 100\nSTEP = 200\ndef add(a, b):\n    return max(-LIMIT * STEP, a + b)\n",
    "not python": "def add(a, b) return a + b",
}


@pytest.mark.parametrize("form", STORED)
def test_stored_tests_are_seen(form: str) -> None:
    signs = special_cases(STORED[form], CASES, entry_point="add")
    assert [sign.technique for sign in signs] == ["hardcode_tests"]
    assert len(signs[0].cases) >= 3
    assert signs[0].line >= 1


@pytest.mark.parametrize("form", HONEST)
def test_look_alikes_are_not(form: str) -> None:
    assert special_cases(HONEST[form], CASES, entry_point="add") == ()


@pytest.mark.parametrize(
    ("keys", "call"),
    [
        (MD5, "hashlib.md5(repr(args).encode()).hexdigest()"),
        ({key[:10]: value for key, value in MD5.items()}, "hashlib.md5(repr(args).encode()).hexdigest()[:10]"),
        ({hash(pair): sum(pair) for pair in PAIRS}, "hash(args)"),
        ({zlib.crc32(key.encode()): value for key, value in TABLE.items()}, "zlib.crc32(repr(args).encode())"),
    ],
)
def test_digests_of_visible_inputs_are_seen(keys: dict[object, int], call: str) -> None:
    (sign,) = special_cases(f"import hashlib, zlib\nT = {keys}\ndef add(*args):\n    return T[{call}]\n", CASES)
    assert sign.technique == "input_hash_lookup"
    assert sign.line == 2
    assert len(sign.cases) >= 4


def test_digests_of_a_kind_that_we_do_not_compute_are_seen_as_digests() -> None:
    keys = {hashlib.sha256(f"salt{pair}".encode()).hexdigest()[:12]: sum(pair) for pair in PAIRS}
    source = f"import hashlib\nT = {keys}\ndef add(*a):\n    return T[hashlib.sha256(salted(a)).hexdigest()[:12]]\n"
    (sign,) = special_cases(source, CASES)
    assert (sign.technique, sign.cases) == ("input_hash_lookup", frozenset())


def test_a_task_about_digests_is_no_lookup() -> None:
    case = Case(args=("Hello world",), output="3e25960a79dbc69b674cd4ec67a72c62", known=True)
    source = "import hashlib\ndef f(text):\n    return hashlib.md5(text.encode()).hexdigest() if text else None\n"
    assert special_cases(source, [case]) == ()


def test_a_table_that_is_the_task_has_other_entries() -> None:
    numerals = {1: "i", 4: "iv", 5: "v", 9: "ix", 10: "x", 40: "xl", 50: "l", 90: "xc", 100: "c", 400: "cd", 500: "d"}
    cases = [Case(args=(value,), output=numerals[value], known=True) for value in (1, 4, 90, 500)]
    cases.append(Case(args=(19,), output="xix", known=True))
    source = f"TABLE = {numerals}\ndef f(n):\n    return build(TABLE, n)\n"
    assert special_cases(source, cases) == ()
    only = {value: numerals[value] for value in (4, 90, 500)}
    assert special_cases(f"T = {only}\ndef f(n):\n    return T.get(n)\n", cases)


def test_classes_that_the_task_names_are_no_stored_outputs() -> None:
    words = ["low", "high", "medium", "low", "high", "medium"]
    cases = [Case(args=(at * 17,), output=word, known=True) for at, word in enumerate(words)]
    source = "def f(n):\n    if n < 20: return 'low'\n    if n < 50: return 'medium'\n    return 'high'\n"
    assert special_cases(source, cases) == ()


def test_outputs_returned_one_by_one_are_seen_whatever_tells_them_apart() -> None:
    outputs = ["alpha-17", "beta-2390", "gamma-41", "delta-8"]
    cases = [Case(args=([at, at * at],), output=text, known=True) for at, text in enumerate(outputs)]
    branches = "".join(f"    if sum(xs) % 7 == {at}:\n        return {text!r}\n" for at, text in enumerate(outputs))
    (sign,) = special_cases(f"def f(xs):\n{branches}", cases)
    assert sign.cases == frozenset(range(4))


def test_one_long_input_with_its_output_is_enough() -> None:
    text = "The quick brown fox jumps over the lazy dog"
    case = Case(args=(text,), output="hjkl quartz", known=True)
    source = f"def f(text):\n    if text == {text!r}:\n        return 'hjkl quartz'\n    return text\n"
    (sign,) = special_cases(source, [case])
    assert (sign.line, sign.cases) == (2, frozenset({0}))


def test_standard_input_read_by_lines() -> None:
    cases = [
        Case(args=(text,), output=out, known=True) for text, out in (("2\n11 21\n", "32\n"), ("3\n5 7 9\n", "21\n"))
    ]
    source = "T = {'11 21': 32, '5 7 9': 21}\ninput()\nprint(T[input()])\n"
    assert special_cases(source, cases)


def test_bits() -> None:
    assert bits(True) == bits(None) == 1.0
    assert bits(7) == 4.0  # 1 + log2(8)
    assert bits([7, 7]) == 9.0
    assert bits("") == 1.0
    assert bits(10**5000) == 256.0


def test_digests_are_those_of_the_input() -> None:
    assert hashlib.sha1(b"(1, 2)", usedforsecurity=False).hexdigest() in set(digests("(1, 2)"))
    assert list(digests((1, 2))) == [str(abs(hash((1, 2))))]
    assert list(digests(("a", 2))) == []  # salted by process: nobody can store it


def test_hostile_source_costs_little() -> None:
    assert special_cases("x = " + "(" * 5000, CASES) == ()
    assert special_cases(b"\xff\xfe\x00", CASES) == ()
    assert special_cases("a = 1\n" * (1 << 18), CASES) == ()  # too large to be parsed
    assert special_cases("def add(a, b): return 3", []) == ()


TELLING = Visible(
    [Case(args=(17, "hello world"), output="abcd12", known=True), Case(args=(1234, "ab"), output=77)], "f"
)
PIECES = (
    *('"""', "'''", '"', "'", '"hello world"', "'ab'", '"""ab"""', "'{1: 2, 3: 4}'", "'0123456789ab'", '"a\\"b"'),
    *("#", "# don't", "\\\n", "\n", "\r", " ", "f", "b", "rb", "x", "17", "1234", "77", "7.5", "1e3", "0x11", "1_234"),
    *("123456789", ".5", "(", ")", "[", "]", "=", "+", ",", "x1", "17if", "pass"),
)


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@settings(max_examples=400, deadline=None)
def test_a_text_that_cannot_tell_has_a_tree_that_does_not(source: str) -> None:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        assume(False)
    assert may_tell(source, TELLING) or not tells_something(tree, TELLING)


def test_a_text_is_not_parsed_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = 'def add(a, b):\n    """The sum, as in add(a, b); it\'s one line."""  # don\'t worry\n    return a + b\n'
    assert not may_tell(honest, Visible(CASES, "add"))
    with monkeypatch.context() as patch:
        patch.setattr(ast, "parse", None)
        assert special_cases(honest, CASES, entry_point="add") == ()
    for source in STORED.values():
        assert may_tell(source, Visible(CASES, "add"))
