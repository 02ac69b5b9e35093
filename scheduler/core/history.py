"""What is kept of a task's events: all of them, but for those of an agent that comes and goes.

A task whose agent is out of sight again and again would have a history without end. When it goes out of sight once
more, what the former absence and return added is dropped, if it says nothing new; `times_partitioned` counts them all.

Source: spec/scheduler.md §2.2.
"""

from __future__ import annotations

from msgspec import structs

from scheduler.core.model import ScheduledTask, TaskEvent
from scheduler.core.states import REPORTED_ALIVE, ScheduleStatus


def enter(task: ScheduledTask, event: TaskEvent) -> ScheduledTask:
    """The task in the state of the event, which is its last one then."""
    events = task.task_events
    partitioned = event.status is ScheduleStatus.PARTITIONED
    if partitioned:
        events = without_cycle(events)
    return structs.replace(
        task,
        status=event.status,
        task_events=(*events, event),
        times_partitioned=task.times_partitioned + partitioned,
    )


def without_cycle(events: tuple[TaskEvent, ...]) -> tuple[TaskEvent, ...]:
    """Of a task that is about to go out of sight: without the absence before, and the states it was in before that."""
    places = [place for place, event in enumerate(events) if event.status is ScheduleStatus.PARTITIONED]
    if not places:
        return events
    first = places[0]
    known = {event.status for event in events[:first]}
    kept = list(events[:first])
    for event in events[first + 1 :]:
        if event.status is ScheduleStatus.PARTITIONED or (event.status in REPORTED_ALIVE and event.status in known):
            continue
        known.add(event.status)
        kept.append(event)
    return tuple(kept)
