"""Events of the master become turns, effects become calls; each way a call can fail has its remedy."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from msgspec import structs

from mesos.core import scheduler_api as api
from mesos.core.messages import (
    AgentID,
    FrameworkID,
    InverseOffer,
    Offer,
    OfferID,
    TaskID,
    TaskInfo,
    TaskStatus,
    TimeInfo,
    Unavailability,
)
from mesos.scheduler_driver import CallFailed, CallRefused, NotSubscribed, Refused, SchedulerDriver, SchedulerListener
from scheduler.core.effects import (
    AcceptInverseOffers,
    AcknowledgeStatus,
    DeclineOffers,
    Effect,
    KillTask,
    LaunchTasks,
    ReconcileTasks,
)
from scheduler.engine import Engine
from scheduler.lifecycle import LifecycleState
from scheduler.loop import PAUSE_S
from scheduler.mesos_link import AGAIN_AFTER_S, OFFERS_AT_ONCE, RETRY_AFTER_S, MesosLink, alike
from scheduler.store.journal import StoreError
from scheduler.store.ops import SaveFrameworkId
from scheduler.turn import Turn
from tests.scheduler.loop.world import ToldEngine, World, saving
from thermos.clock import Now
from thermos.errors import RemoteError


class HearingEngine(ToldEngine):
    """Writes down what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[Any, ...]] = []

    def registered(self, turn: Turn, framework_id: str, again: bool) -> None:
        turn.apply(SaveFrameworkId(framework_id=framework_id))
        self.heard.append(("registered", framework_id, again))

    def disconnected(self, now: Now) -> None:
        self.heard.append(("disconnected",))

    def offers(self, turn: Turn, offers: Sequence[Offer]) -> None:
        self.heard.append(("offers", *(offer.id.value for offer in offers)))

    def rescinded(self, turn: Turn, offer_id: str) -> None:
        self.heard.append(("rescinded", offer_id))

    def agent_lost(self, turn: Turn, agent_id: str) -> None:
        self.heard.append(("agent lost", agent_id))

    def inverse_offers(self, turn: Turn, offers: Sequence[InverseOffer]) -> None:
        self.heard.append(("inverse", *(offer.id.value for offer in offers)))

    def statuses(self, turn: Turn, statuses: Sequence[TaskStatus]) -> None:
        self.heard.append(("statuses", *(status.task_id.value for status in statuses)))

    def launch_failed(self, turn: Turn, infos: Sequence[TaskInfo], message: str) -> None:
        self.heard.append(("launch failed", *(info.task_id.value for info in infos), message))

    def reconcile(self, turn: Turn, tasks: Sequence[str] | None) -> None:
        self.heard.append(("reconcile", *(tasks or ())))


