"""Creating jobs and seeing them come up: what `job create`, `job run` and `job add` have in common."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from client.api_client import ApiClient
from client.aurora.context import Context
from client.aurora.core.answers import Instances, Tiers, parse
from client.aurora.core.instances import Seen
from client.aurora.core.tier_choice import needs_tier, production_tier, with_tier
from client.aurora.core.waiting import Goal, until
from client.aurora.exits import CommandFailed
from client.aurora.hooked import call_hooked
from client.aurora.hooks import ApiMethod
from client.aurora.jobfile import JobOfFile, load_job
from client.aurora.progress import follow, progress_for
from client.aurora.watch import Watch
from client.job_keys import ClusterJobKey, instance_ranges
from thermos.errors import UserError


@dataclass(frozen=True)
class Outcome:
    """How a wait ended. `bad`: instance -> why."""

    over: bool = True
    bad: dict[int, str] = field(default_factory=dict)
    seen: dict[int, Seen] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.over and not self.bad

    def document(self) -> dict[str, Any]:
        """For -o json."""
        return {
            "ok": self.ok,
            "tasks": [
                {"instance": seen.instance, "taskId": seen.task_id, "status": seen.status, "host": seen.host}
                for seen in self.seen.values()
            ],
            "failed": {str(number): why for number, why in self.bad.items()},
        }


def job_to_create(
    context: Context, key: ClusterJobKey, config: str, binds: Sequence[str], read_json: bool
) -> JobOfFile:
    """The job of a config. Raises what `load_job` raises; CommandFailed for a cron job."""
    job = load_job(context, key, config, binds, read_json)
    if job.is_cron:
        raise CommandFailed(f'{key} is a cron job; those are made with "aurora cron schedule"')
    return job


def create(api: ApiClient, job: JobOfFile) -> dict[str, Any]:
    """The scheduler's answer. Raises ApiError."""
    body = configuration_for(api, job)
    return call_hooked(job.key, job, ApiMethod.CREATE_JOB, lambda: api.post("/jobs", body))


def configuration_for(api: ApiClient, job: JobOfFile) -> dict[str, Any]:
    """JobConfiguration, with the tier that `production = True` stands for. Raises UserError: there is none."""
    configuration = job.configuration
    if not needs_tier(configuration):
        return configuration
    return with_tier(configuration, production_tier(parse(api.get("/tiers"), Tiers).tiers))


def created(answer: Mapping[str, Any], default: Iterable[int] = ()) -> list[int]:
    """The instances that an answer names; the default where it does not say."""
    instances = parse(answer, Instances).instances
    return list(instances if instances is not None else default)


def check_goal(goal: Goal, key: ClusterJobKey, *, is_service: bool) -> None:
    """Raises UserError for what would never be reached."""
    if goal is Goal.FINISHED and is_service:
        raise UserError(f"{key} is a service, which never finishes; wait until it is RUNNING")


def wait_for(
    context: Context,
    api: ApiClient,
    key: ClusterJobKey,
    goal: Goal,
    instances: Collection[int],
    seconds: float | None = None,
) -> Outcome:
    """Follow instances until all have come so far, or never will. Ctrl-C ends the following: KeyboardInterrupt."""
    if goal is Goal.PENDING:
        return Outcome()
    watch, progress = Watch(api, key, instances), progress_for(context, key)
    deadline = time.monotonic() + seconds if seconds is not None else None
    try:
        verdict, over = follow(watch, progress, until(goal, instances), deadline=deadline)
        return Outcome(over, dict(verdict.bad), dict(watch.instances.known))
    except KeyboardInterrupt:
        progress.close()
        context.say(f"no longer following; the job goes on: aurora job status {key}")
        raise
    finally:
        progress.close()
        watch.close()


def failure_text(key: ClusterJobKey, outcome: Outcome) -> str:
    """What went wrong, shortly."""
    if not outcome.bad:
        return f"{key} is still under way"
    why = next(iter(outcome.bad.values()))
    return f"{key}: {_which(outcome.bad)} {why}" + (" (the first of them)" if len(outcome.bad) > 1 else "")


def _which(instances: Collection[int]) -> str:
    return f"instance{'s' if len(instances) > 1 else ''} {instance_ranges(instances)}"
