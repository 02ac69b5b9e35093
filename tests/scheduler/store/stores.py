"""Short ways to a journal in a directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scheduler.core.cluster_model import ResourceAggregate
from scheduler.core.model import JobKey
from scheduler.store.ops import Op, SaveQuota, SaveTasks
from scheduler.store.sqlite_journal import SqliteJournal
from scheduler.store.tables import Tables, replay
from tests.scheduler.store.worlds import task_of

PATIENCE_S = 20


@contextmanager
def opened(directory: Path, epoch: int | None = None) -> Iterator[tuple[SqliteJournal, Tables]]:
    journal = SqliteJournal(directory, epoch)
    try:
        yield journal, replay(journal.load())
    finally:
        journal.close()


def content(directory: Path) -> Tables:
    with opened(directory) as (_, tables):
        return tables


def append(journal: SqliteJournal, *operations: Op) -> None:
    journal.append(operations).result(PATIENCE_S)


def saved(number: int, size: int = 0) -> Op:
    """A task of its own job, with a configuration of some size."""
    job = JobKey(role="www", environment="prod", name=f"job{number}" + "x" * size)
    return SaveTasks(tasks=(task_of(f"t{number}", job),))


def quota(number: int) -> Op:
    return SaveQuota(role=f"r{number}", quota=ResourceAggregate())
