"""Tasks, a page at a time, in the order of jobs, instances and age; and why those that wait do.

Who names tasks, hosts or instances gets what the indexes find. Otherwise jobs are walked in their order: what they
count by status says how many there are, and only the jobs of the page are looked into. A page ends early where its
configurations become too much; the next one begins behind what came (`offset` + what came).

Source: spec/scheduler.md §1.4, §3.2 (reasons).
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, structs

from scheduler.core.model import JobKey, ScheduledTask, TaskConfig
from scheduler.core.states import ACTIVE, ScheduleStatus
from scheduler.service.context import Context, Told
from scheduler.service.pages import Page, check_page
from scheduler.service.refusals import not_found
from scheduler.store.task_query import TaskQuery, job_matches, order
from scheduler.store.task_table import TaskTable

#: Bytes of executors' data in one page, about.
MOST_DATA = 32 << 20

#: Where the reasons are not counted (yet).
NOT_TRIED = "Not tried yet"
NOT_COUNTED = "No host took it; the reasons are being counted"
HAS_ROOM = "A host has room for it now; it is tried again soon"


class TasksAsked(Struct, frozen=True):
    """All that is given must hold; what is empty asks for nothing. `data` False: without what executors are told."""

    role: str | None = None
    environment: str | None = None
    name: str | None = None
    instances: frozenset[int] = frozenset()
    task_ids: frozenset[str] = frozenset()
    statuses: frozenset[ScheduleStatus] = frozenset()
    active: bool | None = None
    hosts: frozenset[str] = frozenset()
    data: bool = True
    page: Page = Page()


class Tasks(Told, frozen=True):
    """A page of them. `reasons`: of those that are PENDING, by id."""

    tasks: tuple[ScheduledTask, ...]
    total: int
    reasons: dict[str, str]


class TaskDetails(ScheduledTask, frozen=True, omit_defaults=False):
    """`reason`: why it is PENDING."""

    reason: str = ""


def tasks(context: Context, asked: TasksAsked) -> Tasks:
    """Raises Refusal for a page that nobody gets."""
    check_page(asked.page)
    query = _query(asked)
    if query is None:
        return Tasks(tasks=(), total=0, reasons={})
    table = context.tables.tasks
    if query.task_ids or query.slave_hosts or query.instance_ids:
        found = sorted(table.select(query), key=order)
        total, page = len(found), list(asked.page.of(found))
    else:
        total, page = _by_jobs(table, query, asked.page)
    kept = _within_measure(page) if asked.data else without_data(page)
    waiting = (task for task in kept if task.status is ScheduleStatus.PENDING)
    return Tasks(
        tasks=tuple(kept), total=total, reasons={task.id: pending_reason(context, task.id) for task in waiting}
    )


def task(context: Context, task_id: str) -> TaskDetails:
    """Raises Refusal when there is none."""
    found = find_task(context, task_id)
    reason = pending_reason(context, task_id) if found.status is ScheduleStatus.PENDING else ""
    return TaskDetails(**{field: getattr(found, field) for field in ScheduledTask.__struct_fields__}, reason=reason)


def find_task(context: Context, task_id: str) -> ScheduledTask:
    """Raises Refusal when there is none."""
    found = context.tables.tasks.get(task_id)
    if found is None:
        raise not_found(f"There is no task {task_id[:300]}")
    return found


def pending_reason(context: Context, task_id: str) -> str:
    """Of a task that is PENDING, as it was counted last: one line."""
    standing = context.engine.waiting(task_id)
    if standing is None:
        return NOT_TRIED
    if standing.fresh_until is None:
        return NOT_COUNTED
    return standing.reason or HAS_ROOM


def without_data(tasks: Iterable[ScheduledTask]) -> list[ScheduledTask]:
    """Without what executors are told. Tasks of one configuration share the object, and do so afterwards."""
    bare: dict[int, TaskConfig] = {}
    found = []
    for each in tasks:
        config = bare.get(id(each.config))
        if config is None:
            config = bare[id(each.config)] = bare_config(each.config)
        found.append(structs.replace(each, assigned_task=structs.replace(each.assigned_task, task=config)))
    return found


def bare_config(config: TaskConfig) -> TaskConfig:
    """Without what its executor is told."""
    executor = config.executor_config
    if executor is None or not executor.data:
        return config
    return structs.replace(config, executor_config=structs.replace(executor, data=""))


# --- parts of them -----------------------------------------------------------------------------------------------


def _query(asked: TasksAsked) -> TaskQuery | None:
    """None: nothing can be like that."""
    statuses = asked.statuses
    if asked.active is not None:
        kind = ACTIVE if asked.active else frozenset(ScheduleStatus) - ACTIVE
        statuses = statuses & kind if statuses else kind
        if not statuses:
            return None
    return TaskQuery(
        role=asked.role,
        environment=asked.environment,
        job_name=asked.name,
        task_ids=asked.task_ids,
        statuses=statuses,
        instance_ids=asked.instances,
        slave_hosts=asked.hosts,
    )


def _by_jobs(table: TaskTable, query: TaskQuery, page: Page) -> tuple[int, list[ScheduledTask]]:
    """How many there are, and those of the page."""
    total, found = 0, list[ScheduledTask]()
    for key in sorted(_jobs(table, query), key=lambda key: (key.role, key.environment, key.name)):
        counts = table.statuses_of(key)
        count = sum(each for status, each in counts.items() if not query.statuses or status in query.statuses)
        missing = page.limit - len(found)
        if missing > 0 and total + count > page.offset:
            of_job = sorted(table.select(TaskQuery(job_keys=frozenset({key}), statuses=query.statuses)), key=order)
            start = max(0, page.offset - total)
            found += of_job[start : start + missing]
        total += count
    return total, found


def _jobs(table: TaskTable, query: TaskQuery) -> Iterable[JobKey]:
    role, environment, name = query.role, query.environment, query.job_name
    if role is not None and environment is not None and name is not None:
        return [JobKey(role=role, environment=environment, name=name)]
    return (key for key in table.jobs(role) if job_matches(query, key))


def _within_measure(page: list[ScheduledTask]) -> list[ScheduledTask]:
    """The first ones of it; one is always among them."""
    size = 0
    for count, each in enumerate(page):
        executor = each.config.executor_config
        size += len(executor.data) if executor is not None else 0
        if count and size > MOST_DATA:
            return page[:count]
    return page
