"""Time as the embedded Mesos' machines see it: a real event loop's, or one that only moves when it is told to.

Both call back in order: what is due at the same moment runs in the order in which it was asked for, and nothing runs
inside the call that asked for it.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Protocol

from thermos.clock import Now
from thermos.clock import now as look

Call = Callable[[], None]


class Timeline(Protocol):
    def now(self) -> Now: ...

    def call_soon(self, call: Call) -> None: ...

    def call_at(self, mono: float, call: Call) -> None: ...


class RealTimeline:
    """Of a running asyncio loop, whose clock is the monotonic one."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> Now:
        return look()

    def call_soon(self, call: Call) -> None:
        self._loop.call_soon(call)

    def call_at(self, mono: float, call: Call) -> None:
        self._loop.call_later(max(0.0, mono - look().mono), call)


class VirtualTimeline:
    """Stands still but for `advance`, which runs everything that falls due on the way, each at its own moment."""

    def __init__(self, start: Now) -> None:
        self._now = start
        self._offset = start.wall - start.mono
        self._soon: deque[Call] = deque()
        self._later: list[tuple[float, int, Call]] = []
        self._number = count()
        self.steps = 0  # calls made so far

    def now(self) -> Now:
        return self._now

    def call_soon(self, call: Call) -> None:
        self._soon.append(call)

    def call_at(self, mono: float, call: Call) -> None:
        heapq.heappush(self._later, (mono, next(self._number), call))

    def settle(self) -> None:
        """Run what is due now, and what follows from it, without moving the clock."""
        self.advance(0.0)

    def advance(self, seconds: float) -> None:
        end = self._now.mono + seconds
        while True:
            while self._soon:
                self.steps += 1
                self._soon.popleft()()
            if not self._later or self._later[0][0] > end:
                break
            due, _, call = heapq.heappop(self._later)
            if due > self._now.mono:
                self._now = Now(due + self._offset, due)
            self.steps += 1
            call()
        self._now = Now(end + self._offset, end)

    def next_due(self) -> float | None:
        """When anything happens next."""
        if self._soon:
            return self._now.mono
        return self._later[0][0] if self._later else None


class Alarm:
    """One machine's `next_wake`. A wake that moves to later costs nothing: the earlier ring only looks again."""

    __slots__ = ("_ring", "_rings_at", "_timeline", "_wanted")

    def __init__(self, timeline: Timeline, ring: Call) -> None:
        self._timeline = timeline
        self._ring = ring
        self._wanted: float | None = None
        self._rings_at: float | None = None  # the earliest ring that is on its way

    def set(self, mono: float | None) -> None:
        self._wanted = mono
        if mono is not None and (self._rings_at is None or mono < self._rings_at):
            self._rings_at = mono
            self._timeline.call_at(mono, lambda: self._look(mono))

    def stop(self) -> None:
        self._wanted = None

    def _look(self, at: float) -> None:
        if self._rings_at != at:  # an earlier one was set after this one
            return
        self._rings_at = None
        if self._wanted is None:
            return
        if self._timeline.now().mono >= self._wanted:
            self._wanted = None
            self._ring()
        else:
            self.set(self._wanted)
