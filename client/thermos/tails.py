"""The last lines of a run's log, read without trusting whoever owns the sandbox: no link below it is followed, only
regular files are opened, little is read, and what comes out is harmless for a terminal."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from client.render import printable

#: As much of the end of a file as is looked at.
_TAIL_BYTES = 16 * 1024
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def log_path(log_dir: str, process: str, run: int, stream: str) -> Path:
    return Path(log_dir) / process / str(run) / stream


def tail_lines(sandbox: str, log_dir: str, process: str, run: int, stream: str, count: int) -> list[str]:
    """At most `count` last lines that are not blank; [] when there is no such log."""
    path = log_path(log_dir, process, run, stream)
    base = Path(sandbox) if path.is_relative_to(sandbox) else Path(log_dir)
    try:
        data = _read_end(base, path.relative_to(base))
    except OSError:
        return []
    lines = [line.rstrip("\r") for line in data.decode("utf-8", "replace").split("\n")]
    return [printable(line) for line in lines if line.strip()][-count:]


def _read_end(base: Path, below: Path) -> bytes:
    opened = [os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
    try:
        for name in below.parts[:-1]:
            opened.append(os.open(name, _DIRECTORY, dir_fd=opened[-1]))
        opened.append(os.open(below.name, _FILE, dir_fd=opened[-1]))
        status = os.fstat(opened[-1])
        if not stat.S_ISREG(status.st_mode):
            return b""
        offset = max(0, status.st_size - _TAIL_BYTES)
        data = os.pread(opened[-1], _TAIL_BYTES, offset)
        return data.partition(b"\n")[2] if offset and b"\n" in data else data
    finally:
        for fd in opened:
            os.close(fd)
