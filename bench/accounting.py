"""Who belongs to a run, and how much CPU all of them burnt, those already gone included.

Best: a cgroup of its own, v1 cpuacct or v2 (root, or a delegated subtree): exact, whatever daemonises. Otherwise the
tree below us: the bench is a subreaper, so nothing that a contender starts can leave it; CPU is that of the live ones
plus what was waited for. Both end exactly the members of the run, each held by a pidfd while it is looked at again.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import resource
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from bench.proc import descendants, is_alive, own_cpu_s, read_stat

_PR_SET_CHILD_SUBREAPER = 36
_counter = itertools.count()


class Accounting(Protocol):
    kind: str
    procs: str  # the cgroup.procs that a beginning contender writes itself into, "-": none

    def pids(self) -> list[int]:
        """Live members."""

    def cpu_s(self) -> float:
        """CPU seconds since the beginning."""

    def close(self) -> None:
        """After the last member has ended."""


class CgroupAccounting:
    """A directory of a cgroup hierarchy."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind = kind
        self._directory = directory
        self.procs = str(directory / "cgroup.procs")

    def pids(self) -> list[int]:
        return [pid for pid in map(int, Path(self.procs).read_text().split()) if is_alive(pid)]

    def cpu_s(self) -> float:
        if self.kind == "cgroup v1":
            return int((self._directory / "cpuacct.usage").read_text()) / 1e9
        lines = (self._directory / "cpu.stat").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("usage_usec")) / 1e6

    def close(self) -> None:
        for _ in range(200):
            try:
                self._directory.rmdir()
                return
            except OSError:
                time.sleep(0.01)  # the last member is still being taken apart


class TreeAccounting:
    """Our descendants, but for those that were there before."""

    kind = "process tree"
    procs = "-"

    def __init__(self) -> None:
        self._before = {stat.pid for stat in descendants(os.getpid())}
        self._start = self._waited()

    def pids(self) -> list[int]:
        return [stat.pid for stat in descendants(os.getpid()) if stat.pid not in self._before and stat.is_alive]

    def cpu_s(self) -> float:
        live = [stat for stat in descendants(os.getpid()) if stat.pid not in self._before]
        return self._waited() - self._start + sum(stat.waited_s + own_cpu_s(stat.pid) for stat in live)

    def close(self) -> None:
        """Nothing to take away."""

    def _waited(self) -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime


def open_accounting(prefer_tree: bool = False) -> Accounting:
    """The best that this user may have. Makes this process a subreaper."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if not prefer_tree:
        for kind, parent in _cgroup_parents():
            directory = parent / f"thermos-bench-{os.getpid()}-{next(_counter)}"
            try:
                directory.mkdir()
            except OSError:
                continue
            return CgroupAccounting(kind, directory)
    return TreeAccounting()


def _cgroup_parents() -> Iterable[tuple[str, Path]]:
    """Our own cgroups: v1 cpuacct first, it is what the peers' figures were taken with."""
    own: dict[str, str] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own |= dict.fromkeys(controllers.split(","), path)
    mounts: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        if kind == "cgroup2":
            mounts[""] = Path(fields.split()[4])
        elif kind == "cgroup" and "cpuacct" in options.split(","):
            mounts["cpuacct"] = Path(fields.split()[4])
    for name, label in (("cpuacct", "cgroup v1"), ("", "cgroup v2")):
        if name in mounts and name in own:
            yield label, mounts[name] / own[name].lstrip("/")


def end_all(accounting: Accounting, patience_s: float = 20) -> bool:
    """SIGKILL every member until none is left, and reap what landed with us; False if some don't die."""
    deadline = time.monotonic() + patience_s
    while True:
        _kill_members(accounting)
        _reap()
        if not accounting.pids():
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)


def _kill_members(accounting: Accounting) -> None:
    held: dict[int, int] = {}
    for pid in accounting.pids():
        try:
            held[pid] = os.pidfd_open(pid)
        except ProcessLookupError:
            continue  # it has ended meanwhile
    still = set(accounting.pids())
    for pid, fd in held.items():
        if pid in still:
            try:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended meanwhile
        os.close(fd)


def _reap() -> None:
    me = os.getpid()
    for stat in descendants(me):
        if stat.ppid == me and not stat.is_alive and read_stat(stat.pid) is not None:
            try:
                os.waitpid(stat.pid, os.WNOHANG)
            except ChildProcessError:
                pass  # somebody else in this process waits for it
