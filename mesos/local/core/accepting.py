"""ACCEPT: operations on the resources of offers, in their order; what is left over goes back.

The pool is what the offers hold. RESERVE, CREATE and their opposites change what it is made of, LAUNCH takes out of
it. Every task of a LAUNCH is answered: it is launched, or an update says why not. No operation fails another one,
except by what it left in the pool.
"""

from __future__ import annotations

import msgspec

from mesos.core.messages import (
    CommandInfo,
    ExecutorID,
    ExecutorInfo,
    FrameworkID,
    LaunchGroup,
    Operation,
    OperationType,
    Reason,
    TaskInfo,
    TaskState,
)
from mesos.core.scheduler_api import Accept
from mesos.local.core import operating, protocol, statuses, task_validation
from mesos.local.core.cluster import Cluster
from mesos.local.core.frameworks import Framework
from mesos.local.core.known_agents import COMMAND_EXECUTOR, Agent
from mesos.local.core.offers import forget_offer, refusal_of
from mesos.local.core.operations import allocate_all
from mesos.local.core.resources import Resources
from mesos.local.core.tasks import TaskRecord


class Pool:
    """What the accepted offers still hold, all of one agent and one role."""

    def __init__(self, agent: Agent, role: str, resources: Resources) -> None:
        self.agent, self.role, self.resources = agent, role, resources


def accept(cluster: Cluster, framework: Framework, call: Accept) -> None:
    problem = _problem_of_offers(cluster, framework, call)
    pool: Pool | None = None
    for offer in call.offer_ids:
        if offer.value not in framework.offers:
            continue
        record = forget_offer(cluster, offer.value)
        if problem is not None:
            cluster.allocator.recover(framework.id, record.agent, record.resources)
        elif pool is None:
            pool = Pool(cluster.agents[record.agent], record.role, record.resources)
        else:
            pool.resources = pool.resources + record.resources
    if pool is None or problem is not None:
        _drop_all(cluster, framework, call, problem or "No offers specified")
        return
    cluster.counts["accepted"] += len(call.offer_ids)
    for operation in call.operations:
        _perform(cluster, framework, pool, operation)
    if pool.resources:
        refuse_s = refusal_of(call.filters)
        cluster.allocator.recover(framework.id, pool.agent.id, pool.resources, refuse_s, cluster.now.mono)


def _problem_of_offers(cluster: Cluster, framework: Framework, call: Accept) -> str | None:
    """In Mesos' words."""
    if not call.offer_ids:
        return "No offers specified"
    names = [offer.value for offer in call.offer_ids]
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return f"Duplicate offer {name} in offer list"
        seen.add(name)
    for name in names:
        if name not in cluster.offers:
            return f"Offer {name} is no longer valid"
    records = [cluster.offers[name] for name in names]
    for record in records:
        if record.framework != framework.id:
            return (
                f"Offer {record.id} has invalid framework {record.framework} while framework {framework.id} is expected"
            )
    first = records[0]
    for record in records:
        if record.role != first.role:
            return (
                f"Aggregated offers must be allocated to the same role. Offer {record.id} "
                f"uses role '{record.role} but another is using role '{first.role}"
            )
    for record in records:
        if record.agent != first.agent:
            return (
                f"Aggregated offers must belong to one single agent. Offer {record.id} "
                f"uses agent {record.agent} and agent {first.agent}"
            )
    return None


def tasks_of(operation: Operation) -> tuple[TaskInfo, ...]:
    if operation.type == OperationType.LAUNCH and operation.launch is not None:
        return operation.launch.task_infos
    if operation.type == OperationType.LAUNCH_GROUP and operation.launch_group is not None:
        return operation.launch_group.task_group.tasks
    return ()


def _drop_all(cluster: Cluster, framework: Framework, call: Accept, problem: str) -> None:
    for operation in call.operations:
        if operation.type not in (OperationType.LAUNCH, OperationType.LAUNCH_GROUP):
            operating.refuse(cluster, framework, operation, f"Operation attempted with invalid offers: {problem}")
        for task in tasks_of(operation):
            state = statuses.old_or_new(framework, TaskState.DROPPED)
            text = f"Task launched with invalid offers: {problem}"
            _say(cluster, framework, task, state, Reason.INVALID_OFFERS, text)


def _say(cluster: Cluster, framework: Framework, task: TaskInfo, state: str, reason: str, text: str) -> None:
    status = statuses.status_of(cluster, task.task_id.value, state, reason, text, task.agent_id.value)
    statuses.forward(cluster, framework, status)


