"""The books of a master: all that it knows, and the few ways in which it speaks.

Everything here has one writer, the event that is being handled; `now` is that event's time and `effects` what it will
have done. The modules beside this one each know one noun (subscriptions, offers, accepting, statuses, membership,
operations, maintenance) and work on these books; `Master` is the door.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from mesos.core.messages import (
    Address,
    AgentInfo,
    CapabilityInfo,
    DomainInfo,
    FrameworkID,
    MasterInfo,
    Message,
    Opaque,
    TimeInfo,
)
from mesos.core.scheduler_api import Event
from mesos.local.core import protocol
from mesos.local.core.allocator import Allocator
from mesos.local.core.frameworks import Framework
from mesos.local.core.known_agents import Agent, Machine
from mesos.local.core.registry import KnownAgent, LostAgent, MachineMode, Registry, Window
from mesos.local.core.resources import Resources
from mesos.local.core.timers import Timers
from thermos.clock import Now


class MasterConfig(Message, frozen=True):
    """What Mesos' flags say; times in seconds."""

    hostname: str = "127.0.0.1"
    ip: str = "127.0.0.1"
    port: int = 5050
    version: str = "1.11.0"
    cluster: str = ""
    allocation_interval_s: float = 1.0
    agent_ping_timeout_s: float = 15.0
    max_agent_ping_timeouts: int = 5
    agent_reregister_timeout_s: float = 600.0
    heartbeat_interval_s: float = 15.0
    offer_timeout_s: float | None = None
    min_allocatable: tuple[dict[str, float], ...] = ({"cpus": 0.01}, {"mem": 32.0})
    max_completed_frameworks: int = 50
    max_completed_tasks_per_framework: int = 1000
    max_unreachable_tasks_per_framework: int = 1000
    max_lost_agents: int = 100_000  # unreachable or gone, each
    max_operator_event_stream_subscribers: int = 1000
    credentials: dict[str, str] | None = None  # principal -> secret; None: everybody may come
    roles: tuple[str, ...] | None = None  # whitelist; None: all
    domain: DomainInfo | None = None

    def info(self, identity: str) -> MasterInfo:
        """Of the master with these settings and this identity. (QUOTA_V2 has no name in the v1 API: it is empty.)"""
        return MasterInfo(
            id=identity,
            ip=int.from_bytes(ipaddress.ip_address(self.ip).packed[:4], "little"),
            port=self.port,
            pid=f"master@{self.ip}:{self.port}",
            hostname=self.hostname,
            version=self.version,
            address=Address(hostname=self.hostname, ip=self.ip, port=self.port),
            domain=self.domain,
            capabilities=tuple(CapabilityInfo(type=name) for name in ("AGENT_UPDATE", "AGENT_DRAINING", "")),
        )


class SendOperator(Message, frozen=True):
    """Write this event (of the v1 operator API, as JSON) to an operator's stream."""

    stream_id: str
    event: Opaque


Effect = protocol.MasterEffect | SendOperator
Effects = tuple[Effect, ...]


class Answer(Message, frozen=True):
    """To a call: the HTTP status, its text, and what happens besides. `body` is JSON where there is some."""

    status: int
    text: str = ""
    effects: tuple[Effect, ...] = ()
    body: object = None
    headers: dict[str, str] = {}


class Kind(StrEnum):
    """Of deadlines."""

    PING = "ping"
    HEARTBEAT = "heartbeat"
    OPERATOR_HEARTBEAT = "operator heartbeat"
    FAILOVER = "failover"
    OFFER = "offer"
    RECOVERED = "recovered agents"
    AWAY = "away"
    INVERSE = "inverse offers"
    OPERATION = "operation"


class Due(NamedTuple):
    """`number` tells a deadline that still holds from an old one of the same id."""

    kind: Kind
    id: str = ""
    number: float = 0.0


class OfferRecord(NamedTuple):
    id: str
    framework: str
    agent: str
    role: str
    resources: Resources  # allocated to the role


class InverseRecord(NamedTuple):
    id: str
    framework: str
    agent: str


class Said(Message, frozen=True):
    """A framework's answer to an inverse offer."""

    framework_id: FrameworkID
    status: str  # ACCEPT, DECLINE
    timestamp: TimeInfo


class Drains:
    """Agents that will be away, what frameworks said, and until when they will not be asked again."""

    def __init__(self) -> None:
        self.agents: dict[str, None] = {}
        self.said: dict[str, dict[str, Said]] = {}  # agent -> framework
        self.quiet_until: dict[tuple[str, str], float] = {}  # (agent, framework)
        self.ticking = False

    def forget(self, agent: str) -> None:
        self.agents.pop(agent, None)
        self.said.pop(agent, None)
        for key in [key for key in self.quiet_until if key[0] == agent]:
            del self.quiet_until[key]


