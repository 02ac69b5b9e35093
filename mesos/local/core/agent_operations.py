"""RESERVE, UNRESERVE, CREATE, DESTROY: what an agent has stays, what it is called changes.

Applied once, however often it is asked for: the master asks again when it did not hear the outcome.
"""

from __future__ import annotations

import msgspec

from mesos.core.messages import UUID, OperationState, OperationStatus, OperationType
from mesos.local.core.agent_state import AgentState
from mesos.local.core.operations import conversion_of
from mesos.local.core.protocol import ApplyOperation, OperationUpdate
from mesos.local.core.resources import Resources

#: Operations that are known again.
REMEMBERED = 64

_CONVERSIONS = {OperationType.RESERVE, OperationType.UNRESERVE, OperationType.CREATE, OperationType.DESTROY}


def apply(agent: AgentState, message: ApplyOperation) -> None:
    state, text = OperationState.FINISHED, ""
    if message.operation_uuid not in agent.disk.operated:
        problem = _convert(agent, message)
        if problem is None:
            agent.disk.operated = (*agent.disk.operated[-REMEMBERED + 1 :], message.operation_uuid)
        else:
            state, text = OperationState.FAILED, problem
    operation_id = message.operation.id
    status = OperationStatus(
        state=state,
        operation_id=operation_id,
        message=text,
        uuid=UUID(value=agent.disk.new_uuid()) if operation_id is not None else None,
        agent_id=agent.agent_id,
    )
    if state is OperationState.FINISHED:
        converted = conversion_of(message.operation).after.as_messages()
        status = msgspec.structs.replace(status, converted_resources=converted)
    agent.tell_master(
        OperationUpdate(
            agent_id=agent.agent_id,
            operation_uuid=message.operation_uuid,
            status=status,
            total=agent.total,
            framework_id=message.framework_id,
        )
    )


def _convert(agent: AgentState, message: ApplyOperation) -> str | None:
    """The agent's resources change; or why they can't."""
    if message.operation.type not in _CONVERSIONS:
        return f"Operation {message.operation.type} is not supported"
    conversion = conversion_of(message.operation)
    before, after = conversion.before.unallocated(), conversion.after.unallocated()
    total = Resources.of(agent.total)
    if not total.contains(before):
        return f"Cannot find {before} in {total}"
    agent.disk.total = (total - before + after).as_messages()
    return None
