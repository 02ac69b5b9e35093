"""Looking at processes and files from outside: alive or not, whose, how much CPU, what has changed. No polling."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from thermos.host.kernel import Kernel, Stat

#: Seconds until a test that waits has failed.
PATIENCE = 60.0

_LIBC = ctypes.CDLL(None, use_errno=True)
_CHANGES = 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200  # MODIFY ATTRIB CLOSE_WRITE MOVED_FROM MOVED_TO CREATE DELETE

Found = TypeVar("Found")
KERNEL = Kernel()


class Watch:
    """Waits for changes of directories and files, by inotify. Paths that do not exist yet are watched by the nearest
    ancestor that does."""

    def __init__(self) -> None:
        self._fd = _LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._fd >= 0, os.strerror(ctypes.get_errno())

    def _add(self, path: Path) -> None:
        if not self._watches(path):
            self._add(path.parent)
            self._watches(path)  # it may have come before its parent was watched

    def _watches(self, path: Path) -> bool:
        return int(_LIBC.inotify_add_watch(self._fd, os.fsencode(path), _CHANGES)) >= 0

    def until(
        self, look: Callable[[], Found | None], what: str, paths: Iterable[Path], end: int | None = None
    ) -> Found:
        """What `look` gives once it is not None. `end`: a pidfd; when that process ends it is the last look."""
        deadline = time.monotonic() + PATIENCE
        paths = list(paths)
        while True:
            for path in paths:
                self._add(path)
            found = look()
            if found is not None:
                return found
            wanted = [self._fd] if end is None else [self._fd, end]
            ready, _, _ = select.select(wanted, [], [], max(0.0, deadline - time.monotonic()))
            if self._fd in ready:
                os.read(self._fd, 65536)
                continue
            found = look()
            if found is not None:
                return found
            raise AssertionError(f"no {what}: " + ("the runner has ended" if ready else "nothing happened"))

    def close(self) -> None:
        os.close(self._fd)


def wait_gone(pid: int, start: int | None = None) -> None:
    """Until the process (with these start ticks) runs no more; a zombie runs no more."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        status = KERNEL.proc_stat(pid)
        if status is None or (start is not None and status.start != start):
            return
        ready, _, _ = select.select([fd], [], [], PATIENCE)
        assert ready, f"process {pid} ({status.comm}) is still alive"
    finally:
        os.close(fd)


def is_alive(pid: int) -> bool:
    status = KERNEL.proc_stat(pid)
    return status is not None and status.state not in "ZX"


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, without its children."""
    text = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(text[11]) + int(text[12])) / os.sysconf("SC_CLK_TCK")


def find_processes(markers: list[bytes], mains: dict[int, int]) -> list[Stat]:
    """Living processes with one of these entries in their environment, or in a session that one of the mains leads."""
    found = []
    for pid in KERNEL.proc_pids():
        status = KERNEL.proc_stat(pid)
        if status is None or status.state in "ZX" or pid == os.getpid():
            continue
        in_session = mains.get(status.session, status.start + 1) <= status.start
        environ = KERNEL.proc_environ(pid).split(b"\0")
        if in_session or any(marker in environ for marker in markers):
            found.append(status)
    return found


def kill_verified(pid: int, start: int) -> None:
    """SIGKILL, if the pid is still that process."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    status = KERNEL.proc_stat(pid)
    if status is not None and status.start == start:
        signal.pidfd_send_signal(fd, signal.SIGKILL)
        select.select([fd], [], [], 5)
    os.close(fd)
