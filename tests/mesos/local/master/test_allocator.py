"""Who is offered what, and when: shares, weights, filters, capabilities, constraints, reservations, quotas."""

from __future__ import annotations

import msgspec
import pytest

from mesos.core import scheduler_api as api
from mesos.core.messages import CapabilityInfo, DomainInfo, FaultDomain, Named, Offer, scalar
from mesos.local.core.filters import Filters
from mesos.local.core.resources import Resources

from .harness import MODERN, FakeFramework, World, task


def cpus(offer: Offer) -> float:
    return sum(r.scalar.value for r in offer.resources if r.name == "cpus" and r.scalar is not None)


def hosts(framework: FakeFramework) -> list[str]:
    return sorted(offer.hostname for offer in framework.offers())


def role_of(offer: Offer) -> str:
    assert offer.allocation_info is not None
    return offer.allocation_info.role


def operate(world: World, kind: str, expect: int = 200, **payload: object) -> str:
    answer = world.master.operator({"type": kind, kind.lower(): payload}, None, world.now)
    world.perform(answer.effects)
    assert answer.status == expect, answer
    return answer.text


# --- shares -------------------------------------------------------------------------------------------------------


def test_two_frameworks_share_ten_agents() -> None:
    world = World()
    first, second = world.framework("a"), world.framework("b")
    for number in range(10):
        world.agent(f"a{number}")
    assert len(first.offers()) == len(second.offers()) == 5


def test_weights() -> None:
    world = World()
    operate(world, "UPDATE_WEIGHTS", weight_infos=[{"role": "b", "weight": 4.0}])
    first, second = world.framework("a"), world.framework("b")
    for number in range(10):
        world.agent(f"a{number}")
    assert (len(first.offers()), len(second.offers())) == (2, 8)


def test_children_share_what_their_parent_has() -> None:
    world = World()
    frameworks = [world.framework(role) for role in ("a/x", "a/y", "b")]
    for number in range(12):
        world.agent(f"a{number}")
    assert [len(framework.offers()) for framework in frameworks] == [3, 3, 6]


def test_frameworks_of_one_role_share_it() -> None:
    world = World()
    frameworks = [world.framework("a") for _ in range(3)]
    for number in range(9):
        world.agent(f"a{number}")
    assert [len(framework.offers()) for framework in frameworks] == [3, 3, 3]


def test_changed_weights_take_offers_back() -> None:
    world = World()
    framework = world.framework("a")
    world.agent()
    operate(world, "UPDATE_WEIGHTS", weight_infos=[{"role": "a", "weight": 2.0}])
    assert framework.types == ["SUBSCRIBED", "OFFERS", "RESCIND"]
    world.advance(1)
    assert framework.types[-1] == "OFFERS"


# --- filters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refuse", "back_after"), [(None, 5), (0.0, 1), (0.2, 1), (3.0, 3), (-1.0, 5), (float("nan"), 5)]
)
def test_declined_offers_come_back(refuse: float | None, back_after: float) -> None:
    world = World()
    world.agent()
    framework = world.framework()
    framework.call(api.decline([framework.offer().id], refuse))
    world.advance(back_after - 0.01)
    assert framework.offers() == []
    world.advance(1.02)
    assert len(framework.offers()) == 1


def test_another_framework_gets_what_one_declined() -> None:
    world = World()
    world.agent()
    first, second = world.framework("a"), world.framework("b")
    first.call(api.decline([first.offer().id], 1000))
    assert second.offers() == []
    world.advance(1)
    assert len(second.offers()) == 1


def test_more_than_was_refused_is_offered() -> None:
    world = World()
    world.agent()
    framework = world.framework()
    offer = framework.offer()
    framework.launch(offer, task(offer, "t1"), refuse=1000)
    world.advance(10)
    assert framework.offers() == []
    framework.kill("t1")
    world.advance(1)
    assert [cpus(o) for o in framework.offers()] == [4.0]


