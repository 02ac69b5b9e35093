"""Agents that go out of sight and come back, and what becomes of their tasks by each policy."""

from __future__ import annotations

from pathlib import Path

from scheduler.core.states import ScheduleStatus
from tests.executor.e2e.aurora import nothing_is_left
from tests.mesos.conformance.target import Target
from tests.scheduler.e2e.scheduled import PartitionPolicy, Scheduled, job_of

PARTITIONED, LOST, RUNNING = ScheduleStatus.PARTITIONED, ScheduleStatus.LOST, ScheduleStatus.RUNNING


async def test_partition_policies(mesos: Target, tmp_path: Path) -> None:
    """One agent is killed with four tasks on it; their executors live on, and the agent comes back."""
    async with Scheduled(mesos, tmp_path / "store") as scheduled:
        there = {"host": "agent1"}
        policies = {
            "waits": PartitionPolicy(reschedule=False),
            "hasty": PartitionPolicy(reschedule=True, delay_secs=0),
            "patient": PartitionPolicy(reschedule=True, delay_secs=600),
        }
        keys = {}
        for name, policy in policies.items():
            keys[name] = await scheduled.create(job_of(name, constraints=there, partition_policy=policy))
        keys["default"] = await scheduled.create(job_of("default", constraints=there))
        tasks = {name: (await scheduled.running(key))[0] for name, key in keys.items()}

        await mesos.kill_agent(1)
        gone = (await scheduled.status(tasks["hasty"].id, LOST), await scheduled.status(tasks["default"].id, LOST))
        for task in gone:
            assert [e.status for e in task.task_events][-2:] == [PARTITIONED, LOST]
            assert task.task_events[-1].message == "Task partitioned for too long."
        assert [t.status for name in ("hasty", "default") for t in scheduled.active(keys[name])] == [
            ScheduleStatus.PENDING
        ] * 2  # they may run nowhere else
        for name in ("waits", "patient"):
            assert (await scheduled.status(tasks[name].id, PARTITIONED)).times_partitioned == 1

        await mesos.start_agent(1)
        for name in ("waits", "patient"):
            back = await scheduled.status(tasks[name].id, RUNNING)
            assert back.id == tasks[name].id
            assert back.assigned_task == tasks[name].assigned_task
        for name in ("hasty", "default"):
            (replaced,) = await scheduled.running(keys[name])
            assert replaced.ancestor_id == tasks[name].id
        await scheduled.forget()


async def test_without_partition_awareness_they_are_lost(mesos: Target, tmp_path: Path) -> None:
    async with Scheduled(mesos, tmp_path / "store", partition_aware=False) as scheduled:
        key = await scheduled.create(job_of("web", constraints={"host": "limit:1"}))
        (task,) = await scheduled.running(key)
        number = int(task.assigned_task.slave_host.removeprefix("agent"))
        await mesos.kill_agent(number)
        lost = await scheduled.status(task.id, LOST)
        assert PARTITIONED not in [event.status for event in lost.task_events]
        (replaced,) = await scheduled.running(key)  # on the other agent
        assert replaced.assigned_task.slave_host != task.assigned_task.slave_host
        await mesos.start_agent(number)
        # the master has its task ended; a teardown before that crashes Mesos 1.11 ("scalars does not contain")
        await nothing_is_left(f"thermos-{task.id}")
        await scheduled.forget()
