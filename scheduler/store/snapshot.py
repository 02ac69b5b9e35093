"""The tables as a list of operations that leads to them, in compressed chunks.

`Frozen` is a quick shallow copy: everything in it is frozen, so another thread may encode it chunk by chunk while the
scheduler goes on. What reads a journal needs to know nothing of snapshots: they are operations, too.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from scheduler.core.model import ScheduledTask
from scheduler.store.codec import OpReader, encode_ops
from scheduler.store.ops import (
    Op,
    SaveCronJob,
    SaveFrameworkId,
    SaveHostAttributes,
    SaveInstanceUpdateEvents,
    SaveJobUpdate,
    SaveJobUpdateEvents,
    SaveMaintenanceRequest,
    SaveQuota,
    SaveTasks,
)
from scheduler.store.tables import Tables

#: Tasks or other operations in a chunk: some hundred kilobytes before compression, some milliseconds of work.
CHUNK = 1000

#: Quick, and still a tenth of the size: records are much alike.
LEVEL = 1

#: A chunk that claims to be larger than this is not ours.
MAX_CHUNK_BYTES = 1 << 30


class Frozen:
    """The tables of one moment; `applied` as in `Tables`."""

    def __init__(self, tables: Tables) -> None:
        self.applied = tables.applied
        self._tasks: list[ScheduledTask] = list(tables.tasks.walk())
        self._others: list[Op] = list(_other_ops(tables))

    def ops(self) -> Iterator[list[Op]]:
        """Chunk by chunk."""
        for start in range(0, len(self._others), CHUNK):
            yield self._others[start : start + CHUNK]
        for start in range(0, len(self._tasks), CHUNK):
            yield [SaveTasks(tasks=tuple(self._tasks[start : start + CHUNK]))]

    def chunks(self) -> Iterator[bytes]:
        return (zlib.compress(encode_ops(ops), LEVEL) for ops in self.ops())


def _other_ops(tables: Tables) -> Iterator[Op]:
    if tables.framework_id is not None:
        yield SaveFrameworkId(framework_id=tables.framework_id)
    yield from (SaveHostAttributes(attributes=attributes) for attributes in tables.hosts.values())
    yield from (SaveMaintenanceRequest(request=request) for request in tables.maintenance.values())
    yield from (SaveQuota(role=role, quota=quota) for role, quota in tables.quotas.items())
    yield from (SaveCronJob(job=job) for job in tables.cron_jobs.values())
    for entry in tables.updates.walk():
        key = entry.update.summary.key
        yield SaveJobUpdate(update=entry.update)
        if entry.events:
            yield SaveJobUpdateEvents(key=key, events=tuple(entry.events))
        if entry.instance_events:
            yield SaveInstanceUpdateEvents(key=key, events=tuple(entry.instance_events))


def read_chunk(reader: OpReader, chunk: bytes) -> list[Op]:
    """Raises zlib.error or msgspec.MsgspecError for what is no chunk."""
    inflate = zlib.decompressobj()
    return reader.read_ops(inflate.decompress(chunk, MAX_CHUNK_BYTES))
