"""Bags of resources: arithmetic that never drifts, both forms, texts."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos.core.messages import AllocationInfo, DiskInfo, Persistence, Reservation, Resource, Volume, ranges, scalar
from mesos.local.core.amounts import cut_spans, merge_spans
from mesos.local.core.resource_text import parse_attributes, parse_resources
from mesos.local.core.resource_validation import problem_of_resource
from mesos.local.core.resources import NONE, Key, Resources, total_of
from thermos.errors import Bug, UserError

keys = st.builds(
    Key,
    name=st.sampled_from(["cpus", "mem"]),
    reservations=st.sampled_from(
        [(), (Reservation(type="STATIC", role="a"),), (Reservation(type="DYNAMIC", role="a"),)]
    ),
    disk=st.just(""),
    provider=st.just(""),
    revocable=st.booleans(),
    shared=st.just(False),
    type=st.just("SCALAR"),
    role=st.sampled_from(["", "a", "b"]),
)
spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=4).map(
    lambda pairs: merge_spans((a, a + n) for a, n in pairs)
)
bags = st.builds(
    lambda scalars, ports, items: Resources(
        {
            **{key: amount for key, amount in scalars.items() if amount},
            **({Key("ports", type="RANGES"): ports} if ports else {}),
            **({Key("disks", type="SET"): items} if items else {}),
        }
    ),
    st.dictionaries(keys, st.integers(0, 10**9), max_size=5),
    spans,
    st.frozensets(st.sampled_from("abcd"), max_size=3),
)


@given(bags, bags)
def test_what_was_added_can_be_taken_away(a: Resources, b: Resources) -> None:
    apart = b.without(a.filter(lambda key: key.name in ("ports", "disks")))  # ranges and sets are not counted twice
    assert (a + apart) - apart == a
    assert (a + apart).contains(a) and (a + apart).contains(apart)
    assert a + apart == apart + a


@given(bags, bags)
def test_nothing_is_ever_negative(a: Resources, b: Resources) -> None:
    left = a.without(b)
    assert a.contains(left)
    assert all(amount > 0 for amount in left.amounts.values() if isinstance(amount, int))
    assert left + a.common(b) == a
    if not a.contains(b):
        with pytest.raises(Bug):
            a - b


@given(bags)
def test_messages_say_all_of_it(a: Resources) -> None:
    assert Resources.of(a.as_messages()) == a
    assert total_of([a, NONE]) == a
    assert a.unallocated().roles in ((), ("",))


@given(bags.map(lambda bag: bag.filter(lambda key: len(key.reservations) < 2)))
def test_the_old_form_says_all_of_it(a: Resources) -> None:
    assert Resources.of(a.old_form(allocation=True)) == a


@given(spans, spans)
def test_spans(a: tuple[tuple[int, int], ...], b: tuple[tuple[int, int], ...]) -> None:
    def numbers(spans: tuple[tuple[int, int], ...]) -> set[int]:
        return {n for low, high in spans for n in range(low, high + 1)}

    assert numbers(cut_spans(a, b)) == numbers(a) - numbers(b)
    assert numbers(merge_spans((*a, *b))) == numbers(a) | numbers(b)
    merged = merge_spans((*a, *b))
    assert all(first[1] + 1 < second[0] for first, second in itertools.pairwise(merged))


def test_thousandths_do_not_drift() -> None:
    tenth = Resources.of([scalar("cpus", 0.1)])
    assert total_of([tenth] * 10) == Resources.of([scalar("cpus", 1)])
    assert Resources.of([scalar("cpus", 0.0004)]) == NONE


DYNAMIC = Reservation(type="DYNAMIC", role="web", principal="me")
VOLUME = DiskInfo(persistence=Persistence(id="v1", principal="me"), volume=Volume(container_path="d", mode="RW"))


def made(**more: object) -> Resource:
    return Resource(**{"name": "cpus", "type": "SCALAR", "scalar": scalar("cpus", 1).scalar, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("resource", "text"),
    [
        (made(), "cpus:1"),
        (made(scalar=scalar("cpus", 0.125).scalar), "cpus:0.125"),
        (made(allocation_info=AllocationInfo(role="web")), "cpus(allocated: web):1"),
        (made(reservations=(DYNAMIC,)), "cpus(reservations: [(DYNAMIC,web,me)]):1"),
        (made(role="web"), "cpus(reservations: [(STATIC,web)]):1"),
        (made(role="web", reservation=Reservation(principal="me")), "cpus(reservations: [(DYNAMIC,web,me)]):1"),
        (made(reservations=(DYNAMIC,), disk=VOLUME), "cpus(reservations: [(DYNAMIC,web,me)])[v1:d]:1"),
        (ranges("ports", (1, 2), (5, 6)), "ports:[1-2, 5-6]"),
    ],
)
def test_as_mesos_prints_them(resource: Resource, text: str) -> None:
    assert str(Resources.of([resource])) == text


@pytest.mark.parametrize(
    ("resource", "problem"),
    [
        (scalar("cpus", -1), "Resource 'cpus:-1' is invalid: Invalid scalar resource: value <= 0"),
        (scalar("", 0.1), "Resource ':0.1' is invalid: Empty resource name"),
        (scalar("cpus", 0), None),
        (Resource(name="cpus", type="SCALAR"), "Resource 'cpus:0' is invalid: Invalid scalar resource"),
        (ranges("ports", (5, 3)), "Resource 'ports:[5-3]' is invalid: Invalid ranges resource: begin > end"),
        (
            ranges("ports", (3, 5), (4, 6)),
            "Resource 'ports:[3-5, 4-6]' is invalid: Invalid ranges resource: overlapping ranges",
        ),
        (
            made(scalar=scalar("cpus", 0.1).scalar, reservations=(Reservation(type="DYNAMIC", role="*"),)),
            (
                "Resource 'cpus(reservations: [(DYNAMIC,*)]):0.1' is invalid: "
                'Invalid reservation: role "*" cannot be reserved'
            ),
        ),
        (made(reservations=(DYNAMIC, Reservation(type="DYNAMIC", role="web/a"))), None),
    ],
)
def test_what_mesos_says_of_wrong_ones(resource: Resource, problem: str | None) -> None:
    assert problem_of_resource(resource) == problem


def test_texts_of_flags() -> None:
    parsed = Resources.of(
        parse_resources("cpus:4; mem:4096;cpus(web):1.5;ports:[31000-31099, 32000-32001];disks:{a, b}")
    )
    assert parsed.named("cpus").scalars() == {"cpus": 5500}
    assert str(parsed.named("ports")) == "ports:[31000-31099, 32000-32001]"
    assert str(parsed.named("disks")) == "disks:{a, b}"
    assert parsed.filter(lambda key: key.reserved_for == "web").scalars() == {"cpus": 1500}
    by_name = {attribute.name: attribute for attribute in parse_attributes("rack:a;zone:2;net:[1-5];url:http://x")}
    assert [by_name[n].type for n in ("rack", "zone", "net", "url")] == ["TEXT", "SCALAR", "RANGES", "TEXT"]


@pytest.mark.parametrize(
    "text", ["cpus", "cpus:", ":4", "cpus:x", "cpus:-1", "ports:[1-", "ports:[5-3]", "d:{a", "cpus:inf"]
)
def test_texts_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match="cannot read"):
        parse_resources(text)


@pytest.mark.parametrize("text", ["rack", "rack:", ":a", "n:[1"])
def test_attributes_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match="cannot read"):
        parse_attributes(text)
