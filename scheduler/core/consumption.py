"""What the jobs of a role hold, in four pools: production or not, on shared hosts or on dedicated ones.

    jobs without an update, without a schedule   their active tasks
    jobs in an update                            of the instances it touches the greater of what was and what shall be,
                                                 resource by resource; the other instances as they are
    jobs with a schedule                         the greater of what all instances would hold, and what runs of it

Quota is about the first pool (production, shared). cpus, ram and disk count; what executors take beside their tasks,
gpus and ports do not.

Source: spec/scheduler.md §6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from scheduler.core.model import JobConfiguration, TaskConfig
from scheduler.core.resources import NOTHING, Amount, amount_of
from scheduler.core.update_model import InstanceRange, InstanceTaskConfig, JobUpdateInstructions


class ConsumptionPool(Enum):
    """(production, dedicated)."""

    PROD_SHARED = (True, False)
    PROD_DEDICATED = (True, True)
    NON_PROD_SHARED = (False, False)
    NON_PROD_DEDICATED = (False, True)


IsProduction = Callable[[TaskConfig], bool]


@dataclass(frozen=True, slots=True)
class JobUse:
    """Of one job: what its active tasks are, what its update is about, and its template if it has a schedule."""

    active: Mapping[int, TaskConfig] = field(default_factory=dict)
    update: JobUpdateInstructions | None = None
    template: JobConfiguration | None = None


def pool_of(config: TaskConfig, is_production: IsProduction) -> ConsumptionPool:
    return ConsumptionPool((is_production(config), config.dedicated is not None))


def consumption(jobs: Iterable[JobUse], is_production: IsProduction) -> dict[ConsumptionPool, Amount]:
    """Of all these jobs together; every pool is there."""
    total = dict.fromkeys(ConsumptionPool, NOTHING)
    for job in jobs:
        total = _merged(total, of_job(job, is_production), Amount.plus)
    return total


def of_job(job: JobUse, is_production: IsProduction) -> dict[ConsumptionPool, Amount]:
    """Only pools it has something in."""
    if job.template is not None:
        wanted = [(job.template.task_config, job.template.instance_count)]
        return _merged(of_configs(job.active.values(), is_production), _sum(wanted, is_production), _greater)
    if job.update is None:
        return of_configs(job.active.values(), is_production)
    before, desired = job.update.initial_state, job.update.desired_state
    after = (desired,) if desired is not None else ()
    touched = [each for group in (*before, *after) for each in group.instances]
    rest = [config for instance, config in job.active.items() if not _is_in(touched, instance)]
    updated = _merged(_sum(_sizes(before), is_production), _sum(_sizes(after), is_production), _greater)
    return _merged(of_configs(rest, is_production), updated, Amount.plus)


def of_configs(configs: Iterable[TaskConfig], is_production: IsProduction) -> dict[ConsumptionPool, Amount]:
    """Of so many tasks, one configuration for each; only pools they have something in."""
    return _sum(_counted(configs), is_production)


def _is_in(ranges: Iterable[InstanceRange], instance: int) -> bool:
    return any(each.first <= instance <= each.last for each in ranges)


def _sizes(groups: Iterable[InstanceTaskConfig]) -> Iterator[tuple[TaskConfig, int]]:
    for group in groups:
        yield group.task, sum(each.last - each.first + 1 for each in group.instances)


def _counted(configs: Iterable[TaskConfig]) -> Iterable[tuple[TaskConfig, int]]:
    """Tasks of one configuration share the object."""
    known: dict[int, TaskConfig] = {}
    counts: dict[int, int] = {}
    for config in configs:
        number = id(config)
        if number in counts:
            counts[number] += 1
        else:
            known[number], counts[number] = config, 1
    return ((known[number], count) for number, count in counts.items())


def _sum(configs: Iterable[tuple[TaskConfig, int]], is_production: IsProduction) -> dict[ConsumptionPool, Amount]:
    total: dict[ConsumptionPool, Amount] = {}
    for config, count in configs:
        pool = pool_of(config, is_production)
        total[pool] = total.get(pool, NOTHING).plus(amount_of(config.resources).times(count))
    return total


def _merged(
    one: Mapping[ConsumptionPool, Amount],
    other: Mapping[ConsumptionPool, Amount],
    merge: Callable[[Amount, Amount], Amount],
) -> dict[ConsumptionPool, Amount]:
    pools = [pool for pool in ConsumptionPool if pool in one or pool in other]
    return {pool: merge(one.get(pool, NOTHING), other.get(pool, NOTHING)) for pool in pools}


def _greater(one: Amount, other: Amount) -> Amount:
    """Of every resource."""
    return Amount(
        max(one.milli_cpus, other.milli_cpus),
        max(one.ram_mb, other.ram_mb),
        max(one.disk_mb, other.disk_mb),
        max(one.ports, other.ports),
        max(one.gpus, other.gpus),
    )
