"""`/events`: what becomes of tasks, as it becomes durable; resumed by the name of the last event that was seen."""

from __future__ import annotations

import asyncio

from aiohttp import hdrs, web

from scheduler.api.asked import LOOP
from scheduler.api.problems import ApiProblem, ErrorCode
from scheduler.event_log import EventLog, Reader, TooManyReaders
from web.asking import text
from web.streams import HEARTBEAT, STILL_HERE, open_stream, send, welcome


async def events(request: web.Request, user: str) -> web.StreamResponse:
    """Until the reader leaves, sleeps, or the server ends."""
    log = request.app[LOOP].events
    wish = (text(request, "role") or None, text(request, "environment") or None, text(request, "name") or None)
    after = request.headers.get("Last-Event-ID", "") or text(request, "after")
    if request.method == hdrs.METH_HEAD:
        return web.Response(content_type="text/event-stream")
    try:
        reader = log.subscribe(wish, after)
    except TooManyReaders as error:
        raise ApiProblem(ErrorCode.TRANSIENT, str(error)) from error
    try:
        response = await open_stream(request)
        await send(response, welcome(log.name(reader.position)))
        await _pump(response, reader, log)
    except (ConnectionError, TimeoutError):
        pass  # it comes back with the name of what it has seen
    finally:
        log.unsubscribe(reader)
    return response


async def _pump(response: web.StreamResponse, reader: Reader, log: EventLog) -> None:
    while True:
        try:
            async with asyncio.timeout(HEARTBEAT):
                found = await reader.next()
        except TimeoutError:
            # a quiet reader stays where the others are, so that it can come back later
            await send(response, b"id: %s\n" % log.name(reader.position).encode() + STILL_HERE)
            continue
        if found is None:
            return
        await send(response, found)