def test_revive_and_suppress() -> None:
    world = World()
    world.agent()
    framework = world.framework("a", "b")
    (offer,) = framework.offers()
    framework.call(api.decline([offer.id], 1000))
    world.advance(1)
    (other,) = framework.offers()
    assert {role_of(offer), role_of(other)} == {"a", "b"}
    framework.call(api.decline([other.id], 1000))
    world.advance(10)
    assert framework.offers() == []
    framework.call(api.revive(["zz"]))
    assert framework.offers() == [], "a role that is not its own changes nothing"
    framework.call(api.revive([role_of(other)]))
    (again,) = framework.offers()
    assert role_of(again) == role_of(other)
    framework.call(api.suppress())
    framework.call(api.decline([again.id], 0))
    world.advance(10)
    assert framework.offers() == []
    framework.call(api.revive())
    assert len(framework.offers()) == 1


def test_suppressed_from_the_start() -> None:
    world = World()
    world.agent()
    framework = world.framework("a", "b", suppressed=["a"])
    assert [role_of(offer) for offer in framework.offers()] == ["b"]


def test_a_disconnected_framework_gets_nothing_and_loses_its_filters() -> None:
    world = World()
    world.agent()
    framework = world.framework()
    framework.call(api.decline([framework.offer().id], 1000))
    framework.disconnect()
    world.advance(10)
    again = world.framework(again=framework)
    assert len(again.offers()) == 1


def test_the_book_of_refusals_is_bounded() -> None:
    filters = Filters()
    some = Resources.of([scalar("cpus", 1)])
    for number in range(10_000):
        filters.refuse("f", "r", "a", some, float(number))
    assert len(filters) == 1
    for number in range(3000):
        filters.refuse("f", "r", f"a{number}", some, 1e6 + number)
        filters.clear("f", "r")
    assert len(filters) == 0 and len(filters._timers) < 2000
    filters.refuse("f", "r", "a", some, 5.0)
    assert filters.forbids("f", "r", "a", some) and not filters.forbids("f", "r", "a", some + some)
    assert filters.expired(4.9) == set() and filters.expired(5.0) == {"a"}
    assert not filters.forbids("f", "r", "a", some)


# --- what may be offered to whom ----------------------------------------------------------------------------------


def test_gpus_are_for_those_who_know_them() -> None:
    world = World()
    world.agent("plain")
    world.agent("gpu", resources="cpus:4;mem:100;gpus:2")
    assert hosts(world.framework()) == ["plain"]
    assert hosts(world.framework(capabilities=(*MODERN, "GPU_RESOURCES"))) == ["gpu"]


def test_revocable_resources() -> None:
    world = World()
    agent = world.agent(resources="cpus:1;mem:100")
    slot = world.master.cluster.allocator.agents[agent.id]
    extra = Resources.of([scalar("cpus", 2)]).map(lambda key: key._replace(revocable=True))
    world.master.cluster.allocator.set_total(agent.id, slot.total + extra)
    plain = world.framework()
    assert [cpus(offer) for offer in plain.offers()] == [1.0]
    knowing = world.framework(capabilities=(*MODERN, "REVOCABLE_RESOURCES"))
    world.advance(1)
    (offer,) = knowing.offers()
    assert all(item.revocable is not None for item in offer.resources) and cpus(offer) == 2.0


def test_crumbs_are_not_offered() -> None:
    world = World()
    world.agent("tiny", resources="cpus:0.005;mem:16;disk:1000")
    world.agent("cpu", resources="cpus:0.01;mem:1")
    world.agent("mem", resources="cpus:0.001;mem:32")
    assert hosts(world.framework()) == ["cpu", "mem"]


def test_a_framework_s_own_least() -> None:
    world = World()
    world.agent("small", resources="cpus:1;mem:100")
    world.agent("large", resources="cpus:4;mem:100")
    wanted = {"min_allocatable_resources": {"quantities": [{"quantities": {"cpus": {"value": 2}}}]}}
    assert hosts(world.framework("web", offer_filters={"web": wanted})) == ["large"]


