"""Which ended tasks are forgotten, and when: old ones, and of a job with very many the oldest.

Nothing is searched: every ended task has its moment, and every job that has too many has one, too. What somebody needs
yet is held, and comes up again later.

Source: spec/scheduler.md §8.5. Time is monotonic seconds; a task that ended before the machine started has a moment
below zero.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from scheduler.core.deadlines import Deadlines
from scheduler.core.model import JobKey


@dataclass(frozen=True, slots=True)
class PruneRules:
    """A task is kept for `keep_s`; of a job's more than `most_per_job` ended tasks the oldest only for `at_least_s`."""

    keep_s: float = 2 * 24 * 3600.0
    most_per_job: int = 100
    at_least_s: float = 3600.0


@dataclass(slots=True)
class _Job:
    tasks: dict[str, float] = field(default_factory=dict)
    oldest: list[tuple[float, str]] = field(default_factory=list)  # heap; may name tasks that are gone

    def first(self) -> tuple[float, str]:
        while True:
            ended_at, task_id = self.oldest[0]
            if self.tasks.get(task_id) == ended_at:
                return self.oldest[0]
            heapq.heappop(self.oldest)


class Ended:
    """Holds every task that has ended, from when it did until it is deleted."""

    def __init__(self, rules: PruneRules | None = None) -> None:
        self._rules = rules or PruneRules()
        self._jobs: dict[JobKey, _Job] = {}
        self._job_of: dict[str, JobKey] = {}
        self._old: Deadlines[str] = Deadlines()
        self._too_many: Deadlines[JobKey] = Deadlines()
        self._held: dict[str, tuple[JobKey, float]] = {}
        self._held_until: Deadlines[str] = Deadlines()

    def __len__(self) -> int:
        return len(self._job_of) + len(self._held)

    def add(self, task_id: str, key: JobKey, ended_at: float) -> None:
        if task_id in self._job_of or task_id in self._held:
            return
        job = self._jobs.setdefault(key, _Job())
        job.tasks[task_id] = ended_at
        heapq.heappush(job.oldest, (ended_at, task_id))
        self._job_of[task_id] = key
        self._old.set(task_id, ended_at + self._rules.keep_s)
        self._mind(key, job)

    def hold(self, task_id: str, key: JobKey, ended_at: float, until: float) -> None:
        """It was due, and is to be left until then. It counts for nothing meanwhile."""
        self._held[task_id] = (key, ended_at)
        self._held_until.set(task_id, until)

    def remove(self, task_id: str) -> None:
        """It is deleted. Nothing, if it is not known."""
        if self._held.pop(task_id, None) is not None:
            self._held_until.cancel(task_id)
            return
        key = self._job_of.pop(task_id, None)
        if key is None:
            return
        self._old.cancel(task_id)
        job = self._jobs[key]
        del job.tasks[task_id]
        if not job.tasks:
            del self._jobs[key]
            self._too_many.cancel(key)
            return
        if len(job.oldest) > 2 * len(job.tasks) + 16:
            job.oldest = [(ended_at, each) for each, ended_at in job.tasks.items()]
            heapq.heapify(job.oldest)
        self._mind(key, job)

    def due(self, now: float, most: int) -> list[str]:
        """Takes those that are to be deleted now, at most so many."""
        for task_id in self._held_until.due(now, most):
            self.add(task_id, *self._held.pop(task_id))
        found = self._old.due(now, most)
        for task_id in found:
            self.remove(task_id)
        while len(found) < most and (keys := self._too_many.due(now, 1)):
            _, task_id = self._jobs[keys[0]].first()
            found.append(task_id)
            self.remove(task_id)
        return found

    def next_wake(self) -> float | None:
        moments = (self._old.next_wake(), self._too_many.next_wake(), self._held_until.next_wake())
        return min((at for at in moments if at is not None), default=None)

    def _mind(self, key: JobKey, job: _Job) -> None:
        if len(job.tasks) > self._rules.most_per_job:
            ended_at, _ = job.first()
            self._too_many.set(key, ended_at + self._rules.at_least_s)
        else:
            self._too_many.cancel(key)
