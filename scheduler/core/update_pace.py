"""How long the tasks of a job took to start and to stop, as far as its past tells.

A start is from PENDING to RUNNING (which comes after the health checks), a stop from KILLING to the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scheduler.core.model import ScheduledTask
from scheduler.core.states import TERMINAL, ScheduleStatus

#: What is taken as usual, and as slow: so many of a hundred took no longer.
USUAL, SLOW = 50, 90


@dataclass(frozen=True, slots=True)
class Pace:
    start_ms: int
    stop_ms: int


#: Of a job without a past; only the order of things is drawn from it, no time is told.
ASSUMED = Pace(start_ms=10_000, stop_ms=2_000)


@dataclass(frozen=True, slots=True)
class PastTimes:
    """Sorted."""

    starts_ms: tuple[int, ...] = ()
    stops_ms: tuple[int, ...] = ()

    def pace(self, percent: int) -> Pace | None:
        """None: no task ever started. Where none was ever stopped, stopping costs nothing."""
        if not self.starts_ms:
            return None
        return Pace(_percentile(self.starts_ms, percent), _percentile(self.stops_ms, percent) if self.stops_ms else 0)


def past_times(tasks: Iterable[ScheduledTask]) -> PastTimes:
    starts: list[int] = []
    stops: list[int] = []
    for task in tasks:
        starts += _spans(task, {ScheduleStatus.PENDING}, {ScheduleStatus.RUNNING})
        stops += _spans(task, {ScheduleStatus.KILLING}, TERMINAL)
    return PastTimes(tuple(sorted(starts)), tuple(sorted(stops)))


def _spans(task: ScheduledTask, begins: Iterable[ScheduleStatus], ends: Iterable[ScheduleStatus]) -> Iterator[int]:
    """From the first event of the one kind to the first one of the other kind after it."""
    begun: int | None = None
    for event in task.task_events:
        if begun is None and event.status in begins:
            begun = event.timestamp
        elif begun is not None and event.status in ends:
            yield max(0, event.timestamp - begun)
            return


def _percentile(values: tuple[int, ...], percent: int) -> int:
    """The nearest rank of sorted values."""
    return values[max(0, -(-len(values) * percent // 100) - 1)]
