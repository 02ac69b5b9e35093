"""The file of a store: how it is made, taken into possession, checked and read.

    STORE/lock             flock'd by the one scheduler that uses the store, with its pid
    STORE/journal.sqlite   (+ -wal, -shm) `head`: whose it is and where the snapshot ends; `chunks`: the snapshot;
                           `records`: the operations behind it, one row a commit of a caller

The file is made beside its place and renamed, so one that is empty was not left by us. Every row has a checksum over
its content and its place; records are numbered without gaps. So what is read is what was written, or StoreDamaged.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from scheduler.store.journal import Fenced, StoreDamaged, StoreError, StoreInUse
from scheduler.store.wal import inspect_wal
from thermos.errors import HostError

FILE_NAME = "journal.sqlite"
LOCK_NAME = "lock"

#: "Auro": what `file` tells of it, and what makes another program's database no store.
APPLICATION_ID = 0x4175726F

#: Of the tables below and of all operations; a higher one is of a newer program.
FORMAT = 2

_SCHEMA = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {FORMAT}",
    "CREATE TABLE head (id INTEGER PRIMARY KEY, epoch INT, snapshot INT, chunks INT, through INT, crc INT)",
    "CREATE TABLE chunks (snapshot INT, number INT, crc INT, payload BLOB, PRIMARY KEY (snapshot, number))",
    "CREATE TABLE records (seq INTEGER PRIMARY KEY, crc INT, payload BLOB)",
)

#: What SQLite raises about a damaged file; its messages may quote bytes that are no text.
UNREADABLE = (sqlite3.Error, UnicodeDecodeError)

WHAT_TO_DO = "stop here, keep a copy of the directory, and put the latest backup in its place"


class Head(NamedTuple):
    """`snapshot` has so many `chunks` and stands for all records up to `through`."""

    epoch: int
    snapshot: int = 0
    chunks: int = 0
    through: int = 0

    @property
    def crc(self) -> int:
        return zlib.crc32(" ".join(map(str, self)).encode())


def checksum(payload: bytes, *place: int) -> int:
    """Of a row: moved elsewhere, it is wrong."""
    return zlib.crc32(payload, zlib.crc32(" ".join(map(str, place)).encode()))


# -- possession


def lock_store(directory: Path) -> int:
    """The file descriptor that holds the lock until it is closed. A link in its place is not followed: the pid would
    be written over some other file. Raises StoreError, StoreInUse."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        reason = "its lock is a link" if error.errno == errno.ELOOP else error.strerror
        raise StoreError(f"cannot use {directory}: {reason}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
        os.close(fd)
        raise StoreInUse(
            f"cannot use {directory}: another scheduler (pid {holder or 'unknown'}) uses it; stop that one first"
        ) from None
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
    except OSError:
        pass  # a full disk: the lock holds all the same, only the pid is unknown
    return fd


# -- opening


def open_file(directory: Path) -> sqlite3.Connection:
    """Of a locked directory; checked, or made. Raises StoreDamaged, StoreError."""
    path = directory / FILE_NAME
    try:
        if not path.exists() and not _wal_of(path).exists():
            make_file(directory)
        _check_bytes(path)
    except OSError as error:
        raise StoreError(f"cannot use {directory}: {error.strerror}") from error
    try:
        db = connect(path)
        try:
            check_database(db)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute(f"PRAGMA journal_size_limit = {64 << 20}")
        except HostError:
            db.close()
            raise
    except UNREADABLE as error:
        raise StoreDamaged(f"cannot use {path}: {error}; {WHAT_TO_DO}") from error
    return db


def connect(path: Path) -> sqlite3.Connection:
    """Transactions are said, not guessed; whoever uses the connection sees to it that one thread at a time does."""
    db = sqlite3.connect(path.absolute().as_uri() + "?mode=rw", uri=True, isolation_level=None, check_same_thread=False)
    db.text_factory = lambda text: text.decode("utf-8", "replace")
    db.execute("PRAGMA cell_size_check = ON")
    return db


def make_file(directory: Path) -> None:
    """An empty store, whole or not there."""
    new = directory / (FILE_NAME + ".new")
    for left in (new, new.with_name(new.name + "-journal")):
        left.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as db:
            db.execute("BEGIN")
            for statement in _SCHEMA:
                db.execute(statement)
            write_head(db, Head(epoch=0))
            db.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreError(f"cannot make a store in {directory}: {error}") from error
    new.chmod(0o600)
    put_in_place(new, directory / FILE_NAME)


def put_in_place(new: Path, path: Path) -> None:
    """Rename it, durably."""
    for target in (new, path.parent):
        if target == path.parent:
            new.replace(path)
        fd = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _wal_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _check_bytes(path: Path) -> None:
    """What SQLite would pass over in silence."""
    wal = _wal_of(path)
    if not path.exists() or path.stat().st_size == 0:
        raise StoreDamaged(f"cannot use {path}: it is {'empty' if path.exists() else 'missing'}; {WHAT_TO_DO}")
    state = inspect_wal(wal.read_bytes()) if wal.exists() else None
    if state is not None and state.is_damaged:
        what = "its head can't be read" if state.header_is_bad else f"{state.lost} commits stand behind a bad place"
        raise StoreDamaged(f"cannot use {wal}: {what}; {WHAT_TO_DO}")


def check_database(db: sqlite3.Connection) -> None:
    """Is it ours, of a version that we know, and whole?"""
    path = db.execute("PRAGMA database_list").fetchone()[2]
    if _number(db, "application_id") != APPLICATION_ID:
        raise StoreDamaged(f"cannot use {path}: it is no scheduler's store; {WHAT_TO_DO}")
    version = _number(db, "user_version")
    if version > FORMAT:
        raise StoreDamaged(
            f"cannot use {path}: it has format {version}, this program knows formats up to {FORMAT}; use a newer one"
        )
    problem = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    if problem != "ok":
        raise StoreDamaged(f"cannot use {path}: {' '.join(problem.split())}; {WHAT_TO_DO}")


def _number(db: sqlite3.Connection, pragma: str) -> int:
    return int(db.execute(f"PRAGMA {pragma}").fetchone()[0])


# -- the head


def read_head(db: sqlite3.Connection) -> Head:
    row = db.execute("SELECT epoch, snapshot, chunks, through, crc FROM head WHERE id = 1").fetchone()
    if row is None or Head(*row[:4]).crc != row[4]:
        raise StoreDamaged(f"cannot use {FILE_NAME}: its head is not what was written; {WHAT_TO_DO}")
    return Head(*row[:4])


def write_head(db: sqlite3.Connection, head: Head) -> None:
    db.execute("INSERT OR REPLACE INTO head VALUES (1, ?, ?, ?, ?, ?)", (*head, head.crc))


def take_over(db: sqlite3.Connection, epoch: int | None) -> Head:
    """Become the owner: with this epoch, or the next one. Raises Fenced when a later owner was there."""
    try:
        db.execute("BEGIN IMMEDIATE")
        try:
            head = read_head(db)
            if epoch is not None and epoch <= head.epoch:
                raise Fenced(f"cannot use the store with epoch {epoch}: epoch {head.epoch} has been here")
            head = head._replace(epoch=head.epoch + 1 if epoch is None else epoch)
            write_head(db, head)
            if _number(db, "user_version") < FORMAT:  # from now on there may be what older programs don't know
                db.execute(f"PRAGMA user_version = {FORMAT}")
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
    except UNREADABLE as error:
        raise StoreError(f"cannot write to the store: {error}") from error
    return head


# -- reading


def read_chunks(db: sqlite3.Connection, head: Head) -> Iterator[bytes]:
    """The snapshot."""
    rows = db.execute("SELECT number, crc, payload FROM chunks WHERE snapshot = ? ORDER BY number", (head.snapshot,))
    count = 0
    for number, crc, payload in rows:
        if number != count or not _is_right(payload, crc, head.snapshot, number):
            raise StoreDamaged(f"cannot read part {count} of the snapshot: it is not what was written; {WHAT_TO_DO}")
        yield payload
        count += 1
    if count != head.chunks:
        raise StoreDamaged(f"cannot read the snapshot: {count} parts of {head.chunks} are there; {WHAT_TO_DO}")


def read_records(db: sqlite3.Connection, head: Head) -> Iterator[bytes]:
    """What came behind it."""
    expected = head.through
    for seq, crc, payload in db.execute(
        "SELECT seq, crc, payload FROM records WHERE seq > ? ORDER BY seq", (expected,)
    ):
        expected += 1
        if seq != expected or not _is_right(payload, crc, seq):
            raise StoreDamaged(f"cannot read record {expected}: it is not what was written; {WHAT_TO_DO}")
        yield payload


def _is_right(payload: object, crc: object, *place: int) -> bool:
    return isinstance(payload, bytes) and checksum(payload, *place) == crc
