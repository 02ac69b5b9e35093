"""One agent of a cluster on this machine: its port, its real executors, and its machine while it lives.

Killed, it leaves its disk and its executors; the next life finds both. Executors of frameworks that do not checkpoint
end with their agent by themselves, as they do with a real one, and what does not is killed when the agent is back.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mesos.core.executor_api import Event
from mesos.core.messages import AgentInfo, ContainerID
from mesos.local.agent_host import AgentHost
from mesos.local.agent_http import AgentServer
from mesos.local.containers import Containers
from mesos.local.core.agent import Agent
from mesos.local.core.agent_config import AgentConfig, AgentOptions
from mesos.local.core.agent_disk import AgentDisk
from mesos.local.core.agent_states import AgentPhase
from mesos.local.core.protocol import StartContainer
from mesos.local.link import Post
from mesos.local.master_host import MasterHost


@dataclass(frozen=True, slots=True)
class AgentSetting:
    """What is the same in all lives of an agent. `describe` is asked at each start: attributes may have changed."""

    number: int
    ip: str
    port: int
    work_dir: Path
    options: AgentOptions
    describe: Callable[[], AgentInfo]
    credentials: Mapping[str, str] | None = field(default=None, repr=False)


class AgentNode:
    """Used in a running event loop."""

    def __init__(self, setting: AgentSetting, post: Post, seed: str) -> None:
        self.setting = setting
        self.disk = AgentDisk(seed)
        self.containers = Containers(setting.work_dir, self)
        self.host: AgentHost | None = None
        self.ended = ""  # why, when it ended by itself
        self._post = post
        self._server: AgentServer | None = None
        self._ending: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        return self.host is not None

    @property
    def is_registered(self) -> bool:
        return self.host is not None and self.host.agent.phase is AgentPhase.RUNNING

    # --- verbs

    async def start(self, master: MasterHost | None) -> None:
        """Raises HostError for a port that is taken."""
        await self.wait_ended()
        if self.host is not None:
            return
        setting = self.setting
        config = AgentConfig(setting.describe(), str(setting.work_dir), setting.ip, setting.options)
        agent = Agent(config, self.disk)
        host = AgentHost(setting.number, agent, self._post, self)
        server = AgentServer(
            setting.number, agent, host.did, self._post, measures=self.containers, credentials=setting.credentials
        )
        await server.start(setting.ip, setting.port)
        self.ended = ""
        self.host, self._server = host, server
        host.start(self.containers.alive)
        host.follow(master)

    def follow(self, master: MasterHost | None) -> None:
        if self.host is not None:
            self.host.follow(master)

    async def kill(self) -> None:
        """As kill -9 of its process."""
        host, self.host = self.host, None
        server, self._server = self._server, None
        if host is not None:
            host.kill()
        if server is not None:
            await server.stop()

    def shut_down(self) -> None:
        """As SIGUSR1: it ends for good when its executors have."""
        if self.host is not None:
            self.host.shut_down()

    def forget(self) -> None:
        """What it knows of itself goes: the next start registers a new agent."""
        self.disk.forget()

    def kill_executor(self, executor_id: str) -> bool:
        """As kill -9 of its first process. Whether there was one."""
        for _, executor in self.disk.executors():
            pid = self.containers.pid_of(executor.container_id.value)
            if executor.id == executor_id and pid is not None:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:  # it ended just now
                    return False
                return True
        return False

    async def stop(self) -> None:
        """With all its executors."""
        await self.kill()
        await self.wait_ended()
        await self.containers.close()

    async def wait_ended(self) -> None:
        """When it is about to end by itself."""
        if self._ending is not None:
            await self._ending

    # --- what its machine asks for

    def start_container(self, start: StartContainer) -> None:
        self.containers.start(start)

    def kill_container(self, container_id: ContainerID) -> None:
        self.containers.kill(container_id)

    def tell_executor(self, container_id: ContainerID, event: Event) -> None:
        if self._server is not None:
            self._server.tell_executor(container_id, event)

    def close_executor(self, container_id: ContainerID) -> None:
        if self._server is not None:
            self._server.close_executor(container_id)

    def agent_ends(self, reason: str) -> None:
        self.ended = reason
        self._ending = asyncio.create_task(self._end())

    async def _end(self) -> None:
        await self.kill()
        self._ending = None

    # --- what containers report

    def container_started(self, container_id: ContainerID, pid: int) -> None:
        if self.host is not None:
            self.host.did(self.host.agent.container_started(container_id, pid, self._post.timeline.now()))

    def container_failed(self, container_id: ContainerID, text: str) -> None:
        if self.host is not None:
            self.host.did(self.host.agent.container_failed(container_id, text, self._post.timeline.now()))

    def container_exited(self, container_id: ContainerID, wait_status: int) -> None:
        if self.host is not None:
            self.host.did(self.host.agent.container_exited(container_id, wait_status, self._post.timeline.now()))
