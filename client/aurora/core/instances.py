"""The instances of one job as they change: the newest task of each. A look at all of them replaces what was known,
events go on from there.

An event that is older than what is known of its instance (it was under way while we looked) changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from client.aurora.core.answers import one_line
from client.aurora.core.tasks import DELETED, OVER, WAITING, Task, TaskNews


@dataclass(frozen=True)
class Seen:
    """The newest task of an instance. `reason`: why it waits, `ancestor`: the task that it replaces; where known."""

    instance: int
    task_id: str
    status: str
    since_ms: int
    host: str = ""
    message: str = ""
    reason: str = ""
    ancestor: str = ""

    @property
    def is_active(self) -> bool:
        return self.status not in OVER


class Instances:
    """`only`: instances that matter; None: all."""

    def __init__(self, only: Collection[int] | None = None) -> None:
        self._only = frozenset(only) if only is not None else None
        self._seen: dict[int, Seen] = {}
        self._changes: list[Seen] = []

    def take_changes(self) -> list[Seen]:
        """What has changed since the last call, each change once, in order."""
        changes, self._changes = self._changes, []
        return changes

    def narrow(self, only: Collection[int]) -> None:
        """Nothing but these matters from now on."""
        self._only = frozenset(only)
        self._seen = {number: seen for number, seen in self._seen.items() if number in self._only}
        self._changes = [seen for seen in self._changes if seen.instance in self._only]

    @property
    def known(self) -> Mapping[int, Seen]:
        """By instance, in order."""
        return {number: self._seen[number] for number in sorted(self._seen)}

    @property
    def waits(self) -> bool:
        return any(seen.status in WAITING for seen in self._seen.values())

    def look(self, tasks: Iterable[Task], reasons: Mapping[str, str]) -> None:
        """All tasks of the job; what is not among them is deleted, or was pruned after it had ended. Who came before a
        deleted task does not take its place again."""
        found: dict[int, Seen] = {}
        there: set[str] = set()
        for task in tasks:
            seen = _seen(task, reasons.get(task.id, ""))
            there.add(seen.task_id)
            old = found.get(seen.instance)
            if self._matters(seen.instance) and (old is None or _is_newer(seen, old)):
                found[seen.instance] = seen
        gone = {
            number: replace(seen, status=DELETED, message="", reason="")
            for number, seen in self._seen.items()
            if seen.task_id not in there and (seen.is_active or seen.status == DELETED)
            if number not in found or _came_before(found[number], seen)
        }
        for seen in [*gone.values(), *(found[number] for number in sorted(found) if number not in gone)]:
            self._set(seen)

    def event(self, seen: Seen) -> bool:
        """Whether it changed anything."""
        old = self._seen.get(seen.instance)
        if not self._matters(seen.instance) or (old is not None and not self._goes_on(old, seen)):
            return False
        if old is not None:
            seen = replace(seen, ancestor=old.ancestor if old.task_id == seen.task_id else old.task_id)
        self._set(seen)
        return True

    def deleted(self, task_ids: Collection[str]) -> bool:
        """Whether one of ours was among them. What has ended stays as it ended."""
        changed = False
        for seen in list(self._seen.values()):
            if seen.task_id in task_ids and seen.is_active:
                self._set(replace(seen, status=DELETED, message="", reason=""))
                changed = True
        return changed

    def _set(self, seen: Seen) -> None:
        old = self._seen.get(seen.instance)
        if old is None or (old.task_id, old.status) != (seen.task_id, seen.status):
            self._changes.append(seen)
        self._seen[seen.instance] = seen

    def _matters(self, instance: int) -> bool:
        return self._only is None or instance in self._only

    @staticmethod
    def _goes_on(old: Seen, new: Seen) -> bool:
        if new.since_ms < old.since_ms or (new.task_id == old.task_id and new.status == old.status):
            return False
        return new.task_id == old.task_id or new.is_active or not old.is_active


def _seen(task: Task, reason: str) -> Seen:
    return Seen(
        instance=task.instance,
        task_id=task.id,
        status=one_line(task.status),
        since_ms=task.since_ms,
        host=one_line(task.host),
        message=one_line(task.message),
        reason=one_line(reason),
        ancestor=task.ancestor_id or "",
    )


def seen_of(news: TaskNews) -> Seen:
    """What an event says."""
    return Seen(
        instance=news.instance,
        task_id=news.task_id,
        status=one_line(news.status),
        since_ms=news.timestamp,
        host=one_line(news.host),
        message=one_line(news.message),
    )


def _is_newer(seen: Seen, old: Seen) -> bool:
    """An active task is the newest of its instance; of the others the one that changed last."""
    if seen.is_active != old.is_active:
        return seen.is_active
    return seen.since_ms >= old.since_ms


def _came_before(seen: Seen, deleted: Seen) -> bool:
    """It had ended when the other one was last heard of."""
    return not seen.is_active and seen.since_ms <= deleted.since_ms
