"""RESERVE, UNRESERVE, CREATE, DESTROY: checked, done in the books at once, told to the agent, and what came of it.

An operation with an id has feedback: its final status has a uuid, comes again until it is acknowledged, and can be
reconciled. The agent says it once, repeating it is the master's part here (in Mesos it is the agent's). Without an id
nobody hears of it, as with Mesos. Operations of resource providers (GROW_VOLUME, CREATE_DISK, …) need agents with such
disks, which ours are not: they are refused.
"""

from __future__ import annotations

import msgspec

from mesos.core.messages import (
    UUID,
    AgentID,
    Operation,
    OperationState,
    OperationStatus,
    OperationType,
)
from mesos.core.scheduler_api import (
    AcknowledgeOperationStatus,
    Event,
    EventType,
    ReconcileOperation,
    UpdateOperationStatus,
)
from mesos.local.core import operation_validation, protocol
from mesos.local.core.cluster import Cluster, Due, Kind
from mesos.local.core.frameworks import Framework
from mesos.local.core.known_agents import Agent
from mesos.local.core.operations import (
    ENDED,
    Conversion,
    OperationRecord,
    allocate_all,
    conversion_of,
    operand,
    with_operand,
)
from mesos.local.core.resource_validation import problem_of_resources
from mesos.local.core.resources import Resources

#: Mesos' delays between repetitions: they double from ten seconds to ten minutes.
RETRY_S, MAX_RETRY_S = 10.0, 600.0

SUPPORTED = (OperationType.RESERVE, OperationType.UNRESERVE, OperationType.CREATE, OperationType.DESTROY)


def from_framework(
    cluster: Cluster, framework: Framework, agent: Agent, role: str, pool: Resources, operation: Operation
) -> Resources:
    """The pool after it; the same where it was refused."""
    if operation.type not in SUPPORTED:
        refuse(cluster, framework, operation, f"Invalid {operation.type or 'UNKNOWN'} operation")
        return pool
    if operation.reserve is not None and operation.reserve.source:
        text = "Reservation updates are not yet implemented for the scheduler API."
        refuse(cluster, framework, operation, f"Operation attempted with invalid resources: {text}")
        return pool
    if (wrong := problem_of_resources(operand(operation))) is not None:
        refuse(cluster, framework, operation, f"Operation attempted with invalid resources: {wrong}")
        return pool
    operation = with_operand(operation, allocate_all(operand(operation), role))
    total = cluster.allocator.agents[agent.id].total
    problem = operation_validation.problem_of(operation, framework, agent, total)
    if problem is not None:
        refuse(cluster, framework, operation, operation_validation.where(problem, agent))
        return pool
    change = conversion_of(operation)
    if not pool.contains(change.before):
        refuse(cluster, framework, operation, f"{pool} does not contain {change.before}")
        return pool
    cluster.allocator.convert(agent.id, change.before.unallocated(), change.after.unallocated(), free=False)
    _apply(cluster, agent, operation, framework)
    return pool - change.before + change.after


def from_operator(cluster: Cluster, agent: Agent, operation: Operation, change: Conversion) -> None:
    """Out of what is free; who asks has seen to it that there is enough."""
    cluster.allocator.convert(agent.id, change.before, change.after, free=True)
    _apply(cluster, agent, operation, None)


def _apply(cluster: Cluster, agent: Agent, operation: Operation, framework: Framework | None) -> None:
    record = OperationRecord(cluster.new_uuid(), framework.id if framework is not None else "", agent.id, operation)
    agent.operations[record.uuid] = record
    if framework is not None and operation.id is not None:
        framework.operations[operation.id.value] = (agent.id, record.uuid)
    cluster.counts[f"operation {operation.type}"] += 1
    message = protocol.ApplyOperation(
        operation_uuid=record.uuid,
        operation=operation,
        framework_id=framework.framework_id if framework is not None else None,
    )
    cluster.tell(agent, message)


def refuse(cluster: Cluster, framework: Framework, operation: Operation, problem: str) -> None:
    """Told where the operation has an id."""
    cluster.counts["operations refused"] += 1
    if operation.id is not None:
        status = OperationStatus(state=OperationState.ERROR, operation_id=operation.id, message=problem)
        _tell(cluster, framework, status)


def _tell(cluster: Cluster, framework: Framework, status: OperationStatus) -> None:
    payload = UpdateOperationStatus(status=status)
    cluster.send(framework, Event(type=EventType.UPDATE_OPERATION_STATUS, update_operation_status=payload))


# --- what the agent says ------------------------------------------------------------------------------------------


