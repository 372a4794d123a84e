"""Labels by hand: stored at once, the next shown; only under the printed address, only from our own form."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dashboard.sample_store import HOSTILE, batch
from karat.dashboard.app import BODY_LIMIT_BYTES, make_app
from karat.dashboard.guard import Access
from karat.store import RunStore

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three rollouts wait, the newest step first: 2 of step 5, then 1 and 4 of step 3."""
    place = tmp_path / "karat-watch.sqlite"
    with RunStore.open(place) as store:
        store.set_info({"gold": "checked"})
        store.add_batch(batch(3, gold=False), keep=range(16), ask=[1, 4])
        store.add_batch(batch(5, gold=False), keep=range(16), ask=[2])
    return place


def client_of(path: Path, *, read_only: bool = False) -> TestClient:
    app = make_app(path, access=Access(token="right"), read_only=read_only, patience=0.0)
    return TestClient(app, base_url="http://127.0.0.1:8420", follow_redirects=False)


def given(path: Path) -> list[tuple[int, int, float, str]]:
    with RunStore.open(path, read_only=True) as store:
        return [(label.step, label.index, label.gold, label.by) for label in store.labels()]


def fields(**changes: str) -> dict[str, str]:
    return {"token": "right", "step": "5", "index": "2", "gold": "0.25", "by": "ann", **changes}


def test_a_label_is_stored_at_once_and_the_next_is_shown(path: Path) -> None:
    client = client_of(path)
    page = client.get("/labels?token=right").text
    assert "3 waiting." in page
    assert "step 5 · rollout 2 ·" in page
    assert "autofocus" in page
    answer = client.post("/labels?token=right", data=fields(), headers={"origin": "http://127.0.0.1:8420"})
    assert answer.status_code == 303
    assert given(path) == [(5, 2, 0.25, "ann")]
    shown = client.get(answer.headers["location"]).text
    assert "Stored." in shown
    assert "step 3 · rollout 1 ·" in shown
    assert 'value="ann"' in shown


def test_every_waiting_rollout_can_be_labelled_to_the_end(path: Path) -> None:
    client = client_of(path)
    for number in range(3):
        page = client.get("/labels?token=right").text
        step, index = re.findall(r'name="(?:step|index)" value="(\d+)"', page)
        assert client.post("/labels", data=fields(step=step, index=index, gold=str(number))).status_code == 303
    assert given(path) == [(3, 1, 1.0, "ann"), (3, 4, 2.0, "ann"), (5, 2, 0.0, "ann")]
    assert "No rollout waits for a label" in client.get("/labels?token=right").text


def test_skipping_shows_the_next_and_after_the_last_the_first_again(path: Path) -> None:
    client, target, seen = client_of(path), "/labels?token=right", []
    for _ in range(4):
        page = client.get(target).text
        seen += re.findall(r"step (\d+) · rollout (\d+)", page)
        target = html.unescape(re.findall(r'href="(/labels\?[^"]*after[^"]*)"', page)[0])
    assert seen == [("5", "2"), ("3", "1"), ("3", "4"), ("5", "2")]
    assert given(path) == []


@pytest.mark.parametrize("gold", ["", "high", "nan", "inf", "-inf", "1e999", "0x10", "1,5", "<b>"])
def test_what_is_no_number_is_refused_and_kept_in_the_form(path: Path, gold: str) -> None:
    answer = client_of(path).post("/labels?token=right", data=fields(gold=gold))
    assert answer.status_code == 400
    assert "not a number" in answer.text
    assert f'value="{html.escape(gold)}"' in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert given(path) == []


@pytest.mark.parametrize(("step", "index"), [("3", "99"), ("4", "0"), ("x", "1"), ("3", ""), ("-1", "-1")])
def test_a_rollout_that_is_not_there_is_refused(path: Path, step: str, index: str) -> None:
    answer = client_of(path).post("/labels?token=right", data=fields(step=step, index=index))
    assert answer.status_code == 400
    assert given(path) == []


def test_without_the_token_nothing_can_be_written_and_no_form_is_shown(path: Path) -> None:
    client = client_of(path)
    page = client.get("/labels").text
    assert "the address that karat printed" in page
    assert '<form method="post"' not in page
    assert "right" not in re.findall(r'value="([^"]*)"', page)
    for token in ("", "wrong", "righ"):
        assert client.post("/labels?token=right", data=fields(token=token)).status_code == 403
    assert given(path) == []


def test_another_site_cannot_write_even_with_the_token(path: Path) -> None:
    client = client_of(path)
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
                    {"host": "evil.example"}):  # fmt: skip
        assert client.post("/labels?token=right", data=fields(), headers=headers).status_code == 403
    assert client.get("/labels?token=right&step=5&index=2&gold=1").status_code == 200
    assert given(path) == []


def test_read_only_takes_no_labels(path: Path) -> None:
    client = client_of(path, read_only=True)
    assert '<form method="post"' not in client.get("/labels?token=right").text
    assert client.post("/labels?token=right", data=fields()).status_code == 403
    assert given(path) == []


def test_a_body_that_is_too_long_or_no_form_is_refused(path: Path) -> None:
    client = client_of(path)
    long = b"token=right&gold=1&by=" + b"x" * BODY_LIMIT_BYTES
    many = b"&".join(b"a=1" for _ in range(1000))
    for body, kind in ((long, FORM), (many, FORM), (b"\xff\xfe=1", FORM), (b"{}", "application/json"), (b"", "")):
        answer = client.post("/labels?token=right", content=body, headers={"content-type": kind})
        assert answer.status_code == 400
    assert given(path) == []


def test_a_hostile_name_is_kept_as_it_is_and_shown_harmless(path: Path) -> None:
    client = client_of(path)
    answer = client.post("/labels?token=right", data=fields(by=HOSTILE))
    assert given(path)[0][3] == HOSTILE.strip()[:80]
    page = client.get(answer.headers["location"]).text
    assert page.count("<script") == 1
    assert "<script>document" not in page
