"""Choosing one job of a file by what the user said: a name, or any part of CLUSTER/ROLE/ENVIRONMENT/NAME."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from config.core.nearest import nearest
from config.dsl import CoercionError, Empty, Uninterpolatable
from thermos.errors import ConfigError


class Wanted(NamedTuple):
    """What is asked for; None means any."""

    name: str | None = None
    cluster: str | None = None
    role: str | None = None
    environment: str | None = None


def job_path(job: Any) -> str:
    """CLUSTER/ROLE/ENVIRONMENT/NAME of a job, `{MISSING}` for what it lacks."""
    return "/".join(_shown(job, field) for field in ("cluster", "role", "environment", "name"))


def name_of(obj: Any) -> str:
    """The name of a job or task as far as it can be filled; never fails."""
    return _shown(obj, "name")


def _shown(job: Any, field: str) -> str:
    try:
        value = getattr(job, field)()
    except (CoercionError, Uninterpolatable):  # `config.check` says what is wrong with it
        value = job.get().get(field, Empty)
    return "{MISSING}" if value is Empty else str(value)


def pick_job(jobs: Sequence[Any], wanted: Wanted) -> Any:
    """The one job that is meant. Raises ConfigError with the candidates."""
    if not jobs:
        raise ConfigError("No job defined in this config!")
    if wanted == Wanted():
        if len(jobs) > 1:
            raise ConfigError(f"Configuration has multiple jobs but no job name specified!{_candidates(jobs)}")
        return jobs[0]
    asked = {field: value for field, value in wanted._asdict().items() if value is not None}
    matches = [job for job in jobs if all(_shown(job, field) == value for field, value in asked.items())]
    if len(matches) > 1:
        raise ConfigError(f"Multiple jobs match, please disambiguate by specifying a job key.{_candidates(matches)}")
    if not matches:
        path = "/".join(getattr(wanted, field) or "*" for field in ("cluster", "role", "environment", "name"))
        raise ConfigError(f"Could not find job {path}{_meant(asked, jobs)}{_candidates(jobs)}")
    return matches[0]


def _meant(asked: Mapping[str, str], jobs: Sequence[Any]) -> str:
    """The job of which every part that was asked for is the right one, or nearly; most exact parts win."""
    near = [job for job in jobs if all(nearest(value, [_shown(job, field)]) for field, value in asked.items())]
    if not near:
        return ""
    best = max(near, key=lambda job: sum(_shown(job, field) == value for field, value in asked.items()))
    return f"; did you mean {job_path(best)}?"


def _candidates(jobs: Sequence[Any]) -> str:
    return "\nCandidates are:" + "".join(f"\n  {path}" for path in sorted(map(job_path, jobs)))


def pick_task(tasks: Sequence[Any], name: str | None) -> Any:
    """The one task that is meant. Raises ConfigError."""
    if not tasks:
        raise ConfigError("No tasks specified! Export one in the config: export(task)")
    names = [name_of(task) for task in tasks]
    if name is None:
        if len(tasks) > 1:
            raise ConfigError(
                f"Multiple tasks in config but no task name specified! Choose one with --task: {', '.join(names)}"
            )
        return tasks[0]
    matches = [task for task, known in zip(tasks, names, strict=True) if known == name]
    if len(matches) > 1:
        raise ConfigError(f"{len(matches)} tasks of the config are called {name}; rename all but one")
    if not matches:
        meant = nearest(name, names)
        hint = f"did you mean {meant}?" if meant else f"it has {', '.join(names)}"
        raise ConfigError(f"Could not find task {name}! {hint}")
    return matches[0]
