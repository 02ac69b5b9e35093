"""The disk is full for a while: what could not be stored did not happen, and all is well when there is room again."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from scheduler.core.states import ScheduleStatus
from scheduler.store.journal import StoreError
from scheduler.store.ops import Op
from scheduler.store.sqlite_journal import SqliteJournal
from tests.mesos.conformance.embedded import EmbeddedMesos
from tests.scheduler.e2e.scheduled import Scheduled, executors_of, job_of, key_of


class FullNow(SqliteJournal):
    """Refuses what is appended while `is_full`."""

    is_full = False

    def append(self, ops: Sequence[Op]) -> Future[None]:
        if not self.is_full:
            return super().append(ops)
        refusal: Future[None] = Future()
        refusal.set_exception(StoreError("cannot write to the store: no space left on device"))
        return refusal


async def test_a_disk_that_is_full_for_a_while(embedded: EmbeddedMesos, tmp_path: Path) -> None:
    async with Scheduled(embedded, tmp_path / "store", journal=FullNow) as scheduled:
        journal = scheduled.scheduler.store.journal
        assert isinstance(journal, FullNow)
        key = await scheduled.create(job_of("web", instances=2))
        first, second = await scheduled.running(key, 2)

        journal.is_full = True
        with pytest.raises(StoreError, match="no space left"):
            await scheduled.create(job_of("other"))
        assert scheduled.active(key_of("other")) == []
        with pytest.raises(StoreError):
            await scheduled.kill(key)
        for pid in executors_of(first.id):
            os.kill(pid, signal.SIGKILL)
        updates = updates_heard(scheduled)
        await scheduled.until(lambda: updates_heard(scheduled) > updates, "its end, which can't be stored")
        assert [task.status for task in scheduled.active(key)] == [ScheduleStatus.RUNNING] * 2

        journal.is_full = False
        await scheduled.until(lambda: not scheduled.scheduler.loop.is_in_trouble, "end of the pause")
        await scheduled.create(job_of("other"))
        await scheduled.running(key_of("other"))
        replaced, same = await scheduled.until(
            lambda: scheduled.active(key) if scheduled.active(key)[0].id != first.id else None, "replacement"
        )
        assert (replaced.ancestor_id, same.id) == (first.id, second.id)
        await scheduled.running(key, 2)
        assert scheduled.scheduler.loop.stats.failed_commits >= 1
        assert scheduled.scheduler.loop.stats.bugs == 0
        await scheduled.forget()


def updates_heard(scheduled: Scheduled) -> int:
    heard: int = scheduled.scheduler.link.state()["events"].get("UPDATE", 0)
    return heard
