"""The dashboard as it is served: its address, its port, its refusals, and its pages in a real browser."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import karat.dashboard.app
import karat.dashboard.server
from dashboard.sample_store import add_steps, fill
from karat.dashboard import Dashboard
from karat.dashboard.pages import PageCache
from karat.errors import DataError, InputError, MissingDependencyError, ResourceError
from karat.store import RunStore

NAME = "karat-watch.sqlite"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return fill(tmp_path / NAME, steps=4, alarmed=False)


def test_it_is_served_under_its_address_until_it_is_closed(path: Path) -> None:
    with Dashboard(path, port=0) as dashboard:
        assert dashboard.url.startswith("http://127.0.0.1:")
        page = urllib.request.urlopen(dashboard.url, timeout=10).read().decode()
        assert "No alarm in 4 steps" in page
        assert "/labels?token=" in page  # who came with the token keeps it
        place = urlsplit(dashboard.url)
        bare = urllib.request.urlopen(f"http://{place.netloc}/", timeout=10)
        assert "token=" not in bare.read().decode()
        assert "server" not in bare.headers
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(dashboard.url, timeout=10)


def test_a_folder_names_the_store_in_it(path: Path) -> None:
    with Dashboard(path.parent, port=0) as dashboard:
        assert "No alarm in 4 steps" in urllib.request.urlopen(dashboard.url, timeout=10).read().decode()


def test_a_taken_port_is_said_and_left_where_none_was_asked_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ResourceError, match=rf"port {port} of 127.0.0.1 is taken. Name another with --port"):
            Dashboard(path, port=port)
        monkeypatch.setattr(karat.dashboard.server, "PORT", port)
        with Dashboard(path) as dashboard:
            assert urlsplit(dashboard.url).port not in (None, port)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": -1}, "port -1: a port is a number from 0 to 65535"),
        ({"port": 65536}, "port 65536: a port is"),
        ({"host": "no.such.host.invalid"}, "not an address of this machine"),
        ({"host": "192.0.2.1", "port": 0}, "cannot listen there"),
    ],
)
def test_what_cannot_be_listened_on_is_said(path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Dashboard(path, **options)  # type: ignore[arg-type]


def test_a_folder_that_is_not_there_and_a_package_that_is_not_installed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="its folder is not there"):
        Dashboard(path.parent / "none" / NAME)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingDependencyError, match=r"uvicorn is not installed.*karat\[serve\]"):
        Dashboard(path, port=0)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_shows_the_run_follows_it_and_runs_nothing_of_a_model(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store grows right after the first page was made: the browser must show the second, and no hostile title."""
    make, made = karat.dashboard.app.overview, []

    def overview(*args: object) -> str:
        page = make(*args)  # type: ignore[arg-type]
        if not made:
            with RunStore.open(path) as store:
                add_steps(store, range(4, 6))
        made.append(page)
        return page

    monkeypatch.setattr(karat.dashboard.app, "overview", overview)
    monkeypatch.setattr(karat.dashboard.app, "PageCache", lambda _: PageCache(patience=0.0))
    with Dashboard(path, port=0) as dashboard:
        command = [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom", dashboard.url,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "No alarm in 4 steps" in made[0]
    assert "No alarm in 6 steps" in done.stdout, done.stderr[-2000:]
    assert "<title>karat watch: no alarm</title>" in done.stdout
    assert done.stdout.count("<script") == 1
    assert "Content Security Policy" not in done.stderr
