"""What a local cluster is like at one moment: its parts as thermos minds them, and what each says of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from client.aurora.local_ask import ask_door, ask_json, ask_text
from client.aurora.local_plan import MESOS, OBSERVER, PARTS, SCHEDULER, LocalPlan
from client.aurora.local_task import is_alive, is_minded, look_at_task, run_of
from thermos.core.states import ProcessState
from thermos.monitor.follow import TaskView


@dataclass(frozen=True, slots=True)
class Part:
    """One of the three. `answers`: it does what it is there for."""

    name: str
    state: str
    pid: int | None
    restarts: int
    url: str
    since: float  # epoch seconds; 0: it does not run
    answers: bool
    words: str = ""  # what it lacks


@dataclass(frozen=True, slots=True)
class Agent:
    number: int
    host: str
    state: str  # up, down, cut off, starting
    attributes: str
    executors: int
    offered: bool | None = None  # None: nobody could be asked


@dataclass(frozen=True, slots=True)
class Look:
    parts: tuple[Part, ...] = ()
    agents: tuple[Agent, ...] = ()
    tasks: Mapping[str, int] | None = None  # status -> how many; None: nobody could be asked
    minded: bool = False  # thermos minds the parts
    ended: str = ""  # it minds them no more: why
    executors: Mapping[str, int] = field(default_factory=dict)  # id -> agent

    @property
    def is_up(self) -> bool:
        """All of it."""
        answers = all(part.answers for part in self.parts)
        return self.minded and answers and all(agent.state == "up" for agent in self.agents)

    @property
    def is_ready(self) -> bool:
        """Every agent has offered what it has, or is in use: jobs of a store that was kept may take all of it."""
        return self.is_up and all(agent.offered or agent.executors for agent in self.agents)

    def part(self, name: str) -> Part:
        return next(part for part in self.parts if part.name == name)


def look(plan: LocalPlan, *, tasks: bool = False) -> Look:
    """Asks everybody once. Raises HostError when the records of the task can't be read."""
    view = look_at_task(plan)
    door = ask_door(plan.control)
    cluster = ask_json(plan.scheduler_url, "/api/v1/cluster")
    cluster = cluster if isinstance(cluster, dict) and "mesos" in cluster else None
    hosts = ask_json(plan.scheduler_url, "/api/v1/hosts") if cluster is not None else None
    words = {
        MESOS: _mesos_words(door),
        SCHEDULER: _scheduler_words(cluster),
        OBSERVER: "" if ask_text(plan.observer_url, "/health") == "OK" else "does not answer",
    }
    return Look(
        parts=tuple(_part(plan, view, name, words[name]) for name in PARTS),
        agents=tuple(_agents(plan, door, _offered(hosts))),
        tasks=_tasks(plan) if tasks and cluster is not None else None,
        minded=is_minded(view),
        ended=_ended(view),
        executors={e["id"]: a["number"] for a in (door or {}).get("agents", ()) for e in a["executors"]},
    )


def _ended(view: TaskView | None) -> str:
    if view is None:
        return "it is gone"
    return f"{view.task.state} {view.task.reason}".strip() if view.task.terminal else ""


def _mesos_words(door: Any) -> str:
    if door is None:
        return "does not answer"
    return "" if door["master"]["up"] else "its master is down"


def _scheduler_words(cluster: Any) -> str:
    if cluster is None:
        return "does not answer"
    return "" if cluster["mesos"].get("subscribed") else "is not connected to the Mesos master"


def _part(plan: LocalPlan, view: TaskView | None, name: str, words: str) -> Part:
    run = run_of(view, name) if view is not None else None
    runs = run is not None and run.state is ProcessState.RUNNING and is_alive(run)
    return Part(
        name=name,
        state=_state_words(view, name),
        pid=run.pid if run is not None and runs else None,
        restarts=max(0, view.task.processes[name].total - 1) if view is not None and run is not None else 0,
        url=plan.url_of(name),
        since=run.started_at if run is not None and runs else 0.0,
        answers=not words,
        words=words,
    )


def _state_words(view: TaskView | None, name: str) -> str:
    run = run_of(view, name) if view is not None else None
    if run is None:
        return "not started"
    if run.state is ProcessState.RUNNING and is_alive(run):
        return "running"
    return "starting" if is_minded(view) else "ended"


def _offered(hosts: Any) -> set[str] | None:
    if not isinstance(hosts, dict) or "hosts" not in hosts:
        return None
    return {each["host"] for each in hosts["hosts"] if each.get("offered")}


def _agents(plan: LocalPlan, door: Any, offered: set[str] | None) -> Iterator[Agent]:
    told = {agent["number"]: agent for agent in (door or {}).get("agents", ())}
    for number, host in enumerate(plan.hosts):
        agent = told.get(number)
        yield Agent(
            number=number,
            host=host,
            state=_agent_state(agent),
            attributes=plan.attributes[number],
            executors=len(agent["executors"]) if agent is not None else 0,
            offered=host in offered if offered is not None else None,
        )


def _agent_state(agent: Mapping[str, Any] | None) -> str:
    if agent is None or not agent["up"]:
        return "down"
    if agent["partitioned"]:
        return "cut off"
    return "up" if agent["registered"] else "starting"


def _tasks(plan: LocalPlan) -> Mapping[str, int] | None:
    """The newest thousands of active ones."""
    told = ask_json(plan.scheduler_url, "/api/v1/tasks?active=true&configs=false&limit=10000")
    if not isinstance(told, dict) or "tasks" not in told:
        return None
    return dict(Counter(str(task["status"]) for task in told["tasks"]))
