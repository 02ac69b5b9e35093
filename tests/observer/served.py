"""A server around checkpoint directories of a test, in the test's own event loop: real sockets, real inotify."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from observer.app import make_app
from observer.auth import Guard
from observer.host import Host, Settings
from observer.inventory import Change, Places
from observer.pages import PageView, Renderer

T = TypeVar("T")

#: No test waits longer than this for something that has to happen.
PATIENCE = 20.0

QUIET = Settings(sampling=False)


def plain_render(template: str, view: PageView) -> str:
    """Says which template would be shown."""
    return f"<title>{template}</title>"


@dataclass
class Served:
    """What a test talks to."""

    host: Host
    client: TestClient[Any, Any]
    changes: asyncio.Queue[Change] = field(default_factory=asyncio.Queue)

    async def get(self, path: str, *, status: int = 200, headers: dict[str, str] | None = None) -> ClientResponse:
        """The answer, read; `path` is sent as it is written."""
        answer = await raw_get(self.client, path, headers)
        assert answer.status == status, f"{path}: {answer.status} {(await answer.text())[:500]}"
        return answer

    async def json(self, path: str, *, status: int = 200) -> Any:
        answer = await self.get(path, status=status)
        return json.loads(await answer.read())


async def raw_get(client: TestClient[Any, Any], path: str, headers: dict[str, str] | None = None) -> ClientResponse:
    url = URL(f"http://{client.host}:{client.port}{path}", encoded=True)
    answer = await client.session.get(url, headers=headers, allow_redirects=False)
    await answer.read()
    return answer


@asynccontextmanager
async def serving(
    *roots: Path,
    mesos: Path | None = None,
    settings: Settings = QUIET,
    guard: Guard = Guard(),  # noqa: B008  it is frozen
    render: Renderer = plain_render,
) -> AsyncIterator[Served]:
    host = Host(Places(tuple(roots), () if mesos is None else (mesos,)), settings, "host-1")
    changes: asyncio.Queue[Change] = asyncio.Queue()
    published = host.inventory._publish

    def tell(change: Change) -> None:
        published(change)
        changes.put_nowait(change)

    host.inventory._publish = tell
    client: TestClient[Any, Any] = TestClient(TestServer(make_app(host, render, guard)))
    await host.start()
    await client.start_server()
    try:
        yield Served(host, client, changes)
    finally:
        await host.close()
        await client.close()


def run(test: Callable[[], Awaitable[T]]) -> T:
    """Run an asynchronous test; nothing may hang."""

    async def bounded() -> T:
        async with asyncio.timeout(PATIENCE * 5):
            return await test()

    return asyncio.run(bounded())
