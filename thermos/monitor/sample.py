"""Looks at the host: one pass over /proc for everybody, and disk usage in small bites.

Nothing here runs unless somebody looks (live tree, `top`, observer, limits).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from thermos.core.usage import Look, Proc, make_look

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


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
    time; links are never followed. `total` is the last complete walk's figure, None before the first."""

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
    """The size of each entry below `root`; 0 for a directory that can't be read, so that it, too, is a step."""
    pending = [root]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    yield _size_of(entry)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except OSError:
            yield 0  # it has just gone, or we may not look: it counts nothing


def _size_of(entry: os.DirEntry[str]) -> int:
    try:
        return 512 * entry.stat(follow_symlinks=False).st_blocks
    except OSError:
        return 0  # removed since it was listed
