"""The scheduler's HTTP server: the rows of the table behind one gate, and one shape of every refusal.

    request ─▶ its name ─▶ who ─▶ body ─▶ may they ─▶ handler ─┬─ reads memory
                                                               └─ changes, in a turn ─▶ durable ─▶ answer

A change is answered when it is durable, and everything that it has seen. An unexpected error is logged and told in one
line, never as a traceback.

Source: spec/scheduler.md §9.1, §13.2.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import perf_counter

from aiohttp import hdrs, web

from scheduler.api import gate, mname
from scheduler.api.asked import LOOP, SETTINGS, Asked, Lengthy
from scheduler.api.bodies import MAX_BODY
from scheduler.api.changes import change
from scheduler.api.openapi import openapi_document
from scheduler.api.ops import OPENAPI
from scheduler.api.problems import ApiProblem, ErrorCode, as_problem, refuse
from scheduler.api.requests import REQUESTS, RequestCounts
from scheduler.api.routes import Route, Way
from scheduler.api.settings import ApiSettings
from scheduler.api.table import ROUTES
from scheduler.loop import Loop
from scheduler.ui.pages import error_page, wants_page
from scheduler.ui.table import PAGES, prepare
from thermos.errors import ThermosError
from web.answers import answer
from web.asking import Problem
from web.large import LargeAnswers
from web.protection import add_headers

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Bytes of a request's line, and of each header.
MAX_LINE = 8190

LARGE = web.AppKey("large", LargeAnswers)

_log = logging.getLogger("aurora.scheduler")


def make_app(loop: Loop, settings: ApiSettings) -> web.Application:
    """Around a loop that has its tables. Ending the app ends the event streams, and nothing else."""
    app = web.Application(middlewares=[_answer], client_max_size=MAX_BODY)
    app[LOOP] = loop
    app[SETTINGS] = settings
    app[REQUESTS] = RequestCounts()
    app[LARGE] = LargeAnswers()
    app[OPENAPI] = openapi_document(ROUTES)
    app.on_response_prepare.append(add_headers)
    app.on_response_prepare.append(_name_server)
    app.on_shutdown.append(_end_streams)
    prepare(app)
    for route in (*ROUTES, *mname.ROUTES, *PAGES):
        app.router.add_route(route.method, route.path, _handler_of(route))
        if route.method == hdrs.METH_GET:
            app.router.add_route(hdrs.METH_HEAD, route.path, _handler_of(route))
    return app


async def _name_server(request: web.Request, response: web.StreamResponse) -> None:
    response.headers[hdrs.SERVER] = "aurora"


async def _end_streams(app: web.Application) -> None:
    app[LOOP].events.close()


def _handler_of(route: Route) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
            gate.check_origin(request)
        gate.check_query(request, route)
        user = await gate.authenticate(request, route)
        match route.way:
            case Way.READ:
                return await _read(request, route, user)
            case Way.CHANGE:
                return await change(request, route, user)
            case Way.RAW:
                response: web.StreamResponse = await route.handler(request, user)
                return response

    return handle


async def _read(request: web.Request, route: Route, user: str) -> web.Response:
    """From memory. Also questions that are so long that they need a body."""
    asked = Asked(request, user)
    if route.body is None:
        return answer(asked.loop.read(lambda: route.handler(asked)), route.status)
    _, body = await gate.read_body(request, route.body)
    found = asked.loop.read(lambda: route.handler(asked, body))
    if isinstance(found, Lengthy):
        found = await asyncio.to_thread(found.make)
    return answer(found, route.status)


@web.middleware
async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every way to say no, in one shape; and what was answered is counted."""
    begun = perf_counter()
    try:
        gate.check_host(request)
        response = await request.app[LARGE].send(request, await handler(request))
    except Problem as problem:
        response = _refuse(request, problem)
        if problem.status == 401:
            response.headers[hdrs.WWW_AUTHENTICATE] = gate.REALM
    except web.HTTPException as refused:
        response = _http_refusal(request, refused)
    except ConnectionError:
        raise  # the reader has gone; there is nobody to tell
    except ThermosError as error:
        response = _refuse(request, as_problem(error) or _internal(request, error))
    except Exception as error:
        response = _refuse(request, _internal(request, error))
    request.app[REQUESTS].count(request, response.status, perf_counter() - begun)
    return response


def _refuse(request: web.Request, problem: Problem) -> web.Response:
    """A page for browsers at the addresses of pages, JSON for everybody else."""
    return error_page(request, problem.status, problem.detail) if wants_page(request) else refuse(problem)


def _internal(request: web.Request, error: Exception) -> ApiProblem:
    _log.error("internal error at %s %s", request.method, request.rel_url.raw_path[:200], exc_info=error)
    return ApiProblem(ErrorCode.INTERNAL, f"internal error: {type(error).__name__}; the log of the scheduler says more")


def _http_refusal(request: web.Request, refused: web.HTTPException) -> web.Response:
    if refused.status < 400:
        return web.Response(status=refused.status, headers=refused.headers)
    if isinstance(refused, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(refused.allowed_methods))
        response = _refuse(request, ApiProblem(ErrorCode.METHOD_NOT_ALLOWED, f"here are only: {allowed}"))
        response.headers[hdrs.ALLOW] = allowed
        return response
    words = {404: "there is no such address", 413: f"the body is larger than {MAX_BODY} bytes"}
    return _refuse(request, Problem(refused.status, words.get(refused.status, refused.reason)))
