"""Server-sent events on the wire."""

from __future__ import annotations

import asyncio

from aiohttp import web

#: Seconds: between comments that keep proxies from closing; patience with slow readers.
HEARTBEAT = 15.0
SEND_PATIENCE = 30.0

#: A comment that says no more than that the stream is alive.
STILL_HERE = b": still here\n\n"


def frame(event_id: str, kind: str, data: bytes) -> bytes:
    """One event; `data` has no line ends."""
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (event_id.encode(), kind.encode(), data)


def welcome(event_id: str) -> bytes:
    """The head of a stream: where it begins, and how soon to come back when it breaks."""
    return b"retry: 2000\nid: %s\n: welcome\n\n" % event_id.encode()


async def open_stream(request: web.Request) -> web.StreamResponse:
    """The head of a stream of server-sent events."""
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    await response.prepare(request)
    return response


async def send(response: web.StreamResponse, data: bytes) -> None:
    """Raises ConnectionError or TimeoutError when the reader has gone or sleeps."""
    async with asyncio.timeout(SEND_PATIENCE):
        await response.write(data)
