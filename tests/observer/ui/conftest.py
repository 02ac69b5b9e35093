"""A real server in a thread of its own around the checkpoint directories of a test, for a real Chromium."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from observer.app import make_app
from observer.auth import Guard
from observer.host import Host, Settings
from observer.inventory import Places
from observer.ui import render
from tests.browser import browser as browser
from tests.browser import context as context
from tests.browser import page as page
from tests.observer.build import Builder

ROOT = Path(__file__).parents[3]


class Site:
    """The server's address, what it reads, and a way into its loop."""

    def __init__(self, url: str, builder: Builder, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        self.url = url
        self.builder = builder
        self._host, self._loop = host, loop

    def settle(self) -> None:
        """Returns when the server has read all that was written; live tests leave it out and rely on inotify."""

        async def look() -> None:
            self._host.inventory.rescan()

        asyncio.run_coroutine_threadsafe(look(), self._loop).result(20)


@contextmanager
def serve(root: Path) -> Iterator[Site]:
    """An observer of `root`, in a thread with its own loop."""
    started: list[Site] = []
    ready, stop = threading.Event(), threading.Event()

    async def work() -> None:
        host = Host(Places((root,)), Settings(sampling=False), "host-1")
        await host.start()
        runner = web.AppRunner(make_app(host, render, Guard()), shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        started.append(Site(url, Builder(root), host, asyncio.get_running_loop()))
        ready.set()
        await asyncio.to_thread(stop.wait)
        await host.close()
        await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(work(),), daemon=True)
    thread.start()
    assert ready.wait(20), "the server did not start"
    try:
        yield started[0]
    finally:
        stop.set()
        thread.join(20)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    root = tmp_path / "root"
    root.mkdir()
    with serve(root) as served:
        yield served


def recently() -> float:
    """Where the clock of a fresh task stands, so that pages show sensible ages."""
    return time.time() - 60
