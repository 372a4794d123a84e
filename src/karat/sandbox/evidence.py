"""What a program's process wrote about itself, rebuilt from untrusted frames. Garbage is remarked and never raises."""

from __future__ import annotations

import math
from typing import Any

from karat.sandbox.inside import wire
from karat.sandbox.types import AuditEvent, SealChange
from karat.types import NAN

MAX_FRAMES = 10_000
MAX_BYTES = 8 << 20
FRAME_BYTES = 1 << 20
TEXT_LENGTH = 400
DETAIL_LENGTH = 4000
"""An event may carry source that the program compiled itself."""
MAX_SEALS = 1000


class Evidence:
    """Takes the frames of the evidence channel one by one; counts what it does not keep."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.seals: list[SealChange] = []
        self.anomalies: list[str] = []
        self.inside_wall_s = NAN
        self.said_farewell = False
        self.frames = self.bytes = self.read_events = 0

    def remark(self, anomaly: str) -> None:
        if anomaly not in self.anomalies and len(self.anomalies) < 50:
            self.anomalies.append(anomaly)

    @property
    def full(self) -> bool:
        return self.frames >= MAX_FRAMES or self.bytes >= MAX_BYTES

    def take(self, frame: bytes) -> None:
        self.frames += 1
        self.bytes += len(frame)
        if self.full:
            self.remark("evidence flooded")
            return
        try:
            self._read(wire.load(frame))
        except (wire.WireError, ValueError, TypeError, KeyError, AttributeError):
            self.remark("evidence garbled")

    def _read(self, data: Any) -> None:
        if "event" in data:
            name, detail, line, *count = data["event"]
            times = count[0] if count and type(count[0]) is int else 1
            self.read_events += 1
            self.events.append(
                AuditEvent(text(name), str(detail)[:DETAIL_LENGTH], line if type(line) is int else None, times)
            )
        elif "seal" in data:
            for name, detail in data["seal"][: MAX_SEALS - len(self.seals)]:
                self.seals.append(SealChange(text(name), text(detail)))
        elif "bye" in data:
            if self.said_farewell:
                self.remark("second farewell")
            self.said_farewell = True
            told = data.get("events")
            if type(told) is int and told != self.read_events and not self.full:
                self.remark("evidence count differs")
            seconds = data["bye"]
            if type(seconds) in (int, float) and math.isfinite(seconds):
                self.inside_wall_s = float(seconds)
        else:
            self.remark("evidence garbled")


def text(value: Any) -> str:
    return str(value)[:TEXT_LENGTH]
