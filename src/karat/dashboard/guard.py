"""Who may read the dashboard, and who may write: names of the host, origin, token, and the headers of every answer.

A page of another site that the same browser shows can send requests to loopback, and with a name that it makes point
there (DNS rebinding) read the answers too. So a request is served only under a name of loopback; one that writes also
needs the token of the printed address and, where a browser says where it comes from, our own origin. A dashboard that
listens beyond loopback is read with the token only.
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Styles and scripts are files of ours; a page has no inline ones, so text that slipped through could still not run.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # "no-referrer" would make a browser send the origin "null" with our own form
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_LOG = logging.getLogger(__name__)
_READS = frozenset({"GET", "HEAD"})


def is_loopback(name: str) -> bool:
    """Whether a host, as a name or an address, is this machine's loopback."""
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Access:
    """What a request must bring."""

    listens_on_loopback: bool = True
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def holds_token(self, given: str) -> bool:
        """Compared in constant time: how long it takes says nothing of how much of it was right."""
        return secrets.compare_digest(given.encode("utf-8", "surrogatepass"), self.token.encode())

    def refusal(self, method: str, headers: Headers, query: QueryParams) -> str:
        """Why a request is not served; empty where it is. The token of a form that writes is checked with its body."""
        try:
            host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        except ValueError:
            host = ""
        if self.listens_on_loopback and not is_loopback(host):
            return f"This dashboard answers under a name of loopback only, such as 127.0.0.1, not {host[:80]!a}."
        if not self.listens_on_loopback and method in _READS and not self.holds_token(query.get("token", "")):
            return "Open the address that karat printed: it holds the token that this dashboard asks for."
        if method in _READS:
            return ""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        if origin is not None and not _same_origin(origin, headers.get("host", "")):
            return "This form was sent from another site; nothing was stored."
        if site not in ("same-origin", "none"):
            return "This form was sent from another site; nothing was stored."
        return ""


def _same_origin(origin: str, host: str) -> bool:
    scheme, _, place = origin.partition("://")
    return scheme in ("http", "https") and place.lower() == host.lower()


class Guard:
    """An ASGI application around another: refuses what `Access` refuses, and puts HEADERS on every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no web sockets here: closing without an answer refuses the handshake

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        refused = self.access.refusal(scope["method"], Headers(scope=scope), QueryParams(scope["query_string"]))
        answer: ASGIApp = PlainTextResponse(refused + "\n", status_code=403) if refused else self.app
        try:
            await answer(scope, receive, send_guarded)
        except Exception as error:  # answered with 500 by now; its traceback would fill the terminal of the training
            _LOG.warning("dashboard: %s %s failed: %r", scope["method"], scope["path"][:200], error)
