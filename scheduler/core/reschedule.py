"""What replaces a task, and how long a job that flaps is kept waiting.

A task flapped when it ended soon after it had last become active, and nobody had asked for its end. The penalty grows
along the chain of ancestors that flapped, until it grows no more or the chain ends.

Source: spec/scheduler.md §2.2, §2.3. Mended: PREEMPTING and LOST are nobody's fault, and are no flapping, unless a task
is lost before it has started, and so was the one before it: what the master refuses it will refuse again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import structs

from scheduler.core.backoff import Backoff
from scheduler.core.model import AssignedTask, ScheduledTask, TaskEvent, task_id_of
from scheduler.core.states import ACTIVE, TERMINAL, ScheduleStatus

#: A history with one of these ended because somebody or something outside of the task wanted it.
EXCUSES = frozenset(
    {
        ScheduleStatus.RESTARTING,
        ScheduleStatus.KILLING,
        ScheduleStatus.DRAINING,
        ScheduleStatus.PREEMPTING,
        ScheduleStatus.LOST,
    }
)


@dataclass(frozen=True, slots=True)
class FlappingRules:
    """Milliseconds."""

    threshold_ms: int = 5 * 60 * 1000
    delay: Backoff = field(default=Backoff(30_000, 5 * 60_000))


#: A task that was in one of these has been started somewhere.
_STARTED = frozenset({ScheduleStatus.STARTING, ScheduleStatus.RUNNING})


def has_flapped(task: ScheduledTask, rules: FlappingRules) -> bool:
    return not any(event.status in EXCUSES for event in task.task_events) and _ended_soon(task, rules)


def was_refused(task: ScheduledTask, rules: FlappingRules) -> bool:
    """Lost at once, and never started."""
    statuses = {event.status for event in task.task_events}
    if task.status is not ScheduleStatus.LOST or statuses & (EXCUSES - {ScheduleStatus.LOST} | _STARTED):
        return False
    return _ended_soon(task, rules)


def _ended_soon(task: ScheduledTask, rules: FlappingRules) -> bool:
    events = task.task_events
    if task.status not in TERMINAL:
        return False
    ended = next((e.timestamp for e in reversed(events) if e.status in TERMINAL), None)
    active = next((e.timestamp for e in reversed(events) if e.status in ACTIVE), None)
    return ended is not None and active is not None and ended - active < rules.threshold_ms


def penalty_ms(
    task: ScheduledTask,
    ancestor_of: Callable[[str], ScheduledTask | None],
    rules: FlappingRules,
    chance: Callable[[], float],
) -> int:
    """How long the task that replaces `task` waits; 0: not at all. `ancestor_of` finds a task by its id."""
    penalty = 0.0
    current: ScheduledTask | None = task
    while current is not None:
        former = ancestor_of(current.ancestor_id) if current.ancestor_id is not None else None
        refused_again = former is not None and was_refused(current, rules) and was_refused(former, rules)
        longer = rules.delay.next(penalty, chance()) if refused_again or has_flapped(current, rules) else penalty
        if longer <= penalty:
            break
        penalty, current = longer, former
    return int(penalty)


def replacement(task: ScheduledTask, unique: str, penalty: int, now_ms: int, scheduler: str = "") -> ScheduledTask:
    """The task that takes the instance over: the same config, the failures counted so far, a new id."""
    if penalty > 0:
        status, message = ScheduleStatus.THROTTLED, f"Rescheduled, penalized for {penalty} ms for flapping"
    else:
        status, message = ScheduleStatus.PENDING, "Rescheduled"
    old = task.assigned_task
    assigned = AssignedTask(
        task_id=task_id_of(old.task.job, old.instance_id, unique), task=old.task, instance_id=old.instance_id
    )
    event = TaskEvent(timestamp=now_ms, status=status, message=message, scheduler=scheduler)
    return ScheduledTask(
        assigned_task=assigned,
        status=status,
        failure_count=task.failure_count,
        task_events=(event,),
        ancestor_id=task.id,
    )


def count_failure(task: ScheduledTask) -> ScheduledTask:
    return structs.replace(task, failure_count=task.failure_count + 1)
