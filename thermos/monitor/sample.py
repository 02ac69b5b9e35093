"""Looks at the host: one pass over /proc for everybody, and disk usage in small bites.

Nothing here runs unless somebody looks (live tree, `top`, observer, limits).
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISDIR

from thermos.core.usage import Look, Proc, make_look

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")

#: Files with several names that a walk remembers, so that each counts once (some megabytes at most).
LINKS_KEPT = 50_000

_Key = tuple[int, int]  # device and inode


def parse_proc(pid: int, text: bytes) -> Proc:
    """One `/proc/PID/stat`. Raises ValueError or IndexError for anything else."""
    left, right = text.index(b"("), text.rindex(b")")
    fields = text[right + 2 :].split()
    return Proc(
        pid=pid,
        ppid=int(fields[1]),
        start=int(fields[19]),
        comm=text[left + 1 : right].decode("utf-8", "replace"),
        status=fields[0].decode("ascii", "replace"),
        user=int(fields[11]) / _TICK,
        system=int(fields[12]) / _TICK,
        nice=int(fields[16]),
        threads=int(fields[17]),
        vms=int(fields[20]),
        rss=int(fields[21]) * _PAGE,
    )


def take_look(mono: float, proc: str = "/proc") -> Look:
    """All processes now; an empty look where /proc can't be read."""
    return make_look(mono, _read_procs(proc))


def _read_procs(proc: str) -> Iterator[Proc]:
    try:
        directory = os.open(proc, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        for name in os.listdir(directory):
            if not name.isdigit():
                continue
            try:
                fd = os.open(f"{name}/stat", os.O_RDONLY, dir_fd=directory)
            except OSError:
                continue  # it has just gone
            try:
                yield parse_proc(int(name), os.read(fd, 1024))
            except (OSError, ValueError, IndexError):
                continue
            finally:
                os.close(fd)
    finally:
        os.close(directory)


class DiskWalk:
    """Bytes below a directory (512 * st_blocks of files and directories), counted a bounded number of entries at a
    time. Links are never followed, also if a directory becomes one meanwhile; a file with several names counts once
    (the first LINKS_KEPT of them are remembered). `total` is the last complete walk's figure, None before the first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.total: int | None = None
        self._sum = 0
        self._entries: Iterator[int] | None = None

    def step(self, entries: int = 2000) -> bool:
        """Look at up to so many entries; True when a walk was completed."""
        if self._entries is None:
            self._entries, self._sum = _sizes_below(str(self.root)), 0
        for seen, size in enumerate(self._entries, 1):
            self._sum += size
            if seen >= entries:
                return False
        self.total, self._entries = self._sum, None
        return True


def _sizes_below(root: str) -> Iterator[int]:
    """The size of each entry below `root`; 0 for what can't be looked at, so that it, too, is a step."""
    pending: list[tuple[str, _Key | None]] = [(root, None)]
    several_names: set[_Key] = set()
    while pending:
        path, key = pending.pop()
        try:
            with _listing(path, key) as entries:
                for entry in entries:
                    stat = _stat_of(entry)
                    if stat is None:
                        yield 0
                        continue
                    key = (stat.st_dev, stat.st_ino)
                    if S_ISDIR(stat.st_mode):
                        pending.append((f"{path}/{entry.name}", key))
                    elif stat.st_nlink > 1:
                        if key in several_names:
                            yield 0
                            continue
                        if len(several_names) < LINKS_KEPT:
                            several_names.add(key)
                    yield 512 * stat.st_blocks
        except OSError:
            yield 0  # it has just gone, or we may not look: it counts nothing


@contextlib.contextmanager
def _listing(path: str, key: _Key | None) -> Iterator[Iterator[os.DirEntry[str]]]:
    """The directory that was seen as `key`: another one (or a link) in its place is none of ours. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (os.O_NOFOLLOW if key is not None else 0))
    try:
        stat = os.fstat(fd)
        if key not in (None, (stat.st_dev, stat.st_ino)):
            raise FileNotFoundError(errno.ENOENT, "it was replaced while we looked", path)
        with os.scandir(fd) as entries:
            yield entries
    finally:
        os.close(fd)


def _stat_of(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError:
        return None  # removed since it was listed
