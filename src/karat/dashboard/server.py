"""Serve the dashboard: uvicorn on a socket of loopback, in a thread of its own or until Ctrl-C."""

from __future__ import annotations

import errno
import socket
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from karat.errors import DataError, InputError, MissingDependencyError, ResourceError

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

PORT = 8420
"""Tried first; where it is taken and no other was asked for, the system gives a free one."""
_START_LIMIT_S = 20.0
_LOOK_S = 0.02


class Dashboard:
    """The dashboard of a store, served in a thread while the context is open.

    Args:
        store_path: the store of a run that goes on or is finished; it may not be there yet.
        host: an address of this machine. Beyond loopback, reading needs the token of `url` too.
        port: 0 for any free one; None for PORT, or any free one where that is taken.
        read_only: no labels can be given.
    Raises: DataError: the folder of the store is not there. InputError: the host or port cannot be used.
        ResourceError: the port is taken. MissingDependencyError: starlette or uvicorn is not installed.
    """

    def __init__(
        self, store_path: Path | str, *, host: str = "127.0.0.1", port: int | None = None, read_only: bool = False
    ) -> None:
        path = Path(store_path)
        if not path.parent.is_dir():
            raise DataError(f"{path}: its folder is not there. Name a store that karat watch wrote.")
        try:
            import uvicorn  # noqa: F401  # only to see that it is there

            from karat.dashboard.app import make_app
            from karat.dashboard.guard import Access, is_loopback
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("karat"):
                raise
            raise MissingDependencyError(error.name or "starlette", "serve") from None
        self._socket = _bind(host, port)
        access = Access(listens_on_loopback=is_loopback(host))
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._socket.getsockname()[1]}/?token={access.token}"
        """With the token that lets it give labels."""
        self._server = _make_server(make_app(path, access=access, read_only=read_only))
        self._thread = threading.Thread(target=self._serve, name="karat dashboard", daemon=True)

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    def __enter__(self) -> Dashboard:
        self._thread.start()
        deadline = time.monotonic() + _START_LIMIT_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise ResourceError("the dashboard did not start; run with --debug and see what it says.")
            time.sleep(_LOOK_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=_START_LIMIT_S)
        self._socket.close()

    def wait(self) -> None:
        """Until Ctrl-C, or until the server ends."""
        try:
            while self._thread.is_alive():
                self._thread.join(timeout=0.5)
        except KeyboardInterrupt:
            return


def serve_dashboard(
    store_path: Path | str,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    read_only: bool = False,
    open_browser: bool = False,
) -> None:
    """Serve the dashboard of a store until Ctrl-C, and say its address on standard error. Arguments: see Dashboard."""
    with Dashboard(store_path, host=host, port=port, read_only=read_only) as dashboard:
        print(f"karat watch: {dashboard.url} (Ctrl-C ends it)", file=sys.stderr, flush=True)
        if open_browser:
            import webbrowser

            webbrowser.open(dashboard.url)
        dashboard.wait()


def _bind(host: str, port: int | None) -> socket.socket:
    if port is not None and not 0 <= port <= 65535:
        raise InputError(f"port {port}: a port is a number from 0 to 65535; 0 takes a free one.")
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise InputError(f"host {host[:200]!r}: not an address of this machine ({error}). Use 127.0.0.1.") from error
    bound = socket.socket(found[0], socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        _bind_one_of(bound, found[4][0], (PORT, 0) if port is None else (port,))
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise ResourceError(
                f"port {port} of {host} is taken. Name another with --port; 0 takes a free one."
            ) from error
        raise InputError(f"{host}, port {port}: cannot listen there ({error.strerror}). Use 127.0.0.1.") from error
    return bound


def _bind_one_of(bound: socket.socket, address: str | int, ports: tuple[int, ...]) -> None:
    for port in ports:
        try:
            bound.bind((address, port))
            return
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == ports[-1]:
                raise


def _make_server(app: ASGIApp) -> uvicorn.Server:
    import uvicorn

    # no access log: an address holds the token
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, limit_concurrency=64)
    return uvicorn.Server(config)
