"""A backup every now and then, in a thread of its own; what went wrong with one is said, and the next one is tried.

A snapshot comes first, so that the copy is short. The first backup after a start is made soon, if the newest one that
is there is older than the interval.

Source: spec/scheduler.md §8.2.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from scheduler.loop_stats import BackupStats
from scheduler.settings import BackupSettings
from scheduler.store.backup import back_up, list_backups
from scheduler.store.journal import StoreError
from scheduler.store.store import Store
from thermos.clock import Now

#: After a start, so that it is not a part of it.
FIRST_S = 60.0

_log = logging.getLogger(__name__)


class Backups:
    """Of a store in use. `stats` count them."""

    def __init__(
        self,
        store: Store,
        directory: Path,
        settings: BackupSettings,
        *,
        now: Callable[[], Now],
        stats: BackupStats | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.stats = stats or BackupStats()
        self._store = store
        self._directory = directory
        self._settings = settings
        self._now = now
        self._sleep = sleep

    async def run(self) -> None:
        """Until it is cancelled."""
        await self._sleep(await asyncio.to_thread(self._first_in))
        while True:
            await self.make()
            await self._sleep(self._settings.interval_s)

    async def make(self) -> Path | None:
        """One, now. None: it failed, and that was said."""
        stamp = time.strftime("%Y-%m-%d-%H-%M", time.gmtime(self._now().wall))
        try:
            await asyncio.wrap_future(self._store.snapshot())
            path = await asyncio.to_thread(
                back_up, self._directory, self._settings.directory, stamp, self._settings.keep
            )
        except StoreError as error:
            self.stats.failed += 1
            _log.error("%s", error)
            return None
        self.stats.succeeded += 1
        self.stats.last_at = self._now().wall
        return path

    def _first_in(self) -> float:
        """Seconds."""
        try:
            newest = max((path.stat().st_mtime for path in list_backups(self._settings.directory)), default=0.0)
        except OSError:
            newest = 0.0
        return max(FIRST_S, newest + self._settings.interval_s - self._now().wall)
