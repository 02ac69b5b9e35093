"""The last lines of a run's log, a little of them and harmless for a terminal; for messages."""

from __future__ import annotations

import os
from pathlib import Path

from thermos.monitor.logs import log_of
from thermos.words import printable

#: As much of the end of a file as is looked at.
_TAIL_BYTES = 16 * 1024


def log_path(log_dir: str, process: str, run: int, stream: str) -> Path:
    return Path(log_dir) / process / str(run) / stream


def tail_lines(sandbox: str, log_dir: str, process: str, run: int, stream: str, count: int) -> list[str]:
    """At most `count` last lines that are not blank; [] when there is no such log."""
    fd = log_of(sandbox, log_dir, process, run, stream).open()
    if fd is None:
        return []
    try:
        data = _read_end(fd)
    except OSError:
        return []
    finally:
        os.close(fd)
    lines = [line.rstrip("\r") for line in data.decode("utf-8", "replace").split("\n")]
    return [printable(line) for line in lines if line.strip()][-count:]


def _read_end(fd: int) -> bytes:
    offset = max(0, os.fstat(fd).st_size - _TAIL_BYTES)
    data = os.pread(fd, _TAIL_BYTES, offset)
    return data.partition(b"\n")[2] if offset and b"\n" in data else data
