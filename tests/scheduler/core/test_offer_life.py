"""Whatever happens to offers in whatever order, the book agrees with itself: its indexes, timers and bans."""

from __future__ import annotations

import random

import pytest

from scheduler.core.assign import Placement, assign
from scheduler.core.filters import MaintenanceMode
from scheduler.core.offers import OfferBook, OfferRules
from scheduler.core.reservations import Reservations
from tests.scheduler.core.making import SETTINGS, attempt, config, limit, offer, value

CONSTRAINTS = ((), (value("rack", "r1"),), (limit("host", 1),), (value("rack", "r0", negated=True),))


class Life:
    """Random events; `used` are offers that were given to a task."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.book = OfferBook(OfferRules(hold_s=20, jitter_s=5))
        self.now = 0.0
        self.offered = 0
        self.used: list[str] = []
        self.declined: list[str] = []

    def step(self) -> None:
        rng, book = self.rng, self.book
        self.now += rng.random()
        kinds = ["offer", "rescind", "lost", "mode", "step", "disconnect", "assign"]
        what = rng.choices(kinds, [40, 10, 5, 10, 5, 1, 29])
        match what[0]:
            case "offer":
                self.offer()
            case "rescind":
                book.rescind(f"o{rng.randrange(self.offered + 3):05}", self.now)
            case "lost":
                book.agent_lost(f"a{rng.randrange(30)}")
            case "mode":
                book.set_mode(f"h{rng.randrange(15)}", rng.choice(list(MaintenanceMode)))
            case "step":
                over = book.step(self.now)
                self.declined += [i.value for i in over.offer_ids] if over else []
            case "disconnect":
                book.disconnected()
            case _:
                self.assign()

    def offer(self) -> None:
        self.offered += 1
        agent = self.rng.randrange(30)
        cpus, host = self.rng.choice([0.0, 0.5, 2.0, 9.0]), f"h{agent // 2}"
        made = offer(self.offered, agent=f"a{agent}", host=host, cpus=cpus, rack=f"r{agent % 3}")
        merged = self.book.add(made, self.now, self.rng.random)
        self.declined += [i.value for i in merged.offer_ids] if merged else []

    def assign(self) -> None:
        wanted = attempt(config(*self.rng.choice(CONSTRAINTS)), 3)
        placement = Placement(
            self.book, lambda *_: 0, Reservations(), SETTINGS.wanted_of, 0.0, self.rng.random
        )  # fmt: skip
        self.used += [each.offer.id for each in assign([wanted], placement).assignments]

    def check(self) -> None:
        book, index = self.book, self.book._index
        live = {each.id: each for each in book}
        assert len({each.agent for each in live.values()}) == len(live)
        assert not set(live) & set(self.used) and not set(live) & set(self.declined)
        shelved = {
            i for i, o in live.items() if o.has_any and o.mode in (MaintenanceMode.NONE, MaintenanceMode.SCHEDULED)
        }
        assert {each.id for shelf in (index._open, index._kept) for each in shelf} == shelved
        for name, shelves in index._by_value.items():
            assert {each.id for shelf in shelves.values() for each in shelf} <= shelved
            assert sum(map(len, shelves.values())) == index._carriers[name]
        assert sum(map(len, book._bans.values())) == book.bans and set(book._bans) <= set(live)
        assert (book.next_wake() is None) is (not live)


@pytest.mark.parametrize("seed", range(25))
def test_the_book_agrees_with_itself(seed: int) -> None:
    life = Life(seed)
    for _ in range(250):
        life.step()
        life.check()
    assert len(set(life.used)) == len(life.used) > 10
    assert not set(life.used) & set(life.declined)
