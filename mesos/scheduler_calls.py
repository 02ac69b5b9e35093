"""A scheduler's calls to the master: a pool of connections of its own, bounded in number and in time.

Nothing is queued for later and nothing is tried again: whoever calls hears of each failure. A call that failed may have
been carried out all the same (its answer was lost), a call that was refused was not.
"""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import Callable, Mapping
from typing import NamedTuple

import aiohttp

from mesos.timers import Timers, expire, time_limit
from thermos.errors import RemoteError

#: Bytes of an answer's text that are read; Mesos' refusals are one line.
MOST_TEXT = 4096

#: Beyond this, aiohttp wants a body as a file.
_LARGE_BODY = 1024 * 1024


class NotSubscribed(RemoteError):
    """There is no subscription, hence nobody to call. Nothing was sent, nothing will be."""


class CallFailed(RemoteError):
    """No answer, or the master can't serve now. It may have been carried out; another attempt may help."""


class CallRefused(RemoteError):
    """The master answered that it won't; the same call will be refused again."""

    def __init__(self, kind: str, status: int, text: str) -> None:
        super().__init__(f"cannot {kind}: the master refuses: {status}{': ' if text else ''}{text}")
        self.status = status
        self.text = text


class CallAnswer(NamedTuple):
    status: int
    text: str


#: Where to send a call, and with which headers; it is asked when it is the call's turn, and raises NotSubscribed.
CallTarget = Callable[[], tuple[str, Mapping[str, str]]]


class CallPool:
    """`abort` ends all calls that are under way, so that nobody waits for a master that we left."""

    def __init__(self, timers: Timers, *, timeout_s: float, concurrency: int, tls: ssl.SSLContext | None) -> None:
        self._timers = timers
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(concurrency)
        self._under_way: set[asyncio.Timeout] = set()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=concurrency, ssl=tls if tls is not None else True),
            timeout=aiohttp.ClientTimeout(total=None),  # ours counts the wait for a slot, too
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def post(self, kind: str, target: CallTarget, body: bytes) -> CallAnswer:
        """Raises CallFailed if there is no answer in time, and what `target` raises."""
        try:
            async with time_limit(self._timers, self._timeout_s) as limit:
                self._under_way.add(limit)
                try:
                    async with self._slots:
                        return await self._exchange(target, body)
                finally:
                    self._under_way.discard(limit)
        except TimeoutError as error:
            raise CallFailed(f"cannot {kind}: no answer from the master within {self._timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise CallFailed(f"cannot {kind}: {words(error)}") from error

    async def _exchange(self, target: CallTarget, body: bytes) -> CallAnswer:
        url, headers = target()
        data = io.BytesIO(body) if len(body) > _LARGE_BODY else body
        response = await self._session.post(url, data=data, headers=headers, allow_redirects=False)
        try:
            return CallAnswer(response.status, await read_text(response))
        finally:
            response.release()  # closes it, if there is more to read

    def abort(self) -> None:
        for limit in list(self._under_way):
            expire(limit)

    async def close(self) -> None:
        self.abort()
        await self._session.close()


async def read_text(response: aiohttp.ClientResponse) -> str:
    """What an answer says, on one line, and no more of it than a person reads."""
    data = bytearray()
    while len(data) < MOST_TEXT:
        piece = await response.content.read(MOST_TEXT - len(data))
        if not piece:
            break
        data += piece
    return printable(" ".join(data.decode(errors="replace").split())[:1000])


def printable(text: str) -> str:
    """Without what a terminal, a log or a header could choke on; headers may hold any bytes, as surrogates."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def words(error: Exception) -> str:
    """An error of a connection as one line that a person understands."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"its certificate is not accepted ({error.certificate_error}); check the authority (CA) and the name"
        case aiohttp.ClientPayloadError():
            return "the stream broke off"
        case aiohttp.ServerDisconnectedError():
            return "it closed the connection without an answer"
        case aiohttp.ClientConnectorError():
            return printable(error.os_error.strerror or str(error.os_error))[:500]
        case TimeoutError():
            return "no connection in time"
    text = printable(" ".join(str(error).split()))
    return text[:500] if text else type(error).__name__
