"""What there is to say about a task now: one Row per process, one Headline for the whole. Pure.

`thermos run` (live tree and plain lines), `status` and the summary all say the same, because they all ask here. The
fold tells what happened, the planner why something waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from thermos.clock import Now
from thermos.core.doing import Doing, doing_of, note_of
from thermos.core.fold import Run, TaskRecord
from thermos.core.graph import build_graph, levels_of
from thermos.core.planner import Planner
from thermos.core.states import ProcessState, TaskState
from thermos.core.words import countdown, plural, some_of
from thermos.model import ProcessSpec, TaskSpec

_RANK = {doing: rank for rank, doing in enumerate(Doing)}


@dataclass(frozen=True, slots=True)
class Row:
    """One process as it stands."""

    process: str
    level: int  # of the graph
    final: bool
    doing: Doing
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
    """How many processes come before each, on the longest way."""
    return levels_of(build_graph(spec.processes, spec.order))


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

    def doing(self, process: ProcessSpec, task: TaskRecord) -> Doing:
        return doing_of(process, self._planner_of(process.name), task)

    def row(self, process: ProcessSpec, task: TaskRecord, now: Now) -> Row:
        record = task.processes.get(process.name)
        run = record.last if record is not None else None
        doing = self.doing(process, task)
        return Row(
            process=process.name,
            level=self._levels[process.name],
            final=process.final,
            doing=doing,
            state=str(run.state) if run is not None else str(ProcessState.WAITING) if doing is not Doing.IDLE else "-",
            run=run.number if run is not None else None,
            pid=run.pid if run is not None and not run.terminal else 0,
            seconds=_run_seconds(run, now),
            note=note_of(process, doing, run, self._planner_of(process.name), self.spec, task, now),
            ticks=doing is Doing.RETRY or (run is not None and not run.terminal),
        )

    def rows(self, task: TaskRecord, now: Now, limit: int | None = None) -> list[Row]:
        """Rows in the order of the graph; the `limit` most interesting ones if there are more."""
        chosen = self.order
        if limit is not None and len(chosen) > limit:
            ranked = sorted(range(len(chosen)), key=lambda i: _RANK[self.doing(chosen[i], task)])
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
        waiting = [p.name for p in self.spec.processes if self.doing(p, task) is Doing.RETRY]
        return f"waits to start {some_of(waiting)} again" if waiting else ""


def _run_seconds(run: Run | None, now: Now) -> float | None:
    if run is None or not run.started_at:
        return None
    return max(0.0, (run.ended_at if run.terminal else now.wall) - run.started_at)
