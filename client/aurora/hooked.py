"""Calls that change a cluster, with the hooks of the job's config and of the site around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from client.aurora.context import Context
from client.aurora.dispatch import site
from client.aurora.hooks import ApiMethod, hooked_job, with_hooks
from client.aurora.jobfile import JobOfFile, load_job
from client.job_keys import ClusterJobKey

T = TypeVar("T")


def call_hooked(
    key: ClusterJobKey, job: JobOfFile | None, method: ApiMethod, call: Callable[[], T], **given: object
) -> T:
    """What the call returns. Raises PreHooksStoppedCall, and what the call raises."""
    if job is None:
        return with_hooks(hooked_job(key, site=site().api), method, call, **given)
    hooked = hooked_job(key, job=job.job, data=job.data, user=job.user, hooks=job.hooks, site=site().api)
    return with_hooks(hooked, method, call, **given)


def optional_job(
    context: Context, key: ClusterJobKey, config: str | None, binds: Sequence[str], read_json: bool
) -> JobOfFile | None:
    """The job of --config, for its hooks. Raises ConfigError."""
    return load_job(context, key, config, binds, read_json) if config is not None else None
