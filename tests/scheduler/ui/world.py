"""A cluster with everything in it that pages can show: jobs that run, wait, fail, are updated; hosts of several kinds.

`name` stands in for all texts that somebody may choose freely: make it hostile.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Collection, Iterable, Sequence

from msgspec import structs

from mesos.core.messages import Offer, OfferID
from scheduler.core.cluster_model import HostAttributes, ResourceAggregate
from scheduler.core.filters import MaintenanceMode
from scheduler.core.model import (
    ExecutorConfig,
    InstanceKey,
    JobConfiguration,
    JobKey,
    Metadata,
    PartitionPolicy,
    Resource,
    ScheduledTask,
    TaskConfig,
)
from scheduler.core.states import ScheduleStatus
from scheduler.core.update_diff import diff_instances, instructions_of
from scheduler.core.update_model import (
    BatchStrategy,
    JobInstanceUpdateEvent,
    JobUpdate,
    JobUpdateAction,
    JobUpdateEvent,
    JobUpdateKey,
    JobUpdateSettings,
    JobUpdateStatus,
    JobUpdateSummary,
    UpdateStrategy,
)
from scheduler.core.update_start import UPDATE_ID
from scheduler.store.ops import (
    SaveCronJob,
    SaveHostAttributes,
    SaveInstanceUpdateEvents,
    SaveJobUpdate,
    SaveJobUpdateEvents,
    SaveQuota,
)
from scheduler.turn import Turn
from tests.scheduler.api.served import PATIENCE_S, Served
from tests.scheduler.core import making

WEB = JobKey(role="www", environment="test", name="webserver")
BIG = JobKey(role="www", environment="prod", name="api")
STUCK = JobKey(role="ads", environment="prod", name="trainer")
CRON = JobKey(role="ads", environment="prod", name="nightly")

#: What `aurora` puts into every update: a long word.
CLIENTS = Metadata(key=UPDATE_ID, value="6b0e1a2c-55d3-4c0e-9d0a-2f6a1c8f7b11")

_A, _U = JobUpdateAction, JobUpdateStatus

_rounds = itertools.count()


def config(job: JobKey, version: str = "1", name: str = "", **more: object) -> TaskConfig:
    """A service with a text of its own."""
    plain = making.config(making.limit("host", 10), cpus=0.5, ram=256, disk=1024, ports=("http",), job=job)
    data = json.dumps(
        {"task": {"name": job.name, "processes": [{"name": "server", "cmdline": f"./run {version}{name}"}]}}
    )
    return structs.replace(
        plain,
        is_service=True,
        executor_config=ExecutorConfig(name="AuroraExecutor", data=data),
        metadata=(Metadata(key="version", value=version + name),),
        contact_email=f"web@example.org{name}",
        partition_policy=PartitionPolicy(delay_secs=60),
        **more,  # type: ignore[arg-type]
    )


def offers(numbers: Iterable[int], round_: int = 0, cpus: float = 8.0) -> list[Offer]:
    """Of hosts of three racks in two zones; anew in each round."""
    return [
        structs.replace(
            making.offer(
                n, host=f"host-{n}.example", cpus=cpus, rack=f"r{n % 3}", zone="east" if n % 2 else "west"
            ),
            id=OfferID(value=f"o{n}-{round_}"),
        )
        for n in numbers
    ]  # fmt: skip


async def create(s: Served, wanted: TaskConfig, instances: int) -> None:
    await s.loop.act(lambda turn: s.loop.engine.insert(turn, wanted, range(instances)))


async def move(s: Served, job: JobKey, instances: Sequence[int], to: str, message: str = "") -> None:
    """The active tasks of these, as Mesos would say it."""

    def decide(turn: Turn) -> None:
        for instance in instances:
            task = s.tables.tasks.active(InstanceKey(job_key=job, instance_id=instance))
            assert task is not None
            s.loop.engine.change(turn, task.id, ScheduleStatus(to), message)

    await s.loop.act(decide)


def active(s: Served, job: JobKey) -> list[ScheduledTask]:
    return list(s.tables.tasks.active_of_job(job))


async def placed(s: Served, job: JobKey, instances: int) -> None:
    """What hosts have left is offered anew, until all are placed."""
    give_up_at = s.loop.now().mono + PATIENCE_S
    while sum(task.status == "ASSIGNED" for task in active(s, job)) != instances:
        assert s.loop.now().mono < give_up_at, f"not placed: {[task.status for task in active(s, job)]}"
        s.offers(*offers(range(12), next(_rounds)))
        await asyncio.sleep(0.005)


async def run_job(s: Served, wanted: TaskConfig, instances: int) -> None:
    """Until all of it is RUNNING."""
    await create(s, wanted, instances)
    await placed(s, wanted.job, instances)
    everyone = range(instances)
    await move(s, wanted.job, everyone, "STARTING", "Initializing sandbox.")
    await move(s, wanted.job, everyone, "RUNNING")


async def agents(s: Served, job: JobKey, broken: str, held: Collection[str] = ()) -> None:
    """Hosts that start all tasks of a job, and say so, for ever; those of the version `broken` exit after a moment.
    Nothing is heard of tasks of versions that are `held` at the time."""
    engine = s.loop.engine

    def answer(turn: Turn) -> None:
        for task in active(s, job):
            text = (task.config.executor_config or ExecutorConfig(name="")).data
            if any(f"./run {each}" in text for each in held):
                continue
            is_broken = f"./run {broken}" in text
            after = {"ASSIGNED": "STARTING", "STARTING": "RUNNING", "KILLING": "KILLED"}
            if is_broken:
                after["RUNNING"] = "FAILED"
            if task.status in after:
                to = ScheduleStatus(after[task.status])
                engine.change(turn, task.id, to, "exit code 3" if to == "FAILED" else "")

    while True:
        await s.loop.act(answer)
        if any(task.status == "PENDING" for task in active(s, job)):
            s.offers(*offers(range(20, 24), next(_rounds)))
        await asyncio.sleep(0.1)


class Story:
    """An update that a test tells event by event."""

    def __init__(
        self, s: Served, number: int, job: JobKey, before: TaskConfig, after: TaskConfig, count: int, batch: int = 2
    ) -> None:
        self._s = s
        self.key = JobUpdateKey(job=job, id=f"{number:08x}-0000-4000-8000-000000000000")
        settings = JobUpdateSettings(
            update_strategy=UpdateStrategy(batch_strategy=BatchStrategy(group_size=batch)),
            min_wait_in_instance_running_ms=5_000,
        )
        current = dict.fromkeys(range(count), before)
        diff = diff_instances(current, after, count)
        self._update = JobUpdate(
            summary=JobUpdateSummary(key=self.key, user="jane", metadata=(*after.metadata, CLIENTS)),
            instructions=instructions_of(diff, current, after, settings),
        )
        self.at_ms = int(s.loop.now().wall * 1000) - 60_000

    async def begin(self, message: str = "") -> None:
        await self._s.loop.act(lambda turn: turn.apply(SaveJobUpdate(update=self._update)))
        await self.status(_U.ROLLING_FORWARD, message, "jane")

    async def status(self, status: JobUpdateStatus, message: str = "", user: str | None = None) -> None:
        self.at_ms += 1_000
        event = JobUpdateEvent(status=status, timestamp_ms=self.at_ms, message=message or None, user=user)
        await self._s.loop.act(lambda turn: turn.apply(SaveJobUpdateEvents(key=self.key, events=(event,))))

    async def instances(self, action: JobUpdateAction, *instances: int, message: str = "") -> None:
        self.at_ms += 1_500
        events = tuple(
            JobInstanceUpdateEvent(instance_id=each, timestamp_ms=self.at_ms, action=action, message=message or None)
            for each in instances
        )
        await self._s.loop.act(lambda turn: turn.apply(SaveInstanceUpdateEvents(key=self.key, events=events)))


async def rolled_back(s: Served, number: int, job: JobKey, count: int, name: str = "") -> None:
    """An update whose second batch failed, and that was taken back."""
    story = Story(s, number, job, config(job, "1", name), config(job, "2", name), count)
    await story.begin(f"a new version{name}")
    await story.instances(_A.INSTANCE_UPDATING, 0, 1)
    await story.instances(_A.INSTANCE_UPDATED, 0, 1)
    await story.instances(_A.INSTANCE_UPDATING, 2, 3)
    await story.instances(_A.INSTANCE_UPDATE_FAILED, 2, message=f"exited{name}")
    await story.status(_U.ROLLING_BACK, f"Latest failure: instance 2 exited.{name}")
    await story.instances(_A.INSTANCE_ROLLING_BACK, 2, 3)
    await story.instances(_A.INSTANCE_ROLLED_BACK, 2, 3)
    await story.instances(_A.INSTANCE_ROLLING_BACK, 0, 1)
    await story.instances(_A.INSTANCE_ROLLED_BACK, 0, 1)
    await story.status(_U.ROLLED_BACK)


async def fill(s: Served, name: str = "", big: int = 60) -> None:
    """Everything."""
    s.registered()
    await run_job(s, config(WEB, "1", name), 4)
    await move(s, WEB, [2], "FAILED", f"exit code 3{name}")
    await s.until(lambda: len(active(s, WEB)) == 4)
    await run_job(s, config(BIG, "7", name), big)
    await rolled_back(s, 1, WEB, 4, name)
    story = Story(s, 2, BIG, config(BIG, "7", name), config(BIG, "8", name), big, batch=8)
    await story.begin(f"faster{name}")
    await story.instances(_A.INSTANCE_UPDATING, *range(8))
    await story.instances(_A.INSTANCE_UPDATED, *range(8))
    await story.instances(_A.INSTANCE_UPDATING, *range(8, 16))
    await story.instances(_A.INSTANCE_UPDATED, *range(8, 14))
    hungry = structs.replace(config(STUCK, "3", name), resources=(Resource(num_cpus=64.0), Resource(ram_mb=99_999)))
    await create(s, hungry, 3)
    await s.loop.act(lambda turn: _remember(turn, name))
    s.offers(*offers(range(9), next(_rounds)))
    await s.until(lambda: s.loop.engine.waiting(active(s, STUCK)[0].id) is not None)


def _remember(turn: Turn, name: str) -> None:
    nightly = structs.replace(config(CRON, "5", name), is_service=False)
    turn.apply(SaveCronJob(job=JobConfiguration(key=CRON, task_config=nightly, cron_schedule="0 3 * * *")))
    quota = ResourceAggregate(resources=(Resource(num_cpus=100.0), Resource(ram_mb=4096), Resource(disk_mb=9000)))
    turn.apply(SaveQuota(role="www", quota=quota))
    drained = HostAttributes(host="host-99.example", mode=MaintenanceMode.DRAINING, slave_id="a00099")
    turn.apply(SaveHostAttributes(attributes=drained))
