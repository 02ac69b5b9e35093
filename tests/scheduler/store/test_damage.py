"""Files that are not what was written: told in one line with what to do, never read as something else."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from scheduler.store.journal import StoreDamaged, StoreError
from scheduler.store.sqlite_file import FILE_NAME
from scheduler.store.sqlite_journal import SqliteJournal
from scheduler.store.tables import Tables, apply
from scheduler.store.wal import FRAME_HEADER_BYTES, HEADER_BYTES, inspect_wal
from tests.scheduler.store.stores import append, content, opened, quota, saved

WAL = FILE_NAME + "-wal"
FLIPS = int(os.environ.get("STORE_FLIPS", "150"))


@pytest.fixture
def at_rest(tmp_path: Path) -> tuple[Path, Tables]:
    """A store that was closed: a snapshot and records behind it, all in the main file."""
    directory = tmp_path / "store"
    with opened(directory) as (journal, tables):
        for n in range(120):
            apply(tables, saved(n))
            append(journal, saved(n))
            if n == 60:
                journal.snapshot(tables).result(20)
    return directory, tables


@pytest.fixture
def crashed(tmp_path: Path) -> tuple[Path, Tables]:
    """A store as a crash leaves it: the latest commits are in the write-ahead log."""
    live, directory = tmp_path / "live", tmp_path / "store"
    with opened(live) as (journal, tables):
        for n in range(12):
            apply(tables, quota(n))
            append(journal, quota(n))
        directory.mkdir()
        for name in (FILE_NAME, WAL):
            shutil.copy(live / name, directory / name)
    return directory, tables


def refusal(directory: Path) -> str:
    with pytest.raises(StoreError) as caught:
        content(directory)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_flipped_bytes_are_found_or_harmless(at_rest: tuple[Path, Tables], tmp_path: Path) -> None:
    directory, tables = at_rest
    good = (directory / FILE_NAME).read_bytes()
    chance = random.Random(1)
    found = 0
    for _ in range(FLIPS):
        bad = bytearray(good)
        for _ in range(chance.choice((1, 1, 8))):
            bad[chance.randrange(len(bad))] ^= chance.randrange(1, 256)
        (directory / FILE_NAME).write_bytes(bad)
        for name in (WAL, FILE_NAME + "-shm"):
            (directory / name).unlink(missing_ok=True)
        try:
            assert content(directory) == tables
        except StoreError as error:
            assert "\n" not in str(error)
            found += 1
    assert found > FLIPS // 2


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 0.999])
def test_a_torn_file(at_rest: tuple[Path, Tables], share: float) -> None:
    directory, _ = at_rest
    os.truncate(directory / FILE_NAME, int((directory / FILE_NAME).stat().st_size * share))
    assert "put the latest backup in its place" in refusal(directory)


def test_another_file(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("not a database, " * 500)
    assert "file is not a database" in refusal(tmp_path)


def test_another_programs_database(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
        other.execute("CREATE TABLE t (x)")
    assert "it is no scheduler's store" in refusal(tmp_path)


def alter(directory: Path, *statements: str) -> None:
    with closing(sqlite3.connect(directory / FILE_NAME, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def test_a_future_version(at_rest: tuple[Path, Tables]) -> None:
    directory, _ = at_rest
    alter(directory, "PRAGMA user_version = 3")
    assert refusal(directory).endswith("it has format 3, this program knows formats up to 2; use a newer one")


def test_a_store_of_the_first_format_is_read_and_becomes_one_of_ours(at_rest: tuple[Path, Tables]) -> None:
    directory, tables = at_rest
    alter(directory, "PRAGMA user_version = 1")
    assert content(directory) == tables
    with closing(sqlite3.connect(directory / FILE_NAME)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM records WHERE seq = 100", "cannot read record 100: it is not what was written"),
        ("UPDATE records SET payload = 'text' WHERE seq = 100", "cannot read record 100: it is not what was written"),
        ("UPDATE records SET seq = 1000 WHERE seq = 120", "cannot read record 120: it is not what was written"),
        ("DELETE FROM chunks WHERE number = 0", "cannot read the snapshot: 0 parts of 1 are there"),
        ("UPDATE chunks SET crc = crc + 1", "cannot read part 0 of the snapshot: it is not what was written"),
        ("UPDATE head SET through = 0", "its head is not what was written"),
        ("DELETE FROM head", "its head is not what was written"),
        ("DROP TABLE records", "no such table: records"),
    ],
)
def test_rows_that_are_not_what_was_written(at_rest: tuple[Path, Tables], statement: str, told: str) -> None:
    directory, _ = at_rest
    alter(directory, statement)
    line = refusal(directory)
    assert told in line and "put the latest backup in its place" in line


def test_a_refusal_leaves_the_lock_free(at_rest: tuple[Path, Tables]) -> None:
    directory, tables = at_rest
    alter(directory, "PRAGMA user_version = 3")
    refusal(directory)
    alter(directory, "PRAGMA user_version = 2")
    assert content(directory) == tables


# -- the write-ahead log


def frames(wal: bytes) -> list[int]:
    page = int.from_bytes(wal[8:12], "big")
    return list(range(HEADER_BYTES, len(wal), FRAME_HEADER_BYTES + page))


def test_a_crash_leaves_a_log_that_is_read(crashed: tuple[Path, Tables]) -> None:
    directory, tables = crashed
    state = inspect_wal((directory / WAL).read_bytes())
    assert not state.is_damaged and state.frames > 10
    assert content(directory) == tables


def test_what_was_being_written_is_forgotten(crashed: tuple[Path, Tables]) -> None:
    directory, tables = crashed
    os.truncate(directory / WAL, (directory / WAL).stat().st_size - 100)
    found = content(directory)
    assert list(found.quotas) == list(tables.quotas)[:-1]


def flip(at: Callable[[list[int]], int]) -> Callable[[bytearray], None]:
    def change(wal: bytearray) -> None:
        wal[at(frames(bytes(wal)))] ^= 1

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (flip(lambda frames: 5), "its head can't be read"),
        (flip(lambda frames: 17), "its head can't be read"),
        (flip(lambda frames: frames[2] + 500), "commits stand behind a bad place"),
        (flip(lambda frames: frames[2] + 9), "commits stand behind a bad place"),
        (flip(lambda frames: frames[-6] + 3000), "commits stand behind a bad place"),
    ],
)
def test_a_flipped_byte_in_the_log_takes_nothing_along(
    crashed: tuple[Path, Tables], change: Callable[[bytearray], None], told: str
) -> None:
    """SQLite alone would forget all commits behind it without a word."""
    directory, _ = crashed
    wal = bytearray((directory / WAL).read_bytes())
    change(wal)
    (directory / WAL).write_bytes(wal)
    for _ in range(2):
        assert told in refusal(directory)
        assert (directory / WAL).read_bytes() == wal, "what can still be read is not destroyed"


def test_a_log_of_an_empty_file(crashed: tuple[Path, Tables]) -> None:
    directory, _ = crashed
    os.truncate(directory / FILE_NAME, 0)
    assert "it is empty" in refusal(directory)
    assert (directory / WAL).stat().st_size > 0


def test_a_log_without_its_file(crashed: tuple[Path, Tables]) -> None:
    """SQLite would play it into an empty database."""
    directory, _ = crashed
    (directory / FILE_NAME).unlink()
    assert "it is missing" in refusal(directory)


def test_a_log_that_began_anew_over_an_older_one_is_no_damage(tmp_path: Path) -> None:
    """Frames of its former generation stand behind its end."""
    live, copy = tmp_path / "live", tmp_path / "copy"
    copy.mkdir()
    with opened(live) as (journal, tables):
        journal._db.execute("PRAGMA wal_autocheckpoint = 9")
        for n in range(60):
            apply(tables, saved(n, n % 5 * 2000))
            append(journal, saved(n, n % 5 * 2000))
            for name in (FILE_NAME, WAL):
                shutil.copy(live / name, copy / name)
            assert not inspect_wal((copy / WAL).read_bytes()).is_damaged
            assert content(copy) == tables


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 4000])
def test_the_beginning_of_a_log_is_no_damage(size: int, crashed: tuple[Path, Tables]) -> None:
    directory, _ = crashed
    os.truncate(directory / WAL, size)
    assert not inspect_wal((directory / WAL).read_bytes()).is_damaged


def test_a_file_that_was_being_made_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / (FILE_NAME + ".new")).write_text("half")
    SqliteJournal(tmp_path).close()
    assert len(content(tmp_path).tasks) == 0


def test_damaged_is_a_store_error() -> None:
    assert issubclass(StoreDamaged, StoreError)
