"""`executor.json` in the run directory: what this executor knows of itself, for the observer and for people.

Written new and renamed, so that a reader sees all or nothing; only when it says something new, and at most once a
second. That it can't be written (disk full) is no reason to do anything differently.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from executor.workers import EventLoop
from thermos.clock import Now

NAME = "executor.json"

#: Seconds between two writings at least.
PAUSE_S = 1.0


class StateFile:
    def __init__(self, directory: Path, loop: EventLoop, state: Callable[[Now], dict[str, Any]]) -> None:
        self.trouble = ""  # why it could not be written last time
        self._path = directory / NAME
        self._loop = loop
        self._state = state
        self._written = b""
        self._not_before = 0.0  # mono
        self._waits = False

    def touch(self, now: Now) -> None:
        """Something may have changed."""
        if now.mono >= self._not_before:
            self.write(now)
        elif not self._waits:
            self._waits = True
            self._loop.call_at(self._not_before, self._due)

    def write(self, now: Now) -> None:
        """At once, if there is news."""
        data = msgspec.json.encode(self._state(now))
        if data == self._written:
            return
        fresh = self._path.with_name(f".{NAME}.new")
        try:
            fresh.unlink(missing_ok=True)  # the directory is the task's user's: it may be a FIFO, or another's file
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            try:
                os.write(fd, data + b"\n")
            finally:
                os.close(fd)
            fresh.replace(self._path)
        except OSError as error:
            self.trouble = f"cannot write {self._path}: {error.strerror}"
        else:
            self._written, self.trouble = data, ""
        self._not_before = now.mono + PAUSE_S

    def _due(self, now: Now) -> None:
        self._waits = False
        self.write(now)
