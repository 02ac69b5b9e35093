"""What waits, and what runs where: the original's pages for other programs.

Source: spec/scheduler.md §9.1.
"""

from __future__ import annotations

from scheduler.core.model import JobKey, TaskConfig, Wire
from scheduler.core.states import ACTIVE, ScheduleStatus
from scheduler.service.context import Context, Told
from scheduler.service.task_queries import bare_config, pending_reason
from scheduler.store.task_query import TaskQuery


class PendingGroup(Told, frozen=True):
    """Tasks of one configuration that wait. `penalty_ms`: the pause after the last attempt."""

    name: str
    task_ids: tuple[str, ...]
    penalty_ms: int
    reason: str


class ClusterState(Wire, frozen=True, omit_defaults=False):
    """`task_configs`: of every active instance, without what executors are told; `agents`: the instances on each."""

    task_configs: dict[str, TaskConfig]
    agents: dict[str, list[str]]


def pending_tasks(context: Context) -> list[PendingGroup]:
    """Group by group, as they are tried."""
    groups = context.engine.groups
    members: dict[bytes, list[str]] = {}
    jobs: dict[bytes, JobKey] = {}
    for task in context.tables.tasks.select(TaskQuery(statuses=frozenset({ScheduleStatus.PENDING}))):
        task_id = task.assigned_task.task_id
        group = groups.group_of(task_id)
        if group is not None:
            members.setdefault(group, []).append(task_id)
            jobs[group] = task.config.job
    return [
        PendingGroup(
            name=str(jobs[group]),
            task_ids=tuple(ids),
            penalty_ms=round(groups.pause_of(group) * 1000),
            reason=pending_reason(context, ids[0]),
        )
        for group, ids in members.items()
    ]


def state(context: Context) -> ClusterState:
    """All active tasks: for programs that simulate a cluster, not for every minute."""
    configs: dict[str, TaskConfig] = {}
    agents: dict[str, list[str]] = {}
    known: dict[int, tuple[str, TaskConfig]] = {}
    for task in context.tables.tasks.select(TaskQuery(statuses=ACTIVE)):
        assigned = task.assigned_task
        found = known.get(id(assigned.task))
        if found is None:
            found = known[id(assigned.task)] = str(assigned.task.job), bare_config(assigned.task)
        key = f"{found[0]}/{assigned.instance_id}"
        configs[key] = found[1]
        if assigned.slave_id:
            agents.setdefault(assigned.slave_id, []).append(key)
    return ClusterState(task_configs=configs, agents=agents)