class ScriptedDriver:
    """Subscribes when a test says so, and ends likewise. `failures`: what calls of a type raise, first come first."""

    def __init__(self, framework_id: FrameworkID | None, listener: SchedulerListener) -> None:
        self.framework_id = framework_id
        self.listener = listener
        self.calls: list[api.Call] = []
        self.failures: dict[str, list[RemoteError]] = {}
        self.subscribed = False
        self.master_url = "http://m:5050"
        self.under_way = 0
        self.most_under_way = 0
        self.ends: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        await self.ends

    async def stop(self) -> None:
        if not self.ends.done():
            self.ends.set_result(None)

    async def call(self, call: api.Call) -> None:
        self.under_way += 1
        self.most_under_way = max(self.under_way, self.most_under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        self.calls.append(call)
        failures = self.failures.get(call.type)
        if failures:
            raise failures.pop(0)

    def state(self) -> dict[str, Any]:
        return {"last_problem": "connection refused"}


class Linked:
    """A link that runs, with the drivers that it made."""

    def __init__(self, batch: int = 1000) -> None:
        self.world = World()
        self.engine = HearingEngine()
        self.world.loop.engine = cast(Engine, self.engine)
        self.world.loop.lifecycle.move(LifecycleState.STORAGE_PREPARED)
        self.world.loop.lifecycle.move(LifecycleState.LEADER_AWAITING_REGISTRATION)
        self.drivers: list[ScriptedDriver] = []
        self.link = MesosLink(self.world.loop, self._make, self.world.timers, patience_s=60.0, batch=batch)

    def _make(self, framework_id: FrameworkID | None, listener: SchedulerListener) -> SchedulerDriver:
        self.drivers.append(ScriptedDriver(framework_id, listener))
        return cast(SchedulerDriver, self.drivers[-1])

    @property
    def driver(self) -> ScriptedDriver:
        return self.drivers[-1]

    async def __aenter__(self) -> Linked:
        self.running = asyncio.create_task(self.link.run())
        await self.world.settle()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.link.stop()
        if not exc[0]:
            await self.running

    async def subscribe(self, name: str = "F1", again: bool = False) -> None:
        """Until it is durable."""
        subscribing = asyncio.create_task(self.driver.listener.subscribed(FrameworkID(value=name), None, again))
        await self.world.settle()
        self.world.journal.succeed()
        await subscribing
        self.driver.subscribed = True

    async def hear(self, *events: api.Event) -> None:
        """As the driver tells what it reads at once."""
        for event in events:
            await self.driver.listener.event(event)
        await self.world.settle()

    async def perform(self, *effects: Effect) -> list[api.Call]:
        """The calls that come of them."""
        before = len(self.driver.calls)
        self.world.loop.post(lambda turn: [turn.tell(effect) for effect in effects])
        for _ in range(5):
            await self.world.settle()
        return self.driver.calls[before:]


def status_of(task: str, uuid: bytes = b"u") -> TaskStatus:
    return TaskStatus(task_id=TaskID(value=task), state="TASK_RUNNING", agent_id=AgentID(value="S1"), uuid=uuid)


def update(task: str) -> api.Event:
    return api.Event(type=api.EventType.UPDATE, update=api.Update(status=status_of(task)))


def rescind(offer: str) -> api.Event:
    return api.Event(type=api.EventType.RESCIND, rescind=api.Rescind(offer_id=OfferID(value=offer)))


def launching(*tasks: str) -> LaunchTasks:
    infos = tuple(TaskInfo(name=t, task_id=TaskID(value=t), agent_id=AgentID(value="S1")) for t in tasks)
    return LaunchTasks(OfferID(value="O1"), infos, 5.0)


# --- subscriptions -----------------------------------------------------------------------------------------------


async def test_the_id_is_durable_before_anything_else_is_heard() -> None:
    async with Linked() as linked:
        assert linked.driver.framework_id is None
        subscribing = asyncio.create_task(linked.driver.listener.subscribed(FrameworkID(value="F1"), None, False))
        await linked.world.settle()
        assert (subscribing.done(), linked.world.loop.lifecycle.is_active) == (False, False)
        linked.world.journal.succeed()
        await subscribing
        assert linked.world.loop.lifecycle.is_active
        assert linked.engine.heard == [("registered", "F1", False)]
        await linked.driver.listener.disconnected("gone")
        await linked.subscribe(again=True)
        assert linked.engine.heard[1:] == [("disconnected",), ("registered", "F1", True)]


async def test_an_id_that_can_not_be_stored_is_tried_again() -> None:
    async with Linked() as linked:
        subscribing = asyncio.create_task(linked.driver.listener.subscribed(FrameworkID(value="F1"), None, False))
        await linked.world.settle()
        linked.world.journal.fail(StoreError("no space left on device"))
        await linked.world.settle()
        assert (subscribing.done(), linked.world.store.tables.framework_id) == (False, None)
        linked.world.advance(AGAIN_AFTER_S)
        await linked.world.settle()
        linked.world.journal.succeed()
        await subscribing
        assert linked.world.store.tables.framework_id == "F1"


async def test_a_framework_that_the_master_removed_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    async with Linked() as linked:
        await linked.subscribe()
        linked.driver.ends.set_exception(Refused("the master ended the subscription: Framework has been removed"))
        await linked.world.settle()
        assert len(linked.drivers) == 1  # that it is forgotten is durable first
        linked.world.journal.succeed()
        await linked.world.settle()
        assert [driver.framework_id for driver in linked.drivers] == [None, None]
        assert "framework F1 is forgotten, its tasks are gone" in caplog.text
        await linked.subscribe("F2")
        # its tasks are still in our tables: the master is asked about them
        assert linked.engine.heard[-1] == ("registered", "F2", True)


@pytest.mark.parametrize("text", ["Framework failed over", "cannot subscribe at http://m: 401: check the credentials"])
async def test_any_other_refusal_ends_it(text: str) -> None:
    linked = Linked()
    async with linked:
        await linked.subscribe()
        linked.driver.ends.set_exception(Refused(text))
        with pytest.raises(Refused, match=text):
            await linked.running
        assert linked.world.store.tables.framework_id == "F1"
        linked.running = asyncio.create_task(asyncio.sleep(0))


async def test_a_new_framework_that_is_refused_ends_it() -> None:
    linked = Linked()
    async with linked:
        linked.driver.ends.set_exception(Refused("Framework has been removed"))
        with pytest.raises(Refused):
            await linked.running
        linked.running = asyncio.create_task(asyncio.sleep(0))


async def test_that_there_is_no_master_is_said_every_minute(caplog: pytest.LogCaptureFixture) -> None:
    async with Linked() as linked:
        linked.world.advance(150.0)
        said = [record.message for record in caplog.records if record.levelno == logging.WARNING]
        assert said == ["not registered with a master: connection refused"] * 2
        await linked.subscribe()
        linked.world.advance(150.0)
        assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 2


# --- events --------------------------------------------------------------------------------------------------------


async def test_statuses_that_came_together_are_one_turn() -> None:
    async with Linked(batch=3) as linked:
        await linked.hear(update("a"), update("b"))
        await linked.hear(update("c"))
        assert linked.engine.heard == [("statuses", "a", "b"), ("statuses", "c")]
        linked.engine.heard.clear()
        await linked.hear(*(update(task) for task in "abcd"))
        assert linked.engine.heard == [("statuses", "a", "b", "c"), ("statuses", "d")]


async def test_statuses_that_can_not_be_stored_now_come_again() -> None:
    async with Linked() as linked:
        linked.world.loop.post(saving("a"))
        linked.world.journal.fail()
        await linked.world.settle()
        await linked.hear(update("a"))
        assert linked.engine.heard == []
        linked.world.advance(PAUSE_S)
        await linked.hear(update("a"))
        assert linked.engine.heard == [("statuses", "a")]


async def test_other_events_keep_their_place_among_statuses() -> None:
    async with Linked() as linked:
        offers = api.Offers(offers=(offer_of("O1"), offer_of("O2")))
        inverse = InverseOffer(
            id=OfferID(value="I1"), framework_id=FrameworkID(value="F1"), unavailability=unavailability()
        )
        lost = api.Failure(agent_id=AgentID(value="S1"))
        executor = api.Failure(agent_id=AgentID(value="S1"), executor_id=api.ExecutorID(value="e"), status=9)
        await linked.hear(
            update("a"),
            api.Event(type=api.EventType.OFFERS, offers=offers),
            update("b"),
            rescind("O1"),
            api.Event(type=api.EventType.INVERSE_OFFERS, inverse_offers=api.InverseOffers(inverse_offers=(inverse,))),
            api.Event(type=api.EventType.FAILURE, failure=executor),
            api.Event(type=api.EventType.FAILURE, failure=lost),
        )
        assert linked.engine.heard == [
            ("statuses", "a"), ("offers", "O1", "O2"), ("statuses", "b"), ("rescinded", "O1"), ("inverse", "I1"),
            ("agent lost", "S1"),
        ]  # fmt: skip
        await linked.hear(update("c"))
        linked.engine.heard.clear()
        await linked.driver.listener.event(update("d"))
        await linked.driver.listener.disconnected("gone")
        assert linked.engine.heard == [("statuses", "d"), ("disconnected",)]


async def test_very_many_offers_are_several_turns() -> None:
    async with Linked() as linked:
        names = [f"O{number}" for number in range(2 * OFFERS_AT_ONCE + 1)]
        offers = api.Offers(offers=tuple(offer_of(name) for name in names))
        await linked.hear(api.Event(type=api.EventType.OFFERS, offers=offers), rescind("O0"))
        assert [(heard[0], len(heard) - 1) for heard in linked.engine.heard] == [
            ("offers", OFFERS_AT_ONCE), ("offers", OFFERS_AT_ONCE), ("offers", 1), ("rescinded", 1),
        ]  # fmt: skip
        assert [name for heard in linked.engine.heard[:3] for name in heard[1:]] == names


async def test_many_offers_come_in_portions() -> None:
    async with Linked() as linked:
        offers = tuple(offer_of(f"O{number}") for number in range(2 * OFFERS_AT_ONCE + 1))
        await linked.hear(api.Event(type=api.EventType.OFFERS, offers=api.Offers(offers=offers)))
        assert [len(heard) - 1 for heard in linked.engine.heard] == [OFFERS_AT_ONCE, OFFERS_AT_ONCE, 1]


def offer_of(name: str) -> Offer:
    return Offer(
        id=OfferID(value=name),
        framework_id=FrameworkID(value="F1"),
        agent_id=AgentID(value="S1"),
        hostname="h",
    )


def unavailability() -> Unavailability:
    return Unavailability(start=TimeInfo(nanoseconds=1))


# --- effects -------------------------------------------------------------------------------------------------------


async def test_each_effect_is_a_call() -> None:
    async with Linked() as linked:
        await linked.subscribe()
        calls = await linked.perform(
            LaunchTasks(OfferID(value="O1"), launching("a", "b").tasks, 5.0),
            KillTask("a", "S1"),
            KillTask("b"),
            AcknowledgeStatus(status_of("a")),
            AcknowledgeStatus(structs.replace(status_of("a"), uuid=b"")),
            DeclineOffers((OfferID(value="O2"),), 7.0),
            AcceptInverseOffers((OfferID(value="I1"),)),
            ReconcileTasks((("a", "S1"), ("b", None))),
            ReconcileTasks(),
        )
        accept, kill, kill_anywhere, acknowledge, decline, inverse, explicit, implicit = calls
        assert accept.accept is not None and accept.accept.filters is not None
        assert accept.accept.filters.refuse_seconds == 5.0
        launched = accept.accept.operations[0].launch
        assert launched is not None and [info.name for info in launched.task_infos] == ["a", "b"]
        assert kill == api.kill(TaskID(value="a"), AgentID(value="S1"))
        assert kill_anywhere == api.kill(TaskID(value="b"))
        assert acknowledge == api.acknowledge(status_of("a"))
        assert decline == api.decline([OfferID(value="O2")], 7.0)
        assert inverse == api.accept_inverse([OfferID(value="I1")])
        assert explicit == api.reconcile([(TaskID(value="a"), AgentID(value="S1")), (TaskID(value="b"), None)])
        assert implicit == api.reconcile()


async def test_calls_of_one_kind_go_abreast_and_kinds_do_not() -> None:
    async with Linked() as linked:
        await linked.subscribe()
        await linked.perform(*(KillTask(f"t{number}") for number in range(10)))
        assert linked.driver.most_under_way == 10
        linked.driver.most_under_way = 0
        await linked.perform(launching("a"), KillTask("a"), launching("b"), KillTask("b"))
        assert linked.driver.most_under_way == 1
    kinds: Callable[[list[list[Effect]]], list[int]] = lambda groups: [len(group) for group in groups]  # noqa: E731
    assert kinds(list(alike([KillTask("a"), KillTask("b"), ReconcileTasks(), KillTask("c")]))) == [2, 1, 1]


@pytest.mark.parametrize("error", [NotSubscribed("no master"), CallRefused("ACCEPT", 400, "no")])
async def test_a_launch_that_never_was_is_lost(error: RemoteError) -> None:
    async with Linked() as linked:
        await linked.subscribe()
        linked.driver.failures["ACCEPT"] = [error]
        await linked.perform(launching("a", "b"))
        assert linked.engine.heard[-1] == (
            "launch failed", "a", "b", "Unknown exception attempting to schedule task.",
        )  # fmt: skip


async def test_launches_of_unknown_fate_are_asked_for() -> None:
    async with Linked() as linked:
        await linked.subscribe()
        linked.driver.failures["ACCEPT"] = [CallFailed("no answer"), CallFailed("no answer")]
        await linked.perform(launching("a"), launching("b"))
        linked.world.advance(RETRY_AFTER_S - 1)
        assert linked.engine.heard[-1] == ("registered", "F1", False)
        linked.world.advance(1.0)
        assert linked.engine.heard[-1] == ("reconcile", "a", "b")  # one question for both
        linked.driver.failures["RECONCILE"] = [CallFailed("no answer"), NotSubscribed("no master")]
        await linked.perform(ReconcileTasks((("a", "S1"),)), ReconcileTasks((("b", "S1"),)))
        linked.world.advance(RETRY_AFTER_S)
        assert linked.engine.heard[-1] == ("reconcile", "a")  # the next subscription asks for the other


async def test_a_kill_is_said_until_the_master_hears_it() -> None:
    async with Linked() as linked:
        await linked.subscribe()
        linked.driver.failures["KILL"] = [NotSubscribed("no master"), CallFailed("no answer"), CallFailed("no answer")]
        assert len(await linked.perform(KillTask("a", "S1"), KillTask("b"))) == 2
        for heard in (["a", "b"], ["a"], []):
            before = len(linked.driver.calls)
            linked.world.advance(RETRY_AFTER_S)
            await linked.world.settle()
            calls = linked.driver.calls[before:]
            assert [call.kill.task_id.value for call in calls if call.kill is not None] == heard


async def test_other_calls_may_fail() -> None:
    async with Linked() as linked:
        await linked.subscribe()
        heard = list(linked.engine.heard)
        for kind in ("ACKNOWLEDGE", "DECLINE", "ACCEPT_INVERSE_OFFERS"):
            linked.driver.failures[kind] = [CallFailed("no answer")]
        calls = await linked.perform(
            AcknowledgeStatus(status_of("a")),
            DeclineOffers((OfferID(value="O2"),), 7.0),
            AcceptInverseOffers((OfferID(value="I1"),)),
        )
        linked.world.advance(100.0)
        assert (len(calls), linked.engine.heard) == (3, heard)


async def test_what_was_decided_is_done_before_the_end() -> None:
    async with Linked() as linked:
        await linked.subscribe()
        linked.world.loop.post(lambda turn: turn.tell(KillTask("a")))
        await linked.link.quiet()
        assert linked.driver.calls == [api.kill(TaskID(value="a"))]
