"""The pages as HTML: a view from memory, rendered, kept for who asks next. `?fragment=1` gives what is swapped while a
page is open.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import hdrs, web

from scheduler.api.asked import LOOP, SETTINGS, Asked
from scheduler.api.routes import RawHandler
from scheduler.event_log import Wish
from scheduler.ui import links
from scheduler.ui.core.views import ErrorView, View
from scheduler.ui.kept import KeptPages
from scheduler.ui.render import render
from scheduler.ui.stream import STREAMS
from web.answers import titles
from web.asking import Problem, flag, shorten
from web.assets import ASSETS

KEPT = web.AppKey("kept_pages", KeptPages[View])

_KEEP_FOR_EVER = "public, max-age=31536000, immutable"

#: Letters of an address under which a page is kept; a longer one is made anew each time.
LONGEST_ADDRESS = 2_000


def page(make: Callable[[Asked], View]) -> RawHandler:
    """A handler of the view's page."""

    async def handle(request: web.Request, user: str) -> web.StreamResponse:
        asked = Asked(request, user)
        fragment = flag(request, "fragment")
        loop = request.app[LOOP]
        address = request.rel_url.raw_path_qs

        def look() -> View:
            return loop.read(lambda: make(asked))

        def show(view: View) -> str:
            return render(view, asked.settings.service.cluster, fragment=fragment)

        if len(address) > LONGEST_ADDRESS:
            return _html(show(look()))
        shown = request.app[KEPT].get(address, loop.events, _wish_of(request), look, show, at_every_word=fragment)
        response = _html(shown.html)
        if shown.fresh_in_s > 0:  # the script understands it; not before it may hear of something new
            wait_s = max(shown.fresh_in_s, request.app[STREAMS].pause_s if fragment else 0.0)
            response.headers[hdrs.RETRY_AFTER] = f"{wait_s:.1f}"
        return response

    return handle


def _wish_of(request: web.Request) -> Wish:
    """What the page is about, as its address says: a role, a job, or everything."""
    parts = request.match_info
    return parts.get("role"), parts.get("env"), parts.get("name")


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")


def error_page(request: web.Request, status: int, detail: str) -> web.Response:
    """Who is nobody yet is not told where he is."""
    cluster = "" if status == 401 else request.app[SETTINGS].service.cluster
    return _html(render(ErrorView(status, titles(status), detail), cluster), status)


def wants_page(request: web.Request) -> bool:
    """Whether a refusal is to be a page: a browser asks, at an address of a page."""
    program = request.path.startswith(("/api/", "/live", "/metrics", "/vars", "/health"))
    return not program and "text/html" in request.headers.get(hdrs.ACCEPT, "")


async def front(request: web.Request, user: str) -> web.StreamResponse:
    """The front page is the list of roles."""
    return web.Response(status=302, headers={hdrs.LOCATION: links.HOME})


async def active_update(request: web.Request, user: str) -> web.StreamResponse:
    """To the update that the job is in, at its own address: that one is still there when the update has ended. Raises
    Problem."""
    asked = Asked(request, user)
    found = asked.context.tables.updates.active(asked.job)
    if found is None:
        raise Problem(404, f"there is no update of {shorten(str(asked.job))} in progress")
    return _elsewhere(request, links.update(found.update.summary.key))


def _elsewhere(request: web.Request, path: str) -> web.Response:
    """With the same query."""
    query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
    return web.Response(status=302, headers={hdrs.LOCATION: path + query})


async def without_slash(request: web.Request, user: str) -> web.StreamResponse:
    """The same address without a slash at its end, as people write it."""
    return _elsewhere(request, request.rel_url.raw_path.rstrip("/"))


async def asset(request: web.Request, user: str) -> web.StreamResponse:
    """Raises Problem."""
    name = request.match_info["file"]
    known = ASSETS.get(name)
    if known is None:
        raise Problem(404, f"there is no file {shorten(name)}")
    is_fresh = request.query.get("v") == known.version
    caching = _KEEP_FOR_EVER if is_fresh else "public, max-age=300"
    return web.Response(
        body=known.body, content_type=known.content_type, charset="utf-8", headers={hdrs.CACHE_CONTROL: caching}
    )


async def favicon(request: web.Request, user: str) -> web.StreamResponse:
    known = ASSETS["favicon.svg"]
    return web.Response(body=known.body, content_type=known.content_type)
