"""One master of a cluster on this machine: its port, its part in the election, and the master itself while it leads.

    started --elected--> leads --outvoted, or ZooKeeper lost--> follows
       '--killed: port and streams break at once; its node in ZooKeeper stays until its session would have timed out

A master that does not lead knows nothing but where the leader is. One that is elected begins with the registry of the
last one and an identity of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

from mesos.core.leader import ZooKeeperPath
from mesos.core.messages import MasterInfo
from mesos.core.scheduler_api import Call
from mesos.local.core.cluster import Answer, MasterConfig
from mesos.local.core.master import Master
from mesos.local.core.registry import Registry
from mesos.local.election import Alone, Election, Leader, ZooKeeperElection
from mesos.local.http_gate import Basic, Gate, Standing
from mesos.local.http_server import HttpServer
from mesos.local.http_words import no_leader
from mesos.local.link import Post
from mesos.local.master_host import MasterHost, OutboxSink
from mesos.local.master_http import Limits, SchedulerFront
from mesos.local.operator_http import OperatorFront
from mesos.local.streams import Outbox


@dataclass(slots=True)
class Surroundings:
    """What all masters of a cluster share. `registry` is what the last leader knew of agents, as in Mesos' log."""

    post: Post
    basic: Basic
    limits: Limits
    leader_changed: Callable[[], None]
    zk: ZooKeeperPath | None = None
    zk_session_timeout_s: float = 2.0
    recovery_s: float = 0.0  # how long an elected master refuses schedulers with 503
    registry: Registry = field(default_factory=Registry)


class MasterNode:
    def __init__(self, config: MasterConfig, around: Surroundings) -> None:
        self.config = config
        self.host: MasterHost | None = None  # while it leads
        self._around = around
        self._server: HttpServer | None = None
        self._election: Election | None = None
        self._leader: Leader | None = None
        self._ready_at = 0.0
        self._leaving: dict[asyncio.Task[None], Election] = {}

    @property
    def is_up(self) -> bool:
        return self._server is not None

    # --- verbs

    async def start(self) -> None:
        """Raises HostError for a port that is taken, RemoteError when there is no ZooKeeper."""
        if self._server is not None:
            return
        operators = OperatorFront(self, self._around.limits)
        routes = SchedulerFront(self, self._around.post, self._around.limits).routes() | operators.routes()
        server = HttpServer(Gate(self, routes, self._around.basic).handle)
        await server.start(self.config.ip, self.config.port)
        self._server = server
        self._election = self._make_election()
        try:
            await self._election.start(self._report)
        except BaseException:
            await self.stop()
            raise

    async def kill(self) -> None:
        """As kill -9 of its process."""
        election, self._election = self._election, None
        self._end_reign()
        await self._close_port()
        if isinstance(election, ZooKeeperElection):
            task = asyncio.create_task(_leave_later(election, self._around.zk_session_timeout_s))
            self._leaving[task] = election
            task.add_done_callback(lambda done: self._leaving.pop(done, None))

    async def stop(self) -> None:
        """In order, and whatever it left behind when it was killed."""
        election, self._election = self._election, None
        self._end_reign()
        await self._close_port()
        if election is not None:
            await election.stop()
        for task, left in tuple(self._leaving.items()):
            task.cancel()
            await left.stop()

    async def _close_port(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.stop()

    # --- election

    def _make_election(self) -> Election:
        if self._around.zk is None:
            return Alone(self._new_info)
        return ZooKeeperElection(self._around.zk, self._new_info, self._around.zk_session_timeout_s)

    def _new_info(self) -> MasterInfo:
        return self.config.info(str(uuid4()))

    def _report(self, leader: Leader | None) -> None:
        if self._election is None:  # a late word of an election that we left
            return
        self._leader = leader
        if leader is None or not leader.is_us:
            self._end_reign()
        elif self.host is None or self.host.identity != leader.info.id:
            self._end_reign()
            timeline = self._around.post.timeline
            master = Master(self.config, leader.info.id, timeline.now(), self._around.registry)
            self._ready_at = timeline.now().mono + self._around.recovery_s
            self.host = MasterHost(master, leader.info.id, self._around.post)
        self._around.leader_changed()

    def _end_reign(self) -> None:
        """Its streams break, its memory goes; what is in the registry stays."""
        self._leader = self._leader if self.host is None else None
        host, self.host = self.host, None
        if host is not None:
            self._around.registry = host.master.registry
            host.kill()
            self._around.leader_changed()

    def standing(self) -> Standing:
        address = self._leader.address if self._leader is not None else None
        is_recovered = self._around.post.timeline.now().mono >= self._ready_at
        return Standing(address, leads=self.host is not None, is_recovered=is_recovered)

    # --- what comes over HTTP; the gate lets it through only while this master leads

    def subscribe(self, call: Call, stream_id: str, outbox: Outbox, principal: str | None) -> Answer:
        return self.leading().subscribe(call, stream_id, OutboxSink(outbox), principal)

    def call(self, call: Call, stream_id: str | None, principal: str | None) -> Answer:
        return self.leading().call(call, stream_id, principal)

    def stream_closed(self, stream_id: str) -> None:
        if self.host is not None:
            self.host.stream_closed(stream_id)

    def leading(self) -> MasterHost:
        """Raises the 503 when it does not lead any more."""
        if self.host is None:
            raise no_leader()
        return self.host


async def _leave_later(election: Election, seconds: float) -> None:
    """What ZooKeeper does by itself with the session of a process that died."""
    await asyncio.sleep(seconds)
    await election.stop()
