"""The tables and the journal together, in an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from scheduler.core.states import ScheduleStatus
from scheduler.store import ops, sqlite_journal
from scheduler.store.journal import StoreError
from scheduler.store.ops import Op
from scheduler.store.sqlite_journal import SqliteJournal
from scheduler.store.sqlite_writer import SqliteWriter
from scheduler.store.store import Store
from scheduler.store.tables import Tables
from tests.scheduler.store.stores import PATIENCE_S, content, quota, saved
from tests.scheduler.store.worlds import task_of
from thermos.errors import Bug


class Gate:
    """Commits wait until it is opened, and then fail as often as they shall."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.is_open = threading.Event()
        self.is_open.set()
        self.failures = 0
        self.failed = 0
        commit = SqliteWriter.commit

        def gated(writer: SqliteWriter, payloads: list[bytes]) -> None:
            assert self.is_open.wait(PATIENCE_S)
            if payloads and self.failures > self.failed:
                self.failed += 1
                raise StoreError("cannot write to the store: the test says so")
            commit(writer, payloads)

        patch.setattr(SqliteWriter, "commit", gated)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


def run(directory: Path, act: Callable[[Store], object]) -> Tables:
    """`act` is a coroutine function over a store; gives its tables, which the file leads to, too."""

    async def main() -> Tables:
        store = Store(SqliteJournal(directory))
        await act(store)  # type: ignore[misc]
        await store.close()
        return store.tables

    tables = asyncio.run(main())
    assert content(directory) == tables
    return tables


def tried(store: Store, *operations: Op) -> asyncio.Future[None]:
    trial = store.trial()
    for op in operations:
        trial.apply(op)
    return store.commit(trial)


def test_memory_is_ahead_and_the_word_is_behind(tmp_path: Path, gate: Gate) -> None:
    async def act(store: Store) -> None:
        gate.is_open.clear()
        told = tried(store, saved(1))
        assert "t1" in store.tables.tasks
        await asyncio.sleep(0)
        assert not told.done()
        gate.is_open.set()
        await told

    assert "t1" in run(tmp_path, act).tasks


def test_turns_overlap_and_are_told_in_order(tmp_path: Path) -> None:
    order: list[int] = []

    async def turn(store: Store, number: int) -> None:
        await tried(store, quota(number))
        order.append(number)

    async def act(store: Store) -> None:
        await asyncio.gather(*(turn(store, number) for number in range(200)))

    assert len(run(tmp_path, act).quotas) == 200
    assert order == list(range(200))


@pytest.mark.parametrize("group_bytes", [1, sqlite_journal.GROUP_BYTES])
def test_a_failure_takes_back_all_that_was_built_on_it(
    tmp_path: Path, gate: Gate, group_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it was one commit or several."""
    monkeypatch.setattr(sqlite_journal, "GROUP_BYTES", group_bytes)

    async def act(store: Store) -> None:
        await tried(store, ops.SaveTasks(tasks=(task_of("old", status=ScheduleStatus.RUNNING),)))
        gate.is_open.clear()
        gate.failures = 1
        first = tried(store, ops.SaveTasks(tasks=(task_of("old", status=ScheduleStatus.FAILED), task_of("new"))))
        second = tried(store, ops.SaveTasks(tasks=(task_of("new", status=ScheduleStatus.ASSIGNED, host="h1"),)))
        gate.is_open.set()
        for told in (first, second):
            with pytest.raises(StoreError, match="cannot write to the store"):
                await told
        assert gate.failed == 1
        found = store.tables.tasks.get("old")
        assert found is not None and found.status is ScheduleStatus.RUNNING
        assert "new" not in store.tables.tasks
        await tried(store, quota(1))

    assert list(run(tmp_path, act).quotas) == ["r1"]


def test_many_failures_in_between(tmp_path: Path, gate: Gate) -> None:
    async def turn(store: Store, number: int) -> bool:
        await asyncio.sleep(0.0005 * (number % 13))
        try:
            await tried(store, quota(number))
        except StoreError:
            return False
        return True

    async def act(store: Store) -> None:
        gate.failures = 10
        kept: list[bool] = []
        while gate.failed < 10:
            first = len(kept)
            kept += await asyncio.gather(*(turn(store, number) for number in range(first, first + 30)))
        assert not all(kept)
        assert {f"r{n}" for n, is_kept in enumerate(kept) if is_kept} == set(store.tables.quotas)
        await store_snapshot(store)

    run(tmp_path, act)


async def store_snapshot(store: Store) -> None:
    await asyncio.wrap_future(store.snapshot())


def test_who_no_longer_waits_changes_nothing(tmp_path: Path, gate: Gate) -> None:
    async def act(store: Store) -> None:
        gate.is_open.clear()
        told = tried(store, quota(1))
        told.cancel()
        gate.is_open.set()
        await tried(store, quota(2))

    assert set(run(tmp_path, act).quotas) == {"r1", "r2"}


def test_a_snapshot_with_commits_in_flight_that_fail(tmp_path: Path, gate: Gate) -> None:
    async def act(store: Store) -> None:
        await tried(store, quota(1))
        gate.is_open.clear()
        gate.failures = 1
        told = tried(store, quota(2))
        snapshot = store.snapshot()
        gate.is_open.set()
        with pytest.raises(StoreError):
            await told
        with pytest.raises(StoreError):
            await asyncio.wrap_future(snapshot)
        await tried(store, quota(3))
        assert isinstance(store.snapshot_error, StoreError)
        await store_snapshot(store)
        await tried(store, quota(4))
        assert store.snapshot_error is None

    assert set(run(tmp_path, act).quotas) == {"r1", "r3", "r4"}


def test_a_long_journal_is_shortened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_journal, "LONG_BYTES", 4000)

    async def act(store: Store) -> None:
        for number in range(60):
            await tried(store, saved(number % 5))
        assert isinstance(store.journal, SqliteJournal) and store.journal._writer is not None
        assert store.journal._writer.snapshot_bytes > 0
        assert store.journal._writer.tail_bytes < 60 * 300

    run(tmp_path, act)


def test_an_impossible_trial_can_be_taken_back(tmp_path: Path) -> None:
    async def act(store: Store) -> None:
        trial = store.trial()
        trial.apply(saved(1))
        with pytest.raises(Bug):
            trial.apply(ops.SaveTasks(tasks=(task_of("a"), task_of("b"))))
        trial.take_back()
        await store.commit(trial)

    assert len(run(tmp_path, act).tasks) == 0
