"""Executors from launch to burial, and the frameworks that they belong to. `agent_states` has their table."""

from __future__ import annotations

from collections.abc import Sequence

from mesos.core.executor_api import Event, EventType, Launch, LaunchGroup, Subscribe, Subscribed
from mesos.core.messages import (
    ContainerID,
    ExecutorID,
    ExecutorInfo,
    FrameworkID,
    FrameworkInfo,
    Reason,
    TaskID,
    TaskInfo,
    TaskState,
)
from mesos.local.core import agent_forward, agent_statuses
from mesos.local.core.agent_config import duration_text
from mesos.local.core.agent_disk import Executor, Framework, Verdict, uuid_text
from mesos.local.core.agent_environment import environment_of, sandbox_of
from mesos.local.core.agent_state import AgentState
from mesos.local.core.agent_states import AgentPhase, Deed, ExecutorChange, ExecutorState, step_executor
from mesos.local.core.protocol import (
    CloseExecutor,
    EndAgent,
    ExecutorExited,
    KillContainer,
    SendExecutor,
    StartContainer,
)
from thermos.clock import Now

#: What the wait status of a container without any process is given as.
NO_STATUS = -1

HEARTBEAT = ("heartbeat",)


def framework_for(agent: AgentState, info: FrameworkInfo) -> Framework:
    """The framework, made if it is new here."""
    assert info.id is not None
    if agent.disk.frameworks is None:
        agent.disk.frameworks = {}
    framework = agent.disk.frameworks.get(info.id.value)
    if framework is None:
        framework = agent.disk.frameworks[info.id.value] = Framework(info=info)
    return framework


def launch(agent: AgentState, framework: Framework, info: ExecutorInfo, now: Now) -> Executor:
    container_id = ContainerID(value=uuid_text(agent.disk.new_uuid()))
    executor_id = info.executor_id.value
    directory = sandbox_of(agent, framework.id, executor_id, container_id)
    executor = Executor(info=info, framework_id=framework.id, container_id=container_id, directory=directory)
    framework.executors[executor_id] = executor
    register_container(agent, executor)
    agent.deadlines.set(("registration", container_id.value), now.mono + agent.options.executor_registration_timeout_s)
    command_user = info.command.user if info.command is not None else ""
    agent.out.append(
        StartContainer(
            container_id=container_id,
            executor=info,
            framework=framework.info,
            directory=directory,
            environment=environment_of(agent, framework.info, info, container_id, directory),
            user=(command_user or framework.info.user) if agent.options.switch_user else "",
        )
    )
    return executor


def register_container(agent: AgentState, executor: Executor) -> None:
    if agent.executors_by_container is None:
        agent.executors_by_container = {}
    agent.executors_by_container[executor.container_id.value] = executor


def start_heartbeats(agent: AgentState, now: Now) -> None:
    """One deadline for all executors of an agent."""
    interval = agent.options.executor_heartbeat_interval_s
    if interval is not None and agent.deadlines.get(HEARTBEAT) is None:
        agent.deadlines.set(HEARTBEAT, now.mono + interval)


def send_heartbeats(agent: AgentState, now: Now) -> None:
    for _, executor in agent.disk.executors():
        agent.tell_executor(executor, Event(type=EventType.HEARTBEAT))
    if agent.executors_by_container:
        start_heartbeats(agent, now)


def send_queued(agent: AgentState, framework: Framework, executor: Executor) -> None:
    """Everything that waits for the executor goes to it; groups as such."""
    grouped = {task.task_id.value for group in executor.groups or () for task in group.tasks}
    singles = [task for task in executor.queued.values() if task.task_id.value not in grouped]
    for task in executor.queued.values():
        launched = agent_statuses.task_of(agent.agent_id, framework, executor.info.executor_id, task)
        executor.launched[task.task_id.value] = launched
        if task.kill_policy is not None:
            executor.policies = (executor.policies or {}) | {task.task_id.value: task.kill_policy}
        executor.was_sent_task = True
    for group in executor.groups or ():
        event = Event(type=EventType.LAUNCH_GROUP, launch_group=LaunchGroup(task_group=group))
        agent.tell_executor(executor, event)
    for task in singles:
        agent.tell_executor(executor, Event(type=EventType.LAUNCH, launch=Launch(task=task)))
    executor.queued = {}
    executor.groups = None


