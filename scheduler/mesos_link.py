"""Between the loop and the master: events become turns, effects become calls.

What comes is decided at once and in order; statuses that came together are one turn. What goes out has its commit
behind it (scheduler.loop), one kind after the other, so that no kill overtakes its launch.

A call that fails is no error of ours; each has its remedy:

    launch        refused, or nobody to call: it never was, LOST. No answer: the master is asked about these tasks soon
    kill          said again soon, until the master has heard it
    acknowledge   Mesos says the status again
    decline       a new subscription voids all offers
    reconcile     asked again soon, or on the next subscription

When the master has removed our framework, its tasks are gone: the id is forgotten, and we are a new framework.

Source: spec/scheduler.md §2.5, §3.1, §8.3, §8.4.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Any, assert_never

from mesos.core import scheduler_api as api
from mesos.core.messages import AgentID, FrameworkID, MasterInfo, Offer, TaskID, TaskStatus
from mesos.scheduler_driver import CallFailed, CallRefused, NotSubscribed, Refused, SchedulerDriver, SchedulerListener
from mesos.timers import Cancellable, Timers
from scheduler.core.effects import (
    AcceptInverseOffers,
    AcknowledgeStatus,
    DeclineOffers,
    Effect,
    InstancesUpdated,
    KillTask,
    LaunchTasks,
    ReconcileTasks,
    TaskChanged,
    TasksDeleted,
    UpdateChanged,
)
from scheduler.core.launch import launch
from scheduler.lifecycle import LifecycleState
from scheduler.loop import Loop
from scheduler.store.journal import Fenced, StoreError
from scheduler.store.ops import SaveFrameworkId
from scheduler.turn import Turn
from thermos.errors import RemoteError

#: Makes a driver for the framework with this id, or for a new one.
MakeDriver = Callable[[FrameworkID | None, SchedulerListener], SchedulerDriver]

#: Calls that are under way at a time.
ABREAST = 64

#: Offers of one turn.
OFFERS_AT_ONCE = 250

#: After a call that failed, until it is made good: whatever was on its way has arrived then.
RETRY_AFTER_S = 10.0

#: Before a framework's id that could not be stored is tried again.
AGAIN_AFTER_S = 5.0

NOT_LAUNCHED = "Unknown exception attempting to schedule task."

#: In the words of a master that has ended our framework, by its time-out or at an operator's wish.
REMOVED = "has been removed"

_log = logging.getLogger(__name__)


class MesosLink:
    """A SchedulerListener. `patience_s`: how often it is said that there is no master yet."""

    def __init__(
        self, loop: Loop, make_driver: MakeDriver, timers: Timers, *, patience_s: float = 60.0, batch: int = 1000
    ) -> None:
        self.driver: SchedulerDriver | None = None
        self._loop = loop
        self._engine = loop.engine
        self._make_driver = make_driver
        self._timers = timers
        self._patience_s = patience_s
        self._batch = batch
        self._statuses: list[TaskStatus] = []
        self._flushing = False
        self._known = False  # this process was registered before
        self._stopping = False
        self._again = asyncio.Event()  # nobody waits longer
        self._unsure: dict[str, str | None] = {}  # tasks whose fate is to be asked for
        self._unkilled: dict[str, KillTask] = {}  # what nobody has heard
        self._retrying: Cancellable | None = None
        self._complaining: Cancellable | None = None
        loop.describe_mesos = self.state

    # -- life

    async def run(self) -> None:
        """Until `stop`. Raises Refused for what no retry mends."""
        performing = asyncio.create_task(self._perform_all())
        subscribing = asyncio.create_task(self._subscribe())
        self._complain_later()
        try:
            done, _ = await asyncio.wait({performing, subscribing}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for timer in (self._retrying, self._complaining):
                if timer is not None:
                    timer.cancel()
            for task in (performing, subscribing):
                task.cancel()
            await asyncio.wait({performing, subscribing})

    async def stop(self) -> None:
        """Leave; the framework and its tasks live on."""
        self._stopping = True
        self._again.set()
        if self.driver is not None:
            await self.driver.stop()

    async def _subscribe(self) -> None:
        """As the framework that we are, or as a new one when the master has removed that."""
        while not self._stopping:
            stored = self._loop.store.tables.framework_id
            self.driver = self._make_driver(FrameworkID(value=stored) if stored is not None else None, self)
            try:
                await self.driver.run()
                return
            except Refused as error:
                stored = self._loop.store.tables.framework_id
                if stored is None or REMOVED not in str(error):
                    raise
                _log.warning("%s: framework %s is forgotten, its tasks are gone; beginning a new one", error, stored)
                await self._persistently(lambda turn: turn.apply(SaveFrameworkId(framework_id=None)))

    async def quiet(self) -> None:
        """Returns when all that was decided so far is performed, or has failed."""
        await self._loop.act(lambda turn: None)
        await self._loop.performed()

    async def _persistently(self, decide: Callable[[Turn], object]) -> None:
        """A turn that everything else waits for. Raises Fenced."""
        while not self._stopping:
            try:
                await self._loop.act(decide)
                return
            except Fenced:
                raise
            except StoreError:  # told by the loop
                self._timers.call_later(AGAIN_AFTER_S, self._again.set)
                await self._again.wait()
                self._again.clear()

    def _complain_later(self) -> None:
        self._complaining = self._timers.call_later(self._patience_s, self._complain)

    def _complain(self) -> None:
        driver = self.driver
        if driver is not None and not driver.subscribed:
            state = driver.state()
            _log.warning("not registered with a master: %s", state["last_problem"] or "no leading master is known")
        self._complain_later()

    # -- SchedulerListener

    async def subscribed(self, framework_id: FrameworkID, master: MasterInfo | None, again: bool) -> None:
        """The id is durable before anything else happens."""
        again = again or self._known
        self._known = True
        await self._persistently(lambda turn: self._engine.registered(turn, framework_id.value, again))
        self._loop.lifecycle.move(LifecycleState.ACTIVE)
        url = self.driver.master_url if self.driver is not None else None
        _log.info("registered as framework %s with the master at %s", framework_id.value, url)

    async def disconnected(self, reason: str) -> None:
        self._flush()
        _log.log(logging.INFO if self._stopping else logging.WARNING, "no longer subscribed: %s", reason)
        self._engine.disconnected(self._loop.now())

    async def problem(self, text: str) -> None:
        _log.warning("%s", text)

    async def event(self, event: api.Event) -> None:
        if event.update is not None:
            self._collect(event.update.status)
        else:
            self._flush()
            if event.offers is not None:
                await self._offered(event.offers.offers)
            else:
                self._hear(event)
        await self._loop.room()

    async def _offered(self, offers: Sequence[Offer]) -> None:
        """The first offers of a large cluster come all at once; others have their turn between parts of them."""
        for first in range(0, len(offers), OFFERS_AT_ONCE):
            part = offers[first : first + OFFERS_AT_ONCE]
            self._loop.post(partial(self._engine.offers, offers=part))
            await self._loop.room()
            await asyncio.sleep(0)

    def _hear(self, event: api.Event) -> None:
        engine, loop = self._engine, self._loop
        if (rescind := event.rescind) is not None:
            loop.post(lambda turn: engine.rescinded(turn, rescind.offer_id.value))
        elif (inverse := event.inverse_offers) is not None:
            loop.post(lambda turn: engine.inverse_offers(turn, inverse.inverse_offers))
        elif (failure := event.failure) is not None and failure.executor_id is None and failure.agent_id is not None:
            agent = failure.agent_id.value
            loop.post(lambda turn: engine.agent_lost(turn, agent))

    # -- statuses

    def _collect(self, status: TaskStatus) -> None:
        """What the driver reads at once is one turn."""
        self._statuses.append(status)
        if len(self._statuses) >= self._batch:
            self._flush()
        elif not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """What can't be stored now comes again: nobody acknowledges it."""
        self._flushing = False
        batch, self._statuses = self._statuses, []
        if batch and not self._loop.is_in_trouble:
            self._loop.post(lambda turn: self._engine.statuses(turn, batch))

    # -- effects

    async def _perform_all(self) -> None:
        while True:
            for batch in alike(await self._loop.outward(ABREAST)):
                await asyncio.gather(*(self._perform(effect) for effect in batch))

    async def _perform(self, effect: Effect) -> None:
        match effect:
            case LaunchTasks():
                await self._launch(effect)
            case KillTask():
                await self._kill(effect)
            case AcknowledgeStatus():
                if effect.status.uuid and effect.status.agent_id is not None:
                    await self._call(api.acknowledge(effect.status))
            case DeclineOffers():
                await self._call(api.decline(effect.offer_ids, effect.refuse_s))
            case AcceptInverseOffers():
                await self._call(api.accept_inverse(effect.inverse_offer_ids))
            case ReconcileTasks():
                await self._reconcile(effect)
            case TaskChanged() | TasksDeleted() | UpdateChanged() | InstancesUpdated():
                self._loop.events.publish(effect)
            case _:
                assert_never(effect)

    async def _launch(self, effect: LaunchTasks) -> None:
        try:
            await self._send(api.accept([effect.offer_id], [launch(effect.tasks)], effect.refuse_s))
        except (NotSubscribed, CallRefused) as error:
            _log.warning("%s; %d tasks were not launched", error, len(effect.tasks))
            self._loop.post(lambda turn: self._engine.launch_failed(turn, effect.tasks, NOT_LAUNCHED))
        except CallFailed as error:
            _log.warning("%s; the master will be asked about %d tasks", error, len(effect.tasks))
            self._ask_later((task.task_id.value, task.agent_id.value) for task in effect.tasks)

    async def _kill(self, effect: KillTask) -> None:
        """Once it was told, it is wanted for good."""
        try:
            agent = AgentID(value=effect.agent_id) if effect.agent_id is not None else None
            await self._send(api.kill(TaskID(value=effect.task_id), agent))
        except (NotSubscribed, CallFailed) as error:
            _log.debug("%s", error)
            self._unkilled[effect.task_id] = effect
            self._retry_later()
        except CallRefused as error:
            _log.warning("%s", error)

    async def _reconcile(self, effect: ReconcileTasks) -> None:
        try:
            tasks = [(TaskID(value=task), AgentID(value=at) if at else None) for task, at in effect.tasks]
            await self._send(api.reconcile(tasks))
        except CallFailed as error:
            _log.warning("%s", error)
            self._ask_later(effect.tasks)
        except RemoteError as error:
            _log.debug("%s", error)

    async def _call(self, call: api.Call) -> None:
        """Failures are counted by the driver; while a master is away there are thousands of them."""
        try:
            await self._send(call)
        except RemoteError as error:
            _log.debug("%s", error)

    async def _send(self, call: api.Call) -> None:
        if self.driver is None:
            raise NotSubscribed(f"cannot {call.type}: there is no master yet")
        await self.driver.call(call)

    def _ask_later(self, tasks: Iterable[tuple[str, str | None]]) -> None:
        self._unsure.update(tasks)
        if self._unsure:
            self._retry_later()

    def _retry_later(self) -> None:
        if self._retrying is None:
            self._retrying = self._timers.call_later(RETRY_AFTER_S, self._retry)

    def _retry(self) -> None:
        """Of the tasks that are still thought to be on an agent, the engine knows which."""
        self._retrying = None
        unsure, self._unsure = list(self._unsure), {}
        kills, self._unkilled = list(self._unkilled.values()), {}

        def decide(turn: Turn) -> None:
            if unsure:
                self._engine.reconcile(turn, unsure)
            for kill in kills:
                turn.tell(kill)

        self._loop.post(decide)

    # -- being looked at

    def state(self) -> dict[str, Any]:
        return self.driver.state() if self.driver is not None else {}


def alike(effects: Sequence[Effect]) -> Iterator[list[Effect]]:
    """Effects of one kind that stand together may overtake each other; they are of different tasks and offers."""
    for _, group in groupby(effects, key=type):
        yield list(group)
