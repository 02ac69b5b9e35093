"""Whether a job can do without one more of its instances now, as far as its own tasks tell.

Others have to be RUNNING, and to have been so for a while: a number of them, or a percentage of all active ones. A
policy that would never let any instance go lets one go at a time. A coordinator is somebody else to ask: not here.

Source: spec/scheduler.md §7.2.
"""

from __future__ import annotations

from collections.abc import Iterable

from scheduler.core.model import ScheduledTask, SlaPolicy
from scheduler.core.states import ScheduleStatus
from thermos.errors import Bug


class SlaView:
    """Of one job at one moment; who takes an instance away says so, and the next one is judged without it."""

    def __init__(self, active: Iterable[ScheduledTask], now_ms: int) -> None:
        self.total = 0
        self._now_ms = now_ms
        self._runs_since: dict[int, int] = {}
        self._stable: dict[int, int] = {}  # by duration in ms: how many have been running for so long
        for task in active:
            self.total += 1
            if task.status is ScheduleStatus.RUNNING:
                self._runs_since[task.assigned_task.instance_id] = _running_since_ms(task)

    def allows(self, policy: SlaPolicy, instance: int) -> bool:
        """That this one is down, beside those that are. Raises Bug for a policy of a coordinator."""
        most = self.total - 1
        if policy.count_sla_policy is not None:
            count = policy.count_sla_policy
            return self._others(instance, count.duration_secs) >= min(count.count, most)
        if policy.percentage_sla_policy is not None:
            share = policy.percentage_sla_policy
            running = self._others(instance, share.duration_secs)
            return running >= most or 100 * running >= share.percentage * self.total
        raise Bug("a coordinator was to be asked")

    def taken(self, instance: int) -> None:
        """It runs no more."""
        since = self._runs_since.pop(instance, None)
        if since is not None:
            for duration_ms in self._stable:
                self._stable[duration_ms] -= self._is_stable(since, duration_ms)

    def _others(self, instance: int, duration_s: int) -> int:
        duration_ms = duration_s * 1000
        stable = self._stable.get(duration_ms)
        if stable is None:
            stable = sum(self._is_stable(since, duration_ms) for since in self._runs_since.values())
            self._stable[duration_ms] = stable
        since = self._runs_since.get(instance)
        return stable - (since is not None and self._is_stable(since, duration_ms))

    def _is_stable(self, since_ms: int, duration_ms: int) -> bool:
        return since_ms <= self._now_ms - duration_ms


def _running_since_ms(task: ScheduledTask) -> int:
    """The latest time that it began to."""
    running = (event.timestamp for event in task.task_events if event.status is ScheduleStatus.RUNNING)
    return max(running, default=0)
