"""Who has to wait for whom: the order constraints of a task, looked at before anything runs.

A constraint is a chain: `order=[a, b, c]` says that b waits for a and c waits for b. A chain of n names has n - 1
edges and is never expanded to pairs, so a check costs as much as the constraints are long. Final processes are
planned apart from all others (they run in another phase), so no constraint may mix the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from config.core.finding import Finding, Plain


class Edge(NamedTuple):
    """`after` waits for `before`, because constraint number `constraint` says so."""

    before: str
    after: str
    constraint: int


def order_findings(processes: Sequence[Plain], orders: Sequence[tuple[int, Sequence[str]]]) -> Iterator[Finding]:
    """All that is wrong with the (numbered) order constraints of `processes`; linear in names and edges."""
    by_name = {process["name"]: process for process in processes}
    edges: list[Edge] = []
    for number, order in orders:
        refusal = _refusal(order, by_name)
        if refusal is not None:
            yield Finding(refusal, ("constraints", number, "order"))
            continue
        edges += (Edge(a, b, number) for a, b in pairwise(order))
    yield from _kind_findings(edges, by_name)
    for cycle in find_cycles(edges):
        text = f"Task has invalid plan: Cycles detected in the task schedule! {_cycle_text(cycle)}"
        yield Finding(text, ("constraints", cycle[0].constraint, "order"))


def _refusal(order: Sequence[str], by_name: Mapping[str, Plain]) -> str | None:
    """Why one constraint can't be planned at all, or None."""
    if not order:
        return "Task has invalid plan: Invalid process dependencies! This order constraint names no process"
    unknown = [name for name in dict.fromkeys(order) if name not in by_name]
    if unknown:
        known = ", ".join(f"`{name}`" for name in list(by_name)[:5]) + (", …" if len(by_name) > 5 else "")
        names = ", ".join(f"`{name}`" for name in unknown)
        return (
            f"Task has invalid plan: Invalid process dependencies! No process of this task is called {names}; "
            f"it has {known or 'no processes'}"
        )
    finals = [name for name in order if by_name[name].get("final")]
    if finals and len(finals) < len(order):
        regular = next(name for name in order if not by_name[name].get("final"))
        return (
            f"Task has invalid plan: Invalid process dependencies! `{finals[0]}` is final and `{regular}` is not; "
            "final processes run after all others anyway, so order them among themselves"
        )
    return None


def _kind_findings(edges: Sequence[Edge], by_name: Mapping[str, Plain]) -> Iterator[Finding]:
    """Nobody can wait for the end of a daemon, and only an ephemeral process may wait for an ephemeral one."""
    told: set[tuple[str, str]] = set()
    for before, after, number in edges:
        if (before, after) in told:
            continue
        told.add((before, after))
        text = None
        if by_name[before].get("daemon"):
            text = f"Process {after} may not depend upon daemon process {before}"
        elif by_name[before].get("ephemeral") and not by_name[after].get("ephemeral"):
            text = f"Non-ephemeral process {after} may not depend upon ephemeral process {before}"
        if text is not None:
            yield Finding(f"Task has invalid plan: {text}", ("constraints", number, "order"))


def find_cycles(edges: Sequence[Edge]) -> list[list[Edge]]:
    """Some cycles, none sharing a process with another; empty exactly if the edges have no cycle."""
    incoming: dict[str, list[Edge]] = {}
    outgoing: dict[str, list[Edge]] = {}
    for edge in edges:
        incoming.setdefault(edge.after, []).append(edge)
        outgoing.setdefault(edge.before, []).append(edge)
    stuck = _stuck(incoming, outgoing)
    cycles: list[list[Edge]] = []
    walked: set[str] = set()
    for start in stuck:
        trail: dict[str, Edge] = {}
        at = start
        while at not in walked:
            walked.add(at)
            trail[at] = next(edge for edge in incoming[at] if edge.before in stuck)
            at = trail[at].before
        if at in trail:
            cycles.append(_turn(trail, at))
    return cycles


def _stuck(incoming: Mapping[str, list[Edge]], outgoing: Mapping[str, list[Edge]]) -> dict[str, None]:
    """Names (in order of appearance) that are on a cycle or behind one: they can never start."""
    names = dict.fromkeys((*outgoing, *incoming))
    waiting = {name: len(incoming.get(name, ())) for name in names}
    ready = [name for name, count in waiting.items() if count == 0]
    while ready:
        for edge in outgoing.get(ready.pop(), ()):
            waiting[edge.after] -= 1
            if waiting[edge.after] == 0:
                ready.append(edge.after)
    return {name: None for name in names if waiting[name] > 0}


def _turn(trail: Mapping[str, Edge], at: str) -> list[Edge]:
    """The cycle through `at`, in running order; `trail` leads backwards."""
    cycle = [trail[at]]
    while cycle[-1].before != at:
        cycle.append(trail[cycle[-1].before])
    return cycle[::-1]


def _cycle_text(cycle: Sequence[Edge]) -> str:
    names = [cycle[0].before, *(edge.after for edge in cycle)]
    if len(names) > 12:
        names = [*names[:8], f"… ({len(names) - 10} more) …", *names[-2:]]
    return " -> ".join(names)
