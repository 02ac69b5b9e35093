"""Truncated binary back-off: each pause is the one before and a random share of it, up to a limit.

Source: spec/scheduler.md §2.3. Durations are whatever the caller counts in.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    initial: float
    maximum: float

    def next(self, last: float, chance: float) -> float:
        """After a pause of `last` (0: there was none); `chance` in [0, 1)."""
        base = last if last > 0 else self.initial
        return min(self.maximum, base + chance * base)
