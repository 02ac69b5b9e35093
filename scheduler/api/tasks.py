"""`/tasks`: tasks with their histories, and why they wait."""

from __future__ import annotations

from scheduler.api.asked import Asked
from scheduler.api.words import invalid, listed, numbers, page_of, truth
from scheduler.core.states import ScheduleStatus
from scheduler.service import queries
from scheduler.service.pages import MOST
from scheduler.service.task_queries import TaskDetails, Tasks
from scheduler.service.why import WhyAnswer, why
from web.asking import integer, shorten, text

#: Hosts of one answer, if nobody says how many.
WHY_HOSTS = 50


def tasks(asked: Asked) -> Tasks:
    request = asked.request
    return queries.tasks(
        asked.context,
        queries.TasksAsked(
            role=text(request, "role") or None,
            environment=text(request, "environment") or None,
            name=text(request, "name") or None,
            instances=numbers(request, "instances"),
            task_ids=listed(request, "taskIds"),
            statuses=_statuses(asked),
            active=truth(request, "active", None),
            hosts=listed(request, "hosts"),
            data=truth(request, "configs", True),
            page=page_of(request),
        ),
    )


def _statuses(asked: Asked) -> frozenset[ScheduleStatus]:
    words = listed(asked.request, "statuses")
    unknown = sorted(words - set(ScheduleStatus))
    if unknown:
        raise invalid(f"statuses: there is no {shorten(unknown[0], 40)!r}; there are {', '.join(ScheduleStatus)}")
    return frozenset(ScheduleStatus(word) for word in words)


def task(asked: Asked) -> TaskDetails:
    return queries.task(asked.context, asked.part("taskId"))


def why_of_task(asked: Asked) -> WhyAnswer:
    return why(asked.context, asked.part("taskId"), asked.loop.now(), _hosts(asked))


def why_of_instance(asked: Asked) -> WhyAnswer:
    return why(asked.context, asked.instance, asked.loop.now(), _hosts(asked))


def _hosts(asked: Asked) -> int:
    return integer(asked.request, "hosts", WHY_HOSTS, low=0, high=MOST)
