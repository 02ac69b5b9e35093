"""A door for faults: whoever runs an embedded Mesos may kill, cut off and restart its parts while it runs.

HTTP with JSON on a Unix socket that only its owner may open (0600): no port, no token, no web page finds it.

    GET  /              what there is: the master, agents, their executors, who is cut off
    POST /kill-agent    {"agent": 0} -> {"text": "…"}     and so on: a verb is a method of `Control` in `VERBS`

A verb that can't be done is 409 with {"error": "…"}; words that nobody understands are 400.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from mesos.local.cluster import LocalCluster
from mesos.local.faults import Rule
from thermos.errors import HostError, ThermosError, UserError

#: Bytes of a request.
_MAX_BODY = 4096


class Words(msgspec.Struct, frozen=True):
    """What a verb may be told."""

    agent: int | None = None
    executor: str | None = None


class Control:
    """The verbs, and who is cut off."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        self._cuts: dict[int, tuple[Rule, ...]] = {}

    def state(self) -> dict[str, Any]:
        cluster = self._cluster
        return {
            "pid": os.getpid(),
            "master": {"url": cluster.master_url, "up": cluster.leader() is not None},
            "agents": [self._agent(number) for number in range(cluster.agents)],
        }

    def _agent(self, number: int) -> dict[str, Any]:
        node = self._cluster.agent(number)
        info = node.setting.describe()
        executors = [
            {"id": executor.id, "framework": framework.id, "pid": node.containers.pid_of(executor.container_id.value)}
            for framework, executor in node.disk.executors()
        ]
        return {
            "number": number,
            "host": info.hostname,
            "url": self._cluster.agent_url(number),
            "up": node.is_up,
            "registered": node.is_registered,
            "partitioned": number in self._cuts,
            "executors": executors,
        }

    # --- verbs: each says what it did, in one line

    async def kill_agent(self, words: Words) -> str:
        number = self._number(words)
        if not self._cluster.agent_is_up(number):
            raise HostError(f"cannot kill {self._name(number)}: it is down already")
        await self._cluster.kill_agent(number)
        return f"killed {self._name(number)}; its executors live on"

    async def start_agent(self, words: Words) -> str:
        number = self._number(words)
        if self._cluster.agent_is_up(number):
            raise HostError(f"cannot start {self._name(number)}: it is up already")
        cut_off = number in self._cuts or self._cluster.leader() is None
        await self._cluster.start_agent(number, wait=not cut_off)
        return f"started {self._name(number)}"

    async def partition_agent(self, words: Words) -> str:
        number = self._number(words)
        if number in self._cuts:
            raise HostError(f"cannot cut off {self._name(number)}: it is cut off already")
        self._cuts[number] = self._cluster.faults.partition(number)
        return f"cut off {self._name(number)} from the master; its executors live on"

    async def heal(self, words: Words) -> str:
        """One agent, or all."""
        numbers = [self._number(words)] if words.agent is not None else sorted(self._cuts)
        healed = [number for number in numbers if number in self._cuts]
        for number in healed:
            self._cluster.faults.remove(*self._cuts.pop(number))
        names = ", ".join(self._name(number) for number in healed)
        return f"{names} can reach the master again" if healed else "nothing was cut off"

    async def kill_master(self, words: Words) -> str:
        if self._cluster.leader() is None:
            raise HostError("cannot kill the master: it is down already")
        await self._cluster.kill_master()
        return "killed the master; agents and executors live on"

    async def start_master(self, words: Words) -> str:
        if self._cluster.leader() is not None:
            raise HostError("cannot start the master: it is up already")
        await self._cluster.start_master()
        return f"started the master at {self._cluster.master_url}"

    async def restart_master(self, words: Words) -> str:
        if self._cluster.leader() is not None:
            await self._cluster.kill_master()
        await self._cluster.start_master()
        return f"restarted the master at {self._cluster.master_url}; it asks agents and schedulers what they know"

    async def kill_executor(self, words: Words) -> str:
        if words.executor is None:
            raise UserError("say which executor")
        for number in range(self._cluster.agents):
            if self._cluster.kill_executor(number, words.executor):
                return f"killed executor {words.executor} on {self._name(number)}"
        raise HostError(f"cannot kill executor {words.executor!r}: no agent runs it")

    async def end_agents(self, words: Words) -> str:
        """All of them for good, as SIGUSR1 does it: executors are told to shut down, and get their time for it. They
        are not waited for."""
        numbers = [number for number in range(self._cluster.agents) if self._cluster.agent_is_up(number)]
        for number in numbers:
            self._cluster.agent(number).shut_down()
        return f"{len(numbers)} agents end, and all that runs on them"

    def _number(self, words: Words) -> int:
        if words.agent is None or not 0 <= words.agent < self._cluster.agents:
            raise UserError(f"no agent {words.agent}: there are 0 to {self._cluster.agents - 1}")
        return words.agent

    def _name(self, number: int) -> str:
        return f"agent {number} ({self._cluster.agent(number).setting.describe().hostname})"


VERBS: dict[str, Callable[[Control, Words], Awaitable[str]]] = {
    "kill-agent": Control.kill_agent,
    "start-agent": Control.start_agent,
    "partition-agent": Control.partition_agent,
    "heal": Control.heal,
    "kill-master": Control.kill_master,
    "start-master": Control.start_master,
    "restart-master": Control.restart_master,
    "kill-executor": Control.kill_executor,
    "end-agents": Control.end_agents,
}


class Door:
    """The socket. Used in the loop of the cluster, while it runs."""

    def __init__(self, control: Control, path: Path) -> None:
        self._control = control
        self._path = path
        app = web.Application(client_max_size=_MAX_BODY)
        app.router.add_get("/", self._state)
        app.router.add_post("/{verb}", self._obey)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handle_signals=False)
        self._is_open = False

    async def open(self) -> None:
        """Raises HostError. A socket that a killed one left there is replaced."""
        try:
            listener = _bind(self._path)
        except OSError as error:
            raise HostError(f"cannot listen on {self._path}: {error.strerror or error}") from error
        self._is_open = True
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()

    async def close(self) -> None:
        await self._runner.cleanup()
        if self._is_open:  # else it may be somebody else's
            self._path.unlink(missing_ok=True)

    async def _state(self, request: web.Request) -> web.Response:
        return web.json_response(self._control.state())

    async def _obey(self, request: web.Request) -> web.Response:
        verb = VERBS.get(request.match_info["verb"])
        if verb is None:
            return web.json_response({"error": f"no such verb; there are {', '.join(VERBS)}"}, status=404)
        try:
            words = msgspec.json.decode(await request.read() or b"{}", type=Words)
            return web.json_response({"text": await verb(self._control, words)})
        except (UserError, msgspec.MsgspecError) as error:
            return web.json_response({"error": str(error)}, status=400)
        except ThermosError as error:
            return web.json_response({"error": str(error)}, status=409)


def _bind(path: Path) -> socket.socket:
    """Ours alone before anybody can connect. A socket's name has 107 bytes at most, so it is bound by way of its
    folder's descriptor. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_socket():
        path.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        path.chmod(0o600)
        listener.listen()
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(folder)
    return listener
