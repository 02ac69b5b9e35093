"""A master's `/api/v1/scheduler`: subscriptions, which are streams that stay open, and calls, answered with 202.

The decisions are the master's (`mesos.local.core.master`); what is refused here is refused in Mesos' own words and
order. A call passes the fault switchboard before it is decided on, an event on its way into the stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

from aiohttp import web

from mesos.core.scheduler_api import Call, CallType
from mesos.local import http_words as words
from mesos.local import streams
from mesos.local.faults import Parcel, Way
from mesos.local.http_gate import Bodies, HasStanding, Realm, Route, answer
from mesos.local.link import Post

#: Streams of one master, frameworks' and operators' each.
MAX_STREAMS = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one master's HTTP."""

    bodies: Bodies = field(default_factory=Bodies)
    stream_bytes: int = streams.LIMIT
    streams: int = MAX_STREAMS


class Said(Protocol):
    """A master's answer; 200 to a subscription means that the stream is open."""

    @property
    def status(self) -> int: ...

    @property
    def text(self) -> str: ...


class SchedulerDesk(HasStanding, Protocol):
    """Where the front brings what schedulers say. `subscribe` may write into the outbox before it returns."""

    def subscribe(self, call: Call, stream_id: str, outbox: streams.Outbox, principal: str | None) -> Said: ...

    def call(self, call: Call, stream_id: str | None, principal: str | None) -> Said: ...

    def stream_closed(self, stream_id: str) -> None: ...


class SchedulerFront:
    def __init__(self, desk: SchedulerDesk, post: Post, limits: Limits) -> None:
        self._desk = desk
        self._post = post
        self._limits = limits
        self._open = 0

    def routes(self) -> dict[str, Route]:
        route = Route(self.handle, Realm.SCHEDULER, ("POST",), after_recovery=True)
        return {"/api/v1/scheduler": route}

    async def handle(self, request: web.Request, principal: str | None) -> web.StreamResponse:
        words.check_content_type(request.headers)
        call = words.parse_scheduler_call(await self._limits.bodies.read(request))
        parcel = Parcel(Way.FROM_SCHEDULER, call)
        times = await admit(self._post, parcel, parcel.framework)
        if times == 0:
            return lose(request)
        stream_id = request.headers.get("Mesos-Stream-Id")
        if call.type == CallType.SUBSCRIBE:
            return await self._subscribe(request, call, stream_id, principal)
        said = self._desk.call(call, stream_id, principal)
        for _ in range(times - 1):
            self._desk.call(call, stream_id, principal)
        return answer(said.status, said.text)

    async def _subscribe(
        self, request: web.Request, call: Call, given_id: str | None, principal: str | None
    ) -> web.StreamResponse:
        words.check_accept(request.headers)
        if given_id is not None:
            raise words.Refusal(400, "Subscribe calls should not include the 'Mesos-Stream-Id' header")
        if self._open >= self._limits.streams:
            raise words.Refusal(503, f"There are {self._open} subscriptions already")
        stream_id = str(uuid4())
        outbox = streams.Outbox(cutter(request), self._limits.stream_bytes)
        said = self._desk.subscribe(call, stream_id, outbox, principal)
        if said.status != 200:
            return answer(said.status, said.text)
        self._open += 1
        try:
            return await stream(request, outbox, {"Mesos-Stream-Id": stream_id})
        finally:
            self._open -= 1
            outbox.finish()
            self._desk.stream_closed(stream_id)


async def stream(request: web.Request, outbox: streams.Outbox, headers: dict[str, str]) -> web.StreamResponse:
    """The whole life of a stream of records; ends when the outbox is finished or the connection broken."""
    response = web.StreamResponse(headers={"Content-Type": words.JSON, **headers})
    response.enable_chunked_encoding()
    try:
        await response.prepare(request)
        await outbox.write_to(response)
        await response.write_eof()
    except ConnectionError:
        pass  # the reader went, or was cut off; `stream_closed` says it to the master
    response.force_close()
    return response


def cutter(request: web.Request) -> Callable[[], None]:
    """Breaks the connection of a request, without any word."""

    def cut() -> None:
        if request.transport is not None:
            request.transport.abort()

    return cut


def lose(request: web.Request) -> web.Response:
    """What a client sees of a lost call: a broken connection. (The response is for nobody.)"""
    cutter(request)()
    return web.Response(status=500)


async def admit(post: Post, parcel: Parcel, pair: object) -> int:
    """How often a call shall be handled (0: it is lost), waiting until it is due."""
    if not post.faults:
        return 1
    due = asyncio.get_running_loop().create_future()
    copies = 0

    def deliver() -> None:
        nonlocal copies
        copies += 1
        if not due.done():
            due.set_result(None)

    if not post.carry(parcel, pair, deliver):
        return 0
    await due
    return copies
