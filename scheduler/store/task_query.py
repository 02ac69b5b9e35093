"""Which tasks somebody asks for: all that is given must hold, what is empty asks for nothing.

Source: spec/scheduler.md §1.4.
"""

from __future__ import annotations

from scheduler.core.model import JobKey, ScheduledTask, Wire
from scheduler.core.states import ScheduleStatus


class TaskQuery(Wire, frozen=True):
    """`offset` and `limit` cut a page out of the sorted result."""

    role: str | None = None
    environment: str | None = None
    job_name: str | None = None
    task_ids: frozenset[str] = frozenset()
    statuses: frozenset[ScheduleStatus] = frozenset()
    instance_ids: frozenset[int] = frozenset()
    slave_hosts: frozenset[str] = frozenset()
    job_keys: frozenset[JobKey] = frozenset()
    offset: int | None = None
    limit: int | None = None

    @property
    def names_jobs(self) -> bool:
        """It can be answered job by job."""
        return bool(self.job_keys) or not (self.role is self.environment is self.job_name is None)


def job_matches(query: TaskQuery, job: JobKey) -> bool:
    return (
        (not query.job_keys or job in query.job_keys)
        and (query.role is None or job.role == query.role)
        and (query.environment is None or job.environment == query.environment)
        and (query.job_name is None or job.name == query.job_name)
    )


def matches(query: TaskQuery, task: ScheduledTask) -> bool:
    """The meaning of a query, whatever index leads to the task."""
    return (
        (not query.statuses or task.status in query.statuses)
        and (not query.slave_hosts or task.assigned_task.slave_host in query.slave_hosts)
        and (not query.instance_ids or task.assigned_task.instance_id in query.instance_ids)
        and (not query.task_ids or task.id in query.task_ids)
        and job_matches(query, task.config.job)
    )


def order(task: ScheduledTask) -> tuple[str, str, str, int, int, str]:
    """The order of a page: jobs, instances, the oldest first."""
    job = task.config.job
    since = task.task_events[0].timestamp if task.task_events else 0
    return job.role, job.environment, job.name, task.assigned_task.instance_id, since, task.id
