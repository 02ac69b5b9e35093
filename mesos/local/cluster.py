"""A whole Mesos on this machine, in one event loop: masters and agents on loopback ports, executors as child processes.

    async with LocalCluster(work_dir, port=5050, agents=2) as cluster:
        cluster.master_url, cluster.agent_url(0)
        await cluster.kill_agent(0)         # as kill -9; its executors live on
        await cluster.start_agent(0)        # finds them again
        cluster.faults.drop(Way.TO_MASTER, kind="StatusUpdate", times=1)

The ports are those of the kit that runs real Mesos: the master is on `port`, agent i on port+1+i, master N of several
on port+50+N. Several masters elect their leader in a ZooKeeper that is there already.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Self

from mesos.core.leader import ZooKeeperPath, parse_masters
from mesos.core.messages import AgentInfo
from mesos.local.agent_node import AgentNode, AgentSetting
from mesos.local.core.agent_config import AgentOptions
from mesos.local.core.cluster import MasterConfig
from mesos.local.core.resource_text import parse_attributes, parse_resources
from mesos.local.faults import Faults
from mesos.local.http_gate import Basic, Realm, check_loopback
from mesos.local.link import Post
from mesos.local.master_host import MasterHost
from mesos.local.master_http import Limits
from mesos.local.master_node import MasterNode, Surroundings
from mesos.local.options import make_options
from mesos.local.timeline import RealTimeline
from thermos.errors import HostError, UserError

RESOURCES = "cpus:4;mem:4096;disk:8192;ports:[{p0}-{p1}]"
ATTRIBUTES = "host:agent{i};rack:r{i}"
HOSTNAME = "agent{i}"

#: Agents have 48 ports after the master's; beyond are those of ZooKeeper and of further masters.
MAX_AGENTS = 48
MAX_MASTERS = 9

#: Seconds that starting something may take.
PATIENCE_S = 60.0

#: Settings of a master that are not given as its options.
_OURS = frozenset({"ip", "port", "credentials"})

#: What a master does again and again; none of these can be 0.
_RHYTHMS = ("allocation_interval_s", "agent_ping_timeout_s", "heartbeat_interval_s")

#: A text for all agents, or one for each; {i} is its number, {p0} and {p1} are the first and last of its ports.
Template = str | Sequence[str]


class LocalCluster:
    """`master_options` and `agent_options` are fields of MasterConfig and AgentOptions. With `credentials` (principal
    -> secret) schedulers and operators have to show theirs, and executors their token."""

    def __init__(
        self,
        work_dir: Path | str,
        port: int = 5050,
        *,
        agents: int = 2,
        masters: int = 1,
        zk: str | None = None,
        credentials: Mapping[str, str] | None = None,
        attributes: Template = ATTRIBUTES,
        resources: Template = RESOURCES,
        hostname: Template = HOSTNAME,
        master_options: Mapping[str, Any] | None = None,
        agent_options: Mapping[str, Any] | None = None,
        host: str = "127.0.0.1",
        limits: Limits | None = None,
        recovery_s: float = 0.0,
        zk_session_timeout_s: float = 2.0,
    ) -> None:
        """Raises UserError for anything that can't be."""
        self.host = check_loopback(host)
        self.work_dir = Path(work_dir).absolute()
        self.port, self.agents, self.masters = port, agents, masters
        self.attributes, self.resources, self.hostname = attributes, resources, hostname
        self.faults = Faults(Random(0).random)
        self._credentials = dict(credentials) if credentials else None
        self._limits = limits or Limits()
        self._recovery_s = recovery_s
        self._zk_session_timeout_s = zk_session_timeout_s
        self._zk = _check_shape(port, agents, masters, zk)
        self._configs = [self._master_config(number, master_options or {}) for number in range(masters)]
        self._agent_options = self._make_agent_options(agent_options or {})
        for number in range(agents):
            self._describe(number)
        self._masters: list[MasterNode] = []
        self._agents: list[AgentNode] = []
        self._hold: int | None = None  # on the work dir

    # --- addresses and looks

    @property
    def master_url(self) -> str:
        return self.url_of_master(0)

    def url_of_master(self, number: int) -> str:
        return f"http://{self.host}:{self._configs[number].port}"

    def agent_url(self, number: int) -> str:
        return f"http://{self.host}:{self.port + 1 + number}"

    def agent_work_dir(self, number: int) -> Path:
        return self.work_dir / f"agent{number}" / "work"

    def leader(self) -> int | None:
        """The number of the master that leads."""
        return next((number for number, node in enumerate(self._masters) if node.host is not None), None)

    def master_is_up(self, number: int = 0) -> bool:
        return self._masters[number].is_up

    def agent_is_up(self, number: int) -> bool:
        return self._agents[number].is_up

    def agent(self, number: int) -> AgentNode:
        return self._agents[number]

    def master(self, number: int = 0) -> MasterNode:
        return self._masters[number]

    def describe(self) -> Iterator[str]:
        for number in range(self.masters):
            yield f"master{number or ''} {self.url_of_master(number)}"
        for number in range(self.agents):
            yield f"agent{number} {self.agent_url(number)}"

    # --- life

    async def start(self) -> None:
        """All masters and agents, until one leads and the agents are registered. Raises HostError, RemoteError."""
        post = Post(RealTimeline(asyncio.get_running_loop()), self.faults)
        realms = frozenset({Realm.SCHEDULER, Realm.READWRITE})
        around = Surroundings(
            post=post,
            basic=Basic(self._credentials or {}, realms),
            limits=self._limits,
            leader_changed=self._follow,
            zk=self._zk,
            zk_session_timeout_s=self._zk_session_timeout_s,
            recovery_s=self._recovery_s,
        )
        self._make_folders()
        self._hold = _hold(self.work_dir)  # before anything that was left there is ended
        self._masters = [MasterNode(config, around) for config in self._configs]
        self._agents = [AgentNode(self._setting(number), post, secrets.token_hex(8)) for number in range(self.agents)]
        try:
            for agent in self._agents:
                await agent.containers.kill_leftovers()
            for master in self._masters:
                await master.start()
            await _until(lambda: self.leader() is not None, "no master leads")
            for agent in self._agents:
                await agent.start(self._leading())
            await _until(lambda: all(agent.is_registered for agent in self._agents), "not all agents are registered")
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Nothing is left: no port, no task, no executor."""
        for agent in self._agents:
            await agent.stop()
        for master in self._masters:
            await master.stop()
        if self._hold is not None:
            os.close(self._hold)
            self._hold = None

    async def sweep(self) -> int:
        """Instead of starting: end what a killed one has left in the work dir. Returns how many executors. Raises
        HostError for one that runs."""
        self._make_folders()
        hold = _hold(self.work_dir)
        try:
            post = Post(RealTimeline(asyncio.get_running_loop()), self.faults)
            agents = [AgentNode(self._setting(number), post, "") for number in range(self.agents)]
            return sum([await agent.containers.kill_leftovers() for agent in agents])
        finally:
            os.close(hold)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # --- verbs

    async def kill_master(self, number: int = 0) -> None:
        """As kill -9."""
        await self._masters[number].kill()

    async def start_master(self, number: int = 0, wait: bool = True) -> None:
        """With the registry of the last leader; waits until some master leads."""
        await self._masters[number].start()
        if wait:
            await _until(lambda: self.leader() is not None, "no master leads")

    async def kill_agent(self, number: int) -> None:
        """As kill -9; executors live on."""
        await self._agents[number].kill()

    async def start_agent(self, number: int, wait: bool = True) -> None:
        """Raises HostError when it ends by itself, as one with other attributes than before does."""
        agent = self._agents[number]
        await agent.start(self._leading())
        if wait:
            await _until(lambda: agent.is_registered or bool(agent.ended), f"agent {number} is not registered")
            if agent.ended:
                await agent.wait_ended()
                raise HostError(f"agent {number} ended: {agent.ended}")

    async def shutdown_agent(self, number: int) -> None:
        """As SIGUSR1: it ends for good, and its tasks with it. Waits until it has."""
        agent = self._agents[number]
        agent.shut_down()
        await _until(lambda: not agent.is_up, f"agent {number} does not end")

    async def forget_agent(self, number: int) -> None:
        """What an ended agent knows of itself goes: the next start registers a new one."""
        self._agents[number].forget()

    def kill_executor(self, number: int, executor_id: str) -> bool:
        """As kill -9 of the first process of an executor of this agent. Whether there was one."""
        return self._agents[number].kill_executor(executor_id)

    # --- inside

    def _leading(self) -> MasterHost | None:
        number = self.leader()
        return self._masters[number].host if number is not None else None

    def _follow(self) -> None:
        for agent in self._agents:
            agent.follow(self._leading())

    def _make_folders(self) -> None:
        try:
            self.work_dir.mkdir(parents=True, exist_ok=True)
            for number in range(self.agents):
                self.agent_work_dir(number).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HostError(f"cannot make {error.filename}: {error.strerror}") from error

    def _master_config(self, number: int, options: Mapping[str, Any]) -> MasterConfig:
        """Where it listens and whom it knows is ours to say: agents and the other masters rely on it."""
        for name in _OURS & options.keys():
            raise UserError(f"no master option {name!r} here: the cluster has one of that name for all of it")
        port = self.port + 50 + number if number else self.port
        fixed = {"ip": self.host, "hostname": self.host, "port": port, "credentials": self._credentials}
        config = make_options(MasterConfig, options, "master", **fixed)
        for name in _RHYTHMS:
            if not getattr(config, name) > 0:
                raise UserError(f"cannot use {name}={getattr(config, name)}: expected more than 0 seconds")
        return config

    def _make_agent_options(self, options: Mapping[str, Any]) -> AgentOptions:
        master = self._configs[0]
        fixed: dict[str, Any] = {
            "registration_backoff_factor_s": 0.1,
            "master_ping_timeout_s": master.agent_ping_timeout_s * master.max_agent_ping_timeouts,
            "switch_user": os.geteuid() == 0,
        }
        if self._credentials is not None:
            fixed |= {"jwt_secret_key": secrets.token_bytes(32), "authenticate_http_executors": True}
        return make_options(AgentOptions, options, "agent", **fixed)

    def _setting(self, number: int) -> AgentSetting:
        return AgentSetting(
            number=number,
            ip=self.host,
            port=self.port + 1 + number,
            work_dir=self.agent_work_dir(number),
            options=self._agent_options,
            describe=lambda: self._describe(number),
            credentials=self._credentials,
        )

    def _describe(self, number: int) -> AgentInfo:
        return AgentInfo(
            hostname=_text(self.hostname, number),
            port=self.port + 1 + number,
            resources=parse_resources(_text(self.resources, number)),
            attributes=parse_attributes(_text(self.attributes, number)),
            checkpoint=True,
        )


def _check_shape(port: int, agents: int, masters: int, zk: str | None) -> ZooKeeperPath | None:
    if not 1 <= port <= 65535 - 50 - MAX_MASTERS:
        raise UserError(f"cannot use port {port}: expected 1 to {65535 - 50 - MAX_MASTERS}, others follow")
    if not 0 <= agents <= MAX_AGENTS:
        raise UserError(f"cannot run {agents} agents: expected 0 to {MAX_AGENTS}; simulations take more")
    if not 1 <= masters <= MAX_MASTERS:
        raise UserError(f"cannot run {masters} masters: expected 1 to {MAX_MASTERS}")
    if zk is None:
        if masters > 1:
            raise UserError("cannot run several masters without a ZooKeeper: say where it is, zk://host:port/path")
        return None
    where = parse_masters(zk)
    if not isinstance(where, ZooKeeperPath):
        raise UserError(f"cannot elect a leader at {zk!r}: expected zk://host:port/path")
    return where


def _text(template: Template, number: int) -> str:
    """Raises UserError for a list that is too short."""
    if not isinstance(template, str):
        if number >= len(template):
            raise UserError(f"no text for agent {number}: there are {len(template)}")
        template = template[number]
    first = 31000 + 100 * number
    # not `format`: a set is written with braces, too
    return template.replace("{i}", str(number)).replace("{p0}", str(first)).replace("{p1}", str(first + 99))


def _hold(folder: Path) -> int:
    """A descriptor with the lock on a folder, which ends with this process, however it ends. Raises HostError."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise HostError(f"cannot use {folder}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        is_taken = isinstance(error, BlockingIOError)
        why = "another embedded Mesos works in it" if is_taken else error.strerror
        raise HostError(f"cannot use {folder}: {why}") from error
    return descriptor


async def _until(condition: Callable[[], bool], otherwise: str) -> None:
    """Looks every few milliseconds: what it waits for happens in this loop."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError as error:
        raise HostError(f"{otherwise} after {PATIENCE_S:g} seconds") from error
