"""Backups: of a store in use, whole or not there, put back when nobody uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheduler.store.backup import back_up, check_backup, list_backups, restore
from scheduler.store.journal import StoreDamaged, StoreError, StoreInUse
from scheduler.store.sqlite_file import FILE_NAME
from scheduler.store.tables import Tables, apply
from tests.scheduler.store.stores import append, content, opened, quota


def filled(directory: Path, count: int) -> Tables:
    with opened(directory) as (journal, tables):
        for number in range(count):
            append(journal, quota(number))
            apply(tables, quota(number))
    return tables


def test_a_store_in_use_is_copied_as_it_is_now(tmp_path: Path) -> None:
    store, backups = tmp_path / "store", tmp_path / "backups"
    with opened(store) as (journal, tables):
        append(journal, quota(1))
        apply(tables, quota(1))
        copy = back_up(store, backups, "2026-11-26-13-00")
        append(journal, quota(2))
    assert copy.name == "scheduler-backup-2026-11-26-13-00"
    assert list_backups(backups) == [copy] == list(backups.iterdir())
    assert copy.stat().st_mode & 0o777 == 0o600
    restore(copy, tmp_path / "again")
    assert content(tmp_path / "again") == tables


def test_a_store_at_rest_too(tmp_path: Path) -> None:
    tables = filled(tmp_path / "store", 5)
    restore(back_up(tmp_path / "store", tmp_path, "a"), tmp_path / "again")
    assert content(tmp_path / "again") == tables == content(tmp_path / "store")


def test_the_oldest_go(tmp_path: Path) -> None:
    filled(tmp_path / "store", 1)
    for stamp in ("3", "1", "4", "2"):
        back_up(tmp_path / "store", tmp_path / "backups", stamp, keep=2)
    assert [path.name[-1] for path in list_backups(tmp_path / "backups")] == ["2", "4"]


def test_restoring_keeps_what_was_in_its_way(tmp_path: Path) -> None:
    filled(tmp_path / "store", 3)
    copy = back_up(tmp_path / "store", tmp_path, "a")
    filled(tmp_path / "other", 7)
    restore(copy, tmp_path / "other")
    assert len(content(tmp_path / "other").quotas) == 3
    assert (tmp_path / "other" / (FILE_NAME + ".replaced")).exists()


def test_a_store_in_use_is_not_replaced(tmp_path: Path) -> None:
    filled(tmp_path / "store", 3)
    copy = back_up(tmp_path / "store", tmp_path, "a")
    with opened(tmp_path / "store"), pytest.raises(StoreInUse):
        restore(copy, tmp_path / "store")


def test_a_damaged_backup_is_refused(tmp_path: Path) -> None:
    filled(tmp_path / "store", 30)
    copy = back_up(tmp_path / "store", tmp_path, "a")
    copy.write_bytes(copy.read_bytes()[:5000])
    for act in (lambda: check_backup(copy), lambda: restore(copy, tmp_path / "again")):
        with pytest.raises(StoreDamaged) as caught:
            act()
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "again").exists()


def test_a_damaged_store_gives_no_backup(tmp_path: Path) -> None:
    filled(tmp_path / "store", 30)
    path = tmp_path / "store" / FILE_NAME
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(StoreError):
        back_up(tmp_path / "store", tmp_path / "backups", "a")
    assert list_backups(tmp_path / "backups") == []


def test_a_backup_that_can_not_be_written(tmp_path: Path) -> None:
    filled(tmp_path / "store", 1)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"^cannot back up"):
        back_up(tmp_path / "store", tmp_path / "file", "a")


def test_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        back_up(tmp_path / "nowhere", tmp_path / "backups", "a")
    assert not (tmp_path / "nowhere").exists()
