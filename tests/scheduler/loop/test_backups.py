"""Backups of a store in use: when, how many, and what a failure does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from scheduler.backups import FIRST_S, Backups
from scheduler.settings import BackupSettings
from scheduler.store.backup import list_backups
from scheduler.store.sqlite_journal import SqliteJournal
from scheduler.store.store import Store
from tests.scheduler.store.stores import quota
from thermos.clock import Now

START = 1_800_000_000.0


class Enough(Exception):
    """The test has seen it all."""


async def made(tmp_path: Path, target: Path, sleeps: int, *, started: float = START) -> tuple[Backups, list[float]]:
    """Of a store with something in it; runs through so many sleeps, whose lengths are told."""
    store = Store(SqliteJournal(tmp_path / "store"))
    trial = store.trial()
    trial.apply(quota(1))
    await store.commit(trial)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) > sleeps:
            raise Enough

    def now() -> Now:
        return Now(started + sum(slept), sum(slept))

    backups = Backups(store, tmp_path / "store", BackupSettings(target, 3600.0, 2), now=now, sleep=sleep)
    with pytest.raises(Enough):
        await backups.run()
    await store.close()
    return backups, slept


async def test_a_backup_every_interval(tmp_path: Path) -> None:
    backups, slept = await made(tmp_path, tmp_path / "b", 3)
    assert slept == [FIRST_S, 3600.0, 3600.0, 3600.0]
    names = [path.name for path in list_backups(tmp_path / "b")]
    assert names == ["scheduler-backup-2027-01-15-09-01", "scheduler-backup-2027-01-15-10-01"]  # of three
    assert (backups.stats.succeeded, backups.stats.failed) == (3, 0)
    assert backups.stats.last_at == START + sum(slept[:-1])


async def test_after_a_start_the_newest_one_counts(tmp_path: Path) -> None:
    await made(tmp_path, tmp_path / "b", 1)
    (newest,) = list_backups(tmp_path / "b")
    _, slept = await made(tmp_path, tmp_path / "b", 0, started=newest.stat().st_mtime + 600)
    assert slept == [pytest.approx(3000.0)]


async def test_a_failure_is_said_and_the_next_one_tried(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "b").write_text("a file in the way")
    backups, slept = await made(tmp_path, tmp_path / "b", 2)
    assert (backups.stats.failed, len(slept)) == (2, 3)
    assert "cannot back up" in caplog.text
    assert not asyncio.all_tasks() - {asyncio.current_task()}
