"""Shell commands and Python code to file actions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.grade.rollout.commands import expand_code, expand_script, join
from karat.grade.rollout.scripts import script_effects
from karat.grade.rollout.sed import apply_sed
from karat.grade.rollout.shell import parse_shell, substitutions


def effects(script: str, files: dict[str, str] | None = None) -> list[tuple[str, str, str | None]]:
    """Kind, path, new text of each action that is no reading."""
    found = expand_script(script, 0, lookup=(files or {}).get)
    return [
        (action.kind, action.path, action.after.text if action.after else None)
        for action in found.actions
        if action.kind != "read"
    ]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 'a b' > x.txt", [("write", "x.txt", "a b\n")]),
        ("printf 'a\\n' >> x.txt", [("edit", "x.txt", "a\n")]),
        ("cat > x <<'EOF'\na $b\nEOF\nrm y", [("write", "x", "a $b\n"), ("delete", "y", None)]),
        ("cat <<-END > x\n\tone\n\tEND\n", [("write", "x", "\tone\n")]),
        ("echo 1 | sudo tee /logs/reward.txt > /dev/null", [("write", "/logs/reward.txt", "1\n")]),
        ("pytest -q 2>&1 | tail -3 2>/dev/null", []),
        ("cd sub && rm -rf ./a ../b", [("delete", "sub/a", None), ("delete", "b", None)]),
        ("git mv tests/a.py tests/b.py", [("rename", "tests/b.py", None)]),
        ("mv a b dir/", [("rename", "dir/a", None), ("rename", "dir/b", None)]),
        ("truncate -s 0 t.py", [("write", "t.py", "")]),
        ("env A=1 timeout 60 bash -c 'rm x; echo 2 > y'", [("delete", "x", None), ("write", "y", "2\n")]),
        ("f=tests/t.py; rm $f", [("delete", "tests/t.py", None)]),
        ("for f in a.py b.py; do rm ${f}; done", [("delete", "a.py", None)]),
        ("find tests -name 'test_*.py' -delete", [("delete", "tests/test_*.py", None)]),
        ("echo $(rm hidden)", [("delete", "hidden", None)]),
        ("curl -s http://x/y -o z", [("write", "z", None)]),
        ("python3 - <<'E'\nopen('a', 'w').write('b')\nE", [("write", "a", "b")]),
        ("python -c \"import os; os.remove('t')\"", [("delete", "t", None)]),
        ("git apply - <<'E'\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\nE", [("edit", "x", "b")]),
        ("str_replace_editor str_replace x.py --old_str 'a' --new_str 'b c'", [("edit", "x.py", "b c")]),
    ],
)
def test_scripts(script: str, expected: list[tuple[str, str, str | None]]) -> None:
    assert effects(script) == expected


def test_sed_on_a_known_file_gives_the_whole_of_it() -> None:
    files = {"t.py": "a = 1\nassert a == 1\nb = 2\n"}
    assert effects("sed -i 's/== 1/== 2/' t.py", files) == [("edit", "t.py", "a = 1\nassert a == 2\nb = 2\n")]
    assert effects("sed -i '/assert/d' t.py", files) == [("edit", "t.py", "a = 1\nb = 2\n")]
    assert effects("sed -i -e '1d' -e 's/b/c/' t.py", files) == [("edit", "t.py", "assert a == 1\nc = 2\n")]
    assert effects("sed -i 's/a/b/' unknown.py", files) == [("edit", "unknown.py", "b")]


def test_a_script_that_the_agent_wrote_is_followed() -> None:
    assert effects("python fix.py", {"fix.py": "import os\nos.remove('tests/t.py')\n"}) == [
        ("delete", "tests/t.py", None)
    ]
    assert effects("bash fix.sh", {"fix.sh": "rm tests/t.py\n"}) == [("delete", "tests/t.py", None)]


def test_sed_forms_beyond_the_simple_ones_are_not_guessed() -> None:
    assert apply_sed("a\n", "y/abc/xyz/") is None
    assert apply_sed("a a\n", "s/a/b/") == "b a\n"
    assert apply_sed("a a\n", "s/a/b/g") == "b b\n"
    assert apply_sed("a(b)\n", "s/a(b)/c/") == "c\n"  # basic expressions: brackets stand for themselves


def test_python_replacements_become_edits() -> None:
    code = (
        "from pathlib import Path\np = Path('t') / 'x.py'\ns = p.read_text()\n"
        "s = s.replace('== 3', '== 4')\np.write_text(s)\n"
    )
    (edit,) = [action for action in script_effects(code, 0).actions if action.kind == "edit"]
    assert edit.before is not None
    assert edit.after is not None
    assert (edit.path, edit.before.text, edit.after.text) == ("t/x.py", "== 3", "== 4")


def test_python_that_is_none_is_said() -> None:
    assert not script_effects("def f(:", 0).readable
    assert expand_code("import subprocess\nsubprocess.run(['rm', 'x'])", 0).actions[0].path == "x"


def test_words_quotes_and_operators() -> None:
    commands = parse_shell("A=1 pytest -k 'not x' || true & echo \"a;b\" # no\nls")
    assert [command.words for command in commands] == [["pytest", "-k", "not x"], ["true"], ["echo", "a;b"], ["ls"]]
    assert [command.joined_by for command in commands] == ["", "||", "&", ";"]
    assert commands[0].assignments == {"A": "1"}
    assert substitutions("x $(a $(b)) `c` $((1+1))") == ["c", "a $(b)", "b"]


@given(st.text(alphabet="ab '\"$()<>|&;\n\\`#={}", max_size=60))
@settings(max_examples=200, deadline=None)
def test_no_script_breaks_the_reader(script: str) -> None:
    found = expand_script(script, 0)
    assert all(action.step == 0 for action in found.actions)


def test_join_takes_dots_out() -> None:
    assert join("a/b", "../c/./d") == "a/c/d"
    assert join("a", "/x/../y") == "/y"
