"""What an agent shows of itself in the words of the v1 API: tasks, executors, frameworks, itself, its figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from mesos.core.messages import ExecutorInfo, Opaque, Resource, TaskState
from mesos.local.core import agent_statuses
from mesos.local.core.agent_config import flags_of
from mesos.local.core.agent_disk import Executor, Framework
from mesos.local.core.agent_state import COUNTS, AgentState
from mesos.local.core.agent_states import AgentPhase, ExecutorState
from mesos.local.core.protocol import Task
from mesos.local.core.resources import Resources
from mesos.local.core.views import nanoseconds, plain, shown
from thermos.clock import Now

#: Mesos' own, of the version that this one is like.
VERSION: Opaque = {
    "version": "1.11.0",
    "build_date": "2020-11-24 15:38:37",
    "build_time": 1606232317.0,
    "build_user": "ubuntu",
    "git_sha": "04bc7ee1984d86fbb0bd782ccc69ce44c13ae4b9",
    "git_tag": "1.11.0",
}

_STATES = {
    TaskState.KILLING: "tasks_killing",
    TaskState.RUNNING: "tasks_running",
    TaskState.STAGING: "tasks_staging",
    TaskState.STARTING: "tasks_starting",
}
_USED = ("cpus", "disk", "gpus", "mem")


# --- walking ------------------------------------------------------------------------------------------------------


def live(agent: AgentState) -> Iterator[Framework]:
    yield from (agent.disk.frameworks or {}).values()


def completed(agent: AgentState) -> Iterator[Framework]:
    yield from agent.disk.completed_frameworks or ()


def ended_executors(agent: AgentState) -> Iterator[Executor]:
    for framework in (*live(agent), *completed(agent)):
        yield from framework.completed_executors or ()


def queued_tasks(agent: AgentState, framework: Framework, executor: Executor) -> list[Task]:
    executor_id = executor.info.executor_id
    return [agent_statuses.task_of(agent.agent_id, framework, executor_id, info) for info in executor.queued.values()]


def used_by(executor: Executor) -> Resources:
    """By itself and its tasks that have not ended; of one that has ended, its own."""
    parts: list[Resource] = list(executor.info.resources)
    for task in executor.launched.values():
        parts += task.resources
    for info in executor.queued.values():
        parts += info.resources
    return Resources.of(parts)


def used(agent: AgentState) -> Resources:
    parts: list[Resource] = []
    for _, executor in agent.disk.executors():
        if executor.state is not ExecutorState.TERMINATED:
            parts += used_by(executor).as_messages()
    return Resources.of(parts)


# --- tasks, executors, frameworks ---------------------------------------------------------------------------------


def tasks_view(agent: AgentState) -> Opaque:
    queued: list[Task] = []
    launched: list[Task] = []
    terminated: list[Task] = []
    ended: list[Task] = []
    for framework, executor in agent.disk.executors():
        queued += queued_tasks(agent, framework, executor)
        launched += executor.launched.values()
        terminated += (executor.terminated or {}).values()
        ended += executor.completed or ()
    for executor in ended_executors(agent):
        ended += (executor.terminated or {}).values()
        ended += executor.completed or ()
    return {
        "pending_tasks": [],
        "queued_tasks": _plain(queued),
        "launched_tasks": _plain(launched),
        "terminated_tasks": _plain(terminated),
        "completed_tasks": _plain(ended),
    }


def _plain(tasks: Iterable[Task]) -> list[Opaque]:
    return [plain(task) for task in tasks]


def executors_view(agent: AgentState) -> Opaque:
    return {
        "executors": [{"executor_info": plain(_full_info(executor))} for _, executor in agent.disk.executors()],
        "completed_executors": [{"executor_info": plain(_full_info(e))} for e in ended_executors(agent)],
    }


def _full_info(executor: Executor) -> ExecutorInfo:
    if executor.info.framework_id is not None:
        return executor.info
    return msgspec.convert({**plain(executor.info), "framework_id": {"value": executor.framework_id}}, ExecutorInfo)


def frameworks_view(agent: AgentState) -> Opaque:
    return {
        "frameworks": [{"framework_info": plain(framework.info)} for framework in live(agent)],
        "completed_frameworks": [{"framework_info": plain(framework.info)} for framework in completed(agent)],
    }


def state_view(agent: AgentState) -> Opaque:
    return {
        "get_tasks": tasks_view(agent),
        "get_executors": executors_view(agent),
        "get_frameworks": frameworks_view(agent),
    }


# --- the agent itself ---------------------------------------------------------------------------------------------


def agent_view(agent: AgentState) -> Opaque:
    view: Opaque = {"agent_info": plain(agent.info)}
    drain = agent.disk.drain
    if drain is not None:
        view["drain_config"] = drain_view(agent)
        view["estimated_drain_start_time"] = nanoseconds(float(int(drain.started_at)))
    return view


def drain_view(agent: AgentState) -> Opaque:
    drain = agent.disk.drain
    if drain is None:
        return {}
    view: Opaque = {"mark_gone": drain.mark_gone}
    if drain.max_grace_period is not None:
        view["max_grace_period"] = plain(drain.max_grace_period)
    return view


def flags_view(agent: AgentState) -> Opaque:
    return dict(flags_of(agent.config))


def container_view(executor: Executor) -> Opaque:
    """One of GET_CONTAINERS, but for what it uses."""
    status: Opaque = {"container_id": plain(executor.container_id)}
    if executor.pid:
        status["executor_pid"] = executor.pid
    return {
        "framework_id": {"value": executor.framework_id},
        "executor_id": plain(executor.info.executor_id),
        "executor_name": executor.info.name,
        "container_id": plain(executor.container_id),
        "container_status": status,
    }


def limits_view(executor: Executor) -> Opaque:
    """Counted, not enforced."""
    amounts = used_by(executor).scalars()
    memory = amounts.get("mem", 0) * 1024 * 1024 // 1000
    return {
        "cpus_soft_limit": amounts.get("cpus", 0) / 1000,
        "mem_limit_bytes": memory,
        "mem_soft_limit_bytes": memory,
    }


def total_view(agent: AgentState) -> list[Opaque]:
    return shown(Resources.of(agent.total))


def metrics_view(agent: AgentState, now: Now) -> dict[str, float]:
    figures = {f"slave/{name}": 0.0 for name in (*COUNTS, *_STATES.values())}
    figures |= {f"slave/{name}": float(count) for name, count in (agent.counts or {}).items()}
    states: Counter[str] = Counter()
    executors: Counter[ExecutorState] = Counter()
    for _, executor in agent.disk.executors():
        executors[executor.state] += 1
        states[TaskState.STAGING] += len(executor.queued)
        states.update(task.state for task in executor.launched.values())
    figures |= {f"slave/{name}": float(states[state]) for state, name in _STATES.items()}
    for state in (ExecutorState.REGISTERING, ExecutorState.RUNNING, ExecutorState.TERMINATING):
        figures[f"slave/executors_{state.value.lower()}"] = float(executors[state])
    total, taken = Resources.of(agent.total).scalars(), used(agent).scalars()
    for name in _USED:
        has, uses = total.get(name, 0) / 1000, taken.get(name, 0) / 1000
        figures[f"slave/{name}_total"] = has
        figures[f"slave/{name}_used"] = uses
        figures[f"slave/{name}_percent"] = uses / has if has else 0.0
        figures |= {f"slave/{name}_revocable_{what}": 0.0 for what in ("total", "used", "percent")}
    figures["slave/frameworks_active"] = float(sum(1 for _ in live(agent)))
    figures["slave/registered"] = float(agent.phase is AgentPhase.RUNNING)
    figures["slave/uptime_secs"] = max(0.0, now.wall - agent.started_at)
    return dict(sorted(figures.items()))
