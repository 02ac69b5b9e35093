"""What there is to say about a task now: one Row per process, one Headline for the whole. Pure.

`thermos run` (live tree and plain lines), `status` and the summary all say the same, because they all ask here. The
fold tells what happened, the planner why something waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from client.render import countdown, plural, some_of
from thermos.clock import Now
from thermos.core.fold import Run, TaskRecord
from thermos.core.graph import build_graph
from thermos.core.planner import Planner, Standing
from thermos.core.states import ProcessState, TaskState
from thermos.model import ProcessSpec, TaskSpec
from thermos.words import ending_of


class Mark(StrEnum):
    """What a process is doing, in the order in which people want to know."""

    FAILED = "failed"
    RUNNING = "running"
    RETRY = "retry"
    READY = "ready"
    BLOCKED = "blocked"
    IDLE = "idle"  # it did not run and will not
    STOPPED = "stopped"  # it ran until the task ended
    DONE = "done"


_RANK = {mark: rank for rank, mark in enumerate(Mark)}


@dataclass(frozen=True, slots=True)
class Row:
    """One process as it stands."""

    process: str
    level: int  # of the graph
    final: bool
    mark: Mark
    state: str
    run: int | None  # number of the last run
    pid: int
    seconds: float | None  # how long the last run took, or takes
    note: str  # why it waits, or how it ended
    ticks: bool  # seconds or note change by time alone


@dataclass(frozen=True, slots=True)
class Headline:
    """The task as a whole."""

    state: str
    seconds: float
    counts: str  # `2 of 7 done, 3 running`
    note: str  # what it waits for
    ticks: bool


def graph_levels(spec: TaskSpec) -> dict[str, int]:
    """How many processes come before each, on the longest way; linear."""
    graph = build_graph(spec.processes, spec.order)
    levels = dict.fromkeys(graph.names, 0)
    waits = dict(graph.waits)
    free = [name for name in graph.names if not waits[name]]
    for name in free:  # grows while it is walked
        for after in graph.after[name]:
            levels[after] = max(levels[after], levels[name] + 1)
            waits[after] -= 1
            if not waits[after]:
                free.append(after)
    return levels


class View:
    """A task with its plans. They must have been fed the same records as the `task` that is asked about."""

    def __init__(self, spec: TaskSpec, planner_of: Callable[[str], Planner]) -> None:
        self.spec = spec
        self._planner_of = planner_of
        self._plans = list({id(plan): plan for plan in (planner_of(p.name) for p in spec.processes)}.values())
        self._levels = graph_levels(spec)
        regular = [p for p in spec.processes if not p.final]
        self.order = [*self._by_level(regular), *self._by_level([p for p in spec.processes if p.final])]

    def _by_level(self, processes: Iterable[ProcessSpec]) -> list[ProcessSpec]:
        return sorted(processes, key=lambda p: self._levels[p.name])

    def mark(self, process: ProcessSpec, task: TaskRecord) -> Mark:
        """Cheap: no graph is walked."""
        record = task.processes.get(process.name)
        match self._planner_of(process.name).standing(process.name):
            case Standing.FAILED:
                return Mark.FAILED
            case Standing.FINISHED:
                return Mark.DONE
            case Standing.RUNNING:
                return Mark.RUNNING
            case Standing.BLOCKED:
                return Mark.BLOCKED if _may_still_run(process, task) else Mark.IDLE
            case Standing.READY:
                if not _may_still_run(process, task):
                    return Mark.IDLE if record is None or not record.total else Mark.STOPPED
                return Mark.RETRY if record is not None and record.total else Mark.READY

    def row(self, process: ProcessSpec, task: TaskRecord, now: Now) -> Row:
        record = task.processes.get(process.name)
        run = record.last if record is not None else None
        mark = self.mark(process, task)
        return Row(
            process=process.name,
            level=self._levels[process.name],
            final=process.final,
            mark=mark,
            state=str(run.state) if run is not None else str(ProcessState.WAITING) if mark is not Mark.IDLE else "-",
            run=run.number if run is not None else None,
            pid=run.pid if run is not None and not run.terminal else 0,
            seconds=_run_seconds(run, now),
            note=self._note(process, task, mark, run, now),
            ticks=mark is Mark.RETRY or (run is not None and not run.terminal),
        )

    def rows(self, task: TaskRecord, now: Now, limit: int | None = None) -> list[Row]:
        """Rows in the order of the graph; the `limit` most interesting ones if there are more."""
        chosen = self.order
        if limit is not None and len(chosen) > limit:
            ranked = sorted(range(len(chosen)), key=lambda i: _RANK[self.mark(chosen[i], task)])
            chosen = [chosen[i] for i in sorted(ranked[: max(0, limit)])]
        return [self.row(process, task, now) for process in chosen]

    def headline(self, task: TaskRecord, now: Now) -> Headline:
        live = not task.terminal
        begun = task.header.at if task.header is not None else now.wall
        ended = now.wall if live or not task.history else task.history[-1].at
        return Headline(
            state=str(task.state or "STARTING"),
            seconds=ended - begun,
            counts=self._counts(task),
            note=self._task_note(task, now),
            ticks=live and bool(task.active),
        )

    def _counts(self, task: TaskRecord) -> str:
        plans = self._plans
        total = len(self.spec.processes)
        done, failed, running = (
            sum(len(part) for part in parts)
            for parts in ([p.finished for p in plans], [p.failed for p in plans], [p.running for p in plans])
        )
        text = f"{done} of {total} done"
        if running and not task.terminal:
            text += f", {running} running"
        return f"{text}, {failed} failed" if failed else text

    def _task_note(self, task: TaskRecord, now: Now) -> str:
        if task.state is TaskState.CLEANING:
            left = countdown(task.stop_deadline - now.mono)
            return f"stopping {plural(len(task.active), 'process', 'processes')}, kill in {left}" if task.active else ""
        if task.state is TaskState.FINALIZING:
            return f"final processes have {countdown(task.deadline - now.mono)} more"
        if task.terminal or task.active or task.state is None:
            return task.reason if task.terminal else ""
        waiting = [p.name for p in self.spec.processes if self.mark(p, task) is Mark.RETRY]
        return f"waits to start {some_of(waiting)} again" if waiting else ""

    def _note(self, process: ProcessSpec, task: TaskRecord, mark: Mark, run: Run | None, now: Now) -> str:
        planner = self._planner_of(process.name)
        match mark:
            case Mark.FAILED if run is not None:
                return ending_of(run)
            case Mark.DONE if run is not None:
                return "" if run.state is ProcessState.SUCCESS else f"{ending_of(run)}, not needed"
            case Mark.RUNNING if run is not None and run.state is not ProcessState.RUNNING:
                return "starting"
            case Mark.BLOCKED:
                waits_for = planner.waits_for(process.name)
                return f"blocked by {some_of(waits_for)}" if waits_for else "runs at the end" if process.final else ""
            case Mark.READY:
                return "runs at the end" if process.final else self._ready_note(planner)
            case Mark.RETRY if run is not None:
                return self._retry_note(process, task, run, planner, now)
            case Mark.IDLE:
                return "not run"
            case Mark.STOPPED if run is not None:
                return _stopped_note(run)
            case _:
                return ""

    def _ready_note(self, planner: Planner) -> str:
        limit = self.spec.max_concurrency
        full = limit and len(planner.running) >= limit
        return f"waits for one of {plural(limit, 'slot')}" if full else "about to start"

    def _retry_note(self, process: ProcessSpec, task: TaskRecord, run: Run, planner: Planner, now: Now) -> str:
        left = run.ended_mono + process.min_duration - now.mono
        when = f"in {countdown(left)}" if left > 0 else self._ready_note(planner)
        if run.state is ProcessState.SUCCESS:
            return f"again {when}"
        return f"{ending_of(run)}; retry {when}{failures_note(process, task)}"


def _stopped_note(run: Run) -> str:
    if run.receipt is None:
        return "" if run.state is ProcessState.SUCCESS else ending_of(run)
    if not run.receipt.killed_count:
        return "stopped"
    return "killed: it did not leave when asked to" if run.receipt.signalled else "killed at once"


def failures_note(process: ProcessSpec, task: TaskRecord) -> str:
    """` (failure 1 of 3)`, if failures are counted."""
    record = task.processes.get(process.name)
    if record is None or not record.failures or process.max_failures < 2:
        return ""
    return f" (failure {record.failures} of {process.max_failures})"


def _may_still_run(process: ProcessSpec, task: TaskRecord) -> bool:
    if process.final:
        return not task.terminal
    return task.state in (None, TaskState.ACTIVE)


def _run_seconds(run: Run | None, now: Now) -> float | None:
    if run is None or not run.started_at:
        return None
    return max(0.0, (run.ended_at if run.terminal else now.wall) - run.started_at)
