"""`/events`: what becomes of tasks and updates, as it becomes durable; resumed by the name of the last event seen."""

from __future__ import annotations

import asyncio

from aiohttp import hdrs, web

from scheduler.api.asked import LOOP
from scheduler.api.problems import ApiProblem, ErrorCode
from scheduler.event_log import EventLog, Reader, TooManyReaders
from web.asking import text
from web.streams import HEARTBEAT, STILL_HERE, open_stream, send, welcome

#: A delivery takes some 40 microseconds.
REST_PER_READER_S = 0.0002
SHORTEST_REST_S, LONGEST_REST_S = 0.005, 1.0


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
        rest_s = rest_for(log.readers)
        if rest_s >= SHORTEST_REST_S:
            await asyncio.sleep(rest_s)


def rest_for(readers: int) -> float:
    """Between two deliveries to one reader: long beside the work that they all make, so that however many follow
    however much, it is a part of the time only. What comes meanwhile is delivered together."""
    return min(LONGEST_REST_S, readers * REST_PER_READER_S)