def test_reservations() -> None:
    world = World()
    world.agent(resources="cpus:1;mem:100;cpus(a):2;mem(a):200;cpus(b):4;mem(b):400")
    stranger = world.framework("c")
    assert [cpus(offer) for offer in stranger.offers()] == [1.0]
    child = world.framework("a/x")
    assert [cpus(offer) for offer in child.offers()] == [2.0]
    other = world.framework("ab")
    assert other.offers() == []
    owner = world.framework("b")
    assert [cpus(offer) for offer in owner.offers()] == [4.0]


def test_far_regions() -> None:
    def place(region: str) -> DomainInfo:
        return DomainInfo(fault_domain=FaultDomain(region=Named(name=region), zone=Named(name="z")))

    world = World(domain=place("here"))
    world.agent("near", domain=place("here"))
    world.agent("far", domain=place("there"))
    assert hosts(world.framework()) == ["near"]
    assert hosts(world.framework(capabilities=(*MODERN, "REGION_AWARE"))) == ["far"]


def constraint(predicate: dict[str, object], **selector: object) -> dict[str, object]:
    return {"selector": selector or {"attribute_name": "rack"}, "predicate": predicate}


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([[constraint({"exists": {}})]], ["h1", "h2"]),
        ([[constraint({"not_exists": {}})]], ["h3"]),
        ([[constraint({"text_equals": {"value": "r1"}})]], ["h1"]),
        ([[constraint({"text_not_equals": {"value": "r1"}})]], ["h2", "h3"]),
        ([[constraint({"text_matches": {"regex": "r[0-9]"}})]], ["h1", "h2"]),
        ([[constraint({"text_not_matches": {"regex": "r1"}})]], ["h2", "h3"]),
        ([[constraint({"text_matches": {"regex": "r"}})]], []),
        ([[constraint({"text_equals": {"value": "h3"}}, pseudoattribute_type="HOSTNAME")]], ["h3"]),
        ([[constraint({"exists": {}}, pseudoattribute_type="ZONE")]], []),
        ([[constraint({"text_equals": {"value": "r1"}})], [constraint({"not_exists": {}})]], ["h1", "h3"]),
        (
            [
                [
                    constraint({"exists": {}}),
                    constraint({"text_equals": {"value": "h2"}}, pseudoattribute_type="HOSTNAME"),
                ]
            ],
            ["h2"],
        ),
    ],
)
def test_offer_constraints(groups: list[list[dict[str, object]]], expected: list[str]) -> None:
    world = World()
    world.agent("h1", attributes="rack:r1")
    world.agent("h2", attributes="rack:r2")
    world.agent("h3")
    wanted = {"role_constraints": {"web": {"groups": [{"attribute_constraints": group} for group in groups]}}}
    framework = world.framework("web", constraints=wanted)
    assert hosts(framework) == expected
    framework.call(api.update_framework(framework.info), 200)
    assert hosts(framework) == sorted({"h1", "h2", "h3"} - set(expected)), "without constraints the rest comes"


# --- quotas -------------------------------------------------------------------------------------------------------


def quota(world: World, role: str, limits: dict[str, float], guarantees: dict[str, float] | None = None) -> None:
    def amounts(given: dict[str, float]) -> dict[str, object]:
        return {name: {"value": value} for name, value in given.items()}

    config = {"role": role, "limits": amounts(limits), "guarantees": amounts(guarantees or {})}
    operate(world, "UPDATE_QUOTA", force=True, quota_configs=[config])


def test_a_limit() -> None:
    world = World()
    quota(world, "a", {"cpus": 5, "mem": 100_000})
    for number in range(3):
        world.agent(f"a{number}")
    framework = world.framework("a")
    offers = framework.offers()
    assert sorted(cpus(offer) for offer in offers if cpus(offer)) == [1.0, 4.0]
    for offer in offers:
        framework.launch(
            offer, task(offer, f"t{offer.hostname}", scalar("cpus", cpus(offer) or 0.001), scalar("mem", 32))
        )
    world.advance(60)
    assert all(cpus(offer) == 0 for offer in framework.offers())
    framework.kill("ta0")
    world.advance(6)
    assert sum(cpus(offer) for offer in framework.offers()) == pytest.approx(4.0)


