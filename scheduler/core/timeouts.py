"""What time does to tasks: which states end by themselves, when, and what happens then.

    THROTTLED      its penalty is over                          -> PENDING
    TRANSIENT      for too long                                 -> LOST "Task timed out"
    ENDING         nothing heard of its end                     the kill is sent again, ever more seldom
    PARTITIONED    for as long as its policy allows             -> LOST "Task partitioned for too long."
    anywhere       the master knows us as somebody else now     -> LOST, at once

Moments are monotonic. After a start they are worked out from the wall times of events, never later than as if the event
were now: a clock that jumps can't make anything wait for ever.

Source: spec/scheduler.md §2.3, §2.4. Mended: the original said a kill again for KILLING only; who was to be restarted,
drained or preempted, and had not heard of it, went on for five minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from scheduler.core.backoff import Backoff
from scheduler.core.model import ScheduledTask, TaskConfig
from scheduler.core.states import ScheduleStatus
from thermos.errors import ConfigError

TIMED_OUT = "Task timed out"
PARTITIONED_TOO_LONG = "Task partitioned for too long."
FRAMEWORK_GONE = "The master has forgotten the framework, and ended its tasks."


class Timer(StrEnum):
    """What is to be done about a task when its moment has come."""

    THROTTLE_END = "throttle end"
    TIME_OUT = "time-out"
    KILL_RETRY = "kill retry"
    GIVE_UP = "give up"  # its agent is out of sight for too long
    DISOWN = "disown"  # the framework that it belongs to is gone


@dataclass(frozen=True, slots=True)
class TimeoutRules:
    """Seconds. `recheck_s`: as long as there is no connection nothing is declared lost; it is looked at again then."""

    transient_s: float = 300.0
    recheck_s: float = 5.0
    kill_retry: Backoff = field(default=Backoff(15.0, 300.0))

    def __post_init__(self) -> None:
        if min(self.recheck_s, self.kill_retry.initial, self.kill_retry.maximum) <= 0:
            raise ConfigError("cannot time tasks out so: pauses between checks and kills must be more than nothing")


def gives_up_after_s(config: TaskConfig) -> float | None:
    """How long an agent may be out of sight before its task is replaced; None: it is waited for."""
    policy = config.partition_policy
    if policy is None:
        return 0.0
    return float(max(0, policy.delay_secs)) if policy.reschedule else None


def left_s(since_ms: int, duration_s: float, now_ms: int) -> float:
    """What is left of a duration that began at `since_ms`: nothing at least, all of it at most."""
    return min(duration_s, max(0.0, duration_s - (now_ms - since_ms) / 1000))


def entered_at_ms(task: ScheduledTask, status: ScheduleStatus) -> int:
    """When it last came into that state; 0: its history does not say."""
    return next((event.timestamp for event in reversed(task.task_events) if event.status is status), 0)
