"""What the cluster is: tiers, quota and what roles hold, hosts with what they offer, maintenance, cron schedules.

Source: spec/scheduler.md §1.6, §1.9, §6, §9.1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from scheduler.core.consumption import ConsumptionPool, JobUse, consumption, of_configs
from scheduler.core.filters import MaintenanceMode
from scheduler.core.model import JobKey
from scheduler.core.resources import MILLI, NOTHING, Amount, amount_of
from scheduler.core.states import AGENT_ASSIGNED
from scheduler.core.update_model import UPDATE_ACTIVE, JobUpdateQuery
from scheduler.core.validation import is_production
from scheduler.service.context import Context, Told
from scheduler.service.pages import Page, check_page
from scheduler.store.task_query import TaskQuery


class Quantity(Told, frozen=True):
    cpus: float
    ram_mb: int
    disk_mb: int


class RoleQuota(Told, frozen=True):
    """What a role may have in production on shared hosts, and what it has."""

    role: str
    quota: Quantity
    prod_shared: Quantity
    prod_dedicated: Quantity
    non_prod_shared: Quantity
    non_prod_dedicated: Quantity


class TierFlags(Told, frozen=True):
    preemptible: bool
    revocable: bool


class TierTable(Told, frozen=True):
    default: str
    tiers: dict[str, TierFlags]


class Offered(Quantity, frozen=True):
    ports: int


class Host(Told, frozen=True):
    """`offered` None: nothing is, at the moment."""

    host: str
    agent_id: str
    mode: MaintenanceMode
    attributes: dict[str, tuple[str, ...]]
    offered: Offered | None


class Hosts(Told, frozen=True):
    """A page of them."""

    hosts: tuple[Host, ...]
    total: int


# --- quota and tiers ---------------------------------------------------------------------------------------------


def quota(context: Context, role: str) -> RoleQuota:
    """Of a role that nobody knows it is nothing of everything."""
    pools = consumption(_uses(context, role), lambda config: is_production(config, context.rules))
    return RoleQuota(
        role=role,
        quota=quantity(allocated(context, role)),
        prod_shared=quantity(pools[ConsumptionPool.PROD_SHARED]),
        prod_dedicated=quantity(pools[ConsumptionPool.PROD_DEDICATED]),
        non_prod_shared=quantity(pools[ConsumptionPool.NON_PROD_SHARED]),
        non_prod_dedicated=quantity(pools[ConsumptionPool.NON_PROD_DEDICATED]),
    )


def allocated(context: Context, role: str) -> Amount:
    found = context.tables.quotas.get(role)
    return amount_of(found.resources) if found is not None else NOTHING


def quantity(amount: Amount) -> Quantity:
    return Quantity(cpus=amount.milli_cpus / MILLI, ram_mb=amount.ram_mb, disk_mb=amount.disk_mb)


def _uses(context: Context, role: str) -> Iterator[JobUse]:
    """Every job of the role that holds something, or is to."""
    tables = context.tables
    active = tables.updates.page(JobUpdateQuery(role=role, update_statuses=UPDATE_ACTIVE))
    updates = {entry.update.summary.key.job: entry.update.instructions for entry in active}
    templates = {key: job for key, job in tables.cron_jobs.items() if key.role == role}
    keys: dict[JobKey, None] = dict.fromkeys([*tables.tasks.jobs(role), *updates, *templates])
    for key in keys:
        configs = {task.assigned_task.instance_id: task.config for task in tables.tasks.active_of_job(key)}
        yield JobUse(configs, updates.get(key), templates.get(key))


def quotas(context: Context, role: str | None = None) -> dict[str, dict[str, float]]:
    """As the original's `/quotas`: of all roles that have one, or of this one."""
    tables = context.tables
    names = sorted(tables.quotas) if role is None else [role]
    found = {name: quantity(allocated(context, name)) for name in names}
    return {
        name: {"cpu_cores": each.cpus, "ram_mb": each.ram_mb, "disk_mb": each.disk_mb} for name, each in found.items()
    }


def tiers(context: Context) -> TierTable:
    known = context.engine.settings.launch.tiers
    return TierTable(
        default=known.default,
        tiers={
            name: TierFlags(preemptible=tier.preemptible, revocable=tier.revocable)
            for name, tier in known.by_name.items()
        },
    )


# --- hosts -------------------------------------------------------------------------------------------------------


def hosts(context: Context, names: Collection[str] = (), page: Page = Page(limit=10_000)) -> Hosts:  # noqa: B008
    """By name; `names` empty: all that were ever heard of. Raises Refusal for a page that nobody gets."""
    check_page(page)
    known = context.tables.hosts
    found = sorted(known) if not names else sorted({name for name in names if name in known})
    wanted = page.of(found)
    offered = _offered(context, frozenset(wanted))
    return Hosts(hosts=tuple(_host(context, name, offered.get(name)) for name in wanted), total=len(found))


