"""`/live`: says to an open page that something has happened to what it shows, and nothing more.

However much happens, a page hears of it once a second at most; where many are open, less often, so that all of them
together never ask for more than a bounded number of pages per second.
"""

from __future__ import annotations

import asyncio

from aiohttp import hdrs, web

from scheduler.api.asked import LOOP
from scheduler.api.problems import ApiProblem, ErrorCode
from scheduler.event_log import Bell, Wish
from web.asking import text
from web.streams import HEARTBEAT, STILL_HERE, open_stream, send

#: Seconds between two words to the same page, at least; words per second to all together; open streams.
PAUSE_S, WORDS_PER_S, MOST = 1.0, 50, 2_000

_WELCOME = b"retry: 2000\n: welcome\n\n"
_CHANGED = b"event: changed\ndata: {}\n\n"


class OpenStreams:
    """How many there are."""

    def __init__(self) -> None:
        self.count = 0

    @property
    def pause_s(self) -> float:
        return max(PAUSE_S, self.count / WORDS_PER_S)


STREAMS = web.AppKey("open_streams", OpenStreams)


def wish_of(request: web.Request) -> Wish:
    """Raises Problem."""
    return text(request, "role") or None, text(request, "environment") or None, text(request, "name") or None


async def live(request: web.Request, user: str) -> web.StreamResponse:
    """Until the page is closed, or the server ends. Raises ApiProblem when there are too many."""
    streams, events, wish = request.app[STREAMS], request.app[LOOP].events, wish_of(request)
    if request.method == hdrs.METH_HEAD:
        return web.Response(content_type="text/event-stream")
    if streams.count >= MOST:
        raise ApiProblem(ErrorCode.TRANSIENT, f"{MOST} pages are open already")
    streams.count += 1
    bell = Bell(events, wish)
    try:
        response = await open_stream(request)
        await send(response, _WELCOME)
        while not events.is_closed:
            await _word(response, bell, streams)
    except (ConnectionError, TimeoutError):
        pass  # it comes back, and looks then
    finally:
        streams.count -= 1
        bell.close()
    return response


async def _word(response: web.StreamResponse, bell: Bell, streams: OpenStreams) -> None:
    """Wait for news, tell them, and be silent for a while. What happens during the silence is told behind it."""
    try:
        async with asyncio.timeout(HEARTBEAT):
            await bell.rung()
    except TimeoutError:
        await send(response, STILL_HERE)
        return
    bell.arm()  # before the page looks: what it misses rings
    await send(response, _CHANGED)
    await asyncio.sleep(streams.pause_s)
