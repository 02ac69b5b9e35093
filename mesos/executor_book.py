"""What an executor must not forget: the ledger, and the journal that it is read from and written to.

A journal that can't be opened or written is no reason to let a task down: its owner is told, and goes on in memory.
"""

from __future__ import annotations

import os
from pathlib import Path

from mesos.core.acks import Fold, Ledger, Record, RecordType
from mesos.executor_environment import ExecutorEnvironment
from mesos.journal import CannotRecord, Journal, Write
from thermos.errors import HostError


class Book:
    """`trouble` is why something is in memory only, "" when all is on disk."""

    def __init__(self, path: Path | None, environment: ExecutorEnvironment, write: Write = os.write) -> None:
        self.ledger = Ledger()
        self.trouble = ""
        owner = Record(
            type=RecordType.JOURNAL, framework_id=environment.framework_id, executor_id=environment.executor_id
        )
        self._journal = Journal(path, owner, self.ledger.records, write) if path is not None else None

    def open(self) -> list[str]:
        """Fold what is there; what is wrong with it, a line each."""
        if self._journal is None:
            return []
        try:
            records, problems = self._journal.read()
        except HostError as error:
            self._journal = None
            return [f"{error}; should this executor crash, its updates are lost"]
        for record in records:
            self.ledger.fold(record)
        self.flush()
        return [f"journal {self._journal.path}: {problem}" for problem in problems]

    def record(self, record: Record) -> Fold:
        """Fold it, and on disk with it before anything is done about it."""
        outcome = self.ledger.fold(record)
        if self._journal is not None and outcome in (Fold.KEPT, Fold.SETTLED):
            try:
                self._journal.append(record)
                self.trouble = ""
            except CannotRecord as error:
                self.trouble = str(error)
        return outcome

    def flush(self) -> None:
        """Try again to write what is in memory only."""
        if self._journal is not None:
            try:
                self._journal.flush()
                self.trouble = ""
            except CannotRecord as error:
                self.trouble = str(error)

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()
