"""Health, disk and announcement of one task, as one thing with three words: healthy, unhealthy, stopped.

Health alone makes a task RUNNING; any of them may end it. When it is to end, probing stops at once, and STOPPED is said
when the announcement has been taken back (or its deadline has passed): nobody is sent to an instance that is going.
"""

from __future__ import annotations

from typing import Any, Protocol

from executor.announcer import AnnouncerEvent
from executor.core.health_policy import Verdict
from executor.machinery import Report, Said
from executor.workers import EventLoop
from thermos.clock import Now


class Part(Protocol):
    def start(self, now: Now) -> None: ...
    def stop(self, now: Now) -> None: ...
    def state(self) -> dict[str, Any]: ...


class Announcing(Part, Protocol):
    def pause(self, now: Now) -> None: ...
    def resume(self, now: Now) -> None: ...


class TaskChecks:
    """Made first, then given its parts: they report to it."""

    def __init__(self, loop: EventLoop, report: Report, *, gated: bool = False) -> None:
        """`gated`: announced only from the first success on."""
        self.health: Part | None = None
        self.disk: Part | None = None
        self.announcer: Announcing | None = None
        self._loop = loop
        self._report = report
        self._gated = gated
        self._stopping = False

    def start(self, now: Now) -> None:
        if self.announcer is not None:
            if self._gated:
                self.announcer.pause(now)
            self.announcer.start(now)
        if self.disk is not None:
            self.disk.start(now)
        if self.health is not None:
            self.health.start(now)

    def stop(self, now: Now) -> None:
        if self._stopping:
            return
        self._stopping = True
        for part in (self.health, self.disk):
            if part is not None:
                part.stop(now)
        if self.announcer is not None:
            self.announcer.stop(now)
        else:
            self._loop.post(lambda later: self._report(Said.STOPPED, "", later))

    def state(self) -> dict[str, Any]:
        parts = {"health": self.health, "disk": self.disk, "announcer": self.announcer}
        return {name: part.state() if part is not None else None for name, part in parts.items()}

    # --- what the parts report

    def on_health(self, verdict: Verdict, text: str, now: Now) -> None:
        if self._stopping:
            return
        if verdict is Verdict.RUNNING:
            if self._gated and self.announcer is not None:
                self.announcer.resume(now)
            self._report(Said.HEALTHY, text, now)
        elif verdict is Verdict.UNHEALTHY:
            self._report(Said.UNHEALTHY, text, now)

    def on_disk(self, text: str, now: Now) -> None:
        if not self._stopping:
            self._report(Said.UNHEALTHY, text, now)

    def on_announcer(self, event: AnnouncerEvent, text: str, now: Now) -> None:
        if event is AnnouncerEvent.LEFT and self._stopping:
            self._report(Said.STOPPED, text, now)
        elif event is AnnouncerEvent.FAILED:
            if self._stopping:
                self._report(Said.STOPPED, text, now)
            else:
                self._report(Said.UNHEALTHY, text, now)
