"""A server in a thread of its own with a world in it, for the browser to look at."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.browser import browser as browser
from tests.browser import context as context
from tests.browser import page as page
from tests.scheduler.api.served import Served, serving
from tests.scheduler.ui.world import fill


class Site:
    """Its address, and a way to let something happen there."""

    def __init__(self, served: Served, loop: asyncio.AbstractEventLoop) -> None:
        self.url = served.base
        self.served = served
        self._loop = loop

    def do(self, what: Callable[[Served], Awaitable[Any]]) -> Any:
        async def work() -> Any:
            return await what(self.served)

        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(60)


@contextmanager
def serve(name: str = "") -> Iterator[Site]:
    started: list[Site] = []
    ready, stop = threading.Event(), threading.Event()

    async def work() -> None:
        async with serving() as served:
            await fill(served, name)
            started.append(Site(served, asyncio.get_running_loop()))
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(work(),), daemon=True)
    thread.start()
    assert ready.wait(60), "the server did not start"
    try:
        yield started[0]
    finally:
        stop.set()
        thread.join(60)


@pytest.fixture
def site() -> Iterator[Site]:
    with serve() as served:
        yield served
