"""Part of a long list: what is asked of it, and what is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from scheduler.ui.core.here import Here

T = TypeVar("T")
R = TypeVar("R")

#: Rows of a page: what is usual, and the most.
ROWS, MOST_ROWS = 25, 100

#: Pages before and behind this one that are led to.
AROUND = 3


@dataclass(frozen=True, slots=True)
class Wanted:
    """`sort` "": as the list is sorted by itself."""

    query: str = ""
    sort: str = ""
    reverse: bool = False
    offset: int = 0
    num: int = ROWS


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A page of a list. `total`: of all that match, `everything`: of all there are."""

    rows: tuple[T, ...]
    total: int
    everything: int
    wanted: Wanted
    here: Here

    @property
    def first(self) -> int:
        """The number of the first row, from 1."""
        return self.wanted.offset + 1

    @property
    def last(self) -> int:
        return self.wanted.offset + len(self.rows)

    @property
    def before(self) -> int | None:
        """Where the page before begins; None: there is none."""
        offset = self.wanted.offset
        return max(0, offset - self.wanted.num) if offset else None

    @property
    def after(self) -> int | None:
        return self.last if self.last < self.total else None

    @property
    def number(self) -> int:
        """Of this page, from 1."""
        return self.wanted.offset // self.wanted.num + 1

    @property
    def pages(self) -> tuple[tuple[int, int | None], ...]:
        """(number, where it begins) of the first page, of some around this one, and of the last; None: some are left
        out. None of them if there are only two."""
        num = self.wanted.num
        count = -(-self.total // num)
        if count < 3:
            return ()
        near = range(self.number - AROUND, self.number + AROUND + 1)
        shown = sorted({1, count, *(number for number in near if 1 <= number <= count)})
        found: list[tuple[int, int | None]] = []
        for before, number in zip([0, *shown], shown, strict=False):
            if number > before + 1:
                found.append((before + 1, None))
            found.append((number, (number - 1) * num))
        return tuple(found)

    @property
    def is_paged(self) -> bool:
        return self.before is not None or self.after is not None

    def with_rows(self, rows: Iterable[R]) -> Listing[R]:
        """The same page of what was made of its rows."""
        return Listing(tuple(rows), self.total, self.everything, self.wanted, self.here)


@dataclass(frozen=True, slots=True)
class Order(Generic[T]):
    """A way to sort; `descending`: the biggest is first, unless that is turned round."""

    key: Callable[[T], Any]
    descending: bool = False


def cut(things: Sequence[T], wanted: Wanted, here: Here, everything: int | None = None) -> Listing[T]:
    """A page of what is sorted already. A page behind the end is the last one: lists get shorter while one looks."""
    total = len(things)
    offset = wanted.offset
    if offset >= total:
        offset = max(0, (total - 1) // wanted.num * wanted.num)
    rows = tuple(things[offset : offset + wanted.num])
    return Listing(rows, total, total if everything is None else everything, replace(wanted, offset=offset), here)


def arrange(things: Iterable[T], wanted: Wanted, orders: Mapping[str, Order[T]], default: str) -> list[T]:
    """Sorted. Sorting is stable: what is equal stays in the order in which it came."""
    order = orders[wanted.sort or default]
    return sorted(things, key=order.key, reverse=order.descending != wanted.reverse)
