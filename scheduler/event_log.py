"""News of tasks and updates for everybody who follows: one list of the last events, and readers that walk along it.

An event is encoded once, however many readers there are, and a reader has no queue of its own: it remembers how far it
is. Whoever waits is woken only by an event that it asked for; so a publication costs what its own readers cost, not
what all do. A reader that is so slow that the list has moved on beneath it hears `reset`: fetch anew.

    publish ─▶ list of the last `kept` ─▶ reader.next(): at once what is new, or later what comes

The name of an event is `<boot>-<number>`: readers come back with the last one they saw, and go on from there if this
is the same process and the list still holds what follows; otherwise `reset` is the first they hear.

Source: spec/scheduler.md §13.2 (9, 10).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import product

import msgspec
from msgspec import Struct

from scheduler.core.effects import InstancesUpdated, News, TaskChanged, TasksDeleted, UpdateChanged
from scheduler.core.model import JobKey, ScheduledTask, Wire
from scheduler.core.states import ScheduleStatus
from scheduler.core.update_model import JobInstanceUpdateEvent, JobUpdateAction, JobUpdateKey, JobUpdateStatus
from web.streams import frame

#: Events that are kept; events of one answer of `next`; readers.
KEPT = 20_000
BATCH = 256
MAX_READERS = 5_000

#: Bytes after which an answer is long enough: every reader that sleeps holds one.
BATCH_BYTES = 32 * 1024

#: Of a job: role, environment and name; None asks for nothing.
Wish = tuple[str | None, str | None, str | None]

_encoder = msgspec.json.Encoder()


class TaskNews(Wire, frozen=True, omit_defaults=False):
    """`old` None: the task is new."""

    task_id: str
    key: JobKey
    instance: int
    status: ScheduleStatus
    old: ScheduleStatus | None
    host: str
    message: str
    timestamp: int


class DeletedNews(Wire, frozen=True, omit_defaults=False):
    """Of one job."""

    key: JobKey
    task_ids: tuple[str, ...]


class UpdateNews(Wire, frozen=True, omit_defaults=False):
    """`user` None: nobody wished it."""

    key: JobUpdateKey
    status: JobUpdateStatus
    user: str | None
    message: str
    timestamp: int


class InstanceNews(Wire, frozen=True, omit_defaults=False):
    """Of an instance in an update."""

    key: JobUpdateKey
    instance: int
    action: JobUpdateAction
    message: str
    timestamp: int


class _Event(Struct, frozen=True):
    number: int
    key: JobKey
    encoded: bytes


class TooManyReaders(Exception):
    """No more readers fit."""


class EventLog:
    """Of one event loop. `boot` is different in every process."""

    def __init__(self, boot: str, kept: int = KEPT) -> None:
        self.boot = boot
        self.published = 0
        self.resets = 0  # readers that were too slow
        self._kept: deque[_Event] = deque(maxlen=kept)
        self._readers: set[Reader] = set()
        self._waiting: dict[Wish, set[Reader | Bell]] = {}
        self._closed = False

    @property
    def readers(self) -> int:
        return len(self._readers)

    @property
    def is_closed(self) -> bool:
        return self._closed

    @property
    def position(self) -> str:
        """The name of the newest event."""
        return self.name(self.published)

    def name(self, number: int) -> str:
        return f"{self.boot}-{number}"

    # --- events come ----------------------------------------------------------------------------------------------

    def publish(self, effect: News) -> None:
        """What is durable by now."""
        match effect:
            case TaskChanged():
                self._add("task", effect.task.config.job, _news(effect))
            case TasksDeleted():
                for key, tasks in _by_job(effect.tasks).items():
                    self._add("deleted", key, DeletedNews(key=key, task_ids=tuple(task.id for task in tasks)))
            case UpdateChanged():
                self._add("update", effect.key.job, _update_news(effect))
            case InstancesUpdated():
                for event in effect.events:
                    self._add("update-instance", effect.key.job, _instance_news(effect.key, event))

    def _add(self, kind: str, key: JobKey, news: TaskNews | DeletedNews | UpdateNews | InstanceNews) -> None:
        self.published += 1
        encoded = frame(self.name(self.published), kind, _encoder.encode(news))
        self._kept.append(_Event(self.published, key, encoded))
        if self._waiting:
            for wish in _wishes_for(key):
                for reader in self._waiting.pop(wish, ()):
                    reader._wake(self.published)

    def close(self) -> None:
        """End every reader."""
        self._closed = True
        waiting, self._waiting = self._waiting, {}
        for readers in waiting.values():
            for reader in readers:
                reader._wake(self.published + 1)

    # --- readers --------------------------------------------------------------------------------------------------

    def subscribe(self, wish: Wish = (None, None, None), after: str = "") -> Reader:
        """One that begins behind the event of that name, or else with what comes next. Raises TooManyReaders."""
        if len(self._readers) >= MAX_READERS:
            raise TooManyReaders(f"{MAX_READERS} readers follow the events already")
        reader = Reader(self, wish, self.published)
        if after:
            number = self._number(after)
            if number is None:
                reader.is_lost = True
            else:
                reader.position = number
        self._readers.add(reader)
        return reader

    def unsubscribe(self, reader: Reader) -> None:
        self._readers.discard(reader)
        self._forget(reader)

    def _number(self, name: str) -> int | None:
        """None: it is not ours, or too old, or not there yet."""
        boot, _, digits = name.rpartition("-")
        if boot != self.boot or not (digits.isascii() and digits.isdigit() and len(digits) < 19):
            return None
        number = int(digits)
        return number if self._oldest - 1 <= number <= self.published else None

    @property
    def _oldest(self) -> int:
        return self._kept[0].number if self._kept else self.published + 1

    def _behind(self, position: int) -> Iterator[_Event]:
        """What is kept behind that. Both ends of a deque are near; a walk to the place would be long."""
        return (self._kept[index] for index in range(max(0, position + 1 - self._oldest), len(self._kept)))

    def _wait(self, reader: Reader | Bell) -> None:
        self._waiting.setdefault(reader.wish, set()).add(reader)

    def _forget(self, reader: Reader | Bell) -> None:
        waiting = self._waiting.get(reader.wish)
        if waiting is not None:
            waiting.discard(reader)
            if not waiting:
                del self._waiting[reader.wish]


class Reader:
    """How far somebody has read."""

    def __init__(self, log: EventLog, wish: Wish, position: int) -> None:
        self.wish = wish
        self.position = position
        self.is_lost = False
        self._log = log
        self._bell: asyncio.Future[None] | None = None
        self._called: int | None = None

    async def next(self) -> bytes | None:
        """Events as they are sent, waiting until there is one; None: it is over."""
        while not self._log._closed:
            found = self._take()
            if found:
                return found
            await self._sleep()
        return None

    def _take(self) -> bytes:
        log = self._log
        if self.is_lost or self.position < log._oldest - 1:
            log.resets += not self.is_lost
            self.is_lost, self.position = False, log.published
            return frame(log.position, "reset", b"{}")
        found, size = list[bytes](), 0
        for event in log._behind(self.position):
            self.position = event.number
            if _matches(self.wish, event.key):
                found.append(event.encoded)
                size += len(event.encoded)
                if len(found) == BATCH or size >= BATCH_BYTES:
                    break
        return b"".join(found)

    async def _sleep(self) -> None:
        self._called, self._bell = None, asyncio.get_running_loop().create_future()
        self._log._wait(self)
        try:
            await self._bell
        finally:  # whatever ends the wait: all that came before the call was for others
            self._log._forget(self)
            self.position = (self._called or self._log.published + 1) - 1

    def _wake(self, number: int) -> None:
        """That event is for this reader."""
        self._called = number
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)


class Bell:
    """For whoever only wants to know that something has happened, not what: it rings at the first event of its wish,
    and costs nothing any more until it is armed again. The end of the log rings it, too."""

    def __init__(self, log: EventLog, wish: Wish = (None, None, None)) -> None:
        self.wish = wish
        self.has_rung = False
        self._log = log
        self._waiter: asyncio.Future[None] | None = None
        log._wait(self)

    def arm(self) -> None:
        """For the next event that comes."""
        if not self._log._closed:
            self.has_rung = False
            self._log._wait(self)

    async def rung(self) -> None:
        """Returns when it has, maybe at once. For one at a time."""
        if not self.has_rung:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def close(self) -> None:
        """It never rings any more."""
        self._log._forget(self)

    def _wake(self, number: int) -> None:
        self.has_rung = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _news(effect: TaskChanged) -> TaskNews:
    task = effect.task
    last = task.task_events[-1] if task.task_events else None
    return TaskNews(
        task_id=task.id,
        key=task.config.job,
        instance=task.assigned_task.instance_id,
        status=task.status,
        old=effect.old,
        host=task.assigned_task.slave_host,
        message=last.message if last is not None else "",
        timestamp=last.timestamp if last is not None else 0,
    )


def _update_news(effect: UpdateChanged) -> UpdateNews:
    event = effect.event
    return UpdateNews(
        key=effect.key,
        status=event.status,
        user=event.user,
        message=event.message or "",
        timestamp=event.timestamp_ms,
    )


def _instance_news(key: JobUpdateKey, event: JobInstanceUpdateEvent) -> InstanceNews:
    return InstanceNews(
        key=key,
        instance=event.instance_id,
        action=event.action,
        message=event.message or "",
        timestamp=event.timestamp_ms,
    )


def _by_job(tasks: Iterable[ScheduledTask]) -> dict[JobKey, list[ScheduledTask]]:
    found: dict[JobKey, list[ScheduledTask]] = {}
    for task in tasks:
        found.setdefault(task.config.job, []).append(task)
    return found


def _wishes_for(key: JobKey) -> Iterator[Wish]:
    """Every wish that this job fulfils."""
    return product((None, key.role), (None, key.environment), (None, key.name))


def _matches(wish: Wish, key: JobKey) -> bool:
    role, environment, name = wish
    return role in (None, key.role) and environment in (None, key.environment) and name in (None, key.name)
