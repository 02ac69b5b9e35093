"""What people type, from the first job to its end, with everything real."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.mesos.conformance.target import Target
from tests.mesos.ports import hold_port_for
from tests.scheduler.e2e.process import SchedulerProcess

AURORA = Path(sys.executable).parent / "aurora"
PATIENCE_S = 90.0

CONFIG = """
class Profile(Struct):
    word = Default(String, 'sleep 1000')
    cpu = Default(Float, 0.1)
def task(name):
    return Task(name = name, processes = [Process(name = 'main', cmdline = '{{profile.word}}', min_duration = 0)],
                resources = Resources(cpu = '{{profile.cpu}}', ram = 32*MB, disk = 16*MB))
where = dict(cluster = 'rz1', role = 'www', environment = 'test')
jobs = [each.bind(profile = Profile()) for each in (
    Service(name = 'web', instances = 2, task = task('web'), **where),
    Job(name = 'once', instances = 2, task = task('once'), **where),
    Service(name = 'big', task = task('big'), **where))]
"""


@dataclass
class Done:
    code: int
    out: str
    err: str


class Desk:
    """A user's files, and the command as a process."""

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        (path / "clusters.json").write_text(json.dumps([{"name": "rz1", "scheduler_uri": url}]))
        (path / "web.aurora").write_text(CONFIG)
        self._environment = {**os.environ, "AURORA_CONFIG_ROOT": str(path), "HOME": str(path)}

    def login(self, name: str) -> None:
        """As this user, with the password `secret`, from now on."""
        netrc = self.path / ".netrc"
        netrc.write_text(f"machine 127.0.0.1 login {name} password secret\n")
        netrc.chmod(0o600)

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            AURORA, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=self.path,
            env=self._environment, limit=2**24,
        )  # fmt: skip

    async def aurora(self, *words: str) -> Done:
        return await self.end(await self.start(*words))

    async def end(self, child: asyncio.subprocess.Process) -> Done:
        out, err = await asyncio.wait_for(child.communicate(), PATIENCE_S)
        assert child.returncode is not None
        return Done(child.returncode, out.decode(), err.decode())

    async def well(self, *words: str) -> str:
        done = await self.aurora(*words)
        assert (done.code, done.err) == (0, ""), (words, done)
        return done.out


def host_of(out: str, key: str) -> list[str]:
    return [line.split(" on ")[1].split(":")[0] for line in out.splitlines() if f"{key} RUNNING on " in line]


async def test_the_life_of_a_job(mesos: Target, tmp_path: Path) -> None:
    async with SchedulerProcess(mesos, tmp_path / "store") as scheduler:
        desk, key = Desk(tmp_path, scheduler.url), "rz1/www/test/web"
        out = await desk.well("job", "create", "--wait-until", "RUNNING", key, "web.aurora")
        assert len(host_of(out, f"{key}/0")) == len(host_of(out, f"{key}/1")) == 1
        assert out.splitlines()[-1] == f"Job create succeeded: job url={scheduler.url}/scheduler/www/test/web"

        again = await desk.aurora("job", "create", key, "web.aurora")
        assert (again.code, again.err) == (10, "aurora: Job www/test/web already exists\n")
        assert await desk.well("job", "list", "rz1/*/test") == f"{key}\n"
        assert "Active tasks (2):" in await desk.well("job", "status", "rz1/www")
        status = json.loads(await desk.well("job", "status", "-o", "json", key))
        before = {task["assignedTask"]["taskId"] for task in status[0]["active"]}
        assert "waits for no host" in await desk.well("job", "why", f"{key}/0")

        same = await desk.well("job", "diff", key, "web.aurora")
        assert same == "This job update will:\nnot change instances: [0-1]\n"
        other = await desk.well("job", "diff", "--bind", "profile.word=sleep 2000", f"{key}/1", "web.aurora")
        assert '+            "cmdline": "sleep 2000",' in other
        assert "update instances: [1]" in other

        restarted = await desk.well("job", "restart", "--watch-secs", "0.1", "-o", "json", f"{key}/0")
        assert json.loads(restarted)["restarted"] == [0]
        status = json.loads(await desk.well("job", "status", "-o", "json", key))
        after = {task["assignedTask"]["taskId"] for task in status[0]["active"]}
        assert len(before & after) == 1
        assert "instances 2" in await desk.well("job", "add", "--wait-until", "RUNNING", f"{key}/0", "1")
        assert "Non-production" in await desk.well("quota", "get", "rz1/www")

        assert "Job kill succeeded" in await desk.well("job", "kill", "-m", "enough", f"{key}/1")
        assert "Job killall succeeded" in await desk.well("job", "killall", "--batch-size", "5", key)
        status_text = await desk.well("job", "status", key)
        assert "Active tasks (0):" in status_text
        assert "KILLING: Killed by UNSECURE. enough" in status_text
        assert (await desk.aurora("job", "killall", key)).code == 6
        await scheduler.forget()


