"""Schedulers that are killed and come back, masters that do, and a framework that an operator ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

from scheduler.core.states import ScheduleStatus
from tests.executor.e2e.aurora import nothing_is_left, processes_with
from tests.mesos.conformance.asking import until
from tests.mesos.conformance.target import Target
from tests.scheduler.e2e.process import SchedulerProcess
from tests.scheduler.e2e.scheduled import Scheduled, executors_of, job_of


def sleepers(task_id: str) -> list[int]:
    """Pids of the task's own process, and of nothing that minds it."""
    found = []
    for pid in processes_with(task_id):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", b"1000"]:
            found.append(pid)
    return found


async def asleep(ids: Mapping[int, str]) -> dict[int, list[int]]:
    """Pids by instance, when each has at least one: a task that runs is a shell for a moment longer."""

    async def look() -> dict[int, list[int]]:
        found = {instance: sleepers(task_id) for instance, task_id in ids.items()}
        return found if all(found.values()) else {}

    pids: dict[int, list[int]] = await until(look, f"sleepers of {ids}")
    return pids


async def test_a_killed_scheduler_comes_back_and_nothing_is_started_anew(mesos: Target, tmp_path: Path) -> None:
    store = tmp_path / "store"
    job = job_of("web", "exec sleep 1000; : {{thermos.task_id}}", instances=3)
    async with SchedulerProcess(mesos, store) as before:
        key = await before.create(job)
        ids = await before.running(key, 3)
        pids = await asleep(ids)
        assert all(len(found) == 1 for found in pids.values())
        await before.kill()
    for pid in executors_of(ids[2]):  # it ends while nobody listens
        os.kill(pid, signal.SIGKILL)
    async with SchedulerProcess(mesos, store) as after:
        assert after.framework == before.framework

        now = await after.running(key, 3, until=lambda found: found[2] != ids[2])
        assert (now[0], now[1]) == (ids[0], ids[1])
        assert (sleepers(ids[0]), sleepers(ids[1])) == (pids[0], pids[1])
        history = await after.tasks(key, active=False)
        assert sorted(task["assignedTask"]["taskId"] for task in history) == sorted({*ids.values(), now[2]})
        assert [t["status"] for t in history if t["assignedTask"]["taskId"] == ids[2]] in (["FAILED"], ["LOST"])
        await after.forget()


async def test_killed_while_it_launches(mesos: Target, tmp_path: Path) -> None:
    """What was answered is not lost; every instance runs, once."""
    store = tmp_path / "store"
    async with SchedulerProcess(mesos, store) as before:
        key = await before.create(job_of("web", "exec sleep 1000; : {{thermos.task_id}}", instances=6))
        await before.kill()
    async with SchedulerProcess(mesos, store, "--reconciliation_initial_delay=500ms") as after:
        ids = await after.running(key, 6)
        assert sorted(ids) == list(range(6))
        assert [len(found) for found in (await asleep(ids)).values()] == [1] * 6
        await after.forget()


async def test_a_teardown_ends_all_and_the_next_scheduler_begins_anew(mesos: Target, tmp_path: Path) -> None:
    store = tmp_path / "store"
    async with SchedulerProcess(mesos, store) as before:
        key = await before.create(job_of("web", "exec sleep 1000; : {{thermos.task_id}}"))
        ids = await before.running(key, 1)
        pids = await asleep(ids)
    assert sleepers(ids[0]) == pids[0]  # an ordinary end ends no task
    code, lines = await SchedulerProcess(mesos, store, "--teardown_framework", "--yes").run()
    assert (code, lines[-1]) == (0, f"aurora_scheduler: framework {before.framework} and its tasks are no more")
    await nothing_is_left(f"thermos-{ids[0]}")
    async with SchedulerProcess(mesos, store) as after:
        assert after.framework != before.framework
        await after.running(key, 1, until=lambda found: found != ids)
        await after.forget()


async def test_a_master_is_started_anew(mesos: Target, tmp_path: Path) -> None:
    async with Scheduled(mesos, tmp_path / "store") as scheduled:
        key = await scheduled.create(job_of("web", instances=2))
        before = await scheduled.running(key, 2)
        await mesos.kill_master()
        await scheduled.until(lambda: not scheduled.scheduler.engine.is_registered, "end of the subscription")
        await scheduled.restart(key, [1])  # decided while nobody can be told
        await mesos.start_master()
        await scheduled.until(lambda: scheduled.scheduler.engine.is_registered, "subscription")
        await scheduled.until(lambda: scheduled.active(key)[1].id != before[1].id, "replacement")
        now = await scheduled.running(key, 2)
        assert now[0].assigned_task == before[0].assigned_task
        assert now[1].ancestor_id == before[1].id
        await scheduled.forget()


async def test_a_framework_that_an_operator_ended_begins_anew(mesos: Target, tmp_path: Path) -> None:
    async with Scheduled(mesos, tmp_path / "store") as scheduled:
        key = await scheduled.create(job_of("web"))
        (task,) = await scheduled.running(key)
        framework = scheduled.scheduler.store.tables.framework_id
        await scheduled.forget()
        await scheduled.status(task.id, ScheduleStatus.LOST)
        (replaced,) = await scheduled.running(key)
        assert replaced.ancestor_id == task.id
        assert scheduled.scheduler.store.tables.framework_id not in (framework, None)
        await scheduled.forget()
