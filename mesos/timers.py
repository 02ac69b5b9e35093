"""Time for what runs on asyncio, as one seam: production takes the loop's clock, tests one that they set themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol


class Cancellable(Protocol):
    def cancel(self) -> None: ...


class Timers(Protocol):
    def now(self) -> float:
        """Monotonic seconds."""

    def call_later(self, seconds: float, call: Callable[[], None]) -> Cancellable: ...


class LoopTimers:
    """The running loop's clock (CLOCK_MONOTONIC)."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def call_later(self, seconds: float, call: Callable[[], None]) -> Cancellable:
        return asyncio.get_running_loop().call_later(seconds, call)


@asynccontextmanager
async def time_limit(timers: Timers, seconds: float) -> AsyncIterator[asyncio.Timeout]:
    """As asyncio.timeout, by `timers`; raises TimeoutError at the end of the block. `expire` ends it at once."""
    async with asyncio.timeout(None) as limit:
        timer = timers.call_later(seconds, lambda: expire(limit))
        try:
            yield limit
        finally:
            timer.cancel()


def expire(limit: asyncio.Timeout) -> None:
    if not limit.expired():
        limit.reschedule(asyncio.get_running_loop().time())
