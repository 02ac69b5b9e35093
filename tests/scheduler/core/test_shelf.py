"""Shelves: whatever comes and goes, a search finds what a plain list would, in order, with few looks."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from scheduler.core.resources import Amount
from scheduler.core.shelf import LOAD, Key, Looks, Shelf


@dataclass(frozen=True)
class Thing:
    number: int
    cpus: int
    spare: int = 0

    @property
    def key(self) -> Key:
        return self.number.to_bytes(4, "big")

    @property
    def there(self) -> tuple[Amount, Amount]:
        return Amount(milli_cpus=self.cpus), Amount(milli_cpus=self.spare)


_THINGS = st.builds(Thing, st.integers(0, 30), st.integers(0, 9), st.integers(0, 9))


@given(st.lists(st.tuples(_THINGS, st.booleans()), max_size=60), st.integers(0, 9), st.booleans())
def test_a_search_finds_what_a_list_would(moves: list[tuple[Thing, bool]], wanted: int, is_revocable: bool) -> None:
    shelf: Shelf[Thing] = Shelf(Looks())
    plain: dict[int, Thing] = {}
    for thing, comes in moves:
        there = plain.pop(thing.number, None)
        if there is not None:
            shelf.remove(there)
        elif comes:
            shelf.add(thing)
            plain[thing.number] = thing
        found = list(shelf.holding(Amount(milli_cpus=wanted), is_revocable))
        assert found == [
            plain[n] for n in sorted(plain) if plain[n].there[is_revocable].milli_cpus >= wanted
        ]  # fmt: skip
    assert list(shelf) == [plain[n] for n in sorted(plain)]
    assert len(shelf) == len(plain)


def test_many_come_and_go_in_any_order() -> None:
    rng = random.Random(7)
    things = [Thing(n, n % 10) for n in range(20 * LOAD)]
    shelf: Shelf[Thing] = Shelf(Looks())
    for thing in rng.sample(things, len(things)):
        shelf.add(thing)
    assert list(shelf) == things
    gone = set(rng.sample(things, 15 * LOAD))
    for thing in gone:
        shelf.remove(thing)
    assert list(shelf) == [thing for thing in things if thing not in gone]
    for thing in things:
        if thing not in gone:
            shelf.remove(thing)
    assert not list(shelf) and len(shelf) == 0


def test_what_is_too_small_is_passed_by_blocks() -> None:
    looks = Looks()
    shelf: Shelf[Thing] = Shelf(looks)
    for number in range(100 * LOAD):
        shelf.add(Thing(number, 1))
    shelf.add(Thing(100 * LOAD, 5))
    assert [t.cpus for t in shelf.holding(Amount(milli_cpus=5), False)] == [5]
    assert looks.count < 100 + 3 * LOAD


def test_bounds_get_tighter_when_the_biggest_leaves() -> None:
    looks = Looks()
    shelf: Shelf[Thing] = Shelf(looks)
    for number in range(LOAD):
        shelf.add(Thing(number, 1))
    big = Thing(LOAD, 5)
    shelf.add(big)
    shelf.remove(big)
    for expected in (1 + LOAD, 1):
        looks.count = 0
        assert not list(shelf.holding(Amount(milli_cpus=5), False))
        assert looks.count == expected
