"""The pages as HTML: overview, rollouts of a step, labelling; templates escape, caches bound what drawing costs."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from karat import __version__
from karat.dashboard.drawing import inline
from karat.dashboard.reading import Snapshot, Version, health_rows
from karat.dashboard.story import alarm_rows, alarm_story, verdict
from karat.report.plots import Plot
from karat.report.summary import provenance_rows
from karat.report.text import escape_short, format_number, shorten
from karat.report.watch_figures import curve, evidence_panels, signal_panels

if TYPE_CHECKING:
    import jinja2

_SETTING_LIMIT = 80
_SHOWN_ELSEWHERE = frozenset({"account", "lead", "verdict", "ranges"})


@dataclass(slots=True)
class _Kept:
    version: Version
    made: float
    cost_s: float
    page: str


@dataclass(slots=True)
class PageCache:
    """Pages by their address and the version of the store.

    A page that is drawn again at every step would take processor time from the training that it watches: a page is
    kept, though the store has moved on, for `patience` times as long as it took to make. One page is made at a time.
    """

    patience: float = 20.0
    limit: int = 16
    _pages: OrderedDict[str, _Kept] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: str, version: Version, make: Callable[[], tuple[Version, str]]) -> str:
        with self._lock:
            kept, now = self._pages.get(key), time.monotonic()
            if kept is not None and kept.version[0] == version[0] and self._will_do(kept, version, now):
                self._pages.move_to_end(key)
                return kept.page
            made_of, page = make()
            self._pages[key] = _Kept(made_of, time.monotonic(), time.monotonic() - now, page)
            self._pages.move_to_end(key)
            while len(self._pages) > self.limit:
                self._pages.popitem(last=False)
            return page

    def _will_do(self, kept: _Kept, version: Version, now: float) -> bool:
        return kept.version == version or now - kept.made < self.patience * kept.cost_s

    def last(self, key: str) -> str | None:
        """The page as it was made last, for when the store cannot be read."""
        kept = self._pages.get(key)
        return kept.page if kept is not None else None


def overview(seen: Snapshot, frame: Mapping[str, Any]) -> str:
    """The page of the whole run."""
    word, sentence = verdict(seen)
    first = next((alarm for alarm in seen.alarms if alarm.level == "alarm"), None)
    figure = curve(seen.curve)
    settings = {name: value for name, value in seen.info.items() if name not in _SHOWN_ELSEWHERE}
    return render(
        "overview.html.j2",
        frame,
        seen=seen,
        word=word,
        sentence=sentence,
        run=_run_rows(seen),
        story=alarm_story(first, seen.actions, seen) if first is not None else None,
        alarms=alarm_rows(seen.alarms),
        n_alarms=len(seen.alarms),
        curve=_shown(figure) if figure is not None else None,
        evidence=[_shown(plot) for plot in evidence_panels(seen.evidence)],
        signals=[_shown(plot) for plot in signal_panels(seen.signals)],
        health=[(shorten(name, 120), shorten(text, 400)) for name, text in health_rows(seen)],
        settings=[(shorten(name, 80), shorten(text, 300)) for name, text in provenance_rows(settings)[:_SETTING_LIMIT]],
    )


def _run_rows(seen: Snapshot) -> list[tuple[str, str]]:
    """What identifies the run, and where it stands."""
    last = seen.steps[-1] if seen.steps else None
    rows = [
        ("run", escape_short(str(seen.info.get("source", "")), 200)),
        ("proxy", escape_short(str(seen.info.get("proxy", "")), 80)),
        ("gold", escape_short(str(seen.info.get("gold", "")), 80) or "none named"),
        ("steps", f"{len(seen.steps):,}" + (f", the last {last.step:,}" if last is not None else "")),
        ("labels", f"{seen.n_labels:,} given, {seen.n_waiting:,} waiting"),
    ]
    if last is not None:
        rows.append(("last proxy, gold", f"{format_number(last.proxy_mean)}, {format_number(last.gold_mean)}"))
    return [(name, text) for name, text in rows if text]


def _shown(plot: Plot) -> dict[str, Any]:
    return {"svg": inline(plot), "caption": plot.caption, "alt": plot.alt}


def render(template: str, frame: Mapping[str, Any], **values: Any) -> str:
    """A page. frame: what every page has: `query` (the token for links), `can_label`, `version`, `trouble`."""
    return _environment().get_template(template).render(**frame, **values, karat_version=__version__)


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("karat.dashboard", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
