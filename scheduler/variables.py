"""`/vars`: what the scheduler counts under the original's names, as far as there is such a thing here.

Source: spec/scheduler.md §9.4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from scheduler.api.requests import RequestCounts
from scheduler.core.update_model import JobUpdateAction, JobUpdateStatus
from scheduler.core.vetoes import VetoType
from scheduler.engine_stats import EngineStats
from scheduler.lifecycle import LifecycleState
from scheduler.loop import Loop
from scheduler.metrics import STATUSES
from thermos.clock import Now
from thermos.version import VERSION
from web.prometheus import resident_bytes

Value = int | float | str

_NANOS = 1_000_000_000

_VETOES = {
    VetoType.INSUFFICIENT_RESOURCES: "insufficient_resources",
    VetoType.CONSTRAINT_MISMATCH: "constraint_mismatch",
    VetoType.LIMIT_NOT_SATISFIED: "limit_not_satisfied",
    VetoType.MAINTENANCE: "maintenance",
    VetoType.DEDICATED_MISMATCH: "dedicated_constraint_mismatch",
}


def variables(loop: Loop, requests: RequestCounts, started_at: Now) -> dict[str, Value]:
    """All of them, by name."""
    return dict(_all(loop, requests, started_at))


def _all(loop: Loop, requests: RequestCounts, started_at: Now) -> Iterator[tuple[str, Value]]:
    yield "build_version", VERSION
    yield "uptime_secs", max(0, int(loop.now().mono - started_at.mono))
    yield "process_resident_memory_bytes", resident_bytes()
    for state in LifecycleState:
        yield f"scheduler_lifecycle_{state}", int(state is loop.lifecycle.state)
    yield from _tasks(loop)
    yield from _placing(loop, loop.engine.stats)
    yield from _updates(loop.engine.stats)
    yield from _mesos(loop, loop.engine.stats)
    yield from _store(loop)
    yield from _web(requests)


def _tasks(loop: Loop) -> Iterator[tuple[str, Value]]:
    tables, stats = loop.engine.tables, loop.engine.stats
    for status in STATUSES:
        yield f"task_store_{status}", tables.tasks.count(status)
    yield "tasks_pruned", stats.tasks_pruned
    yield "timed_out_tasks", stats.timed_out_tasks
    yield "task_kill_retries", stats.kill_retries
    yield "task_throttle_events", stats.tasks_throttled
    yield "task_throttle_ms_total", stats.throttled_ms
    yield "scheduler_illegal_task_state_transitions", stats.illegal_transitions
    yield "cron_jobs_loaded", len(tables.cron_jobs)


def _placing(loop: Loop, stats: EngineStats) -> Iterator[tuple[str, Value]]:
    engine = loop.engine
    yield "schedule_attempts_fired", stats.attempts_fired
    yield "schedule_attempts_failed", stats.attempts_failed
    yield "schedule_attempts_no_match", stats.attempts_no_match
    yield "schedule_queue_size", len(engine.groups)
    yield "assigner_launch_failures", stats.launch_failures
    yield "outstanding_offers", len(engine.book)
    yield "offers_rescinded", stats.offers_rescinded
    yield "offer_accept_races", stats.rescinded_before_offered
    yield "statically_banned_offers_size", engine.book.bans
    yield "scheduler_resource_offers", stats.offers_received
    yield "scheduler_inverse_offers", stats.inverse_offers
    yield "reservation_cache_size", len(engine.reservations)
    for kind, name in _VETOES.items():
        yield f"scheduling_veto_{name}", stats.vetoes[kind.name.lower()]
    for group in ("static", "dynamic", "mixed"):
        yield f"scheduling_veto_{group}", stats.veto_groups[group]


def _updates(stats: EngineStats) -> Iterator[tuple[str, Value]]:
    for status in JobUpdateStatus:
        yield f"update_transition_{status}", stats.update_transitions[status]
    for action in JobUpdateAction:
        yield f"update_instance_transition_{action}", stats.update_instance_transitions[action]
    yield "job_updates_pruned", stats.updates_pruned
    yield "job_update_state_change_errors", stats.update_errors


def _mesos(loop: Loop, stats: EngineStats) -> Iterator[tuple[str, Value]]:
    yield "framework_registered", int(loop.engine.is_registered)
    yield "scheduler_framework_reregisters", stats.reregistrations
    yield "scheduler_framework_disconnects", stats.disconnects
    yield "slaves_lost", stats.lost_agents
    yield "scheduler_status_update", sum(stats.status_updates.values())
    for (reason, result), count in stats.status_updates.items():
        yield f"status_update_{reason}_{result}", count
    yield "reconciliation_explicit_runs", stats.explicit_reconciliations
    yield "reconciliation_implicit_runs", stats.implicit_reconciliations


def _store(loop: Loop) -> Iterator[tuple[str, Value]]:
    stats = loop.stats
    yield "scheduler_log_native_append_events", stats.commits
    yield "scheduler_log_native_append_nanos_total", int(stats.commit_seconds * _NANOS)
    per_event = int(stats.commit_seconds * _NANOS / stats.commits) if stats.commits else 0
    yield "scheduler_log_native_append_nanos_per_event", per_event
    yield "scheduler_log_native_append_failures", stats.failed_commits
    yield "scheduler_log_snapshots", loop.store.snapshots
    yield "scheduler_backup_success", loop.backups.succeeded
    yield "scheduler_backup_failed", loop.backups.failed
    yield "uncaught_exceptions", stats.bugs


def _web(requests: RequestCounts) -> Iterator[tuple[str, Value]]:
    by_status = Counter({200: 0, 500: 0})
    for (_, _, status), count in requests.answers.items():
        by_status[status] += count
    for status, count in sorted(by_status.items()):
        yield f"http_{status}_responses_events", count
