"""What processes use: sums over trees, rates between two looks, and a bounded history. Pure.

A *look* is the table of all processes of a host at one moment (`thermos.monitor.sample` reads it in one pass); every
task's figures come from the same look. Shapes are the original's (spec/thermos.md §2.13): cpu is a rate in cores, ram
and rss and vms are bytes, user and system are CPU seconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from msgspec import Struct, structs

#: A history is never longer than this.
MAX_SAMPLES = 10_000


class Proc(Struct, frozen=True):
    """One process at one moment; (pid, start) is its identity, start in clock ticks since boot."""

    pid: int
    ppid: int
    start: int
    comm: str
    status: str
    user: float
    system: float
    nice: int
    threads: int
    vms: int
    rss: int


class Look(Struct, frozen=True):
    """All processes of the host at `at` (mono), and who is whose child."""

    at: float
    procs: Mapping[int, Proc]
    children: Mapping[int, tuple[int, ...]]


class Usage(Struct, frozen=True):
    """Figures of one tree, or the sum of several."""

    cpu: float = 0.0
    ram: int = 0
    user: float = 0.0
    system: float = 0.0
    rss: int = 0
    vms: int = 0
    nice: int = 0
    status: str = ""
    threads: int = 0
    procs: int = 0

    def to_dict(self) -> dict[str, float | int | str]:
        return structs.asdict(self)


NO_USAGE = Usage()


def make_look(at: float, procs: Iterable[Proc]) -> Look:
    table = {proc.pid: proc for proc in procs}
    children: dict[int, list[int]] = {}
    for proc in table.values():
        children.setdefault(proc.ppid, []).append(proc.pid)
    return Look(at, table, {pid: tuple(pids) for pid, pids in children.items()})


def tree(look: Look, pid: int, start: int, *, itself: bool = True) -> Iterator[Proc]:
    """A process and its descendants; nothing when the pid is another process by now (`start` 0: not known)."""
    root = look.procs.get(pid)
    if root is None or (start and root.start != start):
        return
    pending = [pid] if itself else list(look.children.get(pid, ()))
    while pending:
        proc = look.procs[pending.pop()]
        yield proc
        pending += look.children.get(proc.pid, ())


def measure(members: Iterable[Proc], now: Look, before: Look | None) -> Usage:
    """The sum over `members` (of `now`). The rate counts what each of them burnt since `before`; a process that is new
    counts from its birth, one that has gone is forgotten, so a rate is never negative."""
    burnt = user = system = 0.0
    rss = vms = threads = count = 0
    first: Proc | None = None
    for proc in members:
        first = first or proc
        count += 1
        user, system = user + proc.user, system + proc.system
        rss, vms, threads = rss + proc.rss, vms + proc.vms, threads + proc.threads
        old = before.procs.get(proc.pid) if before else None
        known = old.user + old.system if old is not None and old.start == proc.start else 0.0
        burnt += max(0.0, proc.user + proc.system - known)
    if first is None:
        return NO_USAGE
    elapsed = now.at - before.at if before is not None else 0.0
    cpu = burnt / elapsed if elapsed > 0 else 0.0
    return Usage(cpu, rss, user, system, rss, vms, first.nice, first.status, threads, count)


def add(usages: Iterable[Usage]) -> Usage:
    """The sum; `nice` and `status` are the first one's."""
    items = list(usages)
    if not items:
        return NO_USAGE
    return Usage(
        cpu=sum(u.cpu for u in items),
        ram=sum(u.ram for u in items),
        user=sum(u.user for u in items),
        system=sum(u.system for u in items),
        rss=sum(u.rss for u in items),
        vms=sum(u.vms for u in items),
        nice=items[0].nice,
        status=items[0].status,
        threads=sum(u.threads for u in items),
        procs=sum(u.procs for u in items),
    )


class History:
    """The last hour (or `span` seconds) of samples, one every `interval` seconds."""

    def __init__(self, interval: float, span: float = 3600.0) -> None:
        """Raises ValueError when it would hold more than MAX_SAMPLES, or less than one."""
        length = int(span / interval) if interval > 0 else 0
        if not 1 <= length <= MAX_SAMPLES:
            raise ValueError(
                f"a history of {span} s every {interval} s would hold {length} samples (1 to {MAX_SAMPLES})"
            )
        self._samples: deque[tuple[float, Usage]] = deque(maxlen=length)

    def __len__(self) -> int:
        return len(self._samples)

    def __iter__(self) -> Iterator[tuple[float, Usage]]:
        return iter(self._samples)

    def add(self, at: float, usage: Usage) -> None:
        """`at` (mono) must not lie before the newest sample. Raises ValueError."""
        if self._samples and at < self._samples[-1][0]:
            raise ValueError(f"sample at {at} is older than the newest, {self._samples[-1][0]}")
        self._samples.append((at, usage))

    def at(self, when: float) -> Usage:
        """The sample at or after `when`, clamped to the newest; nothing used when there is none."""
        if not self._samples:
            return NO_USAGE
        index = bisect_left(self._samples, when, key=lambda sample: sample[0])
        return self._samples[min(index, len(self._samples) - 1)][1]

    def last(self, count: int) -> list[tuple[float, Usage]]:
        return list(islice(self._samples, max(0, len(self._samples) - count), None))
