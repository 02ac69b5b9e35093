"""How many tasks of a job run on hosts with some value of an attribute: what limit constraints ask, without a walk.

What is kept is the number of tasks by job and host. The numbers by value of one attribute are worked out when they are
asked for the first time, follow every task from then on, and are forgotten when the attributes of a host change on
which the job has tasks.

Source: spec/scheduler.md §3.2 (limit constraints).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from scheduler.core.model import JobKey

K = TypeVar("K", bound=Hashable)

#: What is known of a host's attributes, whether it has an offer or not.
AttributesOf = Callable[[str], Mapping[str, frozenset[str]]]


@dataclass(slots=True)
class _Job:
    hosts: dict[str, int] = field(default_factory=dict)
    by_attribute: dict[str, Counter[str]] = field(default_factory=dict)


class Spread:
    """Serves as `scheduler.core.filters.Counts`."""

    def __init__(self, attributes_of: AttributesOf) -> None:
        self._attributes_of = attributes_of
        self._jobs: dict[JobKey, _Job] = {}
        self._on_host: dict[str, dict[JobKey, int]] = {}

    def __call__(self, job: JobKey, attribute: str, value: str) -> int:
        found = self._jobs.get(job)
        if found is None:
            return 0
        counts = found.by_attribute.get(attribute)
        if counts is None:
            counts = found.by_attribute[attribute] = self._count(found, attribute)
        return counts[value]

    def on_host(self, host: str) -> int:
        """Tasks of all jobs."""
        return sum(self._on_host.get(host, {}).values())

    def add(self, job: JobKey, host: str) -> None:
        """A task of the job holds resources on the host now."""
        self._move(job, host, 1)

    def remove(self, job: JobKey, host: str) -> None:
        """One of those that were added holds nothing any more."""
        self._move(job, host, -1)

    def host_changed(self, host: str) -> None:
        """`attributes_of` has another answer for it than before."""
        for job in self._on_host.get(host, ()):
            self._jobs[job].by_attribute.clear()

    def _move(self, job: JobKey, host: str, step: int) -> None:
        found = self._jobs.get(job)
        if found is None:
            found = self._jobs[job] = _Job()
        if found.by_attribute:
            attributes = self._attributes_of(host)
            for attribute, counts in found.by_attribute.items():
                for value in attributes.get(attribute, ()):
                    counts[value] += step
        left = _add(found.hosts, host, step)
        _add(self._on_host.setdefault(host, {}), job, step)
        if not left:
            if not self._on_host[host]:
                del self._on_host[host]
            if not found.hosts:
                del self._jobs[job]

    def _count(self, job: _Job, attribute: str) -> Counter[str]:
        counts: Counter[str] = Counter()
        for host, tasks in job.hosts.items():
            for value in self._attributes_of(host).get(attribute, ()):
                counts[value] += tasks
        return counts


def _add(counts: dict[K, int], key: K, step: int) -> int:
    """The new number; what comes to nothing is not kept."""
    number = counts.get(key, 0) + step
    if number:
        counts[key] = number
    else:
        del counts[key]
    return number