def _perform(cluster: Cluster, framework: Framework, pool: Pool, operation: Operation) -> None:
    if operation.type == OperationType.LAUNCH:
        for task in tasks_of(operation):
            if operation.id is not None:
                _say(cluster, framework, task, TaskState.ERROR, Reason.TASK_INVALID,
                     "The `id` field cannot be set on LAUNCH operations")  # fmt: skip
            else:
                _launch(cluster, framework, pool, task)
    elif operation.type == OperationType.LAUNCH_GROUP and operation.launch_group is not None:
        _launch_group(cluster, framework, pool, operation)
    else:
        pool.resources = operating.from_framework(cluster, framework, pool.agent, pool.role, pool.resources, operation)


# --- tasks --------------------------------------------------------------------------------------------------------


def _launch(cluster: Cluster, framework: Framework, pool: Pool, task: TaskInfo) -> None:
    problem = task_validation.problem_of_wire(task)
    if problem is None:
        task = prepared(framework, task, pool.role)
        problem = task_validation.problem_of_task(task, framework, pool.agent, pool.resources)
    if problem is not None:
        _say(cluster, framework, task, TaskState.ERROR, Reason.TASK_INVALID, problem)
        return
    _take(cluster, framework, pool, task, task.executor)
    if task.executor is None:
        task = msgspec.structs.replace(task, executor=_command_executor(framework, task))
    cluster.tell(pool.agent, protocol.RunTask(framework=framework.info, task=task))


def _command_executor(framework: Framework, task: TaskInfo) -> ExecutorInfo:
    """Mesos' own program for a task that is only a command, under the name that Mesos gives it. Ours are not shipped
    with one: as in a Mesos without it, such a task fails, unless somebody has put a `mesos-executor` on the path."""
    return ExecutorInfo(
        type="CUSTOM",
        executor_id=ExecutorID(value=task.task_id.value),
        framework_id=framework.framework_id,
        command=CommandInfo(
            value="exec mesos-executor", environment=task.command.environment if task.command else None
        ),
        name=f"{COMMAND_EXECUTOR}{task.task_id.value})",
        source=task.task_id.value,
    )


def _launch_group(cluster: Cluster, framework: Framework, pool: Pool, operation: Operation) -> None:
    """All of the group's tasks or none."""
    group = operation.launch_group
    assert group is not None
    problem = "The `id` field cannot be set on LAUNCH_GROUP operations" if operation.id is not None else None
    if problem is None:
        problem = task_validation.problem_of_group_wire(group)
    if problem is None:
        group = _prepared_group(framework, group, pool.role)
        problem = task_validation.problem_of_group(group, framework, pool.agent, pool.resources)
    if problem is not None:
        for task in group.task_group.tasks:
            _say(cluster, framework, task, TaskState.ERROR, Reason.TASK_GROUP_INVALID, problem)
        return
    for task in group.task_group.tasks:
        _take(cluster, framework, pool, task, group.executor)
    message = protocol.RunTaskGroup(framework=framework.info, executor=group.executor, group=group.task_group)
    cluster.tell(pool.agent, message)


def _take(cluster: Cluster, framework: Framework, pool: Pool, task: TaskInfo, executor: ExecutorInfo | None) -> None:
    """Out of the pool, into the books. Shared resources stay in it."""
    agent = pool.agent
    resources = Resources.of(task.resources)
    name = executor.executor_id.value if executor is not None else ""
    if executor is not None and agent.executor(framework.id, name) is None:
        needs = Resources.of(executor.resources).filter(lambda key: not key.shared)
        statuses.add_executor(agent, framework, executor, needs)
        pool.resources = pool.resources - needs
    record = TaskRecord.launched(framework.id, agent.id, task, name, resources)
    pool.resources = pool.resources - record.resources
    statuses.add_task(cluster, framework, agent, record)
    cluster.counts["launched"] += 1


def prepared(framework: Framework, task: TaskInfo, role: str) -> TaskInfo:
    """As agents get it: resources say the role that they are allocated to, the executor its framework."""
    executor = _prepared_executor(framework, task.executor, role) if task.executor is not None else None
    return msgspec.structs.replace(task, resources=allocate_all(task.resources, role), executor=executor)


def _prepared_executor(framework: Framework, executor: ExecutorInfo, role: str) -> ExecutorInfo:
    return msgspec.structs.replace(
        executor,
        resources=allocate_all(executor.resources, role),
        framework_id=executor.framework_id or FrameworkID(value=framework.id),
    )


def _prepared_group(framework: Framework, group: LaunchGroup, role: str) -> LaunchGroup:
    tasks = tuple(prepared(framework, task, role) for task in group.task_group.tasks)
    return LaunchGroup(
        executor=_prepared_executor(framework, group.executor, role),
        task_group=msgspec.structs.replace(group.task_group, tasks=tasks),
    )