def _host(context: Context, name: str, offered: Amount | None) -> Host:
    record = context.tables.hosts[name]
    return Host(
        host=name,
        agent_id=record.slave_id,
        mode=record.mode,
        attributes={each.name: tuple(sorted(each.values)) for each in record.attributes},
        offered=None if offered is None else _offer(offered),
    )


def _offer(amount: Amount) -> Offered:
    return Offered(cpus=amount.milli_cpus / MILLI, ram_mb=amount.ram_mb, disk_mb=amount.disk_mb, ports=amount.ports)


def _offered(context: Context, names: frozenset[str]) -> dict[str, Amount]:
    """What tasks that are not revocable could use, of all agents of a host."""
    found: dict[str, Amount] = {}
    for offer in context.engine.book:
        if offer.host in names:
            found[offer.host] = found.get(offer.host, NOTHING).plus(offer.there[0])
    return found


def maintenance(context: Context) -> dict[str, Any]:
    """As the original's `/maintenance`: hosts by mode, with the tasks of those that are being emptied."""
    by_mode: dict[MaintenanceMode, list[str]] = {}
    for name in sorted(context.tables.hosts):
        by_mode.setdefault(context.tables.hosts[name].mode, []).append(name)
    draining = by_mode.get(MaintenanceMode.DRAINING, [])
    return {
        MaintenanceMode.SCHEDULED.value: by_mode.get(MaintenanceMode.SCHEDULED, []),
        MaintenanceMode.DRAINING.value: {name: _task_ids_on(context, name) for name in draining},
        MaintenanceMode.DRAINED.value: by_mode.get(MaintenanceMode.DRAINED, []),
    }


def _task_ids_on(context: Context, host: str) -> list[str]:
    query = TaskQuery(slave_hosts=frozenset({host}), statuses=AGENT_ASSIGNED)
    return sorted(task.id for task in context.tables.tasks.select(query))


def offers(context: Context) -> list[Any]:
    """As the original's `/offers`: those at hand, as Mesos has them."""
    return [msgspec.to_builtins(each.offer) for each in context.engine.book]


# --- schedules and use -------------------------------------------------------------------------------------------


def cron(context: Context) -> dict[str, dict[str, str]]:
    """As the original's `/cron`."""
    found = {str(key): job.cron_schedule or "" for key, job in context.tables.cron_jobs.items()}
    return {"scheduled": dict(sorted(found.items()))}


class Metric(StrEnum):
    """What use is told of, each in some pools."""

    TOTAL = "total_consumed"
    DEDICATED = "dedicated_consumed"
    QUOTA = "quota_consumed"
    FREE_POOL = "free_pool_consumed"


_P = ConsumptionPool
_POOLS: dict[Metric, frozenset[ConsumptionPool]] = {
    Metric.TOTAL: frozenset(_P),
    Metric.DEDICATED: frozenset({_P.PROD_DEDICATED, _P.NON_PROD_DEDICATED}),
    Metric.QUOTA: frozenset({_P.PROD_SHARED}),
    Metric.FREE_POOL: frozenset({_P.NON_PROD_SHARED}),
}


def totals(context: Context) -> dict[str, Quantity]:
    """What active tasks hold of each metric."""
    total = _held(context, context.tables.tasks.jobs())
    return {metric.value: quantity(_of_metric(total, metric)) for metric in Metric}


def utilization(context: Context, metric: Metric, role: str | None = None) -> dict[str, Quantity]:
    """By role; of one role, by job."""
    table = context.tables.tasks
    if role is None:
        found = {name: _held(context, table.jobs(name)) for name in sorted(table.roles())}
    else:
        found = {str(key): _held(context, [key]) for key in sorted(table.jobs(role), key=str)}
    amounts = {name: _of_metric(pools, metric) for name, pools in found.items()}
    return {name: quantity(amount) for name, amount in amounts.items() if amount != NOTHING}


def _of_metric(pools: Mapping[ConsumptionPool, Amount], metric: Metric) -> Amount:
    total = NOTHING
    for pool in _POOLS[metric]:
        total = total.plus(pools.get(pool, NOTHING))
    return total


def _held(context: Context, jobs: Iterable[JobKey]) -> Mapping[ConsumptionPool, Amount]:
    """By active tasks alone, whatever their updates and schedules say."""
    table = context.tables.tasks
    configs = (task.assigned_task.task for key in jobs for task in table.active_of_job(key))
    return of_configs(configs, lambda config: is_production(config, context.rules))
