"""What may run next. A planner holds one graph (the regular or the final processes) and the standing of each process.

It is fed by the fold: after each change of a process `update` derives the standing anew from the process's counters,
so a planner that was fed live and one that was fed after a restart are the same. Costs: a change O(successors), a
question O(answers log n); nothing walks all processes.

Rules (spec/thermos.md §2.5): a process may start when all its predecessors have *finished*; a failed one blocks its
successors for good. `min_duration` counts from the end of the last run. Runs that were killed by a signal or lost are
repeated without counting as failures, but every run counts towards `run_limit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from heapq import heappop, heappush

from thermos.core.fold import ProcessRecord, Run
from thermos.core.graph import TaskGraph, build_graph
from thermos.core.states import ProcessState
from thermos.model import ProcessSpec

#: Seconds until a process is tried again whose coordinator could not be started.
SPAWN_PAUSE = 0.1


class Standing(StrEnum):
    """Where a process stands in the plan."""

    BLOCKED = "blocked"  # a predecessor has not finished
    READY = "ready"  # may start, maybe not before a moment
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"  # for good


_MOVING = (Standing.READY, Standing.RUNNING)
_OVER = (Standing.FINISHED, Standing.FAILED)


def standing(spec: ProcessSpec, record: ProcessRecord | None, run_limit: int) -> Standing:
    """Where a process stands by its own history alone (READY also stands for blocked). `run_limit` 0: no limit."""
    last = record.last if record else None
    if record is None or last is None:
        return Standing.READY
    if not last.terminal:
        return Standing.RUNNING
    if last.restart:
        return Standing.READY
    if last.state is ProcessState.SUCCESS and not spec.daemon:
        return Standing.FINISHED
    failed_enough = last.state is ProcessState.FAILED and 0 < spec.max_failures <= record.failures
    if failed_enough or (run_limit and record.total >= run_limit):
        return Standing.FINISHED if spec.ephemeral else Standing.FAILED
    return Standing.READY


def _pause(spec: ProcessSpec, last: Run) -> float:
    """Seconds between the end of a run and the next start. What the host could not even spawn is not tried again at
    once, whatever the process allows: nobody would do anything else."""
    if last.restart:
        return 0.0
    return max(spec.min_duration, SPAWN_PAUSE) if last.stage == "spawn" else spec.min_duration


class Planner:
    """One plan over `processes`; names of other processes in `order` are ignored."""

    def __init__(
        self,
        processes: Sequence[ProcessSpec],
        order: Sequence[Sequence[str]],
        *,
        max_concurrency: int = 0,
        run_limit: int = 0,
    ) -> None:
        self._specs = {p.name: p for p in processes}
        self._index = {p.name: i for i, p in enumerate(processes)}
        self._names = tuple(self._index)
        self._graph: TaskGraph = build_graph(processes, order)
        self._waits = dict(self._graph.waits)
        self._standing = {n: Standing.BLOCKED if self._waits[n] else Standing.READY for n in self._names}
        self._ready = [i for n, i in self._index.items() if not self._waits[n]]  # a heap: spec order
        self._later: list[tuple[float, int]] = []  # a heap of (ready at, index); entries may be stale
        self._not_before: dict[str, float] = {}
        self._max_concurrency = max_concurrency
        self._run_limit = run_limit
        self.ready = {n for n in self._names if not self._waits[n]}
        self.running: set[str] = set()
        self.failed: set[str] = set()
        self.finished: set[str] = set()
        self._required = sum(not p.ephemeral for p in processes)  # not ephemeral, not finished, not failed
        self._moving = sum(not self._specs[n].ephemeral for n in self.ready)  # not ephemeral, ready or running

    def __contains__(self, process: str) -> bool:
        return process in self._specs

    def standing(self, process: str) -> Standing:
        return self._standing[process]

    def waits_for(self, process: str) -> list[str]:
        """Predecessors of a blocked process that have not finished (for people; walks the graph)."""
        return [n for n in self._names if process in self._graph.after[n] and n not in self.finished]

    def update(self, record: ProcessRecord, *, latest: float = float("inf")) -> None:
        """The fold changed this process; O(its successors). No run ended after `latest`: what says so is a record of
        another boot, whose clock means nothing now."""
        name = record.name
        spec = self._specs[name]
        before, after = self._standing[name], standing(spec, record, self._run_limit)
        last = record.last
        if last is None or before in _OVER or (after is before and after is not Standing.READY):
            return
        self._standing[name] = after
        if not spec.ephemeral:
            self._moving += (after in _MOVING) - (name in self.running or name in self.ready)
        self.running.discard(name)
        self.ready.discard(name)
        match after:
            case Standing.RUNNING:
                self.running.add(name)
            case Standing.READY:
                self.ready.add(name)
                self._not_before[name] = min(last.ended_mono, latest) + _pause(spec, last)
                heappush(self._later, (self._not_before[name], self._index[name]))
            case Standing.FAILED:
                self.failed.add(name)
                self._required -= not spec.ephemeral
            case Standing.FINISHED:
                self.finished.add(name)
                self._required -= not spec.ephemeral
                self._release(name)

    def _release(self, finished: str) -> None:
        for name in self._graph.after[finished]:
            self._waits[name] -= 1
            if not self._waits[name] and self._standing[name] is Standing.BLOCKED:
                self._standing[name] = Standing.READY
                self.ready.add(name)
                self._moving += not self._specs[name].ephemeral
                heappush(self._ready, self._index[name])

    def _free_slots(self) -> int | None:
        return None if not self._max_concurrency else max(0, self._max_concurrency - len(self.running))

    def take_runnable(self, now: float) -> list[str]:
        """The processes to start at `now` (mono), in spec order, as many as may run at once. Whoever takes them starts
        them: they are not offered again until `update` says that they ended."""
        while self._later and self._later[0][0] <= now:
            heappush(self._ready, heappop(self._later)[1])
        slots = self._free_slots()
        taken: list[str] = []
        while self._ready and (slots is None or len(taken) < slots):
            index = heappop(self._ready)
            name = self._names[index]
            if name not in self.ready:
                continue  # an entry of a run that is over
            if self._not_before.get(name, now) > now:
                heappush(self._later, (self._not_before[name], index))
            else:
                self._standing[name] = Standing.RUNNING
                self.ready.remove(name)
                self.running.add(name)
                taken.append(name)
        return taken

    @property
    def next_wake(self) -> float | None:
        """When (mono) a process becomes runnable by time alone; None when only an event can change anything."""
        slots = self._free_slots()
        if slots == 0:
            return None
        while self._later and self._is_stale(*self._later[0]):
            heappop(self._later)
        return self._later[0][0] if self._later else None

    def _is_stale(self, when: float, index: int) -> bool:
        """An entry of a run that is over: its process runs, is done, or waits for another moment."""
        name = self._names[index]
        return name not in self.ready or when < self._not_before[name]

    @property
    def is_complete(self) -> bool:
        """Every process has finished or failed, or is ephemeral."""
        return self._required == 0

    @property
    def is_deadlocked(self) -> bool:
        """Not complete, and nothing that counts runs or will ever run: somebody waits for a failed process. Ephemeral
        processes are not waited for here either: nothing that counts may depend on them."""
        return not self.is_complete and not self._moving

    def is_healthy(self, max_failures: int) -> bool:
        """Fewer processes failed than the task allows (0: any number), and the rest can go on."""
        return (not max_failures or len(self.failed) < max_failures) and not self.is_deadlocked
