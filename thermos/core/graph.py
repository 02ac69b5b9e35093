"""The graph of a task: which process waits for which. Everything here is linear in processes and edges.

`check_graph` finds every problem of a set of processes and order constraints; `TaskGraph` is what the planner walks.
An order constraint is a list of names that run one after another; regular and final processes are two graphs.
Messages are the original's (spec/thermos.md §1.6) with the names added.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from thermos.model import ProcessSpec, TaskSpec


class GraphProblem(msgspec.Struct, frozen=True):
    """`text` says what is wrong; `process` is the process it is about, or ""."""

    text: str
    process: str = ""


class TaskGraph(msgspec.Struct):
    """`after[p]` are the processes that wait for p; `waits[p]` is how many p waits for."""

    names: tuple[str, ...]
    after: dict[str, list[str]] = msgspec.field(default_factory=dict)
    waits: dict[str, int] = msgspec.field(default_factory=dict)


def edges(order: Iterable[Sequence[str]]) -> Iterable[tuple[str, str]]:
    """(before, after) pairs of all constraints; a pair may come more than once."""
    for names in order:
        yield from pairwise(names)


def build_graph(processes: Sequence[ProcessSpec], order: Iterable[Sequence[str]]) -> TaskGraph:
    """The graph of these processes; edges that touch another process are left out."""
    graph = TaskGraph(tuple(dict.fromkeys(p.name for p in processes)))
    graph.after = {name: [] for name in graph.names}
    graph.waits = dict.fromkeys(graph.names, 0)
    for before, after in dict.fromkeys(edges(order)):
        if before in graph.after and after in graph.waits:
            graph.after[before].append(after)
            graph.waits[after] += 1
    return graph


def check_graph(task: TaskSpec) -> list[GraphProblem]:
    """Every problem of the task's graph, in the order of the task; empty when it can run."""
    problems = _check_names(task)
    kinds = {p.name: p for p in task.processes}
    final = {p.name: p.final for p in task.processes}
    for names in task.order:
        if not names:
            problems.append(GraphProblem("Invalid process dependencies! an order constraint is empty"))
        unknown = [n for n in dict.fromkeys(names) if n not in kinds]
        problems += [
            GraphProblem(f"Invalid process dependencies! an order constraint names unknown process {name}", name)
            for name in unknown
        ]
        if len({final[n] for n in names if n in final}) > 1:
            text = "Invalid process dependencies! a final and a regular process can't be ordered: " + ", ".join(names)
            problems.append(GraphProblem(text))
    for before, after in dict.fromkeys(edges(task.order)):
        if before in kinds and after in kinds:
            problems += _check_edge(kinds[before], kinds[after])
    cycle = find_cycle(build_graph(task.processes, task.order))
    if cycle:
        shown = cycle if len(cycle) <= 12 else [*cycle[:8], "…", *cycle[-3:]]
        problems.append(GraphProblem("Cycles detected in the task schedule! " + " -> ".join(shown), cycle[0]))
    return problems


def _check_names(task: TaskSpec) -> list[GraphProblem]:
    seen: set[str] = set()
    problems = []
    for process in task.processes:
        if process.name in seen:
            problems.append(GraphProblem(f"Duplicate process name: {process.name}", process.name))
        seen.add(process.name)
    return problems


def _check_edge(before: ProcessSpec, after: ProcessSpec) -> list[GraphProblem]:
    problems = []
    if before.daemon:
        text = f"Process {after.name} may not depend upon daemon process {before.name}"
        problems.append(GraphProblem(text, after.name))
    if before.ephemeral and not after.ephemeral:
        text = f"Non-ephemeral process {after.name} may not depend upon ephemeral process {before.name}"
        problems.append(GraphProblem(text, after.name))
    return problems


def find_cycle(graph: TaskGraph) -> list[str]:
    """One cycle as [a, b, …, a], or []. Kahn's algorithm, then a walk backwards among what is left."""
    waits = dict(graph.waits)
    free = [name for name in graph.names if not waits[name]]
    for name in free:  # grows while it is walked
        for after in graph.after[name]:
            waits[after] -= 1
            if not waits[after]:
                free.append(after)
    left = {name for name, count in waits.items() if count}
    if not left:
        return []
    before = {after: name for name in graph.names if name in left for after in graph.after[name] if after in left}
    path, seen = [next(name for name in graph.names if name in left)], {}
    while path[-1] not in seen:
        seen[path[-1]] = len(path) - 1
        path.append(before[path[-1]])
    return path[seen[path[-1]] :][::-1]


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
