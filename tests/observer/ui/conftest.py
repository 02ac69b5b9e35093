"""A real Chromium, and a real server in a thread of its own around the checkpoint directories of a test.

No Chromium: `scripts/setup-browser` installs one, or the tests fail with its reason; they are never skipped.
"""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from observer.app import make_app
from observer.auth import Guard
from observer.host import Host, Settings
from observer.inventory import Places
from observer.ui import render
from tests.observer.build import Builder

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = subprocess.run([ROOT / "scripts" / "setup-browser"], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.fail(f"the browser tests need a Chromium: {found.stderr.strip()}")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found.stdout.strip(), args=["--no-sandbox"])
        yield chromium
        chromium.close()


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


@pytest.fixture
def context(browser: Browser, site: Site) -> Iterator[BrowserContext]:
    made = browser.new_context(base_url=site.url, viewport={"width": 1280, "height": 900}, accept_downloads=True)
    made.set_default_timeout(10_000)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page whose console stays clean, or the test fails."""
    made, said = context.new_page(), []
    made.on("console", lambda message: said.append(message.text) if message.type in {"error", "warning"} else None)
    made.on("pageerror", lambda error: said.append(str(error)))
    yield made
    assert said == []


def recently() -> float:
    """Where the clock of a fresh task stands, so that pages show sensible ages."""
    return time.time() - 60
