"""Pending groups × offers → who starts where, and who can't start now.

For each task the first offer that fits, in the book's order. An offer is used once: what a task leaves of it the master
offers anew. The tasks of a group are placed in one pass over the candidates: what refused the first of them refuses the
next one, too, since within a round offers only get fewer and limits only fuller.

What is assigned is out of the book when `assign` returns. The caller stores the tasks as ASSIGNED before it counts
tasks or assigns again; within a round they are counted here.

Source: spec/scheduler.md §3.1, §3.3, §3.5.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from msgspec import structs

from scheduler.core.allocate import Allocation, Wanted, allocate
from scheduler.core.filters import Counts, filter_host
from scheduler.core.groups import Attempt, PendingTask
from scheduler.core.host_offer import HostOffer
from scheduler.core.model import AssignedTask, JobKey, TaskConfig
from scheduler.core.offers import OfferBook
from scheduler.core.reservations import Reservations
from scheduler.core.vetoes import Veto, VetoGroup, group_of


@dataclass(frozen=True, slots=True)
class Assignment:
    group: bytes
    task: PendingTask
    offer: HostOffer
    allocation: Allocation

    def fill(self, assigned: AssignedTask) -> AssignedTask:
        """The task's record, with the place where it starts."""
        return structs.replace(
            assigned,
            slave_id=self.offer.agent,
            slave_host=self.offer.host,
            assigned_ports=dict(self.allocation.ports),
        )


@dataclass(frozen=True, slots=True)
class Refused:
    """No host takes these tasks now; `scheduler.core.explain` says of each host why."""

    attempt: Attempt
    tasks: tuple[PendingTask, ...]


@dataclass(frozen=True, slots=True)
class Round:
    assignments: tuple[Assignment, ...]
    refused: tuple[Refused, ...]

    def assigned_of(self, attempt: Attempt) -> list[str]:
        return [each.task.task_id for each in self.assignments if each.group == attempt.group]


class RoundCounts:
    """What the store counts, and what this round has added to it."""

    def __init__(self, stored: Counts) -> None:
        self._stored = stored
        self._added: Counter[tuple[JobKey, str, str]] = Counter()

    def __call__(self, job: JobKey, attribute: str, value: str) -> int:
        return self._stored(job, attribute, value) + self._added[job, attribute, value]

    def started(self, job: JobKey, host: HostOffer) -> None:
        for name, values in host.attributes.items():
            for value in values:
                self._added[job, name, value] += 1


@dataclass(frozen=True, slots=True)
class Placement:
    """All that a round decides by. `wanted_of`: what a configuration needs (None: it can't be launched at all);
    `now_wall`: for announced absences."""

    book: OfferBook
    counts: Counts
    reservations: Reservations
    wanted_of: Callable[[TaskConfig], Wanted | None]
    now_wall: float
    chance: Callable[[], float]


def assign(attempts: Iterable[Attempt], placement: Placement) -> Round:
    """One round, the attempts in their order."""
    counts = RoundCounts(placement.counts)
    assignments: list[Assignment] = []
    refused = []
    for attempt in attempts:
        wanted = placement.wanted_of(attempt.config)
        if wanted is None:
            refused.append(Refused(attempt, attempt.tasks))
            continue
        placed, left = _Group(attempt, wanted, placement, counts).place()
        for each in placed:
            placement.book.take(each.offer.id)
        assignments += placed
        if left:
            refused.append(Refused(attempt, tuple(left)))
    return Round(tuple(assignments), tuple(refused))


class _Group:
    """One attempt."""

    def __init__(self, attempt: Attempt, wanted: Wanted, placement: Placement, counts: RoundCounts) -> None:
        self._attempt = attempt
        self._config = attempt.config
        self._placement = placement
        self._counts = counts
        self._wanted = wanted
        self._needs = wanted.total
        self._used: set[str] = set()

    def place(self) -> tuple[list[Assignment], list[PendingTask]]:
        placed, left = [], []
        anywhere = self._fitting()
        for task in self._attempt.tasks:
            agent = self._placement.reservations.agent_of(task.instance)
            offer = next(anywhere, None) if agent is None else self._on_agent(agent)
            if offer is None:
                left.append(task)
            else:
                placed.append(self._start(task, offer))
        return placed, left

    def _fitting(self) -> Iterator[HostOffer]:
        """Offers that no task was given yet, the first one that fits first."""
        book, group, config = self._placement.book, self._attempt.group, self._config
        is_open_to = self._placement.reservations.is_open_to
        for offer in book.candidates(group, config, self._needs, self._wanted.is_revocable, self._is_full):
            if offer.id in self._used or not is_open_to(offer.agent, group):
                continue
            if self._fits(offer):
                yield offer

    def _on_agent(self, agent: str) -> HostOffer | None:
        """Where the instance ran before; what is refused there now is not kept as a ban."""
        offer = self._placement.book.of_agent(agent)
        if offer is None or offer.id in self._used or self._vetoes(offer):
            return None
        return offer

    def _fits(self, offer: HostOffer) -> bool:
        vetoes = self._vetoes(offer)
        if group_of(vetoes) is VetoGroup.STATIC:
            self._placement.book.ban(offer.id, self._attempt.group)
        return not vetoes

    def _vetoes(self, offer: HostOffer) -> list[Veto]:
        view = offer.view(self._wanted.is_revocable)
        return filter_host(self._config, self._needs, view, self._counts, self._placement.now_wall)

    def _is_full(self, attribute: str, value: str, limit: int) -> bool:
        return self._counts(self._config.job, attribute, value) >= limit

    def _start(self, task: PendingTask, offer: HostOffer) -> Assignment:
        self._used.add(offer.id)
        self._counts.started(self._config.job, offer)
        revocable = self._placement.book.rules.revocable
        allocation = allocate(offer.pools, self._wanted, self._placement.chance, revocable)
        return Assignment(self._attempt.group, task, offer, allocation)