def test_a_limit_counts_all_below_the_role() -> None:
    world = World()
    quota(world, "a", {"cpus": 4})
    first, second = world.framework("a/x"), world.framework("a/y")
    for number in range(3):
        world.agent(f"a{number}")
    assert sum(cpus(offer) for offer in (*first.offers(), *second.offers())) == 4.0


def test_a_lowered_limit_takes_offers_back() -> None:
    world = World()
    world.agent()
    framework = world.framework("a")
    framework.offers()
    quota(world, "a", {"cpus": 1})
    assert framework.take("RESCIND")
    world.advance(1)
    assert [cpus(offer) for offer in framework.offers()] == [1.0]
    quota(world, "a", {})
    world.advance(1)
    assert sum(cpus(offer) for offer in framework.offers()) == 3.0


def test_a_guarantee_is_served_first() -> None:
    world = World()
    quota(world, "b", {}, {"cpus": 6, "mem": 1})
    other, wanting = world.framework("a"), world.framework("b")
    for number in range(3):
        world.agent(f"a{number}")
    assert sum(cpus(offer) for offer in wanting.offers()) >= 6
    assert sum(cpus(offer) for offer in other.offers()) <= 6


def test_room_is_kept_for_a_guarantee() -> None:
    """Nobody of that role is there yet; the others get what is beyond it."""
    world = World()
    for number in range(2):
        world.agent(f"a{number}")
    quota(world, "b", {}, {"cpus": 6})
    other = world.framework("a")
    assert sum(cpus(offer) for offer in other.offers()) == 2.0
    wanting = world.framework("b")
    assert sum(cpus(offer) for offer in wanting.offers()) == 6.0


def test_what_is_reserved_counts_as_used() -> None:
    world = World()
    quota(world, "a", {"cpus": 3})
    world.agent(resources="cpus:4;mem:100;cpus(a):2;mem(a):100")
    framework = world.framework("a")
    assert sum(cpus(offer) for offer in framework.offers()) == 3.0


def test_names_of_roles_do_not_pile_up() -> None:
    world = World()
    world.agent()
    framework = world.framework("r")
    for number in range(200):
        info = msgspec.structs.replace(framework.info, roles=(f"r{number}",))
        framework.call(api.update_framework(info), 200)
        world.advance(1)
    allocator = world.master.cluster.allocator
    assert list(allocator.framework_shares) == ["r199"] and len(allocator.quotas._used) == 1
    framework.call(api.teardown())
    assert not allocator.framework_shares and not allocator.quotas._used


def test_capabilities_may_change() -> None:
    world = World()
    world.agent("gpu", resources="cpus:4;mem:100;gpus:2")
    framework = world.framework()
    assert framework.offers() == []
    more = tuple(CapabilityInfo(type=name) for name in (*MODERN, "GPU_RESOURCES"))
    framework.call(api.update_framework(msgspec.structs.replace(framework.info, capabilities=more)), 200)
    assert hosts(framework) == ["gpu"]


def test_offer_timeout() -> None:
    world = World(offer_timeout_s=7.0)
    world.agent()
    framework = world.framework()
    offer = framework.offer()
    world.advance(7.5)
    (event,) = framework.take("RESCIND")
    assert event.rescind is not None and event.rescind.offer_id == offer.id
    world.advance(1)
    assert len(framework.offers()) == 1


def test_nothing_is_refused_for_more_than_a_year() -> None:
    world = World(heartbeat_interval_s=1e9, agent_ping_timeout_s=1e9)
    world.agent()
    framework = world.framework()
    framework.call(api.decline([framework.offer().id], float("inf")))
    world.advance(1e6)
    assert framework.offers() == []
    world.advance(366 * 86400)
    assert len(framework.offers()) == 1
