"""Is this job one that may be taken? Every rule of the scheduler, and all that is wrong at once.

What a client has checked already is checked again: a scheduler believes nobody. A problem names the field as it is on
the wire, and says what to do.

Source: spec/scheduler.md §1.10; the environment and the owner are checked on every way in (the original did it for
createJob only).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice

from msgspec import structs

from config.core.cron import schedule_refusal
from scheduler.core.bounds import BOUNDS, Bounds, check_bounds, check_key, is_sane
from scheduler.core.model import (
    DEDICATED,
    IDENTIFIER,
    Constraint,
    DockerParameter,
    Image,
    JobConfiguration,
    JobKey,
    Resource,
    SlaPolicy,
    TaskConfig,
)
from scheduler.core.problem import Problem as Problem
from scheduler.core.problem import quoted
from scheduler.core.resources import amount_of

#: More than these are not told.
MOST_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class Rules:
    """What this cluster allows. The default parameters are what a Docker container has that names none; they are
    allowed even where others are not."""

    environments: str = r"^(prod|devel|test|staging\d*)$"
    tiers: Collection[str] = ("preferred", "preemptible", "revocable")
    production_tiers: Collection[str] = ("preferred",)
    default_tier: str = "preemptible"
    executors: Collection[str] = ("AuroraExecutor",)
    container_types: Collection[str] = ("mesos",)
    container_volumes: bool = False
    docker_parameters: bool = False
    default_docker_parameters: tuple[DockerParameter, ...] = ()
    docker_without_executor: bool = False
    fetcher: bool = False
    gpus: bool = False
    max_tasks_per_job: int = 4000
    sla_for_all_tiers: bool = False
    sla_min_instances: int = 20
    sla_max_duration_s: int = 2 * 3600
    bounds: Bounds = field(default=BOUNDS)


def check_job(job: JobConfiguration, rules: Rules) -> list[Problem]:
    """[]: it may be taken."""
    return _first(
        _identity(job.key, rules),
        _owner("owner.user", job.owner.user, rules),
        _counts(job.instance_count, rules),
        _cron(job),
        _same_key(job),
        _config(job.task_config, job.instance_count, rules),
    )


def check_update(config: TaskConfig, instance_count: int, rules: Rules) -> list[Problem]:
    """Of an update's new configuration."""
    return _first(
        _identity(config.job, rules),
        _counts(instance_count, rules),
        _config(config, instance_count, rules),
    )


def _first(*parts: Iterable[Problem]) -> list[Problem]:
    return list(islice(chain.from_iterable(parts), MOST_PROBLEMS))


def _config(config: TaskConfig, instance_count: int, rules: Rules) -> Iterator[Problem]:
    yield from _owner("taskConfig.owner.user", config.owner.user, rules)
    yield from _tier(config, rules)
    yield from _executor(config, rules)
    yield from _constraints(config)
    yield from _container(config, rules)
    yield from _resources(config, rules)
    yield from _fetcher(config, rules)
    yield from _sla(config, instance_count, rules)
    yield from check_bounds(config, rules.bounds)


# --- rules -------------------------------------------------------------------------------------------------------


def check_names(key: JobKey) -> Iterator[Problem]:
    """Could a job be called so? `.` and `..` could not: names are parts of addresses, and of paths in ZooKeeper."""
    for name, value in (("role", key.role), ("environment", key.environment), ("name", key.name)):
        if not IDENTIFIER.fullmatch(value):
            text = f"{quoted(value)} may have letters, digits, `_`, `-` and `.` only, and at least one"
            yield Problem(f"job.{name}", text)
        elif value in (".", ".."):
            yield Problem(f"job.{name}", f"{quoted(value)} is no name")


def _identity(key: JobKey, rules: Rules) -> Iterator[Problem]:
    yield from check_names(key)
    if IDENTIFIER.fullmatch(key.environment) and not re.search(rules.environments, key.environment):
        text = f"{quoted(key.environment)} is not allowed here; it must match {rules.environments}"
        yield Problem("job.environment", text)
    yield from check_key(key)


def _owner(name: str, user: str, rules: Rules) -> Iterator[Problem]:
    if user and not IDENTIFIER.fullmatch(user):
        yield Problem(name, f"{quoted(user)} may have letters, digits, `_`, `-` and `.` only")
    elif len(user) > rules.bounds.name:
        yield Problem(name, f"{quoted(user)} has {len(user)} letters; {rules.bounds.name} is the most")


