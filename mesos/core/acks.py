"""What an agent has not acknowledged yet, folded from the records of the journal, and what is to be said next.

An agent acknowledges an update when it has it on its own disk. Until then the executor keeps it: it is sent, sent again
when the call failed or no acknowledgement came, and part of every SUBSCRIBE. A task is kept until the first of its
updates is acknowledged: before that an agent that was killed might not know that we got it.

When a call fails all calls pause, for it is mostly the agent that is unwell; then each task has its turn again.

Order is kept per task by sending a task's next update only after the one before it was acknowledged. (An agent
acknowledges within milliseconds; only so can a call that got lost never let RUNNING overtake FINISHED.) Tasks do not
wait for each other. An update that the agent calls bad (400) is skipped until the next SUBSCRIBE: its task's later
updates must not hang on it.

`fold` is the only thing that changes what is kept; the rest keeps book of what is on its way and is lost with the
process, as it should be.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from enum import StrEnum

from mesos.core.executor_api import Acknowledged
from mesos.core.messages import Message, TaskInfo, TaskStatus

#: Pauses after failed calls: the first, doubled up to the last. Not long: an agent that recovers lets executors
#: subscribe at once, but answers 503 to everything else for some seconds more.
PAUSE_S, PAUSE_CAP_S = 0.25, 2.0

#: How long an acknowledgement is waited for; doubled up to the cap each time it does not come.
ACK_S, ACK_CAP_S = 10.0, 300.0

#: Updates that are kept at most; each one more is refused loudly.
MAX_PENDING = 10_000


class RecordType(StrEnum):
    JOURNAL = "JOURNAL"  # first of a file: whose it is
    LAUNCHED = "LAUNCHED"
    UPDATED = "UPDATED"
    ACKNOWLEDGED = "ACKNOWLEDGED"


class Record(Message, frozen=True):
    """One line of the journal."""

    type: str
    framework_id: str = ""
    executor_id: str = ""
    task: TaskInfo | None = None
    status: TaskStatus | None = None
    acknowledged: Acknowledged | None = None


class Fold(StrEnum):
    """What became of a record."""

    KEPT = "kept"
    SETTLED = "settled"
    AGAIN = "said again"
    UNKNOWN = "unknown"


def launched(task: TaskInfo) -> Record:
    return Record(type=RecordType.LAUNCHED, task=task)


def updated(status: TaskStatus) -> Record:
    return Record(type=RecordType.UPDATED, status=status)


def acknowledged(ack: Acknowledged) -> Record:
    return Record(type=RecordType.ACKNOWLEDGED, acknowledged=ack)


def pause_s(failures: int, random: float) -> float:
    """After so many failed calls on end."""
    return min(PAUSE_S * 2.0 ** min(failures - 1, 20), PAUSE_CAP_S) * (0.5 + random / 2)


class _Entry:
    """An update and where it is."""

    __slots__ = ("due", "refused", "status", "tries")

    def __init__(self, status: TaskStatus) -> None:
        self.status = status
        self.due = -math.inf  # when it may be sent; +inf while a call is under way
        self.tries = 0
        self.refused = False


class Ledger:
    """All that is unacknowledged."""

    def __init__(self) -> None:
        self._tasks: dict[str, TaskInfo] = {}
        self._queues: dict[str, dict[bytes, _Entry]] = {}  # by task, in their order
        self._order: dict[bytes, _Entry] = {}  # all of them, in their order
        self._ready: dict[str, None] = {}  # tasks whose next update may be sent now, first come first served
        self._due: list[tuple[float, str]] = []  # heap; what is stale is looked at and dropped

    def fold(self, record: Record) -> Fold:
        """The same for what happens now and what is read at a restart."""
        if record.type == RecordType.LAUNCHED and record.task is not None:
            return self._fold_task(record.task)
        if record.type == RecordType.UPDATED and record.status is not None:
            return self._fold_update(record.status)
        if record.type == RecordType.ACKNOWLEDGED and record.acknowledged is not None:
            return self._fold_ack(record.acknowledged)
        return Fold.UNKNOWN

    def records(self) -> Iterator[Record]:
        """What a journal needs to hold, and no more."""
        yield from map(launched, self._tasks.values())
        yield from (updated(entry.status) for entry in self._order.values())

    @property
    def tasks(self) -> tuple[TaskInfo, ...]:
        return tuple(self._tasks.values())

    @property
    def updates(self) -> tuple[TaskStatus, ...]:
        return tuple(entry.status for entry in self._order.values())

    def __len__(self) -> int:
        return len(self._order)

    def knows(self, task_id: str) -> bool:
        """Is it a task of which nothing is acknowledged yet?"""
        return task_id in self._tasks

    # --- what is on its way ---

    def take(self, now: float) -> TaskStatus | None:
        """The next update to be sent; a call is under way from now on."""
        while self._due and self._due[0][0] <= now:
            self._look_at(heapq.heappop(self._due)[1], now)
        if not self._ready:
            return None
        task_id = next(iter(self._ready))
        del self._ready[task_id]
        entry = self._head(task_id)
        if entry is None:
            return None
        entry.due = math.inf
        return entry.status

    def sent(self, uuid: bytes, now: float) -> None:
        """The agent has the call. If no acknowledgement comes it is said again."""
        entry = self._order.get(uuid)
        if entry is not None and not entry.refused:
            entry.due = now + min(ACK_S * 2**entry.tries, ACK_CAP_S)
            entry.tries += 1
            self._look_at(entry.status.task_id.value, now)

    def failed(self, uuid: bytes, now: float) -> None:
        """Nobody knows whether the agent has it: it is said again, when the others had their turn."""
        entry = self._order.get(uuid)
        if entry is not None:
            entry.due = -math.inf
            self._look_at(entry.status.task_id.value, now)

    def refused(self, uuid: bytes, now: float) -> None:
        """The agent will not have it, now or ever; the next SUBSCRIBE says it once more."""
        entry = self._order.get(uuid)
        if entry is not None:
            entry.refused = True
            self._look_at(entry.status.task_id.value, now)

    def subscribed(self, uuids: Iterable[bytes], now: float) -> None:
        """A subscription stands whose call held these; what was on its way before it is forgotten."""
        told = set(uuids)
        self._ready.clear()
        self._due.clear()
        for uuid, entry in self._order.items():
            entry.refused, entry.tries = False, 0
            entry.due = now + ACK_S if uuid in told else -math.inf
        for task_id in self._queues:
            self._look_at(task_id, now)

    @property
    def next_wake(self) -> float | None:
        """When something is due; only of interest while there is a subscription."""
        return self._due[0][0] if self._due else None

    @property
    def has_ready(self) -> bool:
        return bool(self._ready)

    # --- inside ---

    def _fold_task(self, task: TaskInfo) -> Fold:
        if task.task_id.value in self._tasks:
            return Fold.AGAIN
        self._tasks[task.task_id.value] = task
        return Fold.KEPT

    def _fold_update(self, status: TaskStatus) -> Fold:
        if status.uuid in self._order:
            return Fold.AGAIN
        task_id = status.task_id.value
        entry = self._order[status.uuid] = _Entry(status)
        queue = self._queues.setdefault(task_id, {})
        queue[status.uuid] = entry
        if self._head(task_id) is entry:
            self._ready[task_id] = None
        return Fold.KEPT

    def _fold_ack(self, ack: Acknowledged) -> Fold:
        entry = self._order.pop(ack.uuid, None)
        if entry is None:
            return Fold.UNKNOWN
        task_id = entry.status.task_id.value
        queue = self._queues[task_id]
        del queue[ack.uuid]
        self._tasks.pop(task_id, None)
        self._ready.pop(task_id, None)
        if not queue:
            del self._queues[task_id]
        else:
            self._look_at(task_id, -math.inf)
        return Fold.SETTLED

    def _head(self, task_id: str) -> _Entry | None:
        return next((entry for entry in self._queues.get(task_id, {}).values() if not entry.refused), None)

    def _look_at(self, task_id: str, now: float) -> None:
        """Its next update is ready, or will be, or is on its way."""
        entry = self._head(task_id)
        if entry is None or entry.due == math.inf:
            self._ready.pop(task_id, None)
        elif entry.due <= now:
            self._ready[task_id] = None
        else:
            self._ready.pop(task_id, None)
            heapq.heappush(self._due, (entry.due, task_id))
            if len(self._due) > 2 * len(self._queues) + 64:
                self._due = sorted({(e.due, t) for t in self._queues if (e := self._head(t)) and math.isfinite(e.due)})
