"""The life of a job in updates, as people type it, with everything real."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

from tests.client.aurora.e2e.test_jobs import Desk, Done
from tests.mesos.conformance.target import Target
from tests.mesos.ports import hold_port_for
from tests.scheduler.e2e.process import SchedulerProcess

CONFIG = """
class Profile(Struct):
    word = Default(String, 'sleep 1000')
    instances = Default(Integer, 3)
    watch = Default(Integer, 0)
task = Task(name = 'web', processes = [Process(name = 'main', cmdline = '{{profile.word}}', min_duration = 0)],
            resources = Resources(cpu = 0.1, ram = 32*MB, disk = 16*MB))
jobs = [Service(
    name = 'web', instances = '{{profile.instances}}', task = task, cluster = 'rz1', role = 'www', environment = 'test',
    update_config = UpdateConfig(batch_size = 2, watch_secs = '{{profile.watch}}'), ).bind(profile = Profile())]
"""
KEY = "rz1/www/test/web"


def desk_of(path: Path, scheduler: SchedulerProcess) -> Desk:
    desk = Desk(path, scheduler.url)
    (path / "web.aurora").write_text(CONFIG)
    return desk


async def start(desk: Desk, *binds: str, key: str = KEY) -> Done:
    options = [word for bind in binds for word in ("--bind", f"profile.{bind}")]
    return await desk.aurora("update", "start", "--wait", *options, key, "web.aurora")


def changed(done: Done) -> list[str]:
    """Instances that were updated, or rolled back, in this order."""
    return [line.split()[1].rpartition("/")[2] for line in done.out.splitlines()
            if line.endswith(("INSTANCE_UPDATED", "INSTANCE_ROLLED_BACK"))]  # fmt: skip


async def test_the_life_of_a_job_in_updates(mesos: Target, tmp_path: Path) -> None:
    async with SchedulerProcess(mesos, tmp_path / "store") as scheduler:
        desk = desk_of(tmp_path, scheduler)
        made = await start(desk)
        assert (made.code, made.err, sorted(changed(made))) == (0, "", ["0", "1", "2"])
        assert made.out.splitlines()[-1] == "Current state ROLLED_FORWARD"
        same = await start(desk)
        assert (same.code, same.out.splitlines()[-1]) == (0, "Job is unchanged by proposed update.")

        grow = ("--bind", "profile.word=sleep 2000", "--bind", "profile.instances=4")
        plan = json.loads(await desk.well("update", "plan", "-o", "json", *grow, KEY, "web.aurora"))
        assert plan["batches"][0]["kinds"] == {"add": 1, "replace": 1, "remove": 0}
        assert (plan["runningBefore"], plan["runningAfter"], plan["startSeconds"]["samples"]) == (3, 4, 3)
        grown = await start(desk, "word=sleep 2000", "instances=4")
        assert (grown.code, sorted(changed(grown))) == (0, ["0", "1", "2", "3"])

        bad = await start(desk, "word=exit 3", "watch=2", "instances=2", key=f"{KEY}/0-1")
        assert (bad.code, sorted(set(changed(bad)))) == (4, ["0", "1"])
        assert "ended as ROLLED_BACK: Latest failure: instance " in bad.err
        shrunk = await start(desk, "word=sleep 2000", "instances=2")
        assert (shrunk.code, sorted(changed(shrunk))) == (0, ["2", "3"])
        assert "not change instances: [0-1]" in shrunk.out

        listed = json.loads(await desk.well("update", "list", "-o", "json", "rz1/www"))
        assert [each["status"] for each in listed] == [
            "ROLLED_FORWARD", "ROLLED_BACK", "ROLLED_FORWARD", "ROLLED_FORWARD",
        ]  # fmt: skip
        info = await desk.well("update", "info", KEY, listed[1]["id"])
        assert "Instance 0 at " in info
        await scheduler.forget()


async def test_what_people_do_in_the_middle_and_a_scheduler_that_is_killed(mesos: Target, tmp_path: Path) -> None:
    store = tmp_path / "store"
    port = f"--http_port={hold_port_for(mesos)}"
    async with SchedulerProcess(mesos, store, port) as first:
        desk = desk_of(tmp_path, first)
        following = await desk.start("update", "start", "--wait", "--bind", "profile.watch=1000", KEY, "web.aurora")
        await _until(following, "INSTANCE_UPDATING")
        second = await desk.aurora("update", "start", "--bind", "profile.instances=5", KEY, "web.aurora")
        key = json.loads(await desk.well("update", "list", "-o", "json", "--status", "active", "rz1"))[0]["id"]
        assert second.code == 10
        assert f"being updated already: {key}" in second.err
        assert await desk.well("update", "pause", "-m", "coffee", KEY) == "Update has been paused.\n"
        assert "  it is paused" in await desk.well("update", "info", KEY)
        other = await desk.start("update", "wait", KEY)
        await _until(other, "Current state ROLL_FORWARD_PAUSED: coffee")
        other.send_signal(signal.SIGINT)
        interrupted = await desk.end(other)
        assert interrupted.code == 130
        assert f"no longer following; the update goes on: aurora update wait {KEY}" in interrupted.err
        await first.kill()
    async with SchedulerProcess(mesos, store, port) as again:
        assert await desk.well("update", "resume", KEY) == "Update has been resumed.\n"
        assert "Update rollback has started.\n" in await desk.well("update", "rollback", "--wait", KEY)
        done = await desk.end(following)
        assert (done.code, done.out.splitlines()[-1]) == (4, "Current state ROLLED_BACK")
        assert (await desk.aurora("update", "abort", KEY)).code == 6

        await desk.well("update", "start", "--bind", "profile.watch=1000", KEY, "web.aurora")
        assert await desk.well("update", "abort", KEY) == "Update has been aborted.\n"
        assert (await desk.aurora("update", "wait", KEY)).code == 6
        listed = json.loads(await desk.well("update", "list", "-o", "json", "rz1"))
        assert [each["status"] for each in listed] == ["ABORTED", "ROLLED_BACK"]
        await again.forget()


async def _until(child: asyncio.subprocess.Process, words: str) -> None:
    assert child.stdout is not None
    async with asyncio.timeout(90):
        while words not in (line := (await child.stdout.readline()).decode()):
            assert line, f"it ended without {words!r}"
