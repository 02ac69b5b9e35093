"""The journal in a SQLite file: one thread writes, and whatever was appended meanwhile is one commit.

Callers encode and put into a queue; the thread takes all that is there, writes it in one synced transaction and lets
the futures know. With a single caller a commit is one sync; with many it is one sync for all of them. Between two
groups a snapshot that is under way gets one step.

After a failure everything of the same generation fails, too: it was appended before anybody could know. `resume`
begins a new generation.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import msgspec

from scheduler.store.codec import OpReader, encode_ops
from scheduler.store.journal import StoreDamaged, StoreError
from scheduler.store.ops import Op
from scheduler.store.snapshot import Frozen, read_chunk
from scheduler.store.sqlite_file import (
    FILE_NAME,
    UNREADABLE,
    WHAT_TO_DO,
    lock_store,
    open_file,
    read_chunks,
    read_records,
    take_over,
)
from scheduler.store.sqlite_writer import SqliteWriter
from scheduler.store.tables import Tables
from thermos.errors import Bug, HostError

#: One commit writes no more than about this; the rest is the next one.
GROUP_BYTES = 8 << 20

#: A tail shorter than this is read in no time.
LONG_BYTES = 16 << 20


class _Wish(msgspec.Struct):
    """What somebody waits for: that a payload is durable, or a snapshot."""

    generation: int
    future: Future[None]
    count: int = 0
    payload: bytes = b""
    frozen: Frozen | None = None


class SqliteJournal:
    """Open it, `load` it to the end, then append. `epoch`: of the election, if there is one."""

    def __init__(self, directory: Path, epoch: int | None = None) -> None:
        self.directory = directory
        self._lock_fd = lock_store(directory)
        try:
            self._db = open_file(directory)
            try:
                self._head = take_over(self._db, epoch)
            except HostError:
                self._db.close()
                raise
        except HostError:
            os.close(self._lock_fd)
            raise
        self._writer: SqliteWriter | None = None
        self._thread: threading.Thread | None = None
        self._wishes: deque[_Wish] = deque()
        self._changed = threading.Condition()  # guards all below, and the deque
        self._is_closing = False
        self._has_ended = False
        self._generation = 0
        self._failed_generation = -1
        self._appended = 0  # operations, loaded ones included
        self._durable = 0
        self._next_snapshot_at = LONG_BYTES
        self._in_hand: list[_Wish] = []  # what the thread works on

    @property
    def epoch(self) -> int:
        return self._head.epoch

    @property
    def is_long(self) -> bool:
        """A try counts as a snapshot: the next one is not made before as much has come again."""
        return self._writer is not None and self._writer.tail_bytes >= self._next_snapshot_at

    # -- reading

    def load(self) -> Iterator[Op]:
        if self._writer is not None:
            raise Bug("cannot load a journal twice")
        last, tail, reader = self._head.through, 0, OpReader()
        try:
            for chunk in read_chunks(self._db, self._head):
                yield from self._counted(read_chunk(reader, chunk))
            for payload in read_records(self._db, self._head):
                yield from self._counted(reader.read_ops(payload))
                last, tail = last + 1, tail + len(payload)
        except (*UNREADABLE, zlib.error, msgspec.MsgspecError) as error:
            raise StoreDamaged(f"cannot read {self.directory / FILE_NAME}: {error}; {WHAT_TO_DO}") from error
        self._writer = SqliteWriter(self._db, self._head, last, tail)
        self._durable = self._appended
        self._thread = threading.Thread(target=self._run, args=(self._writer,), name="journal", daemon=True)
        self._thread.start()

    def _counted(self, ops: list[Op]) -> list[Op]:
        self._appended += len(ops)
        return ops

    # -- the callers' side

    def append(self, ops: Sequence[Op]) -> Future[None]:
        return self._wish(_Wish(0, Future(), len(ops), encode_ops(ops) if ops else b""))

    def snapshot(self, tables: Tables) -> Future[None]:
        if tables.applied != self._appended:
            raise Bug(
                f"cannot take a snapshot: the tables hold {tables.applied} operations, the journal {self._appended}"
            )
        if self._writer is not None:
            self._next_snapshot_at = max(LONG_BYTES, 2 * self._writer.snapshot_bytes) + self._writer.tail_bytes
        return self._wish(_Wish(0, Future(), frozen=Frozen(tables)))

    def resume(self) -> None:
        with self._changed:
            self._generation += 1
            self._appended = self._durable

    def close(self) -> None:
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        else:
            self._db.close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _wish(self, wish: _Wish) -> Future[None]:
        wish.future.set_running_or_notify_cancel()  # nobody can take back what may be on the disk already
        with self._changed:
            if self._writer is None:
                raise Bug("cannot append to a journal that was not loaded")
            refused = self._is_closing or self._has_ended
            if not refused:
                wish.generation = self._generation
                self._appended += wish.count
                self._wishes.append(wish)
                self._changed.notify()
        if refused:
            wish.future.set_exception(StoreError(f"cannot write to {self.directory}: the journal is closed"))
        return wish.future

    # -- the thread's side

    def _run(self, writer: SqliteWriter) -> None:
        """Ends when all is done, or by a bug of ours: then nobody waits in vain."""
        try:
            self._serve(writer)
        finally:
            with self._changed:
                self._has_ended = True
                left = [*self._in_hand, *self._wishes]
                self._wishes.clear()
            for wish in (wish for wish in left if not wish.future.done()):
                wish.future.set_exception(Bug("cannot write to the store: the writing thread has ended"))
            writer.close()

    def _serve(self, writer: SqliteWriter) -> None:
        snapshot: _Wish | None = None
        steps: Iterator[None] = iter(())
        while True:
            group = self._take(may_wait=snapshot is None)
            if group is None:
                return
            self._in_hand = [*group, *([snapshot] if snapshot is not None else [])]
            if group and group[0].frozen is not None:
                if snapshot is not None:
                    self._finish(snapshot, steps)
                snapshot, steps = self._begin(writer, group[0])
            elif group:
                self._commit(writer, group)
            if snapshot is not None and self._step(snapshot, steps):
                snapshot = None

    def _take(self, *, may_wait: bool) -> list[_Wish] | None:
        """A group for one commit, or a snapshot alone, or nothing; None: it is over."""
        with self._changed:
            while may_wait and not self._wishes and not self._is_closing:
                self._changed.wait()
            if may_wait and not self._wishes:
                return None
            group: list[_Wish] = []
            size = 0
            while self._wishes and size < GROUP_BYTES and (not group or self._wishes[0].frozen is None):
                group.append(self._wishes.popleft())
                size += len(group[-1].payload)
                if group[-1].frozen is not None:
                    break
            return group

    def _commit(self, writer: SqliteWriter, group: list[_Wish]) -> None:
        group = self._refuse_late(group)
        try:
            writer.commit([wish.payload for wish in group if wish.count])
        except HostError as error:
            with self._changed:
                self._failed_generation = max(self._failed_generation, *(wish.generation for wish in group))
            for wish in group:
                wish.future.set_exception(error)
            return
        with self._changed:
            self._durable += sum(wish.count for wish in group)
        for wish in group:
            wish.future.set_result(None)

    def _refuse_late(self, group: list[_Wish]) -> list[_Wish]:
        """Those that were appended before their owner could know of a failure."""
        late = [wish for wish in group if wish.generation <= self._failed_generation]
        for wish in late:
            wish.future.set_exception(StoreError("cannot write to the store: a write before this one has failed"))
        return [wish for wish in group if wish.generation > self._failed_generation]

    def _begin(self, writer: SqliteWriter, wish: _Wish) -> tuple[_Wish | None, Iterator[None]]:
        if wish.frozen is None or not self._refuse_late([wish]):
            return None, iter(())
        return wish, writer.snapshot(wish.frozen)

    def _finish(self, wish: _Wish, steps: Iterator[None]) -> None:
        while not self._step(wish, steps):
            pass

    def _step(self, wish: _Wish, steps: Iterator[None]) -> bool:
        """Is it over?"""
        try:
            next(steps)
        except StopIteration:
            wish.future.set_result(None)
            return True
        except HostError as error:
            wish.future.set_exception(error)
            return True
        return False
