"""A disk that is full: callers get an error, nothing of it counts, and when there is space again it goes on."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scheduler.store.journal import StoreError
from scheduler.store.sqlite_file import FILE_NAME
from scheduler.store.sqlite_journal import SqliteJournal
from scheduler.store.tables import Tables, apply
from tests.scheduler.store.stores import PATIENCE_S, append, content, opened, quota, saved


@pytest.fixture
def file_limit() -> Iterator[Callable[[int | None], None]]:
    """No file of this process grows beyond so many bytes (Python ignores SIGXFSZ: a write fails)."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int | None) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size is None else size, hard))

    yield limit
    limit(None)


def write_until_refused(journal: SqliteJournal, tables: Tables, first: int, most: int = 2000) -> int:
    """The number of the operation that could not be written."""
    for number in range(first, most):
        try:
            append(journal, saved(number, 3000))
        except StoreError as error:
            assert str(error).startswith("cannot write to the store: ") and "\n" not in str(error)
            return number
        apply(tables, saved(number, 3000))
    raise AssertionError("the disk was never full")


def test_files_that_can_not_grow(tmp_path: Path, file_limit: Callable[[int | None], None]) -> None:
    with opened(tmp_path) as (journal, tables):
        append(journal, quota(1))
        apply(tables, quota(1))
        file_limit(300_000)
        refused = write_until_refused(journal, tables, 0)
        for _ in range(3):
            with pytest.raises(StoreError, match="a write before this one has failed"):
                append(journal, saved(refused, 3000))
        (tmp_path / "crashed").mkdir()
        for name in (FILE_NAME, FILE_NAME + "-wal"):
            shutil.copy(tmp_path / name, tmp_path / "crashed" / name)
        journal.resume()
        with pytest.raises(StoreError, match="nothing of it counts"):
            append(journal, saved(refused, 3000))
        file_limit(None)
        journal.resume()
        append(journal, saved(refused, 3000))
        apply(tables, saved(refused, 3000))
    assert content(tmp_path) == tables
    before = content(tmp_path / "crashed")
    assert len(before.tasks) == refused


def test_a_snapshot_without_space_loses_nothing(
    tmp_path: Path, file_limit: Callable[[int | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler.store.snapshot.LEVEL", 0)
    monkeypatch.setattr("scheduler.store.snapshot.CHUNK", 5)
    with opened(tmp_path) as (journal, tables):
        for number in range(40):
            append(journal, saved(number, 3000))
            apply(tables, saved(number, 3000))
        file_limit((tmp_path / (FILE_NAME + "-wal")).stat().st_size + 50_000)
        with pytest.raises(StoreError, match="nothing of it counts"):
            journal.snapshot(tables).result(PATIENCE_S)
        append(journal, quota(1))
        apply(tables, quota(1))
        file_limit(None)
        journal.snapshot(tables).result(PATIENCE_S)
    assert content(tmp_path) == tables


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = tmp_path / "disk"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("cannot mount a tmpfs here")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_a_file_system_that_is_full(small_disk: Path) -> None:
    directory = small_disk / "store"
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 300_000)
    with opened(directory) as (journal, tables):
        refused = write_until_refused(journal, tables, 0)
        journal.resume()
        ballast.unlink()
        append(journal, saved(refused, 3000))
        apply(tables, saved(refused, 3000))
        write_until_refused(journal, tables, refused + 1)
    with pytest.raises(StoreError, match=r"^cannot write to the store: .* full$"):
        SqliteJournal(directory)
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert content(directory) == tables


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_no_space_for_a_store_at_all(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(b"x" * 1_040_000)
    with pytest.raises(StoreError, match=r"^cannot (make a store in|use|write to)") as caught:
        SqliteJournal(small_disk / "store")
    assert "\n" not in str(caught.value)
    (small_disk / "ballast").unlink()
    assert len(content(small_disk / "store").tasks) == 0
