"""What the scheduler asks of a place that remembers: a list of operations, durable in order, with one writer.

- `append` gives a future that is done when its operations are durable, all of them or none. Appends become durable in
  the order in which they were made. When one can't be written its future has a StoreError, and so have all later ones
  (they may build on it), until the owner has taken them back and says `resume`.
- `snapshot` lets the journal forget the way to the tables. They must hold exactly what was loaded and appended.
- Each owner has an epoch, higher than the last one's. It is checked in the transaction of every write: an owner that
  was replaced without noticing gets `Fenced` and has written nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Protocol

from scheduler.store.ops import Op
from scheduler.store.tables import Tables
from thermos.errors import HostError


class StoreError(HostError):
    """Something could not be read or written; the text is one line and says what to do."""


class StoreInUse(StoreError):
    """Another scheduler has it."""


class StoreDamaged(StoreError):
    """What is there is not what was written, or is not ours to read."""


class Fenced(StoreError):
    """Another scheduler has taken over: this one has to end."""


class Journal(Protocol):
    def load(self) -> Iterator[Op]:
        """Everything, once, before the first `append`. Raises StoreDamaged."""

    def append(self, ops: Sequence[Op]) -> Future[None]:
        """From any thread; never blocks on the disk."""

    def snapshot(self, tables: Tables) -> Future[None]:
        """Never blocks on the disk. Raises Bug when the tables are not at the journal's end."""

    def resume(self) -> None:
        """After a failure, when everything that had been appended by then is taken back."""

    @property
    def is_long(self) -> bool:
        """A snapshot would be worth its cost."""

    def close(self) -> None:
        """Finishes what was appended."""
