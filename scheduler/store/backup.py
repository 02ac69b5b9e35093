"""Copies of a store: taken while it is in use, kept to a number, put back when nobody uses it.

A backup is one file, a store's `journal.sqlite` with everything in it. It is made beside its place under another name,
checked, and renamed; what has a backup's name is a whole one.

Source: spec/scheduler.md §8.2.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from scheduler.store.journal import StoreDamaged, StoreError, StoreInUse
from scheduler.store.sqlite_file import (
    FILE_NAME,
    UNREADABLE,
    check_database,
    connect,
    lock_store,
    open_file,
    put_in_place,
    read_chunks,
    read_head,
    read_records,
)

PREFIX = "scheduler-backup-"
KEPT = 48


def back_up(directory: Path, backups: Path, stamp: str, keep: int = KEPT) -> Path:
    """A copy of the store as it is now, called after the stamp (`2026-11-26-13-00`). May be called from any process.

    Blocks for as long as the copying takes; commits of the scheduler go on meanwhile. Raises StoreError.
    """
    path = backups / (PREFIX + stamp)
    temporary = backups / ("temp_" + path.name)
    try:
        if not (directory / FILE_NAME).exists():
            raise StoreError(f"cannot back up {directory}: there is no store")
        _check_at_rest(directory)
        backups.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        try:
            _copy(directory / FILE_NAME, temporary)
            put_in_place(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        others = [other for other in list_backups(backups) if other != path]
        for old in others[: max(0, len(others) + 1 - keep)]:
            old.unlink()
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"cannot back up {directory} to {path}: {error}") from error
    return path


def list_backups(backups: Path) -> list[Path]:
    """The oldest first."""
    return sorted(path for path in backups.glob(PREFIX + "*") if not path.name.endswith(("-wal", "-shm", "-journal")))


def restore(backup: Path, directory: Path) -> None:
    """Make a store of a backup. What is in its way goes to `*.replaced`. Raises StoreError, also its special ones."""
    check_backup(backup)
    lock = lock_store(directory)
    try:
        new = directory / (FILE_NAME + ".new")
        new.unlink(missing_ok=True)
        _copy(backup, new)
        for name in (FILE_NAME, FILE_NAME + "-wal", FILE_NAME + "-shm"):
            old = directory / name
            if old.exists():
                old.replace(old.with_name(old.name + ".replaced"))
        put_in_place(new, directory / FILE_NAME)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"cannot restore {backup} to {directory}: {error}") from error
    finally:
        os.close(lock)


def check_backup(backup: Path) -> None:
    """Every row of it. Raises StoreDamaged."""
    try:
        with closing(connect(backup)) as db:
            check_database(db)
            head = read_head(db)
            for rows in (read_chunks(db, head), read_records(db, head)):
                for _ in rows:
                    pass
    except UNREADABLE as error:
        raise StoreDamaged(f"cannot use {backup}: {error}") from error


def _check_at_rest(directory: Path) -> None:
    """A store that nobody uses is checked as at a start; one in use was."""
    try:
        lock = lock_store(directory)
    except StoreInUse:
        return
    try:
        open_file(directory).close()
    finally:
        os.close(lock)


def _copy(source: Path, target: Path) -> None:
    """One consistent view; the copy is a file by itself."""
    with closing(connect(source)) as original, closing(sqlite3.connect(target, isolation_level=None)) as copy:
        original.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
    target.chmod(0o600)
    check_backup(target)
