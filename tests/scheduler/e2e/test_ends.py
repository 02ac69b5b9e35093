"""Tasks that end by themselves, and what replaces them; ad-hoc tasks; a job that flaps."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from scheduler.core.states import ScheduleStatus
from tests.mesos.conformance.target import Target
from tests.scheduler.e2e.scheduled import Scheduled, executors_of, job_of, key_of


async def test_what_ends_is_replaced_or_not(mesos: Target, tmp_path: Path) -> None:
    async with Scheduled(mesos, tmp_path / "store") as scheduled:
        done = await scheduled.create(job_of("done", "true", service=False))
        failing = await scheduled.create(job_of("failing", "exit 3", service=False, max_task_failures=2))
        tasks = scheduled.scheduler.store.tables.tasks
        await scheduled.until(lambda: not scheduled.active(done) and not scheduled.active(failing), "end of both")
        assert [task.status for task in tasks.all() if task.config.job == done] == [ScheduleStatus.FINISHED]
        tries = sorted((t for t in tasks.all() if t.config.job == failing), key=lambda t: t.failure_count)
        assert [(t.status, t.failure_count) for t in tries] == [(ScheduleStatus.FAILED, 1), (ScheduleStatus.FAILED, 2)]
        assert "exit code 3" in tries[0].task_events[-1].message
        await scheduled.forget()


async def test_a_service_whose_executor_is_killed_is_replaced(mesos: Target, tmp_path: Path) -> None:
    async with Scheduled(mesos, tmp_path / "store") as scheduled:
        key = await scheduled.create(job_of("web"))
        (first,) = await scheduled.running(key)
        assert executors_of(first.id)
        for pid in executors_of(first.id):
            os.kill(pid, signal.SIGKILL)
        await scheduled.until(lambda: scheduled.task(first.id).status not in (ScheduleStatus.RUNNING,), "its end")
        (second,) = await scheduled.running(key)
        assert second.ancestor_id == first.id
        await scheduled.forget()


async def test_a_job_that_flaps_is_throttled(mesos: Target, tmp_path: Path) -> None:
    rules = {"flapping_task_threshold": 300.0, "initial_flapping_task_delay": 0.5, "max_flapping_task_delay": 2.0}
    async with Scheduled(mesos, tmp_path / "store", **rules) as scheduled:
        key = await scheduled.create(job_of("flaps", "exit 1"))
        tasks = scheduled.scheduler.store.tables.tasks

        def throttled() -> list[int]:
            found = sorted((t for t in tasks.all() if t.config.job == key), key=lambda t: t.task_events[0].timestamp)
            words = [t.task_events[0].message for t in found if t.task_events[0].status is ScheduleStatus.THROTTLED]
            return [int(w.removeprefix("Rescheduled, penalized for ").removesuffix(" ms for flapping")) for w in words]

        await scheduled.until(lambda: len(throttled()) >= 3, "third penalty")
        first, *later = throttled()
        assert 500 <= first <= 1000  # what chance adds to the first pause is at most as much again
        assert all(500 <= penalty <= 2000 for penalty in later)
        waited = next(t for t in tasks.all() if len(t.task_events) > 2 and t.ancestor_id is not None)
        was_throttled, was_pending = waited.task_events[:2]
        assert was_pending.status is ScheduleStatus.PENDING
        assert was_pending.timestamp - was_throttled.timestamp >= 500
        await scheduled.kill(key_of("flaps"))
        await scheduled.until(lambda: not scheduled.active(key), "end")
        await scheduled.forget()
