"""A master's HTTP for operators and tools: `/api/v1` with its event stream, and the old endpoints below `/`.

Which paths there are, who may ask with which method, and what a follower answers itself is the table here; the answers
are the master's. As with Mesos, views do not care about the method, and a follower knows its health, version and flags.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol
from uuid import uuid4

from aiohttp import web

from mesos.local import http_words as words
from mesos.local.core.cluster import Answer, MasterConfig
from mesos.local.core.flags import flags_view
from mesos.local.core.operator_calls import CALLS
from mesos.local.http_gate import HasStanding, Realm, Route, answer, json_answer
from mesos.local.master_host import MasterHost, json_bytes
from mesos.local.master_http import Limits, cutter, stream
from mesos.local.streams import Outbox

_VIEWS = ("/state", "/state-summary", "/slaves", "/frameworks", "/tasks", "/roles")
_CHANGES = (
    "/teardown",
    "/reserve",
    "/unreserve",
    "/create-volumes",
    "/destroy-volumes",
    "/machine/down",
    "/machine/up",
)
_TYPES = frozenset({*CALLS, "SUBSCRIBE"})

#: What comes before the complaint about a body that is no JSON; paths that are not here take no JSON.
_COMPLAINTS: dict[tuple[str, str], str] = {
    ("POST", "/maintenance/schedule"): "",
    ("POST", "/machine/down"): "",
    ("POST", "/machine/up"): "",
    ("POST", "/quota"): "Failed to parse set quota request JSON '{body}': ",
    ("PUT", "/weights"): "Failed to parse update weights request JSON '{body}': ",
}


class OperatorDesk(HasStanding, Protocol):
    @property
    def config(self) -> MasterConfig: ...

    def leading(self) -> MasterHost:
        """Raises the 503 when this master does not lead any more."""


class OperatorFront:
    def __init__(self, desk: OperatorDesk, limits: Limits) -> None:
        self._desk = desk
        self._limits = limits
        self._open = 0

    def routes(self) -> dict[str, Route]:
        read, write = Realm.READONLY, Realm.READWRITE
        table = {path: Route(self._endpoint(path, "GET"), read) for path in _VIEWS}
        table |= {path: Route(self._endpoint(path), write, ("POST",)) for path in _CHANGES}
        return table | {
            "/api/v1": Route(self._api, write, ("POST",), after_recovery=True),
            "/maintenance/schedule": Route(self._endpoint("/maintenance/schedule"), write, ("GET", "POST")),
            "/maintenance/status": Route(self._endpoint("/maintenance/status"), read, ("GET",)),
            "/weights": Route(self._endpoint("/weights"), write, ("GET", "PUT")),
            "/quota": Route(self._quota, write, ("GET", "POST", "DELETE")),
            "/metrics/snapshot": Route(self._metrics, read, by_leader=False),
            "/health": Route(self._health, by_leader=False),
            "/version": Route(self._version, by_leader=False),
            "/flags": Route(self._flags, read, by_leader=False),
            "/redirect": Route(self._redirect, by_leader=False),
        }

    # --- /api/v1

    async def _api(self, request: web.Request, principal: str | None) -> web.StreamResponse:
        words.check_content_type(request.headers)
        call = words.parse_object(await self._limits.bodies.read(request))
        words.check_type(call, "master", _TYPES)
        words.check_accept(request.headers)
        if call["type"] == "SUBSCRIBE":
            return await self._subscribe(request, principal)
        return _response(self._desk.leading().operate(call, principal))

    async def _subscribe(self, request: web.Request, principal: str | None) -> web.StreamResponse:
        if self._open >= self._limits.streams:
            raise words.Refusal(503, f"There are {self._open} subscriptions already")
        host = self._desk.leading()
        stream_id = str(uuid4())
        outbox = Outbox(cutter(request), self._limits.stream_bytes)
        host.watch(stream_id, outbox, principal)
        self._open += 1
        try:
            return await stream(request, outbox, {})
        finally:
            self._open -= 1
            outbox.finish()
            host.unwatch(stream_id)

    # --- the old endpoints

    def _endpoint(
        self, path: str, method: str | None = None
    ) -> Callable[[web.Request, str | None], Awaitable[web.StreamResponse]]:
        """`method`: what the master is asked with, whatever the request had."""

        async def handle(request: web.Request, principal: str | None) -> web.StreamResponse:
            return await self._ask(request, method or request.method, path)

        return handle

    async def _ask(self, request: web.Request, method: str, path: str) -> web.Response:
        body = await self._limits.bodies.read(request)
        complaint = _COMPLAINTS.get((method, path))
        if complaint is not None:
            words.parse_json(body, complaint.replace("{body}", body[:1000].decode(errors="replace")))
        return _response(self._desk.leading().endpoint(method, path, dict(request.query), body))

    async def _quota(self, request: web.Request, principal: str | None) -> web.StreamResponse:
        """The only path with a name in it."""
        role = request.path.strip("/").removeprefix("master/").removeprefix("quota").strip("/")
        if request.method != "DELETE":
            return await self._ask(request, request.method, "/quota")
        if not role:
            text = "Failed to parse remove quota request for path '/master/quota': expected 3 tokens, found 2 tokens"
            raise words.Refusal(400, text)
        return await self._ask(request, "DELETE", f"/quota/{role}")

    # --- what a follower knows as well

    async def _health(self, request: web.Request, principal: str | None) -> web.StreamResponse:
        return answer(200)

    async def _version(self, request: web.Request, principal: str | None) -> web.StreamResponse:
        return json_answer(json_bytes({"version": self._desk.config.version}))

    async def _flags(self, request: web.Request, principal: str | None) -> web.StreamResponse:
        return json_answer(json_bytes({"flags": flags_view(self._desk.config)}))

    async def _metrics(self, request: web.Request, principal: str | None) -> web.StreamResponse:
        if self._desk.standing().leads:
            return await self._ask(request, "GET", "/metrics/snapshot")
        return json_answer(json_bytes({"master/elected": 0.0}))

    async def _redirect(self, request: web.Request, principal: str | None) -> web.StreamResponse:
        leader = self._desk.standing().leader
        raise words.redirect(leader) if leader is not None else words.no_leader()


def _response(said: Answer) -> web.Response:
    if said.body is not None:
        response = json_answer(json_bytes(said.body))
        response.set_status(said.status)
        return response
    return answer(said.status, said.text, said.headers)