def on_update(cluster: Cluster, update: protocol.OperationUpdate) -> None:
    """The first final status settles it; the same said again is only forwarded again. Where the agent's resources
    differ from the books (it refused what was speculated), the agent is right."""
    agent = cluster.agents.get(update.agent_id.value)
    record = agent.operations.get(update.operation_uuid) if agent is not None else None
    if agent is None or record is None:
        cluster.counts["operation updates ignored"] += 1
        return
    record.state = update.status.state
    status = msgspec.structs.replace(update.status, converted_resources=())  # Mesos has none for what was speculated
    record.statuses = (*record.statuses[-4:], status)
    if update.total and record.state in ENDED:
        _believe(cluster, agent, Resources.of(update.total))
    if record.state not in ENDED:
        return
    if record.id is None or record.framework not in cluster.frameworks:
        forget(cluster, agent, record)
    elif not record.waits_for:
        record.waits_for = update.status.uuid.value if update.status.uuid is not None else cluster.new_uuid()
        repeat(cluster, agent.id, record.uuid, RETRY_S)


def repeat(cluster: Cluster, agent: str, uuid: bytes, delay_s: float) -> None:
    """Tell the outcome, and again after a while, ever later, until it is acknowledged."""
    holder = cluster.agents.get(agent)
    record = holder.operations.get(uuid) if holder is not None else None
    framework = cluster.frameworks.get(record.framework) if record is not None else None
    if record is None or framework is None:
        return
    _tell(cluster, framework, msgspec.structs.replace(_latest(record), uuid=UUID(value=record.waits_for)))
    cluster.timers.add(cluster.now.mono + delay_s, Due(Kind.OPERATION, f"{agent} {uuid.hex()}", delay_s))


def _believe(cluster: Cluster, agent: Agent, total: Resources) -> None:
    """Only when nothing else is under way: an earlier operation's answer does not know of a later one."""
    slot = cluster.allocator.agents[agent.id]
    if total == slot.total or any(other.state not in ENDED for other in agent.operations.values()):
        return
    cluster.allocator.set_total(agent.id, total)


def forget(cluster: Cluster, agent: Agent, record: OperationRecord) -> None:
    agent.operations.pop(record.uuid, None)
    if agent.drain is not None:
        cluster.maybe_drained[agent.id] = None
    framework = cluster.frameworks.get(record.framework)
    if framework is not None and record.id is not None:
        framework.operations.pop(record.id.value, None)


# --- what frameworks say ------------------------------------------------------------------------------------------


def acknowledge(cluster: Cluster, framework: Framework, ack: AcknowledgeOperationStatus) -> None:
    record = _record(cluster, framework, ack.operation_id.value)
    if record is None or record.waits_for != ack.uuid or ack.agent_id != record.agent_id:
        cluster.counts["operation acknowledgements ignored"] += 1
        return
    forget(cluster, cluster.agents[record.agent], record)


def reconcile(cluster: Cluster, framework: Framework, operations: tuple[ReconcileOperation, ...]) -> None:
    """Of none: of all that the master knows."""
    for wanted in operations:
        _tell(cluster, framework, _reconciled(cluster, framework, wanted))
    if not operations:
        for name in list(framework.operations):
            record = _record(cluster, framework, name)
            if record is not None:
                _tell(cluster, framework, _latest(record))


def _record(cluster: Cluster, framework: Framework, operation: str) -> OperationRecord | None:
    name, uuid = framework.operations.get(operation, ("", b""))
    agent = cluster.agents.get(name)
    return agent.operations.get(uuid) if agent is not None else None


def _latest(record: OperationRecord) -> OperationStatus:
    if record.statuses:
        return msgspec.structs.replace(record.statuses[-1], agent_id=record.agent_id, operation_id=record.id, uuid=None)
    return OperationStatus(state=record.state, operation_id=record.id, agent_id=record.agent_id)


def _reconciled(cluster: Cluster, framework: Framework, wanted: ReconcileOperation) -> OperationStatus:
    record = _record(cluster, framework, wanted.operation_id.value)
    if record is not None:
        return _latest(record)
    state, message = _unknown(cluster, wanted.agent_id)
    return OperationStatus(
        state=state,
        operation_id=wanted.operation_id,
        message=message,
        agent_id=wanted.agent_id,
        resource_provider_id=wanted.resource_provider_id,
    )


def _unknown(cluster: Cluster, agent: AgentID | None) -> tuple[str, str]:
    if agent is None:
        return OperationState.UNKNOWN, "Reconciliation: Operation is unknown and no 'agent_id' was provided"
    if agent.value in cluster.recovered:
        return OperationState.RECOVERING, "Reconciliation: Agent is recovered but has not re-registered"
    if agent.value in cluster.agents:
        return OperationState.UNKNOWN, "Reconciliation: Operation is unknown"
    if agent.value in cluster.unreachable:
        return OperationState.UNREACHABLE, "Reconciliation: Agent is unreachable"
    if agent.value in cluster.gone:
        return OperationState.GONE_BY_OPERATOR, "Reconciliation: Agent marked gone by operator"
    return OperationState.UNKNOWN, "Reconciliation: Both operation and agent are unknown"
