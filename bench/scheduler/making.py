"""Jobs and hosts that all measurements share.

Hosts stand in 40 racks; of ten hosts one is dedicated and one has next to nothing free. Jobs have ten tasks each and
ask, in turn, for nothing, a set of racks and a value, a limit per rack, a limit per host, and two limits with a value.
Their executor's data is 2,000 characters, as of a small configuration.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import structs

from mesos.core.messages import (
    AgentID,
    AllocationInfo,
    CommandInfo,
    FrameworkID,
    Offer,
    OfferID,
    Resource,
    Scalar,
    ranges,
    scalar,
    text_attribute,
)
from scheduler.core.executors import THERMOS, ExecutorSettings, LaunchSettings
from scheduler.core.model import (
    Constraint,
    ExecutorConfig,
    JobKey,
    LimitConstraint,
    TaskConfig,
    TaskConstraint,
    ValueConstraint,
)
from scheduler.core.model import Resource as Wish
from scheduler.garbage import spare_what_lasts

RACKS = 40
JOB_SIZE = 10
ROLE = "www"
SETTINGS = LaunchSettings("rz1", {THERMOS: ExecutorSettings(THERMOS, CommandInfo(value="./thermos_executor"))})

Figures = dict[str, float]


def host_offer(number: int, offer_number: int) -> Offer:
    """All that is free on a host."""
    kind = number % 10
    names = [("rack", f"r{number % RACKS}"), ("os", "ab"[number % 2]), ("host", f"h{number}")]
    if kind == 8:
        names.append(("dedicated", "db/x"))
    return Offer(
        id=OfferID(value=f"o{offer_number:09}"),
        framework_id=FrameworkID(value="f"),
        agent_id=AgentID(value=f"a{number}"),
        hostname=f"h{number}",
        resources=(
            scalar("cpus", 0.5 if kind == 9 else 16.0),
            scalar("mem", 65536.0),
            scalar("disk", 1e6),
            ranges("ports", (31000, 32000)),
        ),
        attributes=tuple(text_attribute(*each) for each in names),
        allocation_info=AllocationInfo(role=ROLE),
    )


def rest_of(offer: Offer, taken: tuple[Resource, ...], offer_number: int) -> Offer:
    """What a task leaves, as a new offer. Roughly: ports are many."""
    left = tuple(_without(resource, taken) for resource in offer.resources)
    return structs.replace(offer, id=OfferID(value=f"o{offer_number:09}"), resources=left)


def _without(resource: Resource, taken: tuple[Resource, ...]) -> Resource:
    much = sum(t.scalar.value for t in taken if t.name == resource.name and t.scalar is not None)
    if resource.scalar is None or not much:
        return resource
    return structs.replace(resource, scalar=Scalar(value=resource.scalar.value - much))


def a_config(name: str, *constraints: Constraint, cpus: float = 0.5) -> TaskConfig:
    return TaskConfig(
        job=JobKey(role=ROLE, environment="prod", name=name),
        is_service=True,
        resources=(Wish(num_cpus=cpus), Wish(ram_mb=512), Wish(disk_mb=64), Wish(named_port="http")),
        constraints=constraints,
        executor_config=ExecutorConfig(name=THERMOS, data="x" * 2000),
    )


def value(name: str, *values: str) -> Constraint:
    return Constraint(name=name, constraint=TaskConstraint(value=ValueConstraint(values=values)))


def limit(name: str, most: int) -> Constraint:
    return Constraint(name=name, constraint=TaskConstraint(limit=LimitConstraint(limit=most)))


def kinds(number: int) -> tuple[Constraint, ...]:
    """What jobs ask for, in turn."""
    racks = [f"r{(number + k) % RACKS}" for k in range(4)]
    return (
        (),
        (value("rack", *racks), value("os", "a")),
        (limit("rack", 2),),
        (limit("host", 1),),
        (value("os", "b"), limit("rack", 4), limit("host", 1)),
    )[number % 5]


@contextmanager
def settled_memory() -> Iterator[None]:
    """As in a scheduler that has started, for the garbage collector."""
    before = gc.get_threshold()
    spare_what_lasts()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
