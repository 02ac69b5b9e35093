"""Calls and events of `/api/v1/scheduler`: what a framework says to the master, and what it hears.

A call is one struct with its `type` and the one payload that belongs to it; make them with the functions below, so that
type and payload can't differ. Events of a type that we don't know decode to an event without a payload.

Source: Mesos 1.11, `include/mesos/v1/scheduler/scheduler.proto`, docs/scheduler-http-api.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from mesos.core.messages import (
    AgentID,
    ExecutorID,
    Filters,
    FrameworkID,
    FrameworkInfo,
    InverseOffer,
    KillPolicy,
    MasterInfo,
    Message,
    Offer,
    OfferID,
    Opaque,
    Operation,
    OperationID,
    OperationStatus,
    Resource,
    ResourceProviderID,
    TaskID,
    TaskStatus,
)


class CallType(StrEnum):
    SUBSCRIBE = "SUBSCRIBE"
    TEARDOWN = "TEARDOWN"
    ACCEPT = "ACCEPT"
    DECLINE = "DECLINE"
    ACCEPT_INVERSE_OFFERS = "ACCEPT_INVERSE_OFFERS"
    DECLINE_INVERSE_OFFERS = "DECLINE_INVERSE_OFFERS"
    REVIVE = "REVIVE"
    SUPPRESS = "SUPPRESS"
    KILL = "KILL"
    SHUTDOWN = "SHUTDOWN"
    ACKNOWLEDGE = "ACKNOWLEDGE"
    ACKNOWLEDGE_OPERATION_STATUS = "ACKNOWLEDGE_OPERATION_STATUS"
    RECONCILE = "RECONCILE"
    RECONCILE_OPERATIONS = "RECONCILE_OPERATIONS"
    MESSAGE = "MESSAGE"
    REQUEST = "REQUEST"
    UPDATE_FRAMEWORK = "UPDATE_FRAMEWORK"


class EventType(StrEnum):
    SUBSCRIBED = "SUBSCRIBED"
    OFFERS = "OFFERS"
    INVERSE_OFFERS = "INVERSE_OFFERS"
    RESCIND = "RESCIND"
    RESCIND_INVERSE_OFFER = "RESCIND_INVERSE_OFFER"
    UPDATE = "UPDATE"
    UPDATE_OPERATION_STATUS = "UPDATE_OPERATION_STATUS"
    MESSAGE = "MESSAGE"
    FAILURE = "FAILURE"
    ERROR = "ERROR"
    HEARTBEAT = "HEARTBEAT"


# --- calls -------------------------------------------------------------------------------------------------------


class Subscribe(Message, frozen=True):
    """`offer_constraints` as in Mesos 1.11's OfferConstraints: role -> which attributes an offer must have."""

    framework_info: FrameworkInfo
    suppressed_roles: tuple[str, ...] = ()
    offer_constraints: Opaque | None = None


class Accept(Message, frozen=True):
    offer_ids: tuple[OfferID, ...]
    operations: tuple[Operation, ...] = ()
    filters: Filters | None = None


class Decline(Message, frozen=True):
    offer_ids: tuple[OfferID, ...]
    filters: Filters | None = None


class InverseOfferIDs(Message, frozen=True):
    inverse_offer_ids: tuple[OfferID, ...]
    filters: Filters | None = None


class Roles(Message, frozen=True):
    """For REVIVE and SUPPRESS; none: all of the framework's."""

    roles: tuple[str, ...] = ()


class Kill(Message, frozen=True):
    task_id: TaskID
    agent_id: AgentID | None = None
    kill_policy: KillPolicy | None = None


class Shutdown(Message, frozen=True):
    executor_id: ExecutorID
    agent_id: AgentID


class Acknowledge(Message, frozen=True):
    agent_id: AgentID
    task_id: TaskID
    uuid: bytes


class AcknowledgeOperationStatus(Message, frozen=True):
    uuid: bytes
    operation_id: OperationID
    agent_id: AgentID | None = None
    resource_provider_id: ResourceProviderID | None = None


class ReconcileTask(Message, frozen=True):
    task_id: TaskID
    agent_id: AgentID | None = None


