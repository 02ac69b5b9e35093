"""What Mesos' v1 APIs speak of: tasks, offers, agents, resources, as frozen structs with the field names of the wire.

The wire is JSON: bytes are base64, enums are strings, doubles may be `"Infinity"`, 64-bit numbers may be strings.
Unknown fields are ignored, unknown enum values are kept as they are (every enum field is a `str`; the `StrEnum`s below
name the values that we know, and compare equal to them). A field that is absent has its default, and a default is not
written; so a field that Mesos requires has no default here. What may be absent and means something then is `None`.

Untyped fields (`container`, `health_check`, …) are passed through as they came: an executor may need them, we do not.

Source: Mesos 1.11, `include/mesos/v1/mesos.proto`; checked against a real master's answers by the conformance suite.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

#: A JSON object that we carry and do not look into.
Opaque = dict[str, Any]


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Base of everything on the wire. Messages never change and hold no cycles, so the garbage collector skips them."""


# --- names of values ---------------------------------------------------------------------------------------------


class TaskState(StrEnum):
    """States as Mesos says them; the scheduler's own states are another thing (`ScheduleStatus`)."""

    STAGING = "TASK_STAGING"
    STARTING = "TASK_STARTING"
    RUNNING = "TASK_RUNNING"
    KILLING = "TASK_KILLING"
    FINISHED = "TASK_FINISHED"
    FAILED = "TASK_FAILED"
    KILLED = "TASK_KILLED"
    ERROR = "TASK_ERROR"
    LOST = "TASK_LOST"
    DROPPED = "TASK_DROPPED"
    UNREACHABLE = "TASK_UNREACHABLE"
    GONE = "TASK_GONE"
    GONE_BY_OPERATOR = "TASK_GONE_BY_OPERATOR"
    UNKNOWN = "TASK_UNKNOWN"


#: A task in one of these does not run any more and never will. LOST counts: Mesos says it in place of the states that
#: a framework without PARTITION_AWARE does not know, and then a "lost" task may come back all the same.
TERMINAL_STATES: frozenset[str] = frozenset(
    {
        TaskState.FINISHED,
        TaskState.FAILED,
        TaskState.KILLED,
        TaskState.ERROR,
        TaskState.LOST,
        TaskState.DROPPED,
        TaskState.GONE,
        TaskState.GONE_BY_OPERATOR,
    }
)


class Source(StrEnum):
    """Who says a task status."""

    MASTER = "SOURCE_MASTER"
    AGENT = "SOURCE_AGENT"
    EXECUTOR = "SOURCE_EXECUTOR"


