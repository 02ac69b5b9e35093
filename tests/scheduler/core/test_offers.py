"""Offers come and go: held with jitter, merged, rescinded in any order, lost; their order; what is searched where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos.core.messages import Offer, scalar
from scheduler.core.filters import MaintenanceMode, filter_host
from scheduler.core.groups import group_key
from scheduler.core.host_offer import OfferOrder, attributes_of, ordered
from scheduler.core.model import DEDICATED, Constraint, TaskConfig
from scheduler.core.offers import OfferBook, OfferRules
from tests.scheduler.core.making import (
    SETTINGS,
    chances,
    config,
    limit,
    number_attribute,
    offer,
    revocable,
    value,
)

RULES = OfferRules(hold_s=300, jitter_s=60, order=())


def book_of(*offers: Offer, rules: OfferRules = RULES) -> OfferBook:
    book = OfferBook(rules)
    for each in offers:
        assert book.add(each, 0.0, chances(0.5)) is None
    return book


def found(book: OfferBook, wanted: TaskConfig, full: tuple[str, ...] = ()) -> list[str]:
    needs = SETTINGS.wanted_of(wanted)
    assert needs is not None
    is_full = lambda name, each, most: each in full  # noqa: E731
    return [o.id for o in book.candidates(group_key(wanted), wanted, needs.total, needs.is_revocable, is_full)]


# --- coming and going --------------------------------------------------------------------------------------------


def test_an_offer_is_held_for_its_time_and_then_declined() -> None:
    book = OfferBook(RULES)
    book.add(offer(0), 10.0, chances(0.0))
    book.add(offer(1), 10.0, chances(0.5))
    assert book.next_wake() == 310.0
    assert book.step(309.9) is None
    first = book.step(310.0)
    assert first is not None and [i.value for i in first.offer_ids] == ["o00000"] and first.refuse_s == 5.0
    assert book.next_wake() == 340.0 and len(book) == 1
    assert book.step(340.0) is not None and book.next_wake() is None and len(book) == 0


def test_offers_can_be_held_for_ever() -> None:
    book = book_of(offer(0), rules=OfferRules(hold_forever=True))
    assert book.next_wake() is None and book.step(1e9) is None and len(book) == 1


def test_two_offers_of_an_agent_are_declined_so_that_the_master_makes_one_of_them() -> None:
    book = book_of(offer(0, agent="a"), offer(1))
    declined = book.add(offer(2, agent="a"), 1.0, chances())
    assert declined is not None and [i.value for i in declined.offer_ids] == ["o00000", "o00002"]
    assert [o.id for o in book] == ["o00001"]
    assert book.add(offer(3, agent="a"), 2.0, chances()) is None


def test_an_offer_that_is_said_twice_is_one() -> None:
    book = book_of(offer(0))
    assert book.add(offer(0), 1.0, chances()) is None
    assert len(book) == 1


def test_a_rescinded_offer_is_gone_also_when_that_is_said_before_it_comes() -> None:
    book = book_of(offer(0))
    assert book.rescind("o00000", 1.0) is True
    assert book.rescind("o00001", 1.0) is False
    assert book.add(offer(1), 1.0, chances()) is None
    assert len(book) == 0 and book.take("o00001") is None
    assert book.add(offer(1), 1.0, chances()) is None and len(book) == 1  # said once, gone once


def test_a_rescind_without_an_offer_is_not_kept_for_ever() -> None:
    book = book_of()
    book.rescind("o00001", 1.0)
    book.step(301.0)
    book.add(offer(1), 302.0, chances())
    assert "o00001" in book
    for second in range(1000):  # nor does anybody have to call `step` for that
        book.rescind(f"x{second}", 400.0 + second)
    assert len(book._rescinded) <= 300


def test_taken_is_gone() -> None:
    book = book_of(offer(0))
    taken = book.take("o00000")
    assert taken is not None and taken.host == "a00000.example"
    assert book.take("o00000") is None and book.of_agent("a00000") is None and found(book, config()) == []


def test_an_agent_that_is_lost_takes_its_offer_along() -> None:
    book = book_of(offer(0), offer(1))
    lost = book.agent_lost("a00000")
    assert lost is not None and lost.id == "o00000"
    assert book.agent_lost("a00000") is None and [o.id for o in book] == ["o00001"]


def test_without_a_connection_there_are_no_offers_but_modes_stay() -> None:
    book = book_of(offer(0, host="h"), offer(1))
    book.set_mode("h", MaintenanceMode.DRAINED)
    book.rescind("o00009", 0.0)
    book.disconnected()
    assert len(book) == 0 and book.next_wake() is None and found(book, config()) == []
    book.add(offer(9), 0.0, chances())
    book.add(offer(0, host="h"), 0.0, chances())
    assert [o.mode for o in book] == [MaintenanceMode.NONE, MaintenanceMode.DRAINED]


def test_timers_of_offers_that_are_gone_do_not_pile_up() -> None:
    book = book_of()
    for number in range(2000):
        book.add(offer(number), 0.0, chances())
        book.take(f"o{number:05}")
    assert len(book._leaving) < 200


# --- order -------------------------------------------------------------------------------------------------------


def test_maintenance_then_absence_then_id() -> None:
    book = book_of(
        offer(0, host="s"), offer(1, away_s=9000.0), offer(2, away_s=9500.0), offer(4), offer(3), offer(5, host="d")
    )
    book.set_mode("s", MaintenanceMode.SCHEDULED)
    book.set_mode("d", MaintenanceMode.DRAINING)
    assert found(book, config()) == ["o00003", "o00004", "o00002", "o00001", "o00000"]


@pytest.mark.parametrize(("closed_s", "is_closed"), [(60.0, False), (100.0, False), (101.0, True), (360.0, True)])
def test_so_long_before_an_absence_nothing_is_started(closed_s: float, is_closed: bool) -> None:
    book = book_of(offer(0, away_s=1100.0), rules=OfferRules(closed_s=closed_s))
    (only,) = book
    needs = SETTINGS.wanted_of(config())
    assert needs is not None
    vetoes = filter_host(config(), needs.total, only.view(False), lambda job, name, each: 0, 1000.0)
    assert [veto.text for veto in vetoes] == (["Host draining for maintenance"] if is_closed else [])


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ((), [0, 1, 2]),
        ((OfferOrder.CPU,), [1, 0, 2]),
        ((OfferOrder.MEMORY,), [2, 1, 0]),
        ((OfferOrder.DISK,), [1, 2, 0]),
        ((OfferOrder.REVOCABLE_CPU,), [0, 2, 1]),
        ((OfferOrder.DISK, OfferOrder.CPU), [1, 2, 0]),
        ((OfferOrder.RANDOM,), [2, 0, 1]),
    ],
)
def test_the_operator_says_what_comes_first(order: tuple[OfferOrder, ...], expected: list[int]) -> None:
    book = OfferBook(OfferRules(order=order))
    spare = (revocable(scalar("cpus", 3.0)),)
    book.add(offer(0, cpus=3.0, mem=3000.0, disk=900.0), 0.0, chances(0.5))
    book.add(offer(1, cpus=2.0, mem=2000.0, disk=100.0, extra=spare), 0.0, chances(0.9))
    book.add(offer(2, cpus=4.0, mem=1000.0, disk=100.0 if len(order) == 2 else 800.0), 0.0, chances(0.1))
    assert found(book, config()) == [f"o{n:05}" for n in expected]


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_keys_compare_as_their_numbers_do(a: float, b: float) -> None:
    if a != b:
        assert (ordered(a) < ordered(b)) is (a < b)


# --- what is searched --------------------------------------------------------------------------------------------


def test_attributes_are_texts_and_numbers_and_the_name_of_the_host() -> None:
    attributes = (*offer(0, rack="r1", os="a,b").attributes, number_attribute("level", 3))
    assert attributes_of("h", attributes) == {
        "rack": {"r1"}, "os": {"a", "b"}, "level": {"3.0"}, "host": {"h"},
    }  # fmt: skip


def test_offers_without_cpus_or_memory_are_no_candidates() -> None:
    book = book_of(offer(0, cpus=0.0), offer(1, mem=0.0), offer(2, cpus=0.0, extra=(revocable(scalar("cpus", 2.0)),)))
    assert len(book) == 3 and found(book, config()) == []
    assert found(book, config(tier="revocable")) == ["o00002"]


@pytest.mark.parametrize(
    ("constraints", "full", "expected"),
    [
        ((), (), [0, 1, 2, 3]),
        ((value("rack", "r1"),), (), [0, 1]),
        ((value("rack", "r2", "r1"),), (), [0, 1, 2]),
        ((value("rack", "r9"),), (), []),
        ((value("rack", "r1", negated=True),), (), [2, 3]),
        ((value("zone", "z1", negated=True),), (), [0, 1, 2, 3]),  # not every host has a zone: all are looked at
        ((limit("rack", 1),), ("r1", "r2"), [3]),
        ((limit("rack", 1),), ("r1", "r2", "r3"), []),
        ((value("rack", "r1"), value("os", "b")), (), [1]),
    ],
)
def test_only_what_may_fit_is_looked_at(
    constraints: tuple[Constraint, ...], full: tuple[str, ...], expected: list[int]
) -> None:
    book = book_of(
        offer(0, rack="r1", os="a"), offer(1, rack="r1", os="a,b"), offer(2, rack="r2", os="a", zone="z1"),
        offer(3, rack="r3", os="a"), offer(4, dedicated="www/x"),
    )  # fmt: skip
    book.take("o00004")
    assert found(book, config(*constraints), full) == [f"o{n:05}" for n in expected]


def test_an_offer_with_several_values_comes_once() -> None:
    book = book_of(offer(0, os="a,b,c"), offer(1, os="b"), *(offer(n, os="x") for n in range(2, 9)))
    assert found(book, config(value("os", "a", "b", "c"))) == ["o00000", "o00001"]


def test_dedicated_hosts_are_looked_at_by_who_asks_for_them() -> None:
    book = book_of(offer(0, dedicated="www/x"), offer(1))
    assert found(book, config()) == ["o00001"]
    assert found(book, config(value(DEDICATED, "www/x"))) == ["o00000"]


# --- bans --------------------------------------------------------------------------------------------------------


def test_a_ban_lasts_as_long_as_the_offer_and_the_mode_of_its_host() -> None:
    book = book_of(offer(0, host="h"), offer(1))
    one, other = config(), config(cpus=0.5)
    book.ban("o00000", group_key(one))
    book.ban("gone", group_key(one))
    assert (found(book, one), found(book, other)) == (["o00001"], ["o00000", "o00001"])
    assert book.is_banned("o00000", group_key(one)) and book.bans == 1
    book.set_mode("h", MaintenanceMode.DRAINED)
    book.set_mode("h", MaintenanceMode.NONE)
    assert found(book, one) == ["o00000", "o00001"] and book.bans == 0
    book.ban("o00000", group_key(one))
    book.take("o00000")
    assert book.bans == 0


def test_bans_are_bounded() -> None:
    book = book_of(offer(0), offer(1), rules=OfferRules(most_bans=1))
    book.ban("o00000", b"g")
    book.ban("o00001", b"g")
    assert book.bans == 1 and not book.is_banned("o00001", b"g")


# --- for any cluster ---------------------------------------------------------------------------------------------

_ATTRIBUTES = st.fixed_dictionaries(
    {}, optional={"rack": st.sampled_from(["r1", "r2", "r1,r2"]), "os": st.sampled_from(["a", "b"]),
                  DEDICATED: st.sampled_from(["www/x", "db/y"])}
)  # fmt: skip
_CONSTRAINTS = st.sampled_from(
    [value("rack", "r1"), value("rack", "r1", negated=True), value("os", "a", "b"), value("os", "b", negated=True),
     limit("rack", 2), limit("host", 1), value(DEDICATED, "www/x")]
)  # fmt: skip
MODES = st.sampled_from(list(MaintenanceMode))


@given(
    st.lists(st.tuples(_ATTRIBUTES, st.sampled_from([0.0, 0.5, 1.0, 2.0, 4.0]), MODES), max_size=12),
    st.lists(_CONSTRAINTS, max_size=3, unique=True),
    st.sampled_from([0.25, 1.0, 3.0]),
    st.dictionaries(st.sampled_from(["r1", "r2"]), st.integers(0, 3)),
)
def test_no_host_that_fits_is_left_out(
    hosts: list[tuple[dict[str, str], float, MaintenanceMode]],
    constraints: list[Constraint],
    cpus: float,
    running: dict[str, int],
) -> None:
    book = OfferBook(RULES)
    for number, (attributes, there, mode) in enumerate(hosts):
        book.set_mode(f"h{number}", mode)
        book.add(offer(number, host=f"h{number}", cpus=there, **attributes), 0.0, chances())  # type: ignore[arg-type]
    wanted = config(*constraints, cpus=cpus)
    needs = SETTINGS.wanted_of(wanted)
    assert needs is not None

    def fits(o: str) -> bool:
        held = book.get(o)
        assert held is not None
        counts = lambda job, name, each: running.get(each, 0)  # noqa: E731
        return not filter_host(wanted, needs.total, held.view(False), counts, 0.0)

    full = lambda name, each, most: running.get(each, 0) >= most  # noqa: E731
    ids = [o.id for o in book.candidates(b"g", wanted, needs.total, False, full)]
    assert len(set(ids)) == len(ids)
    by_key = sorted(book, key=lambda each: each.key)
    assert [i for i in ids if fits(i)] == [each.id for each in by_key if fits(each.id)]


@pytest.mark.parametrize("much", [float("inf"), float("-inf"), float("nan"), -1.0, 1e300])
def test_an_agent_may_say_anything_of_itself(much: float) -> None:
    (odd,) = book_of(offer(0, mem=much, extra=(scalar("gpus", much),)))
    amount = odd.there[False]
    assert amount.milli_cpus == 4000
    assert (amount.ram_mb, amount.gpus) == ((10**12, 10**12) if much > 0 else (0, 0))
