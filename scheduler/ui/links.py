"""Where things are: every address that a page leads to is made here, with all names quoted."""

from __future__ import annotations

from urllib.parse import urlencode

from scheduler.core.model import InstanceKey, JobKey
from scheduler.core.update_model import JobUpdateKey
from web.format import segment

HOME, UPDATES, PENDING, CLUSTER, QUOTA = "/scheduler", "/updates", "/pending", "/cluster", "/quota"


def role(name: str, environment: str = "") -> str:
    return f"{HOME}/{segment(name)}" + (f"/{segment(environment)}" if environment else "")


def job(key: JobKey) -> str:
    return f"{HOME}/{segment(key.role)}/{segment(key.environment)}/{segment(key.name)}"


def config(key: JobKey) -> str:
    """Configurations of a job's instances, side by side."""
    return f"{job(key)}/config"


def instance(key: InstanceKey) -> str:
    return f"{job(key.job_key)}/{key.instance_id}"


def instance_of(key: JobKey, number: int) -> str:
    return f"{job(key)}/{number}"


def task(key: JobKey, task_id: str) -> str:
    return f"{job(key)}/task/{segment(task_id)}"


def raw_task(task_id: str) -> str:
    return f"/structdump/task/{segment(task_id)}"


def update(key: JobUpdateKey) -> str:
    return f"{job(key.job)}/update/{segment(key.id)}"


def host(name: str) -> str:
    """The cluster's page, with this host alone."""
    return f"{CLUSTER}?{urlencode({'q': name})}"


def quota(role: str) -> str:
    return f"{QUOTA}?{urlencode({'q': role})}"


def crumbs(cluster: str, key: JobKey, *more: tuple[str, str]) -> list[tuple[str, str]]:
    """The way to a job, and further."""
    return [
        (cluster, HOME),
        (key.role, role(key.role)),
        (key.environment, role(key.role, key.environment)),
        (key.name, job(key) if more else ""),
        *more,
    ]


def live(role: str = "", environment: str = "", name: str = "") -> str:
    """The stream that says when something happens to these; without any: to anything."""
    words = {key: value for key, value in (("role", role), ("environment", environment), ("name", name)) if value}
    return "/live" + (f"?{urlencode(words)}" if words else "")
