"""For those who run the scheduler: is it well, what does it count, how does it end; the API's own description.

`/quitquitquit` and `/abortabortabort` end the scheduler; tasks live on. With users it takes a permission of its own
(`thrift.AuroraAdmin:quitquitquit`), without any only this machine may (the original asked nobody).

Source: spec/scheduler.md §9.1, §9.4.
"""

from __future__ import annotations

import ipaddress
import logging
from typing import Any

import msgspec
from aiohttp import web

from scheduler.api import gate
from scheduler.api.asked import LOOP, SETTINGS, Asked
from scheduler.api.problems import ApiProblem, ErrorCode
from scheduler.api.requests import REQUESTS
from scheduler.api.routes import JSON, of_admin
from scheduler.api.settings import Ending
from scheduler.lifecycle import LifecycleState
from scheduler.metrics import families
from scheduler.service.context import Told
from scheduler.variables import variables
from web.answers import to_json
from web.prometheus import CONTENT_TYPE, render_metrics

#: The finished OpenAPI document.
OPENAPI = web.AppKey("openapi", dict[str, Any])

_log = logging.getLogger("aurora.scheduler")


class PartState(Told, frozen=True):
    """One of what the scheduler consists of; the original's names of fields."""

    name: str
    state: str
    failure_cause: str | None = None


async def health(request: web.Request, user: str) -> web.Response:
    return web.Response(text="OK")


async def leader_health(request: web.Request, user: str) -> web.Response:
    """There are no others: this one leads, from when its store is open until it ends."""
    state = request.app[LOOP].lifecycle.state
    if state in (LifecycleState.LEADER_AWAITING_REGISTRATION, LifecycleState.ACTIVE):
        return web.Response(text="OK")
    return web.Response(text=f"this scheduler is {state}\n", status=502)


async def metrics(request: web.Request, user: str) -> web.Response:
    app = request.app
    body = render_metrics(families(app[LOOP], app[SETTINGS].authenticator, app[REQUESTS], app[SETTINGS].started_at))
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})


async def vars_text(request: web.Request, user: str) -> web.Response:
    known = variables(request.app[LOOP], request.app[REQUESTS], request.app[SETTINGS].started_at)
    return web.Response(text="".join(f"{name} {value}\n" for name, value in sorted(known.items())))


async def vars_json(request: web.Request, user: str) -> web.Response:
    known = variables(request.app[LOOP], request.app[REQUESTS], request.app[SETTINGS].started_at)
    body = to_json(dict(sorted(known.items())))
    if "pretty" in request.query:
        body = msgspec.json.format(body, indent=2)
    return web.Response(body=body, content_type=JSON)


def openapi(asked: Asked) -> dict[str, Any]:
    return asked.request.app[OPENAPI]


def services(asked: Asked) -> list[PartState]:
    """The store, the connection with Mesos, the loop."""
    loop, told = asked.loop, asked.loop.state()
    failed = loop.failed.exception() if loop.failed.done() and not loop.failed.cancelled() else None
    subscribed = loop.engine.is_registered
    problem = str(told["mesos"].get("last_problem") or "") or None
    return [
        PartState(name="loop", state="FAILED" if failed else "RUNNING", failure_cause=str(failed) if failed else None),
        PartState(
            name="mesos",
            state="RUNNING" if subscribed else "STARTING",
            failure_cause=None if subscribed else problem,
        ),
        PartState(
            name="store",
            state="PAUSED" if told["paused"] else "RUNNING",
            failure_cause=told["snapshot_error"] or None,
        ),
    ]


async def quit_politely(request: web.Request, user: str) -> web.Response:
    return _end(request, user, Ending.POLITE)


async def abort(request: web.Request, user: str) -> web.Response:
    return _end(request, user, Ending.AT_ONCE)


def _end(request: web.Request, user: str, how: Ending) -> web.Response:
    settings = request.app[SETTINGS]
    if settings.authenticator.is_on:
        gate.authorize(request, of_admin(how.value), user, None)
    elif not _is_near(request):
        raise ApiProblem(ErrorCode.NOT_ALLOWED, "without users only this machine may end its scheduler")
    _log.warning("%s of %s (%s)", how.value, user, request.remote)
    settings.stop(how)
    return web.Response(text="the scheduler ends; tasks live on\n")


def _is_near(request: web.Request) -> bool:
    """It is this machine, and no proxy on it that speaks for somebody else."""
    if any(name in request.headers for name in ("Forwarded", "X-Forwarded-For", "Via", "X-Real-IP")):
        return False
    try:
        return ipaddress.ip_address((request.remote or "").partition("%")[0]).is_loopback
    except ValueError:
        return False