class Reason(StrEnum):
    """Why, as master and agents say it; executors may add any other."""

    COMMAND_EXECUTOR_FAILED = "REASON_COMMAND_EXECUTOR_FAILED"
    CONTAINER_LAUNCH_FAILED = "REASON_CONTAINER_LAUNCH_FAILED"
    CONTAINER_LIMITATION = "REASON_CONTAINER_LIMITATION"
    CONTAINER_LIMITATION_DISK = "REASON_CONTAINER_LIMITATION_DISK"
    CONTAINER_LIMITATION_MEMORY = "REASON_CONTAINER_LIMITATION_MEMORY"
    CONTAINER_PREEMPTED = "REASON_CONTAINER_PREEMPTED"
    CONTAINER_UPDATE_FAILED = "REASON_CONTAINER_UPDATE_FAILED"
    MAX_COMPLETION_TIME_REACHED = "REASON_MAX_COMPLETION_TIME_REACHED"
    EXECUTOR_REGISTRATION_TIMEOUT = "REASON_EXECUTOR_REGISTRATION_TIMEOUT"
    EXECUTOR_REREGISTRATION_TIMEOUT = "REASON_EXECUTOR_REREGISTRATION_TIMEOUT"
    EXECUTOR_TERMINATED = "REASON_EXECUTOR_TERMINATED"
    EXECUTOR_UNREGISTERED = "REASON_EXECUTOR_UNREGISTERED"
    FRAMEWORK_REMOVED = "REASON_FRAMEWORK_REMOVED"
    GC_ERROR = "REASON_GC_ERROR"
    INVALID_FRAMEWORKID = "REASON_INVALID_FRAMEWORKID"
    INVALID_OFFERS = "REASON_INVALID_OFFERS"
    MASTER_DISCONNECTED = "REASON_MASTER_DISCONNECTED"
    RECONCILIATION = "REASON_RECONCILIATION"
    RESOURCES_UNKNOWN = "REASON_RESOURCES_UNKNOWN"
    AGENT_DISCONNECTED = "REASON_AGENT_DISCONNECTED"
    AGENT_DRAINING = "REASON_AGENT_DRAINING"
    AGENT_REMOVED = "REASON_AGENT_REMOVED"
    AGENT_REMOVED_BY_OPERATOR = "REASON_AGENT_REMOVED_BY_OPERATOR"
    AGENT_REREGISTERED = "REASON_AGENT_REREGISTERED"
    AGENT_RESTARTED = "REASON_AGENT_RESTARTED"
    AGENT_UNKNOWN = "REASON_AGENT_UNKNOWN"
    TASK_KILLED_DURING_LAUNCH = "REASON_TASK_KILLED_DURING_LAUNCH"
    TASK_CHECK_STATUS_UPDATED = "REASON_TASK_CHECK_STATUS_UPDATED"
    TASK_HEALTH_CHECK_STATUS_UPDATED = "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED"
    TASK_GROUP_INVALID = "REASON_TASK_GROUP_INVALID"
    TASK_GROUP_UNAUTHORIZED = "REASON_TASK_GROUP_UNAUTHORIZED"
    TASK_INVALID = "REASON_TASK_INVALID"
    TASK_UNAUTHORIZED = "REASON_TASK_UNAUTHORIZED"
    TASK_UNKNOWN = "REASON_TASK_UNKNOWN"


class Capability(StrEnum):
    """What a framework can deal with."""

    REVOCABLE_RESOURCES = "REVOCABLE_RESOURCES"
    TASK_KILLING_STATE = "TASK_KILLING_STATE"
    GPU_RESOURCES = "GPU_RESOURCES"
    SHARED_RESOURCES = "SHARED_RESOURCES"
    PARTITION_AWARE = "PARTITION_AWARE"
    MULTI_ROLE = "MULTI_ROLE"
    RESERVATION_REFINEMENT = "RESERVATION_REFINEMENT"
    REGION_AWARE = "REGION_AWARE"


class ValueType(StrEnum):
    SCALAR = "SCALAR"
    RANGES = "RANGES"
    SET = "SET"
    TEXT = "TEXT"


class OperationType(StrEnum):
    """What may be done with an offer's resources."""

    LAUNCH = "LAUNCH"
    LAUNCH_GROUP = "LAUNCH_GROUP"
    RESERVE = "RESERVE"
    UNRESERVE = "UNRESERVE"
    CREATE = "CREATE"
    DESTROY = "DESTROY"
    GROW_VOLUME = "GROW_VOLUME"
    SHRINK_VOLUME = "SHRINK_VOLUME"
    CREATE_DISK = "CREATE_DISK"
    DESTROY_DISK = "DESTROY_DISK"


class OperationState(StrEnum):
    PENDING = "OPERATION_PENDING"
    FINISHED = "OPERATION_FINISHED"
    FAILED = "OPERATION_FAILED"
    ERROR = "OPERATION_ERROR"
    DROPPED = "OPERATION_DROPPED"
    UNREACHABLE = "OPERATION_UNREACHABLE"
    GONE_BY_OPERATOR = "OPERATION_GONE_BY_OPERATOR"
    RECOVERING = "OPERATION_RECOVERING"
    UNKNOWN = "OPERATION_UNKNOWN"


# --- identities --------------------------------------------------------------------------------------------------


class FrameworkID(Message, frozen=True):
    value: str


class AgentID(Message, frozen=True):
    value: str


class OfferID(Message, frozen=True):
    """Of an offer or of an inverse offer."""

    value: str


