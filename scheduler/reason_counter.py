"""Counts why groups of tasks wait, in quiet moments: one group after the other, a few hosts at a time.

A count looks at every offer, and there may be tens of thousands; so it is cut into slices, with a pause after each that
is long beside the work. However many groups wait, counting takes a small share of the time, and no turn waits for it.

Source: spec/scheduler.md §3.2, §13.5 (23).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scheduler.core.explain import Asked, Tally
from scheduler.core.filters import Counts
from scheduler.core.host_offer import HostOffer
from scheduler.core.offers import OfferBook
from scheduler.core.refusals import RefusalBook
from scheduler.core.vetoes import group_of
from scheduler.engine_stats import EngineStats
from thermos.clock import Now

#: Hosts that are asked in one go, and how long is rested for each.
SLICE = 100
REST_S = 0.0002


@dataclass(slots=True)
class _Count:
    """One that is under way. Offers that go meanwhile are counted still."""

    group: bytes
    tally: Tally
    offers: list[HostOffer]
    place: int = 0


class ReasonCounter:
    """`question`: what a group asks for; None: it is gone."""

    def __init__(
        self,
        refusals: RefusalBook,
        stats: EngineStats,
        question: Callable[[bytes], Asked | None],
        book: OfferBook,
        counts: Counts,
    ) -> None:
        self._refusals = refusals
        self._stats = stats
        self._question = question
        self._book = book
        self._counts = counts
        self._count: _Count | None = None
        self._rested_at = 0.0

    def next_wake(self) -> float | None:
        if self._count is not None:
            return self._rested_at
        due = self._refusals.next_wake()
        return max(due, self._rested_at) if due is not None else None

    def step(self, now: Now) -> None:
        """One slice at most."""
        if now.mono < self._rested_at:
            return
        count = self._count = self._count or self._begin(now.mono)
        if count is None:
            return
        part = count.offers[count.place : count.place + SLICE]
        count.place += len(part)
        for offer in part:
            count.tally.add(offer, self._counts, now.wall)
        self._rested_at = now.mono + REST_S * (len(part) + 1)
        if count.place >= len(count.offers):
            self._finish(count, now.mono)

    def _begin(self, now: float) -> _Count | None:
        for group in self._refusals.due(now, 1):
            asked = self._question(group)
            if asked is not None:
                return _Count(group, Tally(asked), list(self._book))
        return None

    def _finish(self, count: _Count, now: float) -> None:
        self._count = None
        for vetoes, hosts in count.tally.vetoes.items():
            for veto in vetoes:
                self._stats.vetoes[veto.kind.name.lower()] += hosts
            kind = group_of(vetoes)
            if kind is not None:
                self._stats.veto_groups[kind.value] += hosts
        self._refusals.counted(count.group, count.tally, len(count.offers), now)
