"""Who is tried when: pending tasks in groups of the same configuration, each a queue, each with a pause of its own.

    add ── first delay ──▶ due ── begin ──▶ tried ── settle ──┬─ nothing left: the group is gone
                            ▲                                 ├─ something was assigned: first delay again
                            └───────────── pause ─────────────┴─ nothing was: a longer pause than before

A host that can't take one task of a group takes none of it: so a group is tried as one, a few tasks at a time, and the
other groups have their turn in between. Who calls `hasten` when offers come lets no room lie idle for the rest of a
pause; how long the next pause is does not change by that.

Source: spec/scheduler.md §3.3. Time is monotonic seconds.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from scheduler.core.backoff import Backoff
from scheduler.core.model import InstanceKey, TaskConfig

#: What an attempt may lack: moments are not exact after a year without a restart of the machine.
_NEARLY = 0.001


@dataclass(frozen=True, slots=True)
class GroupRules:
    """`attempts_per_s`: of all groups together; None: as many as there is time for. `most_at_once`: groups per `begin`,
    so that other work has its turn."""

    first_delay_s: float = 0.001
    penalty: Backoff = field(default=Backoff(1.0, 60.0))
    tasks_per_attempt: int = 20
    attempts_per_s: float | None = None
    most_at_once: int = 20


@dataclass(frozen=True, slots=True)
class PendingTask:
    task_id: str
    instance: InstanceKey


@dataclass(frozen=True, slots=True)
class Attempt:
    """The first tasks of a group. It is not due again before `settle` was told how it went."""

    group: bytes
    config: TaskConfig
    tasks: tuple[PendingTask, ...]


def group_key(config: TaskConfig) -> bytes:
    """The same for equal configurations, and for no others."""
    return hashlib.blake2b(msgspec.json.encode(config, order="deterministic"), digest_size=16).digest()


@dataclass(slots=True)
class _Group:
    config: TaskConfig
    ticket: int  # of its entry in the heap; older entries do not count
    pause_s: float = 0.0
    tasks: dict[str, PendingTask] = field(default_factory=dict)


class TaskGroups:
    """Holds every task that is PENDING, from when it became so until it is something else."""

    def __init__(self, rules: GroupRules | None = None) -> None:
        self._rules = rules or GroupRules()
        self._groups: dict[bytes, _Group] = {}
        self._group_of: dict[str, bytes] = {}
        self._due: list[tuple[float, int, bytes]] = []
        self._tickets = 0
        self._last: tuple[TaskConfig, bytes] | None = None  # tasks come by the job, and share the object
        self._allowed = 0.0  # attempts saved up
        self._counted_at: float | None = None

    def __len__(self) -> int:
        return len(self._groups)

    @property
    def tasks(self) -> int:
        return len(self._group_of)

    def group_of(self, task_id: str) -> bytes | None:
        return self._group_of.get(task_id)

    def config_of(self, group: bytes) -> TaskConfig | None:
        found = self._groups.get(group)
        return found.config if found is not None else None

    def size_of(self, group: bytes) -> int:
        """How many tasks of it wait."""
        found = self._groups.get(group)
        return len(found.tasks) if found is not None else 0

    def pause_of(self, group: bytes) -> float:
        """How long it was told to wait the last time; 0: not at all."""
        found = self._groups.get(group)
        return found.pause_s if found is not None else 0.0

    # --- tasks come and go ----------------------------------------------------------------------------------------

    def add(self, task: PendingTask, config: TaskConfig, now: float, delay_s: float = 0.0) -> bytes:
        """`delay_s`: of a new group, after a start of the scheduler. A group that exists keeps its own time."""
        if self._last is None or self._last[0] is not config:
            self._last = (config, group_key(config))
        key = self._last[1]
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(config, 0)
            self._queue(key, group, now + max(self._rules.first_delay_s, delay_s))
        group.tasks[task.task_id] = task
        self._group_of[task.task_id] = key
        return key

    def remove(self, task_id: str) -> bytes | None:
        """It is not PENDING any more. Tells the group if that is gone with it."""
        key = self._group_of.pop(task_id, None)
        if key is None:
            return None
        group = self._groups[key]
        del group.tasks[task_id]
        if group.tasks:
            return None
        del self._groups[key]
        return key

    # --- attempts -------------------------------------------------------------------------------------------------

    def begin(self, now: float) -> list[Attempt]:
        """What is to be tried now, the longest due first."""
        attempts: list[Attempt] = []
        most = min(self._rules.most_at_once, self._attempts_allowed(now))
        while len(attempts) < most and self._earliest() is not None and self._due[0][0] <= now:
            _, _, key = heapq.heappop(self._due)
            group = self._groups[key]
            group.ticket = 0
            tasks = tuple(islice(group.tasks.values(), self._rules.tasks_per_attempt))
            attempts.append(Attempt(key, group.config, tasks))
        if self._rules.attempts_per_s is not None:
            self._allowed -= len(attempts)
        return attempts

    def settle(
        self, attempt: Attempt, assigned: Collection[str], now: float, chance: Callable[[], float]
    ) -> bytes | None:
        """`assigned`: ids of the tasks that have a host now. Tells the group if nothing of it is left."""
        for task_id in assigned:
            self.remove(task_id)
        group = self._groups.get(attempt.group)
        if group is None:
            return attempt.group
        if group.ticket:
            return None  # it went and came anew meanwhile, with a time of its own
        if assigned:
            group.pause_s = 0.0
            self._queue(attempt.group, group, now + self._rules.first_delay_s)
        else:
            group.pause_s = self._rules.penalty.next(group.pause_s, chance())
            self._queue(attempt.group, group, now + group.pause_s)
        return None

    def hasten(self, now: float, most: int) -> int:
        """There are new offers: of the next `most` groups those that pause after a failure are due now. How many."""
        taken: list[tuple[float, bytes]] = []
        while len(taken) < most and self._earliest() is not None:
            at, _, key = heapq.heappop(self._due)
            taken.append((at, key))
        hastened = 0
        for at, key in taken:
            group = self._groups[key]
            pauses = group.pause_s > 0 and at > now
            self._queue(key, group, now if pauses else at)
            hastened += pauses
        return hastened

    def next_wake(self) -> float | None:
        """When `begin` may have something; None: when something is added or settled."""
        earliest = self._earliest()
        rate = self._rules.attempts_per_s
        if earliest is None or rate is None or self._counted_at is None or self._allowed >= 1 - _NEARLY:
            return earliest
        return max(earliest, self._counted_at + (1 - self._allowed) / rate)

    def _queue(self, key: bytes, group: _Group, at: float) -> None:
        self._tickets += 1
        group.ticket = self._tickets
        heapq.heappush(self._due, (at, self._tickets, key))

    def _earliest(self) -> float | None:
        while self._due:
            at, ticket, key = self._due[0]
            group = self._groups.get(key)
            if group is not None and group.ticket == ticket:
                return at
            heapq.heappop(self._due)
        return None

    def _attempts_allowed(self, now: float) -> int:
        """Unused attempts are saved for a second at most."""
        rate = self._rules.attempts_per_s
        if rate is None:
            return self._rules.most_at_once
        most = max(1.0, rate)
        gained = most if self._counted_at is None else (now - self._counted_at) * rate
        self._allowed, self._counted_at = min(most, self._allowed + gained), now
        return int(self._allowed + _NEARLY)
