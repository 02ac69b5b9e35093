"""An instance and a single task: what it is, what happened to it, why it waits.

Source: spec/scheduler.md §10, §13.5 (23).
"""

from __future__ import annotations

from itertools import islice

from scheduler.api.asked import Asked
from scheduler.core.model import InstanceKey, ScheduledTask
from scheduler.core.states import LIVE, TERMINAL, ScheduleStatus
from scheduler.core.update_model import JobUpdateQuery
from scheduler.service.context import Context
from scheduler.service.why import why
from scheduler.store.task_query import TaskQuery
from scheduler.ui.core.listing import arrange, cut
from scheduler.ui.core.views import InstanceView, TaskPanel, TaskView, WhyView
from scheduler.ui.jobs import TASK_ORDERS, summary_of
from scheduler.ui.rows import config_row, links_of, task_row
from scheduler.ui.wanted import here, wanted
from web.asking import Problem, integer, shorten

#: Other instances on the host that are named; hosts of "why", and the most of them.
MOST_NEIGHBOURS, WHY_HOSTS, MOST_WHY_HOSTS = 20, 25, 500

#: Reasons that get a column of their own.
MOST_REASONS = 8


def instance(asked: Asked) -> InstanceView:
    """Raises Problem when nothing was ever heard of it."""
    context, key = asked.context, asked.instance
    summary_of(context, key.job_key)
    query = TaskQuery(job_keys=frozenset({key.job_key}), instance_ids=frozenset({key.instance_id}))
    tasks = list(context.tables.tasks.select(query))
    if not tasks and not _is_in_an_update(context, key):
        raise Problem(404, f"there is no instance {key.instance_id} of {key.job_key}")
    active = next((task for task in tasks if task.is_active), None)
    want = wanted(asked.request, ("updated",))
    ended = arrange((task for task in tasks if task.status in TERMINAL), want, TASK_ORDERS, "updated")
    page = cut(ended, want, here(asked.request, ("hosts",)))
    return InstanceView(
        key=key,
        active=_panel(asked, active) if active is not None else None,
        why=_why(asked, active) if active is not None else None,
        history=page.with_rows(task_row(context, task, asked.settings.observer_port) for task in page.rows),
        at=asked.loop.now().wall,
    )


def _is_in_an_update(context: Context, key: InstanceKey) -> bool:
    """Its turn has not come yet, or nothing else is remembered of it."""
    for entry in context.tables.updates.page(JobUpdateQuery(job_key=key.job_key)):
        instructions = entry.update.instructions
        groups = (*instructions.initial_state, *filter(None, (instructions.desired_state,)))
        if any(each.first <= key.instance_id <= each.last for group in groups for each in group.instances):
            return True
    return False


def task(asked: Asked) -> TaskView:
    """Raises Problem when there is none."""
    task_id = asked.part("taskId")
    found = asked.context.tables.tasks.get(task_id)
    if found is None or found.config.job != asked.job:
        raise Problem(404, f"there is no task {shorten(task_id)}; it may have been pruned")
    return TaskView(asked.job, task_id, _panel(asked, found), _why(asked, found), asked.loop.now().wall)


def _panel(asked: Asked, task: ScheduledTask) -> TaskPanel:
    context, assigned = asked.context, task.assigned_task
    number = assigned.instance_id
    neighbours = _neighbours(asked, task)
    return TaskPanel(
        row=task_row(context, task, asked.settings.observer_port, is_alone=True),
        ports=tuple(sorted(assigned.assigned_ports.items())),
        links=links_of(task),
        config=config_row(context, task.config, ((number, number),)),
        failures=task.failure_count,
        ancestor=task.ancestor_id or "",
        neighbours=tuple(neighbours[:MOST_NEIGHBOURS]),
        more_neighbours=max(0, len(neighbours) - MOST_NEIGHBOURS),
    )


def _neighbours(asked: Asked, task: ScheduledTask) -> list[InstanceKey]:
    """What else runs on its host, as long as it does itself."""
    host = task.assigned_task.slave_host
    if not host or not task.is_active:
        return []
    query = TaskQuery(slave_hosts=frozenset({host}), statuses=LIVE)
    found = [each.instance for each in asked.context.tables.tasks.select(query) if each.id != task.id]
    return sorted(found, key=str)


def _why(asked: Asked, task: ScheduledTask) -> WhyView | None:
    """Of a task that waits. Raises Problem."""
    if task.status not in (ScheduleStatus.PENDING, ScheduleStatus.THROTTLED):
        return None
    hosts = integer(asked.request, "hosts", WHY_HOSTS, low=0, high=MOST_WHY_HOSTS)
    answer = why(asked.context, task.id, asked.loop.now(), hosts)
    most = min(MOST_WHY_HOSTS, answer.host_count)
    more = here(asked.request, ("hosts",)).to(hosts=MOST_WHY_HOSTS) + "#why" if len(answer.hosts) < most else ""
    return WhyView(answer, tuple(islice(answer.by_reason, MOST_REASONS)), more, most)
