"""The tables and their journal as one thing, for the scheduler's loop.

    trial = store.trial()
    trial.apply(op)             # in memory at once: the next decision of this turn sees it
    await store.commit(trial)   # durable; only now anything of it may be told to anybody

A turn of the loop does not wait between a trial and its commit. Turns overlap: while one commit is being synced the
next ones are decided on top of it. When one fails, it and all on top of it are taken back, the latest first, and each
of their futures has the error; the tables are as they were, and the next turn may try again.

When the journal has grown long a snapshot is made beside all that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future

from msgspec import Struct

from scheduler.store.journal import Journal, StoreError
from scheduler.store.tables import replay
from scheduler.store.trial import Trial


class _Flight(Struct):
    """A commit on its way: what the journal promised, and what the loop waits for."""

    trial: Trial
    durable: Future[None]
    told: asyncio.Future[None]


class Store:
    """Of one event loop. Reads the whole journal; raises what `Journal.load` raises."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.tables = replay(journal.load())
        self.snapshots = 0  # made by this process
        self.snapshot_error: StoreError | None = None  # of the last one; a success clears it
        self._flights: deque[_Flight] = deque()
        self._snapshot: Future[None] | None = None

    def trial(self) -> Trial:
        return Trial(self.tables)

    def commit(self, trial: Trial) -> asyncio.Future[None]:
        """Raises StoreError when awaited; the trial is taken back then. To cancel the waiting cancels nothing else."""
        loop = asyncio.get_running_loop()
        flight = _Flight(trial, self.journal.append(trial.ops), loop.create_future())
        self._flights.append(flight)
        flight.durable.add_done_callback(lambda _: loop.call_soon_threadsafe(self._settle))
        return flight.told

    def snapshot(self) -> Future[None]:
        """Now; it does not keep commits waiting."""
        self._snapshot = self.journal.snapshot(self.tables)
        return self._snapshot

    async def close(self) -> None:
        """When everything that was committed is durable, and told."""
        await asyncio.to_thread(self.journal.close)
        self._settle()

    def _settle(self) -> None:
        """Tell what is durable, in order; take back from the first failure on."""
        while self._flights and self._flights[0].durable.done():
            error = self._flights[0].durable.exception()
            if error is not None:
                self._take_back(error)
                break
            told = self._flights.popleft().told
            if not told.done():
                told.set_result(None)
        self._mind_length()

    def _take_back(self, error: BaseException) -> None:
        for flight in reversed(self._flights):
            flight.trial.take_back()
        self.journal.resume()
        failed = list(self._flights)
        self._flights.clear()
        for flight in failed:
            if not flight.told.done():
                flight.told.set_exception(error)

    def _mind_length(self) -> None:
        if self._snapshot is not None:
            if not self._snapshot.done():
                return
            failure = self._snapshot.exception()
            self.snapshot_error = failure if isinstance(failure, StoreError) else None
            self.snapshots += failure is None
            self._snapshot = None
        if self.journal.is_long:
            self.snapshot()
