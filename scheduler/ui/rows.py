"""Rows of tasks and configurations, made from what the scheduler remembers."""

from __future__ import annotations

from collections.abc import Iterable

from scheduler.core.model import ScheduledTask, TaskConfig, TaskEvent
from scheduler.core.states import LIVE, TERMINAL, ScheduleStatus
from scheduler.service.context import Context
from scheduler.service.task_queries import pending_reason
from scheduler.store.update_table import UpdateEntry
from scheduler.ui.core.config_text import config_text, facts_of, ranges_words, resources_of
from scheduler.ui.core.views import ConfigRow, Event, TaskRow, UpdateRow
from web.core.svg import clip
from web.format import segment

#: Of a task in a list: its latest states, and letters of a message.
FEW_EVENTS, SHORT_NOTE = 12, 300

#: The same of a task by itself, and of what happened to an update.
MOST_EVENTS, LONGEST_NOTE = 100, 2_000

#: Links of a task that are shown.
MOST_LINKS = 20


def task_row(context: Context, task: ScheduledTask, observer_port: int, *, is_alone: bool = False) -> TaskRow:
    events = task.task_events
    most, longest = (MOST_EVENTS, LONGEST_NOTE) if is_alone else (FEW_EVENTS, SHORT_NOTE)
    last = events[-1] if events else None
    message = last.message if last is not None else ""
    if task.status is ScheduleStatus.PENDING:
        message = pending_reason(context, task.id)
    host = task.assigned_task.slave_host
    return TaskRow(
        id=task.id,
        key=task.instance,
        status=task.status,
        since=since(task),
        began=events[0].timestamp / 1000 if events else 0.0,
        note=clip(message, longest),
        host=host,
        observer=observer_url(host, observer_port, task.id) if host else "",
        events=tuple(_event(each, longest) for each in events[-most:]),
        is_active=task.is_active,
        ran_s=_ran_s(task) if task.status in TERMINAL else None,
    )


def since(task: ScheduledTask) -> float:
    """When it came into its state."""
    return task.task_events[-1].timestamp / 1000 if task.task_events else 0.0


def _ran_s(task: ScheduledTask) -> float | None:
    begun = next((e.timestamp for e in task.task_events if e.status is ScheduleStatus.RUNNING), None)
    return None if begun is None else max(0.0, (task.task_events[-1].timestamp - begun) / 1000)


def _event(event: TaskEvent, longest: int) -> Event:
    return Event(event.timestamp / 1000, event.status, clip(event.message, longest))


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def observer_url(host: str, port: int, task_id: str = "") -> str:
    """Of the observer on that host, or of a task's page there."""
    return f"http://{_in_address(host)}:{port}/" + (f"task/{segment(task_id)}" if task_id else "")


def links_of(task: ScheduledTask) -> tuple[tuple[str, str], ...]:
    """(name, address) of what it serves, as its job says, while it is alive. Only http and https lead anywhere."""
    assigned = task.assigned_task
    if task.status not in LIVE or not assigned.slave_host:
        return ()
    found = {}
    for name, text in sorted(task.config.task_links.items())[:MOST_LINKS]:
        address = text.replace("%host%", _in_address(assigned.slave_host))
        for port, number in assigned.assigned_ports.items():
            address = address.replace(f"%port:{port}%", str(number))
        if address.startswith(("http://", "https://")) and "%port:" not in address:
            found[name] = address
    return tuple(found.items())


def config_row(context: Context, config: TaskConfig, instances: Iterable[tuple[int, int]]) -> ConfigRow:
    ranges = tuple(instances)
    return ConfigRow(
        instances=ranges_words(ranges),
        first=ranges[0][0] if ranges else 0,
        resources=resources_of(config),
        tier=config.tier or context.rules.default_tier,
        is_service=config.is_service,
        facts=tuple(facts_of(config)),
        text=config_text(config),
    )


def update_row(context: Context, entry: UpdateEntry) -> UpdateRow:
    summary, state = entry.update.summary, entry.state
    done, total = context.engine.updates.done(entry)
    return UpdateRow(
        key=summary.key,
        user=summary.user,
        status=state.status,
        created=state.created_timestamp_ms / 1000,
        modified=state.last_modified_timestamp_ms / 1000,
        done=done,
        total=total,
    )
