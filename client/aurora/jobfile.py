"""A job out of a config file, for verbs that take KEY and FILE: picked, bound, checked, ready for the scheduler."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from client.aurora.context import Context
from client.aurora.docker_digests import bind_images
from client.job_keys import ClusterJobKey
from config.check import raise_errors
from config.core.problem import is_error, render_problem
from config.core.rules import check_job
from config.core.taskconfig import job_configuration
from config.dsl import CoercionError, Uninterpolatable
from config.dsl.objects import ShapeError
from config.loader import LoadedJobs, load_jobs


@dataclass(frozen=True)
class JobOfFile:
    """One job of a config. `job` is the object with its bindings, `data` the resolved job as plain data."""

    key: ClusterJobKey
    job: Any
    data: Mapping[str, Any]
    hooks: tuple[Any, ...]
    source: str
    user: str

    @property
    def configuration(self) -> dict[str, Any]:
        """JobConfiguration, the API's body."""
        return job_configuration(self.data, user=self.user)

    @property
    def is_cron(self) -> bool:
        return self.data.get("cron_schedule") is not None


def load_job(context: Context, key: ClusterJobKey, config: str, binds: Sequence[str], read_json: bool) -> JobOfFile:
    """The job that KEY means, with its Docker images bound. Raises ConfigError with all that is wrong with it, and what
    `bind_images` raises; warnings are said."""
    registry = context.cluster(key.cluster).docker_registry
    loaded = load_jobs(config, binds=binds, json=read_json or config.endswith(".json"))
    return choose_job(context, key, loaded, bind=lambda job: bind_images(job, registry))


def choose_job(
    context: Context, key: ClusterJobKey, loaded: LoadedJobs, bind: Callable[[Any], Any] = lambda job: job
) -> JobOfFile:
    """The job of a loaded config, after `bind`. Raises ConfigError."""
    job = loaded.pick(key.name, cluster=key.cluster, role=key.role, environment=key.environment)
    try:
        job = bind(job)
    except (CoercionError, ShapeError, Uninterpolatable):
        pass  # a value in it is wrong; the check says so, with its place, and all else
    checked = check_job(job)
    raise_errors(checked.problems)
    for problem in checked.problems:
        if not is_error(problem):
            context.say(render_problem(problem))
    return JobOfFile(key, job, checked.data, loaded.hooks, loaded.source, context.user)
