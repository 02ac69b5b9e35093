"""Tasks: run, kill, drain. What can't be run is said to be dropped, with the words of a real agent."""

from __future__ import annotations

from collections.abc import Iterable

from mesos.core.executor_api import Data, Event, EventType, Kill
from mesos.core.messages import (
    DurationInfo,
    ExecutorInfo,
    FrameworkInfo,
    KillPolicy,
    Reason,
    Source,
    TaskGroupInfo,
    TaskID,
    TaskInfo,
    TaskState,
    TaskStatus,
)
from mesos.local.core import agent_executors, agent_forward, agent_statuses
from mesos.local.core.agent_disk import Drain, Executor, Framework
from mesos.local.core.agent_state import AgentState, is_partition_aware
from mesos.local.core.agent_states import AgentPhase, ExecutorState
from mesos.local.core.protocol import DrainAgent, KillTask, MessageExecutor, TaskOf
from thermos.clock import Now
from thermos.errors import Bug

DRAINING = "Task was received while agent was already draining"
EXISTS = "Master wants to launch executor, but one already exists"
KILLED_EARLY = "Killed before delivery to the executor"
GROUP_KILLED_EARLY = "A task within the task group was killed before delivery to the executor"
UNKNOWN = "Cannot find executor"

#: So many tasks are remembered whose launch would come too late.
MAX_DISOWNED = 1000


def run(
    agent: AgentState, info: FrameworkInfo, executor_info: ExecutorInfo, tasks: tuple[TaskInfo, ...], now: Now,
    group: TaskGroupInfo | None = None,
) -> None:  # fmt: skip
    """One task, or a group, on an executor that is there or is launched for it."""
    if agent.phase is AgentPhase.TERMINATING or _is_too_late(agent, info, tasks, now):
        return
    framework = agent_executors.framework_for(agent, info)
    executor = framework.executors.get(executor_info.executor_id.value)
    if framework.is_terminating:
        return
    if agent.disk.drain is not None:
        _refuse(agent, framework, executor_info, tasks, Reason.AGENT_DRAINING, DRAINING, now, executor is None)
    elif executor is None:
        executor = agent_executors.launch(agent, framework, executor_info, now)
        _queue(executor, tasks, group)
    elif executor.state is ExecutorState.TERMINATED:  # to the master it is gone, so it thinks of a new one
        _refuse(agent, framework, executor_info, tasks, Reason.EXECUTOR_TERMINATED, EXISTS, now, True)
    elif executor.state is ExecutorState.TERMINATING:
        for task in tasks:
            state = agent_statuses.dropped_state(framework)
            reason = Reason.EXECUTOR_TERMINATED
            agent_statuses.say(agent, framework, task.task_id, state, reason, "Executor terminating", now)
    else:
        _queue(executor, tasks, group)
        if executor.state is ExecutorState.RUNNING:
            agent_executors.send_queued(agent, framework, executor)


def _queue(executor: Executor, tasks: tuple[TaskInfo, ...], group: TaskGroupInfo | None) -> None:
    agent_executors.queue(executor, tasks)
    if group is not None:
        executor.groups = [*(executor.groups or ()), group]


def _refuse(
    agent: AgentState, framework: Framework, info: ExecutorInfo, tasks: tuple[TaskInfo, ...], reason: str, text: str,
    now: Now, is_new: bool,
) -> None:  # fmt: skip
    """`is_new`: the master believes now that it has this executor, and hears that it has not."""
    if is_new:
        agent_executors.tell_exited(agent, framework, info.executor_id, agent_executors.NO_STATUS)
    for task in tasks:
        state = agent_statuses.dropped_state(framework)
        agent_statuses.say(agent, framework, task.task_id, state, reason, text, now, info.executor_id)


# --- reconcile ----------------------------------------------------------------------------------------------------


def reconcile(agent: AgentState, wanted: Iterable[TaskOf], now: Now) -> None:
    """Tasks that the master knows and the agent did not mention when it registered again: their launch was lost, or
    crossed the registration. The framework may be unknown here, too; its scheduler is told all the same. A launch
    that arrives after all is too late."""
    for task in wanted:
        framework = agent.framework(task.framework_id.value)
        key = task.framework_id.value, task.task_id.value
        if (framework is not None and framework.executor_of(key[1]) is not None) or key in (agent.disk.streams or {}):
            continue
        if agent.disowned is None:
            agent.disowned = {}
        agent.disowned[key] = None
        if len(agent.disowned) > MAX_DISOWNED:
            del agent.disowned[next(iter(agent.disowned))]
        _disown(agent, key[0], task.task_id, task.state, now)


