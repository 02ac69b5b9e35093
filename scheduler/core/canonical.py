"""A job as it is kept: what it left open is filled in, and what has no order gets one.

Equal configurations have to be equal values, whatever order the JSON had: it decides what an update changes, and which
tasks are one group. So sets (resources, constraints and their values, metadata, URIs) are sorted, and what is in one
twice is there once. The order of volumes and of parameters of Docker has a meaning and stays.

Source: spec/scheduler.md §1.3, §1.10 (3, 6, 9).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec
from msgspec import structs

from scheduler.core.model import (
    Constraint,
    Container,
    FetcherUri,
    JobConfiguration,
    MesosContainer,
    Metadata,
    Resource,
    TaskConfig,
    TaskConstraint,
)
from scheduler.core.validation import Rules, is_production

T = TypeVar("T")

#: Ports of these names have a page that people look at.
LINKED_PORTS = ("health", "http")


def populated(job: JobConfiguration, rules: Rules) -> JobConfiguration:
    """Of a job without problems. It may be said again: what comes out stays as it is."""
    return structs.replace(job, task_config=populated_config(job.task_config, rules))


def populated_config(config: TaskConfig, rules: Rules) -> TaskConfig:
    tier = config.tier if config.tier is not None else rules.default_tier
    return structs.replace(
        config,
        tier=tier,
        production=is_production(config, rules),
        resources=_sorted(config.resources, _resource_order),
        constraints=_sorted(map(_constraint, config.constraints), _constraint_order),
        mesos_fetcher_uris=_sorted(config.mesos_fetcher_uris, _encoded),
        task_links=config.task_links or _links(config),
        metadata=_sorted(config.metadata, _metadata_order),
        container=_container(config.container, rules),
    )


def _links(config: TaskConfig) -> dict[str, str]:
    ports = {resource.named_port for resource in config.resources}
    return {name: f"http://%host%:%port:{name}%" for name in LINKED_PORTS if name in ports}


def _container(container: Container, rules: Rules) -> Container:
    if container.docker is None:
        return container if container.mesos is not None else Container(mesos=MesosContainer())
    if container.docker.parameters:
        return container
    return Container(docker=structs.replace(container.docker, parameters=rules.default_docker_parameters))


def _constraint(constraint: Constraint) -> Constraint:
    value = constraint.constraint.value
    if value is None:
        return constraint
    values = tuple(sorted(set(value.values)))
    return structs.replace(constraint, constraint=TaskConstraint(value=structs.replace(value, values=values)))


def _sorted(things: Iterable[T], order: Callable[[T], object]) -> tuple[T, ...]:
    """What is there twice, once."""
    found: list[T] = []
    for thing in sorted(things, key=order):  # type: ignore[arg-type]
        if not found or found[-1] != thing:
            found.append(thing)
    return tuple(found)


def _resource_order(resource: Resource) -> tuple[int, str]:
    """cpus, ram, disk, gpus, then the ports by name."""
    values = (resource.num_cpus, resource.ram_mb, resource.disk_mb, resource.num_gpus, resource.named_port)
    return next((n for n, value in enumerate(values) if value is not None), len(values)), resource.named_port or ""


def _constraint_order(constraint: Constraint) -> tuple[str, bytes]:
    return constraint.name, _encoded(constraint)


def _metadata_order(pair: Metadata) -> tuple[str, str]:
    return pair.key, pair.value


def _encoded(thing: FetcherUri | Constraint) -> bytes:
    return msgspec.json.encode(thing)
