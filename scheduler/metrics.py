"""What the scheduler tells Prometheus. Nothing here looks at every task: what costs is the number of series.

Names of jobs, hosts and attributes are never labels: who makes them up would decide how many series there are.

Source: spec/scheduler.md §9.4, §13.2 (11).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from scheduler.api.requests import RequestCounts
from scheduler.auth import Authenticator
from scheduler.core.explain import NO_EXECUTOR, NO_OFFERS, RESERVED
from scheduler.core.resources import ResourceType
from scheduler.core.states import ScheduleStatus
from scheduler.core.update_model import UPDATE_ACTIVE, JobUpdateAction, JobUpdateStatus
from scheduler.engine_stats import EngineStats
from scheduler.event_log import EventLog
from scheduler.lifecycle import LifecycleState
from scheduler.loop import Loop
from scheduler.loop_stats import BOUNDS_S
from scheduler.store.tables import Tables
from thermos.clock import Now
from thermos.version import VERSION
from web.prometheus import Family, Histogram, process_families

Families = Iterable[Family | Histogram]

#: States that a stored task can have.
STATUSES = tuple(status for status in ScheduleStatus if status is not ScheduleStatus.DELETED)

#: Beginnings of reasons, so that names in them make no series of their own.
_KINDS = (
    *(f"Insufficient: {kind.label}" for kind in ResourceType),
    "Constraint not satisfied", "Limit not satisfied", "Host is dedicated", RESERVED, NO_EXECUTOR, NO_OFFERS,
)  # fmt: skip
_MAINTENANCE = " for maintenance"
NOT_COUNTED, OTHER = "Not counted yet", "Other"


def families(loop: Loop, door: Authenticator, requests: RequestCounts, started_at: Now) -> Families:
    """Everything of one scrape."""
    stats, told = loop.engine.stats, loop.state()
    yield from _self(loop)
    yield from _tasks(loop)
    yield from _placing(loop, stats)
    yield from _updates(loop, stats)
    yield from _mesos(loop, stats, told["mesos"])
    yield from _store(loop, told)
    yield from _web(loop.events, door, requests)
    yield from process_families("scheduler", started_at.wall)


def _one(name: str, kind: str, about: str, value: float) -> Family:
    return Family(f"aurora_{name}", kind, about, [({}, value)])


def _gauge(name: str, about: str, value: float) -> Family:
    return _one(name, "gauge", about, value)


def _count(name: str, about: str, value: float) -> Family:
    return _one(f"{name}_total", "counter", about, value)


def _by(label: str, name: str, kind: str, about: str, values: Mapping[str, float]) -> Family:
    suffix = "_total" if kind == "counter" else ""
    return Family(f"aurora_{name}{suffix}", kind, about, [({label: key}, value) for key, value in values.items()])


def _self(loop: Loop) -> Families:
    yield Family("aurora_build_info", "gauge", "1, with the version.", [({"version": VERSION}, 1)])
    states = {state.value: int(state is loop.lifecycle.state) for state in LifecycleState}
    yield _by("state", "lifecycle", "gauge", "1 for the state that the scheduler is in.", states)


# --- tasks -----------------------------------------------------------------------------------------------------------


def _tasks(loop: Loop) -> Families:
    tables, stats = loop.engine.tables, loop.engine.stats
    counts = {status.value: tables.tasks.count(status) for status in STATUSES}
    yield _by("status", "tasks", "gauge", "Tasks that are stored, by status.", counts)
    yield from _sizes(tables)
    yield _by("reason", "pending_tasks", "gauge", "Tasks that wait for a host, by what speaks most.", pending(loop))
    yield _count("tasks_inserted", "Tasks that came into being.", stats.tasks_inserted)
    yield _count("tasks_rescheduled", "Of these, replacements of tasks that had ended.", stats.tasks_rescheduled)
    yield _count("tasks_throttled", "Of these, tasks that have to wait because the one before flapped.",
                 stats.tasks_throttled)  # fmt: skip
    yield _count("throttled_seconds", "All these waits together.", stats.throttled_ms / 1000)
    yield _count("tasks_pruned", "Ended tasks that were forgotten.", stats.tasks_pruned)
    yield _count("tasks_timed_out", "Tasks given up because nothing was heard of them.", stats.timed_out_tasks)
    yield _count("tasks_partitioned", "Times that a task's agent went out of sight.", stats.tasks_partitioned)
    yield _count("partition_timeouts", "Tasks given up because that lasted too long.", stats.partition_timeouts)
    kills = {"first": stats.kills - stats.kill_retries - stats.zombie_kills, "retry": stats.kill_retries}
    yield _by("kind", "kills", "counter", "Kills told to the master.", {**kills, "zombie": stats.zombie_kills})
    yield _count("illegal_transitions", "Changes of state that could not be.", stats.illegal_transitions)


def _sizes(tables: Tables) -> Families:
    sizes = {
        "tasks": len(tables.tasks),
        "task_configs": len(tables.tasks.configs),
        "cron_jobs": len(tables.cron_jobs),
        "quotas": len(tables.quotas),
        "hosts": len(tables.hosts),
        "updates": len(tables.updates),
        "answers": len(tables.answers),
    }
    yield _by("table", "stored", "gauge", "Entries of the tables in memory.", sizes)


def pending(loop: Loop) -> dict[str, float]:
    """Kinds of reasons, so that there is a bounded number of them; several reasons count as the first."""
    found: Counter[str] = Counter()
    for reason, tasks in loop.engine.refusals.tasks_by_reason().items():
        found[kind_of(reason)] += tasks
    known = sum(found.values())
    found[NOT_COUNTED] += max(0, loop.engine.groups.tasks - known)
    return dict(found)


def kind_of(reason: str) -> str:
    if not reason:
        return NOT_COUNTED
    first = reason.split(",")[0]
    if first.endswith(_MAINTENANCE):
        return f"Host{_MAINTENANCE}"
    return next((kind for kind in _KINDS if reason.startswith(kind)), OTHER)


# --- placing ---------------------------------------------------------------------------------------------------------


def _placing(loop: Loop, stats: EngineStats) -> Families:
    engine = loop.engine
    yield _gauge("offers", "Offers at hand.", len(engine.book))
    yield _gauge("offer_bans", "Static refusals kept with offers.", engine.book.bans)
    yield _gauge("task_groups", "Groups of pending tasks.", len(engine.groups))
    offers = {
        "received": stats.offers_received,
        "declined": stats.offers_declined,
        "rescinded": stats.offers_rescinded,
        "rescinded_before_offered": stats.rescinded_before_offered,
        "inverse": stats.inverse_offers,
    }
    yield _by("event", "offer_events", "counter", "What became of offers.", offers)
    attempts = {
        "all": stats.attempts_fired,
        "placed_nothing": stats.attempts_failed,
        "left_some": stats.attempts_no_match,
    }
    yield _by("result", "placing_attempts", "counter", "Attempts to place a group of tasks.", attempts)
    yield _count("tasks_assigned", "Tasks that were given a host.", stats.tasks_assigned)
    yield _count("launch_failures", "Of these, tasks whose launch did not reach the master.", stats.launch_failures)
    latency = stats.latency_s
    yield Histogram(
        "aurora_scheduling_latency_seconds", "From PENDING to ASSIGNED.", latency.bounds, latency.counts, latency.total
    )
    yield _by("kind", "vetoes", "counter", "Refusals by hosts, when the reasons of waiting groups are counted.",
              stats.vetoes)  # fmt: skip
    yield _by("group", "veto_groups", "counter", "The same by whether they can change while the offer is there.",
              stats.veto_groups)  # fmt: skip


# --- updates ---------------------------------------------------------------------------------------------------------


def _updates(loop: Loop, stats: EngineStats) -> Families:
    table = loop.engine.tables.updates
    counts = {status.value: table.count(status) for status in sorted(UPDATE_ACTIVE)}
    yield _by("status", "active_updates", "gauge", "Updates that go on, by status.", counts)
    entered = {status.value: stats.update_transitions[status] for status in JobUpdateStatus}
    yield _by("status", "update_transitions", "counter", "Times that an update came to a status.", entered)
    actions = {action.value: stats.update_instance_transitions[action] for action in JobUpdateAction}
    yield _by("action", "update_instance_transitions", "counter", "What became of instances in updates.", actions)
    yield _count("update_errors", "Updates ended by internal errors.", stats.update_errors)
    yield _count("updates_pruned", "Ended updates that were forgotten.", stats.updates_pruned)
    asked, let = stats.sla_kill_attempts, stats.sla_kill_successes
    kills = {"allowed": let, "refused": asked - let}
    yield _by("answer", "update_sla_kills", "counter", "What SLA policies said to kills of updates.", kills)


# --- Mesos -----------------------------------------------------------------------------------------------------------


def _mesos(loop: Loop, stats: EngineStats, driver: Mapping[str, Mapping[str, int]]) -> Families:
    yield _gauge("mesos_subscribed", "1 while the master knows us.", int(loop.engine.is_registered))
    yield _by("type", "mesos_events", "counter", "Events of the master.", driver.get("events", {}))
    yield _by("type", "mesos_calls", "counter", "Calls to the master.", driver.get("calls", {}))
    yield _by("type", "mesos_failed_calls", "counter", "Of these, failed ones.", driver.get("failed_calls", {}))
    yield _count("mesos_reregistrations", "Subscriptions after the first one.", stats.reregistrations)
    yield _count("mesos_disconnects", "Subscriptions that ended.", stats.disconnects)
    yield _count("lost_agents", "Agents that the master gave up.", stats.lost_agents)
    statuses = Family("aurora_status_updates_total", "counter", "Statuses of tasks, and what they changed.")
    for (reason, result), count in stats.status_updates.items():
        statuses.add({"reason": reason, "result": result}, count)
    yield statuses
    asked = {"explicit": stats.explicit_reconciliations, "implicit": stats.implicit_reconciliations}
    yield _by("kind", "reconciliations", "counter", "Times that the master was asked how tasks are.", asked)


# --- the store and the loop ------------------------------------------------------------------------------------------


def _store(loop: Loop, told: Mapping[str, object]) -> Families:
    stats = loop.stats
    within = [*stats.within, stats.commits - sum(stats.within)]
    yield Histogram(
        "aurora_commit_seconds", "From a decision until it is durable.", BOUNDS_S, within, stats.commit_seconds
    )
    yield _count("failed_commits", "Decisions taken back because they could not be stored.", stats.failed_commits)
    yield _count("turns", "Turns of the loop.", stats.turns)
    yield _count("operations", "Operations that were stored.", stats.ops)
    yield _count("snapshots", "Snapshots of the tables that were stored.", loop.store.snapshots)
    yield _gauge("snapshot_failed", "1 if the last snapshot could not be stored.", int(bool(told["snapshot_error"])))
    yield _count("backups", "Backups that were made.", loop.backups.succeeded)
    yield _count("failed_backups", "Backups that could not be made.", loop.backups.failed)
    yield _gauge("last_backup_timestamp_seconds", "When this process made its last backup; 0: not yet.",
                 loop.backups.last_at)  # fmt: skip
    yield _gauge("turns_waiting", "Turns that are not durable yet.", int(str(told["turns_waiting"])))
    yield _gauge("effects_waiting", "Calls to the master that wait.", int(str(told["effects_waiting"])))
    yield _count("rebuilds", "Times that memory was made anew from the tables.", loop.engine.stats.rebuilds)
    yield _count("bugs", "Internal errors in turns.", stats.bugs)


# --- the web server --------------------------------------------------------------------------------------------------


def _web(events: EventLog, door: Authenticator, requests: RequestCounts) -> Families:
    yield _gauge("event_readers", "Event streams that are open.", events.readers)
    yield _count("events_published", "Events of tasks.", events.published)
    yield _count("event_resets", "Readers that were too slow and have to fetch anew.", events.resets)
    yield _count("authentication_failures", "Wrong users or passwords.", door.failures)
    answers = Family("aurora_http_requests_total", "counter", "Requests answered.")
    for (method, path, status), count in requests.answers.items():
        answers.add({"method": method, "route": path, "status": str(status)}, count)
    seconds = Family("aurora_http_request_seconds_total", "counter", "Time that these took; streams: while open.")
    for (method, path), value in requests.seconds.items():
        seconds.add({"method": method, "route": path}, value)
    yield answers
    yield seconds
