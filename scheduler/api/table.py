"""THE table of the scheduler's URLs: what is routed, who may, what is understood, and what `openapi.json` says of it,
are all made from it.

Source: spec/scheduler.md §9.1, §5.8 (the calls that changes count as, for permissions).
"""

from __future__ import annotations

from typing import Any

from scheduler.api import cluster, events, jobs, old, ops, tasks, updates
from scheduler.api.problems import ErrorCode
from scheduler.api.routes import HTML, JSON, SSE, TEXT, Permit, Query, Route, Way, flag, number, of_admin, of_job, word
from scheduler.api.settings import Ending
from scheduler.core.model import JobConfiguration
from scheduler.core.states import ScheduleStatus
from scheduler.core.update_model import JobUpdateStatus
from scheduler.core.update_states import Wish
from scheduler.service import task_queries, waiting_queries, why
from scheduler.service.cluster_queries import Hosts, Quantity, RoleQuota, TierTable
from scheduler.service.job_queries import JobDetails, Jobs, Roles
from scheduler.service.jobs import InstancesAdded, InstancesRestarted, JobCreated, JobDiff, TasksKilled
from scheduler.service.pages import MOST
from scheduler.service.update_queries import UpdateDetails, UpdatePlanned, Updates
from scheduler.service.updates import UpdateMoved, UpdatePulsed, UpdateStarted

_C = ErrorCode
_JOB = "/api/v1/jobs/{role}/{env}/{name}"
_UPDATE = f"{_JOB}/updates/{{id}}"
_MISSING = (_C.NOT_FOUND,)
_ONE_JOB = (word("role", "Of this role."), word("environment", "Of this environment."), word("name", "Of this job."))
_PAGE = (number("limit", "How many.", 1, MOST), number("offset", "How many to skip."))
_HOSTS = number("hosts", "How many hosts to tell, the nearest ones first.", 0, MOST)


def _words(name: str, about: str, *words: str) -> Query:
    """With commas between."""
    return Query(name, about, {"type": "string", "example": ",".join(words)})


def _read(path: str, handler: Any, about: str, answer: Any = None, **more: Any) -> Route:
    return Route("GET", path, handler, about, answer, **more)


def _raw(path: str, handler: Any, about: str, media: str, **more: Any) -> Route:
    return Route("GET", path, handler, about, way=Way.RAW, media=media, **more)


def _ask(path: str, handler: Any, about: str, body: Any, answer: Any) -> Route:
    """A question that needs a body."""
    return Route("POST", path, handler, about, answer, body=body)


def _change(
    path: str,
    handler: Any,
    about: str,
    body: Any,
    answer: Any,
    permit: Permit,
    *refusals: ErrorCode,
    status: int = 200,
    **more: Any,
) -> Route:
    return Route(
        "POST", path, handler, about, answer, Way.CHANGE, body=body, permit=permit, status=status, keyed=True,
        refusals=(_C.JOB_UPDATING, *refusals), **more,
    )  # fmt: skip


def _wish(wish: Wish, about: str) -> Route:
    """`id` may be `active`."""
    return _change(
        f"{_UPDATE}/{wish}", updates.wish(wish), about, updates.UpdateWish, UpdateMoved, of_job(f"{wish}JobUpdate"),
        _C.NOT_FOUND,
    )  # fmt: skip


def _end(how: Ending, handler: Any, about: str) -> Route:
    return Route("POST", f"/{how}", handler, about, way=Way.RAW, media=TEXT, permit=of_admin(how))


