"""The journal in its file: what is read is what was written; one owner; snapshots beside commits."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
from concurrent.futures import Future, wait
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.store import sqlite_journal, sqlite_writer
from scheduler.store.journal import Fenced, Journal, StoreError, StoreInUse
from scheduler.store.ops import Op
from scheduler.store.snapshot import Frozen
from scheduler.store.sqlite_file import FILE_NAME, Head, read_head, write_head
from scheduler.store.sqlite_journal import SqliteJournal
from scheduler.store.tables import Tables, apply, replay
from scheduler.store.trial import Trial
from tests.scheduler.store.stores import PATIENCE_S, append, content, opened, quota, saved
from tests.scheduler.store.worlds import any_op
from thermos.errors import Bug

#: What may happen to a journal besides an append.
steps = st.lists(st.one_of(st.lists(any_op, max_size=5), st.sampled_from(["snapshot", "reopen", "wait"])), max_size=25)


@settings(max_examples=60, deadline=None)
@given(steps, st.integers(1, 3))
def test_replay_equals_memory_with_snapshots_anywhere(script: list[list[Op] | str], chunk: int) -> None:
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr("scheduler.store.snapshot.CHUNK", chunk)
        patch.setattr(sqlite_writer, "PORTION", chunk)
        tables, journal = Tables(), SqliteJournal(Path(directory))
        assert list(journal.load()) == []
        promised: list[Future[None]] = []
        for step in script:
            if step == "snapshot":
                promised.append(journal.snapshot(tables))
            elif step == "wait":
                wait(promised, PATIENCE_S)
            elif step == "reopen":
                journal.close()
                journal = SqliteJournal(Path(directory))
                again = replay(journal.load())
                assert again == tables
                tables = again
            else:
                assert not isinstance(step, str)
                promised.append(journal.append(possible(tables, step)))
        journal.close()
        for future in promised:
            future.result(0)
        assert content(Path(directory)) == tables


def possible(tables: Tables, operations: list[Op]) -> list[Op]:
    """Applied, as far as that goes."""
    done: list[Op] = []
    for op in operations:
        trial = Trial(tables)
        try:
            trial.apply(op)
        except Bug:
            trial.take_back()
        else:
            done.append(op)
    return done


def test_it_is_a_journal(tmp_path: Path) -> None:
    with opened(tmp_path) as (sqlite, _):
        journal: Journal = sqlite
        assert not journal.is_long


def test_every_commit_is_synced(tmp_path: Path) -> None:
    """No test here can cut the power; SQLite's own tests do."""
    with opened(tmp_path) as (journal, _):
        asked = [journal._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")]
    assert asked == [2, "wal"]


def test_callers_share_commits(tmp_path: Path) -> None:
    with opened(tmp_path) as (journal, _):
        commits: list[int] = []
        commit = sqlite_writer.SqliteWriter.commit
        gate = threading.Event()

        def slow(self: sqlite_writer.SqliteWriter, payloads: list[bytes]) -> None:
            assert gate.wait(PATIENCE_S)
            commits.append(len(payloads))
            commit(self, payloads)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sqlite_writer.SqliteWriter, "commit", slow)
            futures = [journal.append([quota(n)]) for n in range(100)]
            assert not any(future.done() for future in futures)
            gate.set()
            wait(futures, PATIENCE_S)
        assert sum(commits) == 100 and len(commits) <= 2
    assert len(content(tmp_path).quotas) == 100


def test_nothing_is_told_before_it_can_be_read(tmp_path: Path) -> None:
    """Whenever a future is done, another connection finds the record."""
    with opened(tmp_path) as (journal, _), closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
        for n in range(20):
            append(journal, quota(n))
            assert other.execute("SELECT max(seq) FROM records").fetchone() == (n + 1,)


def test_an_empty_append_waits_for_those_before_it(tmp_path: Path) -> None:
    with opened(tmp_path) as (journal, _):
        first = journal.append([quota(1)])
        journal.append([]).result(PATIENCE_S)
        assert first.done()


def test_commits_go_on_between_the_steps_of_a_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.store.snapshot.CHUNK", 1)
    with opened(tmp_path) as (journal, tables):
        for n in range(50):
            apply(tables, quota(n))
            append(journal, quota(n))
        snapshot = journal.snapshot(tables)
        between = 0
        for n in range(50, 60):
            append(journal, quota(n))
            apply(tables, quota(n))
            between += not snapshot.done()
        assert between > 0
        snapshot.result(PATIENCE_S)
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
            assert other.execute("SELECT count(*) FROM records").fetchone() == (10,)
            assert other.execute("SELECT count(*) FROM chunks").fetchone() == (50,)
    assert content(tmp_path) == tables


def test_a_second_snapshot_follows_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.store.snapshot.CHUNK", 1)
    with opened(tmp_path) as (journal, tables):
        for n in range(10):
            apply(tables, quota(n))
        append(journal, *map(quota, range(10)))
        both = [journal.snapshot(tables), journal.snapshot(tables)]
        for future in both:
            future.result(PATIENCE_S)
    assert content(tmp_path) == tables


