"""Offers on shelves, so that a group of tasks looks only where it may fit: one for all hosts, one for each value of
each attribute. Hosts that are drained, and offers without cpus or memory, stand on none.

A configuration is looked up on the shelves of that constraint of it that leaves the fewest offers. All of its other
constraints are checked offer by offer. A limit leaves the values that are not full yet.

    rack: 'a,b'       the shelves (rack, a), (rack, b), merged in order
    rack: '!a,b'      all other values of rack, if every host has a rack
    rack: 'limit:2'   the values of rack with less than two tasks of the job
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator

from scheduler.core.filters import MaintenanceMode
from scheduler.core.host_offer import HostOffer
from scheduler.core.model import DEDICATED, Constraint, TaskConfig
from scheduler.core.resources import Amount
from scheduler.core.shelf import Looks, Shelf

#: More shelves than this are not merged, more values than that not counted: a look at each offer is cheaper then.
MOST_SHELVES = 16
MOST_VALUES = 256

#: (attribute, value, limit): the job in question has as many tasks there as it may.
IsFull = Callable[[str, str, int], bool]


class OfferIndex:
    """Holds offers by their place in the order; knows nothing of their comings and goings."""

    def __init__(self) -> None:
        self.looks = Looks()
        self._open: Shelf[HostOffer] = Shelf(self.looks)  # hosts for everybody
        self._kept: Shelf[HostOffer] = Shelf(self.looks)  # hosts that are dedicated
        self._by_value: dict[str, dict[str, Shelf[HostOffer]]] = {}
        self._carriers: dict[str, int] = {}  # attribute -> how many offers have it

    def __len__(self) -> int:
        return len(self._open) + len(self._kept)

    def add(self, offer: HostOffer) -> None:
        if not _is_shelved(offer):
            return
        self._home(offer).add(offer)
        for name, values in offer.attributes.items():
            self._carriers[name] = self._carriers.get(name, 0) + 1
            shelves = self._by_value.setdefault(name, {})
            for value in values:
                if value not in shelves:
                    shelves[value] = Shelf(self.looks)
                shelves[value].add(offer)

    def remove(self, offer: HostOffer) -> None:
        """It must be the one that was added."""
        if not _is_shelved(offer):
            return
        self._home(offer).remove(offer)
        for name, values in offer.attributes.items():
            self._carriers[name] -= 1
            shelves = self._by_value[name]
            for value in values:
                shelves[value].remove(offer)
                if not len(shelves[value]):
                    del shelves[value]
            if not shelves:
                del self._by_value[name], self._carriers[name]

    def candidates(
        self, config: TaskConfig, wanted: Amount, is_revocable: bool, is_full: IsFull
    ) -> Iterator[HostOffer]:
        """Offers that hold it and may fit, in order; none that fits is left out. Nothing may change meanwhile."""
        searches = [shelf.holding(wanted, is_revocable) for shelf in self._shelves(config, is_full)]
        if len(searches) == 1:
            return searches[0]
        return _without_repeats(heapq.merge(*searches, key=lambda offer: offer.key))

    def _home(self, offer: HostOffer) -> Shelf[HostOffer]:
        return self._kept if DEDICATED in offer.attributes else self._open

    def _shelves(self, config: TaskConfig, is_full: IsFull) -> list[Shelf[HostOffer]]:
        best = [self._open] if config.dedicated is None else [self._open, self._kept]
        fewest = sum(map(len, best))
        for constraint in config.constraints:
            values = self._values(constraint, is_full)
            if values is None:
                continue
            known = self._by_value.get(constraint.name, {})
            shelves = [known[value] for value in values if value in known]
            size = sum(map(len, shelves))
            if size < fewest and len(shelves) <= MOST_SHELVES:
                best, fewest = shelves, size
        return best

    def _values(self, constraint: Constraint, is_full: IsFull) -> Iterable[str] | None:
        """The values that it leaves; None: that can't be said, or is too much to say."""
        value, limit = constraint.constraint.value, constraint.constraint.limit
        if value is not None and not value.negated:
            return dict.fromkeys(value.values)
        known = self._by_value.get(constraint.name, {})
        if len(known) > MOST_VALUES:
            return None
        if limit is not None:
            return [each for each in known if not is_full(constraint.name, each, limit.limit)]
        if value is not None and self._carriers.get(constraint.name, 0) == len(self):
            return [each for each in known if each not in value.values]
        return None


def _is_shelved(offer: HostOffer) -> bool:
    return offer.has_any and offer.mode not in (MaintenanceMode.DRAINING, MaintenanceMode.DRAINED)


def _without_repeats(offers: Iterable[HostOffer]) -> Iterator[HostOffer]:
    """An offer with several values of an attribute stands on several shelves; merged, they stand side by side."""
    last = None
    for offer in offers:
        if offer is not last:
            last = offer
            yield offer