class TaskID(Message, frozen=True):
    value: str


class ExecutorID(Message, frozen=True):
    value: str


class OperationID(Message, frozen=True):
    value: str


class ResourceProviderID(Message, frozen=True):
    value: str


class ContainerID(Message, frozen=True):
    value: str
    parent: ContainerID | None = None


# --- small things ------------------------------------------------------------------------------------------------


class TimeInfo(Message, frozen=True):
    """A moment, nanoseconds since the epoch."""

    nanoseconds: int


class DurationInfo(Message, frozen=True):
    nanoseconds: int


class Address(Message, frozen=True):
    hostname: str = ""
    ip: str = ""
    port: int = 0


class URL(Message, frozen=True):
    scheme: str
    address: Address
    path: str = ""


class Unavailability(Message, frozen=True):
    """When a machine will be away; without a duration: from then on."""

    start: TimeInfo
    duration: DurationInfo | None = None


class MachineID(Message, frozen=True):
    hostname: str = ""
    ip: str = ""


class Label(Message, frozen=True):
    key: str
    value: str = ""


class Labels(Message, frozen=True):
    labels: tuple[Label, ...] = ()


class Port(Message, frozen=True):
    number: int
    name: str = ""
    protocol: str = ""
    visibility: str = ""
    labels: Labels | None = None


class Ports(Message, frozen=True):
    ports: tuple[Port, ...] = ()


class DiscoveryInfo(Message, frozen=True):
    """`visibility` is FRAMEWORK, CLUSTER or EXTERNAL."""

    visibility: str
    name: str = ""
    environment: str = ""
    location: str = ""
    version: str = ""
    ports: Ports | None = None
    labels: Labels | None = None


class Named(Message, frozen=True):
    """A region or a zone."""

    name: str


class FaultDomain(Message, frozen=True):
    region: Named
    zone: Named


class DomainInfo(Message, frozen=True):
    fault_domain: FaultDomain | None = None


# --- resources ---------------------------------------------------------------------------------------------------


class Scalar(Message, frozen=True, omit_defaults=False):
    value: float = 0.0


class Range(Message, frozen=True, omit_defaults=False):
    """Both ends belong to it."""

    begin: int
    end: int


class Ranges(Message, frozen=True):
    range: tuple[Range, ...] = ()


class Items(Message, frozen=True):
    item: tuple[str, ...] = ()


class Text(Message, frozen=True, omit_defaults=False):
    value: str = ""


class Attribute(Message, frozen=True):
    name: str
    type: str
    scalar: Scalar | None = None
    ranges: Ranges | None = None
    set: Items | None = None
    text: Text | None = None


class AllocationInfo(Message, frozen=True):
    role: str = ""


class Reservation(Message, frozen=True):
    """One level of the stack of reservations of a resource. `type` is STATIC or DYNAMIC."""

    type: str = ""
    role: str = ""
    principal: str = ""
    labels: Labels | None = None


class Persistence(Message, frozen=True):
    id: str
    principal: str = ""


class Volume(Message, frozen=True):
    """`mode` is RW or RO."""

    container_path: str
    mode: str
    host_path: str = ""
    image: Opaque | None = None
    source: Opaque | None = None


class DiskInfo(Message, frozen=True):
    persistence: Persistence | None = None
    volume: Volume | None = None
    source: Opaque | None = None


class Nothing(Message, frozen=True):
    """A message without fields; that it is there says it."""


class Resource(Message, frozen=True):
    """Scalars are exact to three decimals. `reservations` is the stack, innermost last; without any: for everybody."""

    name: str
    type: str
    scalar: Scalar | None = None
    ranges: Ranges | None = None
    set: Items | None = None
    provider_id: ResourceProviderID | None = None
    role: str = ""  # old form of a reservation, for frameworks without RESERVATION_REFINEMENT
    allocation_info: AllocationInfo | None = None
    reservation: Reservation | None = None  # old form
    reservations: tuple[Reservation, ...] = ()
    disk: DiskInfo | None = None
    revocable: Nothing | None = None
    shared: Nothing | None = None