def _counts(instances: int, rules: Rules) -> Iterator[Problem]:
    if not 1 <= instances <= rules.max_tasks_per_job:
        yield Problem("instanceCount", instance_count_text(rules))


def instance_count_text(rules: Rules) -> str:
    return f"Instance count must be between 1 and {rules.max_tasks_per_job} inclusive."


def _same_key(job: JobConfiguration) -> Iterator[Problem]:
    if job.task_config.job != job.key:
        yield Problem("taskConfig.job", f"it is {job.task_config.job}, and the job is {job.key}")


def _cron(job: JobConfiguration) -> Iterator[Problem]:
    if job.cron_schedule is None:
        return
    if job.task_config.is_service:
        yield Problem("cronSchedule", "a service runs always; a job is a service or has a schedule")
    refusal = schedule_refusal(job.cron_schedule)
    if refusal is not None:
        yield Problem("cronSchedule", refusal)
    if job.cron_collision_policy == "RUN_OVERLAP":
        yield Problem("cronCollisionPolicy", "RUN_OVERLAP is not supported any more; use KILL_EXISTING or CANCEL_NEW")
    elif job.cron_collision_policy not in ("KILL_EXISTING", "CANCEL_NEW"):
        yield Problem(
            "cronCollisionPolicy", f"{quoted(job.cron_collision_policy)} is neither KILL_EXISTING nor CANCEL_NEW"
        )


def _tier(config: TaskConfig, rules: Rules) -> Iterator[Problem]:
    if config.tier is not None and config.tier not in rules.tiers:
        yield Problem(
            "tier", f"there is no tier {quoted(config.tier)} here; use one of {', '.join(sorted(rules.tiers))}"
        )


def is_production(config: TaskConfig, rules: Rules) -> bool:
    """Whether its tier is one of those that count against quota and may preempt."""
    return (config.tier or rules.default_tier) in rules.production_tiers


def _executor(config: TaskConfig, rules: Rules) -> Iterator[Problem]:
    executor = config.executor_config
    if executor is None:
        if config.container.docker is None:
            yield Problem("executorConfig", "Configuration may not be null.")
        elif not rules.docker_without_executor:
            yield Problem("executorConfig", "a Docker container needs an executor here")
    elif executor.name not in rules.executors:
        known = ", ".join(sorted(rules.executors))
        text = f"there is no executor {quoted(executor.name)} here; use one of {known}"
        yield Problem("executorConfig.name", text)


def _constraints(config: TaskConfig) -> Iterator[Problem]:
    names = Counter(constraint.name for constraint in config.constraints)
    for name in sorted(name for name, count in names.items() if count > 1):
        yield Problem("constraints", f"there are several constraints on {quoted(name)}; write them as one")
    for constraint in config.constraints:
        union, where = constraint.constraint, f"constraints.{quoted(constraint.name)[1:-1]}"
        if (union.value is None) is (union.limit is None):
            yield Problem(where, "it has to be a value or a limit")
        elif union.limit is not None and union.limit.limit < 1:
            yield Problem(where, f"a limit of {union.limit.limit}; it is 1 at least")
        elif union.value is not None and not union.value.values and constraint.name != DEDICATED:
            yield Problem(where, "it has no values")
        if constraint.name == DEDICATED:
            yield from _dedicated(config, constraint)


def _dedicated(config: TaskConfig, constraint: Constraint) -> Iterator[Problem]:
    value = constraint.constraint.value
    if value is None or value.negated or len(value.values) != 1:
        yield Problem("constraints.dedicated", "it must be a single value, such as ROLE/pool or */pool")
    elif value.values[0].partition("/")[0] not in (config.job.role, "*"):
        text = f"{quoted(value.values[0])} is not for role {quoted(config.job.role)}; only its role may use it"
        yield Problem("constraints.dedicated", text)