def change(agent: AgentState, framework: Framework, executor: Executor, what: ExecutorChange, now: Now) -> Deed:
    """The state changes, and what follows from it for the container is asked for. The deed is told to the caller."""
    executor.state, deed = step_executor(executor.state, what)
    if deed is Deed.KILL:
        agent.out.append(KillContainer(container_id=executor.container_id))
    elif deed is Deed.ASK:
        agent.tell_executor(executor, Event(type=EventType.SHUTDOWN))
        own = executor.info.shutdown_grace_period
        grace_s = own.nanoseconds / 1e9 if own is not None else agent.options.executor_shutdown_grace_period_s
        agent.deadlines.set(("grace", executor.container_id.value), now.mono + grace_s)
    return deed


# --- subscription -------------------------------------------------------------------------------------------------


def subscribe(agent: AgentState, framework: Framework, executor: Executor, call: Subscribe, now: Now) -> None:
    """An executor has a stream now, its first or another one."""
    executor.is_connected = False  # what an older stream had is gone
    ends = agent.phase is AgentPhase.TERMINATING or framework.is_terminating
    deed = Deed.DISMISS if ends else change(agent, framework, executor, ExecutorChange.SUBSCRIBE, now)
    if deed is Deed.DISMISS:
        event = Event(type=EventType.SHUTDOWN)
        agent.out.append(SendExecutor(container_id=executor.container_id, event=event))
        agent.out.append(CloseExecutor(container_id=executor.container_id))
        return
    executor.is_connected = True
    agent.deadlines.drop(("registration", executor.container_id.value))
    start_heartbeats(agent, now)
    if not executor.was_sent_task and not executor.queued:  # all that it was for was killed before
        change(agent, framework, executor, ExecutorChange.SHUTDOWN, now)
        return
    _welcome(agent, framework, executor)
    for update in call.unacknowledged_updates:
        agent_statuses.handle(agent, framework.id, update.status, now, executor)
    _drop_unseen(agent, framework, executor, {task.task_id.value for task in call.unacknowledged_tasks}, now)
    send_queued(agent, framework, executor)


def _welcome(agent: AgentState, framework: Framework, executor: Executor) -> None:
    payload = Subscribed(
        executor_info=executor.info,
        framework_info=framework.info,
        agent_info=agent.info,
        container_id=executor.container_id,
    )
    agent.tell_executor(executor, Event(type=EventType.SUBSCRIBED, subscribed=payload))


def _drop_unseen(agent: AgentState, framework: Framework, executor: Executor, known: set[str], now: Now) -> None:
    """Tasks that were sent, that nothing was heard of, and that the executor does not know: they never arrived."""
    unseen = [t for t in executor.launched.values() if t.state == TaskState.STAGING and t.task_id.value not in known]
    for task in unseen:
        agent_statuses.say(
            agent, framework, task.task_id, agent_statuses.dropped_state(framework), Reason.AGENT_RESTARTED,
            "Task launched during agent restart", now, executor.info.executor_id,
        )  # fmt: skip


# --- timeouts -----------------------------------------------------------------------------------------------------


def registration_timeout(agent: AgentState, framework: Framework, executor: Executor, now: Now) -> None:
    if change(agent, framework, executor, ExecutorChange.REGISTRATION_TIMEOUT, now) is Deed.KILL:
        text = duration_text(agent.options.executor_registration_timeout_s)
        executor.verdict = Verdict(
            TaskState.FAILED, Reason.EXECUTOR_REGISTRATION_TIMEOUT, f"Executor did not register within {text}"
        )


def reregistration_timeout(agent: AgentState, framework: Framework, executor: Executor, now: Now) -> None:
    if change(agent, framework, executor, ExecutorChange.REREGISTRATION_TIMEOUT, now) is Deed.KILL:
        text = duration_text(agent.options.executor_reregistration_timeout_s)
        executor.verdict = Verdict(
            agent_statuses.gone_state(framework),
            Reason.EXECUTOR_REREGISTRATION_TIMEOUT,
            f"Executor did not reregister within {text}",
        )


