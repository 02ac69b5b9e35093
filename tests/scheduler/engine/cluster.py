"""A model of a Mesos master and its agents, as far as a scheduler can see them; small enough to be checked by reading.

It holds what is true of the cluster (which tasks are on which agent, which offers are out), and complains when the
scheduler does what it must not: use an offer twice, or give away more than a host has. What it says to the scheduler is
in `inbox`, in order; who delivers it may lose, repeat and reorder.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from dataclasses import dataclass, field

from mesos.core.messages import (
    AgentID,
    AllocationInfo,
    FrameworkID,
    Offer,
    OfferID,
    Reason,
    Resource,
    TaskID,
    TaskInfo,
    TaskState,
    TaskStatus,
    ranges,
    scalar,
    text_attribute,
)
from scheduler.core.effects import DeclineOffers, LaunchTasks, ReconcileTasks

DEAD = frozenset({TaskState.FINISHED, TaskState.FAILED, TaskState.KILLED})
PORTS = range(31000, 31020)


@dataclass
class OnAgent:
    """A task there. `unacked`: statuses that wait for it, the oldest is said again and again."""

    info: TaskInfo
    state: TaskState = TaskState.STAGING
    unacked: deque[TaskStatus] = field(default_factory=deque)

    @property
    def resources(self) -> list[Resource]:
        return [*self.info.resources, *(self.info.executor.resources if self.info.executor else ())]


@dataclass
class Agent:
    id: str
    host: str
    rack: str
    cpus: float = 4.0
    mem: float = 4096.0
    reachable: bool = True
    tasks: dict[str, OnAgent] = field(default_factory=dict)

    def alive(self) -> list[OnAgent]:
        return [task for task in self.tasks.values() if task.state not in DEAD]

    def free(self, out: list[Offer]) -> tuple[float, float, list[int]]:
        """What is neither used nor offered."""
        taken = [r for task in self.alive() for r in task.resources] + [r for offer in out for r in offer.resources]
        used = ports_in(taken)
        return (
            round(self.cpus - amount("cpus", taken), 3),
            self.mem - amount("mem", taken),
            [port for port in PORTS if port not in used],
        )


def amount(name: str, resources: list[Resource]) -> float:
    return sum(r.scalar.value for r in resources if r.name == name and r.scalar is not None)


def ports_in(resources: list[Resource]) -> Counter[int]:
    found: Counter[int] = Counter()
    for resource in resources:
        if resource.name == "ports" and resource.ranges is not None:
            for span in resource.ranges.range:
                found.update(range(span.begin, span.end + 1))
    return found


@dataclass(frozen=True)
class Said:
    """One thing for the scheduler: exactly one field is set."""

    offers: tuple[Offer, ...] = ()
    rescinded: str = ""
    status: TaskStatus | None = None
    lost_agent: str = ""


class Master:
    def __init__(self, agents: int = 4) -> None:
        self.connected = False
        self.agents = {f"a{n}": Agent(f"a{n}", f"h{n}", f"r{n % 2}") for n in range(agents)}
        self.outstanding: dict[str, Offer] = {}
        self.spent: set[str] = set()  # what the scheduler has used or given back
        self.inbox: deque[Said] = deque()
        self.launched: set[str] = set()
        self._ids = itertools.count()

    # --- the cluster's life -----------------------------------------------------------------------------------------

    def offer_all(self) -> None:
        """Whatever is free; an agent may have several offers out then."""
        found = []
        for agent in self.agents.values():
            out = [offer for offer in self.outstanding.values() if offer.agent_id.value == agent.id]
            cpus, mem, ports = agent.free(out)
            if self.connected and agent.reachable and (cpus > 0 or mem > 0):
                found.append(self._offer(agent, cpus, mem, ports))
        if found:
            self.inbox.append(Said(offers=tuple(found)))

    def _offer(self, agent: Agent, cpus: float, mem: float, ports: list[int]) -> Offer:
        offer = Offer(
            id=OfferID(value=f"o{next(self._ids)}"),
            framework_id=FrameworkID(value="f"),
            agent_id=AgentID(value=agent.id),
            hostname=agent.host,
            resources=(
                scalar("cpus", cpus), scalar("mem", mem), scalar("disk", 10_000.0),
                ranges("ports", *((port, port) for port in ports)),
            ),
            attributes=(text_attribute("rack", agent.rack),),
            allocation_info=AllocationInfo(role="*"),
        )  # fmt: skip
        self.outstanding[offer.id.value] = offer
        return offer

    def rescind(self, offer_id: str) -> None:
        if self.outstanding.pop(offer_id, None) is not None:
            self.inbox.append(Said(rescinded=offer_id))

    def disconnect(self) -> None:
        self.connected = False
        self.outstanding.clear()
        self.inbox.clear()

    def connect(self) -> None:
        self.connected = True
        self.say_again()

    def progress(self, agent: Agent, task: OnAgent, state: TaskState, message: str = "", reason: str = "") -> None:
        """Something happens to a task, and its executor says so."""
        task.state = state
        uuid = f"u{next(self._ids)}".encode()
        status = self._status(task.info.task_id.value, state, agent, reason, uuid, message)
        task.unacked.append(status)
        if len(task.unacked) == 1:
            self._say(agent, status)

    def say_again(self) -> None:
        """Agents repeat what was not acknowledged."""
        for agent in self.agents.values():
            for task in agent.tasks.values():
                if task.unacked:
                    self._say(agent, task.unacked[0])

    def lose(self, agent: Agent) -> None:
        """Out of sight: its tasks live on."""
        agent.reachable = False
        self._void_offers(agent)
        self.inbox.append(Said(lost_agent=agent.id))
        for task in agent.alive():
            self._tell(self._status(task.info.task_id.value, TaskState.UNREACHABLE, agent))

    def find(self, agent: Agent) -> None:
        """It is back."""
        agent.reachable = True
        for task in agent.alive():
            if task.state is TaskState.RUNNING and not task.unacked:
                self._tell(self._status(task.info.task_id.value, TaskState.RUNNING, agent, Reason.AGENT_REREGISTERED))
        self.say_again()

    def destroy(self, agent: Agent) -> None:
        """The machine comes back empty, as another agent on the same host."""
        self._void_offers(agent)
        for task in agent.alive():
            self._tell(self._status(task.info.task_id.value, TaskState.GONE, agent))
        del self.agents[agent.id]
        new = f"b{next(self._ids)}"
        self.agents[new] = Agent(new, agent.host, agent.rack)

    def _void_offers(self, agent: Agent) -> None:
        for offer in [o for o in self.outstanding.values() if o.agent_id.value == agent.id]:
            self.rescind(offer.id.value)

    # --- what the scheduler asks for --------------------------------------------------------------------------------

    def spend(self, offer_id: str) -> Offer | None:
        """An offer is named by the scheduler once in its life."""
        assert offer_id not in self.spent, f"offer {offer_id} is used twice"
        self.spent.add(offer_id)
        return self.outstanding.pop(offer_id, None)

    def launch(self, effect: LaunchTasks) -> None:
        offer = self.spend(effect.offer_id.value)
        wanted = [r for info in effect.tasks for r in OnAgent(info).resources]
        for info in effect.tasks:
            assert info.task_id.value not in self.launched, "a task is launched once"
            self.launched.add(info.task_id.value)
            if offer is None:  # rescinded meanwhile
                self._tell(self._status(info.task_id.value, TaskState.LOST, None, Reason.INVALID_OFFERS))
                continue
            agent = self.agents[offer.agent_id.value]
            assert info.agent_id.value == agent.id
            agent.tasks[info.task_id.value] = OnAgent(info)
        if offer is not None:
            given = list(offer.resources)
            assert amount("cpus", wanted) <= amount("cpus", given) + 1e-9
            assert amount("mem", wanted) <= amount("mem", given)
            assert not ports_in(wanted) - ports_in(given), "ports that were not offered"
            self.check_hosts()

    def decline(self, effect: DeclineOffers) -> None:
        for each in effect.offer_ids:
            self.spend(each.value)

    def kill(self, task_id: str) -> None:
        agent, task = self.where(task_id)
        if agent is None or task is None:
            self._tell(self._status(task_id, TaskState.UNKNOWN, None, Reason.RECONCILIATION))
        elif agent.reachable and task.state not in DEAD:
            self.progress(agent, task, TaskState.KILLED)

    def acknowledge(self, status: TaskStatus) -> None:
        agent, task = self.where(status.task_id.value)
        if agent is None or task is None or not task.unacked or task.unacked[0].uuid != status.uuid:
            return  # it was said twice, or its agent is gone
        task.unacked.popleft()
        if task.unacked:
            self._say(agent, task.unacked[0])
        elif task.state in DEAD:
            del agent.tasks[status.task_id.value]

    def reconcile(self, effect: ReconcileTasks) -> None:
        if not effect.tasks:
            for agent in self.agents.values():
                for task in agent.tasks.values():
                    self._answer(task.info.task_id.value)
        for task_id, _ in effect.tasks:
            self._answer(task_id)

    def _answer(self, task_id: str) -> None:
        agent, task = self.where(task_id)
        if agent is None or task is None:
            state = TaskState.UNKNOWN
        else:
            state = task.state if agent.reachable else TaskState.UNREACHABLE
        self._tell(self._status(task_id, state, agent, Reason.RECONCILIATION))

    # --- small things -----------------------------------------------------------------------------------------------

    def where(self, task_id: str) -> tuple[Agent | None, OnAgent | None]:
        for agent in self.agents.values():
            if task_id in agent.tasks:
                return agent, agent.tasks[task_id]
        return None, None

    def alive(self) -> list[str]:
        return sorted(task.info.task_id.value for agent in self.agents.values() for task in agent.alive())

    def check_hosts(self) -> None:
        for agent in self.agents.values():
            used = [r for task in agent.alive() for r in task.resources]
            assert amount("cpus", used) <= agent.cpus + 1e-9, f"{agent.host} has not that many cpus"
            assert amount("mem", used) <= agent.mem, f"{agent.host} has not that much memory"
            assert all(count == 1 for count in ports_in(used).values()), f"a port of {agent.host} is given twice"

    def _say(self, agent: Agent, status: TaskStatus) -> None:
        if agent.reachable:
            self._tell(status)

    def _tell(self, status: TaskStatus) -> None:
        if self.connected:
            self.inbox.append(Said(status=status))

    def _status(
        self,
        task_id: str,
        state: TaskState,
        agent: Agent | None,
        reason: str = "",
        uuid: bytes = b"",
        message: str = "",
    ) -> TaskStatus:
        return TaskStatus(
            task_id=TaskID(value=task_id),
            state=state,
            message=message,
            reason=reason,
            agent_id=AgentID(value=agent.id) if agent is not None else None,
            uuid=uuid,
        )
