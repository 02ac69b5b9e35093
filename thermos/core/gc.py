"""Which finished tasks may go: by age, by number, by the space they take. Pure; active ones are never given to it.

Each rule that is set names tasks of its own accord; a task goes when one rule names it. The newest stay longest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Finished:
    """A task that is over: when it ended (wall), and the bytes that it takes."""

    task_id: str
    root: str
    ended_at: float
    size: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """None: that rule is not set."""

    keep_days: float | None = None
    keep_last: int | None = None
    max_size: int | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """A task to remove, and why, in words."""

    task: Finished
    reason: str


def choose_removals(tasks: Iterable[Finished], policy: Policy, now: float) -> list[Removal]:
    """Oldest first. A task of the future (the clock was set back) counts as of now."""
    newest_first = sorted(tasks, key=lambda task: (-task.ended_at, task.root, task.task_id))
    return [*_named(newest_first, policy, now)][::-1]


def _named(newest_first: list[Finished], policy: Policy, now: float) -> Iterator[Removal]:
    kept, size, full = 0, 0, False
    for task in newest_first:
        full = full or (policy.max_size is not None and size + task.size > policy.max_size)
        reason = _why(task, policy, now, kept, full=full)
        if reason:
            yield Removal(task, reason)
        else:
            kept, size = kept + 1, size + task.size


def _why(task: Finished, policy: Policy, now: float, kept: int, *, full: bool) -> str:
    """Why it goes when so many newer ones are kept, and `full`: there is no room for it besides; "" when it stays."""
    if policy.keep_days is not None and now - task.ended_at > policy.keep_days * DAY:
        return f"older than {policy.keep_days:g} days"
    if policy.keep_last is not None and kept >= policy.keep_last:
        return f"not among the last {policy.keep_last}"
    return "too much space is taken" if full else ""
