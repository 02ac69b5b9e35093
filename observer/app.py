"""The HTTP server: the table's routes behind three gates (who may ask, what may be asked, what every answer carries).

Only GET and HEAD; nothing can be changed from outside. Every refusal has one shape, JSON for programs and a page for
browsers; an unexpected error is logged and told as such, never as a traceback.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from observer.asking import HOST, RENDER, host_of
from observer.auth import Guard
from observer.core.sandbox_path import Refused
from observer.files import NoSuchFile
from observer.host import Host
from observer.pages import Renderer
from observer.routes_ops import OPENAPI, REQUESTS
from observer.routes_pages import LISTS, RenderedLists, error_page
from observer.table import add_routes, openapi_document
from web.answers import problem_json, titles
from web.asking import Problem
from web.protection import add_headers

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

GUARD = web.AppKey("guard", Guard)

#: Bytes of a request line or header, of all headers together is aiohttp's; bodies are not read at all.
MAX_LINE = 8190

_log = logging.getLogger("thermos.observer")


def make_app(host: Host, render: Renderer, guard: Guard) -> web.Application:
    """The server around a host that was started. Closing the app does not close the host."""
    app = web.Application(middlewares=[_answer, _admit], client_max_size=1024)
    app[HOST] = host
    app[RENDER] = render
    app[GUARD] = guard
    app[REQUESTS] = Counter()
    app[LISTS] = RenderedLists()
    app[OPENAPI] = openapi_document()
    app.on_response_prepare.append(add_headers)
    app.on_response_prepare.append(_name_server)
    add_routes(app)
    return app


async def _name_server(request: web.Request, response: web.StreamResponse) -> None:
    response.headers[hdrs.SERVER] = "thermos"


@web.middleware
async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every way to say no, in one shape."""
    try:
        response = await handler(request)
    except Problem as problem:
        response = refuse(request, problem.status, problem.detail)
    except (NoSuchFile, Refused) as error:
        response = refuse(request, 404, str(error))
    except web.HTTPException as refused:
        response = _http_refusal(request, refused)
    except ConnectionError:
        raise  # the reader has gone; there is nobody to tell
    except Exception as error:
        _log.exception("internal error at %s", request.rel_url.raw_path)
        response = refuse(request, 500, f"internal error: {type(error).__name__}; the log of the observer says more")
    request.app[REQUESTS][response.status] += 1
    return response


def _http_refusal(request: web.Request, refused: web.HTTPException) -> web.Response:
    if refused.status < 400:
        return web.Response(status=refused.status, headers=refused.headers)
    words = {
        404: "there is no such page",
        405: "only GET and HEAD: nothing can be changed here",
        413: "the request is too large",
    }
    response = refuse(request, refused.status, words.get(refused.status, refused.reason))
    if refused.status == 405:
        response.headers[hdrs.ALLOW] = "GET, HEAD"
    return response


def refuse(request: web.Request, status: int, detail: str) -> web.Response:
    """A page for browsers at the addresses of pages, JSON for everybody else."""
    wants_page = "text/html" in request.headers.get(hdrs.ACCEPT, "")
    program = request.path.startswith(("/api/", "/j/", "/logdata", "/filedata", "/metrics", "/vars", "/health"))
    if wants_page and not program:
        return error_page(request, status, titles(status), detail)
    return problem_json(status, detail)


@web.middleware
async def _admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Who asks, and how."""
    if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
        raise web.HTTPMethodNotAllowed(request.method, ["GET", "HEAD"])
    guard = request.app[GUARD]
    if not guard.knows_host(request.headers.get(hdrs.HOST, "")):
        raise Problem(421, "this name is not served here: start the observer with --allowed_host to allow it")
    if request.path != "/health" and not guard.admits(request.headers.get(hdrs.AUTHORIZATION, "")):
        response = refuse(request, 401, "who are you? Send a user and password, or a token")
        response.headers[hdrs.WWW_AUTHENTICATE] = 'Basic realm="thermos observer", charset="UTF-8"'
        return response
    return await handler(request)


__all__ = ["GUARD", "MAX_LINE", "host_of", "make_app", "refuse"]
