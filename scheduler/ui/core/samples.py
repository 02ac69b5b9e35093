"""The last hour of the cluster, a sample every few seconds: how many tasks were in which state, how long it took to
find hosts for them. A ring of bounded length.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.core.states import ScheduleStatus

_S = ScheduleStatus

#: States that are drawn as one, from below to above.
KINDS: Mapping[str, frozenset[ScheduleStatus]] = {
    "running": frozenset({_S.RUNNING}),
    "starting": frozenset({_S.ASSIGNED, _S.STARTING}),
    "pending": frozenset({_S.INIT, _S.PENDING}),
    "throttled": frozenset({_S.THROTTLED}),
    "ending": frozenset({_S.KILLING, _S.RESTARTING, _S.PREEMPTING, _S.DRAINING}),
    "partitioned": frozenset({_S.PARTITIONED}),
}

#: Seconds between two samples, and how many there are: an hour.
EVERY_S, MOST = 5.0, 720


@dataclass(frozen=True, slots=True)
class Sample:
    """`counts`: in the order of KINDS. `placed` and `waited_s`: of tasks that were given a host since the sample
    before, how many, and how long they had waited all together."""

    at: float
    counts: tuple[int, ...]
    placed: int
    waited_s: float


class Samples:
    """`add` is told the counters as they stand; what came since then is worked out here."""

    def __init__(self, most: int = MOST) -> None:
        self._kept: deque[Sample] = deque(maxlen=most)
        self._placed, self._waited_s = 0, 0.0

    def kept(self) -> tuple[Sample, ...]:
        """Oldest first."""
        return tuple(self._kept)

    def add(self, at: float, counts: Mapping[ScheduleStatus, int], placed: int, waited_s: float) -> None:
        kinds = tuple(sum(counts.get(status, 0) for status in statuses) for statuses in KINDS.values())
        self._kept.append(Sample(at, kinds, placed - self._placed, waited_s - self._waited_s))
        self._placed, self._waited_s = placed, waited_s
