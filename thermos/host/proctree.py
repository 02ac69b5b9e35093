"""What is left of a run whose coordinator died: found, verified, killed, reaped.

A process belongs to a run when its environment carries the run's secret marker, when it is in the session of the
run's main (and that one is still the process we started, or the member carries the marker), or when it descends from
one of these. What can't be verified is never signalled: a pid that we know only from a file may be a stranger's.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable

import msgspec

from thermos.core.fold import Run
from thermos.host.kernel import Kernel, Stat
from thermos.host.spawn import RUN_MARKER

#: Rounds of "find everything, kill everything": a process that forks while it is killed is found by the next one.
_ROUNDS = 50
_PATIENCE_MS = 2000


class Swept(msgspec.Struct):
    """What a sweep did for one run."""

    killed: list[tuple[int, str]] = msgspec.field(default_factory=list)
    refused: list[tuple[int, str]] = msgspec.field(default_factory=list)
    main_status: int | None = None  # wait status of a main that ended by itself, if the kernel still knew it


def sweep(runs: Iterable[Run], kernel: Kernel) -> dict[tuple[str, int], Swept]:
    """Kill what is left of these runs, all in one pass over /proc per round. Keys are (process, run).

    A main that is a zombie stays one until the end: as long as it stands, its session is known to be ours.
    """
    boot, pidns = kernel.boot_id(), kernel.pid_namespace()
    known = {(run.process, run.number): run for run in runs if run.boot in ("", boot) and run.pidns in (0, pidns)}
    results = {key: Swept() for key in known}
    mains = {run.pid for run in known.values()}
    for _ in range(_ROUNDS):
        found = find_members(known, kernel)
        alive = {k: [s for s in members if s.pid not in _pids(results[k].refused)] for k, members in found.items()}
        if not any(alive.values()):
            break
        for key, members in alive.items():
            _kill_members(members, results[key], mains, kernel)
    for key, run in known.items():
        results[key].main_status = _status_of_main(run, results[key], kernel)
    return results


def _pids(entries: list[tuple[int, str]]) -> set[int]:
    return {pid for pid, _ in entries}


def _status_of_main(run: Run, swept: Swept, kernel: Kernel) -> int | None:
    """The main of a killed coordinator lands with us as subreaper; a zombie still knows its exit status. None also
    when SIGKILL ended it: ours, or the kernel's, which goes to the main when its coordinator dies."""
    if not run.pid:
        return None
    status = kernel.proc_stat(run.pid)
    if status is None or status.start != run.pid_start or status.ppid != kernel.getpid() or status.state != "Z":
        return None
    ended = kernel.reap(run.pid)
    if ended is None or not os.WIFSIGNALED(ended) or os.WTERMSIG(ended) != signal.SIGKILL:
        return ended
    if run.pid not in _pids(swept.killed):
        swept.killed.insert(0, (status.pid, status.comm))
    return None


def reap_orphans(spared: Iterable[int], kernel: Kernel) -> None:
    """What had died below a killed coordinator, unreaped, lands with us as zombies that tell nobody's they were. An
    embedder's own children are in its session; `spared` are coordinators and mains, whose exit status is asked for."""
    me = kernel.proc_stat(kernel.getpid())
    if me is None:
        return
    for pid in set(kernel.proc_pids()).difference(spared):
        status = kernel.proc_stat(pid)
        if status is not None and status.state == "Z" and status.ppid == me.pid and status.session != me.session:
            kernel.reap(pid)


def find_members(runs: dict[tuple[str, int], Run], kernel: Kernel) -> dict[tuple[str, int], list[Stat]]:
    """Living processes of each run, zombies left out."""
    table = {pid: status for pid in kernel.proc_pids() if (status := kernel.proc_stat(pid)) is not None}
    children: dict[int, list[Stat]] = {}
    for status in table.values():
        children.setdefault(status.ppid, []).append(status)
    markers = {f"{RUN_MARKER}={run.nonce}".encode(): key for key, run in runs.items()}
    mains = {run.pid: (key, run) for key, run in runs.items() if run.pid}
    owner = {status.pid: key for status in table.values() if (key := _owner_of(status, mains, table, markers, kernel))}
    pending = list(owner)
    while pending:
        pid = pending.pop()
        for child in children.get(pid, ()):
            if child.pid not in owner:
                owner[child.pid] = owner[pid]
                pending.append(child.pid)
    members: dict[tuple[str, int], list[Stat]] = {key: [] for key in runs}
    for pid, key in owner.items():
        if table[pid].state not in ("Z", "X"):
            members[key].append(table[pid])
    return members


def _owner_of(
    status: Stat,
    mains: dict[int, tuple[tuple[str, int], Run]],
    table: dict[int, Stat],
    markers: dict[bytes, tuple[str, int]],
    kernel: Kernel,
) -> tuple[str, int] | None:
    if status.session in mains:
        key, run = mains[status.session]
        leader = table.get(run.pid)
        if leader is not None and leader.start == run.pid_start:
            return key
    for variable in kernel.proc_environ(status.pid).split(b"\0"):
        if variable in markers:
            return markers[variable]
    return None


def _kill_members(members: list[Stat], result: Swept, mains: set[int], kernel: Kernel) -> None:
    """SIGKILL, each pid held by a pidfd and looked at again; then wait until they are dead, bounded. Whoever became our
    child, maybe only by the death of its parent, is reaped, the mains excepted."""
    dying: dict[int, Stat] = {}
    try:
        for member in members:
            pidfd = _signal_verified(member, result, kernel)
            if pidfd is not None:
                dying[pidfd] = member
        for pidfd in _wait_dead(list(dying)):
            immortal = dying[pidfd]
            result.refused.append((immortal.pid, immortal.comm))
            result.killed.remove((immortal.pid, immortal.comm))
    finally:
        for pidfd in dying:
            kernel.close(pidfd)
    for member in dying.values():
        if member.pid not in mains:
            kernel.reap(member.pid)


def _signal_verified(member: Stat, result: Swept, kernel: Kernel) -> int | None:
    try:
        pidfd = kernel.pidfd_open(member.pid)
    except OSError:
        return None  # it has gone by itself
    again = kernel.proc_stat(member.pid)
    if again is None or again.start != member.start:
        kernel.close(pidfd)
        return None
    entry = (member.pid, member.comm)
    try:
        kernel.pidfd_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        kernel.close(pidfd)
        return None
    except PermissionError:
        result.refused.append(entry)
        kernel.close(pidfd)
        return None
    if entry not in result.killed:
        result.killed.append(entry)
    return pidfd


def _wait_dead(pidfds: list[int]) -> list[int]:
    """Those that did not die in time: uninterruptible sleep."""
    poller = select.poll()
    for pidfd in pidfds:
        poller.register(pidfd, select.POLLIN)
    left = set(pidfds)
    while left and (ended := poller.poll(_PATIENCE_MS)):
        for pidfd, _ in ended:
            poller.unregister(pidfd)
            left.remove(pidfd)
    return sorted(left)


def exit_of(status: int) -> tuple[int | None, int | None]:
    """(code, signal) of a wait status."""
    code = os.waitstatus_to_exitcode(status)
    return (code, None) if code >= 0 else (None, -code)
