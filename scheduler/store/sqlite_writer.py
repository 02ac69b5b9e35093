"""What the writing thread does to the file: groups of records in one transaction, snapshots step by step.

No threads and no futures here: a call returns when it is durable, or raises StoreError and nothing of it counts. Every
transaction looks first whether the store is still ours.

A snapshot must not keep commits waiting: each chunk is a transaction of its own under the next snapshot's number, one
more makes it the one that counts, and what it stands for is deleted in portions. Whatever a crash leaves of that is
not read and goes with the next snapshot.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from scheduler.store.journal import Fenced, StoreError
from scheduler.store.snapshot import Frozen
from scheduler.store.sqlite_file import UNREADABLE, Head, checksum, read_head, write_head

#: Rows that one transaction deletes.
PORTION = 1000


class SqliteWriter:
    """`last` is the number of the last record, `tail_bytes` the length of the records behind the snapshot."""

    def __init__(self, db: sqlite3.Connection, head: Head, last: int, tail_bytes: int) -> None:
        self.last = last
        self.tail_bytes = tail_bytes
        self.snapshot_bytes = 0
        self._db = db
        self._head = head

    def commit(self, payloads: Sequence[bytes]) -> None:
        """All or none."""
        if not payloads:
            return
        with self._transaction():
            rows = [(seq, checksum(p, seq), p) for seq, p in enumerate(payloads, self.last + 1)]
            self._db.executemany("INSERT INTO records VALUES (?, ?, ?)", rows)
        self.last += len(payloads)
        self.tail_bytes += sum(map(len, payloads))

    def snapshot(self, frozen: Frozen) -> Iterator[None]:
        """Of the tables as they are behind the last record; commits may come between the steps."""
        through, tail = self.last, self.tail_bytes
        number = self._head.snapshot + 1
        yield from self._delete("chunks", "snapshot <> ?", self._head.snapshot)
        count = size = 0
        for chunk in frozen.chunks():
            with self._transaction():
                crc = checksum(chunk, number, count)
                self._db.execute("INSERT INTO chunks VALUES (?, ?, ?, ?)", (number, count, crc, chunk))
            count += 1
            size += len(chunk)
            yield
        head = Head(self._head.epoch, number, count, through)
        with self._transaction():
            write_head(self._db, head)
        self._head = head
        self.tail_bytes -= tail
        self.snapshot_bytes = size
        yield from self._delete("chunks", "snapshot <> ?", number)
        yield from self._delete("records", "seq <= ?", through)

    def close(self) -> None:
        """Nothing is left to do; an error now would change nothing."""
        try:
            self._db.close()
        except sqlite3.Error:
            pass  # what it could not tidy up is read from the log at the next start

    def _delete(self, table: str, condition: str, value: int) -> Iterator[None]:
        statement = f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE {condition} LIMIT {PORTION})"
        while True:
            with self._transaction():
                deleted = self._db.execute(statement, (value,)).rowcount
            if deleted == 0:
                return
            yield

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._check_epoch()
            yield
            self._db.execute("COMMIT")
        except UNREADABLE as error:
            raise StoreError(f"cannot write to the store: {error}; nothing of it counts") from error
        finally:
            self._roll_back()

    def _check_epoch(self) -> None:
        epoch = read_head(self._db).epoch
        if epoch != self._head.epoch:
            raise Fenced(
                f"cannot write to the store: a scheduler with epoch {epoch} has taken over from epoch"
                f" {self._head.epoch}; this one has to end"
            )

    def _roll_back(self) -> None:
        """After an error. SQLite has done it by itself where it can't be done."""
        if self._db.in_transaction:
            try:
                self._db.execute("ROLLBACK")
            except sqlite3.Error:
                pass
