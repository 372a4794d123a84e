"""What the candidate's interpreter does, written down before it does it: audit hooks and a seal of what graders use."""

from __future__ import annotations

from typing import Any

from karat.sandbox.inside import wire


class Watch:
    """Audit hooks from before the candidate's first line, and a comparison of sealed names at the end."""

    def __init__(self, evidence_fd: int, source_name: str) -> None:
        self.fd, self.source_name = evidence_fd, source_name

    def start(self) -> None:
        """From here on events count as the candidate's."""

    def farewell(self, inside_wall_s: float) -> None:
        self.send({"bye": inside_wall_s})

    def send(self, message: Any) -> None:
        wire.write_frame(self.fd, wire.dump(message))
