"""The cluster: its hosts, what waits in it, quota and tiers.

Of hosts only those of the page are looked into: what their tasks have, and what is offered of them.

Source: spec/scheduler.md §10, §13.5 (23), §13.6.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from scheduler.api.asked import Asked
from scheduler.core.cluster_model import HostAttributes
from scheduler.core.executors import LaunchSettings
from scheduler.core.filters import MaintenanceMode
from scheduler.core.host_offer import HostOffer
from scheduler.core.model import ScheduledTask, TaskConfig
from scheduler.core.resources import MILLI, NOTHING, Amount, amount_of
from scheduler.core.states import AGENT_ASSIGNED, ScheduleStatus
from scheduler.service import cluster_queries, waiting_queries
from scheduler.service.context import Context
from scheduler.store.task_query import TaskQuery
from scheduler.ui.core.listing import Order, arrange, cut
from scheduler.ui.core.views import ClusterView, HostRow, Measure, PendingRow, PendingView, QuotaView
from scheduler.ui.job_lists import task_counts
from scheduler.ui.rows import observer_url
from scheduler.ui.sampling import SAMPLES
from scheduler.ui.wanted import choice, here, wanted

_MIB = 1 << 20

_HOST_ORDERS: dict[str, Order[HostAttributes]] = {
    "host": Order(lambda host: host.host),
    "mode": Order(lambda host: (host.mode.value, host.host)),
}

#: Letters of an attribute that are looked through.
LONGEST = 1_000


def cluster(asked: Asked) -> ClusterView:
    context, want = asked.context, wanted(asked.request, _HOST_ORDERS)
    hosts = context.tables.hosts
    mode = choice(asked.request, "mode", [each.value for each in MaintenanceMode])
    found: Iterable[HostAttributes] = hosts.values()
    if mode:
        found = [host for host in found if host.mode.value == mode]
    if want.query:
        found = [host for host in found if _matches(host, want.query.lower())]
    page = cut(arrange(found, want, _HOST_ORDERS, "host"), want, here(asked.request, ("mode",)), len(hosts))
    modes = Counter(host.mode for host in hosts.values())
    return ClusterView(
        facts=_facts(asked),
        tasks=task_counts(context),
        modes=tuple((each.value, modes[each]) for each in MaintenanceMode if modes[each]),
        mode=mode,
        hosts=page.with_rows(_host_rows(asked, page.rows)),
        samples=asked.request.app[SAMPLES].kept(),
        at=asked.loop.now().wall,
    )


def _matches(host: HostAttributes, query: str) -> bool:
    """A part of its name, or `attribute:value`, or a part of a value."""
    if query in host.host.lower() or query in host.slave_id.lower():
        return True
    return any(query in f"{each.name}:{value}"[:LONGEST].lower() for each in host.attributes for value in each.values)


def _facts(asked: Asked) -> tuple[tuple[str, str], ...]:
    context = asked.context
    told = asked.loop.state()["mesos"]
    return (
        ("Scheduler", asked.settings.hostname),
        ("Mesos", str(told.get("master") or "not found") if context.engine.is_registered else "not connected"),
        ("Framework", context.tables.framework_id or "none yet"),
        ("Mesos role", asked.settings.role),
        ("Offers at hand", f"{len(context.engine.book):,}"),
        ("Hosts ever seen", f"{len(context.tables.hosts):,}"),
    )


def _host_rows(asked: Asked, hosts: Iterable[HostAttributes]) -> list[HostRow]:
    context, mono, port = asked.context, asked.loop.now().mono, asked.settings.observer_port
    wanted = {host.host: host for host in hosts}
    tasks: dict[str, list[ScheduledTask]] = {name: [] for name in wanted}
    if wanted:
        query = TaskQuery(slave_hosts=frozenset(wanted), statuses=AGENT_ASSIGNED)
        for task in context.tables.tasks.select(query):
            tasks[task.assigned_task.slave_host].append(task)
    launch, book = context.engine.settings.launch, context.engine.book
    return [
        _host_row(
            host,
            len(tasks[name]),
            _used(launch, (task.config for task in tasks[name])),
            book.of_agent(host.slave_id),
            port,
            mono,
        )
        for name, host in wanted.items()
    ]


def _host_row(
    host: HostAttributes, tasks: int, used: Amount, offer: HostOffer | None, port: int, mono: float
) -> HostRow:
    free = offer.there[0] if offer is not None else None
    return HostRow(
        host=host.host,
        agent=host.slave_id,
        mode=host.mode.value,
        attributes=tuple((each.name, ", ".join(sorted(each.values))) for each in host.attributes),
        cpus=Measure(used.milli_cpus / MILLI, free.milli_cpus / MILLI if free is not None else None),
        ram=Measure(used.ram_mb * _MIB, free.ram_mb * _MIB if free is not None else None),
        disk=Measure(used.disk_mb * _MIB, free.disk_mb * _MIB if free is not None else None),
        tasks=tasks,
        offer_age_s=max(0.0, mono - offer.arrived_at) if offer is not None else None,
        away=(offer.unavailable_from or 0.0) if offer is not None else 0.0,
        observer=observer_url(host.host, port),
    )


def _used(launch: LaunchSettings, configs: Iterable[TaskConfig]) -> Amount:
    """With what their executors take. Tasks of one configuration share the object."""
    counts: dict[int, list[TaskConfig]] = {}
    for config in configs:
        counts.setdefault(id(config), []).append(config)
    total = NOTHING
    for alike in counts.values():
        wanted = launch.wanted_of(alike[0])
        each = wanted.total if wanted is not None else amount_of(alike[0].resources)
        total = total.plus(each.times(len(alike)))
    return total


# --- what waits ------------------------------------------------------------------------------------------------------

_PENDING_ORDERS: dict[str, Order[waiting_queries.PendingGroup]] = {
    "job": Order(lambda group: group.name),
    "tasks": Order(lambda group: len(group.task_ids), descending=True),
    "reason": Order(lambda group: group.reason),
}


def pending(asked: Asked) -> PendingView:
    context, want = asked.context, wanted(asked.request, _PENDING_ORDERS)
    groups = waiting_queries.pending_tasks(context)
    word = want.query.lower()
    found = [group for group in groups if word in group.name.lower() or word in group.reason.lower()]
    page = cut(arrange(found, want, _PENDING_ORDERS, "tasks"), want, here(asked.request), len(groups))
    now = asked.loop.now()
    return PendingView(
        groups=page.with_rows(_pending_row(context, group, now.mono, now.wall) for group in page.rows),
        tasks=context.tables.tasks.count(ScheduleStatus.PENDING),
        throttled=context.tables.tasks.count(ScheduleStatus.THROTTLED),
        offers=len(context.engine.book),
        at=now.wall,
    )


def _pending_row(context: Context, group: waiting_queries.PendingGroup, mono: float, wall: float) -> PendingRow:
    task = context.tables.tasks.get(group.task_ids[0])
    assert task is not None, "it was there a moment ago, in the same turn"
    standing = context.engine.waiting(task.id)
    began = task.task_events[-1].timestamp / 1000 if task.task_events else wall
    return PendingRow(
        key=task.config.job,
        instance=task.assigned_task.instance_id,
        count=len(group.task_ids),
        reason=group.reason,
        attempts=standing.attempts if standing is not None else 0,
        since=began,
        next_s=max(0.0, standing.last + group.penalty_ms / 1000 - mono) if standing is not None else None,
        reasons=tuple((standing.hosts_by_reason or {}).items()) if standing is not None else (),
    )


# --- quota -----------------------------------------------------------------------------------------------------------


def quota(asked: Asked) -> QuotaView:
    context, want = asked.context, wanted(asked.request, ("role",))
    known = sorted({*context.tables.quotas, *context.tables.tasks.roles()}, reverse=want.reverse)
    found = [name for name in known if want.query.lower() in name.lower()]
    page = cut(found, want, here(asked.request), len(known))
    return QuotaView(
        roles=page.with_rows(cluster_queries.quota(context, name) for name in page.rows),
        tiers=cluster_queries.tiers(context),
        at=asked.loop.now().wall,
    )
