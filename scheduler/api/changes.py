"""A change from the request to the answer: who asks is allowed to, the turn is durable, and said twice it is done once.

Who has changed what stands in the log, a line for each change.

Source: spec/scheduler.md §9.2.
"""

from __future__ import annotations

import logging

from aiohttp import web

from scheduler.api import gate
from scheduler.api.asked import Asked
from scheduler.api.problems import ApiProblem, ErrorCode
from scheduler.api.routes import Permit, Route
from scheduler.core.validation import check_names
from scheduler.service import answers
from scheduler.service.refusals import refuse_problems
from scheduler.turn import Turn
from thermos.errors import Bug
from web.answers import to_json

AGAIN = "Idempotent-Replay"

_log = logging.getLogger("aurora.scheduler")


async def change(request: web.Request, route: Route, user: str) -> web.Response:
    """Raises ApiProblem, Refusal, StoreError."""
    asked = Asked(request, user)
    key = gate.idempotency_key(request)
    data, body = await gate.read_body(request, route.body)
    permit = _permit_of(route)
    job = gate.job_of(asked, body) if permit.of_job else None
    gate.authorize(request, permit, user, job)
    if job is not None:
        refuse_problems(list(check_names(job)))  # what no job is called is not said in the log, either
    wish = answers.wish(key, user, request.method, request.rel_url.raw_path, data) if key is not None else None

    def decide(turn: Turn) -> answers.Reply:
        return answers.once(asked.context, turn, wish, lambda: to_json(route.handler(asked, turn, body)))

    try:
        reply = await asked.loop.act(decide)
    except answers.KeyWasUsed as error:
        raise ApiProblem(ErrorCode.INVALID_REQUEST, str(error), status=409) from None
    if not reply.again:
        _log.info("%s of %s by %s from %s", permit.call, job or "the cluster", user, request.remote)
    return web.Response(
        body=reply.body,
        status=route.status if route.status_of is None else route.status_of(reply.body),
        content_type="application/json",
        charset="utf-8",
        headers={AGAIN: "true"} if reply.again else None,
    )


def _permit_of(route: Route) -> Permit:
    if route.permit is None:
        raise Bug(f"{route.method} {route.path} changes something, and asks for no permission")
    return route.permit
