"""What an event costs does not depend on how many agents there are: counted in calls of functions, not in time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from mesos.core import scheduler_api as api
from mesos.core.messages import Offer, TaskID, scalar

from .harness import FakeFramework, World, task

SMALL, LARGE = 150, 1500


def calls_of(action: Callable[[], object]) -> int:
    """Python functions called meanwhile."""
    count = 0

    def seen(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(seen)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


class Site:
    """Many agents, all offered to one framework, each with a task on it."""

    def __init__(self, agents: int) -> None:
        self.world = World(heartbeat_interval_s=1e9, agent_ping_timeout_s=1e9)
        self.world.check = False  # the harness looks at all
        for number in range(agents):
            self.world.agent(f"a{number}", attributes=f"rack:r{number % 40}")
        self.subscribing = calls_of(self.subscribe)
        self.offers: list[Offer] = self.framework.offers()
        self.launching = calls_of(self.launch_all)
        self.world.advance(6)
        self.offers = self.framework.offers()

    def subscribe(self) -> None:
        self.framework: FakeFramework = self.world.framework("web")

    def launch_all(self) -> None:
        for offer in self.offers:
            self.launch(offer, f"t-{offer.hostname}")

    def launch(self, offer: Offer, name: str) -> None:
        self.framework.launch(offer, task(offer, name, scalar("cpus", 0.5), scalar("mem", 32)), refuse=5.0)


@pytest.fixture(scope="module")
def sites() -> tuple[Site, Site]:
    return Site(SMALL), Site(LARGE)


def test_offers_of_all_agents_are_linear(sites: tuple[Site, Site]) -> None:
    small, large = sites
    assert len(large.offers) == LARGE
    assert large.subscribing < 12 * small.subscribing
    assert large.launching < 12 * small.launching


def test_an_event_costs_what_it_costs(sites: tuple[Site, Site]) -> None:
    def costs(site: Site) -> dict[str, int]:
        world, framework = site.world, site.framework
        offers = iter(site.offers)
        found = {
            "launch": calls_of(lambda: site.launch(next(offers), "more")),
            "decline": calls_of(lambda: framework.call(api.decline([next(offers).id], 60))),
            "kill": calls_of(lambda: framework.kill("t-a7")),
            "kill of an unknown task": calls_of(lambda: framework.kill("nope")),
            "reconcile": calls_of(lambda: framework.call(api.reconcile([(TaskID(value="t-a8"), None)]))),
            "status": calls_of(lambda: running[9].says(framework.id, "t-a9", "TASK_FINISHED")),
            "executor exits": calls_of(lambda: running[9].executor_exits(framework.id, "ex")),
            "suppress": calls_of(lambda: framework.call(api.suppress())),
            "a link breaks": calls_of(lambda: running[10].break_link()),
            "an agent returns": calls_of(lambda: running[10].come_back()),
        }
        looked_at = world.master.cluster.allocator.looked_at
        found["a tick"] = calls_of(lambda: world.advance(1))
        found["agents looked at by the tick"] = world.master.cluster.allocator.looked_at - looked_at
        return found

    small, large = sites
    running = list(small.world.links.values())
    cheap = costs(small)
    running = list(large.world.links.values())
    dear = costs(large)
    for what, count in cheap.items():
        assert dear[what] <= count * 1.3 + 10, f"{what}: {count} calls with {SMALL} agents, {dear[what]} with {LARGE}"
    assert cheap["agents looked at by the tick"] <= 8


def test_an_agent_that_comes_costs_the_same(sites: tuple[Site, Site]) -> None:
    small, large = sites
    few, many = (calls_of(lambda site=site: site.world.agent("late")) for site in (small, large))  # type: ignore[misc]
    assert many <= few * 1.3 + 10


def test_ten_thousand_agents_in_one_event() -> None:
    """As design asks: one OFFERS event, one allocation, each agent looked at once."""
    world = World(heartbeat_interval_s=1e9, agent_ping_timeout_s=1e9)
    world.check = False
    for number in range(10_000):
        world.agent(f"a{number}")
    before = world.master.cluster.allocator.looked_at
    framework = world.framework("web")
    (event,) = framework.take("OFFERS")
    assert event.offers is not None and len(event.offers.offers) == 10_000
    assert world.master.cluster.allocator.looked_at - before == 10_000
