"""What waits for the reader of one event stream: bounded, and a reader that does not keep up is cut off.

Masters and agents never wait for a socket. They put records into an `Outbox`; one task per stream writes them as fast
as the reader takes them. When more than `limit` bytes wait, the connection is broken at once and what waited is
forgotten: the reader subscribes again and learns the state anew. One record may be larger than the limit (the offers of
10,000 agents are), but nothing may wait behind it then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from aiohttp import web

from mesos.core.recordio import frame

#: Bytes that may wait for one reader.
LIMIT = 32 * 1024 * 1024

#: Records are written together up to this many bytes.
CHUNK = 64 * 1024


class Outbox:
    """Made inside a running loop. `cut` breaks the connection; it is called at most once, when too much waits."""

    def __init__(self, cut: Callable[[], None], limit: int = LIMIT) -> None:
        self._cut = cut
        self._limit = limit
        self._records: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._is_over = False  # nothing more is taken
        self.pending = 0
        self.overflowed = False

    def put(self, record: bytes) -> None:
        """One record, not framed yet. After the end nothing happens."""
        if self._is_over:
            return
        framed = frame(record)
        if self.pending and self.pending + len(framed) > self._limit:
            self.overflowed = True
            self.break_off()
            return
        self._records.append(framed)
        self.pending += len(framed)
        self._wake.set()

    def finish(self) -> None:
        """The stream ends in order, after what waits."""
        self._is_over = True
        self._wake.set()

    def break_off(self) -> None:
        """The connection breaks now; what waits is forgotten."""
        if self.pending or not self._is_over:
            self._is_over = True
            self._records.clear()
            self.pending = 0
            self._wake.set()
            self._cut()

    async def write_to(self, response: web.StreamResponse) -> None:
        """Until the end. Raises ConnectionError when the connection broke."""
        while True:
            while self._records:
                await response.write(self._take())
            if self._is_over:
                return
            self._wake.clear()
            await self._wake.wait()

    def _take(self) -> bytes:
        size = 0
        taken: list[bytes] = []
        while self._records and (not taken or size + len(self._records[0]) <= CHUNK):
            taken.append(self._records.popleft())
            size += len(taken[-1])
        self.pending -= size
        return taken[0] if len(taken) == 1 else b"".join(taken)
