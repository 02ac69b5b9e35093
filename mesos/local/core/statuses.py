"""What becomes of tasks is told: updates to frameworks, acknowledgements to agents, kills, reconciliation.

Statuses that the master says itself have no uuid and wait for nothing. One that an agent sends is forwarded with its
uuid; the agent repeats it until the framework acknowledges it, and only then a task that ended is forgotten here.
"""

from __future__ import annotations

from mesos.core.messages import (
    AgentID,
    ExecutorID,
    ExecutorInfo,
    Reason,
    Source,
    TaskID,
    TaskState,
    TaskStatus,
    TimeInfo,
)
from mesos.core.scheduler_api import Acknowledge, Event, EventType, FrameworkMessage, Kill, ReconcileTask, Update
from mesos.local.core import protocol, views
from mesos.local.core.cluster import Cluster
from mesos.local.core.frameworks import Framework
from mesos.local.core.known_agents import Agent, ExecutorRecord
from mesos.local.core.resources import Resources
from mesos.local.core.tasks import Outcome, TaskRecord

#: Executors may say anything; only these are counted by name.
_STATES = frozenset(TaskState)


def status_of(
    cluster: Cluster,
    task: str,
    state: str,
    reason: str,
    message: str,
    agent: str | None,
    executor: str = "",
    unreachable_time: TimeInfo | None = None,
) -> TaskStatus:
    """As the master says it."""
    return TaskStatus(
        task_id=TaskID(value=task),
        state=state,
        message=message,
        source=Source.MASTER,
        reason=reason,
        agent_id=AgentID(value=agent) if agent is not None else None,
        executor_id=ExecutorID(value=executor) if executor else None,
        timestamp=cluster.now.wall,
        unreachable_time=unreachable_time,
    )


def forward(cluster: Cluster, framework: Framework | None, status: TaskStatus) -> None:
    if framework is not None:
        known = status.state if status.state in _STATES else "other"
        cluster.counts[f"status {known}"] += 1
        cluster.send(framework, Event(type=EventType.UPDATE, update=Update(status=status)))


def old_or_new(framework: Framework, state: TaskState) -> TaskState:
    """Frameworks without PARTITION_AWARE know one word for all of these."""
    return state if framework.partition_aware else TaskState.LOST


# --- a task's life in the books -----------------------------------------------------------------------------------


def add_task(cluster: Cluster, framework: Framework, agent: Agent, task: TaskRecord) -> None:
    """Its resources must be allocated already (or be so with the agent's coming)."""
    framework.tasks[task.id] = task
    agent.tasks.setdefault(framework.id, {})[task.id] = task
    if not task.over:
        agent.used = agent.used + task.resources
    cluster.announce(lambda: views.task_added(task))


def apply_status(cluster: Cluster, agent: Agent, task: TaskRecord, status: TaskStatus, latest: str) -> None:
    """Into the books; resources of a task that ended come free."""
    outcome = task.update(status, latest)
    if outcome in (Outcome.ENDED, Outcome.LOST_SIGHT):
        free_resources(cluster, agent, task.framework, task.resources)
    cluster.announce(lambda: views.task_updated(task, status))


def free_resources(cluster: Cluster, agent: Agent, framework: str, resources: Resources) -> None:
    agent.used = agent.used - resources
    cluster.allocator.recover(framework, agent.id, resources)


def remove_task(cluster: Cluster, agent: Agent, task: TaskRecord, unreachable: bool = False) -> None:
    """Out of the living ones; a number of the old are kept to look at."""
    if not task.over and not unreachable:
        free_resources(cluster, agent, task.framework, task.resources)
    of_framework = agent.tasks.get(task.framework, {})
    of_framework.pop(task.id, None)
    if not of_framework:
        agent.tasks.pop(task.framework, None)
    agent.killed.pop((task.framework, task.id), None)
    if agent.drain is not None:
        cluster.maybe_drained[agent.id] = None
    framework = cluster.frameworks.get(task.framework) or cluster.completed.get(task.framework)
    if framework is None:
        return
    framework.tasks.pop(task.id, None)
    if unreachable:
        framework.unreachable[task.id] = task
        while len(framework.unreachable) > cluster.config.max_unreachable_tasks_per_framework:
            framework.unreachable.popitem(last=False)
    else:
        framework.completed.append(task)
        while len(framework.completed) > cluster.config.max_completed_tasks_per_framework:
            framework.completed.popleft()


# --- from agents --------------------------------------------------------------------------------------------------


def on_status(cluster: Cluster, update: protocol.StatusUpdate) -> None:
    """Of agents and frameworks that are not known any more, nothing is forwarded: they will be told otherwise."""
    agent = cluster.agents.get(update.agent_id.value)
    framework = cluster.frameworks.get(update.framework_id.value)
    if agent is None or framework is None:
        cluster.counts["updates ignored"] += 1
        return
    forward(cluster, framework, update.status)
    task = agent.task(framework.id, update.status.task_id.value)
    if task is None:
        cluster.counts["updates of unknown tasks"] += 1
        return
    apply_status(cluster, agent, task, update.status, update.latest_state or update.status.state)
    if task.over and not update.status.uuid:
        remove_task(cluster, agent, task)


