"""How large the parts of a job may be. Everything that is taken is kept in memory, written down and sent to agents.

A task's id becomes the name of a directory on its host (behind the executor's prefix), so a job's key is short.

Source: spec/scheduler.md §1.1; the original knew no bounds, but for the size of an entry in its log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass

from scheduler.core.model import Constraint, JobKey, Resource, TaskConfig
from scheduler.core.problem import Problem, quoted

#: Numbers on the wire.
INT32 = 2**31 - 1

#: A name in a directory has 255 bytes; a uuid, an instance, dashes and an executor's prefix go beside the job's key.
KEY_BYTES = 190

#: Not a number of cores; nor is what is no number at all.
_HUGE = 1e12


@dataclass(frozen=True, slots=True)
class Bounds:
    """`entries`: of each list. `name`, `text`: letters of one. Amounts are what no host has."""

    executor_data: int = 256 * 1024
    entries: int = 100
    values: int = 1000
    name: int = 255
    text: int = 4096
    message: int = 1024
    cpus: float = 1e6
    megabytes: int = 1 << 50
    gpus: int = 1_000_000


BOUNDS = Bounds()


def check_key(key: JobKey) -> Iterator[Problem]:
    size = sum(len(part.encode(errors="replace")) for part in (key.role, key.environment, key.name))
    if size > KEY_BYTES:
        text = f"its role, environment and name have {size} bytes together; {KEY_BYTES} is the most"
        yield Problem("job", text)


def check_message(message: str, bounds: Bounds = BOUNDS) -> Iterator[Problem]:
    yield from _text("message", message, bounds.message)


def check_bounds(config: TaskConfig, bounds: Bounds = BOUNDS) -> Iterator[Problem]:
    yield from _numbers(config)
    yield from _texts(config, bounds)
    yield from _constraints(config.constraints, bounds)
    yield from _container(config, bounds)
    yield from _amounts(config, bounds)


def _numbers(config: TaskConfig) -> Iterator[Problem]:
    yield from _number("priority", config.priority, -INT32 - 1)
    yield from _number("maxTaskFailures", config.max_task_failures, -1)
    if config.partition_policy is not None:
        yield from _number("partitionPolicy.delaySecs", config.partition_policy.delay_secs, 0)


def _number(field: str, value: int, least: int) -> Iterator[Problem]:
    if not least <= value <= INT32:
        yield Problem(field, f"{value} is not between {least} and {INT32}")


def _texts(config: TaskConfig, bounds: Bounds) -> Iterator[Problem]:
    yield from _text("contactEmail", config.contact_email or "", bounds.text)
    if config.executor_config is not None:
        size = len(config.executor_config.data.encode(errors="replace"))
        if size > bounds.executor_data:
            yield Problem("executorConfig.data", f"it has {size} bytes; {bounds.executor_data} is the most")
    yield from _many("metadata", config.metadata, bounds.entries)
    for pair in config.metadata[: bounds.entries]:
        yield from _name("metadata.key", pair.key, bounds)
        yield from _text("metadata.value", pair.value, bounds.text)
    yield from _many("taskLinks", config.task_links, bounds.entries)
    for name, link in list(config.task_links.items())[: bounds.entries]:
        yield from _name("taskLinks", name, bounds)
        yield from _text("taskLinks", link, bounds.text)
    yield from _many("mesosFetcherUris", config.mesos_fetcher_uris, bounds.entries)
    for uri in config.mesos_fetcher_uris[: bounds.entries]:
        yield from _text("mesosFetcherUris.value", uri.value, bounds.text, least=1)
        yield from _text("mesosFetcherUris.outputFile", uri.output_file or "", bounds.text)
    sla = config.sla_policy.coordinator_sla_policy if config.sla_policy is not None else None
    if sla is not None:
        yield from _text("slaPolicy.coordinatorUrl", sla.coordinator_url, bounds.text, least=1)
        yield from _name("slaPolicy.statusKey", sla.status_key, bounds)


def _constraints(constraints: tuple[Constraint, ...], bounds: Bounds) -> Iterator[Problem]:
    yield from _many("constraints", constraints, bounds.entries)
    for constraint in constraints[: bounds.entries]:
        yield from _name("constraints.name", constraint.name, bounds)
        field = f"constraints.{quoted(constraint.name)[1:-1]}"
        value, limit = constraint.constraint.value, constraint.constraint.limit
        if value is not None:
            yield from _many(field, value.values, bounds.values)
            yield from (p for each in value.values[: bounds.values] for p in _text(field, each, bounds.name))
        if limit is not None and limit.limit > INT32:
            yield Problem(field, f"a limit of {limit.limit}; {INT32} is the most")


def _container(config: TaskConfig, bounds: Bounds) -> Iterator[Problem]:
    docker, mesos = config.container.docker, config.container.mesos
    if docker is not None:
        yield from _text("container.docker.image", docker.image, bounds.text)
        yield from _many("container.docker.parameters", docker.parameters, bounds.entries)
        for parameter in docker.parameters[: bounds.entries]:
            yield from _name("container.docker.parameters", parameter.name, bounds)
            yield from _text("container.docker.parameters", parameter.value, bounds.text)
    if mesos is not None:
        yield from _many("container.mesos.volumes", mesos.volumes, bounds.entries)
        for volume in mesos.volumes[: bounds.entries]:
            yield from _text("container.mesos.volumes.containerPath", volume.container_path, bounds.text, least=1)
            yield from _text("container.mesos.volumes.hostPath", volume.host_path, bounds.text, least=1)
        image = mesos.image
        parts = (image.docker, image.appc) if image is not None else ()
        for part in parts:
            texts = (getattr(part, field) for field in part.__struct_fields__) if part is not None else ()
            yield from (p for text in texts for p in _text("container.mesos.image", text, bounds.text, least=1))


def is_sane(resource: Resource) -> bool:
    """One can reckon with it."""
    return resource.num_cpus is None or abs(resource.num_cpus) < _HUGE


def _amounts(config: TaskConfig, bounds: Bounds) -> Iterator[Problem]:
    ports = [resource.named_port for resource in config.resources if resource.named_port is not None]
    yield from _many("resources", ports, bounds.entries, "ports")
    yield from (p for name in ports[: bounds.entries] for p in _name("resources.namedPort", name, bounds))
    for resource in config.resources:
        if not is_sane(resource) or (resource.num_cpus or 0) > bounds.cpus:
            yield Problem("resources.numCpus", f"{resource.num_cpus:g} is too much; {bounds.cpus:g} is the most")
        for field, amount, most in (
            ("ramMb", resource.ram_mb, bounds.megabytes),
            ("diskMb", resource.disk_mb, bounds.megabytes),
            ("numGpus", resource.num_gpus, bounds.gpus),
        ):
            if amount is not None and amount > most:
                yield Problem(f"resources.{field}", f"{amount} is too much; {most} is the most")


# --- sizes -------------------------------------------------------------------------------------------------------


def _many(field: str, things: Sized, most: int, what: str = "entries") -> Iterator[Problem]:
    if len(things) > most:
        yield Problem(field, f"there are {len(things)} {what}; {most} is the most")


def _name(field: str, name: str, bounds: Bounds) -> Iterable[Problem]:
    return _text(field, name, bounds.name, least=1)


def _text(field: str, text: str, most: int, least: int = 0) -> Iterator[Problem]:
    if len(text) < least:
        yield Problem(field, "it must not be empty")
    elif len(text) > most:
        yield Problem(field, f"{quoted(text)} has {len(text)} letters; {most} is the most")
