"""Roles, and the jobs of one: pages of lists that can be searched and sorted.

Jobs are walked, never their tasks: what a job counts of them is kept by the tables.

Source: spec/scheduler.md §10.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from scheduler.api.asked import Asked
from scheduler.core.model import JobKey
from scheduler.core.states import ScheduleStatus
from scheduler.core.update_model import UPDATE_ACTIVE, JobUpdateQuery
from scheduler.service import job_queries
from scheduler.service.context import Context
from scheduler.service.job_queries import FAILED, FINISHED, PENDING, WORKING, JobStats, JobSummary, RoleSummary
from scheduler.store.update_table import UpdateEntry
from scheduler.ui.core.listing import Order, arrange, cut
from scheduler.ui.core.views import HomeView, RoleRow, RoleView
from scheduler.ui.wanted import here, wanted
from web.asking import Problem, shorten

#: What is sorted before tasks are counted, of the roles of the page alone.
_SUMMARY_ORDERS: dict[str, Order[RoleSummary]] = {
    "role": Order(lambda known: known.role),
    "jobs": Order(lambda known: known.job_count, descending=True),
    "crons": Order(lambda known: known.cron_job_count, descending=True),
}

#: What needs all counts.
_ROLE_ORDERS: dict[str, Order[RoleRow]] = {
    "pending": Order(lambda row: row.stats.pending_task_count, descending=True),
    "active": Order(lambda row: row.stats.active_task_count, descending=True),
    "finished": Order(lambda row: row.stats.finished_task_count, descending=True),
    "failed": Order(lambda row: row.stats.failed_task_count, descending=True),
}

_JOB_ORDERS: dict[str, Order[JobSummary]] = {
    "job": Order(lambda job: (job.key.environment, job.key.name)),
    "name": Order(lambda job: (job.key.name, job.key.environment)),
    "kind": Order(lambda job: job.kind.value),
    "pending": Order(lambda job: job.stats.pending_task_count, descending=True),
    "active": Order(lambda job: job.stats.active_task_count, descending=True),
    "finished": Order(lambda job: job.stats.finished_task_count, descending=True),
    "failed": Order(lambda job: job.stats.failed_task_count, descending=True),
}


#: Jobs that a search over all roles shows.
MOST_FOUND = 50


def home(asked: Asked) -> HomeView:
    context, want = asked.context, wanted(asked.request, (*_SUMMARY_ORDERS, *_ROLE_ORDERS))
    tables, address = context.tables, here(asked.request)
    known = job_queries.roles(context).roles
    found = [each for each in known if want.query.lower() in each.role.lower()]
    if want.sort in _ROLE_ORDERS:
        rows = arrange((_role(context, each) for each in found), want, _ROLE_ORDERS, want.sort)
        page = cut(rows, want, address, len(known))
    else:
        names = cut(arrange(found, want, _SUMMARY_ORDERS, "role"), want, address, len(known))
        page = names.with_rows(_role(context, each) for each in names.rows)
    jobs = _found(context, want.query.lower(), asked.settings.service.cluster) if want.query else []
    return HomeView(
        roles=page,
        jobs=tuple(job_queries.job_summary(context, key) for key in jobs[:MOST_FOUND]),
        jobs_total=len(jobs),
        tasks=task_counts(context),
        updating=len(tables.updates.page(JobUpdateQuery(update_statuses=UPDATE_ACTIVE))),
        connected=context.engine.is_registered,
        at=asked.loop.now().wall,
    )


def _found(context: Context, query: str, cluster: str) -> list[JobKey]:
    """Jobs of all roles with this in their key, as `aurora` writes it too; those first whose name begins with it."""
    query = query.removeprefix(f"{cluster.lower()}/")
    keys = {*context.tables.tasks.jobs(None), *context.tables.cron_jobs}
    found = [key for key in keys if query in str(key).lower()]
    return sorted(found, key=lambda key: (not key.name.lower().startswith(query), str(key)))


def task_counts(context: Context) -> tuple[tuple[ScheduleStatus, int], ...]:
    """How many tasks are in which state; those without any are left out."""
    counts = ((status, context.tables.tasks.count(status)) for status in ScheduleStatus)
    return tuple((status, count) for status, count in counts if count)


def _role(context: Context, known: RoleSummary) -> RoleRow:
    stats = _stats(context, context.tables.tasks.jobs(known.role))
    return RoleRow(known.role, known.job_count, known.cron_job_count, stats)


def _stats(context: Context, keys: Iterable[JobKey]) -> JobStats:
    counts: Counter[ScheduleStatus] = Counter()
    for key in keys:
        counts.update(context.tables.tasks.statuses_of(key))
    return JobStats(
        active_task_count=sum(counts[status] for status in WORKING),
        finished_task_count=sum(counts[status] for status in FINISHED),
        failed_task_count=sum(counts[status] for status in FAILED),
        pending_task_count=sum(counts[status] for status in PENDING),
    )


def role(asked: Asked) -> RoleView:
    """Raises Problem when nothing is known of it."""
    context, want = asked.context, wanted(asked.request, _JOB_ORDERS)
    name = asked.part("role")
    environment = asked.part("env") if "env" in asked.request.match_info else ""
    updates = context.tables.updates.page(JobUpdateQuery(role=name))
    keys = _keys(context, name, updates)
    environments = Counter(key.environment for key in keys)
    remembered = {*environments, *(entry.update.summary.key.job.environment for entry in updates)}
    if not remembered or (environment and environment not in remembered):
        raise Problem(404, f"there is no job of {shorten(f'{name}/{environment}' if environment else name)}")
    summaries = [
        job_queries.job_summary(context, key) for key in keys if not environment or key.environment == environment
    ]
    found = [each for each in summaries if _matches(each, want.query.lower())]
    return RoleView(
        role=name,
        environment=environment,
        environments=tuple(sorted(environments.items())),
        jobs=cut(arrange(found, want, _JOB_ORDERS, "job"), want, here(asked.request), len(summaries)),
        at=asked.loop.now().wall,
    )


def _keys(context: Context, role: str, updates: Iterable[UpdateEntry]) -> list[JobKey]:
    """In a fixed order, so that equal ones do not change places. A job that is in an update may have no task yet."""
    tables = context.tables
    updating = (entry.update.summary.key.job for entry in updates if entry.state.status in UPDATE_ACTIVE)
    keys = {*tables.tasks.jobs(role), *(key for key in tables.cron_jobs if key.role == role), *updating}
    return sorted(keys, key=lambda key: (key.environment, key.name))


def _matches(job: JobSummary, query: str) -> bool:
    """A part of the name, or the beginning of its tier, environment or kind."""
    if not query or query in job.key.name.lower():
        return True
    return any(word.lower().startswith(query) for word in (job.tier, job.key.environment, job.kind.value))
