"""Things in order, to be searched for the first one that is big enough, without looking at those that are not.

The order is cut into blocks, each with an upper bound of what its members hold, one for ordinary tasks and one for
tasks of a revocable tier. A search passes a block with one comparison where nothing in it can be enough. Whatever is
counted in `Looks` is what a search costs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from scheduler.core.resources import NOTHING, Amount

#: Members of a block when it is made; at twice as many it is halved.
LOAD = 64

#: Bytes are compared in one go, wherever they lie; a tuple would be, member by member.
Key = bytes


class Sized(Protocol):
    """`key` is its place, and nothing else has the same; `there`: what it holds (ordinary, for revocable tiers)."""

    @property
    def key(self) -> Key: ...
    @property
    def there(self) -> tuple[Amount, Amount]: ...


T = TypeVar("T", bound=Sized)


class Looks:
    """How many blocks and members were looked at."""

    def __init__(self) -> None:
        self.count = 0


def upper_bound(a: Amount, b: Amount) -> Amount:
    """Holds whatever one of them holds."""
    if a.holds(b):
        return a
    return Amount(
        max(a.milli_cpus, b.milli_cpus),
        max(a.ram_mb, b.ram_mb),
        max(a.disk_mb, b.disk_mb),
        max(a.ports, b.ports),
        max(a.gpus, b.gpus),
    )


class _Block(Generic[T]):
    """`is_loose`: a member left that may have been the biggest; the bounds still hold, but could be tighter. They are
    made so when a search was led in vain."""

    __slots__ = ("bounds", "is_loose", "keys", "things")

    def __init__(self, keys: list[Key], things: list[T]) -> None:
        self.keys = keys
        self.things = things
        self.bounds = (NOTHING, NOTHING)
        self.is_loose = False
        self.tighten()

    def tighten(self) -> None:
        firm, revocable = self.things[0].there
        for thing in self.things:
            firm = upper_bound(firm, thing.there[0])
            revocable = upper_bound(revocable, thing.there[1])
        self.bounds = (firm, revocable)
        self.is_loose = False

    def add(self, thing: T) -> None:
        place = bisect_left(self.keys, thing.key)
        self.keys.insert(place, thing.key)
        self.things.insert(place, thing)
        firm, revocable = self.bounds
        self.bounds = (upper_bound(firm, thing.there[0]), upper_bound(revocable, thing.there[1]))

    def remove(self, key: Key) -> None:
        place = bisect_left(self.keys, key)
        del self.keys[place], self.things[place]
        self.is_loose = True

    def halves(self) -> tuple[_Block[T], _Block[T]]:
        keys, things = self.keys, self.things
        return _Block(keys[:LOAD], things[:LOAD]), _Block(keys[LOAD:], things[LOAD:])


class Shelf(Generic[T]):
    """Must not change while a search of it goes on."""

    __slots__ = ("_blocks", "_lasts", "_looks", "_size")

    def __init__(self, looks: Looks) -> None:
        self._blocks: list[_Block[T]] = []
        self._lasts: list[Key] = []  # the last key of each block
        self._looks = looks
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[T]:
        return (thing for block in self._blocks for thing in block.things)

    def add(self, thing: T) -> None:
        self._size += 1
        if not self._blocks:
            self._blocks.append(_Block([thing.key], [thing]))
            self._lasts.append(thing.key)
            return
        place = min(bisect_left(self._lasts, thing.key), len(self._blocks) - 1)
        block = self._blocks[place]
        block.add(thing)
        if len(block.keys) > 2 * LOAD:
            first, second = block.halves()
            self._blocks[place : place + 1] = [first, second]
            self._lasts[place : place + 1] = [first.keys[-1], second.keys[-1]]
        else:
            self._lasts[place] = block.keys[-1]

    def remove(self, thing: T) -> None:
        """It must be there."""
        place = bisect_left(self._lasts, thing.key)
        block = self._blocks[place]
        self._size -= 1
        if len(block.keys) > 1:
            block.remove(thing.key)
            self._lasts[place] = block.keys[-1]
        else:
            del self._blocks[place], self._lasts[place]

    def holding(self, wanted: Amount, is_revocable: bool) -> Iterator[T]:
        """Everything that holds it, in order."""
        side = int(is_revocable)
        for block in self._blocks:
            self._looks.count += 1
            if not block.bounds[side].holds(wanted):
                continue
            in_vain = True
            for thing in block.things:
                self._looks.count += 1
                if thing.there[side].holds(wanted):
                    in_vain = False
                    yield thing
            if in_vain and block.is_loose:
                block.tighten()
