"""A master on a virtual clock, with frameworks and agents that are a few lines each. Nothing here waits.

`World.advance` fires the master's deadlines one by one. Agents answer pings, and run what they are told to as the test
says: tasks come up as TASK_RUNNING at once, unless `World.hands_off`. After each event the books are checked
(`invariants`), so every test is a test of them, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import msgspec

from mesos.core import scheduler_api as api
from mesos.core.messages import (
    AgentID,
    AgentInfo,
    CapabilityInfo,
    CommandInfo,
    ExecutorID,
    ExecutorInfo,
    FrameworkID,
    FrameworkInfo,
    Launch,
    Offer,
    Operation,
    OperationStatus,
    OperationType,
    Resource,
    TaskID,
    TaskInfo,
    TaskState,
    TaskStatus,
    scalar,
    text_attribute,
)
from mesos.local.core import protocol
from mesos.local.core.cluster import SendOperator
from mesos.local.core.master import Answer, Effects, Master, MasterConfig, Registry
from mesos.local.core.resource_text import parse_resources
from mesos.local.core.resources import Resources, total_of
from thermos.clock import Now

MODERN = ("MULTI_ROLE", "PARTITION_AWARE", "RESERVATION_REFINEMENT")
RESOURCES = "cpus:4;mem:4096;disk:8192;ports:[31000-31099]"


class FakeAgent:
    """Keeps what it was told to run."""

    def __init__(self, world: World, info: AgentInfo, link: str) -> None:
        self.world, self.info, self.link = world, info, link
        self.total = info.resources
        self.deaf = False  # takes nothing in, answers nothing
        self.ended = ""
        self.heard: list[protocol.FromMaster] = []
        self.tasks: dict[tuple[str, str], protocol.Task] = {}
        self.executors: dict[tuple[str, str], ExecutorInfo] = {}
        self.frameworks: dict[str, FrameworkInfo] = {}

    @property
    def id(self) -> str:
        assert self.info.id is not None
        return self.info.id.value

    def take(self, message: protocol.FromMaster) -> list[protocol.FromAgent]:
        if self.deaf:
            return []
        self.heard.append(message)
        match message:
            case protocol.AgentRegistered():
                self.info = msgspec.structs.replace(self.info, id=message.agent_id)
                return [self._dropped(wanted) for wanted in message.reconcile]
            case protocol.Ping():
                assert self.info.id is not None
                return [protocol.Pong(agent_id=self.info.id)]
            case protocol.RunTask():
                return self._run(message)
            case protocol.KillTask():
                return self._kill(message)
            case protocol.ApplyOperation():
                return self._apply(message)
            case protocol.ShutdownAgent():
                self.ended = message.message
            case protocol.ShutdownFramework():
                name = message.framework_id.value
                self.tasks = {key: task for key, task in self.tasks.items() if key[0] != name}
                self.executors = {key: executor for key, executor in self.executors.items() if key[0] != name}
                self.frameworks.pop(name, None)
            case _:
                pass
        return []

    def _run(self, message: protocol.RunTask) -> list[protocol.FromAgent]:
        task, framework = message.task, message.framework
        assert framework.id is not None
        self.frameworks[framework.id.value] = framework
        if task.executor is not None:
            self.executors[framework.id.value, task.executor.executor_id.value] = task.executor
        self.tasks[framework.id.value, task.task_id.value] = protocol.Task(
            name=task.name,
            task_id=task.task_id,
            framework_id=framework.id,
            agent_id=task.agent_id,
            state=TaskState.STAGING,
            resources=task.resources,
            executor_id=task.executor.executor_id if task.executor is not None else None,
        )
        if self.world.hands_off:
            return []
        return [self.status(framework.id.value, task.task_id.value, TaskState.RUNNING)]

    def _kill(self, message: protocol.KillTask) -> list[protocol.FromAgent]:
        key = (message.framework_id.value, message.task_id.value)
        if self.world.hands_off or key not in self.tasks:
            return []
        return [self.status(*key, TaskState.KILLED)]

    def _apply(self, message: protocol.ApplyOperation) -> list[protocol.FromAgent]:
        if self.world.hands_off:
            return []
        assert self.info.id is not None
        status = OperationStatus(state="OPERATION_FINISHED", operation_id=message.operation.id)
        return [
            protocol.OperationUpdate(
                agent_id=self.info.id,
                operation_uuid=message.operation_uuid,
                status=status,
                total=(),
                framework_id=message.framework_id,
            )
        ]

    def _dropped(self, wanted: protocol.TaskOf) -> protocol.StatusUpdate:
        """Of a task that this agent does not know: the master asks only for those that it did not mention."""
        status = TaskStatus(
            task_id=wanted.task_id,
            state=wanted.state,
            source="SOURCE_AGENT",
            reason="REASON_RECONCILIATION",
            message="Reconciliation: task unknown to the agent",
            agent_id=AgentID(value=self.id),
            uuid=self.world.uuid(),
        )
        return protocol.StatusUpdate(
            framework_id=wanted.framework_id,
            agent_id=AgentID(value=self.id),
            status=status,
            latest_state=wanted.state,
        )

    def status(self, framework: str, task: str, state: str, **more: object) -> protocol.StatusUpdate:
        known = self.tasks[framework, task]
        status = TaskStatus(
            task_id=known.task_id,
            state=state,
            source="SOURCE_EXECUTOR",
            agent_id=AgentID(value=self.id),
            executor_id=known.executor_id,
            timestamp=self.world.now.wall,
            uuid=self.world.uuid(),
        )
        status = msgspec.structs.replace(status, **more)
        changed = msgspec.structs.replace(
            known,
            state=state,
            statuses=(*known.statuses, status),
            status_update_state=state,
            status_update_uuid=status.uuid,
        )
        self.tasks[framework, task] = changed
        return protocol.StatusUpdate(
            framework_id=FrameworkID(value=framework),
            agent_id=AgentID(value=self.id),
            status=status,
            latest_state=state,
        )

    def says(self, framework: str, task: str, state: str, **more: object) -> None:
        self.world.from_agent(self, self.status(framework, task, state, **more))

    def executor_exits(self, framework: str, executor: str, status: int = 0) -> None:
        del self.executors[framework, executor]
        exited = protocol.ExecutorExited(
            framework_id=FrameworkID(value=framework),
            agent_id=AgentID(value=self.id),
            executor_id=ExecutorID(value=executor),
            status=status,
        )
        self.world.from_agent(self, exited)

    def break_link(self) -> None:
        self.world.perform(self.world.master.link_broken(self.link, self.world.now))

    def come_back(self, **changes: object) -> None:
        """Over a new link, with what it has."""
        self.link = f"link-{next(self.world.numbers)}"
        self.deaf = False
        self.world.links[self.link] = self
        message = protocol.ReregisterAgent(
            info=self.info,
            total=self.total,
            frameworks=tuple(self.frameworks.values()),
            executors=tuple(self.executors.values()),
            tasks=tuple(self.tasks.values()),
        )
        self.world.from_agent(self, msgspec.structs.replace(message, **changes))


class FakeFramework:
    """Hears events; `ack` says whether it acknowledges."""

    def __init__(self, world: World, info: FrameworkInfo, stream: str) -> None:
        self.world, self.info, self.stream = world, info, stream
        self.events: list[api.Event] = []
        self.closed = False
        self.ack = True

    @property
    def id(self) -> str:
        assert self.info.id is not None
        return self.info.id.value

    def hear(self, event: api.Event) -> None:
        self.events.append(event)
        if event.subscribed is not None:
            self.info = msgspec.structs.replace(self.info, id=event.subscribed.framework_id)

    def take(self, kind: str) -> list[api.Event]:
        """Events of a kind since the last time it was asked."""
        found = [event for event in self.events if event.type == kind]
        self.events = [event for event in self.events if event.type != kind]
        return found

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events if event.type != "HEARTBEAT"]

    def offers(self) -> list[Offer]:
        return [offer for event in self.take("OFFERS") if event.offers is not None for offer in event.offers.offers]

    def offer(self) -> Offer:
        (offer,) = self.offers()
        return offer

    def updates(self) -> list[TaskStatus]:
        return [event.update.status for event in self.take("UPDATE") if event.update is not None]

    def said(self) -> list[tuple[str, str, str, str]]:
        """(task, state, reason, message) of the updates."""
        return [(s.task_id.value, s.state, s.reason, s.message) for s in self.updates()]

    def call(self, call: api.Call, expect: int = 202) -> Answer:
        call = msgspec.structs.replace(call, framework_id=FrameworkID(value=self.id))
        answer = self.world.master.call(call, self.stream, None, self.world.now)
        self.world.perform(answer.effects)
        assert answer.status == expect, answer
        return answer

    def launch(self, offers: Offer | Sequence[Offer], *tasks: TaskInfo, refuse: float = 0.0) -> None:
        offers = [offers] if isinstance(offers, Offer) else offers
        operation = Operation(type=OperationType.LAUNCH, launch=Launch(task_infos=tasks))
        self.call(api.accept([offer.id for offer in offers], [operation], refuse))

    def operate(self, offer: Offer, *operations: Operation, refuse: float = 0.0) -> None:
        self.call(api.accept([offer.id], operations, refuse))

    def disconnect(self) -> None:
        self.closed = True
        self.world.perform(self.world.master.stream_closed(self.stream, self.world.now))

    def kill(self, task: str, agent: str | None = None) -> None:
        self.call(api.kill(TaskID(value=task), AgentID(value=agent) if agent is not None else None))

    def reconcile(self, *tasks: tuple[str, str | None]) -> list[tuple[str, str, str, str]]:
        self.updates()
        named = [(TaskID(value=task), AgentID(value=agent) if agent is not None else None) for task, agent in tasks]
        self.call(api.reconcile(named))
        return self.said()


class World:
    def __init__(self, registry: Registry | None = None, **config: object) -> None:
        self.now = Now(wall=1_700_000_000.0, mono=1000.0)
        self.numbers = count(1)
        self.config = msgspec.structs.replace(MasterConfig(), **config)
        self.links: dict[str, FakeAgent] = {}
        self.streams: dict[str, FakeFramework] = {}
        self.operator_events: dict[str, list[dict[str, object]]] = {}
        self.closed: list[str] = []
        self.hands_off = False
        self.effects: list[object] = []
        self.master = Master(self.config, "m1", self.now, registry)
        self.check = True

    def uuid(self) -> bytes:
        return next(self.numbers).to_bytes(16, "big")

    # --- performing

    def perform(self, effects: Effects) -> None:
        for effect in effects:
            self.effects.append(effect)
            match effect:
                case protocol.SendEvent():
                    self._send(effect)
                case protocol.CloseStream():
                    self.closed.append(effect.stream_id)
                    if effect.stream_id in self.streams:
                        self.streams[effect.stream_id].closed = True
                case protocol.SendAgent():
                    agent = self.links.get(effect.link)
                    for answer in agent.take(effect.message) if agent is not None else []:
                        self.perform(self.master.from_agent(effect.link, answer, self.now))
                case SendOperator():
                    self.operator_events.setdefault(effect.stream_id, []).append(effect.event)
        if self.check:
            invariants(self.master)

    def _send(self, effect: protocol.SendEvent) -> None:
        framework = self.streams[effect.stream_id]
        assert not framework.closed, f"an event to a stream that ended: {effect.event}"
        framework.hear(effect.event)
        update = effect.event.update
        if update is not None and update.status.uuid and framework.ack:
            framework.call(api.acknowledge(update.status))

    def from_agent(self, agent: FakeAgent, message: protocol.FromAgent) -> None:
        self.perform(self.master.from_agent(agent.link, message, self.now))

    def advance(self, seconds: float) -> None:
        end = self.now.mono + seconds
        while (wake := self.master.next_wake) is not None and wake <= end:
            self._to(max(wake, self.now.mono))
            self.perform(self.master.on_timer(self.now))
        self._to(end)

    def _to(self, mono: float) -> None:
        self.now = Now(wall=self.now.wall + mono - self.now.mono, mono=mono)

    # --- who takes part

    def agent(
        self, hostname: str = "a0", resources: str = RESOURCES, attributes: str = "", **info: object
    ) -> FakeAgent:
        link = f"link-{next(self.numbers)}"
        named = tuple(text_attribute(*pair.split(":")) for pair in attributes.split(";") if pair)
        described = AgentInfo(
            hostname=hostname, resources=parse_resources(resources), attributes=named, checkpoint=True
        )
        described = msgspec.structs.replace(described, **info)
        agent = self.links[link] = FakeAgent(self, described, link)
        self.from_agent(agent, protocol.RegisterAgent(info=described))
        return agent

    def framework(
        self,
        *roles: str,
        capabilities: Sequence[str] = MODERN,
        again: FakeFramework | None = None,
        suppressed: Sequence[str] = (),
        constraints: dict[str, object] | None = None,
        **changes: object,
    ) -> FakeFramework:
        multi = "MULTI_ROLE" in capabilities
        info = FrameworkInfo(
            user="root",
            name="test",
            id=again.info.id if again is not None else None,
            failover_timeout=60.0,
            checkpoint=True,
            roles=(roles or ("*",)) if multi else (),
            role="" if multi else (roles or ("*",))[0],
            capabilities=tuple(CapabilityInfo(type=name) for name in capabilities),
        )
        info = msgspec.structs.replace(info, **changes)
        return self.subscribe(api.subscribe(info, suppressed, constraints))

    def subscribe(self, call: api.Call, principal: str | None = None) -> FakeFramework:
        stream = f"stream-{next(self.numbers)}"
        assert call.subscribe is not None
        framework = self.streams[stream] = FakeFramework(self, call.subscribe.framework_info, stream)
        answer = self.master.subscribe(call, stream, principal, self.now)
        assert answer.status == 200, answer
        self.perform(answer.effects)
        return framework

    def new_master(self, identity: str = "m2") -> None:
        """The old one died; all streams and links are broken."""
        registry = self.master.registry
        for framework in self.streams.values():
            framework.closed = True
        self.links.clear()
        self.master = Master(self.config, identity, self.now, registry)


def task(
    offer: Offer,
    name: str,
    *resources: Resource,
    executor: str | None = "ex",
    own: Sequence[Resource] = (),
    **changes: object,
) -> TaskInfo:
    """With an executor of its own that needs nothing, unless `own` says something else."""
    info = ExecutorInfo(
        type="CUSTOM",
        executor_id=ExecutorID(value=executor or ""),
        command=CommandInfo(value="run"),
        resources=tuple(own),
    )
    made = TaskInfo(
        name=name,
        task_id=TaskID(value=name),
        agent_id=offer.agent_id,
        resources=resources or (scalar("cpus", 1), scalar("mem", 64)),
        executor=info if executor is not None else None,
    )
    return msgspec.structs.replace(made, **changes)


def invariants(master: Master) -> None:
    """What must hold between any two events: offered + used + free is all that there is, and no two have the same."""
    cluster = master.cluster
    for name, agent in cluster.agents.items():
        slot = cluster.allocator.agents[name]
        offered = [cluster.offers[offer].resources for offer in agent.offers]
        used = [resources for framework in agent.frameworks for resources in agent.holds(framework)]
        assert total_of(used) == agent.used, f"{name}: {total_of(used)} is used, the books say {agent.used}"
        allocated = total_of(part.unallocated() for part in (*offered, *used))
        assert allocated == slot.allocated, f"{name}: {allocated} is allocated, the allocator says {slot.allocated}"
        assert slot.free == slot.total.without(allocated)
        _no_overlap([part.unallocated() for part in (*offered, *used)], slot.total)
    for offer, record in cluster.offers.items():
        assert offer in cluster.agents[record.agent].offers
        assert offer in cluster.frameworks[record.framework].offers
        assert cluster.frameworks[record.framework].active
        assert cluster.allocator.agents[record.agent].active
    _sums(master)


def _no_overlap(parts: list[Resources], total: Resources) -> None:
    left = total
    for part in parts:
        assert left.contains(part), f"{part} is given away twice"
        left = left - part


def _sums(master: Master) -> None:
    allocator = master.cluster.allocator
    total = total_of(Resources({k: v for k, v in slot.total.amounts.items() if isinstance(v, int)})
                     for slot in allocator.agents.values()).scalars()  # fmt: skip
    assert {name: amount for name, amount in allocator.total.items() if amount} == total
    headroom: dict[str, int] = {}
    for slot in allocator.agents.values():
        for key, amount in slot.free.amounts.items() if slot.active else ():
            if isinstance(amount, int) and not key.reservations and not key.revocable:
                headroom[key.name] = headroom.get(key.name, 0) + amount
    assert {name: amount for name, amount in allocator.headroom.items() if amount} == headroom
    for offer in master.cluster.offers.values():
        room = allocator.quotas.room(offer.role) or {}
        for key in offer.resources.amounts:
            limited = key.name in room and not key.reservations and not key.revocable
            assert not limited or room[key.name] >= 0, f"{offer.role} is offered more than its limit: {room}"
