"""The connection on which a master tells its events: a SUBSCRIBE goes up, records come down, until one side has enough.

One subscription at a time. `interrupt` ends what waits for the network, and nothing else; whoever waited gets
Interrupted. Everything that the other side does wrong is StreamBroken, with a text for people.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import aiohttp

from mesos.core.leader import SCHEDULER_PATH
from mesos.core.recordio import BadFraming, RecordReader
from mesos.core.scheduler_events import Answer
from mesos.scheduler_calls import printable, read_text, words
from thermos.errors import RemoteError

T = TypeVar("T")

#: Bytes that aiohttp reads ahead; it stops reading the socket at twice as many.
READ_AHEAD = 256 * 1024

_HEADERS = ("Content-Type", "Mesos-Stream-Id", "Location", "Retry-After")


class StreamBroken(RemoteError):
    """The connection is over, or never came to be."""


class Interrupted(Exception):
    """By our own wish."""


class EventStream:
    def __init__(self, *, connect_timeout_s: float, tls: ssl.SSLContext | None, max_record: int) -> None:
        self._max_record = max_record
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True, ssl=tls if tls is not None else True),
            timeout=aiohttp.ClientTimeout(total=None, connect=connect_timeout_s),  # the session has the other deadlines
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=READ_AHEAD,
        )
        self._url = ""
        self._response: aiohttp.ClientResponse | None = None
        self._reader = RecordReader(max_record)
        self._working: asyncio.Task[Any] | None = None

    async def open(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """What the master at this address answers; after a good answer `read` gives the events."""
        self._url, self._reader = url, RecordReader(self._max_record)
        try:
            self._response = response = await self._interruptible(self._post(headers, body))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise StreamBroken(f"cannot reach {url}: {words(error)}") from error
        text = ""
        if response.status != 200:
            try:
                text = await self._interruptible(read_text(response))
            except (aiohttp.ClientError, OSError) as error:
                text = f"({words(error)})"
        named = {name: printable(response.headers.get(name, "")) for name in _HEADERS}
        kind = named["Content-Type"].partition(";")[0].strip().lower()
        return Answer(response.status, text, kind, named["Mesos-Stream-Id"], named["Location"], named["Retry-After"])

    async def read(self) -> list[bytes]:
        """The next records, at least one."""
        assert self._response is not None
        content = self._response.content
        try:
            while True:
                piece = content.read_nowait() or await self._interruptible(content.readany())
                if not piece:
                    self._reader.close()
                    raise StreamBroken(f"lost the master at {self._url}: it closed the stream")
                records = self._reader.feed(piece)
                if records:
                    return records
        except (aiohttp.ClientError, OSError, BadFraming) as error:
            raise StreamBroken(f"lost the master at {self._url}: {words(error)}") from error

    def interrupt(self) -> None:
        if self._working is not None:
            self._working.cancel()

    def hang_up(self) -> None:
        """Close the subscription, if there is one; another `open` may follow."""
        if self._response is not None:
            self._response.close()
            self._response = None

    async def close(self) -> None:
        self.hang_up()
        await self._session.close()

    async def _post(self, headers: Mapping[str, str], body: bytes) -> aiohttp.ClientResponse:
        return await self._session.post(self._url + SCHEDULER_PATH, data=body, headers=headers, allow_redirects=False)

    async def _interruptible(self, work: Coroutine[Any, Any, T]) -> T:
        task: asyncio.Task[T] = asyncio.ensure_future(work)
        self._working = task
        try:
            await asyncio.wait((task,))
        finally:
            self._working = None
            if not task.done():  # whoever waits here is cancelled
                task.cancel()
                await asyncio.wait((task,))
        if task.cancelled():
            raise Interrupted
        return task.result()
