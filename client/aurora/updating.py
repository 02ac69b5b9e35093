"""What `update start` and `update plan` ask the scheduler: the job of a config as it shall be, and how to get there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from client.api_client import ApiClient
from client.aurora.context import Context
from client.aurora.creating import configuration_for
from client.aurora.exits import CommandFailed
from client.aurora.jobfile import JobOfFile, load_job
from client.job_keys import Chosen
from config.core.taskconfig import update_request


def job_to_update(context: Context, chosen: Chosen, config: str, binds: Sequence[str], read_json: bool) -> JobOfFile:
    """The job of a config. Raises what `load_job` raises; CommandFailed for a cron job."""
    job = load_job(context, chosen.job, config, binds, read_json)
    if job.is_cron:
        raise CommandFailed('Cron jobs may only be updated with "aurora cron schedule" command')
    return job


def request_for(
    api: ApiClient, job: JobOfFile, only: Sequence[int] | None, metadata: Iterable[tuple[str, str]] = ()
) -> dict[str, Any]:
    """JobUpdateRequest. `only`: some instances; None: all."""
    request = update_request(job.data, user=job.user, only_instances=only or (), metadata=metadata)
    return {**request, "taskConfig": configuration_for(api, job)["taskConfig"]}
