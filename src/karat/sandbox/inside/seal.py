"""What graders rely on in an interpreter, kept as it was before the candidate, and what of it has changed.

The comparison is by identity. It reads a few dozen objects, because each one that it touches in a forked process costs
a copied page. `prepare` takes the seal once, before the processes of the candidates are forked.
"""

from __future__ import annotations

import atexit
import builtins
import sys
from collections.abc import Callable
from typing import Any

from karat.sandbox.inside import versions

Entry = tuple[str, Any, str, Any]
"""Printed name, container with `get` (a module's or class's dict), key, the sealed object."""

OFTEN: dict[str, str] = {
    "builtins": "len print open isinstance issubclass eval exec compile sum min max sorted abs all any round range "
    "int float str list dict set tuple bool type repr hash getattr setattr hasattr iter next map filter zip enumerate "
    "__import__ __build_class__ AssertionError BaseException Exception",
    "sys": "exit modules meta_path path_hooks excepthook unraisablehook displayhook",
    "os": "_exit write read",
    "time": "time perf_counter monotonic process_time sleep time_ns perf_counter_ns monotonic_ns process_time_ns",
    "json": "dumps loads",
}
"""Compared after every call: few, and all on pages that a call touches anyway."""

FINALLY: dict[str, str] = {
    "builtins": "input id vars dir divmod pow ord chr callable bytes frozenset complex slice super object property "
    "staticmethod classmethod format delattr globals locals memoryview bytearray reversed KeyboardInterrupt SystemExit "
    "ValueError TypeError",
    "sys": "settrace setprofile gettrace getprofile _getframe addaudithook intern getsizeof getrecursionlimit "
    "setrecursionlimit exc_info",
    "os": "close dup dup2 pipe fork kill system popen execv stat listdir getpid getppid open remove rename environ",
    "math": "isclose isnan isinf isfinite floor ceil sqrt gcd fabs fsum prod pow inf nan",
    "operator": "eq ne lt le gt ge is_ contains sub",
    "copy": "copy deepcopy",
    "json": "dump load JSONEncoder JSONDecoder",
    "json.encoder.JSONEncoder": "encode default iterencode",
    "json.decoder.JSONDecoder": "decode raw_decode",
    "io": "open StringIO BytesIO TextIOWrapper",
    "struct": "pack unpack Struct",
    "base64": "b64encode b64decode",
    "pickle": "dumps loads",
    "random": "random seed randint shuffle choice sample Random",
    "functools": "reduce lru_cache partial wraps",
    "itertools": "chain product zip_longest permutations combinations",
    "inspect": "stack getsource signature currentframe",
    "traceback": "print_exc format_exc print_exception",
    "warnings": "warn",
    "datetime": "datetime date time timedelta",
    "collections": "Counter OrderedDict deque defaultdict namedtuple",
    "decimal": "Decimal",
    "fractions": "Fraction",
    "statistics": "mean median",
    "re": "compile match search sub findall",
    "hashlib": "sha256 md5",
    "hmac": "compare_digest",
    "difflib": "SequenceMatcher",
    "filecmp": "cmp",
    "importlib": "import_module reload",
    "subprocess": "run Popen check_output check_call call",
    "threading": "Thread Lock Timer",
    "threading.Thread": "start run join",
    "signal": "signal alarm setitimer",
    "unittest": "TestCase main TextTestRunner TestResult skip",
    "unittest.case.TestCase": "run __call__ assertEqual assertNotEqual assertTrue assertFalse assertIs assertIn "
    "assertRaises assertAlmostEqual assertListEqual assertDictEqual assertTupleEqual assertSetEqual assertIsNone fail "
    "failureException setUp debug",
    "unittest.result.TestResult": "addSuccess addFailure addError wasSuccessful startTest",
    "unittest.runner.TextTestRunner": "run",
    "unittest.loader.TestLoader": "loadTestsFromModule loadTestsFromTestCase",
    "doctest": "testmod run_docstring_examples",
    "pytest": "main raises approx skip fail importorskip",
    "_pytest.reports.TestReport": "from_item_and_call",
    "_pytest.runner": "call_and_report pytest_runtest_makereport runtestprotocol",
    "_pytest.python.Function": "runtest",
    "numpy": "allclose array_equal isclose all any abs array_equiv equal max sum testing",
    "numpy.testing": "assert_allclose assert_array_equal assert_almost_equal assert_equal assert_array_almost_equal",
    "torch": "allclose equal isclose",
    "torch.cuda": "synchronize",
}
"""Compared at the end as well."""

OWN = ("wire", "child", "audit", "seal", "case")
"""Modules beside the candidate: all their functions and classes are sealed."""

CARRIERS = ("json", "json.decoder", "json.encoder", "json.scanner", "base64", "struct")
"""Modules of the standard library that carry results."""

SIGNALS = (1, 2, 6, 10, 12, 14, 15, 24, 26, 27)
"""HUP, INT, ABRT, USR1, USR2, ALRM, TERM, XCPU, VTALRM, PROF: those by which limits are set."""

_TAKEN: list[tuple[tuple[Entry, ...], tuple[Entry, ...]]] = []


