"""Waiting for files to change, for commands that look at one task: inotify on a few directories.

Where the kernel has no instance or watch left (they are few per user), or a directory is not there yet, waiting is
looking five times a second instead. Nothing is missed either way: whoever waits looks at everything afterwards.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
from pathlib import Path

#: MODIFY, MOVED_TO, CREATE, DELETE_SELF; ONLYDIR.
_MASK = 0x2 | 0x80 | 0x100 | 0x400 | 0x1000000
_LOOK = 0.2
_EVENT = struct.Struct("iIII")


class Watch:
    """Readable (`fileno`) when something was written or came into a watched directory. Close it."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = int(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._watched: dict[Path, int] = {}
        self._blind: set[Path] = set()

    def fileno(self) -> int:
        """-1: the kernel gave us none."""
        return self._fd

    @property
    def blind(self) -> bool:
        """Some directory can't be watched: look now and then."""
        return self._fd < 0 or bool(self._blind)

    def add(self, directory: Path) -> None:
        """Watch this one too; one that can't be watched now is tried again with the next `wait`."""
        if directory in self._watched:
            return
        number = self._libc.inotify_add_watch(self._fd, os.fsencode(directory), _MASK) if self._fd >= 0 else -1
        if number < 0:
            self._blind.add(directory)
        else:
            self._watched[directory] = number
            self._blind.discard(directory)

    def drop(self, directory: Path) -> None:
        """Watch it no longer."""
        self._blind.discard(directory)
        number = self._watched.pop(directory, None)
        if number is not None:
            self._libc.inotify_rm_watch(self._fd, number)

    def drain(self) -> set[Path]:
        """The directories in which something happened since the last call, and those that can't be watched."""
        changed = self._take_events() | self._blind
        for directory in list(self._blind):
            self.add(directory)
        return changed

    def _take_events(self) -> set[Path]:
        if self._fd < 0:
            return set()
        numbers: set[int] = set()
        try:
            while data := os.read(self._fd, 65536):
                at = 0
                while at < len(data):
                    number, _, _, length = _EVENT.unpack_from(data, at)
                    numbers.add(number)
                    at += _EVENT.size + length
        except BlockingIOError:
            pass
        every = -1 in numbers  # the queue overflowed
        return {directory for directory, number in self._watched.items() if every or number in numbers}

    def wait(self, seconds: float | None = None, *more: int) -> None:
        """Until something happened there, one of `more` (descriptors) is readable, or the time is over."""
        if self.blind:
            seconds = _LOOK if seconds is None else min(seconds, _LOOK)
        poller = select.poll()
        for fd in (self._fd, *more):
            if fd >= 0:
                poller.register(fd, select.POLLIN)
        poller.poll(None if seconds is None else max(0.0, seconds) * 1000)
        self.drain()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
