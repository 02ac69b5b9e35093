"""An aiohttp server on a loopback port that can end in order or, like a killed process, between two bytes."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from mesos.local.http_gate import answer, check_caller, check_loopback
from mesos.local.http_words import Refusal
from thermos.errors import HostError

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpServer:
    """All requests that no web page made go to one handler, which is cancelled when its client goes. What it did not
    expect is an error of ours: it goes to the loop's exception handler, and the client hears 500."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        app = web.Application(client_max_size=0)  # bodies are read and bounded by the gate
        app.router.add_route("*", "/{path:.*}", self._guarded)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2, handle_signals=False
        )

    async def start(self, host: str, port: int) -> None:
        check_loopback(host)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port, reuse_address=True).start()
        except OSError as error:
            await self._runner.cleanup()
            why = "something else listens there" if error.errno == errno.EADDRINUSE else error.strerror
            raise HostError(f"cannot listen on {host}:{port}: {why}") from error

    async def stop(self) -> None:
        """Connections that are open are broken: a client that keeps one alive must not hold up the end."""
        for connection in self._connections():
            if connection.transport is not None:
                connection.transport.abort()
        await self._runner.cleanup()

    async def _guarded(self, request: web.Request) -> web.StreamResponse:
        try:
            check_caller(request.headers)
            return await self._handle(request)
        except Refusal as refusal:
            return answer(refusal.status, refusal.text, refusal.headers)
        except ConnectionError:
            raise  # the client is gone
        except Exception as error:
            context = {"message": f"{request.method} {request.path} failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            return web.Response(status=500, text=f"Internal error, please report it: {type(error).__name__}: {error}")

    def _connections(self) -> list[Any]:
        server = self._runner.server
        return list(server.connections) if server is not None else []
