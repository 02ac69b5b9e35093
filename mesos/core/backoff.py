"""How long to wait before the next attempt: exponential with full jitter, so that a thousand clients that lost the same
master do not come back in step.

The n-th delay lies between `least_s` and `first_s` * 2^n, and never above `cap_s`. The random number is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Doublings after which it does not matter any more; keeps the power from growing without end.
_MOST_DOUBLINGS = 40


@dataclass(frozen=True, slots=True)
class Backoff:
    """`cap_s` is what an operator sets: 15 s is gentle enough for one scheduler, 75 s for very many."""

    first_s: float = 0.5
    cap_s: float = 15.0
    least_s: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.least_s <= self.first_s <= self.cap_s:
            raise ValueError(f"back-off needs 0 < least <= first <= cap, not {self}")

    def limit(self, failures: int) -> float:
        """The longest delay after so many failures in a row, the first being 0."""
        return min(self.cap_s, self.first_s * 2.0 ** min(max(failures, 0), _MOST_DOUBLINGS))

    def delay(self, failures: int, random: float, wanted_s: float | None = None) -> float:
        """Seconds to wait, for `random` in [0, 1). What the other side wants (Retry-After) counts, up to the cap."""
        limit = self.limit(failures)
        own = self.least_s + (limit - self.least_s) * random
        if wanted_s is None:
            return own
        return min(self.cap_s, max(own, wanted_s))
