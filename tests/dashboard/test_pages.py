"""The pages: what they say of a run, in which order, and that no text of a model gets further than being read."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dashboard.sample_store import SHOWN, add_steps, fill
from karat.dashboard.app import make_app
from karat.dashboard.guard import Access
from karat.dashboard.pages import PageCache
from karat.dashboard.reading import in_order
from karat.dashboard.story import TEXT_LIMIT, Folded, fold
from karat.store import RunStore, StoredRollout

SIZE_LIMIT_BYTES = 1_500_000
VOID = {"meta", "br", "img", "hr", "input", "link", "use", "path"}
NAME = "karat-watch.sqlite"


class Page(HTMLParser):
    """Elements and text of a page; fails on a tag that closes another."""

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
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> out of order"

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def client_of(path: Path, *, token: str = "right", patience: float = 0.0) -> TestClient:
    app = make_app(path, access=Access(token=token), patience=patience)
    return TestClient(app, base_url="http://127.0.0.1:8420", follow_redirects=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("run") / NAME)


@pytest.fixture(scope="module")
def client(store: Path) -> TestClient:
    return client_of(store)


@pytest.fixture(scope="module")
def overview(client: TestClient) -> str:
    answer = client.get("/")
    assert answer.status_code == 200
    return answer.text


# ------------------------------------------------------------------------------------------------------------- overview
def test_the_overview_tells_the_story_of_the_first_alarm(overview: str) -> None:
    page = Page(overview)
    assert "problem Alarm at step 20: In 61 % of the clearest pairs the gold disagrees." in page.text
    assert "The change began at about step 15 (12 to 17)." in page.text
    for text in (
        "7.40 nats against the line at 6.91.",
        "At this line a healthy run has on average at most one false alarm in 1,000 steps.",
        "flattery pays 0.41 SD",
        "go back to a checkpoint at or before step 11",
        "checkpoint_and_mark", "checkpoint-20", "failed",
        "step 20 · proxy 1.50 · gold 0",
        "Mean length left its range.",
    ):  # fmt: skip
        assert text in page.text, text


def test_the_overview_draws_curve_evidence_and_signals(overview: str) -> None:
    page = Page(overview)
    labels = [svg["aria-label"] or "" for svg in page.all("svg")]
    assert len(labels) == 4  # proxy and gold, one detector, two signals
    assert "Alarm at step 20; onset between 12 and 17." in labels[0]
    assert labels[1].startswith("discordance: reached its line first at step 20")
    assert {label.split(":")[0] for label in labels[2:]} == {"discordance", "length"}


def test_the_overview_counts_what_the_record_lacks(overview: str) -> None:
    text = Page(overview).text
    assert "missing steps2 (9 to 10)" in re.sub(r"\s*\n\s*", "", text)
    assert "seed" in text


def test_every_text_is_shown_and_none_of_it_is_markup(client: TestClient, overview: str) -> None:
    for path in ("/?token=right", "/rollouts?step=20", "/rollouts?step=20&sort=gold&page=2"):
        text = overview if path == "/" else client.get(path).text
        assert len(text.encode()) < SIZE_LIMIT_BYTES
        page = Page(text)
        assert SHOWN in page.text
        assert len(page.all("script")) == 1
        assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
        assert not any("style" in attributes for _, attributes in page.elements)
        assert page.all("style") == []
        assert "49" not in re.findall(r"NUL..x00 (\S+)", page.text)
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e\u200b]", text)


def test_the_page_is_whole_without_scripts_and_reads_well(overview: str) -> None:
    page = Page(overview)
    assert page.all("html")[0]["lang"] == "en"
    assert any(meta.get("http-equiv") == "refresh" for meta in page.all("meta"))
    assert len(page.all("h1")) == 1
    assert all("scope" in head for head in page.all("th"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = {attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes}
    assert named <= set(ids)
    assert [attributes["href"] for attributes in page.all("link")] == ["/static/karat.css"]
    targets = [attributes.get("href") or "" for attributes in page.all("a")]
    assert all(target.startswith(("/", "#")) for target in targets)


def test_styles_and_script_are_files_of_ours(client: TestClient) -> None:
    style, script = client.get("/static/karat.css"), client.get("/static/live.js")
    assert style.headers["content-type"].startswith("text/css")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "prefers-color-scheme: dark" in style.text
    assert "@media print" in style.text
    assert "http" not in style.text + script.text  # nothing is fetched from elsewhere


@pytest.mark.parametrize(
    ("gold", "word", "sentence"),
    [
        (True, "no alarm", "No alarm in 22 steps. 352 golds were compared."),
        (False, "not checked", "No alarm in 22 steps. No gold was given"),
    ],
)
def test_a_run_without_an_alarm_is_never_called_ok(tmp_path: Path, gold: bool, word: str, sentence: str) -> None:
    text = Page(client_of(fill(tmp_path / NAME, alarmed=False, gold=gold)).get("/").text).text
    assert f"{word} {sentence}" in text
    assert "None so far." in text


def test_a_verdict_of_a_finished_analysis_is_taken_over(tmp_path: Path) -> None:
    path = fill(tmp_path / NAME, steps=3, alarmed=False)
    with RunStore.open(path) as store:
        store.set_info({"verdict": "unclear", "lead": "Too few labels: <b>need</b> about 400."})
    text = client_of(path).get("/").text
    assert "Too few labels: &lt;b&gt;need&lt;/b&gt; about 400." in text
    assert '<span class="verdict unclear">unclear</span>' in text


# ----------------------------------------------------------------------------------------------------- the store moves
def test_a_store_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    client = client_of(tmp_path / NAME)
    for path in ("/", "/rollouts", "/labels"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert "no store is there yet" in answer.text
    assert "no store is there yet" in client.get("/version").json()["trouble"]
    fill(tmp_path / NAME, steps=3, alarmed=False)
    assert "No alarm in 3 steps" in client.get("/").text
    assert client.get("/version").json()["trouble"] == ""


def test_an_empty_store_has_its_page(tmp_path: Path) -> None:
    with RunStore.open(tmp_path / NAME):
        pass
    client = client_of(tmp_path / NAME)
    assert "No step of the run is stored yet." in client.get("/").text
    assert "No step of the run is stored yet" in client.get("/rollouts").text
    assert "No rollout waits" in client.get("/labels").text


def test_a_page_follows_the_store_and_outlives_it(tmp_path: Path) -> None:
    path = fill(tmp_path / NAME, steps=4, alarmed=False)
    client = client_of(path)
    before = client.get("/version").json()["version"]
    assert f'data-version="{before}"' in client.get("/").text
    with RunStore.open(path) as store:
        add_steps(store, range(4, 6))
    assert client.get("/version").json()["version"] != before
    assert "No alarm in 6 steps" in client.get("/").text
    path.write_bytes(b"not a database")
    for rest in path.parent.glob(f"{NAME}-*"):
        rest.unlink()
    assert "No alarm in 6 steps" in client.get("/").text  # the last page that could be made
    assert client.get("/version").json()["trouble"].startswith("The store cannot be read now.")
    assert client.get("/rollouts").status_code == 503


def test_pages_are_made_no_oftener_than_their_cost_allows() -> None:
    made = []

    def page_of(number: int, version: tuple[int, int]) -> str:
        def make() -> tuple[tuple[int, int], str]:
            made.append(number)
            return version, str(number)

        return cache.get("run", version, make)

    cache = PageCache(patience=1e9)
    assert page_of(1, (5, 1)) == "1"
    assert page_of(2, (5, 2)) == "1"  # young enough, for what it cost
    assert page_of(3, (6, 1)) == "3"  # another file
    assert made == [1, 3]
    cache = PageCache(patience=0.0, limit=1)
    assert [page_of(4, (5, 1)), page_of(5, (5, 1)), page_of(6, (5, 2))] == ["4", "4", "6"]
    cache.get("other", (5, 2), lambda: ((5, 2), "o"))
    assert cache.last("run") is None  # bounded
    assert cache.last("other") == "o"


# ------------------------------------------------------------------------------------------------------------- rollouts
def indices(text: str) -> list[int]:
    return [int(found) for found in re.findall(r'id="rollout-(\d+)"', text)]


def test_rollouts_are_shown_a_page_at_a_time_in_the_order_asked_for(client: TestClient) -> None:
    pages = [client.get(f"/rollouts?step=20&sort=proxy&page={number}").text for number in (1, 2, 3)]
    assert indices(pages[0]) + indices(pages[1]) == list(range(15, -1, -1))
    assert pages[2] == pages[1]  # past the end is the end
    assert indices(client.get("/rollouts?step=20&sort=index").text) == list(range(10))
    assert indices(client.get("/rollouts?step=20&sort=gold").text) == list(range(15, 5, -1))
    assert "16 rollouts with their text, 16 of them with a gold." in pages[0]


def test_rollouts_open_at_the_alarm_and_nonsense_in_the_address_is_as_nothing(client: TestClient) -> None:
    for query in ("", "?step=&page=&sort=", "?step=x&page=-4&sort=%3Cb%3E", "?step=1e400&page=99999999999999999999999"):
        assert "Rollouts of step 20" in client.get(f"/rollouts{query}").text
    assert "The store has no step 9; it has 0 to 23." in client.get("/rollouts?step=9").text


def test_a_long_text_is_cut_folded_and_says_its_length(client: TestClient) -> None:
    text = client.get("/rollouts?step=20&sort=index").text
    assert "Cut: the text has 1,000,000 characters." in text
    assert "the middle of this response" in text


def rollout(index: int, proxy: float, gold: float) -> StoredRollout:
    return StoredRollout(
        step=1, index=index, attempt=1, group=0, prompt="", response="", prompt_chars=0, response_chars=0, proxy=proxy,
        gold=gold, chance=1.0,
    )  # fmt: skip


def test_orders_put_missing_numbers_last() -> None:
    nan = float("nan")
    some = [
        rollout(0, 1.0, 3.0),
        rollout(1, nan, 0.0),
        rollout(2, 3.0, 1.0),
        rollout(3, 2.0, nan),
        rollout(4, 2.0, 2.0),
    ]
    order = {name: [one.index for one in in_order(some, name)] for name in ("proxy", "gold", "disagreement", "index")}
    assert order == {
        "proxy": [2, 3, 4, 0, 1],
        "gold": [1, 2, 4, 0, 3],
        "disagreement": [2, 4, 0, 1, 3],  # ranks of proxy less ranks of gold: +2, 0, -2
        "index": [0, 1, 2, 3, 4],
    }


def test_folding_loses_nothing_below_the_limit() -> None:
    text = "line\n" * 400 + "the end"
    folded = fold(text)
    assert folded.head + folded.middle + folded.tail == text
    assert folded.note == ""
    assert fold("short") == Folded("short")
    assert fold("short", n_chars=90).note == "Cut: the text has 90 characters."


def test_folding_shows_both_ends_of_a_long_text() -> None:
    for text in ("\x00" * 10**6, "start" + "\x00" * 5000 + "end", "start" + "y" * 10**6 + "end"):
        folded = fold(text)
        shown = folded.head + folded.middle + folded.tail
        assert len(shown) <= TEXT_LIMIT + 10
        assert folded.note == f"Cut: the text has {len(text):,} characters."
        assert "[...]" in folded.middle
        if "start" in text:
            assert folded.head.startswith("start")
            assert folded.tail.endswith("end")
