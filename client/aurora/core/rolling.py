"""Which instances are next when a job is worked through, some at a time, and when to give up. Pure.

    rolling = Rolling(range(10), size=2)
    while batch := rolling.next_batch():
        rolling.judged(batch, {4: "FAILED: …"})      # what went wrong in it

An instance that failed no more than `max_per_instance` times (negative: any number) is tried again after the others.
When more than `max_total` have failed for good, the rest is left alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence


class Rolling:
    def __init__(self, instances: Iterable[int], size: int, *, max_per_instance: int = 0, max_total: int = 0) -> None:
        self._next = list(instances)
        self._size = max(1, size)
        self._max_per_instance = max_per_instance
        self._max_total = max_total
        self._failures: Counter[int] = Counter()
        self.done: list[int] = []
        #: instance -> why; they are not tried again.
        self.failed: dict[int, str] = {}

    @property
    def gave_up(self) -> bool:
        return len(self.failed) > self._max_total

    @property
    def left(self) -> list[int]:
        """Instances that were not tried, or have to be tried again."""
        return list(self._next)

    def next_batch(self) -> tuple[int, ...]:
        """(): it is over."""
        return () if self.gave_up else tuple(self._next[: self._size])

    def judged(self, batch: Sequence[int], bad: Mapping[int, str]) -> None:
        """How the batch ended; what is not in `bad` is done."""
        self._next = [number for number in self._next if number not in batch]
        for number in batch:
            if number not in bad:
                self.done.append(number)
                continue
            self._failures[number] += 1
            if 0 <= self._max_per_instance < self._failures[number]:
                self.failed[number] = bad[number]
            else:
                self._next.append(number)
