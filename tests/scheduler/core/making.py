"""Offers and configurations for tests, by what matters of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from msgspec import structs

from mesos.core.messages import (
    AgentID,
    AllocationInfo,
    Attribute,
    CommandInfo,
    FrameworkID,
    Nothing,
    Offer,
    OfferID,
    Reservation,
    Resource,
    TimeInfo,
    Unavailability,
    ranges,
    scalar,
    text_attribute,
)
from scheduler.core.executors import THERMOS, ExecutorSettings, LaunchSettings
from scheduler.core.groups import Attempt, PendingTask, group_key
from scheduler.core.model import (
    Constraint,
    ExecutorConfig,
    InstanceKey,
    JobKey,
    LimitConstraint,
    TaskConfig,
    TaskConstraint,
    ValueConstraint,
)
from scheduler.core.model import Resource as Wish

JOB = JobKey(role="www", environment="prod", name="web")
SETTINGS = LaunchSettings("rz1", {THERMOS: ExecutorSettings(THERMOS, CommandInfo(value="./thermos_executor"))})


def chances(*given: float) -> Callable[[], float]:
    """Those again and again; without any: always 0."""
    return itertools.cycle(given or (0.0,)).__next__


def reserved(resource: Resource, role: str = "www") -> Resource:
    return structs.replace(resource, reservations=(Reservation(type="STATIC", role=role),))


def revocable(resource: Resource) -> Resource:
    return structs.replace(resource, revocable=Nothing())


def offer(
    number: int = 0,
    agent: str = "",
    cpus: float = 4.0,
    mem: float = 4096.0,
    disk: float = 10_000.0,
    ports: tuple[tuple[int, int], ...] = ((31000, 31999),),
    extra: tuple[Resource, ...] = (),
    away_s: float | None = None,
    host: str = "",
    **attributes: str,
) -> Offer:
    """Attributes: values after commas."""
    agent = agent or f"a{number:05}"
    found = tuple(text_attribute(name, each) for name, values in attributes.items() for each in values.split(","))
    start = Unavailability(start=TimeInfo(nanoseconds=int(away_s * 1e9))) if away_s is not None else None
    return Offer(
        id=OfferID(value=f"o{number:05}"),
        framework_id=FrameworkID(value="f"),
        agent_id=AgentID(value=agent),
        hostname=host or f"{agent}.example",
        resources=(
            scalar("cpus", cpus), scalar("mem", mem), scalar("disk", disk), ranges("ports", *ports), *extra,
        ),
        attributes=found,
        unavailability=start,
        allocation_info=AllocationInfo(role="www"),
    )  # fmt: skip


def number_attribute(name: str, value: float) -> Attribute:
    return Attribute(name=name, type="SCALAR", scalar=scalar("", value).scalar)


def value(name: str, *values: str, negated: bool = False) -> Constraint:
    return Constraint(name=name, constraint=TaskConstraint(value=ValueConstraint(values=values, negated=negated)))


def limit(name: str, most: int) -> Constraint:
    return Constraint(name=name, constraint=TaskConstraint(limit=LimitConstraint(limit=most)))


def config(
    *constraints: Constraint,
    cpus: float = 1.0,
    ram: int = 128,
    disk: int = 64,
    gpus: int | None = None,
    ports: tuple[str, ...] = (),
    tier: str | None = None,
    executor: str | None = THERMOS,
    job: JobKey = JOB,
) -> TaskConfig:
    wishes = [Wish(num_cpus=cpus), Wish(ram_mb=ram), Wish(disk_mb=disk)]
    wishes += [Wish(named_port=name) for name in ports]
    if gpus is not None:
        wishes.append(Wish(num_gpus=gpus))
    return TaskConfig(
        job=job,
        resources=tuple(wishes),
        constraints=constraints,
        tier=tier,
        executor_config=ExecutorConfig(name=executor, data="{}") if executor else None,
    )


def pending(instance: int, job: JobKey = JOB) -> PendingTask:
    return PendingTask(f"{job.name}-{instance}", InstanceKey(job_key=job, instance_id=instance))


def attempt(wanted: TaskConfig, tasks: int = 1, first: int = 0) -> Attempt:
    return Attempt(group_key(wanted), wanted, tuple(pending(n, wanted.job) for n in range(first, first + tasks)))
