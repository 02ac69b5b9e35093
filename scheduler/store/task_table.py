"""All tasks in memory, found by id, job, role, instance, host and status without a scan.

One writer. A task that is saved or deleted costs a few dictionary entries, however many tasks there are. Dictionaries
are used as sets that keep an order, so that the same operations always lead to the same walks.

An instance has at most one active task: to save a second one is an error, told before anything is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import chain, islice

from msgspec import Struct

from scheduler.core.model import InstanceKey, JobKey, ScheduledTask
from scheduler.core.states import ACTIVE, ScheduleStatus
from scheduler.store.buckets import Bucket, drop, put
from scheduler.store.configs import SharedConfigs
from scheduler.store.task_query import TaskQuery, job_matches, matches, order
from thermos.errors import Bug

_Ids = Bucket[str]


class _Job(Struct):
    """The tasks of a job: by instance, the active one of each instance, and how many are in each status."""

    count: int = 0
    statuses: dict[ScheduleStatus, int] = {}
    instances: dict[int, _Ids] = {}
    active: dict[int, str] = {}


class TaskTable:
    def __init__(self) -> None:
        self._tasks: dict[str, ScheduledTask] = {}
        self._jobs: dict[JobKey, _Job] = {}
        self._roles: dict[str, Bucket[JobKey]] = {}
        self._hosts: dict[str, _Ids] = {}
        self._statuses: dict[ScheduleStatus, _Ids] = {}
        self.configs = SharedConfigs()

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._tasks

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TaskTable) and self._tasks == other._tasks

    __hash__ = None  # type: ignore[assignment]

    # -- looking up

    def get(self, task_id: str) -> ScheduledTask | None:
        return self._tasks.get(task_id)

    def active(self, instance: InstanceKey) -> ScheduledTask | None:
        """The one task of the instance that has not ended."""
        job = self._jobs.get(instance.job_key)
        task_id = job.active.get(instance.instance_id) if job is not None else None
        return self._tasks[task_id] if task_id is not None else None

    def active_of_job(self, key: JobKey) -> Iterator[ScheduledTask]:
        job = self._jobs.get(key)
        return iter(()) if job is None else (self._tasks[task_id] for task_id in job.active.values())

    def of_instance(self, instance: InstanceKey) -> list[ScheduledTask]:
        """All that are remembered of it, the active one and those that have ended."""
        job = self._jobs.get(instance.job_key)
        ids = job.instances.get(instance.instance_id, ()) if job is not None else ()
        return [self._tasks[task_id] for task_id in ids]

    def statuses_of(self, key: JobKey) -> Mapping[ScheduleStatus, int]:
        """How many tasks of a job are in each status, ended ones too; to be read only."""
        job = self._jobs.get(key)
        return job.statuses if job is not None else {}

    def count(self, status: ScheduleStatus) -> int:
        return len(self._statuses.get(status, ()))

    def roles(self) -> Iterable[str]:
        return self._roles.keys()

    def jobs(self, role: str | None = None) -> Iterable[JobKey]:
        """Those that have tasks, ended ones too."""
        return self._jobs.keys() if role is None else self._roles.get(role, {}).keys()

    def all(self) -> Collection[ScheduledTask]:
        return self._tasks.values()

    # -- questions

    def select(self, query: TaskQuery) -> Iterator[ScheduledTask]:
        """What matches, in no order that means anything; offset and limit are for `page`."""
        found = (self._tasks.get(task_id) for task_id in self._candidates(query))
        return (task for task in found if task is not None and matches(query, task))

    def page(self, query: TaskQuery) -> list[ScheduledTask]:
        """What matches, sorted; the part that offset and limit ask for."""
        start = query.offset or 0
        stop = None if query.limit is None else start + query.limit
        return list(islice(sorted(self.select(query), key=order), start, stop))

    def _candidates(self, query: TaskQuery) -> Iterable[str]:
        """Of all indexes that serve, the one with the fewest tasks behind it."""
        ways: list[tuple[int, Callable[[], Iterable[str]]]] = [(len(self._tasks), lambda: self._tasks)]
        if query.task_ids:
            ways.append((len(query.task_ids), lambda: sorted(query.task_ids)))
        if query.names_jobs:
            ways.append(self._by_job(query))
        if query.slave_hosts:
            ways.append(_by_buckets([self._hosts.get(host) for host in sorted(query.slave_hosts)]))
        if query.statuses:
            ways.append(_by_buckets([self._statuses.get(status) for status in sorted(query.statuses)]))
        return min(ways, key=lambda way: way[0])[1]()

    def _by_job(self, query: TaskQuery) -> tuple[int, Callable[[], Iterable[str]]]:
        jobs = list(self._jobs_of(query))
        wanted = sorted(query.instance_ids)
        if query.statuses and query.statuses <= ACTIVE:
            if wanted:
                ids = [job.active[i] for job in jobs for i in wanted if i in job.active]
                return len(ids), lambda: ids
            return sum(len(job.active) for job in jobs), lambda: chain.from_iterable(j.active.values() for j in jobs)
        if wanted:
            return _by_buckets([job.instances.get(instance) for job in jobs for instance in wanted])
        size = sum(job.count for job in jobs)
        return size, lambda: chain.from_iterable(ids for job in jobs for ids in job.instances.values())

    def _jobs_of(self, query: TaskQuery) -> Iterator[_Job]:
        """An environment or a name alone asks for a walk over the jobs, not over the tasks."""
        if query.job_keys:
            keys: Iterable[JobKey] = query.job_keys
        else:
            keys = self.jobs(query.role)
        for key in keys:
            job = self._jobs.get(key)
            if job is not None and job_matches(query, key):
                yield job

    # -- changes

    def save(self, task: ScheduledTask) -> None:
        """A new one, or in the place of the one with its id."""
        before = self._tasks.get(task.id)
        if task.is_active:
            other = self.active(task.instance)
            if other is not None and other.id != task.id:
                raise Bug(f"cannot have two active tasks of {task.instance}: {other.id} and {task.id}")
        task = self.configs.hold(task)
        if before is not None:
            self._unindex(before)
            self.configs.release(before)
        self._tasks[task.id] = task
        self._index(task)

    def delete(self, task_id: str) -> None:
        """Nothing, if there is no such task."""
        task = self._tasks.pop(task_id, None)
        if task is not None:
            self._unindex(task)
            self.configs.release(task)

    def _index(self, task: ScheduledTask) -> None:
        key, instance, host = task.config.job, task.assigned_task.instance_id, task.assigned_task.slave_host
        job = self._jobs.get(key)
        if job is None:
            job = self._jobs[key] = _Job()
            put(self._roles, key.role, key)
        job.count += 1
        job.statuses[task.status] = job.statuses.get(task.status, 0) + 1
        put(job.instances, instance, task.id)
        if task.is_active:
            job.active[instance] = task.id
        put(self._statuses, task.status, task.id)
        if host:
            put(self._hosts, host, task.id)

    def _unindex(self, task: ScheduledTask) -> None:
        key, instance, host = task.config.job, task.assigned_task.instance_id, task.assigned_task.slave_host
        job = self._jobs[key]
        job.count -= 1
        job.statuses[task.status] -= 1
        if job.statuses[task.status] == 0:
            del job.statuses[task.status]
        drop(job.instances, instance, task.id)
        if job.active.get(instance) == task.id:
            del job.active[instance]
        drop(self._statuses, task.status, task.id)
        if host:
            drop(self._hosts, host, task.id)
        if job.count == 0:
            del self._jobs[key]
            drop(self._roles, key.role, key)


def _by_buckets(buckets: list[_Ids | None]) -> tuple[int, Callable[[], Iterable[str]]]:
    found = [bucket for bucket in buckets if bucket is not None]
    return sum(map(len, found)), lambda: chain.from_iterable(found)
