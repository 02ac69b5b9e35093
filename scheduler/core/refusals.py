"""Groups of tasks that no host takes: since when, how often they were tried, and the counts of the reasons.

A failed attempt looks at few offers, so the reasons of all hosts are counted apart from it (scheduler.core.explain): by
whoever asks `job why`, and by the caller in quiet moments for the groups that are `due`, so that pages and metrics have
something to show for every group and no burst of failures has to pay for it. What is remembered is bounded: the groups
that failed longest ago go first, and of reasons the most frequent are kept.

Source: spec/scheduler.md §3.2, §13.5 (23). Time is monotonic seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from scheduler.core.deadlines import Deadlines
from scheduler.core.explain import Explanation, Tally


@dataclass(frozen=True, slots=True)
class RefusalRules:
    """Reasons are not counted anew before they are `fresh_s` old; sooner where few hosts had to be asked, as
    `per_host_s` says, but not before `least_s`."""

    most_groups: int = 10_000
    most_reasons: int = 50
    fresh_s: float = 60.0
    per_host_s: float = 0.006
    least_s: float = 1.0

    def fresh_for(self, hosts: int) -> float:
        """Seconds."""
        return min(self.fresh_s, max(self.least_s, hosts * self.per_host_s))


@dataclass(slots=True)
class Standing:
    """Of one group. `fresh_until` None: its reasons were not counted yet."""

    since: float
    last: float
    attempts: int = 0
    tasks: int = 0
    reason: str = ""
    hosts_by_reason: Mapping[str, int] | None = None
    fresh_until: float | None = None


class RefusalBook:
    """Knows the groups whose last attempt left tasks over."""

    def __init__(self, rules: RefusalRules | None = None) -> None:
        self._rules = rules or RefusalRules()
        self._standings: dict[bytes, Standing] = {}  # the one that failed last is last
        self._due: Deadlines[bytes] = Deadlines()

    def __len__(self) -> int:
        return len(self._standings)

    def of(self, group: bytes) -> Standing | None:
        return self._standings.get(group)

    def failed(self, group: bytes, tasks: int, now: float) -> None:
        """An attempt left tasks over; `tasks` of the group wait now."""
        standing = self._standings.pop(group, None) or Standing(since=now, last=now)
        standing.last, standing.tasks = now, tasks
        standing.attempts += 1
        self._standings[group] = standing
        if group not in self._due:
            self._due.set(group, now if standing.fresh_until is None else max(now, standing.fresh_until))
        while len(self._standings) > self._rules.most_groups:
            self.forget(next(iter(self._standings)))

    def forget(self, group: bytes) -> None:
        """Nothing of it waits any more, or all that was tried has a host."""
        self._standings.pop(group, None)
        self._due.cancel(group)

    def due(self, now: float, most: int) -> list[bytes]:
        """Takes groups whose reasons should be counted: never counted, or failed again since, and not just now."""
        return self._due.due(now, most)

    def next_wake(self) -> float | None:
        """When there is a group whose reasons should be counted."""
        return self._due.next_wake()

    def counted(self, group: bytes, found: Explanation | Tally, hosts: int, now: float) -> None:
        """`hosts`: so many were asked."""
        standing = self._standings.get(group)
        if standing is None:
            return
        standing.fresh_until = now + self._rules.fresh_for(hosts)
        if group in self._due:  # it failed while it was counted
            self._due.set(group, standing.fresh_until)
        standing.reason = found.pending_reason
        standing.hosts_by_reason = dict(islice(found.by_reason.items(), self._rules.most_reasons))

    def tasks_by_reason(self) -> Mapping[str, int]:
        """How many tasks wait for that; not counted yet: an empty reason."""
        total: Counter[str] = Counter()
        for standing in self._standings.values():
            total[standing.reason] += standing.tasks
        return total