def on_executor_exited(cluster: Cluster, exited: protocol.ExecutorExited) -> None:
    agent = cluster.agents.get(exited.agent_id.value)
    if agent is None or not remove_executor(cluster, agent, exited.framework_id.value, exited.executor_id.value):
        return
    framework = cluster.frameworks.get(exited.framework_id.value)
    if framework is not None:
        cluster.send(framework, views.failure_of_executor(exited))


def on_executor_message(cluster: Cluster, message: protocol.ExecutorMessage) -> None:
    framework = cluster.frameworks.get(message.framework_id.value)
    if framework is None or message.agent_id.value not in cluster.agents:
        cluster.counts["messages dropped"] += 1
        return
    payload = FrameworkMessage(agent_id=message.agent_id, executor_id=message.executor_id, data=message.data)
    cluster.send(framework, Event(type=EventType.MESSAGE, message=payload))


def add_executor(agent: Agent, framework: Framework, executor: ExecutorInfo, resources: Resources) -> None:
    """Its resources must be allocated already."""
    agent.executors.setdefault(framework.id, {})[executor.executor_id.value] = ExecutorRecord(executor, resources)
    agent.used = agent.used + resources
    framework.executors_on[agent.id] = framework.executors_on.get(agent.id, 0) + 1


def remove_executor(cluster: Cluster, agent: Agent, framework: str, executor: str) -> bool:
    of_framework = agent.executors.get(framework, {})
    record = of_framework.pop(executor, None)
    if record is None:
        return False
    if not of_framework:
        del agent.executors[framework]
    known = cluster.frameworks.get(framework)
    if known is not None:
        known.executors_on[agent.id] -= 1
        if not known.executors_on[agent.id]:
            del known.executors_on[agent.id]
    free_resources(cluster, agent, framework, record.resources)
    return True


# --- from frameworks ----------------------------------------------------------------------------------------------


def acknowledge(cluster: Cluster, framework: Framework, ack: Acknowledge) -> None:
    agent = cluster.agents.get(ack.agent_id.value)
    if agent is None or not agent.connected:
        cluster.counts["acknowledgements dropped"] += 1
        return
    task = agent.task(framework.id, ack.task_id.value)
    if task is not None:
        if not task.status_uuid:
            return
        if task.over and task.status_uuid == ack.uuid:
            remove_task(cluster, agent, task)
    message = protocol.AcknowledgeUpdate(framework_id=framework.framework_id, task_id=ack.task_id, uuid=ack.uuid)
    cluster.tell(agent, message)


def kill(cluster: Cluster, framework: Framework, wanted: Kill) -> None:
    task = framework.task(wanted.task_id.value)
    if task is None:
        reconcile_task(cluster, framework, ReconcileTask(task_id=wanted.task_id, agent_id=wanted.agent_id))
        return
    if wanted.agent_id is not None and wanted.agent_id.value != task.agent:
        return  # Mesos says nothing either
    agent = cluster.agents[task.agent]
    agent.killed[framework.id, task.id] = None
    if agent.connected:  # else when it registers again
        message = protocol.KillTask(
            framework_id=framework.framework_id, task_id=wanted.task_id, kill_policy=wanted.kill_policy
        )
        cluster.tell(agent, message)


def reconcile(cluster: Cluster, framework: Framework, tasks: tuple[ReconcileTask, ...]) -> None:
    """Of none: of all that hold or held resources and are not acknowledged as ended."""
    for wanted in tasks:
        reconcile_task(cluster, framework, wanted)
    if not tasks:
        for task in list(framework.tasks.values()):
            forward(cluster, framework, _latest(cluster, task))


def reconcile_task(cluster: Cluster, framework: Framework, wanted: ReconcileTask) -> None:
    """Nothing is said while an agent that may have the task is awaited."""
    task = framework.task(wanted.task_id.value)
    if task is not None:
        forward(cluster, framework, _latest(cluster, task))
        return
    agent = wanted.agent_id.value if wanted.agent_id is not None else None
    if agent in cluster.recovered or (agent is None and cluster.recovered):
        return
    state, message, since = TaskState.UNKNOWN, "Reconciliation: Task is unknown", None
    if agent is not None and agent in cluster.agents:
        state, message = TaskState.GONE, "Reconciliation: Task is unknown to the agent"
    elif agent is not None and agent in cluster.unreachable:
        state, message = TaskState.UNREACHABLE, "Reconciliation: Task is unreachable"
        since = cluster.unreachable[agent].since
    elif agent is not None and agent in cluster.gone:
        state, message = TaskState.GONE_BY_OPERATOR, "Reconciliation: Task is gone"
    said = old_or_new(framework, state)
    name = wanted.task_id.value
    status = status_of(cluster, name, said, Reason.RECONCILIATION, message, agent, unreachable_time=since)
    forward(cluster, framework, status)


def _latest(cluster: Cluster, task: TaskRecord) -> TaskStatus:
    last = task.statuses[-1] if task.statuses else None
    return TaskStatus(
        task_id=TaskID(value=task.id),
        state=task.reported_state,
        message="Reconciliation: Latest task state",
        source=Source.MASTER,
        reason=Reason.RECONCILIATION,
        agent_id=AgentID(value=task.agent),
        executor_id=ExecutorID(value=task.executor) if task.executor else None,
        timestamp=cluster.now.wall,
        healthy=last.healthy if last is not None else None,
        check_status=last.check_status if last is not None else None,
        container_status=last.container_status if last is not None else None,
    )
