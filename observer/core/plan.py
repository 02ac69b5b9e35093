"""Where each process of a task stands and why it waits, its place in the graph, and the critical path. Pure.

The planner of `thermos.core` is fed the record's counters, as the runner does; so the page says what the runner thinks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from observer.core.views import Doing, GraphEdge, GraphView
from observer.core.words import countdown, plural, run_ending, some_of
from thermos.clock import Now
from thermos.core.fold import Run, TaskRecord
from thermos.core.graph import TaskGraph, build_graph
from thermos.core.lifecycle import Lifecycle
from thermos.core.planner import Planner, Standing
from thermos.core.states import ProcessState, TaskState
from thermos.model import ProcessSpec, TaskSpec


def levels_of(graph: TaskGraph) -> dict[str, int]:
    """How many processes come before each, on the longest way; linear. Members of a cycle stay at 0."""
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


def predecessors(graph: TaskGraph) -> dict[str, list[str]]:
    before: dict[str, list[str]] = {name: [] for name in graph.names}
    for name, followers in graph.after.items():
        for after in followers:
            before[after].append(name)
    return before


def critical_path(graph: TaskGraph, record: TaskRecord) -> list[str]:
    """What made it take this long: from the process that ended last (or still runs) back along whoever each of them
    waited for last."""

    def ended(name: str) -> float:
        run = _last(record, name)
        if run is None:
            return float("-inf")
        return run.ended_at if run.terminal else float("inf")

    begun = [name for name in graph.names if _last(record, name) is not None]
    if not begun:
        return []
    before = predecessors(graph)
    path = [max(begun, key=ended)]
    seen = set(path)
    while waited := [name for name in before[path[-1]] if name not in seen and _last(record, name) is not None]:
        path.append(max(waited, key=ended))
        seen.add(path[-1])
    return path[::-1]


def _last(record: TaskRecord, name: str) -> Run | None:
    process = record.processes.get(name)
    return process.runs.get(process.total - 1) if process is not None else None


class Plan:
    """A task's plans as of one record and one moment."""

    def __init__(self, spec: TaskSpec, record: TaskRecord, now: Now) -> None:
        self.spec = spec
        self.record = record
        self._now = now
        self._life = Lifecycle(spec)
        self._life.rebuild(record, now)
        self._regular = build_graph([p for p in spec.processes if not p.final], spec.order)
        self._final = build_graph([p for p in spec.processes if p.final], spec.order)
        self.levels = levels_of(self._regular) | levels_of(self._final)
        self.critical = critical_path(self._regular, record) + critical_path(self._final, record)
        regular = [p for p in spec.processes if not p.final]
        self.order = [*self._by_level(regular), *self._by_level([p for p in spec.processes if p.final])]

    def _by_level(self, processes: Iterable[ProcessSpec]) -> list[ProcessSpec]:
        return sorted(processes, key=lambda p: self.levels[p.name])

    def graph(self) -> GraphView:
        chain = set(zip(self.critical, self.critical[1:], strict=False))
        pairs = [(b, a) for graph in (self._regular, self._final) for b in graph.names for a in graph.after[b]]
        return GraphView(
            levels=_layers(self._regular.names, self.levels),
            final_levels=_layers(self._final.names, self.levels),
            edges=tuple(GraphEdge(before, after, (before, after) in chain) for before, after in pairs),
        )

    def neighbours(self, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Whom a process waits for, and who waits for it."""
        graph = self._final if name in self._final.after else self._regular
        return tuple(predecessors(graph).get(name, ())), tuple(graph.after.get(name, ()))

    def doing(self, process: ProcessSpec) -> Doing:
        record = self.record.processes.get(process.name)
        begun = record is not None and record.total > 0
        open_end = self._may_still_run(process)
        match self._planner(process).standing(process.name):
            case Standing.FAILED:
                return Doing.FAILED
            case Standing.FINISHED:
                return Doing.DONE
            case Standing.RUNNING:
                return Doing.RUNNING
            case Standing.BLOCKED:
                return Doing.BLOCKED if open_end else Doing.IDLE
            case Standing.READY:
                if open_end:
                    return Doing.RETRY if begun else Doing.READY
                return Doing.STOPPED if begun else Doing.IDLE

    def note(self, process: ProcessSpec, doing: Doing, run: Run | None) -> str:
        """Why it waits, or how it ended; "" when there is nothing to add."""
        match doing:
            case Doing.FAILED if run is not None:
                return run_ending(run)
            case Doing.DONE if run is not None:
                return "" if run.state is ProcessState.SUCCESS else f"{run_ending(run)}, not needed"
            case Doing.RUNNING if run is not None and run.state is not ProcessState.RUNNING:
                return "starting"
            case Doing.BLOCKED:
                waits_for = self._planner(process).waits_for(process.name)
                return f"waits for {some_of(waits_for)}" if waits_for else "runs at the end" if process.final else ""
            case Doing.READY:
                return "runs at the end" if process.final else self._ready_note(process)
            case Doing.RETRY if run is not None:
                return self._retry_note(process, run)
            case Doing.IDLE:
                return "not run"
            case Doing.STOPPED if run is not None:
                return _stopped_note(run)
            case _:
                return ""

    def _planner(self, process: ProcessSpec) -> Planner:
        return self._life.final if process.final else self._life.regular

    def _may_still_run(self, process: ProcessSpec) -> bool:
        if process.final:
            return not self.record.terminal
        return self.record.state in (None, TaskState.ACTIVE)

    def _ready_note(self, process: ProcessSpec) -> str:
        limit = self.spec.max_concurrency
        full = limit and len(self._planner(process).running) >= limit
        return f"waits for one of {plural(limit, 'slot')}" if full else "about to start"

    def _retry_note(self, process: ProcessSpec, run: Run) -> str:
        left = 0.0 if run.restart else run.ended_mono + process.min_duration - self._now.mono
        when = f" in {countdown(left)}" if left > 0 else f": {self._ready_note(process)}"
        if run.restart or run.state is ProcessState.SUCCESS:
            return f"again{when}"
        record = self.record.processes[process.name]
        limit = process.max_failures
        counted = f" (failure {record.failures} of {limit})" if limit > 1 and record.failures else ""
        return f"{run_ending(run)}; retry{when}{counted}"


def _layers(names: Sequence[str], levels: dict[str, int]) -> tuple[tuple[str, ...], ...]:
    layers: list[list[str]] = [[] for _ in range(1 + max((levels[n] for n in names), default=-1))]
    for name in names:
        layers[levels[name]].append(name)
    return tuple(tuple(layer) for layer in layers)


def _stopped_note(run: Run) -> str:
    if run.receipt is None:
        return run_ending(run)
    return "killed: it did not leave when asked to" if run.receipt.killed_count else "stopped"