class Reconcile(Message, frozen=True, omit_defaults=False):
    """Of these tasks; of none: of all that the master knows (implicit)."""

    tasks: tuple[ReconcileTask, ...] = ()


class ReconcileOperation(Message, frozen=True):
    operation_id: OperationID
    agent_id: AgentID | None = None
    resource_provider_id: ResourceProviderID | None = None


class ReconcileOperations(Message, frozen=True, omit_defaults=False):
    operations: tuple[ReconcileOperation, ...] = ()


class FrameworkMessage(Message, frozen=True):
    agent_id: AgentID
    executor_id: ExecutorID
    data: bytes


class ResourceRequest(Message, frozen=True):
    agent_id: AgentID | None = None
    resources: tuple[Resource, ...] = ()


class Request(Message, frozen=True):
    """Mesos' allocator ignores it."""

    requests: tuple[ResourceRequest, ...] = ()


class Call(Message, frozen=True):
    type: str
    framework_id: FrameworkID | None = None
    subscribe: Subscribe | None = None
    accept: Accept | None = None
    decline: Decline | None = None
    accept_inverse_offers: InverseOfferIDs | None = None
    decline_inverse_offers: InverseOfferIDs | None = None
    revive: Roles | None = None
    suppress: Roles | None = None
    kill: Kill | None = None
    shutdown: Shutdown | None = None
    acknowledge: Acknowledge | None = None
    acknowledge_operation_status: AcknowledgeOperationStatus | None = None
    reconcile: Reconcile | None = None
    reconcile_operations: ReconcileOperations | None = None
    message: FrameworkMessage | None = None
    request: Request | None = None
    update_framework: Subscribe | None = None


# --- events ------------------------------------------------------------------------------------------------------


class Subscribed(Message, frozen=True):
    framework_id: FrameworkID
    heartbeat_interval_seconds: float | None = None
    master_info: MasterInfo | None = None


class Offers(Message, frozen=True):
    offers: tuple[Offer, ...] = ()


class InverseOffers(Message, frozen=True):
    inverse_offers: tuple[InverseOffer, ...] = ()


class Rescind(Message, frozen=True):
    offer_id: OfferID


class RescindInverseOffer(Message, frozen=True):
    inverse_offer_id: OfferID


class Update(Message, frozen=True):
    status: TaskStatus


class UpdateOperationStatus(Message, frozen=True):
    status: OperationStatus


class Failure(Message, frozen=True):
    """An executor ended (with `status`, if it is known), or, without `executor_id`, an agent is gone."""

    agent_id: AgentID | None = None
    executor_id: ExecutorID | None = None
    status: int | None = None


class Error(Message, frozen=True):
    message: str = ""


class Event(Message, frozen=True):
    type: str
    subscribed: Subscribed | None = None
    offers: Offers | None = None
    inverse_offers: InverseOffers | None = None
    rescind: Rescind | None = None
    rescind_inverse_offer: RescindInverseOffer | None = None
    update: Update | None = None
    update_operation_status: UpdateOperationStatus | None = None
    message: FrameworkMessage | None = None
    failure: Failure | None = None
    error: Error | None = None


# --- making calls; the driver adds the framework id ---------------------------------------------------------------


def subscribe(info: FrameworkInfo, suppressed: Sequence[str] = (), constraints: Opaque | None = None) -> Call:
    """With `info.id` set it is a re-subscription of that framework."""
    payload = Subscribe(framework_info=info, suppressed_roles=tuple(suppressed), offer_constraints=constraints)
    return Call(type=CallType.SUBSCRIBE, framework_id=info.id, subscribe=payload)


def update_framework(info: FrameworkInfo, suppressed: Sequence[str] = (), constraints: Opaque | None = None) -> Call:
    payload = Subscribe(framework_info=info, suppressed_roles=tuple(suppressed), offer_constraints=constraints)
    return Call(type=CallType.UPDATE_FRAMEWORK, framework_id=info.id, update_framework=payload)


