"""From CONFIG and the words beside it to the one task that is meant, and from there to a TaskSpec."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from config.check import raise_errors
from config.core.compile import compile_task, is_job, required_ports
from config.core.problem import is_error, render_problem
from config.core.rules import check_job, check_task
from config.loader import LoadedJobs, load_jobs, load_tasks
from config.selection import name_of
from thermos.errors import ConfigError, UserError
from thermos.model import TaskSpec

#: Parts of a job key, from the left.
_KEY = ("cluster", "role", "environment", "name")


@dataclass(frozen=True)
class Target:
    """A task or job of a config, bound to what the command line said, and the ports that it needs."""

    name: str
    config: Any
    ports: list[str]


def load_target(path: str, *, json: bool, binds: Sequence[str], task: str | None, job: str | None) -> Target:
    """The one task or job that is meant. Raises ConfigError, UserError."""
    if task is not None and job is not None:
        raise UserError("--task and --job can't be given together")
    if job is not None and path.endswith(".thermos"):
        raise UserError(
            f"{path}: --job is for files with jobs (.aurora); a .thermos file has tasks, choose with --task"
        )
    chosen = _pick(path, is_json(path, json), binds, task, job)
    try:
        return Target(name_of(chosen), chosen, required_ports(chosen))
    except ValueError as error:
        raise_errors((check_job if is_job(chosen) else check_task)(chosen).problems)
        raise ConfigError(f"{path}: {error}") from error


def is_json(path: str, said: bool) -> bool:
    """Does the file hold JSON: because it was said, or by its name?"""
    return said or path.endswith(".json")


def _pick(path: str, json: bool, binds: Sequence[str], task: str | None, job: str | None) -> Any:
    if job is not None or path.endswith(".aurora"):
        return load_jobs(path, binds=binds, json=json).pick(**parse_job_key(job or task))
    loaded = load_tasks(path, binds=binds, json=json)
    if loaded.tasks and all(map(is_job, loaded.tasks)):
        return LoadedJobs(loaded.source, loaded.tasks, refused=loaded.refused).pick(**parse_job_key(task))
    return loaded.pick(task)


def parse_job_key(key: str | None) -> dict[str, str]:
    """`CLUSTER/ROLE/ENVIRONMENT/NAME`, or as many of its last parts as are needed; `*` is anything."""
    if key is None:
        return {}
    parts = key.split("/")
    if len(parts) > len(_KEY) or not all(parts):
        raise UserError(f"bad job key {key!r}: write CLUSTER/ROLE/ENVIRONMENT/NAME, or the end of it")
    return {name: part for name, part in zip(_KEY[-len(parts) :], parts, strict=True) if part != "*"}


def compile_target(
    target: Target, *, ports: Mapping[str, int], task_id: str, user: str, instance: int | None, hostname: str
) -> TaskSpec:
    """The task, fully bound; warnings go to stderr. Raises ConfigError with every error."""
    number = instance if instance is not None or not is_job(target.config) else 0
    spec, problems = compile_task(
        target.config, ports=ports, task_id=task_id, user=user, instance=number, hostname=hostname
    )
    raise_errors(problems)
    for problem in problems:
        if not is_error(problem):
            sys.stderr.write(f"thermos: {render_problem(problem)}\n")
    if spec is None:
        raise ConfigError(f"task {target.name} can't be evaluated")
    return spec
