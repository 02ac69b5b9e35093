"""When is a wait over? Pure decisions about the instances of a job, for `--wait-until`, `job run`, kill and restart.

A wait that would end badly is looked at once more by whoever waits: an instance that failed may have a successor that
the event of has not come yet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from client.aurora.core.instances import Seen
from client.aurora.core.tasks import DELETED

Known = Mapping[int, Seen]


class Goal(StrEnum):
    PENDING = "PENDING"  # it is there
    RUNNING = "RUNNING"  # it runs, or did so
    FINISHED = "FINISHED"  # it is over


@dataclass(frozen=True)
class Verdict:
    """`bad`: instance -> why it is; `wake_at`: when to judge again although nothing happens (monotonic)."""

    over: bool
    bad: Mapping[int, str] = field(default_factory=dict)
    wake_at: float | None = None


Judge = Callable[[Known, float], Verdict]


def until(goal: Goal, wanted: Collection[int]) -> Judge:
    """All wanted instances have come so far, or never will."""

    def judge(known: Known, now: float) -> Verdict:
        bad = {number: _how(known.get(number)) for number in wanted if _is_bad(known.get(number))}
        over = all(number in bad or _has_come(goal, known[number].status) for number in wanted)
        return Verdict(over, bad)

    return judge


def _is_bad(seen: Seen | None) -> bool:
    return seen is None or seen.status in ("FAILED", "KILLED", "LOST", DELETED)


def _has_come(goal: Goal, status: str) -> bool:
    match goal:
        case Goal.PENDING:
            return True
        case Goal.RUNNING:
            return status in ("RUNNING", "FINISHED")
        case Goal.FINISHED:
            return status == "FINISHED"


def _how(seen: Seen | None) -> str:
    if seen is None or seen.status == DELETED:
        return "is gone"
    return f"{seen.status}{f': {seen.message}' if seen.message else ''}"


def until_ended(killed: Collection[int]) -> Judge:
    """None of them is active any more."""

    def judge(known: Known, now: float) -> Verdict:
        return Verdict(not any(number in known and known[number].is_active for number in killed))

    return judge


class Restarted:
    """Instances that were told to restart: each has a new task, which runs for `watch_s` without a break.

    A new task that ends, or stops running, has failed; so has an instance that has no task any more.
    """

    def __init__(self, before: Mapping[int, str], watch_s: float) -> None:
        self._before = dict(before)  # instance -> the task that was told to restart
        self._watch_s = watch_s
        self._new: dict[int, str] = {}  # the task that came after it
        self._running_since: dict[int, float] = {}  # of the new task
        self._ended: dict[int, str] = {}  # "" is well

    def judge(self, known: Known, now: float) -> Verdict:
        for number, old in self._before.items():
            if number not in self._ended:
                end = self._end_of(number, known.get(number), old, now)
                if end is not None:
                    self._ended[number] = end
        waits = [at + self._watch_s for number, at in self._running_since.items() if number not in self._ended]
        bad = {number: how for number, how in self._ended.items() if how}
        return Verdict(len(self._ended) == len(self._before), bad, min(waits, default=None))

    def _end_of(self, number: int, seen: Seen | None, old: str, now: float) -> str | None:
        """How it ended, "" well, None not yet."""
        if seen is None or seen.status == DELETED:
            return "is gone"
        if seen.task_id == old:  # it ends, or has ended and its successor comes
            return None
        since = self._running_since.get(number)
        is_second = seen.task_id != self._new.setdefault(number, seen.task_id) or seen.ancestor not in ("", old)
        if is_second or not seen.is_active:
            ran = f" after it ran for {now - since:.0f} s" if since is not None else ""
            return f"ended{ran}: {_how(seen)}"
        if seen.status == "RUNNING":
            since = self._running_since.setdefault(number, now)
            return "" if now - since >= self._watch_s else None
        return f"ran for {now - since:.0f} s, then {_how(seen)}" if since is not None else None