def test_every_step_of_a_snapshot_may_be_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a crash leaves of a snapshot is not read, and does not hinder the next one."""
    monkeypatch.setattr("scheduler.store.snapshot.CHUNK", 2)
    monkeypatch.setattr(sqlite_writer, "PORTION", 2)
    tables = Tables()
    with opened(tmp_path) as (journal, _):
        for n in range(9):
            apply(tables, quota(n))
            append(journal, quota(n))
    for stop in range(40):
        journal = SqliteJournal(tmp_path)
        tables = replay(journal.load())
        assert len(tables.quotas) == 9 + stop
        assert journal._writer is not None
        journal._writer.commit([sqlite_journal.encode_ops([quota(9 + stop)])])
        apply(tables, quota(9 + stop))
        walk = journal._writer.snapshot(Frozen(tables))
        for _ in range(stop % 14):
            next(walk, None)
        journal.close()
        assert content(tmp_path) == tables


def test_a_journal_asks_for_a_snapshot_when_it_is_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_journal, "LONG_BYTES", 2000)
    with opened(tmp_path) as (journal, tables):
        number = 0
        while not journal.is_long:
            append(journal, saved(number))
            apply(tables, saved(number))
            number += 1
        assert 2 < number < 20
        journal.snapshot(tables).result(PATIENCE_S)
        assert not journal.is_long


def test_a_snapshot_of_other_tables_is_a_bug(tmp_path: Path) -> None:
    with opened(tmp_path) as (journal, tables):
        append(journal, quota(1))
        with pytest.raises(Bug, match="the tables hold 0 operations, the journal 1"):
            journal.snapshot(tables)


def test_only_a_loaded_journal_is_appended_to(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    with pytest.raises(Bug, match="was not loaded"):
        journal.append([quota(1)])
    list(journal.load())
    with pytest.raises(Bug, match="twice"):
        list(journal.load())
    journal.close()


def test_a_closed_journal_refuses(tmp_path: Path) -> None:
    with opened(tmp_path) as (journal, _):
        pass
    with pytest.raises(StoreError, match="the journal is closed"):
        append(journal, quota(1))
    journal.close()


def test_closing_finishes_what_was_appended(tmp_path: Path) -> None:
    with opened(tmp_path) as (journal, _):
        futures = [journal.append([quota(n)]) for n in range(50)]
    assert all(future.done() and future.exception() is None for future in futures)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_a_thread_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as (journal, _):

        def broken(self: sqlite_writer.SqliteWriter, payloads: list[bytes]) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(sqlite_writer.SqliteWriter, "commit", broken)
        with pytest.raises(Bug, match="the writing thread has ended"):
            append(journal, quota(1))


# -- one owner


def test_a_lock_that_is_a_link_is_not_written_to(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("somebody's")
    store = tmp_path / "store"
    store.mkdir()
    (store / "lock").symlink_to(other)
    with pytest.raises(StoreError, match=f"^cannot use {store}: its lock is a link$"):
        SqliteJournal(store)
    assert other.read_text() == "somebody's"


def test_a_second_scheduler_is_refused_with_one_line(tmp_path: Path) -> None:
    with opened(tmp_path) as (journal, _):
        with pytest.raises(StoreInUse, match=rf"^cannot use {tmp_path}: another scheduler \(pid \d+\) uses it; .*$"):
            SqliteJournal(tmp_path)
        append(journal, quota(1))
    assert len(content(tmp_path).quotas) == 1


def test_a_store_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"^cannot use .*/file/store: Not a directory$"):
        SqliteJournal(tmp_path / "file" / "store")


def test_epochs_grow(tmp_path: Path) -> None:
    for expected in (1, 2, 3):
        with opened(tmp_path) as (journal, _):
            assert journal.epoch == expected
    with opened(tmp_path, epoch=7) as (journal, _):
        assert journal.epoch == 7
    with pytest.raises(Fenced, match="epoch 7 has been here"):
        SqliteJournal(tmp_path, epoch=7)
    assert len(content(tmp_path).quotas) == 0


def usurp(directory: Path) -> None:
    """Another scheduler, that the lock did not stop."""
    with closing(sqlite3.connect(directory / FILE_NAME, isolation_level=None)) as other:
        head = read_head(other)
        write_head(other, Head(head.epoch + 1, *head[1:]))


def test_a_deposed_owner_writes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as (journal, tables):
        apply(tables, quota(1))
        append(journal, quota(1))
        usurp(tmp_path)
        for _ in range(2):
            with pytest.raises(
                Fenced, match=r"a scheduler with epoch 2 has taken over from epoch 1; this one has to end$"
            ):
                append(journal, quota(2))
            journal.resume()
        with pytest.raises(StoreError):
            journal.snapshot(tables).result(PATIENCE_S)
    found = content(tmp_path)
    assert list(found.quotas) == ["r1"]
