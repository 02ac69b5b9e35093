"""A whole scheduler in the tests' own process, on a Mesos that runs our executors; asked through its service layer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from config.core.rules import check_job
from config.core.taskconfig import job_configuration
from config.schema import Job, PartitionPolicy, Process, Resources, Service, Task
from scheduler.assembly import Scheduler
from scheduler.core.model import InstanceKey, JobConfiguration, JobKey, ScheduledTask
from scheduler.core.states import ScheduleStatus
from scheduler.flags import Flags
from scheduler.main import whoever
from scheduler.service import jobs
from scheduler.service.context import Context, ServiceSettings
from scheduler.settings import settings_of
from scheduler.store.sqlite_journal import SqliteJournal
from scheduler.store.store import Store
from tests.executor.e2e.aurora import processes_with
from tests.mesos.conformance.asking import post, until
from tests.mesos.conformance.target import Target

#: Executors are small here, nothing waits long, and processes run as whoever runs the tests: roles are no users here.
FLAGS: dict[str, Any] = {
    "cluster_name": "rz1",
    "http_port": 0,
    "thermos_executor_flags": "--nosetuid",
    "thermos_executor_cpu": 0.1,
    "thermos_executor_ram": 32,
    "offer_filter_duration": 0.2,
    "initial_schedule_penalty": 0.2,
    "max_schedule_penalty": 0.5,
    "max_reschedule_task_delay_on_startup": 0.1,
    "flapping_task_threshold": 0.0,
    "framework_failover_timeout": 60.0,
}

RUNNING = ScheduleStatus.RUNNING


def job_of(name: str, cmdline: str = "sleep 1000", *, instances: int = 1, service: bool = True, **more: Any) -> Any:
    """A small one, in the language of configs."""
    task = Task(
        name=name,
        processes=[Process(name="main", cmdline=cmdline, min_duration=0)],
        resources=Resources(cpu=0.1, ram=32 * 2**20, disk=16 * 2**20),
    )
    kind = Service if service else Job
    return kind(cluster="rz1", role="www", environment="test", name=name, task=task, instances=instances, **more)


def configuration(job: Any) -> JobConfiguration:
    """As the client sends it."""
    checked = check_job(job)
    assert checked.ok, checked.problems
    return msgspec.convert(job_configuration(checked.data, user="me"), JobConfiguration)


def key_of(name: str) -> JobKey:
    return JobKey(role="www", environment="test", name=name)


def executors_of(task_id: str) -> list[int]:
    """Pids; not those of the shell that an agent starts it with, nor of a process of the task, which knows no agent."""
    found = []
    for pid in processes_with(f"MESOS_EXECUTOR_ID=thermos-{task_id}"):
        try:
            if b"executor.main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


class Scheduled:
    """Runs inside `async with`; its framework lives on behind it until `forget`."""

    def __init__(
        self, mesos: Target, store: Path, *, journal: type[SqliteJournal] = SqliteJournal, **flags: Any
    ) -> None:
        given = {**FLAGS, "mesos_master_address": mesos.leader_text, "store": str(store), **flags}
        self._mesos = mesos
        self._settings = settings_of(Flags(**given), whoever())
        self._journal = journal
        self._running: asyncio.Task[None] | None = None
        self.scheduler: Scheduler

    async def __aenter__(self) -> Scheduled:
        self.scheduler = Scheduler(self._settings, Store(self._journal(self._settings.store)))
        self._running = asyncio.create_task(self.scheduler.run())
        self.context = Context(self.scheduler.engine, ServiceSettings(cluster="rz1", rules=self._settings.rules))
        await self.until(lambda: self.scheduler.lifecycle.is_active, "registration")
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._running is not None
        self.scheduler.stop()
        if not self._running.cancelled():
            await self._running

    async def cancel(self) -> None:
        """End it without a word to anybody; what was committed is durable."""
        assert self._running is not None
        self._running.cancel()
        await asyncio.wait({self._running})

    async def forget(self) -> None:
        """End the framework with all its tasks, as an operator would."""
        framework = self.scheduler.store.tables.framework_id
        await post(self._mesos.master_url, "/teardown", f"frameworkId={framework}".encode())

    # -- wishes

    async def create(self, job: Any) -> JobKey:
        wanted = configuration(job)
        created = await self.scheduler.loop.act(lambda turn: jobs.create_job(self.context, turn, wanted, "me"))
        return created.key

    async def add(self, key: JobKey, count: int, *, like: int = 0) -> None:
        instance = InstanceKey(job_key=key, instance_id=like)
        await self.scheduler.loop.act(lambda turn: jobs.add_instances(self.context, turn, instance, count, "me"))

    async def kill(self, key: JobKey, instances: Iterable[int] | None = None) -> None:
        which = None if instances is None else frozenset(instances)
        await self.scheduler.loop.act(lambda turn: jobs.kill_tasks(self.context, turn, key, which, "me"))

    async def restart(self, key: JobKey, instances: Iterable[int]) -> None:
        which = frozenset(instances)
        await self.scheduler.loop.act(lambda turn: jobs.restart(self.context, turn, key, which, "me"))

    # -- looking

    def active(self, key: JobKey) -> list[ScheduledTask]:
        """By instance."""
        tasks = self.scheduler.store.tables.tasks.active_of_job(key)
        return sorted(tasks, key=lambda task: task.assigned_task.instance_id)

    def task(self, task_id: str) -> ScheduledTask:
        found = self.scheduler.store.tables.tasks.get(task_id)
        assert found is not None, f"{task_id} is gone"
        return found

    async def until(self, look: Callable[[], Any], what: str, timeout_s: float = 60.0) -> Any:
        """What `look` gives when it is true at last. Ends early when the scheduler does."""

        async def looking() -> Any:
            assert self._running is not None
            if self._running.done():
                self._running.result()
            return look()

        try:
            return await until(looking, what, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.summary()}") from None

    async def running(self, key: JobKey, count: int = 1) -> list[ScheduledTask]:
        """All active tasks of the job, when these are so many and all RUNNING."""

        def look() -> list[ScheduledTask]:
            tasks = self.active(key)
            return tasks if len(tasks) == count and all(task.status is RUNNING for task in tasks) else []

        found: list[ScheduledTask] = await self.until(look, f"{count} running tasks of {key}")
        return found

    async def status(self, task_id: str, status: ScheduleStatus) -> ScheduledTask:
        found: ScheduledTask = await self.until(
            lambda: self.task(task_id) if self.task(task_id).status is status else None, f"{status} of {task_id}"
        )
        return found

    def summary(self) -> str:
        tasks = self.scheduler.store.tables.tasks.all()
        words = [f"{t.id} " + "→".join(f"{e.status}({e.message})" for e in t.task_events) for t in tasks]
        return "\n".join(["tasks:", *words, str(self.scheduler.loop.state())])


__all__ = ["RUNNING", "PartitionPolicy", "ScheduleStatus", "Scheduled", "executors_of", "job_of", "key_of"]
