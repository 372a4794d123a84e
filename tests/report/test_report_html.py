"""The HTML page: well-formed, self-contained, safe with hostile text, accessible, the same bytes each time."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from karat.report.html import SIZE_LIMIT_BYTES, render_html
from karat.types import Finding, Result, Table
from report.sample_results import HOSTILE, finding, full_result

VOID = {"meta", "br", "img", "hr", "input", "link", "use", "path"}
LOADS = {"src", "srcset", "href", "xlink:href", "action", "data", "poster", "background", "formaction"}


class Page(HTMLParser):
    """Collects elements and text, and fails on a tag that closes another."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> out of order"

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def text() -> str:
    return render_html(full_result())


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_parts_are_there_in_order(page: Page) -> None:
    headings = ["The reward pays for length.", "Findings", "What was seen, and what to do", "What was not checked",
                "Measurements", "Provenance"]  # fmt: skip
    places = [page.text.rindex(heading) for heading in headings]
    assert places == sorted(places)
    assert "needs --gold COLUMN" in page.text
    assert "config.lr" in page.text


def test_nothing_is_loaded_and_nothing_runs(page: Page, text: str) -> None:
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "iframe", "object", "embed", "link", "form", "base"}
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in LOADS:
                assert (value or "").startswith("#"), (tag, name, value)
    css = "".join(re.findall(r"<style>(.*?)</style>", text, re.DOTALL)) + " ".join(re.findall(r'style="([^"]*)"', text))
    assert "@import" not in css
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", css))


def test_hostile_text_is_text(page: Page, text: str) -> None:
    assert "<script>alert(1)</script>" not in text
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7*7 }}" in page.text
    assert r"\x1b[31mred\x1b]52" in page.text
    assert r"\u202eevil\u202c" in page.text
    assert "$x_1$" in page.text
    assert not set(text) & set("\x1b\x07\x9b\u202e\u202c\u200b\U000e0041\ud800")


def test_the_same_result_gives_the_same_bytes(text: str) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from report.sample_results import full_result\n"
        "from karat.report.html import render_html\n"
        "sys.stdout.buffer.write(render_html(full_result()).encode())"
    )
    folder = str(Path(__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, check=True)
    assert done.stdout.decode() == text


def test_every_figure_has_its_text_and_ids_are_unique(page: Page) -> None:
    figures = page.all("svg")
    assert len(figures) == len(page.all("figure")) == 5  # effects, losses, reliability, source, length gap
    for attributes in figures:
        assert attributes["role"] == "img"
        assert len(attributes["aria-label"] or "") > 20
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    known = set(ids)
    for _, attributes in page.elements:
        for name in ("href", "clip-path", "aria-labelledby"):
            target = (attributes.get(name) or "").removeprefix("url(").removesuffix(")").lstrip("#")
            assert not target or target in known, (name, target)


def test_it_can_be_read_without_seeing_it(page: Page) -> None:
    assert page.all("html")[0]["lang"] == "en"
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.all("th"))
    assert page.all("a")[0] == {"class": "skip", "href": "#main"}
    assert len(page.all("h1")) == 1
    assert all(attributes.get("aria-label") for _, attributes in page.elements if attributes.get("role") == "region")


def luminance(colour: str) -> float:
    """Relative luminance, https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_contrast_reaches_4_5_in_light_and_dark(text: str) -> None:
    light, dark = re.findall(r":root \{(.*?)\}", text, re.DOTALL)[:2]
    for scheme in (light, dark):
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", scheme))
        for name in ("ink", "muted", "link", "problem", "unclear", "ok", "not-checked", "series", "baseline"):
            for ground in ("page", "shade"):
                high, low = sorted((luminance(colours[name]), luminance(colours[ground])), reverse=True)
                assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ground, colours)


def test_figures_follow_the_colour_scheme(text: str) -> None:
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        bare = re.sub(r"var\(--[\w-]+, #[0-9a-f]{6}\)", "", svg)
        assert not re.findall(r"(?:fill|stroke): #[0-9a-f]{6}", bare)
        assert "currentColor" in svg
        assert "<text" in svg


def test_every_finding_has_an_anchor_even_where_a_code_comes_twice() -> None:
    twice = Result("check", (finding(1), finding(1, "problem", action="x"), finding(2, "not checked")))
    ids = {attributes["id"] for _, attributes in Page(render_html(twice)).elements if "id" in attributes}
    assert {"RM101", "RM101-2", "RM102"} <= ids


def test_a_huge_result_stays_below_the_size_limit_and_says_what_was_cut() -> None:
    wide = tuple(f"column {number}" for number in range(40))
    tables = tuple(
        Table(f"t{number}", "Big", wide, tuple((HOSTILE * 20,) * 40 for _ in range(300))) for number in range(20)
    )
    findings = tuple(finding(number, "problem", witnesses=("<" * 100_000,) * 3) for number in range(150))
    values = {"losses": [float(number % 7) for number in range(200_000)]}
    text = render_html(Result("check", findings, tables, values))
    assert len(text.encode()) < SIZE_LIMIT_BYTES
    assert "of 300 rows; result.json has all." in text


@pytest.mark.parametrize(
    "result",
    [
        Result("score"),
        Result("check", (finding(1, "not checked"),)),
        Result("train", values={"losses": []}),
        Result("train", values={"losses": [float("nan")]}),
        Result("check", (Finding("A1", "No unit", "ok"),)),
        Result("check", tables=(Table("reliability", "Empty", ("predicted", "observed"), ()),)),
        Result("check", tables=(Table("reliability", "Other columns", ("a", "b"), ((1, 2),)),)),
    ],
)
def test_results_with_little_in_them(result: Result) -> None:
    Page(render_html(result))


def test_a_loss_table_of_the_verb_takes_the_curve_and_stays_the_only_one() -> None:
    table = Table("losses", "Training loss", ("step", "loss"), tuple((step, 1 / step) for step in range(1, 101)))
    page = Page(render_html(Result("train", (), (table,), {"losses": [1 / step for step in range(1, 501)]})))
    assert len(page.all("svg")) == 1
    assert page.text.count("Training loss over 500 log entries") == 1
    assert len(page.all("table")) == 1
