"""The API over real sockets, around a real loop, engine and store; without Mesos: a test says what the master would."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import ClientResponse, ClientSession, web
from aiohttp.test_utils import TestServer
from yarl import URL

from mesos.core.messages import AgentID, Offer, TaskID, TaskStatus
from mesos.timers import LoopTimers
from scheduler.api.app import make_app
from scheduler.api.settings import ApiSettings, Ending
from scheduler.auth import Authenticator
from scheduler.core.model import JobConfiguration, JobKey, ScheduledTask
from scheduler.engine import Engine
from scheduler.engine_settings import EngineSettings
from scheduler.event_log import EventLog
from scheduler.lifecycle import Lifecycle, LifecycleState
from scheduler.loop import Loop
from scheduler.service.context import ServiceSettings
from scheduler.store.journal import Journal, StoreError
from scheduler.store.ops import Op
from scheduler.store.store import Store
from scheduler.store.tables import Tables
from tests.scheduler.core import making
from thermos.clock import now

#: No test waits longer than this for something that has to happen.
PATIENCE_S = 30.0

JOB = "/api/v1/jobs/www/prod/web"


class MemoryJournal:
    """Durable at once, until told to fail or to wait."""

    def __init__(self, ops: Sequence[Op] = ()) -> None:
        self.ops = list(ops)
        self.is_long = False
        self.error: StoreError | None = None
        self.held: list[tuple[Future[None], list[Op]]] | None = None

    def load(self) -> Iterator[Op]:
        return iter(list(self.ops))

    def append(self, ops: Sequence[Op]) -> Future[None]:
        future: Future[None] = Future()
        if self.error is not None:
            future.set_exception(self.error)
        elif self.held is not None:
            self.held.append((future, list(ops)))
        else:
            self.ops += ops
            future.set_result(None)
        return future

    def let_go(self) -> None:
        held, self.held = self.held or [], None
        for future, ops in held:
            self.ops += ops
            future.set_result(None)

    def snapshot(self, tables: Tables) -> Future[None]:
        raise AssertionError("nobody asked for it")

    def resume(self) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass
class Served:
    """What a test talks to."""

    loop: Loop
    base: str
    session: ClientSession
    authenticator: Authenticator
    endings: list[Ending]
    app: web.Application

    @property
    def tables(self) -> Tables:
        return self.loop.engine.tables

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> ClientResponse:
        """The answer, read. `body` is sent as JSON, `data` as it is."""
        given = {"Content-Type": "application/json"} if body is not None or data is not None else {}
        sent = data if data is not None else msgspec.json.encode(body) if body is not None else b""
        url = URL(self.base + path, encoded=True)
        answer = await self.session.request(
            method,
            url,
            data=io.BytesIO(sent) if sent else None,
            headers={**given, **(headers or {})},
            allow_redirects=False,
        )
        await answer.read()
        return answer

    async def json(self, method: str, path: str, body: Any = None, *, status: int = 200, **more: Any) -> Any:
        answer = await self.ask(method, path, body, **more)
        text = await answer.text()
        assert answer.status == status, f"{method} {path}: {answer.status} {text[:500]}"
        return json.loads(text)

    async def get(self, path: str, *, status: int = 200, **more: Any) -> Any:
        return await self.json("GET", path, status=status, **more)

    async def post(self, path: str, body: Any, *, status: int = 200, **more: Any) -> Any:
        return await self.json("POST", path, body, status=status, **more)

    async def refused(self, method: str, path: str, body: Any = None, *, status: int, code: str, **more: Any) -> str:
        """The line of a refusal."""
        error = (await self.json(method, path, body, status=status, **more))["error"]
        assert (error["status"], error["code"]) == (status, code), error
        assert error["title"]
        assert "\n" not in error["detail"]
        return str(error["detail"])

    async def create(self, instances: int = 1, **more: Any) -> Any:
        return await self.post("/api/v1/jobs", job(instances, **more), status=201)

    # --- Mesos

    def registered(self) -> None:
        self.loop.post(lambda turn: self.loop.engine.registered(turn, "f-1", False))

    def offers(self, *offers: Offer) -> None:
        self.loop.post(lambda turn: self.loop.engine.offers(turn, offers))

    def status(self, task_id: str, state: str) -> None:
        """From the task's agent."""
        task = self.tables.tasks.get(task_id)
        agent = task.assigned_task.slave_id if task is not None else "a00000"
        status = TaskStatus(
            task_id=TaskID(value=task_id), state=f"TASK_{state}", uuid=b"u", agent_id=AgentID(value=agent)
        )
        self.loop.post(lambda turn: self.loop.engine.statuses(turn, [status]))

    def active(self, instance: int = 0, key: JobKey = making.JOB) -> ScheduledTask:
        return next(t for t in self.tables.tasks.active_of_job(key) if t.assigned_task.instance_id == instance)

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not true():
                await asyncio.sleep(0.002)


def job(instances: int = 1, **more: Any) -> JobConfiguration:
    """A small service that is valid."""
    config = msgspec.structs.replace(making.config(), is_service=True)
    return JobConfiguration(**{"key": making.JOB, "task_config": config, "instance_count": instances, **more})


def make_loop(journal: Journal) -> Loop:
    """Must be called inside of a running asyncio loop."""
    store = Store(journal)
    chance, unique = itertools.cycle((0.0, 0.5, 0.9)), itertools.count()
    settings = EngineSettings(making.SETTINGS, scheduler_name="s1", startup_delay_s=0.0)
    engine = Engine(store.tables, settings, chance.__next__, lambda: f"{len(store.tables.tasks)}-{next(unique)}")
    lifecycle = Lifecycle(lambda: now().mono)
    lifecycle.move(LifecycleState.STORAGE_PREPARED)
    lifecycle.move(LifecycleState.LEADER_AWAITING_REGISTRATION)
    return Loop(engine, store, EventLog("b00t"), lifecycle, now=now, timers=LoopTimers())


@asynccontextmanager
async def serving(journal: Journal | None = None, users: Path | None = None, **more: Any) -> AsyncIterator[Served]:
    """`more`: of ApiSettings."""
    loop = make_loop(journal or MemoryJournal())
    endings: list[Ending] = []
    door = Authenticator(users)
    given: dict[str, Any] = {
        "hostname": "host-1",
        "started_at": now(),
        "service": ServiceSettings(cluster="rz1"),
        "authenticator": door,
        "stop": endings.append,
        "web_url": lambda: "http://host-1:8081",
        **more,
    }
    app: web.Application = make_app(loop, ApiSettings(**given))
    server = TestServer(app)
    loop.start()
    await server.start_server()
    session = ClientSession()
    try:
        yield Served(loop, f"http://{server.host}:{server.port}", session, door, endings, app)
    finally:
        await session.close()
        await server.close()
        await loop.close()
        loop.failed.cancel()


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run an asynchronous test; nothing may hang."""

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S * 3):
            await test()

    asyncio.run(bounded())
