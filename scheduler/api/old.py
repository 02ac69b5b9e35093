"""The original's addresses for other programs and for looking inside; nothing can be changed at them.

They are as they were, field by field, except: `/agents` and `/structdump` are pages for browsers and JSON for programs,
`/utilization` is JSON, and what came from protobuf has its names from Mesos' JSON (which are the same).

Source: spec/scheduler.md §9.1.
"""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import hdrs, web
from markupsafe import Markup

from scheduler.api.asked import Asked
from scheduler.api.problems import ApiProblem, ErrorCode
from scheduler.core.model import JobConfiguration, JobKey, ScheduledTask
from scheduler.service import queries
from scheduler.service.cluster_queries import Host, Quantity
from scheduler.service.task_queries import find_task
from scheduler.service.waiting_queries import ClusterState, PendingGroup
from web.answers import answer
from web.asking import shorten, text

_PAGE = Markup(
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
    "<body><h1>{title}</h1>\n{body}\n</body></html>\n"
)
_TABLE = Markup("<table>\n<tr><th>Host<th>Agent<th>Maintenance<th>Attributes</tr>\n{rows}</table>")
_ROW = Markup('<tr><td><a href="{url}">{host}</a><td>{agent}<td>{mode}<td>{attributes}</tr>\n')


def pending_tasks(asked: Asked) -> list[PendingGroup]:
    return queries.pending_tasks(asked.context)


def offers(asked: Asked) -> list[Any]:
    return queries.offers(asked.context)


def quotas(asked: Asked) -> dict[str, dict[str, float]]:
    return queries.quotas(asked.context, text(asked.request, "role") or None)


def state(asked: Asked) -> ClusterState:
    return queries.state(asked.context)


def cron(asked: Asked) -> dict[str, dict[str, str]]:
    return queries.cron(asked.context)


def maintenance(asked: Asked) -> dict[str, Any]:
    return queries.maintenance(asked.context)


# --- use -------------------------------------------------------------------------------------------------------------


def totals(asked: Asked) -> dict[str, Quantity]:
    return queries.totals(asked.context)


def utilization(asked: Asked) -> dict[str, Quantity]:
    """By role, or by job of a role."""
    word = asked.part("metric")
    if word not in list(queries.Metric):
        known = ", ".join(queries.Metric)
        raise ApiProblem(ErrorCode.NOT_FOUND, f"there is no metric {shorten(word, 40)!r}; there are {known}")
    role = asked.part("role") if "role" in asked.request.match_info else None
    return queries.utilization(asked.context, queries.Metric(word), role)


# --- pages for people, JSON for programs -----------------------------------------------------------------------------


async def agents(request: web.Request, user: str) -> web.Response:
    asked = Asked(request, user)
    known = queries.hosts(asked.context).hosts
    if not _wants_page(request):
        return answer(known)
    rows = Markup().join(_row(host, asked.settings.observer_port) for host in known)
    return _page("Agents", _TABLE.format(rows=rows))


def _row(host: Host, port: int) -> Markup:
    words = ", ".join(f"{name}: {' '.join(values)}" for name, values in sorted(host.attributes.items()))
    name = f"[{host.host}]" if ":" in host.host else host.host
    return _ROW.format(
        url=f"http://{name}:{port}", host=host.host, agent=host.agent_id, mode=host.mode, attributes=words
    )


async def dump_task(request: web.Request, user: str) -> web.Response:
    asked = Asked(request, user)
    task_id = asked.part("taskId")
    return _dump(request, f"Task {task_id}", find_task(asked.context, task_id))


async def dump_cron(request: web.Request, user: str) -> web.Response:
    asked = Asked(request, user)
    key = JobKey(role=asked.part("role"), environment=asked.part("env"), name=asked.part("job"))
    found = asked.context.tables.cron_jobs.get(key)
    if found is None:
        raise ApiProblem(ErrorCode.NOT_FOUND, f"there is no cron job {key}")
    return _dump(request, f"Cron job {key}", found)


def _dump(request: web.Request, title: str, found: ScheduledTask | JobConfiguration) -> web.Response:
    if not _wants_page(request):
        return answer(found)
    pretty = msgspec.json.format(msgspec.json.encode(found), indent=2).decode()
    return _page(title, Markup("<pre>{}</pre>").format(pretty))


def _wants_page(request: web.Request) -> bool:
    return "text/html" in request.headers.get(hdrs.ACCEPT, "")


def _page(title: str, body: Markup) -> web.Response:
    return web.Response(text=_PAGE.format(title=title, body=body), content_type="text/html", charset="utf-8")
