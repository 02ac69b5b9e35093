"""A task or job with a host's values becomes a `thermos.model.TaskSpec`: fully bound plain data that can be run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, NamedTuple

from config.core.binding import host_context
from config.core.evaluate import Evaluation, evaluate
from config.core.finding import Finding, Plain, below, mapping_at
from config.core.ports import bad_port_text, host_ports, is_bad_port, port_name, port_name_refusal, requested_ports
from config.core.problem import Problem
from config.core.rules import bind_job, checked
from config.core.task_rules import idle_findings, task_findings
from thermos.model import LogDestination, LoggerSpec, LogMode, ProcessSpec, ResourcesSpec, TaskSpec


def compile_task(
    task: Any,
    *,
    ports: Mapping[str, int],
    task_id: str | None = None,
    user: str | None = None,
    instance: int | None = None,
    hostname: str | None = None,
) -> tuple[TaskSpec | None, list[Problem]]:
    """Bind what a host knows to a Task or Job and turn it into a TaskSpec, or None if a problem is an error.

    Aliases of a job's announcer name the assigned `ports` too.
    """
    bound = bind_host(task, ports=ports, task_id=task_id, user=user, instance=instance, hostname=hostname)
    return bound.spec, bound.problems


class BoundTask(NamedTuple):
    """A Task or Job on a host: what runs, everything else of it as plain data, all names of its ports."""

    spec: TaskSpec | None
    data: Plain
    ports: dict[str, int]
    problems: list[Problem]


def bind_host(
    task: Any,
    *,
    ports: Mapping[str, int],
    task_id: str | None = None,
    user: str | None = None,
    instance: int | None = None,
    hostname: str | None = None,
) -> BoundTask:
    """As `compile_task`, with what an executor wants to know besides; `spec` is None if a problem is an error."""
    job = is_job(task)
    task = bind_job(task) if job else task
    named = host_ports(ports, _portmap(evaluate(task))) if job else dict(ports)
    context = host_context(ports=named, task_id=task_id, user=user, instance=instance, hostname=hostname)
    evaluation = evaluate(task.bind(context))
    part = evaluation.data.get("task") if job else evaluation.data
    findings: Iterable[Finding] = ()
    if isinstance(part, dict):
        findings = below(("task",) if job else (), chain(task_findings(part), idle_findings(part)))
    done = checked(evaluation, findings, _nothing, _missing)
    spec = task_spec(part) if done.ok and part is not None else None
    return BoundTask(spec, evaluation.data, named, done.problems)


def required_ports(task: Any) -> list[str]:
    """Sorted names of the ports that a Task or Job needs on its host.

    Raises ValueError for a reference like `thermos.ports.http` or a portmap that can't be used.
    """
    job = is_job(task)
    evaluation = evaluate(bind_job(task) if job else task)
    holder = "task.processes" if job else "processes"
    referenced = []
    for address, fields in evaluation.refs.items():
        if not any(field.startswith(holder) for field in fields):
            continue
        if is_bad_port(address):
            raise ValueError(bad_port_text(address))
        name = port_name(address)
        if name is not None:
            referenced.append(name)
    wanted = requested_ports(referenced, _portmap(evaluation) if job else None)
    refusals = [refusal for refusal in map(port_name_refusal, wanted) if refusal is not None]
    if refusals:
        raise ValueError(refusals[0])
    return wanted


def is_job(obj: Any) -> bool:
    """Whether the object holds a task, rather than being one."""
    return "task" in type(obj).TYPEMAP


def _portmap(evaluation: Evaluation) -> Plain:
    return mapping_at(mapping_at(evaluation.data, "announce"), "portmap")


def _nothing(address: str) -> bool:
    """On a host every reference has to be bound."""
    return False


def _missing(address: str) -> str:
    port = port_name(address)
    if port is not None:
        return f"Task requires unbound port {port}!"
    return f"Unexpected unbound refs: {{{{{address}}}}}. Make sure you are not nesting template variables."


def task_spec(task: Plain) -> TaskSpec:
    """The TaskSpec of checked, fully bound plain data."""
    resources = task.get("resources")
    return TaskSpec(
        name=task["name"],
        processes=tuple(map(process_spec, task.get("processes", ()))),
        order=tuple(tuple(constraint["order"]) for constraint in task["constraints"] if constraint.get("order")),
        resources=None if resources is None else ResourcesSpec(**resources),
        max_failures=task["max_failures"],
        max_concurrency=task["max_concurrency"],
        finalization_wait=task["finalization_wait"],
        user=task.get("user"),
    )


def process_spec(process: Plain) -> ProcessSpec:
    """One process of a TaskSpec."""
    return ProcessSpec(
        name=process["name"],
        cmdline=process["cmdline"],
        max_failures=process["max_failures"],
        daemon=process["daemon"],
        ephemeral=process["ephemeral"],
        min_duration=process["min_duration"],
        final=process["final"],
        logger=_logger_spec(process.get("logger")),
    )


def _logger_spec(logger: Plain | None) -> LoggerSpec | None:
    if logger is None:
        return None
    destination, mode = LogDestination(logger["destination"]), LogMode(logger["mode"])
    rotate = logger.get("rotate")
    if rotate is None:
        return LoggerSpec(destination=destination, mode=mode)
    return LoggerSpec(destination=destination, mode=mode, log_size=rotate["log_size"], backups=rotate["backups"])
