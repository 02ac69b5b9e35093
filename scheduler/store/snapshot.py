"""The tables as a list of operations that leads to them, in compressed chunks.

`Frozen` is a quick shallow copy: everything in it is frozen, so another thread may encode it chunk by chunk while the
scheduler goes on. What reads a journal needs to know nothing of snapshots: they are operations, too.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import chain, islice

from scheduler.core.model import ScheduledTask
from scheduler.store.codec import OpReader, encode_ops
from scheduler.store.ops import (
    Op,
    SaveAnswer,
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
    """The tables of one moment; `applied` as in `Tables`. To make it costs a few copies of lists."""

    def __init__(self, tables: Tables) -> None:
        self.applied = tables.applied
        self._framework_id = tables.framework_id
        self._tasks = list(tables.tasks.all())
        self._hosts = list(tables.hosts.values())
        self._requests = list(tables.maintenance.values())
        self._quotas = list(tables.quotas.items())
        self._cron_jobs = list(tables.cron_jobs.values())
        self._answers = list(tables.answers)
        self._updates = [(e.update, tuple(e.events), tuple(e.instance_events)) for e in tables.updates.walk()]

    def ops(self) -> Iterator[list[Op]]:
        """Chunk by chunk; tasks of one configuration stand together."""
        others = self._other_ops()
        while chunk := list(islice(others, CHUNK)):
            yield chunk
        groups: dict[int, list[ScheduledTask]] = {}
        for task in self._tasks:
            groups.setdefault(id(task.config), []).append(task)
        tasks = chain.from_iterable(groups.values())
        while part := tuple(islice(tasks, CHUNK)):
            yield [SaveTasks(tasks=part)]

    def chunks(self) -> Iterator[bytes]:
        return (zlib.compress(encode_ops(ops), LEVEL) for ops in self.ops())

    def _other_ops(self) -> Iterator[Op]:
        if self._framework_id is not None:
            yield SaveFrameworkId(framework_id=self._framework_id)
        yield from (SaveHostAttributes(attributes=attributes) for attributes in self._hosts)
        yield from (SaveMaintenanceRequest(request=request) for request in self._requests)
        yield from (SaveQuota(role=role, quota=quota) for role, quota in self._quotas)
        yield from (SaveCronJob(job=job) for job in self._cron_jobs)
        yield from (SaveAnswer(answer=answer) for answer in self._answers)
        for update, events, instance_events in self._updates:
            yield SaveJobUpdate(update=update)
            if events:
                yield SaveJobUpdateEvents(key=update.summary.key, events=events)
            if instance_events:
                yield SaveInstanceUpdateEvents(key=update.summary.key, events=instance_events)


def read_chunk(reader: OpReader, chunk: bytes) -> list[Op]:
    """Raises zlib.error or msgspec.MsgspecError for what is no chunk."""
    inflate = zlib.decompressobj()
    return reader.read_ops(inflate.decompress(chunk, MAX_CHUNK_BYTES))
