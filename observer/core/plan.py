"""Where each process of a task stands and why it waits, its place in the graph, and the critical path. Pure.

The planner of `thermos.core` is fed the record's counters, as the runner does; so the page says what the runner thinks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from observer.core.views import GraphEdge, GraphView
from thermos.clock import Now
from thermos.core.doing import Doing, doing_of, note_of
from thermos.core.fold import Run, TaskRecord
from thermos.core.graph import TaskGraph, build_graph, levels_of
from thermos.core.lifecycle import Lifecycle
from thermos.core.planner import Planner
from thermos.model import ProcessSpec, TaskSpec


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
        return doing_of(process, self._planner(process), self.record)

    def note(self, process: ProcessSpec, doing: Doing, run: Run | None) -> str:
        """Why it waits, or how it ended; "" when there is nothing to add."""
        return note_of(process, doing, run, self._planner(process), self.spec, self.record, self._now)

    def _planner(self, process: ProcessSpec) -> Planner:
        return self._life.final if process.final else self._life.regular


def _layers(names: Sequence[str], levels: dict[str, int]) -> tuple[tuple[str, ...], ...]:
    layers: list[list[str]] = [[] for _ in range(1 + max((levels[n] for n in names), default=-1))]
    for name in names:
        layers[levels[name]].append(name)
    return tuple(tuple(layer) for layer in layers)
