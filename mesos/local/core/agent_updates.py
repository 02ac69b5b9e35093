"""One task's status updates on their way to the framework: in order, one at a time, each until it is acknowledged.

What is recorded here counts as written down: an executor hears ACKNOWLEDGED when its update is here, and only then.
The same uuid again is told apart from a new one as long as it may come again: while it waits, and for the last
`REMEMBERED` that were acknowledged.
"""

from __future__ import annotations

from enum import StrEnum

from mesos.core.messages import TERMINAL_STATES, TaskStatus

#: Acknowledged uuids that a stream knows again.
REMEMBERED = 64


class Receipt(StrEnum):
    NEW = "new"
    DUPLICATE = "duplicate"
    FULL = "full"  # refused, to be sent again later


class Acknowledgement(StrEnum):
    NEXT = "next"  # the next may be forwarded now, if there is any
    DONE = "done"  # that was the terminal one: the stream ends
    UNEXPECTED = "unexpected"  # not of the update that was forwarded; changes nothing


class UpdateStream:
    """`interval_s` is how long the last forward waited for its acknowledgement, 0 when nothing is under way."""

    __slots__ = ("container_id", "framework_id", "interval_s", "pending", "recent", "task_id")

    def __init__(self, framework_id: str, task_id: str, container_id: str | None) -> None:
        self.framework_id = framework_id
        self.task_id = task_id
        self.container_id = container_id  # of the executor, None for a task that no executor here has
        self.pending: tuple[TaskStatus, ...] = ()
        self.recent: tuple[bytes, ...] = ()
        self.interval_s = 0.0

    @property
    def head(self) -> TaskStatus | None:
        return self.pending[0] if self.pending else None

    def knows(self, uuid: bytes) -> bool:
        return uuid in self.recent or any(uuid == status.uuid for status in self.pending)

    def receive(self, status: TaskStatus, limit: int) -> Receipt:
        if self.knows(status.uuid):
            return Receipt.DUPLICATE
        if len(self.pending) >= limit:
            return Receipt.FULL
        self.pending = (*self.pending, status)
        return Receipt.NEW

    def acknowledge(self, uuid: bytes) -> Acknowledgement:
        head = self.head
        if head is None or head.uuid != uuid:
            return Acknowledgement.UNEXPECTED
        self.pending = self.pending[1:]
        self.recent = (*self.recent[-REMEMBERED + 1 :], uuid)
        self.interval_s = 0.0
        return Acknowledgement.DONE if head.state in TERMINAL_STATES else Acknowledgement.NEXT
