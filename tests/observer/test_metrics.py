"""`/metrics` as Prometheus reads it; sampling of real processes; disk by walk and by the agent."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client.parser import text_string_to_metric_families

from observer.host import Settings
from observer.sampling import parse_agent_disk, series_length
from tests.observer.build import KERNEL, Builder, mesos_root
from tests.observer.served import QUIET, Served, run, serving
from thermos.core.states import TaskState


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(["sleep", "1000"])
    yield child
    child.kill()
    child.wait()


async def scrape(s: Served) -> dict[str, list[Any]]:
    answer = await s.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {family.name: family.samples for family in text_string_to_metric_families(await answer.text())}


def value(samples: list[Any], **labels: str) -> float:
    found = [sample.value for sample in samples if labels.items() <= sample.labels.items()]
    assert len(found) == 1, (labels, found)
    return float(found[0])


def test_every_series_of_a_task(tmp_path: Path) -> None:
    made = Builder(tmp_path / "root")
    task = made.task("t", processes=('p"\n\\',), name='n"\n\\')
    task.run('p"\n\\', code=1).start('p"\n\\')
    task.log('p"\n\\', 1, "stdout", "12345")
    task.log('p"\n\\', 1, "stdout", "123", rotated=1)
    task.log('p"\n\\', 1, "stderr", "12")
    made.task("done").run("main").finish(TaskState.SUCCESS)

    async def test() -> None:
        async with serving(made.root) as s:
            told = await scrape(s)
            own = {"task": "t", "process": 'p"\n\\'}
            assert value(told["thermos_task_state"], task="t", state="ACTIVE", name='n"\n\\') == 1
            assert value(told["thermos_task_state"], task="t", state="FAILED") == 0
            assert value(told["thermos_task_attended"], task="t") == 1
            assert value(told["thermos_process_runs"], **own) == 2
            assert value(told["thermos_process_failures"], **own) == 1
            assert value(told["thermos_process_state"], **own, state="RUNNING") == 1
            assert value(told["thermos_process_log_bytes"], **own) == 10
            assert value(told["thermos_observer_tasks"], kind="finished") == 1
            assert told["process_cpu_seconds"][0].value > 0
            assert told["process_resident_memory_bytes"][0].value > 1 << 20
            await s.get("/nope", status=404)
            assert value((await scrape(s))["thermos_observer_requests"], status="404") == 1

    run(test)


def test_what_a_task_uses(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    made = Builder(tmp_path / "root")
    stat = KERNEL.proc_stat(sleeper.pid)
    assert stat is not None
    made.task("t", processes=("a", "b")).start("a", pid=sleeper.pid, start=stat.start).start("b")

    async def test() -> None:
        async with serving(made.root) as s:
            await s.host.sample()
            await s.host.sample()
            told = await s.json("/api/v1/tasks/t")
            assert told["usage"]["ram"] > 0
            assert told["usage"]["procs"] == 1
            by_name = {p["name"]: p["usage"]["ram"] for p in told["processes"]}
            assert by_name["a"] > 0
            assert by_name["b"] == 0
            assert len(told["chart"]) == 1, "a sample an interval is kept"
            row = (await s.json("/j/task_ids/active"))["tasks"][0]
            assert (row["ram"], row["threads"]) == (told["usage"]["ram"], 1)
            used = (await s.json("/j/process/t/a"))["used"]
            assert used["rss"] > 0
            assert value((await scrape(s))["thermos_process_ram_bytes"], task="t", process="a") == by_name["a"]

    run(test)


def test_a_pid_that_is_somebody_elses_by_now_counts_nothing(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    made = Builder(tmp_path / "root")
    made.task("t").start("main", pid=sleeper.pid, start=1)

    async def test() -> None:
        async with serving(made.root) as s:
            await s.host.sample()
            assert (await s.json("/api/v1/tasks/t"))["usage"]["procs"] == 0

    run(test)


def test_samples_are_news_for_those_who_watch(tmp_path: Path) -> None:
    made = Builder(tmp_path / "root")
    made.task("t").start("main", pid=os.getpid())

    async def test() -> None:
        async with serving(made.root) as s:
            task = s.host.inventory.find("t")
            assert task is not None
            reader = s.host.broker.subscribe(task.key)
            await s.host.sample()
            item = await reader.queue.get()
            assert item is not None
            assert item.kind == "usage"

    run(test)


def test_a_new_task_is_measured_soon(tmp_path: Path) -> None:
    made = Builder(tmp_path / "root")

    async def test() -> None:
        async with serving(made.root, settings=Settings(process_interval=1000.0, disk_interval=1000.0)) as s:
            reader = s.host.broker.subscribe("")
            made.task("t").start("main", pid=os.getpid())
            while (item := await reader.queue.get()) is not None and item.kind != "usage":
                pass
            assert item is not None
            assert (await s.json("/api/v1/tasks/t"))["usage"]["procs"] >= 0

    run(test)


def test_nothing_active_nothing_looked_at(tmp_path: Path) -> None:
    made = Builder(tmp_path / "root")
    made.task("t").run("main").finish()

    async def test() -> None:
        async with serving(made.root) as s:
            await s.host.sample()
            assert s.host.look_seconds == 0

    run(test)


def test_disk_by_walking(tmp_path: Path) -> None:
    """Item 131: it grows and shrinks."""
    made = Builder(tmp_path / "root")
    task = made.task("t")

    async def test() -> None:
        async with serving(made.root) as s:

            async def disk() -> int:
                await s.host.walk_disks()
                return int((await s.json("/api/v1/tasks/t"))["usage"]["disk"])

            before = await disk()
            (task.sandbox / "big").write_bytes(b"x" * 300_000)
            grown = await disk()
            assert grown >= before + 300_000
            (task.sandbox / "big").unlink()
            assert await disk() < grown - 200_000
            task.sandbox.rename(tmp_path / "gone")
            await s.host.walk_disks()
            assert (await s.json("/api/v1/tasks/t"))["usage"]["disk"] is None

    run(test)


def agent_settings(url: str) -> Settings:
    return Settings(sampling=False, agent_disk=True, agent_url=url)


@pytest.mark.parametrize(
    ("status", "body", "disk"),
    [
        (200, '[{"executor_id": "e-1", "statistics": {"disk_used_bytes": 4711}}]', 4711),
        (200, '[{"executor_id": "other", "statistics": {"disk_used_bytes": 4711}}]', None),
        (200, '[{"executor_id": "e-1", "statistics": {}}]', None),
        (200, '[{"executor_id": "e-1", "statistics": {"disk_used_bytes": "much"}}]', None),
        (200, '{"not": "a list"}', None),
        (200, "no json", None),
        (401, "[]", None),
        (500, "[]", None),
    ],
)
def test_disk_by_the_agent(tmp_path: Path, status: int, body: str, disk: int | None) -> None:
    """Item 131."""
    root = mesos_root(tmp_path / "mesos", "e-1")
    Builder(root, root.parent / "sandbox").task("t")

    async def test() -> None:
        async def containers(request: web.Request) -> web.Response:
            return web.Response(status=status, text=body)

        app = web.Application()
        app.router.add_get("/containers", containers)
        agent = TestServer(app)
        await agent.start_server()
        settings = agent_settings(str(agent.make_url("/containers")))
        async with serving(mesos=tmp_path / "mesos", settings=settings) as s:
            await s.host.ask_agent()
            assert (await s.json("/api/v1/tasks/t"))["usage"]["disk"] == disk
        await agent.close()

    run(test)


def test_an_agent_that_is_not_there(tmp_path: Path) -> None:
    root = mesos_root(tmp_path / "mesos", "e-1")
    Builder(root, root.parent / "sandbox").task("t")

    async def test() -> None:
        async with serving(mesos=tmp_path / "mesos", settings=agent_settings("http://127.0.0.1:1/containers")) as s:
            await s.host.ask_agent()
            assert (await s.json("/api/v1/tasks/t"))["usage"]["disk"] is None

    run(test)


def test_parsing_what_an_agent_says() -> None:
    text = b'[{"a": {"id": "x"}, "n": 1.5}, {"a": 3}, 7, {"a": {"id": "y"}, "n": true}]'
    assert parse_agent_disk(text, "a.id", "n") == {"x": 1}


def test_a_history_is_bounded_whatever_the_interval() -> None:
    assert [series_length(seconds) for seconds in (0.1, 1.0, 20.0, 60.0, 1e6)] == [720, 720, 180, 60, 1]


def test_variables(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path, settings=QUIET) as s:
            told = await s.json("/vars.json")
            assert {"sys.uptime", "sys.version", "sys.platform", "build.version", "observer.tasks.active"} <= set(told)
            lines = (await (await s.get("/vars")).text()).splitlines()
            assert any(line.startswith("build.version ") for line in lines)
            assert await (await s.get("/vars/build.version")).text() == f"{told['build.version']}\n"
            assert await (await s.get("/health")).text() == "OK"

    run(test)
