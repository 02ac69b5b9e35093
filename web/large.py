"""Large answers to slow readers: what is under way is bounded, and so is the time that it takes.

A body that is given to the server whole waits in memory until its reader has taken it, who may be in no hurry. So large
ones are written piece by piece, at the reader's pace, from one copy; together they may hold so much memory and no more
(one of them always may), and who does not take his answer in time loses the connection.
"""

from __future__ import annotations

import asyncio

from aiohttp import hdrs, web

from web.asking import Problem

#: Bytes from which on an answer is large, and of one piece.
LARGE, PIECE = 256 * 1024, 64 * 1024


class LargeAnswers:
    """Of one server. `most`: bytes under way, all together."""

    def __init__(self, most: int = 256 * 1024 * 1024, patience_s: float = 60.0) -> None:
        self.under_way = 0
        self._most = most
        self._patience_s = patience_s

    async def send(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """Sends it now if it is large. Raises Problem when there is no room, ConnectionError when nobody takes it."""
        body = response.body if isinstance(response, web.Response) else None
        if not isinstance(body, bytes | bytearray) or len(body) < LARGE or request.method == hdrs.METH_HEAD:
            return response
        if self.under_way and self.under_way + len(body) > self._most:
            raise Problem(503, "too many large answers are under way; ask again later, or for less at once")
        self.under_way += len(body)
        try:
            async with asyncio.timeout(self._patience_s):
                return await _write(request, response, memoryview(body))
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("an answer was not taken in time") from None
        finally:
            self.under_way -= len(body)


async def _write(request: web.Request, response: web.StreamResponse, body: memoryview) -> web.StreamResponse:
    sent = web.StreamResponse(status=response.status, headers=response.headers)
    sent.content_length = len(body)
    await sent.prepare(request)
    for begin in range(0, len(body), PIECE):
        await sent.write(body[begin : begin + PIECE])
    await sent.write_eof()
    return sent
