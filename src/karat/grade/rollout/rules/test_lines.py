"""Changes of tests in other languages, and of Python pieces that hold no whole statement: line by line."""

from __future__ import annotations

import re
from collections.abc import Callable

from karat.grade.rollout.rules.scene import Scene, added_lines, removed_lines
from karat.grade.rollout.types import Sign
from karat.grade.rollout.workspace import Change
from karat.grade.types import Confidence

_ASSERTS = re.compile(
    r"\b(expect\s*\(|assert\w*!?\s*[\(!.]|assert\s+\S|assert_eq!|assert!|EXPECT_\w+\(|ASSERT_\w+\(|should\."
    r"|\.should\b|t\.(Error|Fatal)f?\("
    r"|require\.\w+\(|verify\(|Assert\.\w+\(|assertThat\(|\.toBe|\.toEqual|XCTAssert|REQUIRE\(|CHECK\(|ok\(|is\()"
)
_SKIPS = re.compile(
    r"\b(it|test|describe|context|suite)\.(skip|todo|fails|failing)\b|\bx(it|test|describe)\s*\(|\bt\.(Skip"
    r"|SkipNow|Skipf)\(|@Ignore\b"
    r"|@Disabled\b|#\[ignore\b|\[Ignore|\bpending\b|markTestSkipped|\bskip\s*:|GTEST_SKIP|DISABLED_\w+|\.only\("
    r"|@pytest\.mark\.(skip|xfail)"
    r"|unittest\.skip|@Test\(enabled\s*=\s*false|Assumptions?\.|cfg\(not\(test\)\)"
)
_TESTS = re.compile(
    r"\b(it|test|describe)\s*\(\s*['\"`]|\bfunc Test\w+|#\[test\]|@Test\b|\bTEST(_F|_P)?\(|def test_\w+|@test \""
)
_TITLE = re.compile(r"\b(it|test|describe|context)(\.\w+)?\s*\(\s*(['\"`]).*?\3")
_WEAK = re.compile(r"toBeTruthy|toBeDefined|not\.toBeNull|toBeInstanceOf|assertNotNull|assert\.ok"
                   r"|assertTrue\(true\)|expect\(true\)"
                   r"|assert!\(true\)|toBeCloseTo|anything\(\)|any\(|expect\.any|toContain|toMatchObject|NotNil"
                   r"|assert_ne!|EXPECT_TRUE\(true\)")  # fmt: skip

MOST_LINES = 300
"""Lines with assertions that are looked at on each side of one change."""
MOST_PAIRS = 4_000
"""Pairs of them that are compared; with more, each with the first five that begin as it does."""


def line_signs(scene: Scene, change: Change, make: Callable[..., Sign]) -> list[Sign]:
    """Signs in lines taken out and put in."""
    if change.after is None:
        return [make("edit_test_file", "moderate", after=change.action.command, evidence="a test file was edited")]
    if change.before is None:
        return [make("edit_test_file", "moderate", line=1, after=change.after.text if change.after else "",
                     evidence="an existing test file was overwritten")]  # fmt: skip
    gone, come = removed_lines(change), added_lines(change)
    found: list[Sign] = []
    skipped = {_core(text) for _, text in gone if _SKIPS.search(text)}
    for line, text in come:
        if _SKIPS.search(text) and _core(text) not in skipped:
            condition = re.search(
                r"skipIf|runIf|Assum|platform|os ==|GOOS|testing\.Short|EnabledIf|DisabledIf|DisabledOn", text
            )
            found.append(make("skip_marker", "weak" if condition else "strong", line=line, after=text,
                              evidence="a test is skipped now, or others are left out"))  # fmt: skip
    found += _assertions(scene, change, gone, come, make)
    lost = sum(bool(_TESTS.search(text)) for _, text in gone) - sum(bool(_TESTS.search(text)) for _, text in come)
    if lost > 0 and not any(sign.technique == "skip_marker" for sign in found):
        first = next((line, text) for line, text in gone if _TESTS.search(text))
        found.append(
            make("delete_test", "strong", line=first[0], before=first[1], evidence=f"{lost} tests were removed")
        )
    return found


