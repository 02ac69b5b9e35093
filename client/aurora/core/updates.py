"""Updates as the API tells of them, and what follows from that: where every instance stands, and in which batch.

A status is text here: a scheduler that is newer than we are may know others, and they are active ones then.

Source: spec/scheduler.md §1.7, §4.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import structs

from client.aurora.core.answers import Answer, Count, Key, MomentMs, parse

FORWARD, BACK = "ROLLED_FORWARD", "ROLLED_BACK"
ENDED = frozenset({FORWARD, BACK, "ABORTED", "ERROR", "FAILED"})
PAUSED = frozenset({"ROLL_FORWARD_PAUSED", "ROLL_BACK_PAUSED"})
BLOCKED = frozenset({"ROLL_FORWARD_AWAITING_PULSE", "ROLL_BACK_AWAITING_PULSE"})
ACTIVE = frozenset({"ROLLING_FORWARD", "ROLLING_BACK"}) | PAUSED | BLOCKED

#: Kinds of waits: of an instance that finds no host, of an update that was paused.
PLACEMENT, RESUME = "PLACEMENT", "RESUME"

#: What `update list --status` takes: a word for several, or one of them.
STATUS_GROUPS: Mapping[str, frozenset[str]] = {
    "active": ACTIVE,
    "all": ACTIVE | ENDED,
    "blocked": BLOCKED,
    "failed": frozenset({"ERROR", "FAILED", BACK}),
    "inactive": ENDED,
    "paused": PAUSED,
    "succeeded": frozenset({FORWARD}),
    **{status: frozenset({status}) for status in sorted(ACTIVE | ENDED)},
}


class UpdateKey(Answer, frozen=True):
    job: Key
    id: str


class Pair(Answer, frozen=True):
    key: str
    value: str = ""


class Progress(Answer, frozen=True):
    done: Count = 0
    total: Count = 0


class Event(Answer, frozen=True):
    status: str
    timestamp_ms: MomentMs = 0
    user: str | None = None
    message: str | None = None


class InstanceEvent(Answer, frozen=True):
    instance_id: Count
    action: str
    timestamp_ms: MomentMs = 0
    message: str | None = None


class Wait(Answer, frozen=True):
    """`instance` None: the whole update waits. `kind` is a word for programs, `what` for people."""

    what: str = ""
    kind: str = ""
    instance: Count | None = None
    since_ms: MomentMs = 0
    until_ms: MomentMs | None = None


#: Of an instance; no job has more.
Number = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class Range(Answer, frozen=True):
    """Both ends belong to it."""

    first: Number
    last: Number


class Group(Answer, frozen=True):
    instances: list[Range] = []


class BatchSize(Answer, frozen=True):
    group_size: Count = 1


class BatchSizes(Answer, frozen=True):
    group_sizes: list[Count] = []


class Strategy(Answer, frozen=True):
    """A queue has no batches."""

    batch_strategy: BatchSize | None = None
    var_batch_strategy: BatchSizes | None = None


class Settings(Answer, frozen=True):
    update_strategy: Strategy | None = None


class Instructions(Answer, frozen=True):
    settings: Settings = Settings()
    initial_state: list[Group] = []
    desired_state: Group | None = None


class Update(Answer, frozen=True):
    """A summary; from `instructions` on only known of one that was asked for by itself."""

    key: UpdateKey
    status: str
    user: str = ""
    created_ms: MomentMs = 0
    modified_ms: MomentMs = 0
    metadata: list[Pair] = []
    progress: Progress = Progress()
    instructions: Instructions = Instructions()
    update_events: list[Event] = []
    instance_events: list[InstanceEvent] = []
    waits_for: list[Wait] = []

    @property
    def id(self) -> str:
        return self.key.id

    @property
    def is_over(self) -> bool:
        return self.status in ENDED

    @property
    def message(self) -> str:
        """What was last said of a status that it came to: why it is paused, rolls back, failed."""
        return next((event.message for event in reversed(self.update_events) if event.message), "")


def parse_update(document: Mapping[str, Any]) -> Update:
    """Raises RemoteError: that is no update."""
    return parse(document, Update)


def unplaced(update: Update, since_ms: int) -> list[int]:
    """Instances that have waited for a host since then."""
    return [
        wait.instance
        for wait in update.waits_for
        if wait.kind == PLACEMENT and wait.instance is not None and wait.since_ms <= since_ms
    ]


def with_reasons(update: Update, reasons: Mapping[int, str]) -> Update:
    """The same, and why instances find no host, in their own words."""
    return structs.replace(update, waits_for=[_with_reason(wait, reasons) for wait in update.waits_for])


def _with_reason(wait: Wait, reasons: Mapping[int, str]) -> Wait:
    reason = reasons.get(wait.instance) if wait.kind == PLACEMENT and wait.instance is not None else None
    return structs.replace(wait, what=f"{wait.what}: {reason}") if reason else wait


# --- where every instance stands -------------------------------------------------------------------------------------


class Kind(StrEnum):
    """What becomes of an instance on the way forward."""

    ADD = "add"
    REPLACE = "replace"
    REMOVE = "remove"


class Stand(StrEnum):
    WAITING = "WAITING"
    WORKING = "WORKING"
    DONE = "DONE"
    FAILED = "FAILED"
    ROLLING_BACK = "ROLLING_BACK"
    ROLLED_BACK = "ROLLED_BACK"


_OF_ACTION: Mapping[str, Stand] = {
    "INSTANCE_UPDATING": Stand.WORKING,
    "INSTANCE_UPDATED": Stand.DONE,
    "INSTANCE_UPDATE_FAILED": Stand.FAILED,
    "INSTANCE_ROLLING_BACK": Stand.ROLLING_BACK,
    "INSTANCE_ROLLED_BACK": Stand.ROLLED_BACK,
    "INSTANCE_ROLLBACK_FAILED": Stand.FAILED,
}


@dataclass(frozen=True)
class Cell:
    """One instance of an update. `since_ms` 0: nothing has happened to it."""

    instance: int
    kind: Kind
    stand: Stand = Stand.WAITING
    since_ms: int = 0
    message: str = ""


def batches_of(update: Update) -> list[list[Cell]]:
    """All instances of the update, in the order in which they are worked on. A queue is one batch."""
    last = {event.instance_id: event for event in update.instance_events if event.action in _OF_ACTION}
    cells = [_cell(instance, kind, last.get(instance), update) for instance, kind in _order(update.instructions)]
    sizes = _sizes(update.instructions.settings.update_strategy, len(cells))
    return list(_cut(cells, sizes))


def _order(instructions: Instructions) -> Iterator[tuple[int, Kind]]:
    before = {number for group in instructions.initial_state for number in _numbers(group)}
    after = set(_numbers(instructions.desired_state)) if instructions.desired_state is not None else set()
    yield from ((number, Kind.ADD) for number in sorted(after - before))
    yield from ((number, Kind.REPLACE) for number in sorted(after & before))
    yield from ((number, Kind.REMOVE) for number in sorted(before - after))


def _numbers(group: Group) -> Iterator[int]:
    for span in group.instances:
        yield from range(span.first, span.last + 1)


def _cell(instance: int, kind: Kind, event: InstanceEvent | None, update: Update) -> Cell:
    if event is None:  # one that was well already is never worked on
        return Cell(instance, kind, Stand.DONE if update.status == FORWARD else Stand.WAITING)
    return Cell(instance, kind, _OF_ACTION[event.action], event.timestamp_ms, event.message or "")


def _sizes(strategy: Strategy | None, count: int) -> list[int]:
    """At least one, none of them below 1."""
    sizes: list[int] = []
    if strategy is not None and strategy.batch_strategy is not None:
        sizes = [strategy.batch_strategy.group_size]
    elif strategy is not None and strategy.var_batch_strategy is not None:
        sizes = strategy.var_batch_strategy.group_sizes
    return [size for size in sizes if size > 0] or [max(1, count)]


def _cut(cells: list[Cell], sizes: Iterable[int]) -> Iterator[list[Cell]]:
    """The last size stays."""
    start, size, more = 0, 1, iter(sizes)
    while start < len(cells):
        size = next(more, size)
        yield cells[start : start + size]
        start += size