# --- the end ------------------------------------------------------------------------------------------------------


def exited(agent: AgentState, framework: Framework, executor: Executor, status: int, now: Now) -> None:
    """The container has ended, all of it."""
    if change(agent, framework, executor, ExecutorChange.EXITED, now) is not Deed.BURY:
        return
    agent.count("executors_terminated")
    executor.is_connected = False
    agent.deadlines.drop(("registration", executor.container_id.value))
    agent.deadlines.drop(("grace", executor.container_id.value))
    tell_exited(agent, framework, executor.info.executor_id, status)
    if not framework.is_terminating:
        _say_ends(agent, framework, executor, now)
    if agent.phase is AgentPhase.TERMINATING or framework.is_terminating or not executor.has_incomplete_tasks:
        remove(agent, framework, executor)


def tell_exited(agent: AgentState, framework: Framework, executor_id: ExecutorID, status: int) -> None:
    if agent.disk.agent_id is not None:
        agent.tell_master(
            ExecutorExited(
                framework_id=FrameworkID(value=framework.id),
                agent_id=agent.agent_id,
                executor_id=executor_id,
                status=status,
            )
        )


def _say_ends(agent: AgentState, framework: Framework, executor: Executor, now: Now) -> None:
    verdict = executor.verdict or Verdict(TaskState.FAILED, Reason.EXECUTOR_TERMINATED, "Executor terminated")
    open_tasks: Sequence[TaskID] = [
        *(task.task_id for task in executor.launched.values()),
        *(task.task_id for task in executor.queued.values()),
    ]
    for task_id in open_tasks:
        agent_statuses.say(
            agent, framework, task_id, verdict.state, verdict.reason, verdict.message, now, executor.info.executor_id
        )


def remove(agent: AgentState, framework: Framework, executor: Executor) -> None:
    """Nothing more is to be said of it."""
    container_id = executor.container_id.value
    for kind in ("registration", "grace"):
        agent.deadlines.drop((kind, container_id))
    if agent.executors_by_container is not None:
        agent.executors_by_container.pop(container_id, None)
        if not agent.executors_by_container:
            agent.executors_by_container = None
    framework.executors.pop(executor.id, None)
    limit = agent.options.max_completed_executors_per_framework
    if limit:
        framework.completed_executors = [*(framework.completed_executors or ()), executor][-limit:]
    remove_if_idle(agent, framework)


def remove_if_idle(agent: AgentState, framework: Framework) -> None:
    """It has no executors, and everything that was said of tasks that never came to one is known to it. (A real agent
    does not wait for that; then a TASK_DROPPED can get lost.)"""
    if framework.executors or agent.disk.frameworks is None:
        return
    ends = framework.is_terminating or agent.phase is AgentPhase.TERMINATING
    if not ends and agent_forward.has_pending(agent, framework.id):
        return
    if agent.disk.frameworks.pop(framework.id, None) is None:
        return
    agent_forward.close_streams_of(agent, framework.id)
    limit = agent.options.max_completed_frameworks
    if limit:
        agent.disk.completed_frameworks = [*(agent.disk.completed_frameworks or ()), framework][-limit:]
    if not agent.disk.frameworks:
        agent.disk.frameworks = None
        agent.disk.drain = None  # what had to go is gone
        end_if_empty(agent)


def end_if_empty(agent: AgentState) -> None:
    """An agent that is to end does so when its last framework has."""
    if agent.phase is AgentPhase.TERMINATING and not agent.disk.frameworks:
        agent.disk.forget()
        agent.out.append(EndAgent(reason="shut down"))


def shutdown_framework(agent: AgentState, framework: Framework, now: Now) -> None:
    if framework.is_terminating:
        return
    framework.is_terminating = True
    for executor in tuple(framework.executors.values()):
        if executor.state is ExecutorState.TERMINATED:  # only acknowledgements were missing
            remove(agent, framework, executor)
        else:
            change(agent, framework, executor, ExecutorChange.SHUTDOWN, now)
    remove_if_idle(agent, framework)


def queue(executor: Executor, tasks: Sequence[TaskInfo]) -> None:
    for task in tasks:
        executor.queued[task.task_id.value] = task