ROUTES: tuple[Route, ...] = (
    # --- the cluster
    _read("/api/v1/cluster", cluster.cluster, "The cluster and its scheduler.", cluster.ClusterView),
    _read("/api/v1/roles", cluster.roles, "Roles, and how many jobs they have.", Roles),
    _read("/api/v1/quota/{role}", cluster.quota, "What a role may have, and what it has.", RoleQuota),
    _read("/api/v1/tiers", cluster.tiers, "Tiers.", TierTable),
    _read(
        "/api/v1/hosts", cluster.hosts, "Hosts, their attributes, and what is offered of them.", Hosts,
        query=(_words("names", "Only these, with commas between.", "host1", "host2"), *_PAGE),
    ),
    # --- jobs
    _read(
        "/api/v1/jobs", jobs.listing, "Jobs, by name.", Jobs,
        query=tuple(
            word(name, "Only these; a pattern with *, ? and [].") for name in ("role", "environment", "name")
        ) + _PAGE,
    ),
    _change(
        "/api/v1/jobs", jobs.create, "Create a job.", JobConfiguration, JobCreated, of_job("createJob"),
        _C.ALREADY_EXISTS, status=201,
    ),
    _read(_JOB, jobs.job, "A job: its configurations and how its tasks are.", JobDetails, refusals=_MISSING),
    _change(
        f"{_JOB}/instances", jobs.add, "Add instances with the configuration of an active one.", jobs.AddInstances,
        InstancesAdded, of_job("addInstances"), *_MISSING,
    ),
    _change(
        f"{_JOB}/kill", jobs.kill, "Kill instances; they are not replaced.", jobs.KillTasks, TasksKilled,
        of_job("killTasks"),
    ),
    _change(
        f"{_JOB}/restart", jobs.restart, "Kill instances and replace them.", jobs.RestartInstances, InstancesRestarted,
        of_job("restartShards"),
    ),
    _ask(f"{_JOB}/diff", jobs.diff, "What an update would change.", jobs.DiffQuestion, JobDiff),
    _read(
        f"{_JOB}/instances/{{id}}/why", tasks.why_of_instance, "Why the instance's active task waits.", why.WhyAnswer,
        query=(_HOSTS,), refusals=_MISSING,
    ),
    _ask(
        "/api/v1/config/populate", jobs.populate, "Is this a job, and what is it with all defaults?", JobConfiguration,
        jobs.Populated,
    ),
    # --- updates
    _change(
        f"{_JOB}/updates", updates.start, "Start an update of a job, or make the job.", updates.UpdateQuestion,
        UpdateStarted, of_job("startJobUpdate"), status=201, other_status=200, status_of=updates.status_of_start,
    ),
    _ask(
        f"{_JOB}/updates/plan", updates.plan, "What an update would do: its batches, and how many run meanwhile.",
        updates.UpdateQuestion, UpdatePlanned,
    ),
    _read(
        "/api/v1/updates", updates.listing, "Updates, the last changed first.", Updates,
        query=(
            *(word(name, "Only these; a pattern with *, ? and [].") for name in ("role", "environment", "name")),
            word("user", "Started by this user."),
            _words("statuses", "Statuses, with commas between.", *list(JobUpdateStatus)[:2]),
            flag("active", "Those that have not ended, or those that have."),
            *_PAGE,
        ),
    ),
    _read(_UPDATE, updates.details, "An update, and what it waits for; `active` is the one that the job is in.",
          UpdateDetails, refusals=_MISSING),
    _wish(Wish.PAUSE, "Pause an update."),
    _wish(Wish.RESUME, "Let a paused update go on."),
    _wish(Wish.ABORT, "End an update; the job stays as it is."),
    _wish(Wish.ROLLBACK, "Let an update go back to what was before."),
    _change(
        f"{_UPDATE}/pulse", updates.pulse, "Say that all is well, so that a coordinated update goes on.",
        updates.UpdateWish, UpdatePulsed, of_job("pulseJobUpdate"), _C.NOT_FOUND,
    ),
    # --- tasks
    _read(
        "/api/v1/tasks", tasks.tasks, "Tasks, by job, instance and age.", task_queries.Tasks,
        query=(
            *_ONE_JOB,
            _words("instances", "Numbers and ranges.", "0-2", "5"),
            _words("taskIds", "Ids, with commas between."),
            _words("statuses", "Statuses, with commas between.", ScheduleStatus.PENDING, ScheduleStatus.RUNNING),
            flag("active", "Those that have not ended, or those that have."),
            _words("hosts", "Names, with commas between.", "host1", "host2"),
            flag("configs", "false: without the data for the executor."),
            *_PAGE,
        ),
    ),
    _read("/api/v1/tasks/{taskId}", tasks.task, "A task.", task_queries.TaskDetails, refusals=_MISSING),
    _read(
        "/api/v1/tasks/{taskId}/why", tasks.why_of_task, "Why it waits.", why.WhyAnswer, query=(_HOSTS,),
        refusals=_MISSING,
    ),
    # --- what happens
    _raw(
        "/api/v1/events", events.events,
        "What becomes of tasks and updates, as server-sent events (`task`, `deleted`, `update`, `update-instance`, "
        "`reset`).", SSE, refusals=(_C.TRANSIENT,),
        query=(
            *_ONE_JOB,
            word("after", "Resume behind the event with this id."),
            Query("Last-Event-ID", "The same, as browsers say it.", {"type": "string"}, "header"),
        ),
    ),
    _read("/api/v1/openapi.json", ops.openapi, "This document."),
    # --- for operators, and as the original had them
    _raw("/health", ops.health, "OK, while the server answers.", TEXT, open=True),
    _raw("/leaderhealth", ops.leader_health, "OK, while this scheduler leads.", TEXT, open=True, failure=502),
    _raw("/metrics", ops.metrics, "For Prometheus.", TEXT),
    _raw("/vars", ops.vars_text, "What is counted, under the original's names.", TEXT),
    _raw(
        "/vars.json", ops.vars_json, "The same as JSON.", JSON,
        query=(word("pretty", "Whatever its value: with a line for each."),),
    ),
    _read("/services", ops.services, "What the scheduler consists of.", list[ops.PartState]),
    _read("/pendingtasks", old.pending_tasks, "Groups of tasks that wait.", list[waiting_queries.PendingGroup]),
    _read("/offers", old.offers, "Offers at hand, as Mesos has them.", list[Any]),
    _read("/tiers", cluster.tiers, "Tiers.", TierTable),
    _read(
        "/quotas", old.quotas, "Quota by role.", dict[str, dict[str, float]], query=(word("role", "Only this one."),)
    ),
    _read("/state", old.state, "Active instances, and where they are.", waiting_queries.ClusterState),
    _read("/cron", old.cron, "Schedules of cron jobs.", dict[str, dict[str, str]]),
    _read("/maintenance", old.maintenance, "Hosts in maintenance."),
    _read("/utilization", old.totals, "What tasks hold of each kind.", dict[str, Quantity]),
    _read(
        "/utilization/{metric}", old.utilization, "The same by role.", dict[str, Quantity], refusals=_MISSING
    ),
    _read(
        "/utilization/{metric}/{role}", old.utilization, "The same by job.", dict[str, Quantity], refusals=_MISSING
    ),
    _raw("/agents", old.agents, "Hosts; a page for browsers.", HTML),
    _raw("/slaves", old.agents, "The same.", HTML),
    _raw("/structdump/task/{taskId}", old.dump_task, "A task, raw; a page for browsers.", HTML, refusals=_MISSING),
    _raw(
        "/structdump/cron/{role}/{env}/{job}", old.dump_cron, "A cron job, raw; a page for browsers.", HTML,
        refusals=_MISSING,
    ),
    _end(Ending.POLITE, ops.quit_politely, "End the scheduler; tasks live on."),
    _end(Ending.AT_ONCE, ops.abort, "End it without waiting for anything; tasks live on."),
)  # fmt: skip
