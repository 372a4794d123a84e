"""The dashboard as a Starlette application: overview, rollouts, labels, and the version that a live page asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from karat.dashboard.guard import Access, Guard
from karat.dashboard.pages import PageCache, overview, render
from karat.dashboard.reading import ORDERS, TROUBLES, Version, in_order, reading, snapshot, version_of
from karat.dashboard.story import rollout_card
from karat.errors import InputError
from karat.report.text import escape_short, shorten
from karat.store import RunStore, StoredRollout, store_file
from karat.watch.labelling import give_label

BODY_LIMIT_BYTES = 16_384
_CARDS = 10
"""Rollouts of a page."""
_TITLES = {
    "proxy": "highest proxy first",
    "gold": "lowest gold first",
    "disagreement": "proxy furthest above gold first",
    "index": "as they came",
}


def make_app(store_path: Path, *, access: Access, read_only: bool = False, patience: float = 20.0) -> ASGIApp:
    """The application of one store.

    Args:
        store_path: file or folder of the store; it may come, go and be replaced while the application runs.
        access: what a request must bring.
        read_only: no labels can be given.
        patience: see PageCache.
    """
    pages = _Pages(store_path, access, read_only, PageCache(patience))
    style = files("karat.report").joinpath("templates/style.css").read_text("utf-8")
    style += files("karat.dashboard").joinpath("static/dashboard.css").read_text("utf-8")
    script = files("karat.dashboard").joinpath("static/live.js").read_text("utf-8")

    def styles(_: Request) -> Response:
        return Response(style, media_type="text/css")

    def scripts(_: Request) -> Response:
        return Response(script, media_type="text/javascript")

    app = Starlette(
        routes=[
            Route("/", pages.run),
            Route("/rollouts", pages.rollouts),
            Route("/labels", pages.labels),
            Route("/labels", pages.give, methods=["POST"]),
            Route("/version", pages.version),
            Route("/static/karat.css", styles),
            Route("/static/live.js", scripts),
        ],
        exception_handlers={Exception: _failed},
    )
    return Guard(app, access)


def _failed(_: Request, error: Exception) -> Response:
    return PlainTextResponse(f"The dashboard failed on this page ({type(error).__name__}).\n", status_code=500)


class _Pages:
    """One method an address. Each opens the store for itself, in a thread, and closes it."""

    def __init__(self, store_path: Path, access: Access, read_only: bool, cache: PageCache) -> None:
        self.path, self.access, self.read_only, self.cache = store_path, access, read_only, cache

    # ------------------------------------------------------------------------------------------------------- overview
    def run(self, request: Request) -> Response:
        frame = self._frame(request, "overview")
        key = f"run {bool(frame['token'])}"  # the links of a page hold the token, for those who came with it
        try:
            with reading(self.path) as store:

                def make() -> tuple[Version, str]:
                    seen = snapshot(store, self.path)
                    return seen.version, overview(seen, {**frame, "version": _spoken(seen.version)})

                return HTMLResponse(self.cache.get(key, version_of(store, self.path), make))
        except TROUBLES as error:
            kept = self.cache.last(key)
            return HTMLResponse(kept) if kept is not None else self._trouble(frame, error)

    def version(self, _: Request) -> Response:
        try:
            with reading(self.path) as store:
                return JSONResponse({"version": _spoken(version_of(store, self.path)), "trouble": ""})
        except TROUBLES as error:
            return JSONResponse({"version": "", "trouble": f"The store cannot be read now. {_told(error)}"})

    # ------------------------------------------------------------------------------------------------------- rollouts
    def rollouts(self, request: Request) -> Response:
        frame = self._frame(request, "rollouts")
        order = request.query_params.get("sort", "")
        order = order if order in ORDERS else "proxy"
        try:
            with reading(self.path) as store:
                numbers = [step.step for step in store.steps()]
                if not numbers:
                    return self._said(frame, "No step of the run is stored yet", "Rollouts come with the first step.")
                step = _whole(request.query_params.get("step"), _step_to_show(store, numbers))
                kept = in_order(store.rollouts(step), order)
        except TROUBLES as error:
            return self._trouble(frame, error)
        last_page = max(math.ceil(len(kept) / _CARDS), 1)
        page = min(max(_whole(request.query_params.get("page"), 1), 1), last_page)

        def target(**changes: object) -> str:
            held = {"token": frame["token"], "step": step, "sort": order, **changes}
            return "/rollouts?" + urlencode({name: value for name, value in held.items() if value != ""})

        pages = [(str(number), "" if number == page else target(page=number)) for number in range(1, last_page + 1)]
        return self._page(
            "rollouts.html.j2",
            frame,
            step=step,
            first_step=numbers[0],
            last_step=numbers[-1],
            order=order,
            orders=list(_TITLES.items()),
            steps=[(title, target(step=number)) for title, number in _steps_near(numbers, step)],
            summary=_summary(kept, numbers, step),
            cards=[rollout_card(rollout) for rollout in kept[(page - 1) * _CARDS : page * _CARDS]],
            start=(page - 1) * _CARDS + 1,
            pages=pages[:200] if last_page > 1 else [],
        )

    # --------------------------------------------------------------------------------------------------------- labels
    def labels(self, request: Request) -> Response:
        said = "Stored." if request.query_params.get("stored") else ""
        after = request.query_params.get("after", "")
        return self._label_page(request, said=said, after=after, by=request.query_params.get("by", ""))

    async def give(self, request: Request) -> Response:
        try:
            form = await _form(request)
        except ClientDisconnect:
            return Response(status_code=400)
        if form is None:
            return PlainTextResponse("This form is too long or not a form.\n", status_code=400)
        return await run_in_threadpool(self._give, request, form)

    def _give(self, request: Request, form: Mapping[str, str]) -> Response:
        if self.read_only or not self.access.holds_token(form.get("token", "")):
            return PlainTextResponse("Labels are given under the address that karat printed.\n", status_code=403)
        by, typed = form.get("by", "").strip()[:80], form.get("gold", "").strip()[:40]
        try:
            step, index, gold = int(form.get("step", "")), int(form.get("index", "")), _number(typed)
            with RunStore.open(store_file(self.path)) as store:
                give_label(store, step, index, gold, by=by)
        except (ValueError, *TROUBLES) as error:  # InputError is a ValueError too
            return self._label_page(request, fault=_told(error), typed=typed, by=by, status=400)
        target = {"token": self.access.token, "stored": "1", "by": by}
        return RedirectResponse(f"/labels?{urlencode(target)}", status_code=303)

    def _label_page(
        self, request: Request, *, said: str = "", fault: str = "", typed: str = "", by: str = "", after: str = "",
        status: int = 200,
    ) -> Response:  # fmt: skip
        frame = self._frame(request, "labels")
        try:
            with reading(self.path) as store:
                waiting, info = store.queue(), store.info()
        except TROUBLES as error:
            return self._trouble(frame, error)
        rollout = _next(waiting, after)
        held = {"token": frame["token"], "by": by}
        skip = {**held, "after": f"{rollout.step}:{rollout.index}"} if rollout is not None else held
        gold = escape_short(str(info.get("gold", "")), 60)
        return self._page(
            "labels.html.j2",
            frame,
            status=status,
            card=rollout_card(rollout) if rollout is not None else None,
            waiting=f"{len(waiting):,} waiting.",
            said=said,
            fault=fault,
            typed=shorten(escape_short(typed, 40), 40),
            by=escape_short(by, 80),
            skip="/labels?" + urlencode({name: value for name, value in skip.items() if value}),
            gold_title=f"gold ({gold})" if gold else "gold",
            hint="Any number; more is better. Enter stores it at once.",
        )

    # --------------------------------------------------------------------------------------------------------- common
    def _frame(self, request: Request, here: str) -> dict[str, Any]:
        given = request.query_params.get("token", "")
        holds = self.access.holds_token(given)
        token = self.access.token if holds else ""
        return {
            "here": here,
            "token": token,
            "query": f"?token={token}" if token else "",
            "can_label": holds and not self.read_only,
            "version": "",
            "trouble": "",
        }

    def _page(self, template: str, frame: Mapping[str, Any], *, status: int = 200, **values: Any) -> Response:
        return HTMLResponse(render(template, frame, **values), status_code=status)

    def _said(self, frame: Mapping[str, Any], title: str, text: str, status: int = 200) -> Response:
        return self._page("trouble.html.j2", frame, status=status, title=title, text=text)

    def _trouble(self, frame: Mapping[str, Any], error: Exception) -> Response:
        return self._said(frame, "The store cannot be read now", _told(error), status=503)


# -------------------------------------------------------------------------------------------------------- small helpers
def _spoken(version: Version) -> str:
    return f"{version[0]}-{version[1]}"


def _told(error: Exception) -> str:
    return escape_short(str(error), 600)


def _whole(text: str | None, otherwise: int) -> int:
    """A whole number of an address; anything else is as if nothing was asked for."""
    try:
        number = int(text or "")
    except ValueError:
        return otherwise
    return number if abs(number) < 1 << 53 else otherwise


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"gold {escape_short(text, 40)!r}: not a number. Give one such as 1 or 0.25.")
    return number


def _step_to_show(store: RunStore, numbers: Sequence[int]) -> int:
    """That of the first alarm, else the last."""
    return next((alarm.step for alarm in store.alarms() if alarm.level == "alarm"), numbers[-1])


def _steps_near(numbers: Sequence[int], step: int) -> list[tuple[str, int]]:
    before = max((number for number in numbers if number < step), default=None)
    after = min((number for number in numbers if number > step), default=None)
    named = [("first", numbers[0]), ("before", before), ("after", after), ("last", numbers[-1])]
    return [(f"{title}: {number:,}", number) for title, number in named if number is not None and number != step]


def _summary(kept: Sequence[StoredRollout], numbers: Sequence[int], step: int) -> str:
    if step not in numbers:
        return f"The store has no step {step:,}; it has {numbers[0]:,} to {numbers[-1]:,}."
    with_gold = sum(rollout.gold == rollout.gold for rollout in kept)
    return f"{len(kept):,} rollouts with their text, {with_gold:,} of them with a gold."


def _next(waiting: Sequence[StoredRollout], after: str) -> StoredRollout | None:
    """The first that waits, or the one behind that which was skipped; behind the last, the first again."""
    places = [f"{one.step}:{one.index}" for one in waiting]
    number = places.index(after) + 1 if after in places else 0
    return waiting[number % len(waiting)] if waiting else None


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of a form, the last of each name; None where it is too long, or no form."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            return None
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=20, errors="replace")
    except ValueError:
        return None
    return {name: values[-1] for name, values in fields.items()}
