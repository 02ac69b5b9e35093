"""Status updates: recorded, acknowledged to the executor, forwarded to the master until the framework acknowledged.

The master is told the head of each stream, again after 10 s, 20 s … up to 10 minutes; while there is no master nothing
is sent, and everything that waits is sent again as soon as there is one.
"""

from __future__ import annotations

import msgspec

from mesos.core.executor_api import Acknowledged, Event, EventType
from mesos.core.messages import FrameworkID, TaskStatus
from mesos.local.core.agent_disk import Executor, Framework
from mesos.local.core.agent_state import AgentState
from mesos.local.core.agent_states import AgentPhase
from mesos.local.core.agent_updates import Acknowledgement, Receipt, UpdateStream
from mesos.local.core.protocol import StatusUpdate
from thermos.clock import Now

Key = tuple[str, str]


def has_room(agent: AgentState, framework_id: str, task_id: str) -> bool:
    """Whether one more update of this task, or of a task that nobody knows, would be taken."""
    streams = agent.disk.streams or {}
    stream = streams.get((framework_id, task_id))
    if stream is not None:
        return len(stream.pending) < agent.options.max_pending_updates_per_task
    framework = agent.framework(framework_id)
    if framework is not None and framework.executor_of(task_id) is not None:
        return True
    return sum(stream.container_id is None for stream in streams.values()) < agent.options.max_strange_tasks


def record(agent: AgentState, framework_id: str, status: TaskStatus, executor: Executor | None, now: Now) -> None:
    """The update is kept from here on, and forwarded if nothing of its task is under way."""
    if agent.disk.streams is None:
        agent.disk.streams = {}
    key = framework_id, status.task_id.value
    stream = agent.disk.streams.get(key)
    if stream is None:
        container_id = executor.container_id.value if executor is not None else None
        stream = agent.disk.streams[key] = UpdateStream(*key, container_id)
    # room was looked for before; what the agent itself has to say is always taken
    receipt = stream.receive(status, limit=len(stream.pending) + 1)
    if receipt is Receipt.NEW and len(stream.pending) == 1:
        _forward(agent, stream, agent.options.update_retry_min_s, now)


def acknowledge_to_executor(agent: AgentState, executor: Executor, status: TaskStatus) -> None:
    payload = Acknowledged(task_id=status.task_id, uuid=status.uuid)
    agent.tell_executor(executor, Event(type=EventType.ACKNOWLEDGED, acknowledged=payload))


def acknowledged(agent: AgentState, key: Key, uuid: bytes, now: Now) -> Acknowledgement:
    """The framework has the update; the next one goes."""
    streams = agent.disk.streams or {}
    stream = streams.get(key)
    if stream is None:
        return Acknowledgement.UNEXPECTED
    outcome = stream.acknowledge(uuid)
    if outcome is not Acknowledgement.UNEXPECTED:
        agent.deadlines.drop(("update", *key))
    if outcome is Acknowledgement.DONE:
        close_stream(agent, key)
    elif outcome is Acknowledgement.NEXT:
        if stream.pending:
            _forward(agent, stream, agent.options.update_retry_min_s, now)
        elif stream.container_id is None:
            close_stream(agent, key)
    return outcome


def retry(agent: AgentState, key: Key, now: Now) -> None:
    stream = (agent.disk.streams or {}).get(key)
    if stream is not None and stream.pending:
        _forward(agent, stream, min(stream.interval_s * 2, agent.options.update_retry_max_s), now)


def resume(agent: AgentState, now: Now, framework_id: str | None = None) -> None:
    """There is a master again (or a framework's scheduler)."""
    for stream in tuple((agent.disk.streams or {}).values()):
        if stream.pending and framework_id in (None, stream.framework_id):
            _forward(agent, stream, agent.options.update_retry_min_s, now)


def has_pending(agent: AgentState, framework_id: str) -> bool:
    return any(s.pending for s in (agent.disk.streams or {}).values() if s.framework_id == framework_id)


def pause(agent: AgentState) -> None:
    for key in agent.disk.streams or ():
        agent.deadlines.drop(("update", *key))


def close_stream(agent: AgentState, key: Key) -> None:
    if agent.disk.streams is not None and agent.disk.streams.pop(key, None) is not None:
        agent.deadlines.drop(("update", *key))
        if not agent.disk.streams:
            agent.disk.streams = None


def close_streams_of(agent: AgentState, framework_id: str) -> None:
    for key in [key for key in agent.disk.streams or () if key[0] == framework_id]:
        close_stream(agent, key)


def _forward(agent: AgentState, stream: UpdateStream, interval_s: float, now: Now) -> None:
    if agent.phase is not AgentPhase.RUNNING or not agent.is_linked:
        return
    status = stream.head
    assert status is not None
    framework = agent.framework(stream.framework_id)
    latest = _mark_forwarded(framework, status) if framework is not None else status.state
    stream.interval_s = interval_s
    agent.deadlines.set(("update", stream.framework_id, stream.task_id), now.mono + interval_s)
    agent.tell_master(
        StatusUpdate(
            framework_id=FrameworkID(value=stream.framework_id),
            agent_id=agent.agent_id,
            status=status,
            latest_state=latest,
        )
    )


def _mark_forwarded(framework: Framework, status: TaskStatus) -> str:
    """The task shows which update is under way. Returns the task's latest state."""
    task_id = status.task_id.value
    for executor in framework.executors.values():
        for place in (executor.launched, executor.terminated):
            task = place.get(task_id) if place else None
            if place is not None and task is not None:
                place[task_id] = msgspec.structs.replace(
                    task, status_update_state=status.state, status_update_uuid=status.uuid
                )
                return task.state
    return status.state