def _disown(agent: AgentState, framework_id: str, task_id: TaskID, state: str, now: Now) -> None:
    status = TaskStatus(
        task_id=task_id,
        state=state,
        reason=Reason.RECONCILIATION,
        message="Reconciliation: task unknown to the agent",
        source=Source.AGENT,
        agent_id=agent.agent_id,
        timestamp=now.wall,
        uuid=agent.disk.new_uuid(),
    )
    agent_forward.record(agent, framework_id, status, None, now)


def _is_too_late(agent: AgentState, framework: FrameworkInfo, tasks: tuple[TaskInfo, ...], now: Now) -> bool:
    """Of tasks that were disowned: that is said again, once. (The id may be used anew some day.)"""
    assert framework.id is not None
    keys = {(framework.id.value, task.task_id.value): task.task_id for task in tasks}
    if agent.disowned is None or not any(key in agent.disowned for key in keys):
        return False
    state = TaskState.DROPPED if is_partition_aware(framework) else TaskState.LOST
    for key, task_id in keys.items():
        agent.disowned.pop(key, None)
        if key not in (agent.disk.streams or {}):
            _disown(agent, key[0], task_id, state, now)
    return True


# --- kill ---------------------------------------------------------------------------------------------------------


def kill(agent: AgentState, call: KillTask, now: Now) -> None:
    framework = agent.framework(call.framework_id.value)
    if framework is None or framework.is_terminating:
        return
    executor = framework.executor_of(call.task_id.value)
    if executor is None:
        state = agent_statuses.dropped_state(framework)
        agent_statuses.say(agent, framework, call.task_id, state, Reason.EXECUTOR_TERMINATED, UNKNOWN, now)
        return
    _kill(agent, framework, executor, call.task_id, call.kill_policy, Reason.TASK_KILLED_DURING_LAUNCH, now)


def _kill(
    agent: AgentState, framework: Framework, executor: Executor, task_id: TaskID, policy: KillPolicy | None,
    early_reason: str, now: Now,
) -> None:  # fmt: skip
    match executor.state:
        case ExecutorState.TERMINATING | ExecutorState.TERMINATED:
            return  # its tasks end with it
        case ExecutorState.REGISTERING if task_id.value in executor.queued:
            _kill_queued(agent, framework, executor, task_id, early_reason, now)
        case ExecutorState.REGISTERING | ExecutorState.RUNNING:
            payload = Kill(task_id=task_id, kill_policy=policy)
            agent.tell_executor(executor, Event(type=EventType.KILL, kill=payload))
        case _:
            raise Bug(f"an executor is in the state {executor.state}")


def _kill_queued(
    agent: AgentState, framework: Framework, executor: Executor, task_id: TaskID, reason: str, now: Now
) -> None:
    """A group is killed as a whole. An executor that nothing is left for is told to end when it subscribes."""
    group = executor.group_of(task_id.value)
    text = KILLED_EARLY if group is None else GROUP_KILLED_EARLY
    for each in [task_id] if group is None else [task.task_id for task in group.tasks]:
        if each.value in executor.queued:
            executor_id = executor.info.executor_id
            agent_statuses.say(agent, framework, each, TaskState.KILLED, reason, text, now, executor_id)


# --- drain --------------------------------------------------------------------------------------------------------


def drain(agent: AgentState, call: DrainAgent, now: Now) -> None:
    """Kill everything; what comes until all is gone is dropped."""
    if not agent.disk.frameworks:
        return
    agent.disk.drain = Drain(started_at=now.wall, max_grace_period=call.max_grace_period, mark_gone=call.mark_gone)
    for framework, executor in agent.disk.executors():
        if framework.is_terminating:
            continue
        for task_id in (*executor.queued, *executor.launched):
            if executor.has_task(task_id):
                policy = _shorter(executor, task_id, call.max_grace_period)
                wanted = TaskID(value=task_id)
                _kill(agent, framework, executor, wanted, policy, Reason.AGENT_DRAINING, now)


def _shorter(executor: Executor, task_id: str, limit: DurationInfo | None) -> KillPolicy | None:
    """The limit, if the task's own grace period is not shorter anyway."""
    if limit is None:
        return None
    own = (executor.policies or {}).get(task_id)
    if own is not None and own.grace_period is not None and own.grace_period.nanoseconds <= limit.nanoseconds:
        return None
    return KillPolicy(grace_period=limit)


def reactivate(agent: AgentState) -> None:
    """A real agent goes on draining while executors are left from before; so does this one."""
    if not agent.disk.frameworks:
        agent.disk.drain = None


# --- messages -----------------------------------------------------------------------------------------------------


def deliver(agent: AgentState, call: MessageExecutor) -> None:
    """Of the framework, to an executor; dropped when that does not listen."""
    executor = agent.executor(call.framework_id.value, call.executor_id.value)
    if executor is None or executor.state is not ExecutorState.RUNNING:
        agent.count("invalid_framework_messages")
        return
    agent.count("valid_framework_messages")
    agent.tell_executor(executor, Event(type=EventType.MESSAGE, message=Data(data=call.data)))
