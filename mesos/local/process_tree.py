"""Which processes belong to a container, and killing all of them.

To a container belong its first process, all below it, and whoever shares a session or a process group with one of
these; that is what a real agent with the posix launcher takes for it. A process that left its session and lost its
parent before anybody looked belongs to nobody.

Processes are told by id and start time, and signalled through a pidfd, so a reused id is never hit.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Process(NamedTuple):
    pid: int
    parent: int
    group: int
    session: int
    state: str
    start_ticks: int
    user_ticks: int
    system_ticks: int
    rss_pages: int


@dataclass(frozen=True, slots=True)
class Usage:
    user_s: float = 0.0
    system_s: float = 0.0
    rss_bytes: int = 0


def look_at(pid: int) -> Process | None:
    """None when there is none (any more); a zombie is one."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    rest = text.rpartition(")")[2].split()
    return Process(
        pid,
        int(rest[1]),
        int(rest[2]),
        int(rest[3]),
        rest[0],
        int(rest[19]),
        int(rest[11]),
        int(rest[12]),
        int(rest[21]),
    )


def all_processes() -> dict[int, Process]:
    names = [path.name for path in _PROC.iterdir() if path.name.isdigit()]
    found = (look_at(int(name)) for name in names)
    return {process.pid: process for process in found if process is not None}


def members(roots: Iterable[int], processes: dict[int, Process]) -> dict[int, Process]:
    """All of the containers whose first processes are `roots`, among these processes. Never this process itself."""
    me = processes.get(os.getpid())
    shared = {me.session, me.group, 0, 1} if me is not None else {0, 1}
    taken = {pid: processes[pid] for pid in roots if pid in processes}
    bands = {root for root in roots if root not in shared}
    while True:
        bands |= {band for p in taken.values() for band in (p.session, p.group) if band not in shared}
        more = {
            p.pid: p
            for p in processes.values()
            if p.pid not in taken and (p.parent in taken or p.session in bands or p.group in bands)
        }
        more.pop(os.getpid(), None)
        if not more:
            return taken
        taken |= more


def kill(process: Process) -> None:
    """SIGKILL, unless the id is another process' by now."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        return  # it has ended
    try:
        now = look_at(process.pid)
        if now is not None and now.start_ticks == process.start_ticks:
            signal.pidfd_send_signal(fd, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(fd)


def kill_all(roots: set[int]) -> int:
    """SIGKILL to all of it. Returns how many lived; call it again, with the same set, until none does. The set grows
    by the sessions and groups that were found, so that who forks while its parents are killed is found, too."""
    found = members(roots, all_processes())
    living = [p for p in found.values() if p.state not in "ZX"]
    own = os.getsid(0), os.getpgid(0)
    for process in living:
        roots |= {process.session, process.group}.difference(own)
        kill(process)
    return len(living)


def usage_of(root: int, processes: dict[int, Process]) -> Usage:
    taken = members([root], processes).values()
    return Usage(
        user_s=sum(p.user_ticks for p in taken) / _TICKS,
        system_s=sum(p.system_ticks for p in taken) / _TICKS,
        rss_bytes=sum(p.rss_pages for p in taken) * _PAGE,
    )
