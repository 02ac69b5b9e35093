"""THE table of the pages, at the original's addresses, and what the server needs to serve them.

Source: spec/scheduler.md §10.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from scheduler.api.asked import LOOP
from scheduler.api.routes import HTML, SSE, Route, Way, word
from scheduler.ui import cluster, instances, job_lists, jobs, links, updates
from scheduler.ui.core.lasting import lasts_s
from scheduler.ui.core.samples import Samples
from scheduler.ui.kept import KeptPages
from scheduler.ui.pages import KEPT, active_update, asset, favicon, front, page, without_slash
from scheduler.ui.sampling import SAMPLES, sampling
from scheduler.ui.stream import STREAMS, OpenStreams, live

_JOB = "/scheduler/{role}/{env}/{name}"


def _page(path: str, make: Any, about: str) -> Route:
    return _raw(path, page(make), about)


def _raw(path: str, handler: Any, about: str, media: str = HTML, **more: Any) -> Route:
    return Route("GET", path, handler, about, way=Way.RAW, media=media, **more)


#: In this order: an address that is more exact comes first.
_VIEWS: tuple[Route, ...] = (
    _page(links.HOME, job_lists.home, "Roles."),
    _page("/scheduler/{role}", job_lists.role, "Jobs of a role."),
    _page("/scheduler/{role}/{env}", job_lists.role, "Jobs of an environment of a role."),
    _page(_JOB, jobs.job, "A job."),
    _page(f"{_JOB}/config", jobs.configs, "Configurations of a job, compared."),
    _page(f"{_JOB}/task/{{taskId}}", instances.task, "A task."),
    _raw(f"{_JOB}/update/active", active_update, "The update in progress."),
    _page(f"{_JOB}/update/{{uid}}", updates.update, "An update."),
    _page(f"{_JOB}/{{id}}", instances.instance, "An instance."),
    _page(links.UPDATES, updates.updates, "Updates."),
    _page(links.PENDING, cluster.pending, "What waits for a host."),
    _page(links.CLUSTER, cluster.cluster, "Hosts, and charts of the cluster."),
    _page(links.QUOTA, cluster.quota, "Quota and tiers."),
)

PAGES: tuple[Route, ...] = (
    _raw("/", front, "The front page."),
    *_VIEWS,
    *(_raw(f"{page.path}/", without_slash, "The same.") for page in _VIEWS),
    _raw(
        "/live", live, "Says when something happens.", SSE,
        query=(word("role", "Of this one."), word("environment", "Of this one."), word("name", "Of this job.")),
    ),
    _raw("/assets/{file}", asset, "A file that pages need.", "*/*", open=True),
    _raw("/favicon.ico", favicon, "The icon.", "image/svg+xml", open=True),
)  # fmt: skip


def prepare(app: web.Application) -> None:
    """What handlers of pages find in the app. The loop has to be there already."""
    loop = app[LOOP]
    app[KEPT] = KeptPages(lambda: loop.now().mono, lasts_s)
    app[SAMPLES] = Samples()
    app[STREAMS] = OpenStreams()
    app.cleanup_ctx.append(sampling)
