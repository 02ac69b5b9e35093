"""What an agent finds of its former life when it starts: who it was, which executors may still be there.

Forgotten is what would not have been on a disk: frameworks that do not checkpoint (their executors are killed),
executors that had ended for good, who was connected, graces and back-offs. The rest waits for its executors to
subscribe again; a queue that had not been sent counts as sent, and the executor will not know of it.

An agent that was configured otherwise may not come back: it would confuse those who know its attributes and resources.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from mesos.core.messages import ContainerID
from mesos.local.core import agent_executors, agent_forward
from mesos.local.core.agent_disk import Executor, Framework
from mesos.local.core.agent_state import AgentState
from mesos.local.core.agent_states import AgentChange, ExecutorState
from mesos.local.core.protocol import EndAgent, KillContainer
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
    for framework, executor in agent.disk.executors():
        if framework.info.checkpoint and not framework.is_terminating and not _is_over(executor):
            _recover_executor(agent, framework, executor)
        else:
            framework.executors.pop(executor.id)
    for framework in tuple((agent.disk.frameworks or {}).values()):
        agent_executors.remove_if_idle(agent, framework)
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
    """Why an agent with this configuration can't be the one that it was, in Mesos' words."""
    former = agent.disk.info
    if former is None:
        return None
    agent_id = agent.disk.agent_id
    current = msgspec.structs.replace(agent.config.info, id=agent_id)
    for name in ("hostname", "port", "attributes", "resources", "domain"):
        before, after = getattr(former, name), getattr(current, name)
        if before != after:
            return (
                "Failed to perform recovery: Incompatible agent info detected.\n"
                f"{_capitalised(name)} changed from {before} to {after}"
            )
    return None


def _capitalised(name: str) -> str:
    return name[0].upper() + name[1:]
