"""What a request has to pass before its handler is called: is it ours, who asks, may they, and what do they say.

A page of somebody else in the browser of somebody who may can't get through: it can't choose the name that it reaches
us by (421), and a change needs `application/json`, which a form can't send and a script only after asking us (we never
agree), and an `Origin` that is our own, if there is one.

Source: spec/scheduler.md §9.2.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import hdrs, web

from scheduler.api.asked import SETTINGS, Asked
from scheduler.api.bodies import parse_body
from scheduler.api.problems import ApiProblem, ErrorCode
from scheduler.api.routes import JSON, Permit, Route
from scheduler.auth import Unauthenticated
from scheduler.core.model import JobConfiguration, JobKey
from scheduler.core.permissions import Call
from web.asking import shorten
from web.protection import knows_host

#: Addresses of our own.
API = "/api/v1/"

#: Seconds that a body may take to arrive.
PATIENCE_S = 30.0

REALM = 'Basic realm="Aurora scheduler", charset="UTF-8"'

_C = ErrorCode


def check_host(request: web.Request) -> None:
    """Raises ApiProblem."""
    if not knows_host(request.app[SETTINGS].hosts, request.headers.get(hdrs.HOST, "")):
        raise ApiProblem(
            _C.MISDIRECTED, "this name is not served here: start the scheduler with --allowed_host to allow it"
        )


def check_origin(request: web.Request) -> None:
    """Nobody else's page may change anything. Raises ApiProblem."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "none")
    host = request.headers.get(hdrs.HOST, "").lower()
    is_ours = origin is None or origin.lower() in (f"http://{host}", f"https://{host}")
    if not is_ours or site not in ("none", "same-origin"):
        raise ApiProblem(_C.NOT_ALLOWED, "pages of other sites may not change anything here")


def check_query(request: web.Request, route: Route) -> None:
    """A word that nobody knows would change the meaning of a question, so it is refused; old addresses never did.
    Raises ApiProblem."""
    known = {query.name for query in route.query if query.where == "query"}
    unknown = [name for name in request.query if name not in known]
    if unknown and route.path.startswith(API):
        words = f"; there are {', '.join(sorted(known))}" if known else ""
        raise ApiProblem(_C.INVALID_REQUEST, f"there is no parameter {shorten(unknown[0], 40)!r}{words}")


async def authenticate(request: web.Request, route: Route) -> str:
    """Who asks; "" if nobody has to say so. Raises ApiProblem."""
    settings = request.app[SETTINGS]
    try:
        user = await settings.authenticator.who(request.headers.get(hdrs.AUTHORIZATION, ""))
    except Unauthenticated as error:
        if route.open:
            return ""
        raise ApiProblem(_C.AUTH_REQUIRED, str(error)) from None
    if user is None and not route.open and (route.permit is not None or settings.read_auth):
        raise ApiProblem(_C.AUTH_REQUIRED, "who are you? Send a user and a password")
    return user or ""


def authorize(request: web.Request, permit: Permit, user: str, job: JobKey | None) -> None:
    """Raises ApiProblem that names what is missing."""
    call = Call(permit.service, permit.call, job)
    if not request.app[SETTINGS].authenticator.may(user, call):
        raise ApiProblem(_C.NOT_ALLOWED, f"{user} may not do this: the permission {call} is missing")


def job_of(asked: Asked, body: Any) -> JobKey:
    """The job that a change is about: it stands in the path, or in the body."""
    return body.key if isinstance(body, JobConfiguration) else asked.job


async def read_body(request: web.Request, kind: Any) -> tuple[bytes, Any]:
    """As it was sent, and what it means. Raises ApiProblem."""
    if request.content_type != JSON:
        raise ApiProblem(_C.INVALID_REQUEST, f"the body has to be {JSON}", status=415)
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise ApiProblem(_C.INVALID_REQUEST, "the body must not be compressed", status=415)
    try:
        async with asyncio.timeout(PATIENCE_S):
            data = await request.read()
    except TimeoutError:
        raise ApiProblem(_C.INVALID_REQUEST, f"the body took longer than {PATIENCE_S:g} s", status=408) from None
    return data, parse_body(data, kind)


def idempotency_key(request: web.Request) -> str | None:
    """Raises ApiProblem."""
    keys = request.headers.getall("Idempotency-Key", [])
    if not keys:
        return None
    key = keys[0].strip()
    if len(keys) > 1 or not (0 < len(key) <= 200 and key.isascii() and key.isprintable()):
        raise ApiProblem(_C.INVALID_REQUEST, "Idempotency-Key has to be one text of 1 to 200 printable characters")
    return key