class Cluster:
    def __init__(self, config: MasterConfig, identity: str, now: Now, registry: Registry) -> None:
        self.config, self.identity, self.now = config, identity, now
        self.started_at = now.wall
        least = tuple({name: round(v * 1000) for name, v in each.items()} for each in config.min_allocatable)
        self.allocator = Allocator(least, config.allocation_interval_s, now.mono, config.domain)
        self.timers: Timers[Due] = Timers()
        self.effects: list[Effect] = []
        self.frameworks: dict[str, Framework] = {}
        self.completed: OrderedDict[str, Framework] = OrderedDict()
        self.by_stream: dict[str, str] = {}
        self.agents: dict[str, Agent] = {}
        self.by_link: dict[str, str] = {}
        self.by_address: dict[tuple[str, int], str] = {}
        self.recovered: dict[str, KnownAgent] = {}  # known to the last master, not back yet
        self.unreachable: OrderedDict[str, LostAgent] = OrderedDict()
        self.gone: OrderedDict[str, LostAgent] = OrderedDict()
        self.offers: dict[str, OfferRecord] = {}
        self.inverse_offers: dict[str, InverseRecord] = {}
        self.schedule: tuple[Window, ...] = ()
        self.machines: dict[Machine, MachineMode] = {}  # those that are not UP
        self.on_machine: dict[Machine, dict[str, None]] = {}
        self.drains = Drains()
        self.maybe_drained: dict[str, None] = {}  # agents to look at when the event is handled
        self.operators: dict[str, None] = {}
        self.counts: Counter[str] = Counter()
        self._numbers: Counter[str] = Counter()
        self._uuids = 0
        self._read(registry)

    def _read(self, registry: Registry) -> None:
        """What the last master knew; its agents are awaited."""
        self.recovered = {known.info.id.value: known for known in registry.agents if known.info.id is not None}
        self.unreachable.update((lost.agent_id, lost) for lost in registry.unreachable)
        self.gone.update((lost.agent_id, lost) for lost in registry.gone)
        self.schedule = registry.schedule
        self.machines = {
            (machine.hostname.lower(), machine.ip): MachineMode.DRAINING
            for window in registry.schedule
            for machine in window.machine_ids
        }
        self.machines |= {(machine.hostname.lower(), machine.ip): MachineMode.DOWN for machine in registry.down}
        for role, quota in registry.quotas.items():
            self.allocator.set_quota(role, quota)
        for role, weight in registry.weights.items():
            self.allocator.set_weight(role, weight)
        if self.recovered:
            self.at(self.config.agent_reregister_timeout_s, Kind.RECOVERED)

    # --- names

    def new_framework_id(self) -> str:
        return f"{self.identity}-{self._next('framework'):04d}"

    def new_agent_id(self) -> str:
        return f"{self.identity}-S{self._next('agent')}"

    def new_offer_id(self) -> str:
        return f"{self.identity}-O{self._next('offer')}"

    def _next(self, what: str) -> int:
        number = self._numbers[what]
        self._numbers[what] = number + 1
        return number

    def new_uuid(self) -> bytes:
        """Random enough: nobody else has this master's identity."""
        self._uuids += 1
        raw = bytearray(hashlib.blake2b(f"{self.identity} {self._uuids}".encode(), digest_size=16).digest())
        raw[6] = raw[6] & 0x0F | 0x40
        raw[8] = raw[8] & 0x3F | 0x80
        return bytes(raw)

    def ip_of(self, info: AgentInfo) -> str:
        """An agent's address: its hostname where that is one."""
        try:
            return str(ipaddress.ip_address(info.hostname))
        except ValueError:
            return self.config.ip

    @property
    def time_info(self) -> TimeInfo:
        return TimeInfo(nanoseconds=round(self.now.wall * 1e9))

    @property
    def info(self) -> MasterInfo:
        return self.config.info(self.identity)

    # --- speaking

    def send(self, framework: Framework, event: Event) -> None:
        """To a framework that is there; others miss it."""
        if framework.stream_id is not None and framework.active:
            self.counts[f"event {event.type}"] += 1
            self.effects.append(protocol.SendEvent(stream_id=framework.stream_id, event=event))

    def tell(self, agent: Agent, message: protocol.FromMaster) -> None:
        self.effects.append(protocol.SendAgent(link=agent.link, message=message))

    def announce(self, event: Callable[[], Opaque]) -> None:
        """To operators' streams; made only if there are any."""
        if self.operators:
            made = event()
            self.effects += [SendOperator(stream_id=stream, event=made) for stream in self.operators]

    def at(self, delay_s: float, kind: Kind, what: str = "", number: float = 0.0) -> None:
        self.timers.add(self.now.mono + delay_s, Due(kind, what, number))
