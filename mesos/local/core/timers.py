"""Deadlines of a machine without a clock: what is due by now, and when to look again.

An entry is (when, number, what); `what` says itself whom it concerns, and whoever handles it looks whether it still
holds, so nothing is ever searched for or taken out of the middle.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Timers(Generic[T]):
    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._number = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, when: float, what: T) -> None:
        """`when` in monotonic seconds."""
        self._number += 1
        heapq.heappush(self._heap, (when, self._number, what))

    @property
    def next_at(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[T]:
        """Takes out what is due, in the order of time, also what is added on the way."""
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)[2]

    def pending(self) -> Iterator[T]:
        return (what for _, _, what in self._heap)

    def keep(self, wanted: set[int]) -> None:
        """Only the entries whose `id()` is in `wanted`: for owners of entries that can die early."""
        self._heap = [entry for entry in self._heap if id(entry[2]) in wanted]
        heapq.heapify(self._heap)
