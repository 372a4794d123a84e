"""Who is served: names of loopback, our own origin, the token; and the headers of every answer."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from karat.dashboard.guard import HEADERS, Access, Guard, is_loopback

HOST = "127.0.0.1:8420"


def refusal(method: str = "GET", *, loopback: bool = True, token: str = "", **headers: str) -> str:
    access = Access(listens_on_loopback=loopback, token="right")
    named = {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return access.refusal(method, Headers(named), QueryParams({"token": token} if token else {}))


@pytest.mark.parametrize("host", ["127.0.0.1:8420", "localhost:9", "LOCALHOST", "[::1]:8420", "127.8.8.8"])
def test_names_of_loopback_are_served_at_any_port(host: str) -> None:
    assert refusal(host=host) == ""  # a tunnel has a port of its own


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8420", "127.0.0.1.evil.example", "localhost.evil.example", "", "0.0.0.0", "10.0.0.1",
     "[", "127.0.0.1@evil.example", "evil.example#127.0.0.1"],
)  # fmt: skip
def test_a_name_that_is_made_to_point_here_is_refused(host: str) -> None:
    assert "loopback only" in refusal(host=host)
    assert "loopback only" in refusal("POST", host=host, origin=f"http://{host}")


def test_a_form_from_another_site_is_refused_and_ours_is_not() -> None:
    assert refusal("POST", origin=f"http://{HOST}", sec_fetch_site="same-origin") == ""
    assert refusal("POST") == ""  # no browser; the token is asked for all the same
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1", "http://localhost:8420", "", HOST):
        assert "another site" in refusal("POST", origin=origin), origin
    assert "another site" in refusal("POST", sec_fetch_site="cross-site")
    assert "another site" in refusal("POST", origin=f"http://{HOST}", sec_fetch_site="same-site")


def test_beyond_loopback_reading_needs_the_token_and_any_name_will_do() -> None:
    assert "token" in refusal(loopback=False, host="node7:8420")
    assert "token" in refusal(loopback=False, host="node7:8420", token="wrong")
    assert refusal(loopback=False, host="node7:8420", token="right") == ""


def test_tokens_differ_and_odd_ones_do_not_fail() -> None:
    assert len({Access().token for _ in range(20)}) == 20
    assert all(len(Access().token) >= 32 for _ in range(5))
    access = Access(token="right")
    assert access.holds_token("right")
    assert not any(map(access.holds_token, ("", "righ", "rightt", "ri\x00ght", "\udcff", "é")))


def test_is_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "::1", "[::1]", "localhost", "127.255.0.1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.0.1", "example.org", "", "127.1.evil")))


def client() -> TestClient:
    def page(request: Request) -> PlainTextResponse:
        if request.url.path == "/fails":
            raise RuntimeError("a fault of ours")
        return PlainTextResponse("page")

    app = Guard(Starlette(routes=[Route("/", page), Route("/fails", page)]), Access())
    return TestClient(app, base_url=f"http://{HOST}", raise_server_exceptions=False)


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/none", 404), ("/fails", 500)])
def test_every_answer_has_the_headers(path: str, status: int) -> None:
    answer = client().get(path)
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "unsafe-inline" not in answer.headers["content-security-policy"]


def test_a_refused_request_does_not_reach_the_page() -> None:
    answer = client().get("/", headers={"host": "evil.example"})
    assert answer.status_code == 403
    assert "page" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"