# --- frameworks, agents, masters ---------------------------------------------------------------------------------


class CapabilityInfo(Message, frozen=True):
    type: str = ""


class FrameworkInfo(Message, frozen=True):
    """Who we are. `failover_timeout` in seconds: how long tasks live without a scheduler."""

    user: str
    name: str
    id: FrameworkID | None = None
    failover_timeout: float = 0.0
    checkpoint: bool = False
    role: str = ""  # for frameworks without MULTI_ROLE
    roles: tuple[str, ...] = ()
    hostname: str = ""
    principal: str = ""
    webui_url: str = ""
    capabilities: tuple[CapabilityInfo, ...] = ()
    labels: Labels | None = None
    offer_filters: dict[str, Opaque] = {}

    def can(self, capability: Capability) -> bool:
        return any(c.type == capability for c in self.capabilities)


class MasterInfo(Message, frozen=True):
    id: str = ""
    ip: int = 0
    port: int = 0
    pid: str = ""
    hostname: str = ""
    version: str = ""
    address: Address | None = None
    domain: DomainInfo | None = None
    capabilities: tuple[CapabilityInfo, ...] = ()


class AgentInfo(Message, frozen=True):
    hostname: str
    port: int = 5051
    resources: tuple[Resource, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    id: AgentID | None = None
    domain: DomainInfo | None = None
    checkpoint: bool = False


# --- tasks and executors -----------------------------------------------------------------------------------------


class Variable(Message, frozen=True):
    name: str
    value: str = ""
    type: str = "VALUE"
    secret: Opaque | None = None


class Environment(Message, frozen=True):
    variables: tuple[Variable, ...] = ()


class CommandURI(Message, frozen=True):
    value: str
    executable: bool = False
    extract: bool = True
    cache: bool = False
    output_file: str = ""


class CommandInfo(Message, frozen=True):
    """`shell`: `value` is for `sh -c`; otherwise `value` is the program and `arguments` its argv."""

    value: str = ""
    shell: bool = True
    arguments: tuple[str, ...] = ()
    uris: tuple[CommandURI, ...] = ()
    environment: Environment | None = None
    user: str = ""


class KillPolicy(Message, frozen=True):
    grace_period: DurationInfo | None = None


class ExecutorInfo(Message, frozen=True):
    executor_id: ExecutorID
    type: str = ""
    framework_id: FrameworkID | None = None
    command: CommandInfo | None = None
    container: Opaque | None = None
    resources: tuple[Resource, ...] = ()
    name: str = ""
    source: str = ""
    data: bytes = b""
    discovery: DiscoveryInfo | None = None
    shutdown_grace_period: DurationInfo | None = None
    labels: Labels | None = None


class TaskInfo(Message, frozen=True):
    name: str
    task_id: TaskID
    agent_id: AgentID
    resources: tuple[Resource, ...] = ()
    limits: dict[str, Scalar] = {}
    executor: ExecutorInfo | None = None
    command: CommandInfo | None = None
    container: Opaque | None = None
    data: bytes = b""
    health_check: Opaque | None = None
    check: Opaque | None = None
    kill_policy: KillPolicy | None = None
    discovery: DiscoveryInfo | None = None
    labels: Labels | None = None
    max_completion_time: DurationInfo | None = None


class TaskGroupInfo(Message, frozen=True):
    tasks: tuple[TaskInfo, ...] = ()


class IPAddress(Message, frozen=True):
    protocol: str = ""
    ip_address: str = ""


class NetworkInfo(Message, frozen=True):
    ip_addresses: tuple[IPAddress, ...] = ()
    name: str = ""


class ContainerStatus(Message, frozen=True):
    container_id: ContainerID | None = None
    network_infos: tuple[NetworkInfo, ...] = ()
    executor_pid: int = 0


class TaskStatus(Message, frozen=True):
    """What is known of a task. With a `uuid` it waits for an acknowledgement and is said again until it gets one.

    `timestamp` in epoch seconds; `source` one of `Source`, `reason` mostly one of `Reason`.
    """

    task_id: TaskID
    state: str
    message: str = ""
    source: str = ""
    reason: str = ""
    data: bytes = b""
    agent_id: AgentID | None = None
    executor_id: ExecutorID | None = None
    timestamp: float | None = None
    uuid: bytes = b""
    healthy: bool | None = None
    check_status: Opaque | None = None
    labels: Labels | None = None
    container_status: ContainerStatus | None = None
    unreachable_time: TimeInfo | None = None
    limitation: Opaque | None = None


# --- offers ------------------------------------------------------------------------------------------------------


class Filters(Message, frozen=True, omit_defaults=False):
    """For how many seconds the resources that are not used shall not be offered again; Mesos' default is 5."""

    refuse_seconds: float = 5.0


class Offer(Message, frozen=True):
    id: OfferID
    framework_id: FrameworkID
    agent_id: AgentID
    hostname: str
    url: URL | None = None
    domain: DomainInfo | None = None
    resources: tuple[Resource, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    executor_ids: tuple[ExecutorID, ...] = ()
    unavailability: Unavailability | None = None
    allocation_info: AllocationInfo | None = None


class InverseOffer(Message, frozen=True):
    """Mesos asks for resources back, because a machine will be away."""

    id: OfferID
    framework_id: FrameworkID
    unavailability: Unavailability
    agent_id: AgentID | None = None
    url: URL | None = None
    resources: tuple[Resource, ...] = ()


class Launch(Message, frozen=True):
    task_infos: tuple[TaskInfo, ...] = ()


class LaunchGroup(Message, frozen=True):
    executor: ExecutorInfo
    task_group: TaskGroupInfo


class ResourcesOf(Message, frozen=True):
    """Operand of RESERVE and UNRESERVE."""

    resources: tuple[Resource, ...] = ()
    source: tuple[Resource, ...] = ()


class Volumes(Message, frozen=True):
    """Operand of CREATE and DESTROY."""

    volumes: tuple[Resource, ...] = ()


class Operation(Message, frozen=True):
    """With an `id` its outcome is told as UPDATE_OPERATION_STATUS, to be acknowledged like a task status."""

    type: str
    id: OperationID | None = None
    launch: Launch | None = None
    launch_group: LaunchGroup | None = None
    reserve: ResourcesOf | None = None
    unreserve: ResourcesOf | None = None
    create: Volumes | None = None
    destroy: Volumes | None = None
    grow_volume: Opaque | None = None
    shrink_volume: Opaque | None = None
    create_disk: Opaque | None = None
    destroy_disk: Opaque | None = None


class OperationStatus(Message, frozen=True):
    state: str
    operation_id: OperationID | None = None
    message: str = ""
    converted_resources: tuple[Resource, ...] = ()
    uuid: UUID | None = None
    agent_id: AgentID | None = None
    resource_provider_id: ResourceProviderID | None = None


class UUID(Message, frozen=True):
    """Mesos wraps the uuid of an operation status, and wants it bare in the acknowledgement."""

    value: bytes


# --- making them -------------------------------------------------------------------------------------------------


def scalar(name: str, value: float, role: str = "") -> Resource:
    """An amount of `cpus`, `mem` (MiB), `disk` (MiB), `gpus`; allocated to `role` if one is given."""
    return Resource(
        name=name,
        type=ValueType.SCALAR,
        scalar=Scalar(value=value),
        allocation_info=AllocationInfo(role=role) if role else None,
    )


def ranges(name: str, *spans: tuple[int, int], role: str = "") -> Resource:
    """Such as `ports`; both ends of a span belong to it."""
    return Resource(
        name=name,
        type=ValueType.RANGES,
        ranges=Ranges(range=tuple(Range(begin=a, end=b) for a, b in spans)),
        allocation_info=AllocationInfo(role=role) if role else None,
    )


def text_attribute(name: str, value: str) -> Attribute:
    return Attribute(name=name, type=ValueType.TEXT, text=Text(value=value))
