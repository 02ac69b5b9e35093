"""Task statuses: those that executors say, completed with what the agent knows, and those that the agent itself says.

A status changes the task, is recorded for the framework, and is acknowledged to the executor that said it. What is
said of a task that has ended is acknowledged and goes nowhere; what is said of a task that no executor here has goes
to the framework all the same, without an acknowledgement to anybody. Both are as real Mesos does it.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from mesos.core.messages import (
    TERMINAL_STATES,
    AgentID,
    ContainerStatus,
    ExecutorID,
    IPAddress,
    NetworkInfo,
    Reason,
    Source,
    TaskID,
    TaskInfo,
    TaskState,
    TaskStatus,
)
from mesos.local.core import agent_forward
from mesos.local.core.agent_disk import Executor, Framework
from mesos.local.core.agent_state import AgentState, is_partition_aware
from mesos.local.core.protocol import Task
from thermos.clock import Now

#: A task keeps so many of its last statuses.
MAX_STATUSES = 100

_COUNTED: dict[str, str] = {
    TaskState.FINISHED: "tasks_finished",
    TaskState.FAILED: "tasks_failed",
    TaskState.KILLED: "tasks_killed",
    TaskState.LOST: "tasks_lost",
    TaskState.GONE: "tasks_gone",
}


def task_of(agent_id: AgentID, framework: Framework, executor_id: ExecutorID, info: TaskInfo) -> Task:
    """A task that has just come."""
    assert framework.info.id is not None
    return Task(
        name=info.name,
        task_id=info.task_id,
        framework_id=framework.info.id,
        executor_id=executor_id,
        agent_id=agent_id,
        state=TaskState.STAGING,
        resources=info.resources,
        labels=info.labels,
        discovery=info.discovery,
    )


def handle(agent: AgentState, framework_id: str, status: TaskStatus, now: Now, sender: Executor | None = None) -> None:
    """What an executor says (`sender`), or the agent."""
    framework = agent.framework(framework_id)
    if framework is None or framework.is_terminating:  # nobody would acknowledge it
        agent.count("invalid_status_updates")
        return
    status = _with_drain(agent, framework, status)
    executor = framework.executor_of(status.task_id.value)
    if executor is not None:
        is_taken = _take(agent, framework, executor, status, now, sender)
    else:
        is_taken = sender is not None and _was_said_before(sender, status)
        if not is_taken:
            agent_forward.record(agent, framework_id, status, None, now)
    agent.count("valid_status_updates")
    if is_taken and sender is not None:
        agent_forward.acknowledge_to_executor(agent, sender, status)


def _take(
    agent: AgentState, framework: Framework, executor: Executor, status: TaskStatus, now: Now, sender: Executor | None
) -> bool:
    """Whether the sender need not say it again."""
    task_id = status.task_id.value
    if task_id in (executor.terminated or ()):
        return True  # it has ended already
    if sender is not None:
        if task_id in executor.queued and status.state not in TERMINAL_STATES:
            return False  # it can't know of that task
        status = _with_container(agent, executor, status)
    if not _is_known(agent, framework.id, status):
        _change_task(agent, framework, executor, status)
    agent_forward.record(agent, framework.id, status, executor, now)
    return True


def say(
    agent: AgentState,
    framework: Framework,
    task_id: TaskID,
    state: str,
    reason: str,
    message: str,
    now: Now,
    executor_id: ExecutorID | None = None,
) -> None:
    """A status of the agent's own."""
    status = TaskStatus(
        task_id=task_id,
        state=state,
        reason=reason,
        message=message,
        source=Source.AGENT,
        agent_id=agent.agent_id,
        executor_id=executor_id,
        timestamp=now.wall,
        uuid=agent.disk.new_uuid(),
    )
    handle(agent, framework.id, status, now)


def dropped_state(framework: Framework) -> str:
    """Of a task that never ran."""
    return TaskState.DROPPED if is_partition_aware(framework.info) else TaskState.LOST


def gone_state(framework: Framework) -> str:
    """Of a task whose end nobody saw, but that has ended for sure."""
    return TaskState.GONE if is_partition_aware(framework.info) else TaskState.LOST


def complete_task(agent: AgentState, executor: Executor, task_id: str) -> None:
    """The framework knows of the task's end."""
    task = executor.terminated.pop(task_id, None) if executor.terminated else None
    if task is None:
        return
    limit = agent.options.max_completed_tasks_per_executor
    if limit:
        executor.completed = [*(executor.completed or ())[-limit + 1 :], task] if limit > 1 else [task]
    if not executor.terminated:
        executor.terminated = None


def _was_said_before(sender: Executor, status: TaskStatus) -> bool:
    """Of a task that is completed: the acknowledgement to its executor got lost on the way."""
    return any(
        task.task_id == status.task_id and any(said.uuid == status.uuid for said in task.statuses)
        for task in sender.completed or ()
    )


def _is_known(agent: AgentState, framework_id: str, status: TaskStatus) -> bool:
    stream = (agent.disk.streams or {}).get((framework_id, status.task_id.value))
    return stream is not None and stream.knows(status.uuid)


def _change_task(agent: AgentState, framework: Framework, executor: Executor, status: TaskStatus) -> None:
    task_id = status.task_id.value
    info = executor.queued.get(task_id)
    if info is not None:
        task = task_of(agent.agent_id, framework, executor.info.executor_id, info)
        _unqueue(executor, task_id)
    else:
        task = executor.launched[task_id]
    task = _fold(task, status)
    if status.state not in TERMINAL_STATES:
        executor.launched[task_id] = task
        return
    executor.launched.pop(task_id, None)
    if executor.policies is not None:
        executor.policies.pop(task_id, None)
    if executor.terminated is None:
        executor.terminated = {}
    executor.terminated[task_id] = task
    if status.state in _COUNTED:
        agent.count(_COUNTED[status.state])


def _unqueue(executor: Executor, task_id: str) -> None:
    del executor.queued[task_id]
    group = executor.group_of(task_id)
    if group is not None and executor.groups is not None:
        executor.groups.remove(group)


def _fold(task: Task, status: TaskStatus) -> Task:
    """A state that is said again replaces what was said of it before."""
    older = task.statuses
    if older and older[-1].state == status.state:
        older = older[:-1]
    return msgspec.structs.replace(task, state=status.state, statuses=(*older[-MAX_STATUSES + 1 :], status))


@lru_cache(maxsize=4096)
def _network_infos(ip: str) -> tuple[NetworkInfo, ...]:
    return (NetworkInfo(ip_addresses=(IPAddress(protocol="IPv4", ip_address=ip),)),)


def _with_container(agent: AgentState, executor: Executor, status: TaskStatus) -> TaskStatus:
    given = status.container_status or ContainerStatus()
    container = ContainerStatus(
        container_id=given.container_id or executor.container_id,
        network_infos=given.network_infos or _network_infos(agent.config.ip),
        executor_pid=given.executor_pid or executor.pid,
    )
    return msgspec.structs.replace(status, container_status=container)


def _with_drain(agent: AgentState, framework: Framework, status: TaskStatus) -> TaskStatus:
    """A task that is killed while the agent is drained is killed for that."""
    drain = agent.disk.drain
    if drain is None or status.state not in (TaskState.KILLED, TaskState.KILLING):
        return status
    state = status.state
    if drain.mark_gone and state == TaskState.KILLED and is_partition_aware(framework.info):
        state = TaskState.GONE_BY_OPERATOR
    return msgspec.structs.replace(status, state=state, reason=Reason.AGENT_DRAINING)
