"""The pages, at the original's URLs: a view, rendered. `?fragment=1` gives what is swapped while a page is open."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable

from aiohttp import web

from observer.asking import host_of, part, renderer_of, rest, task_of
from observer.core.build import config_view
from observer.core.listing import DEFAULT_ROWS, MAX_ROWS
from observer.core.views import ErrorView, HomeView, IndexView, Kind, Sort
from observer.files import MAX_CHUNK, MAX_PAGE
from observer.logs import PAGE
from observer.pages import PageView, page
from observer.places import directory_view, file_view
from observer.routes_api import view_of_log, view_of_process, view_of_task
from observer.routes_old import listing_words
from web.asking import Problem, flag, integer, optional, text
from web.assets import ASSETS

_KEEP_FOR_EVER = "public, max-age=31536000, immutable"


class RenderedLists:
    """The newest pages of lists, as HTML. One serves again when it would show the very same rows in the same second:
    rows are made anew whenever their task changes."""

    KEPT = 20

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, ...], tuple[tuple[IndexView, ...], str]] = OrderedDict()

    def get(self, key: tuple[object, ...], views: tuple[IndexView, ...], make: Callable[[], str]) -> str:
        known = self._kept.get(key)
        if known is not None and all(map(_shows_the_same, known[0], views)):
            return known[1]
        text = make()
        self._kept[key] = views, text
        self._kept.move_to_end(key)
        if len(self._kept) > self.KEPT:
            self._kept.popitem(last=False)
        return text


LISTS = web.AppKey("lists", RenderedLists)


def _shows_the_same(one: IndexView, other: IndexView) -> bool:
    same = (one.total, one.active_count, one.finished_count, one.notes, int(one.at)) == (
        other.total, other.active_count, other.finished_count, other.notes, int(other.at),
    )  # fmt: skip
    return same and len(one.rows) == len(other.rows) and all(map(operator.is_, one.rows, other.rows))


def list_html(request: web.Request, view: HomeView | IndexView) -> web.Response:
    """A page of lists: what costs is the rows, and mostly they are the same as a moment ago."""
    fragment = flag(request, "fragment")
    views = (view.active, view.finished) if isinstance(view, HomeView) else (view,)
    asked = [(v.kind, v.query, v.sort, v.reverse, v.offset, v.num) for v in views]
    text = request.app[LISTS].get(
        (fragment, len(views), *asked), views, lambda: page(renderer_of(request), view, fragment=fragment)
    )
    return web.Response(text=text, content_type="text/html", charset="utf-8")


def html(request: web.Request, view: PageView, status: int = 200) -> web.Response:
    body = page(renderer_of(request), view, fragment=flag(request, "fragment"))
    return web.Response(text=body, status=status, content_type="text/html", charset="utf-8")


def error_page(request: web.Request, status: int, title: str, detail: str) -> web.Response:
    return html(request, ErrorView(status, title, detail), status)


async def home(request: web.Request) -> web.Response:
    """Both lists; `q` searches in both."""
    host = host_of(request)
    host.somebody_watches()
    query = text(request, "q")
    num = integer(request, "num", DEFAULT_ROWS, low=0, high=MAX_ROWS)
    active = await host.index(Kind.ACTIVE, query=query, num=num)
    finished = await host.index(Kind.FINISHED, query=query, num=num)
    return list_html(request, HomeView(host.hostname, active, finished, host.inventory.notes()))


async def listing(request: web.Request) -> web.Response:
    """`/main[/type[/offset[/num]]]`, or the same by query."""
    host = host_of(request)
    host.somebody_watches()
    kind, offset, num = listing_words(request)
    word = text(request, "sort") or Sort.CHANGED
    if word not in list(Sort):
        raise Problem(400, f"sort has to be one of {', '.join(Sort)}")
    view = await host.index(
        kind,
        query=text(request, "q") or text(request, "query"),
        sort=Sort(word),
        reverse=flag(request, "reverse"),
        offset=integer(request, "offset", offset, low=-(2**53)),
        num=integer(request, "num", min(num, MAX_ROWS), low=0, high=MAX_ROWS),
    )
    return list_html(request, view)


async def task(request: web.Request) -> web.Response:
    return html(request, await view_of_task(request))


async def config(request: web.Request) -> web.Response:
    return html(request, config_view(await host_of(request).source(task_of(request))))


async def process(request: web.Request) -> web.Response:
    return html(request, await view_of_process(request))


async def log(request: web.Request) -> web.Response:
    return html(request, await view_of_log(request, MAX_PAGE))


async def file(request: web.Request) -> web.Response:
    one, names = task_of(request), rest(request)
    source = await host_of(request).source(one)
    offset, before = optional(request, "offset"), flag(request, "before")
    length = min(MAX_PAGE, integer(request, "length", PAGE, low=1, high=MAX_CHUNK))

    def look() -> PageView:
        return file_view(source, one, names, offset, before=before, length=length)

    return html(request, await _blocking(request, look))


async def browse(request: web.Request) -> web.Response:
    one, names = task_of(request), rest(request)
    source = await host_of(request).source(one)
    return html(request, await _blocking(request, lambda: directory_view(source, one, names)))


async def _blocking(request: web.Request, look: Callable[[], PageView]) -> PageView:
    return await host_of(request).blocking(look)


async def asset(request: web.Request) -> web.Response:
    known = ASSETS.get(part(request, "name"))
    if known is None:
        raise Problem(404, "there is no such file")
    fresh = request.query.get("v") == known.version
    caching = _KEEP_FOR_EVER if fresh else "public, max-age=300"
    return web.Response(
        body=known.body, content_type=known.content_type, charset="utf-8", headers={"Cache-Control": caching}
    )


async def favicon(request: web.Request) -> web.Response:
    known = ASSETS.get("favicon.svg")
    if known is None:
        raise Problem(404, "there is no such file")
    return web.Response(body=known.body, content_type=known.content_type)
