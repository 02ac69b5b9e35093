"""`/updates`: what people want of updates of their jobs, and how these are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from scheduler.api.asked import Asked, Lengthy
from scheduler.api.words import INT32, invalid, listed, page_of, truth
from scheduler.core.model import Metadata, TaskConfig, Wire
from scheduler.core.update_model import JobUpdateRequest, JobUpdateSettings, JobUpdateStatus
from scheduler.core.update_states import Wish
from scheduler.service import refusals, update_queries, updates
from scheduler.service.update_queries import UpdateDetails, Updates
from scheduler.service.updates import UpdateMoved, UpdatePulsed, UpdateStarted
from scheduler.turn import Turn
from web.asking import shorten, text


class UpdateQuestion(Wire, frozen=True):
    """What the job should be, and how it shall get there."""

    task_config: TaskConfig
    instance_count: Annotated[int, Meta(ge=0, le=INT32)]
    settings: JobUpdateSettings = JobUpdateSettings()
    metadata: tuple[Metadata, ...] = ()
    message: str = ""


class UpdateWish(Wire, frozen=True):
    message: str = ""


def start(asked: Asked, turn: Turn, body: UpdateQuestion) -> UpdateStarted:
    return updates.start_update(asked.context, turn, _request(asked, body), asked.user, body.message)


def status_of_start(answer: bytes) -> int:
    """Something was made, or there was nothing to do."""
    return 201 if msgspec.json.decode(answer, type=UpdateStarted).started else 200


def wish(kind: Wish) -> Callable[[Asked, Turn, UpdateWish], UpdateMoved]:
    def decide(asked: Asked, turn: Turn, body: UpdateWish) -> UpdateMoved:
        return updates.wish(asked.context, turn, asked.job, asked.part("id"), kind, asked.user, body.message)

    return decide


def pulse(asked: Asked, turn: Turn, body: UpdateWish) -> UpdatePulsed:
    return updates.pulse(asked.context, turn, asked.job, asked.part("id"))


# --- questions -------------------------------------------------------------------------------------------------------


def plan(asked: Asked, body: UpdateQuestion) -> Lengthy:
    """Of UpdatePlanned."""
    context = asked.context
    job = updates.job_now(context, asked.job)
    return Lengthy(update_queries.plan(context, updates.accepted(context, _request(asked, body), job), job))


def listing(asked: Asked) -> Updates:
    request = asked.request
    return update_queries.updates(
        asked.context,
        role=text(request, "role"),
        environment=text(request, "environment"),
        name=text(request, "name"),
        user=text(request, "user"),
        statuses=_statuses(asked),
        active=truth(request, "active", None),
        page=page_of(request),
    )


def details(asked: Asked) -> UpdateDetails:
    entry = updates.find_update(asked.context, asked.job, asked.part("id"))
    return update_queries.details_of(asked.context, entry, asked.loop.now())


def _statuses(asked: Asked) -> list[JobUpdateStatus]:
    words = listed(asked.request, "statuses")
    unknown = sorted(words - set(JobUpdateStatus))
    if unknown:
        raise invalid(f"statuses: there is no {shorten(unknown[0], 40)!r}; there are {', '.join(JobUpdateStatus)}")
    return [JobUpdateStatus(word) for word in words]


def _request(asked: Asked, body: UpdateQuestion) -> JobUpdateRequest:
    if body.task_config.job != asked.job:
        raise refusals.invalid(f"taskConfig.job: it is {body.task_config.job}, and the job is {asked.job}")
    return JobUpdateRequest(
        task_config=body.task_config,
        instance_count=body.instance_count,
        settings=body.settings,
        metadata=body.metadata,
    )
