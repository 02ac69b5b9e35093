"""Which tasks a list shows, in which order, which page of them. Pure.

A `Listed` is what is known of a task without reading anything: finished tasks are found, searched by id and paged
without a look into their checkpoints; only the rows that are shown are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from observer.core.views import IndexRow, Kind, Sort

#: Rows of a page at most, and what `num` is when nobody says.
MAX_ROWS = 500
DEFAULT_ROWS = 20


@dataclass(frozen=True, slots=True)
class Listed:
    """A task as its place tells; `row` is there for the active ones."""

    key: str
    task_id: str
    active: bool
    changed_at: float
    row: IndexRow | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The keys to show, and how many there would be."""

    keys: tuple[str, ...]
    total: int
    offset: int


_NUMBERS: dict[Sort, Callable[[IndexRow], float]] = {
    Sort.CPU: lambda row: row.usage.cpu,
    Sort.RAM: lambda row: float(row.usage.ram),
    Sort.DISK: lambda row: float(row.usage.disk or 0),
}
_TEXTS: dict[Sort, Callable[[IndexRow], str]] = {
    Sort.NAME: lambda row: row.name.casefold(),
    Sort.STATE: lambda row: row.state,
}


def matches(task: Listed, words: Sequence[str]) -> bool:
    """Do all words occur in the id, or in what the row of an active task shows?"""
    row = task.row
    text = task.task_id if row is None else f"{task.task_id} {row.name} {row.role} {row.state}"
    folded = text.casefold()
    return all(word in folded for word in words)


def select(
    tasks: Iterable[Listed], *, kind: Kind, query: str, sort: Sort, reverse: bool, offset: int, num: int
) -> Page:
    """One page. A negative offset counts from the end, as the original's does."""
    words = query.casefold().split()
    wanted = [t for t in tasks if kind is Kind.ALL or t.active is (kind is Kind.ACTIVE)]
    if words:
        wanted = [t for t in wanted if matches(t, words)]
    ordered = _ordered(wanted, sort)
    if reverse:
        ordered.reverse()
    begin = offset if offset >= 0 else max(0, len(ordered) + offset)
    chosen = ordered[begin : begin + max(0, min(num, MAX_ROWS))]
    return Page(tuple(task.key for task in chosen), len(ordered), begin)


def _ordered(tasks: list[Listed], sort: Sort) -> list[Listed]:
    """The newest first among equals."""
    newest_first = sorted(tasks, key=lambda t: (-t.changed_at, t.task_id, t.key))
    if sort is Sort.ID:
        return sorted(tasks, key=lambda t: (t.task_id, t.key))
    if sort in _NUMBERS:
        number = _NUMBERS[sort]
        return sorted(newest_first, key=lambda t: -number(t.row) if t.row else 0.0)
    if sort in _TEXTS:
        text = _TEXTS[sort]
        return sorted(newest_first, key=lambda t: (t.row is None, text(t.row) if t.row else ""))
    return newest_first
