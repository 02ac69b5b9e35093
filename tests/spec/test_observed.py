"""What the observer does in every case: items 124 and 131 of the checklist (spec/thermos.md §6.2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from observer import host as host_module
from observer.host import Host, Settings
from observer.inventory import Places
from tests.observer.build import Builder, TaskBuilder, mesos_root
from tests.observer.served import run
from tests.observer.test_inventory import room

# --- 124: what a look may find where ---------------------------------------------------------------------------------

PLACES = ("nowhere", "active", "finished")

#: (before, now) -> what is told of it.
TOLD: dict[tuple[str, str], list[str]] = {
    ("nowhere", "nowhere"): [],
    ("nowhere", "active"): ["appeared", "changed"],
    ("nowhere", "finished"): ["appeared"],
    ("active", "active"): [],
    ("active", "finished"): ["finished"],
    ("active", "nowhere"): ["removed"],
    ("finished", "finished"): [],
    ("finished", "nowhere"): ["removed"],
    ("finished", "active"): ["returned"],
}


def move(task: TaskBuilder, place: str) -> None:
    paths = {"active": task.paths.active, "finished": task.paths.finished}
    here = next((path for path in paths.values() if path.exists()), None)
    if here is None:
        here = task.paths.active.with_name(".kept")
    here.rename(paths.get(place, task.paths.active.with_name(".kept")))


@pytest.mark.parametrize(("before", "now"), list(product(PLACES, PLACES)))
def test_124_every_way_a_task_can_go_between_two_looks(tmp_path: Path, before: str, now: str) -> None:
    """In the original a task that was active again after it had finished was an AssertionError in a thread."""
    builder = Builder(tmp_path / "root")
    task = builder.task("t")
    builder.task("bystander")
    move(task, before)
    with room(builder.root, polling=True) as r:
        assert ("t" in r.inventory.by_id) == (before != "nowhere")
        r.told.clear()
        move(task, now)
        r.inventory.rescan()
        told = [str(change.kind) for change in r.told if change.task.task_id == "t"]
        assert [kind for kind in told if kind != "changed" or "changed" in TOLD[before, now]] == TOLD[before, now]
        found = r.inventory.by_id.get("t")
        assert (found is not None) == (now != "nowhere")
        assert [t.task_id for t in r.inventory.active()] == (["bystander", "t"] if now == "active" else ["bystander"])
        r.told.clear()
        r.inventory.rescan()
        assert r.told == [], "a second look finds nothing new"


# --- 131: what the Mesos agent knows of disks ------------------------------------------------------------------------

GOOD = [
    {"executor_id": "thermos-a", "statistics": {"disk_used_bytes": 4711}},
    {"executor_id": "thermos-b", "statistics": {"disk_used_bytes": 12.5}},
]

Handler = Callable[[web.Request], Awaitable[web.Response]]


def says(body: str, status: int = 200) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=body, status=status, content_type="application/json")

    return answer


async def never(request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    return web.Response()


async def hangs_up(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


@asynccontextmanager
async def asking(tmp_path: Path, handler: Handler, **flags: str) -> AsyncIterator[Host]:
    """A host whose agent is `handler`, with the tasks of two executors and one that stands alone."""
    for name in ("a", "b"):
        Builder(mesos_root(tmp_path / "mesos", f"thermos-{name}")).task(name)
    Builder(tmp_path / "root").task("alone")
    app = web.Application()
    app.router.add_get("/containers", handler)
    agent = TestServer(app)
    await agent.start_server()
    settings = Settings(sampling=False, agent_disk=True, agent_url=f"http://127.0.0.1:{agent.port}/containers", **flags)
    host = Host(Places((tmp_path / "root",), (tmp_path / "mesos",)), settings, "h")
    await host.start()
    try:
        yield host
    finally:
        await host.close()
        await agent.close()


def disks(host: Host) -> dict[str, int | None]:
    return {task.task_id: task.measured.usage.disk for task in host.inventory.active()}


def test_131_the_agent_tells_the_disk_of_each_executor(tmp_path: Path) -> None:
    async def test() -> None:
        async with asking(tmp_path, says(json.dumps(GOOD))) as host:
            await host.ask_agent()
            assert disks(host) == {"a": 4711, "b": 12, "alone": None}

    run(test)


BAD_ANSWERS: dict[str, tuple[Handler, dict[str, str]]] = {
    "401": (says(json.dumps(GOOD), 401), {}),
    "500": (says(json.dumps(GOOD), 500), {}),
    "no JSON": (says("<html>"), {}),
    "no list": (says('{"executor_id": "thermos-a"}'), {}),
    "odd entries": (says('[null, 5, {"executor_id": 7}, {"executor_id": "thermos-a", "statistics": []}]'), {}),
    "a wrong path to the figure": (says(json.dumps(GOOD)), {"disk_path": "statistics.nothing"}),
    "a wrong path to the name": (says(json.dumps(GOOD)), {"executor_id_path": "nothing"}),
    "no answer": (never, {}),
    "hangs up": (hangs_up, {}),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_131_without_a_good_answer_nothing_is_known(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was known before is not shown as if it were true now."""
    handler, flags = BAD_ANSWERS[name]
    monkeypatch.setattr(host_module, "AGENT_TIMEOUT", 0.2)

    async def test() -> None:
        async with asking(tmp_path, handler, **flags) as host:
            for task in host.inventory.active():
                host_module.set_disk(task, 99)
            await host.ask_agent()
            assert disks(host) == {"a": None, "b": None, "alone": None}

    run(test)
