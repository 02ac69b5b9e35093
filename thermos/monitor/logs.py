"""The log of a run as whoever looks at it reads it: the file that is written to and the rotated ones, `.1` the newest.

Nobody who owns the sandbox is trusted: below it no link is followed, and only regular files are opened.

A LogReader follows the *inode*. When another file has taken the log's name, the old one is read to its end, then the
newer ones `.k` … `.1`, then the current one; so any number of rotations between two looks loses nothing as long as the
files are there. They are looked for upwards, the direction in which a rotation moves them: one may be met twice, none
is missed. A file that shrank was truncated and is read from its start.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

STREAMS = ("stdout", "stderr")

#: Read at once.
CHUNK = 256 * 1024

_BLOCK = 64 * 1024
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

#: More rotated files than this are not looked at.
_MOST_PARTS = 10_000


class Log(Struct, frozen=True):
    """One stream of one run: `below` leads from `base`, a directory that is trusted, to the current file."""

    base: Path
    below: Path

    @property
    def path(self) -> Path:
        return self.base / self.below

    def open(self, part: int = 0) -> int | None:
        """A descriptor of the current file (0) or of `.<part>`; None when there is no such regular file."""
        name = f"{self.below.name}.{part}" if part else self.below.name
        try:
            return open_below(self.base, self.below.with_name(name))
        except OSError:
            return None


def log_of(sandbox: str, log_dir: str, process: str, run: int, stream: str) -> Log:
    """Where a task's header says that the log is."""
    path = Path(log_dir) / process / str(run) / stream
    base = Path(sandbox) if path.is_relative_to(sandbox) else Path(log_dir)
    return Log(base, path.relative_to(base))


def open_below(base: Path, below: Path) -> int:
    """A regular file below `base`, no step of `below` a link. Raises OSError."""
    with contextlib.ExitStack() as steps:
        at = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        steps.callback(os.close, at)
        for name in below.parts[:-1]:
            at = os.open(name, _DIRECTORY, dir_fd=at)
            steps.callback(os.close, at)
        fd = os.open(below.name, _FILE, dir_fd=at)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise FileNotFoundError(f"{base / below} is not a file")
    return fd


class LogReader:
    """Gives a log's bytes in order, from its last `lines` on (None: from the oldest that there is). Close it."""

    def __init__(self, log: Log, lines: int | None = None) -> None:
        self.log = log
        self.lost = False  # rotated away before it was read; set by `read`, reset by whoever says so
        self._files: deque[int] = deque()  # oldest first; the last one is followed
        self._position = 0
        self._begin(lines)

    def read(self, size: int = CHUNK) -> bytes:
        """The next bytes; b"" when there are none now."""
        while self._files or self._open_current():
            data = os.pread(self._files[0], size, self._position)
            if data:
                self._position += len(data)
                return data
            if len(self._files) == 1 and not self._move_on():
                return b""
            if len(self._files) > 1 and os.fstat(self._files[0]).st_size <= self._position:
                os.close(self._files.popleft())  # written to its end and renamed long ago
                self._position = 0
        return b""

    def close(self) -> None:
        while self._files:
            os.close(self._files.popleft())

    def _open_current(self) -> bool:
        fd = self.log.open()
        if fd is not None:
            self._files.append(fd)
            self._position = 0
        return fd is not None

    def _begin(self, lines: int | None) -> None:
        """Open the current file and as many rotated ones as hold the last `lines`."""
        missing = lines
        for part, fd in self._parts():
            self._files.appendleft(fd)
            if missing is None:
                continue
            self._position, found = _seek_back(fd, missing, newest=part == 0)
            missing -= found
            if missing <= 0:
                return
        self._position = 0

    def _parts(self) -> Iterator[tuple[int, int]]:
        """(number, descriptor), the current file first; a rotation that is going on leaves one number out."""
        gone, seen = 0, set()
        for part in range(_MOST_PARTS):
            fd = self.log.open(part)
            if fd is None:
                gone += part > 0
                if gone > 1:
                    return
                continue
            inode = os.fstat(fd).st_ino
            if inode in seen:
                os.close(fd)
                continue
            seen.add(inode)
            yield part, fd

    def _move_on(self) -> bool:
        """At the end of the followed file: was it truncated, or replaced? Then there is more to read."""
        ours = os.fstat(self._files[0])
        if ours.st_size < self._position:
            self._position = 0
            return True
        current = self.log.open()
        if current is None:
            return False  # between a rotation's two steps, or removed
        same = os.fstat(current).st_ino == ours.st_ino
        os.close(current)
        return not same and self._take_newer(ours.st_ino)

    def _take_newer(self, inode: int) -> bool:
        newer: list[int] = []
        found = False
        for _, fd in self._parts():
            if os.fstat(fd).st_ino == inode:
                os.close(fd)
                found = True
                break
            newer.append(fd)
        self.lost = self.lost or not found
        self._files.extend(reversed(newer))
        return bool(newer)


def _seek_back(fd: int, lines: int, *, newest: bool) -> tuple[int, int]:
    """(offset of the last `lines` lines of a file, how many of them it has). The last line of the newest file counts
    also when it is unfinished; in a rotated one it goes on in the next file."""
    end = os.fstat(fd).st_size
    if lines <= 0:
        return end, 0
    found = 1 if newest and end and os.pread(fd, 1, end - 1) != b"\n" else 0
    at = end
    while at > 0:
        begin = max(0, at - _BLOCK)
        block = os.pread(fd, at - begin, begin)
        cut = len(block)
        while (cut := block.rfind(b"\n", 0, cut)) >= 0:
            if found == lines:
                return begin + cut + 1, lines
            found += 1
        at = begin
    return 0, found
