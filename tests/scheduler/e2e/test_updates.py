"""Rolling updates with everything real below them: forward, back, paused, aborted, over a scheduler that is killed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from config.schema import HealthCheckConfig, HealthCheckerConfig, ShellHealthChecker
from scheduler.core.states import ScheduleStatus
from scheduler.core.update_model import (
    UPDATE_ACTIVE,
    BatchStrategy,
    JobUpdateRequest,
    JobUpdateSettings,
    UpdateStrategy,
    VarBatchStrategy,
)
from scheduler.core.update_states import Wish
from scheduler.service import updates
from scheduler.service.updates import UpdateInProgress
from scheduler.store.update_table import UpdateEntry
from scheduler.update_desk import SETTLE_S
from tests.mesos.conformance import asking
from tests.mesos.conformance.target import Target
from tests.scheduler.e2e.process import SchedulerProcess
from tests.scheduler.e2e.scheduled import Scheduled, configuration, job_of, key_of

KEY = key_of("web")
NEW = "exec sleep 2000"


def settings(size: int = 2, watch_s: float = 0.0, **more: Any) -> JobUpdateSettings:
    strategy = UpdateStrategy(batch_strategy=BatchStrategy(group_size=size))
    return JobUpdateSettings(
        **{"update_strategy": strategy, "min_wait_in_instance_running_ms": int(watch_s * 1000), **more}
    )


class Updating:
    """The job `web` on a scheduler, in updates."""

    def __init__(self, scheduled: Scheduled) -> None:
        self.scheduled = scheduled

    async def start(self, job: Any, how: JobUpdateSettings | None = None) -> str:
        wanted = configuration(job)
        request = JobUpdateRequest(
            task_config=wanted.task_config, instance_count=wanted.instance_count, settings=how or settings()
        )
        act = self.scheduled.scheduler.loop.act
        made = await act(lambda turn: updates.start_update(self.scheduled.context, turn, request, "me"))
        assert made.key is not None, made.message
        return made.key.id

    async def wish(self, wish: Wish) -> None:
        act = self.scheduled.scheduler.loop.act
        await act(lambda turn: updates.wish(self.scheduled.context, turn, KEY, "active", wish, "me"))

    def entry(self, update_id: str) -> UpdateEntry:
        return updates.find_update(self.scheduled.context, KEY, update_id)

    async def status(self, update_id: str, *statuses: str) -> None:
        """Waits for these in turn; the last one is then its status."""

        def look() -> bool:
            told = [event.status.value for event in self.entry(update_id).events]
            assert told == list(statuses[: len(told)]), (told, self.entry(update_id).events)
            return len(told) == len(statuses)

        await self.scheduled.until(look, f"{statuses}")

    async def ended(self, update_id: str) -> list[str]:
        """All its statuses."""
        await self.scheduled.until(
            lambda: self.entry(update_id).state.status not in UPDATE_ACTIVE, f"the end of {update_id}"
        )
        return [event.status.value for event in self.entry(update_id).events]

    async def rolled_forward(self, job: Any, how: JobUpdateSettings | None = None) -> UpdateEntry:
        update_id = await self.start(job, how)
        assert await self.ended(update_id) == ["ROLLING_FORWARD", "ROLLED_FORWARD"]
        return self.entry(update_id)

    def commands(self) -> dict[int, str]:
        """What each active instance runs; all of them run."""
        found = {}
        for task in self.scheduled.active(KEY):
            assert task.status is ScheduleStatus.RUNNING, task
            found[task.assigned_task.instance_id] = command_of(msgspec.to_builtins(task.config))
        return found


def command_of(config: Mapping[str, Any]) -> str:
    data = msgspec.json.decode(config["executorConfig"]["data"])
    return str(data["task"]["processes"][0]["cmdline"])


def touched(entry: UpdateEntry) -> list[int]:
    return sorted({event.instance_id for event in entry.instance_events})


async def test_a_job_is_made_changed_resized_and_left_alone(mesos: Target, tmp_path: Path) -> None:
    async with Scheduled(mesos, tmp_path / "store") as scheduled:
        job = Updating(scheduled)
        made = await job.rolled_forward(job_of("web", instances=3))
        assert touched(made) == [0, 1, 2]
        first = [task.id for task in scheduled.active(KEY)]

        watched = await job.rolled_forward(job_of("web", NEW, instances=3), settings(watch_s=0.5))
        assert job.commands() == dict.fromkeys(range(3), NEW)
        state = watched.state
        assert state.last_modified_timestamp_ms - state.created_timestamp_ms >= 1000  # two batches, each watched
        assert {scheduled.task(task_id).status for task_id in first} == {ScheduleStatus.KILLED}
        second = [task.id for task in scheduled.active(KEY)]

        added = await job.rolled_forward(job_of("web", NEW, instances=5))
        assert touched(added) == [3, 4]
        removed = await job.rolled_forward(job_of("web", NEW, instances=2))
        assert touched(removed) == [2, 3, 4]
        assert [task.id for task in scheduled.active(KEY)] == second[:2]
        with pytest.raises(AssertionError, match="Job is unchanged by proposed update"):
            await job.start(job_of("web", NEW, instances=2))
        await scheduled.forget()


async def test_what_is_never_healthy_is_rolled_back(mesos: Target, tmp_path: Path) -> None:
    async with Scheduled(mesos, tmp_path / "store") as scheduled:
        job = Updating(scheduled)
        await job.rolled_forward(job_of("web", instances=2))
        before = [task.config for task in scheduled.active(KEY)]
        ill = HealthCheckConfig(
            initial_interval_secs=0, interval_secs=0.2,
            health_checker=HealthCheckerConfig(shell=ShellHealthChecker(shell_command="false")),
        )  # fmt: skip
        update_id = await job.start(job_of("web", NEW, instances=2, health_check_config=ill), settings(1))
        assert await job.ended(update_id) == ["ROLLING_FORWARD", "ROLLING_BACK", "ROLLED_BACK"]
        assert job.entry(update_id).events[1].message == "Latest failure: instance 0 exited."
        assert touched(job.entry(update_id)) == [0]
        assert [task.config for task in await scheduled.running(KEY, 2)] == before
        await scheduled.forget()


async def test_batches_that_pause_and_an_abort_in_the_middle(mesos: Target, tmp_path: Path) -> None:
    async with Scheduled(mesos, tmp_path / "store") as scheduled:
        job = Updating(scheduled)
        await job.rolled_forward(job_of("web", instances=3))
        var = VarBatchStrategy(group_sizes=(1, 2), autopause_after_batch=True)
        pausing = JobUpdateSettings(update_strategy=UpdateStrategy(var_batch_strategy=var))
        update_id = await job.start(job_of("web", NEW, instances=3), pausing)
        await job.status(update_id, "ROLLING_FORWARD", "ROLL_FORWARD_PAUSED")
        assert sorted(job.commands()) == [0, 1, 2] and list(job.commands().values()).count(NEW) == 1
        assert job.entry(update_id).events[1].message == "Update auto paused"
        await job.wish(Wish.RESUME)
        assert (await job.ended(update_id))[-2:] == ["ROLLING_FORWARD", "ROLLED_FORWARD"]

        other = "exec sleep 3000"
        update_id = await job.start(job_of("web", other, instances=3), settings(2, watch_s=3600))
        both = "two instances that run the new command"
        await scheduled.until(
            lambda: (
                [task.status for task in scheduled.active(KEY)].count(ScheduleStatus.RUNNING) == 3
                and list(job.commands().values()).count(other) == 2
            ),
            both,
        )
        await job.wish(Wish.ABORT)
        assert await job.ended(update_id) == ["ROLLING_FORWARD", "ABORTED"]
        assert job.commands() == {0: other, 1: other, 2: NEW}
        await scheduled.forget()


async def test_a_second_update_is_refused(mesos: Target, tmp_path: Path) -> None:
    async with Scheduled(mesos, tmp_path / "store") as scheduled:
        job = Updating(scheduled)
        update_id = await job.start(job_of("web", instances=1), settings(watch_s=3600))
        with pytest.raises(UpdateInProgress, match=update_id):
            await job.start(job_of("web", NEW, instances=1))
        await scheduled.forget()


async def test_over_a_scheduler_that_is_killed(mesos: Target, tmp_path: Path) -> None:
    """Killed with one batch in the works, then paused and killed again: what is paused stays so."""
    store = tmp_path / "store"
    job, url = configuration(job_of("web", NEW, instances=4)), f"/jobs/{KEY}/updates"
    body: dict[str, Any] = {
        "taskConfig": msgspec.to_builtins(job.task_config),
        "instanceCount": 4,
        "settings": msgspec.to_builtins(settings(2, watch_s=1.5)),
    }
    async with SchedulerProcess(mesos, store) as before:
        await before.create(job_of("web", instances=4))
        old = await before.running(KEY, 4)
        update_id = (await before.ask("POST", url, body, status=201))["key"]["id"]
        await begun(before, url)
        await before.kill()
    async with SchedulerProcess(mesos, store) as between:
        await batch_done(between, f"{url}/{update_id}")
        paused = await between.ask("POST", f"{url}/active/pause", {"message": "wait"})
        assert paused["status"] == "ROLL_FORWARD_PAUSED"
        await between.kill()
    async with SchedulerProcess(mesos, store) as after:
        details = await after.ask("GET", f"{url}/active")
        assert (details["status"], details["waitsFor"][0]["kind"]) == ("ROLL_FORWARD_PAUSED", "RESUME")
        second = {**body, "taskConfig": {**body["taskConfig"], "priority": 7}}
        refused = (await after.ask("POST", url, second, status=409))["error"]
        assert (refused["code"], refused["update"]["key"]["id"]) == ("JOB_UPDATING", update_id)
        await after.ask("POST", f"{url}/active/resume", {})
        now = await after.running(KEY, 4, until=lambda found: not set(found.values()) & set(old.values()))
        details = await asking.until(lambda: ended(after, f"{url}/{update_id}"), "the end of the update", 60)
        told = [event["status"] for event in details["updateEvents"]]
        assert told == ["ROLLING_FORWARD", "ROLL_FORWARD_PAUSED", "ROLLING_FORWARD", "ROLLED_FORWARD"]
        actions = [(event["instanceId"], event["action"]) for event in details["instanceEvents"]]
        words = ("INSTANCE_UPDATED", "INSTANCE_UPDATING")
        assert sorted(actions) == [(instance, word) for instance in range(4) for word in words]
        history = await after.tasks(KEY, active=False)
        started = [t for t in history if {"STARTING", "RUNNING"} & {event["status"] for event in t["taskEvents"]}]
        assert {task["assignedTask"]["taskId"] for task in started} == {*old.values(), *now.values()}
        await after.forget()


async def test_killed_again_and_again(mesos: Target, tmp_path: Path) -> None:
    """Whatever it was doing each time: no instance is begun twice, none is left out, and nothing is taken for a
    failure."""
    store, chance = tmp_path / "store", random.Random(7)
    job, url = configuration(job_of("web", NEW, instances=4)), f"/jobs/{KEY}/updates"
    async with SchedulerProcess(mesos, store) as scheduler:
        await scheduler.create(job_of("web", instances=4))
        old = await scheduler.running(KEY, 4)
        body = {"taskConfig": msgspec.to_builtins(job.task_config), "instanceCount": 4, "settings": {}}
        update_id = (await scheduler.ask("POST", url, body, status=201))["key"]["id"]
        await asyncio.sleep(chance.uniform(0, 1))
        await scheduler.kill()
    for _ in range(2):
        async with SchedulerProcess(mesos, store) as scheduler:
            await asyncio.sleep(SETTLE_S + chance.uniform(-0.5, 1.5))
            await scheduler.kill()
    async with SchedulerProcess(mesos, store) as scheduler:
        now = await scheduler.running(KEY, 4, until=lambda found: not set(found.values()) & set(old.values()))
        details = await asking.until(lambda: ended(scheduler, f"{url}/{update_id}"), "the end of the update", 60)
        assert [event["status"] for event in details["updateEvents"]] == ["ROLLING_FORWARD", "ROLLED_FORWARD"]
        told = [(event["instanceId"], event["action"]) for event in details["instanceEvents"]]
        assert told == [(n, action) for n in range(4) for action in ("INSTANCE_UPDATING", "INSTANCE_UPDATED")]
        assert await scheduler.running(KEY, 4) == now
        await scheduler.forget()


async def begun(scheduler: SchedulerProcess, url: str) -> None:
    async def look() -> Any:
        return (await scheduler.ask("GET", f"{url}/active"))["instanceEvents"]

    await asking.until(look, "a batch that has begun")


async def batch_done(scheduler: SchedulerProcess, url: str) -> None:
    async def look() -> bool:
        events = (await scheduler.ask("GET", url))["instanceEvents"]
        return [event["action"] for event in events].count("INSTANCE_UPDATED") >= 2

    await asking.until(look, "a batch that is done", 60)


async def ended(scheduler: SchedulerProcess, url: str) -> Any:
    details = await scheduler.ask("GET", url)
    return details if details["status"] == "ROLLED_FORWARD" else None