async def test_jobs_that_end_and_one_that_finds_no_host(mesos: Target, tmp_path: Path) -> None:
    async with SchedulerProcess(mesos, tmp_path / "store") as scheduler:
        desk, key = Desk(tmp_path, scheduler.url), "rz1/www/test/once"
        out = await desk.well("job", "run", "--bind", "profile.word=true", key, "web.aurora")
        assert out.splitlines()[-1] == f"Job {key} finished"
        failed = await desk.aurora("job", "run", "--bind", "profile.word=exit 3", key, "web.aurora")
        assert failed.code == 4
        assert failed.err.startswith(f"aurora: {key}: instances 0-1 FAILED: Task failed.")

        big = "rz1/www/test/big"
        await desk.well("job", "create", "--bind", "profile.cpu=999", big, "web.aurora")
        async with asyncio.timeout(60):  # what ended gives its offer back in a moment
            while await _reasons(desk, f"{big}/0") != {"Insufficient: CPU"}:
                await asyncio.sleep(0.2)
        assert "Job killall succeeded" in await desk.well("job", "killall", big)
        done = await desk.aurora("job", "why", f"{big}/0")
        assert (done.code, done.err) == (6, "aurora: There is no active task of www/test/big/0\n")
        await scheduler.forget()


async def test_following_outlives_the_scheduler_and_its_end_is_not_the_job_s(mesos: Target, tmp_path: Path) -> None:
    key, store = "rz1/www/test/once", tmp_path / "store"
    flag = tmp_path / "go"
    port = f"--http_port={hold_port_for(mesos)}"
    async with SchedulerProcess(mesos, store, port) as first:
        desk = Desk(tmp_path, first.url)
        word = f"while [ ! -e {flag} ]; do sleep 0.05; done"
        following = await desk.start("job", "run", "--bind", f"profile.word={word}", key, "web.aurora")
        await _until_running(following, f"{key}/0", f"{key}/1")
        other = await desk.start("job", "restart", "--watch-secs", "1000", f"{key}/0")
        await _until_running(other, f"{key}/0", times=2)
        other.send_signal(signal.SIGINT)
        interrupted = await desk.end(other)
        assert interrupted.code == 130
        assert "stopped: instances restarted: none, 0 left; the job goes on" in interrupted.err
        await first.kill()
    async with SchedulerProcess(mesos, store, port) as second:
        flag.touch()
        done = await desk.end(following)
        assert (done.code, done.out.splitlines()[-1]) == (0, f"Job {key} finished")
        await second.forget()


async def test_who_may(mesos: Target, tmp_path: Path) -> None:
    key, users = "rz1/www/test/web", tmp_path / "users.ini"
    users.write_text("[users]\nme = secret, web\nother = secret\n[roles]\nweb = thrift.AuroraSchedulerManager:*:www\n")
    users.chmod(0o600)
    flags = ("--http_authentication_mechanism=BASIC", f"--shiro_ini_path={users}")
    async with SchedulerProcess(mesos, tmp_path / "store", *flags) as scheduler:
        desk = Desk(tmp_path, scheduler.url)
        assert await desk.well("job", "list", "rz1") == "", "everybody may look"
        for login, words in ((None, "asks who you are"), ("other", "other may not do this: the permission ")):
            if login is not None:
                desk.login(login)
            refused = await desk.aurora("job", "create", key, "web.aurora")
            assert refused.code == 30
            assert words in refused.err
        desk.login("me")
        assert "succeeded" in await desk.well("job", "create", "--wait-until", "RUNNING", key, "web.aurora")
        assert "succeeded" in await desk.well("job", "killall", "--no-batching", key)
        assert "Killed by me" in await desk.well("job", "status", key)


async def _until_running(child: asyncio.subprocess.Process, *keys: str, times: int = 1) -> None:
    """Reads on until each has been seen running so often."""
    assert child.stdout is not None
    left = [key for key in keys for _ in range(times)]
    while left:
        line = (await asyncio.wait_for(child.stdout.readline(), PATIENCE_S)).decode()
        assert line, "it ended before"
        left = _without(left, next((key for key in left if f" {key} RUNNING" in line), None))


async def _reasons(desk: Desk, instance: str) -> set[str]:
    """Why it waits."""
    why = json.loads(await desk.well("job", "why", "-o", "json", instance))
    assert why["status"] == "PENDING"
    return set(why["byReason"])


def _without(keys: list[str], key: str | None) -> list[str]:
    if key is not None:
        keys.remove(key)
    return keys
