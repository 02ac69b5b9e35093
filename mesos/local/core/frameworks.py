"""A framework as the master keeps it, and the table of its phases.

RECOVERED: agents told of it, it has not subscribed with this master yet
ACTIVE: subscribed, gets offers
DISCONNECTED: its stream ended; its tasks live on until the failover timeout
COMPLETED: torn down or timed out; never again
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from enum import StrEnum

from mesos.core.messages import Capability, FrameworkID, FrameworkInfo
from mesos.local.core.constraints import NO_CONSTRAINTS, OfferConstraints
from mesos.local.core.roles import roles_of
from mesos.local.core.tasks import TaskRecord


class Phase(StrEnum):
    RECOVERED = "recovered"
    ACTIVE = "active"
    DISCONNECTED = "disconnected"
    COMPLETED = "completed"


class Happening(StrEnum):
    SUBSCRIBES = "subscribes"
    STREAM_ENDS = "stream ends"
    TIME_IS_UP = "failover timeout"
    TORN_DOWN = "torn down"


class Step(StrEnum):
    """What follows; every pair has one of these."""

    REGISTER = "register"  # the first subscription with this master
    FAIL_OVER = "fail over"  # the old stream is told and ended
    RETURN = "return"
    DISCONNECT = "disconnect"
    REMOVE = "remove"
    REFUSE = "refuse"
    NOOP = "noop"


TABLE: Mapping[tuple[Phase, Happening], tuple[Phase, Step]] = {
    (Phase.RECOVERED, Happening.SUBSCRIBES): (Phase.ACTIVE, Step.REGISTER),
    (Phase.RECOVERED, Happening.STREAM_ENDS): (Phase.RECOVERED, Step.NOOP),
    (Phase.RECOVERED, Happening.TIME_IS_UP): (Phase.COMPLETED, Step.REMOVE),
    (Phase.RECOVERED, Happening.TORN_DOWN): (Phase.COMPLETED, Step.REMOVE),
    (Phase.ACTIVE, Happening.SUBSCRIBES): (Phase.ACTIVE, Step.FAIL_OVER),
    (Phase.ACTIVE, Happening.STREAM_ENDS): (Phase.DISCONNECTED, Step.DISCONNECT),
    (Phase.ACTIVE, Happening.TIME_IS_UP): (Phase.ACTIVE, Step.NOOP),
    (Phase.ACTIVE, Happening.TORN_DOWN): (Phase.COMPLETED, Step.REMOVE),
    (Phase.DISCONNECTED, Happening.SUBSCRIBES): (Phase.ACTIVE, Step.RETURN),
    (Phase.DISCONNECTED, Happening.STREAM_ENDS): (Phase.DISCONNECTED, Step.NOOP),
    (Phase.DISCONNECTED, Happening.TIME_IS_UP): (Phase.COMPLETED, Step.REMOVE),
    (Phase.DISCONNECTED, Happening.TORN_DOWN): (Phase.COMPLETED, Step.REMOVE),
    (Phase.COMPLETED, Happening.SUBSCRIBES): (Phase.COMPLETED, Step.REFUSE),
    (Phase.COMPLETED, Happening.STREAM_ENDS): (Phase.COMPLETED, Step.NOOP),
    (Phase.COMPLETED, Happening.TIME_IS_UP): (Phase.COMPLETED, Step.NOOP),
    (Phase.COMPLETED, Happening.TORN_DOWN): (Phase.COMPLETED, Step.NOOP),
}


class Framework:
    """Mutable; `tasks` are those that hold resources or wait for their last acknowledgement."""

    def __init__(self, framework: str, info: FrameworkInfo) -> None:
        self.id = framework
        self.phase = Phase.RECOVERED
        self.stream_id: str | None = None
        self.suppressed: frozenset[str] = frozenset()
        self.constraints: OfferConstraints = NO_CONSTRAINTS
        self.offers: dict[str, None] = {}
        self.inverse_offers: dict[str, None] = {}
        self.tasks: dict[str, TaskRecord] = {}
        self.unreachable: OrderedDict[str, TaskRecord] = OrderedDict()
        self.completed: deque[TaskRecord] = deque()
        self.executors_on: dict[str, int] = {}  # agent -> how many
        self.registered_at: float | None = None
        self.reregistered_at: float | None = None
        self.unregistered_at: float | None = None
        self.deadline: float | None = None  # mono: until when it may come back
        self.alarm: float | None = None  # mono: when that is looked at
        self.streams = 0  # subscriptions so far: heartbeats of an old one are none
        self.operations: dict[str, tuple[str, bytes]] = {}  # operation id -> agent, uuid
        self.learn(info)

    def learn(self, info: FrameworkInfo) -> None:
        self.info = info
        self.roles = roles_of(info)
        self.partition_aware = info.can(Capability.PARTITION_AWARE)
        self.multi_role = info.can(Capability.MULTI_ROLE)
        self.refinement = info.can(Capability.RESERVATION_REFINEMENT)

    @property
    def framework_id(self) -> FrameworkID:
        return FrameworkID(value=self.id)

    @property
    def active(self) -> bool:
        return self.phase is Phase.ACTIVE

    def step(self, happening: Happening) -> Step:
        self.phase, step = TABLE[self.phase, happening]
        return step

    def task(self, task: str) -> TaskRecord | None:
        return self.tasks.get(task)
