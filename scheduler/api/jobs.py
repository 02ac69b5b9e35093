"""`/jobs` and `/config`: what people want of jobs, and how these are."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from scheduler.api.asked import Asked
from scheduler.api.words import INT32, invalid, page_of
from scheduler.core.model import InstanceKey, JobConfiguration, TaskConfig, Wire
from scheduler.service import jobs, queries
from scheduler.service.context import Told
from scheduler.service.job_queries import JobDetails, Jobs
from scheduler.turn import Turn
from web.asking import text

Instance = Annotated[int, Meta(ge=0, le=INT32)]


class AddInstances(Wire, frozen=True):
    """`template`: an active instance whose configuration the new ones get."""

    template: Instance
    count: Annotated[int, Meta(ge=1, le=INT32)]


class KillTasks(Wire, frozen=True):
    """`instances` null: all of them."""

    instances: frozenset[Instance] | None = None
    message: str = ""


class RestartInstances(Wire, frozen=True):
    instances: frozenset[Instance]


class DiffQuestion(Wire, frozen=True):
    """What would an update to this change? `onlyInstances` null: of all instances."""

    task_config: TaskConfig
    instance_count: Annotated[int, Meta(ge=0, le=INT32)]
    only_instances: frozenset[Instance] | None = None


class Populated(Told, frozen=True):
    job: JobConfiguration


# --- changes ---------------------------------------------------------------------------------------------------------


def create(asked: Asked, turn: Turn, body: JobConfiguration) -> jobs.JobCreated:
    return jobs.create_job(asked.context, turn, body, asked.user)


def add(asked: Asked, turn: Turn, body: AddInstances) -> jobs.InstancesAdded:
    template = InstanceKey(job_key=asked.job, instance_id=body.template)
    return jobs.add_instances(asked.context, turn, template, body.count, asked.user)


def kill(asked: Asked, turn: Turn, body: KillTasks) -> jobs.TasksKilled:
    return jobs.kill_tasks(asked.context, turn, asked.job, body.instances, asked.user, body.message)


def restart(asked: Asked, turn: Turn, body: RestartInstances) -> jobs.InstancesRestarted:
    return jobs.restart(asked.context, turn, asked.job, body.instances, asked.user)


# --- questions -------------------------------------------------------------------------------------------------------


def populate(asked: Asked, body: JobConfiguration) -> Populated:
    return Populated(job=jobs.populate(asked.context, body))


def diff(asked: Asked, body: DiffQuestion) -> jobs.JobDiff:
    if body.task_config.job != asked.job:
        raise invalid(f"taskConfig.job: it is {body.task_config.job}, and the job is {asked.job}")
    return jobs.diff(asked.context, body.task_config, body.instance_count, body.only_instances)


def listing(asked: Asked) -> Jobs:
    request = asked.request
    return queries.jobs(
        asked.context, text(request, "role"), text(request, "environment"), text(request, "name"), page_of(request)
    )


def job(asked: Asked) -> JobDetails:
    return queries.job(asked.context, asked.job)