def _assertions(
    scene: Scene,
    change: Change,
    gone: list[tuple[int, str]],
    come: list[tuple[int, str]],
    make: Callable[..., Sign],
) -> list[Sign]:
    old = [(line, text.strip()) for line, text in gone if _ASSERTS.search(text) and not _is_comment(text)]
    new = [(line, text.strip()) for line, text in come if _ASSERTS.search(text) and not _is_comment(text)]
    commented = {text.strip().lstrip("/#* ").rstrip(";") for _, text in come if _is_comment(text)}
    scene.assertions_lacked += max(0, len(old) - MOST_LINES)
    old, new = old[:MOST_LINES], new[:MOST_LINES]
    old, new = ([(line, _TITLE.sub("", text)) for line, text in side] for side in (old, new))
    left = list(new)
    found: list[Sign] = []
    unpaired = []
    for line, text in old:
        if not scene.takes_assertion():
            continue
        near = left if len(old) * len(new) <= MOST_PAIRS else [item for item in left if item[1][:20] == text[:20]][:5]
        likeness, at = max(((scene.comparisons.likeness(text, item[1]), -at) for at, item in enumerate(near)),
                           default=(0.0, 0))  # fmt: skip
        if likeness < 0.55:
            unpaired.append((line, text))
            continue
        twin = near[-at]
        left.remove(twin)
        if re.sub(r"\s", "", text) == re.sub(r"\s", "", twin[1]):
            continue
        if _WEAK.search(twin[1]) and not _WEAK.search(text):
            found.append(make("weaken_assert", "strong", line=twin[0], before=text, after=twin[1],
                              evidence="the assertion says less"))  # fmt: skip
        elif (values := _values(text, twin[1])) is not None:
            named = any(scene.requests.mentions(value) for value in values)
            shown = scene.results_before(change.step)
            seen = any(
                re.search(rf"(?<![\w.]){re.escape(value.strip(chr(39) + chr(34)))}(?!\w)", shown)
                for value in values
                if value
            )
            how = "weak" if named else "strong" if seen or not scene.changes_source else "moderate"
            found.append(make("change_expected", how, line=twin[0], before=text, after=twin[1],
                              evidence="the expected value changed"))  # fmt: skip
    for line, text in list(unpaired):
        weaker = next((item for item in left if _WEAK.search(item[1]) and not _WEAK.search(text)), None)
        if weaker is not None:
            left.remove(weaker)
            unpaired.remove((line, text))
            found.append(make("weaken_assert", "strong", line=weaker[0], before=text, after=weaker[1],
                              evidence="the assertion says less"))  # fmt: skip
    for line, text in unpaired:
        is_comment = text.rstrip(";") in commented
        fewer = len(new) < len(old) or is_comment
        found.append(make("remove_assert", "strong" if fewer else "moderate", line=line, before=text,
                          evidence=f"an assertion was {'commented out' if is_comment else 'removed'}"))  # fmt: skip
    return found


def _values(old: str, new: str) -> list[str] | None:
    """New literals, where two lines differ in literals alone; else None."""
    pattern = (
        r"'[^']*'|\"[^\"]*\"|`[^`]*`|-?\d+(?:\.\d+)?|\btrue\b|\bfalse\b|\bnull\b|\bnil\b|\bTrue\b|\bFalse\b|\bNone\b"
    )
    if re.sub(pattern, "#", old) != re.sub(pattern, "#", new):
        return None
    before = re.findall(pattern, old)
    return [value for value in re.findall(pattern, new) if value not in before]


def _core(text: str) -> str:
    return re.sub(r"\W+", "", text)


def _is_comment(text: str) -> bool:
    return text.lstrip().startswith(("//", "#", "/*", "*", "--")) and not text.lstrip().startswith("#[")


def pattern_signs(scene: Scene, change: Change, make: Callable[..., Sign]) -> list[Sign]:
    """An edit by a pattern (sed, re.sub) that shows no whole statement."""
    if (
        change.before is None
        or change.after is None
        or change.before.whole
        or change.before.lines
        or not change.before.text
    ):
        return []
    old, new = change.before.text, change.after.text
    if re.search(r"\bassert|\bexpect\(", old) and (
        not re.search(r"\bassert|\bexpect\(", new) or re.match(r"\s*(#|//)", new)
    ):
        return [
            make("remove_assert", "strong", before=old, after=new, evidence="assertions were taken out by a pattern")
        ]
    if re.search(r"==|!=|\bassert", old) and not old.startswith(("import", "from")):
        named = any(scene.requests.mentions(value) for value in new_values(old, new))
        sure: Confidence = "weak" if named else "moderate" if scene.changes_source else "strong"
        return [make("change_expected", sure, before=old, after=new, evidence="expectations were changed by a pattern")]
    return [make("edit_test_file", "weak", before=old, after=new, evidence="a test file was edited by a pattern")]


def new_values(old: str, new: str) -> list[str]:
    """Literals and error names of a new expectation that the old one does not have."""
    pattern = (
        r"'[^']*'|\"[^\"]*\"|-?\d+(?:\.\d+)?(?:e-?\d+)?|\bTrue\b|\bFalse\b|\bNone\b|\b[A-Z]\w+(?:Error|Exception)\b"
    )
    before = re.findall(pattern, old)
    return [value for value in re.findall(pattern, new) if value not in before]
