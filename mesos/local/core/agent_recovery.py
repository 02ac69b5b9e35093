"""What an agent finds of its former life when it starts: who it was, which executors may still be there.

Forgotten is what would not have been on a disk: frameworks that do not checkpoint (their executors are killed),
executors that had ended for good, who was connected, graces and back-offs. The rest waits for its executors to
subscribe again; a queue that had not been sent counts as sent, and the executor will not know of it.

An agent that was configured otherwise may not come back: it would confuse those who know its attributes and resources.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from mesos.core.messages import AgentInfo, ContainerID
from mesos.local.core import agent_executors, agent_forward
from mesos.local.core.agent_disk import Executor, Framework
from mesos.local.core.agent_state import AgentState
from mesos.local.core.agent_states import AgentChange, ExecutorState
from mesos.local.core.protocol import EndAgent, KillContainer
from mesos.local.core.resources import Resources
from thermos.clock import Now

TIMEOUT = "re-registration"


def recover(agent: AgentState, alive: Collection[str], now: Now) -> None:
    """`alive` are the containers that still run."""
    if agent.disk.agent_id is None:  # a new one, or one that no master ever answered
        _finish(agent)
        return
    problem = incompatibility(agent)
    if problem is not None:
        agent.out.append(EndAgent(reason=problem))
        return
    for framework in tuple((agent.disk.frameworks or {}).values()):
        _recover_framework(agent, framework)
    _forget_streams(agent)
    known = agent.executors_by_container or {}
    for orphan in sorted(set(alive) - set(known)):
        agent.out.append(KillContainer(container_id=ContainerID(value=orphan)))
    for executor in tuple(known.values()):
        recovered = agent.framework(executor.framework_id)
        if executor.container_id.value not in alive and recovered is not None:
            agent_executors.exited(agent, recovered, executor, agent_executors.NO_STATUS, now)
    if agent.disk.frameworks:
        agent.deadlines.set((TIMEOUT,), now.mono + agent.options.executor_reregistration_timeout_s)
    else:
        _finish(agent)


def give_up_waiting(agent: AgentState, now: Now) -> None:
    """Executors that have not subscribed again will not any more."""
    for framework, executor in agent.disk.executors():
        agent_executors.reregistration_timeout(agent, framework, executor, now)
    _finish(agent)


def _finish(agent: AgentState) -> None:
    agent.change(AgentChange.RECOVERED)


def _recover_framework(agent: AgentState, framework: Framework) -> None:
    is_kept = framework.info.checkpoint and not framework.is_terminating
    for executor in tuple(framework.executors.values()):
        if is_kept and not _is_over(executor):
            _recover_executor(agent, framework, executor)
        else:
            del framework.executors[executor.id]
    if not is_kept:
        agent_forward.close_streams_of(agent, framework.id)
    agent_executors.remove_if_idle(agent, framework)


def _is_over(executor: Executor) -> bool:
    return executor.state is ExecutorState.TERMINATED and not executor.has_incomplete_tasks


def _recover_executor(agent: AgentState, framework: Framework, executor: Executor) -> None:
    agent_executors.register_container(agent, executor)
    executor.is_recovered = True
    executor.is_connected = False
    executor.verdict = None
    agent_executors.send_queued(agent, framework, executor)  # nobody hears it
    executor.was_sent_task = True
    if executor.state is not ExecutorState.TERMINATED:
        executor.state = ExecutorState.REGISTERING


def _forget_streams(agent: AgentState) -> None:
    """Of frameworks that are not recovered; an agent that has just started has nothing under way."""
    for key in list(agent.disk.streams or ()):
        stream = (agent.disk.streams or {})[key]
        stream.interval_s = 0.0
        if agent.framework(key[0]) is None or (stream.container_id is None and not stream.pending):
            agent_forward.close_stream(agent, key)


def incompatibility(agent: AgentState) -> str | None:
    """Why an agent with this configuration can't be the one that it was."""
    if agent.disk.info is None:
        return None
    former, current = _shown(agent.disk.info), _shown(agent.config.info)
    for name, before in former.items():
        if current[name] != before:
            return (
                "Failed to perform recovery: Incompatible agent info detected: "
                f"{name} changed from {before!r} to {current[name]!r}"
            )
    return None


def _shown(info: AgentInfo) -> dict[str, str]:
    """What has to stay, as texts that are equal where the order does not matter."""
    attributes = sorted(f"{name}:{value}" for name, value in _values(info))
    return {
        "hostname": info.hostname,
        "port": str(info.port),
        "attributes": ";".join(attributes),
        "resources": "; ".join(sorted(str(Resources.of(info.resources)).split("; "))),
        "domain": str(info.domain),
    }


def _values(info: AgentInfo) -> Iterator[tuple[str, object]]:
    for a in info.attributes:
        yield a.name, a.text.value if a.text is not None else msgspec.to_builtins(a.scalar or a.ranges or a.set)
