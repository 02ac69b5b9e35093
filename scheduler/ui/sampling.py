"""Takes the samples of the cluster's charts, as long as the server runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from scheduler.api.asked import LOOP
from scheduler.core.states import ACTIVE
from scheduler.loop import Loop
from scheduler.ui.core.samples import EVERY_S, Samples

SAMPLES = web.AppKey("samples", Samples)


def take(loop: Loop, samples: Samples) -> None:
    """One. It costs the number of states."""
    engine = loop.engine
    counts = {status: engine.tables.tasks.count(status) for status in ACTIVE}
    latency = engine.stats.latency_s
    samples.add(loop.now().wall, counts, latency.count, latency.total)


async def sampling(app: web.Application) -> AsyncIterator[None]:
    """For `cleanup_ctx`."""
    work = asyncio.create_task(_forever(app[LOOP], app[SAMPLES]))
    yield
    work.cancel()
    await asyncio.wait({work})


async def _forever(loop: Loop, samples: Samples) -> None:
    while True:
        take(loop, samples)
        await asyncio.sleep(EVERY_S)
