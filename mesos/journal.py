"""A file of records, `crc32 json` a line, append-only: what must survive the process.

- A line counts when its checksum is right. What a crash left of a last line is cut off; a bad line in the middle is
  skipped and told. Another owner's journal (a reused sandbox) is not ours and begins anew.
- Nothing is synced: it has to survive our death, not the machine's, which takes the container along.
- When the disk is full the records wait in memory, in order; `append` says so (once), `flush` tries again. A line that
  was written in part is cut off first, so a later line never hangs on it.
- When most of it is history the file is written anew beside the old one and renamed over it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

from mesos.core.acks import Record
from mesos.core.wire import BadMessage, decode, encode
from thermos.errors import HostError

#: A file shorter than this is never compacted, a longer one when it has doubled since.
COMPACT_BYTES = 64 * 1024

#: Records that wait for space one by one; beyond, a new file is written when there is space.
MAX_WAITING = 1000

#: A journal is never longer than a few compactions; more than this is not ours.
MAX_BYTES = 256 * 1024 * 1024

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


class CannotRecord(HostError):
    """The records are in memory only, for now."""


Write = Callable[[int, bytes], int]
Snapshot = Callable[[], Iterable[Record]]


class Journal:
    """Open it with `read`. `snapshot` gives what a new file has to hold, everything appended included."""

    def __init__(self, path: Path, owner: Record, snapshot: Snapshot, write: Write = os.write) -> None:
        self.path = path
        self._owner = owner
        self._snapshot = snapshot
        self._write = write
        self._fd: int | None = None
        self._end = 0  # of the last whole line
        self._torn = False  # something stands behind that, and could not be cut off
        self._compact_at = COMPACT_BYTES
        self._waiting: list[bytes] = []
        self._behind = False  # too many waited: only a new file can bring this one up to date

    @property
    def waiting(self) -> int:
        """Records that are not on disk."""
        return len(self._waiting)

    @property
    def is_behind(self) -> bool:
        """Is anything not on disk?"""
        return self._behind or bool(self._waiting)

    def read(self) -> tuple[list[Record], list[str]]:
        """All good records, and what is wrong with the others. Raises HostError when there can be no journal."""
        try:
            self._fd = os.open(self.path, _FLAGS, 0o600)
            data = self._read_own(self._fd)
            records, problems, self._end = parse(data)
            if records[:1] != [self._owner]:
                if records:
                    problems.append("it is somebody else's and begins anew")
                records, self._end = [], 0
            if self._end < len(data):
                os.ftruncate(self._fd, self._end)
        except OSError as error:
            self.close()
            raise HostError(f"cannot use the journal {self.path}: {error.strerror}") from error
        if not records:
            self._waiting.append(line_of(self._owner))
        return records[1:], problems

    def append(self, record: Record) -> None:
        """Raises CannotRecord when it is not on disk; it is kept and needs no second call."""
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.clear()
            self._behind = True
        if not self._behind:
            self._waiting.append(line_of(record))
        self.flush()

    def flush(self) -> None:
        """Write what waits. Raises CannotRecord when there is no space yet."""
        if self._fd is None:
            return
        if self._behind or self._end > self._compact_at:
            self._compact()
        if self._waiting:
            self._write_waiting(self._fd)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _read_own(self, fd: int) -> bytes:
        """A task's user may write in the sandbox: what is not ours alone is not touched."""
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid() or info.st_nlink != 1:
            raise OSError(errno.EPERM, "it is no file of this executor's")
        if info.st_size > MAX_BYTES:
            raise OSError(errno.EFBIG, f"it has more than {MAX_BYTES} bytes")
        data = bytearray()
        while len(data) < info.st_size and (piece := os.pread(fd, info.st_size - len(data), len(data))):
            data += piece
        return bytes(data)

    def _write_waiting(self, fd: int) -> None:
        gap = b"\n" if self._torn else b""
        data = gap + b"".join(self._waiting)
        try:
            written = self._write(fd, data)
        except OSError as error:
            raise self._cannot(error.strerror) from error
        if written < len(data):
            self._cut_off()
            raise self._cannot("the disk is full")
        self._end += written
        self._torn = False
        self._waiting.clear()

    def _cut_off(self) -> None:
        """A short write: nothing of it counts."""
        assert self._fd is not None
        try:
            os.ftruncate(self._fd, self._end)
            self._torn = False
        except OSError:
            self._torn = True

    def _compact(self) -> None:
        """A new file, renamed over the old one. A failure matters only when the old one is behind."""
        data = b"".join(map(line_of, (self._owner, *self._snapshot())))
        fresh = self.path.with_name(self.path.name + ".new")
        fd = -1
        try:
            fresh.unlink(missing_ok=True)  # of a crash; or a link, a pipe or a file of a task's user
            fd = os.open(fresh, _FLAGS | os.O_EXCL, 0o600)
            if self._write(fd, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            fresh.rename(self.path)
        except OSError as error:
            if fd >= 0:
                os.close(fd)
                with contextlib.suppress(OSError):
                    fresh.unlink()
            self._compact_at = 2 * max(self._end, COMPACT_BYTES)  # not again before it has doubled
            if self._behind:
                raise self._cannot(error.strerror) from error
            return
        self.close()
        self._fd, self._end, self._torn, self._behind = fd, len(data), False, False
        self._compact_at = max(COMPACT_BYTES, 2 * self._end)
        self._waiting.clear()

    def _cannot(self, why: str | None) -> CannotRecord:
        return CannotRecord(f"cannot write the journal {self.path}: {why}; what is new is in memory only")


def line_of(record: Record) -> bytes:
    data = encode(record)
    return b"%08x %s\n" % (zlib.crc32(data), data)


def parse(data: bytes) -> tuple[list[Record], list[str], int]:
    """Good records, problems, and where the last whole line ends."""
    records, problems = [], []
    end = data.rfind(b"\n") + 1
    if end < len(data):
        problems.append(f"a torn line of {len(data) - end} bytes at its end was cut off")
    for number, line in enumerate(data[:end].split(b"\n")[:-1], 1):
        record = parse_line(line)
        if record is None:
            problems.append(f"line {number} is damaged and does not count")
        else:
            records.append(record)
    return records, problems, end


def parse_line(line: bytes) -> Record | None:
    """None for anything but a line of ours."""
    checksum, space, data = line.partition(b" ")
    if not space or checksum != b"%08x" % zlib.crc32(data):
        return None
    try:
        return decode(data, Record)
    except BadMessage:
        return None
