"""A server that listens and says nothing."""

from __future__ import annotations

import asyncio


class SilentServer:
    """`asked` is set when somebody connected; leaving waits until nobody is."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._handlers: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> SilentServer:
        self._server = await asyncio.start_server(self._listen, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        async with asyncio.timeout(10):
            await asyncio.gather(*self._handlers)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self.asked.set()
        try:
            await reader.read()
        except ConnectionError:
            pass  # broken, not closed
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            pass