def accept(offers: Sequence[OfferID], operations: Sequence[Operation], refuse_seconds: float | None = None) -> Call:
    """Several offers must be of one agent. What is left over is not offered again for `refuse_seconds`."""
    payload = Accept(offer_ids=tuple(offers), operations=tuple(operations), filters=_filters(refuse_seconds))
    return Call(type=CallType.ACCEPT, accept=payload)


def decline(offers: Sequence[OfferID], refuse_seconds: float | None = None) -> Call:
    return Call(type=CallType.DECLINE, decline=Decline(offer_ids=tuple(offers), filters=_filters(refuse_seconds)))


def accept_inverse(offers: Sequence[OfferID], refuse_seconds: float | None = None) -> Call:
    payload = InverseOfferIDs(inverse_offer_ids=tuple(offers), filters=_filters(refuse_seconds))
    return Call(type=CallType.ACCEPT_INVERSE_OFFERS, accept_inverse_offers=payload)


def decline_inverse(offers: Sequence[OfferID], refuse_seconds: float | None = None) -> Call:
    payload = InverseOfferIDs(inverse_offer_ids=tuple(offers), filters=_filters(refuse_seconds))
    return Call(type=CallType.DECLINE_INVERSE_OFFERS, decline_inverse_offers=payload)


def revive(roles: Sequence[str] = ()) -> Call:
    return Call(type=CallType.REVIVE, revive=Roles(roles=tuple(roles)))


def suppress(roles: Sequence[str] = ()) -> Call:
    return Call(type=CallType.SUPPRESS, suppress=Roles(roles=tuple(roles)))


def kill(task: TaskID, agent: AgentID | None = None, policy: KillPolicy | None = None) -> Call:
    return Call(type=CallType.KILL, kill=Kill(task_id=task, agent_id=agent, kill_policy=policy))


def shutdown(executor: ExecutorID, agent: AgentID) -> Call:
    return Call(type=CallType.SHUTDOWN, shutdown=Shutdown(executor_id=executor, agent_id=agent))


def acknowledge(status: TaskStatus) -> Call:
    """Of a status that has a uuid. Raises ValueError for one that has not: it waits for nothing."""
    if not status.uuid or status.agent_id is None:
        raise ValueError(f"the status of {status.task_id.value} has no uuid or no agent: nothing to acknowledge")
    payload = Acknowledge(agent_id=status.agent_id, task_id=status.task_id, uuid=status.uuid)
    return Call(type=CallType.ACKNOWLEDGE, acknowledge=payload)


def acknowledge_operation(status: OperationStatus) -> Call:
    """Of an operation's status that has a uuid. Raises ValueError for one that has not."""
    if status.uuid is None or status.operation_id is None:
        raise ValueError("the operation's status has no uuid or no id: nothing to acknowledge")
    payload = AcknowledgeOperationStatus(
        uuid=status.uuid.value,  # bare here, wrapped in the status
        operation_id=status.operation_id,
        agent_id=status.agent_id,
        resource_provider_id=status.resource_provider_id,
    )
    return Call(type=CallType.ACKNOWLEDGE_OPERATION_STATUS, acknowledge_operation_status=payload)


def reconcile(tasks: Sequence[tuple[TaskID, AgentID | None]] = ()) -> Call:
    """Of these tasks; of none: implicit, of all that the master knows."""
    payload = Reconcile(tasks=tuple(ReconcileTask(task_id=task, agent_id=agent) for task, agent in tasks))
    return Call(type=CallType.RECONCILE, reconcile=payload)


def reconcile_operations(operations: Sequence[ReconcileOperation] = ()) -> Call:
    payload = ReconcileOperations(operations=tuple(operations))
    return Call(type=CallType.RECONCILE_OPERATIONS, reconcile_operations=payload)


def message(agent: AgentID, executor: ExecutorID, data: bytes) -> Call:
    payload = FrameworkMessage(agent_id=agent, executor_id=executor, data=data)
    return Call(type=CallType.MESSAGE, message=payload)


def teardown() -> Call:
    """Ends the framework and kills all its tasks. Only an operator's explicit command may lead here."""
    return Call(type=CallType.TEARDOWN)


def _filters(refuse_seconds: float | None) -> Filters | None:
    return None if refuse_seconds is None else Filters(refuse_seconds=refuse_seconds)
