"""The disk limit of a task: its sandbox (logs too) may hold so many bytes, or the task has failed.

A walk is many small pieces of work for the executor's worker threads, each followed by a pause in proportion to what it
took: a walk keeps a disk (and a worker) busy for a fifth of the time at most, however slow the one or large the
sandbox. The next walk begins `interval_s` after the last began, but never before as long a rest as the walk was. Blocks
count, not lengths; links are not followed; a file with several names counts once; what vanishes counts nothing
(`thermos.monitor.sample.DiskWalk`).

Only the sum of a complete walk is judged. The limit is told once; nothing is looked at after that, or after `stop`.

Source: spec/thermos.md §4.7.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from executor.workers import EventLoop, Workers
from thermos.clock import Now
from thermos.monitor.sample import DiskWalk

Report = Callable[[str, Now], None]

#: Entries of the sandbox that one piece of work looks at.
ENTRIES = 1000

#: A pause is so many times what it follows took (until it was heard of).
PAUSE_FACTOR = 4.0

_log = logging.getLogger(__name__)


def over_limit(limit_bytes: int, used_bytes: int) -> str | None:
    """The words for a sandbox that holds more than it may; None: it does not."""
    if used_bytes <= limit_bytes:
        return None
    return f"Disk limit exceeded.  Reserved {limit_bytes} bytes vs used {used_bytes} bytes."


class DiskLimit:
    def __init__(
        self,
        sandbox: Path,
        limit_bytes: int,
        loop: EventLoop,
        workers: Workers,
        report: Report,
        *,
        interval_s: float = 60.0,
        entries: int = ENTRIES,
    ) -> None:
        self._limit = limit_bytes
        self._loop = loop
        self._workers = workers
        self._report = report
        self._interval_s = interval_s
        self._entries = entries
        self._sandbox = sandbox
        self._walk = DiskWalk(sandbox)
        self._running = False
        self._begun = Now(0.0, 0.0)  # the walk under way
        self._exceeded = False
        self._used: int | None = None
        self._at = 0.0  # wall, when that was known
        self._took_s = 0.0
        self._walks = 0
        self._problem = ""

    def start(self, now: Now) -> None:
        """The first walk begins at once."""
        self._running = True
        self._begin(now)

    def stop(self, now: Now) -> None:
        """Nothing is reported from now on."""
        self._running = False

    def state(self) -> dict[str, object]:
        """For the state file and metrics; `used_bytes` is None before the first walk is complete."""
        used = self._used
        return {
            "limit_bytes": self._limit,
            "used_bytes": used,
            "percent": round(100.0 * used / self._limit, 1) if used is not None and self._limit > 0 else None,
            "at": self._at if used is not None else None,
            "took_s": round(self._took_s, 3),
            "walks": self._walks,
            "exceeded": self._exceeded,
            "problem": self._problem or None,
        }

    def _begin(self, now: Now) -> None:
        if not self._running:
            return
        self._begun = now
        self._look(now)

    def _look(self, now: Now) -> None:
        """One piece; the thread never waits."""
        if self._running:
            asked = now.mono
            self._workers.submit(lambda: self._walk.step(self._entries), lambda done, at: self._looked(done, asked, at))

    def _looked(self, done: bool | Exception, asked: float, now: Now) -> None:
        if not self._running:
            return
        if isinstance(done, Exception):
            self._troubled(done, now)
        elif done:
            self._judge(now)
        else:
            self._loop.call_at(now.mono + PAUSE_FACTOR * (now.mono - asked), self._look)

    def _troubled(self, error: Exception, now: Now) -> None:
        """What can't be measured can't be exceeded; it is told, and tried again."""
        text = f"cannot measure the sandbox: {error!r}"
        if text != self._problem:
            self._problem = text
            _log.warning("%s", text)
        self._walk = DiskWalk(self._sandbox)
        self._rest(now)

    def _judge(self, now: Now) -> None:
        self._used, self._at, self._problem = self._walk.total or 0, now.wall, ""
        self._took_s = now.mono - self._begun.mono
        self._walks += 1
        text = over_limit(self._limit, self._used)
        if text is None:
            self._rest(now)
            return
        self._exceeded, self._running = True, False
        self._report(text, now)

    def _rest(self, now: Now) -> None:
        took = now.mono - self._begun.mono
        self._loop.call_at(max(self._begun.mono + self._interval_s, now.mono + took), self._begin)
