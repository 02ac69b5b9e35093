"""A live agent: real child processes, real HTTP on a loopback port; its master is a list, and acknowledges."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from mesos.core.messages import CommandInfo, ContainerID, ExecutorInfo, TaskStatus
from mesos.local.agent_http import AgentServer
from mesos.local.containers import Containers
from mesos.local.core.agent import Agent
from mesos.local.core.agent_config import AgentConfig, AgentOptions
from mesos.local.core.agent_disk import AgentDisk
from mesos.local.core.protocol import (
    AcknowledgeUpdate,
    AgentEffect,
    AgentRegistered,
    CloseExecutor,
    EndAgent,
    FromAgent,
    FromMaster,
    KillContainer,
    RegisterAgent,
    ReregisterAgent,
    RunTask,
    SendExecutor,
    SendMaster,
    StartContainer,
    StatusUpdate,
)
from mesos.local.faults import Faults
from mesos.local.link import Post
from mesos.local.timeline import Alarm, RealTimeline
from tests.mesos.local.agent.harness import AGENT, agent_info, executor_info, framework_info, task_info
from tests.mesos.ports import own_port

#: An executor as short as can be; what it does with tasks is in their data.
EXECUTOR = Path(__file__).with_name("little_executor.py")


class Live:
    def __init__(
        self, work: Path, options: AgentOptions | None = None, credentials: Mapping[str, str] | None = None
    ) -> None:
        self.work = work
        self.faults = Faults(lambda: 0.0)
        self.timeline = RealTimeline(asyncio.get_running_loop())
        self.post = Post(self.timeline, self.faults)
        self.port = own_port()
        options = options or AgentOptions(registration_backoff_factor_s=0.01)
        self.config = AgentConfig(info=agent_info(port=self.port), work_dir=str(work), options=options)
        self.disk = AgentDisk("live")
        self.containers = Containers(work, self)
        self.credentials = credentials
        self.seen: list[FromAgent] = []
        self.ended: list[str] = []
        self.acknowledges = True
        self.agent: Agent | None = None
        self.server: AgentServer | None = None
        self._alarm: Alarm | None = None

    async def __aenter__(self) -> Live:
        await self.start()
        async with asyncio.timeout(10):
            while self.agent is None or self.agent.phase != "RUNNING":
                await asyncio.sleep(0.005)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.kill_9()
        await self.containers.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.agent = Agent(self.config, self.disk)
        self.server = AgentServer(
            0, self.agent, self.did, self.post, measures=self.containers, credentials=self.credentials
        )
        await self.server.start("127.0.0.1", self.port)
        self._alarm = Alarm(self.timeline, self._ring)
        self.did(self.agent.start(self.timeline.now(), self.containers.alive))
        self.did(self.agent.connected(self.timeline.now()))

    async def kill_9(self) -> None:
        server, self.agent, self.server = self.server, None, None
        if self._alarm is not None:
            self._alarm.stop()
        if server is not None:
            await server.stop()

    def did(self, effects: Iterable[AgentEffect]) -> None:
        for effect in effects:
            self._perform(effect)
        if self.agent is not None and self._alarm is not None:
            self._alarm.set(self.agent.next_wake)

    def say(self, message: FromMaster) -> None:
        if self.agent is not None:
            self.did(self.agent.from_master(message, self.timeline.now()))

    async def until(self, test: Callable[[], Any], seconds: float = 20) -> Any:
        async with asyncio.timeout(seconds):
            while not (found := test()):
                await asyncio.sleep(0.01)
        return found

    async def status(self, task: str, state: str) -> TaskStatus:
        def find() -> TaskStatus | None:
            updates = [m.status for m in self.seen if isinstance(m, StatusUpdate)]
            return next((s for s in updates if s.task_id.value == task and s.state == state), None)

        found: TaskStatus = await self.until(find)
        return found

    def run(self, task: str, data: bytes = b"", executor: str = "ex", command: str = "", **more: Any) -> None:
        line = command or f"exec {sys.executable} {EXECUTOR}"
        info: ExecutorInfo = msgspec.structs.replace(executor_info(executor), command=CommandInfo(value=line, **more))
        wanted = msgspec.structs.replace(task_info(task), executor=info, data=data)
        self.say(RunTask(framework=framework_info(), task=wanted))

    # --- a report of containers

    def container_started(self, container_id: ContainerID, pid: int) -> None:
        if self.agent is not None:
            self.did(self.agent.container_started(container_id, pid, self.timeline.now()))

    def container_failed(self, container_id: ContainerID, text: str) -> None:
        if self.agent is not None:
            self.did(self.agent.container_failed(container_id, text, self.timeline.now()))

    def container_exited(self, container_id: ContainerID, wait_status: int) -> None:
        if self.agent is not None:
            self.did(self.agent.container_exited(container_id, wait_status, self.timeline.now()))

    # --- effects

    def _ring(self) -> None:
        if self.agent is not None:
            self.did(self.agent.on_timer(self.timeline.now()))

    def _perform(self, effect: AgentEffect) -> None:
        assert self.server is not None
        match effect:
            case SendMaster(message=message):
                self.seen.append(message)
                self.timeline.call_soon(lambda: self._answer(message))
            case SendExecutor(container_id=container_id, event=event):
                self.server.tell_executor(container_id, event)
            case CloseExecutor(container_id=container_id):
                self.server.close_executor(container_id)
            case StartContainer():
                self.containers.start(effect)
            case KillContainer(container_id=container_id):
                self.containers.kill(container_id)
            case EndAgent(reason=reason):
                self.ended.append(reason)

    def _answer(self, message: FromAgent) -> None:
        match message:
            case RegisterAgent() | ReregisterAgent():
                self.say(AgentRegistered(agent_id=AGENT))
            case StatusUpdate() if self.acknowledges:
                task_id, uuid = message.status.task_id, message.status.uuid
                self.say(AcknowledgeUpdate(framework_id=message.framework_id, task_id=task_id, uuid=uuid))

    # --- HTTP

    async def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        fields = dict(headers or {})
        if isinstance(body, dict | list):
            body = json.dumps(body)
            fields.setdefault("Content-Type", "application/json")
        async with (
            aiohttp.ClientSession(auto_decompress=False, skip_auto_headers={"Content-Type", "Accept"}) as session,
            session.request(method, self.url + path, data=body, headers=fields, allow_redirects=False) as response,
        ):
            return response.status, await response.read(), dict(response.headers)

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Any:
        status, body, _ = await self.request("GET", path, None, headers)
        assert status == 200, (path, status, body)
        return json.loads(body)

    async def api(self, kind: str, **more: Any) -> Any:
        status, body, _ = await self.request("POST", "/api/v1", {"type": kind, **more})
        assert status == 200, (kind, status, body)
        return json.loads(body)
