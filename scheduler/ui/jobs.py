"""A job: its tasks in tabs, its configurations, its updates.

What it costs is the job that was asked for: its tasks are sorted, and only those of the page are made into rows.

Source: spec/scheduler.md §10, the UI pages of the talk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from scheduler.api.asked import Asked
from scheduler.core.model import JobKey, ScheduledTask
from scheduler.core.states import ACTIVE, ScheduleStatus
from scheduler.core.update_model import JobUpdateQuery
from scheduler.service import job_queries
from scheduler.service.config_groups import ConfigGroup, config_groups
from scheduler.service.context import Context
from scheduler.service.job_queries import JobSummary
from scheduler.store.task_query import TaskQuery
from scheduler.ui.core.config_text import diff_lines
from scheduler.ui.core.listing import Listing, Order, arrange, cut
from scheduler.ui.core.views import ConfigRow, ConfigsView, JobView, TaskRow
from scheduler.ui.rows import config_row, since, task_row, update_row
from scheduler.ui.wanted import choice, here, wanted
from web.asking import Problem, integer, shorten, text

#: Configurations that are shown on the job's page, and for comparison; updates.
MOST_GROUPS, MOST_COMPARED, MOST_UPDATES = 5, 100, 10

_ENDED = frozenset(ScheduleStatus) - ACTIVE
_TABS: Mapping[str, tuple[str, frozenset[ScheduleStatus]]] = {
    "active": ("Active tasks", ACTIVE),
    "completed": ("Completed tasks", _ENDED),
    "all": ("All tasks", frozenset(ScheduleStatus)),
}

TASK_ORDERS: Mapping[str, Order[ScheduledTask]] = {
    "instance": Order(lambda task: (task.assigned_task.instance_id, -since(task))),
    "status": Order(lambda task: (task.status.value, task.assigned_task.instance_id)),
    "updated": Order(since, descending=True),
    "host": Order(lambda task: (task.assigned_task.slave_host, task.assigned_task.instance_id)),
}


def job(asked: Asked) -> JobView:
    """Raises Problem when nothing is known of it."""
    context, key = asked.context, asked.job
    details = summary_of(context, key)
    tab = _tab(asked)
    statuses = _TABS[tab][1]
    counts = context.tables.tasks.statuses_of(key)
    entries = context.tables.updates.page(JobUpdateQuery(job_key=key, limit=MOST_UPDATES))
    active = context.tables.updates.active(key)
    rows = _shown(context, key)
    return JobView(
        summary=details,
        tab=tab,
        tabs=tuple((name, words, _sum(counts, each)) for name, (words, each) in _TABS.items()),
        statuses=tuple(
            (status, counts[status]) for status in ScheduleStatus if status in counts and status in statuses
        ),
        status=text(asked.request, "status"),
        tasks=_tasks(asked, key, tab),
        configs=tuple(rows[:MOST_GROUPS]),
        groups_left_out=max(0, len(rows) - MOST_GROUPS),
        schedule=_schedule(context, key),
        updates=tuple(update_row(context, each) for each in entries),
        active_update=update_row(context, active) if active is not None else None,
        at=asked.loop.now().wall,
    )


def summary_of(context: Context, key: JobKey) -> JobSummary:
    """Raises Problem when there is no such job. One that has only updates has none of its tasks yet, or any more."""
    tables = context.tables
    known = tables.tasks.statuses_of(key) or key in tables.cron_jobs
    if not known and not tables.updates.page(JobUpdateQuery(job_key=key, limit=1)):
        raise Problem(404, f"there is no job {shorten(str(key))}, or nothing is remembered of it any more")
    return job_queries.job_summary(context, key)


def _tab(asked: Asked) -> str:
    """Also as the original's addresses say it."""
    if text(asked.request, "jobView") == "history":
        return "completed"
    return choice(asked.request, "tab", _TABS, "active")


def _sum(counts: Mapping[ScheduleStatus, int], statuses: Iterable[ScheduleStatus]) -> int:
    return sum(counts.get(status, 0) for status in statuses)


# --- its tasks -------------------------------------------------------------------------------------------------------


def _tasks(asked: Asked, key: JobKey, tab: str) -> Listing[TaskRow]:
    want = wanted(asked.request, TASK_ORDERS)
    status = choice(asked.request, "status", [each.value for each in ScheduleStatus])
    statuses = _TABS[tab][1] & {ScheduleStatus(status)} if status else _TABS[tab][1]
    context = asked.context
    found = list(_select(context, key, statuses))
    everything = _sum(context.tables.tasks.statuses_of(key), _TABS[tab][1])
    if want.query:
        matches = _search(want.query)
        found = [task for task in found if matches(task)]
    default = "updated" if tab == "completed" else "instance"
    page = cut(arrange(found, want, TASK_ORDERS, default), want, here(asked.request, ("tab", "status")), everything)
    return page.with_rows(task_row(context, task, asked.settings.observer_port) for task in page.rows)


def _select(context: Context, key: JobKey, statuses: frozenset[ScheduleStatus]) -> Iterable[ScheduledTask]:
    tasks = context.tables.tasks
    if statuses == ACTIVE:
        return tasks.active_of_job(key)
    return tasks.select(TaskQuery(job_keys=frozenset({key}), statuses=statuses))


def _search(query: str) -> Callable[[ScheduledTask], bool]:
    """The beginning of an instance's number, a part of a host, the beginning of a status."""
    word, upper, lower = query, query.upper(), query.lower()

    def matches(task: ScheduledTask) -> bool:
        assigned = task.assigned_task
        return (
            str(assigned.instance_id).startswith(word)
            or lower in assigned.slave_host.lower()
            or task.status.value.startswith(upper)
        )

    return matches


# --- its configurations ----------------------------------------------------------------------------------------------


def _groups(context: Context, key: JobKey) -> tuple[ConfigGroup, ...]:
    configs = {task.assigned_task.instance_id: task.config for task in context.tables.tasks.active_of_job(key)}
    return config_groups(configs)


def _shown(context: Context, key: JobKey) -> list[ConfigRow]:
    """Of its active instances; of a cron job between two runs its template's."""
    rows = [_row(context, group) for group in _groups(context, key)[:MOST_COMPARED]]
    template = context.tables.cron_jobs.get(key)
    if not rows and template is not None:
        rows = [config_row(context, template.task_config, ())]
    return rows


def _row(context: Context, group: ConfigGroup) -> ConfigRow:
    return config_row(context, group.config, group.instances)


def _schedule(context: Context, key: JobKey) -> tuple[tuple[str, str], ...]:
    """Of a cron job."""
    template = context.tables.cron_jobs.get(key)
    if template is None:
        return ()
    return (
        ("Schedule", template.cron_schedule or ""),
        ("Collision policy", template.cron_collision_policy),
        ("Instances", str(template.instance_count)),
    )


def configs(asked: Asked) -> ConfigsView:
    """Two of its configurations, side by side. Raises Problem."""
    context, key = asked.context, asked.job
    summary_of(context, key)
    rows = tuple(_shown(context, key))
    last = max(0, len(rows) - 1)
    left = min(last, integer(asked.request, "left", 0))  # there may be fewer than a moment ago
    right = min(last, integer(asked.request, "right", 1))
    diff = tuple(diff_lines(rows[left].text, rows[right].text)) if rows else ()
    return ConfigsView(key, rows, left, right, diff, here(asked.request, ("left", "right")), asked.loop.now().wall)
