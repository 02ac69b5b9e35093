"""What makes a job acceptable to a scheduler, told before it is sent.

Rules take the job as plain resolved data and see what types and ranges cannot: fields that contradict each other,
texts with a grammar of their own (identifiers, constraints, cron schedules), numbers that depend on `instances`.
What only a scheduler's own flags decide is a warning here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from config.core.constraints import dedicated_refusal, parse_constraint
from config.core.cron import schedule_refusal
from config.core.finding import Finding, Plain, below, mapping_at, number_at, objects_at, text_at
from config.core.health_rules import health_findings, lifecycle_findings
from config.core.port_rules import announce_findings
from config.core.task_rules import resource_findings, task_findings
from config.core.updates import update_findings

IDENTIFIER = re.compile(r"[A-Za-z0-9_\-.]+")
ENVIRONMENT = re.compile(r"prod|devel|test|staging[0-9]*")
CRON_POLICIES = ("KILL_EXISTING", "CANCEL_NEW", "RUN_OVERLAP")
DEFAULT_EXECUTOR = "AuroraExecutor"

#: As long as schedulers are not told otherwise.
MAX_SLA_SECS = 2 * 60 * 60
MIN_SLA_INSTANCES = 20


def job_findings(job: Plain) -> Iterator[Finding]:
    """All that is wrong with a resolved job."""
    for rule in _RULES:
        yield from rule(job)


def is_dedicated(job: Plain) -> bool:
    """Whether the job runs on hosts of its own."""
    return "dedicated" in mapping_at(job, "constraints")


def _identifiers(job: Plain) -> Iterator[Finding]:
    for field in ("role", "environment", "name", "cluster", "tier"):
        value = text_at(job, field)
        if value is not None and not IDENTIFIER.fullmatch(value):
            yield Finding(f"Invalid {field} '{value}'; use letters, digits, `_`, `-` and `.`", (field,))
    environment = text_at(job, "environment")
    if environment is not None and IDENTIFIER.fullmatch(environment) and not ENVIRONMENT.fullmatch(environment):
        text = f"environment '{environment}': schedulers accept prod, devel, test and staging<N> if not told otherwise"
        yield Finding(text, ("environment",), warning=True)


def _task(job: Plain) -> Iterator[Finding]:
    task = job.get("task")
    if not isinstance(task, dict):
        return
    yield from below(("task",), task_findings(task))
    yield from below(("task",), resource_findings(task))
    if not task.get("processes") and _uses_default_executor(job):
        yield Finding(f'Processes required for task on job "{job.get("name")}"', ("task", "processes"))


def _uses_default_executor(job: Plain) -> bool:
    return bool(mapping_at(job, "executor_config").get("name", DEFAULT_EXECUTOR) == DEFAULT_EXECUTOR)


def _cron(job: Plain) -> Iterator[Finding]:
    schedule = text_at(job, "cron_schedule")
    if schedule is not None:
        refusal = schedule_refusal(schedule)
        if refusal is not None:
            yield Finding(refusal, ("cron_schedule",))
        if job.get("service") is True:
            text = "a service can't have a cron_schedule: it never ends; use Job(…) instead of Service(…)"
            yield Finding(text, ("cron_schedule",))
    policy = text_at(job, "cron_collision_policy")
    if policy is None:
        return
    if policy.upper() not in CRON_POLICIES:
        text = f"Invalid CronCollisionPolicy type: {policy}; use KILL_EXISTING or CANCEL_NEW"
        yield Finding(text, ("cron_collision_policy",))
    elif policy.upper() == "RUN_OVERLAP":
        text = "RUN_OVERLAP is no longer supported; use KILL_EXISTING or CANCEL_NEW"
        yield Finding(text, ("cron_collision_policy",))


def _constraints(job: Plain) -> Iterator[Finding]:
    for name, value in mapping_at(job, "constraints").items():
        if not isinstance(value, str) or "{{" in value:
            continue
        path = ("constraints", f"[{name}]")
        try:
            parse_constraint(value)
            refusal = dedicated_refusal(value, text_at(job, "role")) if name == "dedicated" else None
        except ValueError as error:
            refusal = str(error)
        if refusal is not None:
            yield Finding(refusal, path)


def _updates(job: Plain) -> Iterator[Finding]:
    findings = update_findings(
        mapping_at(job, "update_config"),
        instances=number_at(job, "instances"),
        dedicated=is_dedicated(job),
        sla_policy=bool(job.get("sla_policy")),
    )
    yield from below(("update_config",), findings)


def _health(job: Plain) -> Iterator[Finding]:
    yield from below(("health_check_config",), health_findings(mapping_at(job, "health_check_config")))
    yield from below(("lifecycle",), lifecycle_findings(mapping_at(job, "lifecycle")))


def _ports(job: Plain) -> Iterator[Finding]:
    yield from announce_findings(job, dedicated=is_dedicated(job))


def _production(job: Plain) -> Iterator[Finding]:
    if job.get("production") is True and job.get("tier") is None:
        text = "production is deprecated; use tier='preferred' instead"
        yield Finding(text, ("production",), warning=True)


def _container(job: Plain) -> Iterator[Finding]:
    container = job.get("container")
    if not isinstance(container, dict):
        return
    if not container:
        yield Finding("If a container is specified it must set one type.", ("container",))
    elif "docker" in container:
        yield Finding("Container(docker=…) is deprecated; give Docker(…) itself", ("container",), warning=True)
    for index, volume in objects_at(container, "volumes"):
        path = text_at(volume, "container_path")
        if path is not None and not path.startswith("/"):
            text = f"container_path `{path}` must be absolute"
            yield Finding(text, ("container", "volumes", index, "container_path"))


def _sla(job: Plain) -> Iterator[Finding]:
    policy = job.get("sla_policy")
    if not isinstance(policy, dict):
        return
    instances = number_at(job, "instances")
    count, percentage = number_at(policy, "count"), number_at(policy, "percentage")
    if percentage is not None and not 0 <= percentage <= 100:
        yield Finding(f"percentage must be from 0 to 100, got {percentage:g}", ("sla_policy", "percentage"))
    elif percentage is not None and instances is not None and instances - instances * percentage / 100 < 1:
        text = f"no instance could ever be taken down: {percentage:g} % of {instances} leaves none to spare"
        yield Finding(text, ("sla_policy", "percentage"))
    if count is not None and instances is not None and count >= instances:
        text = f"no instance could ever be taken down: {count} of {instances} instances must stay up"
        yield Finding(text, ("sla_policy", "count"))
    if (count is not None or percentage is not None) and instances is not None and instances < MIN_SLA_INSTANCES:
        text = f"schedulers accept it for jobs of at least {MIN_SLA_INSTANCES} instances if not told otherwise"
        yield Finding(text, ("sla_policy",), warning=True)
    duration = number_at(policy, "duration_secs")
    if duration is not None and duration > MAX_SLA_SECS:
        text = f"schedulers accept at most {MAX_SLA_SECS} (2 hours) if not told otherwise, got {duration}"
        yield Finding(text, ("sla_policy", "duration_secs"), warning=True)


def _metadata(job: Plain) -> Iterator[Finding]:
    seen: dict[object, object] = {}
    for index, entry in objects_at(job, "metadata"):
        key, value = entry.get("key"), entry.get("value")
        if seen.setdefault(key, value) != value:
            text = f"metadata key `{key}` has several values; all of them are kept"
            yield Finding(text, ("metadata", index, "key"), warning=True)


_RULES: tuple[Callable[[Plain], Iterator[Finding]], ...] = (
    _identifiers,
    _task,
    _cron,
    _constraints,
    _updates,
    _health,
    _ports,
    _production,
    _container,
    _sla,
    _metadata,
)