def prepare() -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """The sealed names, taken once in this process or in the one that it was forked from."""
    if not _TAKEN:
        hold_builtins()
        final = _entries(FINALLY) + tuple(_own_entries())
        _TAKEN.append((_entries(OFTEN), final))
    return _TAKEN[0]


def hold_builtins() -> None:
    """Give the modules that carry results their own names of the builtins, which are looked up before the real ones: a
    candidate that replaces `len` then changes neither a frame nor the record of what it did.
    """
    held = {name: value for name, value in builtins.__dict__.items() if not name.startswith("_")}
    for place in (*(f"{__package__}.{short}" for short in OWN), *CARRIERS):
        for name, value in held.items():
            _container(place, {}).setdefault(name, value)


def _entries(names: dict[str, str]) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    for place, attributes in names.items():
        container = _container(place)
        if container is not None:
            entries += [
                (f"{place}.{key}", container, key, container[key]) for key in attributes.split() if key in container
            ]
    return tuple(entries)


def _container(place: str, absent: Any = None) -> Any:
    """Dictionary of a loaded module or of a class in one; `absent` where it is not loaded."""
    module = sys.modules.get(place)
    if module is None and "." in place:
        home, _, name = place.rpartition(".")
        module = getattr(sys.modules.get(home), name, None)
    return absent if module is None else module.__dict__


def _own_entries() -> list[Entry]:
    entries: list[Entry] = []
    for short in OWN:
        container = _container(f"{__package__}.{short}")
        for key, value in (container or {}).items():
            if callable(value) and getattr(value, "__module__", "").startswith(__package__):
                entries.append((f"harness.{short}.{key}", container, key, value))
                if isinstance(value, type):
                    inner: Any = value.__dict__
                    entries += [(f"harness.{short}.{key}.{k}", inner, k, inner[k]) for k in inner if callable(inner[k])]
    return entries


def _with_tags(entries: tuple[Entry, ...]) -> tuple[list[Any], list[int], list[list[Entry]]]:
    """Entries by container; the version tag of each container and what it is now, or neither where there are none."""
    groups: dict[int, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(id(entry[1]), []).append(entry)
    grouped = list(groups.values())
    tag_of = versions.reader()
    tags = [] if tag_of is None else [tag_of(group[0][1]) for group in grouped]
    return tags, [tag.value for tag in tags], grouped


def make_check() -> Callable[[bool], list[tuple[str, str]]]:
    """A function that compares; it returns only what it has not returned before. All that it uses is in its cells, so
    that a candidate which replaces names of this module changes nothing.
    """
    often, final = (_with_tags(entries) for entries in prepare())
    modules = sys.modules
    watched = [
        (name, modules[name]) for name in (*OFTEN, "math", "operator", "copy", "unittest", "io") if name in modules
    ]
    callbacks, get_trace, get_profile = atexit._ncallbacks, sys.gettrace, sys.getprofile
    get_handler, signals = _signal_reader()
    hooks = (sys.meta_path, tuple(sys.meta_path), sys.path_hooks, tuple(sys.path_hooks))
    state = (callbacks(), get_trace(), get_profile(), tuple(get_handler(number) for number in signals))
    missing = object()
    told: set[str] = set()
    name_of: Any = type.__dict__["__name__"].__get__

    def changes(whole: bool) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for tags, before, groups in (often, final) if whole else (often,):
            tags_now = [tag.value for tag in tags]
            if tags and tags_now == before:  # no container was changed: nothing in them needs to be touched
                continue
            for place, entries in enumerate_(groups):
                if tags and tags_now[place] == before[place]:
                    continue
                if tags:
                    before[place] = tags_now[place]
                for name, container, key, value in entries:
                    now = container.get(key, missing)
                    if now is not value and name not in told:
                        told.add(name)
                        found.append((name, "removed" if now is missing else f"now {name_of(type(now))}"))
        for name, detail in state_changes() if whole else ():
            if name not in told:
                told.add(name)
                found.append((name, detail))
        return found

    def state_changes() -> list[tuple[str, str]]:
        found = [(f"sys.modules[{name}]", "replaced") for name, module in watched if modules.get(name) is not module]
        for label, now, before in (("meta_path", *hooks[:2]), ("path_hooks", *hooks[2:])):
            if (*now,) != before:
                found.append((f"sys.{label} entries", f"{now.__len__()} instead of {before.__len__()}"))
        if get_trace() is not state[1]:
            found.append(("trace function", "set"))
        if get_profile() is not state[2]:
            found.append(("profile function", "set"))
        if callbacks() > state[0]:
            found.append(("atexit callbacks", "added"))
        for number, before in zip_(signals, state[3]):
            if get_handler(number) is not before:
                found.append((f"signal handler {number}", "changed"))
        return found

    zip_, enumerate_ = zip, enumerate
    return changes


def _signal_reader() -> tuple[Callable[[int], Any], tuple[int, ...]]:
    import _signal  # type: ignore[import-not-found]  # signal.getsignal makes an enumeration's member of each answer

    return _signal.getsignal, SIGNALS
