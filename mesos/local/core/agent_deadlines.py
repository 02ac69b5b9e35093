"""Deadlines by name: set, move, drop, and what is due. An agent without any holds nothing.

A heap of (when, number, key); entries that were moved or dropped are skipped when they come up, and the heap is made
anew when most of it is such. So the cost of a deadline does not depend on how many there are, and neither does memory
on how often they move.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable


class Deadlines:
    __slots__ = ("_heap", "_number", "_when")

    def __init__(self) -> None:
        self._when: dict[Hashable, float] | None = None  # made when needed: most agents have none
        self._heap: list[tuple[float, int, Hashable]] | None = None
        self._number = 0

    def __len__(self) -> int:
        return len(self._when) if self._when is not None else 0

    def set(self, key: Hashable, when: float) -> None:
        if self._when is None or self._heap is None:
            self._when, self._heap = {}, []
        self._when[key] = when
        self._number += 1
        heapq.heappush(self._heap, (when, self._number, key))
        if len(self._heap) > 2 * len(self._when) + 16:
            self._rebuild()

    def drop(self, key: Hashable) -> None:
        if self._when is not None and self._when.pop(key, None) is not None and not self._when:
            self._when = self._heap = None

    def get(self, key: Hashable) -> float | None:
        return self._when.get(key) if self._when is not None else None

    @property
    def next_at(self) -> float | None:
        if self._when is None or self._heap is None:
            return None
        while self._heap and self._when.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Hashable | None:
        """Takes out one that is due, the earliest first; None when there is no more."""
        at = self.next_at
        if at is None or at > now or self._heap is None:
            return None
        key = heapq.heappop(self._heap)[2]
        self.drop(key)
        return key

    def _rebuild(self) -> None:
        assert self._when is not None
        self._heap = [(when, number, key) for number, (key, when) in enumerate(self._when.items())]
        self._number = len(self._heap)
        heapq.heapify(self._heap)