def _container(config: TaskConfig, rules: Rules) -> Iterator[Problem]:
    docker, mesos = config.container.docker, config.container.mesos
    if docker is not None and mesos is not None:
        yield Problem("container", "it has to be exactly one of mesos and docker")
    kind = "docker" if docker is not None else "mesos"
    if kind not in rules.container_types:
        yield Problem("container", f"{kind} containers are not allowed here")
    if docker is not None:
        if not docker.image:
            yield Problem("container.docker.image", "A container must specify an image.")
        is_default = docker.parameters == rules.default_docker_parameters
        if docker.parameters and not is_default and not rules.docker_parameters:
            yield Problem("container.docker.parameters", "Docker parameters not allowed.")
    if mesos is not None and mesos.volumes and not rules.container_volumes:
        yield Problem("container.mesos.volumes", "volumes are not allowed here")
    if mesos is not None:
        for mode in sorted({volume.mode for volume in mesos.volumes} - {"RW", "RO"}):
            yield Problem("container.mesos.volumes.mode", f"{quoted(mode)} is neither RW nor RO")
        if mesos.image is not None:
            yield from _image(mesos.image)


def _image(image: Image) -> Iterator[Problem]:
    if (image.docker is None) is (image.appc is None):
        yield Problem("container.mesos.image", "it has to be exactly one of docker and appc")


def _resources(config: TaskConfig, rules: Rules) -> Iterator[Problem]:
    words = {"num_cpus": "numCpus", "ram_mb": "ramMb", "disk_mb": "diskMb", "num_gpus": "numGpus"}
    for name, word in words.items():
        count = sum(getattr(resource, name) is not None for resource in config.resources)
        if count > 1:
            yield Problem("resources", f"{word} is there {count} times")
    yield from _unions(config.resources)
    ports = [resource.named_port for resource in config.resources if resource.named_port is not None]
    for port, count in sorted(Counter(ports).items()):
        if count > 1:
            yield Problem("resources", f"the port {quoted(port)} is there {count} times")
    amount = amount_of(each for each in config.resources if is_sane(each))
    for word, value in (("numCpus", amount.milli_cpus), ("ramMb", amount.ram_mb), ("diskMb", amount.disk_mb)):
        if value <= 0:
            yield Problem("resources", f"{word} must be there, and more than 0")
    if amount.gpus and not rules.gpus:
        yield Problem("resources", "GPUs are not allowed here")
    if amount.gpus < 0:
        yield Problem("resources", "numGpus must not be negative")


def _unions(resources: Iterable[Resource]) -> Iterator[Problem]:
    odd = sum(sum(value is not None for value in structs.astuple(resource)) != 1 for resource in resources)
    if odd:
        yield Problem("resources", f"each has to be exactly one thing; {odd} of them {'is' if odd == 1 else 'are'} not")


def _fetcher(config: TaskConfig, rules: Rules) -> Iterator[Problem]:
    if config.mesos_fetcher_uris and not rules.fetcher:
        yield Problem("mesosFetcherUris", "URIs to fetch are not allowed here")


def _sla(config: TaskConfig, instances: int, rules: Rules) -> Iterator[Problem]:
    policy = config.sla_policy
    if policy is None:
        return
    chosen = [policy.percentage_sla_policy, policy.count_sla_policy, policy.coordinator_sla_policy]
    if sum(one is not None for one in chosen) != 1:
        yield Problem("slaPolicy", "it has to be exactly one of percentage, count and coordinator")
        return
    if not rules.sla_for_all_tiers and not is_production(config, rules):
        tiers = ", ".join(sorted(rules.production_tiers))
        yield Problem("slaPolicy", f"only jobs of tier {tiers} may have one here")
    if policy.coordinator_sla_policy is None:
        yield from _numbers_of_sla(policy, instances, rules)


def _numbers_of_sla(policy: SlaPolicy, instances: int, rules: Rules) -> Iterator[Problem]:
    if instances < rules.sla_min_instances:
        yield Problem("slaPolicy", f"a job of {instances} is too small for one; {rules.sla_min_instances} is the least")
    percentage, count = policy.percentage_sla_policy, policy.count_sla_policy
    if percentage is not None:
        duration = percentage.duration_secs
        if not 0 <= percentage.percentage <= 100 or instances - instances * percentage.percentage / 100 < 1:
            text = f"{percentage.percentage} % of {instances} leaves no instance that may be down"
            yield Problem("slaPolicy.percentage", text)
    else:
        assert count is not None
        duration = count.duration_secs
        if not 0 <= count.count < instances:
            yield Problem("slaPolicy.count", f"{count.count} of {instances} leaves no instance that may be down")
    if not 0 <= duration <= rules.sla_max_duration_s:
        yield Problem("slaPolicy.durationSecs", f"{duration} s; {rules.sla_max_duration_s} is the most")
