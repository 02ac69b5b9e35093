"""Moments at which something is to be done about something, the earliest first.

A key has at most one moment. To set it anew or to cancel it costs no search: the entry that is out of date stays in the
heap, is recognised by its number, and goes when it comes up or when there are too many such.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Deadlines(Generic[K]):
    """Time is whatever the caller counts in. Of equal moments the one that was set first is first."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, K]] = []
        self._live: dict[K, tuple[float, int]] = {}
        self._tickets = 0

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, key: K) -> bool:
        return key in self._live

    def of(self, key: K) -> float | None:
        found = self._live.get(key)
        return found[0] if found is not None else None

    def set(self, key: K, at: float) -> None:
        """In the place of the moment it had."""
        self._tickets += 1
        self._live[key] = (at, self._tickets)
        heapq.heappush(self._heap, (at, self._tickets, key))
        if len(self._heap) > 2 * len(self._live) + 64:
            self._heap = [(at, ticket, key) for key, (at, ticket) in self._live.items()]
            heapq.heapify(self._heap)

    def cancel(self, key: K) -> None:
        """Nothing, if it has none."""
        self._live.pop(key, None)

    def due(self, now: float, most: int) -> list[K]:
        """Takes those that have come, at most so many."""
        found: list[K] = []
        while len(found) < most:
            at = self.next_wake()
            if at is None or at > now:
                break
            _, _, key = heapq.heappop(self._heap)
            del self._live[key]
            found.append(key)
        return found

    def next_wake(self) -> float | None:
        while self._heap:
            at, ticket, key = self._heap[0]
            if self._live.get(key) == (at, ticket):
                return at
            heapq.heappop(self._heap)
        return None
