"""A framework for the tests: our driver, and a listener that keeps all it heard and lets a test wait for anything."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from msgspec import structs

from mesos.auth import Credentials
from mesos.core import scheduler_api as api
from mesos.core.messages import (
    AllocationInfo,
    Capability,
    CapabilityInfo,
    CommandInfo,
    CommandURI,
    Environment,
    ExecutorID,
    ExecutorInfo,
    FrameworkID,
    FrameworkInfo,
    InverseOffer,
    KillPolicy,
    Launch,
    MasterInfo,
    Offer,
    OfferID,
    Operation,
    OperationType,
    Resource,
    TaskID,
    TaskInfo,
    TaskStatus,
    Variable,
    scalar,
)
from mesos.leader import leader_detector
from mesos.scheduler_calls import CallFailed
from mesos.scheduler_driver import DriverOptions, SchedulerDriver
from tests.mesos.conformance.target import ROOT, SLEEPER, Target

T = TypeVar("T")

#: What the sleeper shall do with a task.
Script = Mapping[str, Any] | None

DEFAULT = (Capability.MULTI_ROLE, Capability.PARTITION_AWARE, Capability.RESERVATION_REFINEMENT)

#: How long a test waits for anything. Real Mesos says an unacknowledged status again after 10 s.
PATIENCE_S = 30.0


@dataclass
class Heard:
    """All that a framework heard, newest last."""

    events: list[api.Event] = field(default_factory=list)
    statuses: list[TaskStatus] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    subscriptions: int = 0
    disconnections: list[str] = field(default_factory=list)


class Framework:
    """Connected while inside `async with`; leaving it tears the framework down unless `keep` was called."""

    def __init__(
        self,
        target: Target,
        *,
        roles: Sequence[str] = ("*",),
        capabilities: Iterable[Capability] = DEFAULT,
        framework_id: FrameworkID | None = None,
        checkpoint: bool = True,
        failover_timeout_s: float = 60.0,
        credentials: Credentials | None = None,
        acknowledge: bool = True,
        leader_text: str = "",
    ) -> None:
        can = tuple(capabilities)
        multi = Capability.MULTI_ROLE in can
        info = FrameworkInfo(
            user=pwd.getpwuid(os.geteuid()).pw_name,
            name="conformance",
            id=framework_id,
            checkpoint=checkpoint,
            failover_timeout=failover_timeout_s,
            roles=tuple(roles) if multi else (),
            role="" if multi else roles[0],
            principal=credentials.principal if credentials else "",
            capabilities=tuple(CapabilityInfo(type=name) for name in can),
        )
        self.info = info
        self.heard = Heard()
        self.offers: dict[str, Offer] = {}
        self.inverse_offers: dict[str, InverseOffer] = {}
        self.acknowledge = acknowledge
        self.failed: BaseException | None = None
        self._news = asyncio.Condition()
        self._keep = False
        detector = leader_detector(leader_text or target.leader_text)
        self.driver = SchedulerDriver(info, detector, self, options=DriverOptions(credentials=credentials))
        self._running: asyncio.Task[None] | None = None

    # --- life

    async def __aenter__(self) -> Framework:
        self._running = asyncio.create_task(self._run())
        await self.wait_for(lambda: self.heard.subscriptions or self.failed, "subscription")
        if self.failed is not None:
            await self._running
            raise self.failed
        return self

    async def __aexit__(self, *exc: object) -> None:
        if not self._keep and self.driver.subscribed:
            await self.driver.teardown()
        await self.driver.stop()
        assert self._running is not None
        await asyncio.wait_for(self._running, 10)

    def keep(self) -> None:
        """Leave without a teardown: the framework lives on for its failover timeout."""
        self._keep = True

    async def _run(self) -> None:
        try:
            await self.driver.run()
        except Exception as error:
            self.failed = error
        await self._tell()

    @property
    def id(self) -> FrameworkID:
        assert self.driver.framework_id is not None
        return self.driver.framework_id

    # --- SchedulerListener

    async def subscribed(self, framework_id: FrameworkID, master: MasterInfo | None, again: bool) -> None:
        self.heard.subscriptions += 1
        await self._tell()

    async def disconnected(self, reason: str) -> None:
        self.heard.disconnections.append(reason)
        self.offers.clear()
        self.inverse_offers.clear()
        await self._tell()

    async def problem(self, text: str) -> None:
        self.heard.problems.append(text)

    async def event(self, event: api.Event) -> None:
        self.heard.events.append(event)
        if event.offers is not None:
            self.offers.update({offer.id.value: offer for offer in event.offers.offers})
        elif event.inverse_offers is not None:
            self.inverse_offers.update({offer.id.value: offer for offer in event.inverse_offers.inverse_offers})
        elif event.rescind is not None:
            self.offers.pop(event.rescind.offer_id.value, None)
        elif event.rescind_inverse_offer is not None:
            self.inverse_offers.pop(event.rescind_inverse_offer.inverse_offer_id.value, None)
        elif event.update is not None:
            status = event.update.status
            self.heard.statuses.append(status)
            if status.uuid and self.acknowledge:
                await self._acknowledge(status)
        await self._tell()

    async def _acknowledge(self, status: TaskStatus) -> None:
        try:
            await self.call(api.acknowledge(status))
        except CallFailed as error:  # it will be said again, and acknowledged then
            self.heard.problems.append(str(error))

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    # --- waiting

    async def wait_for(self, look: Callable[[], T], what: str, timeout_s: float = PATIENCE_S) -> T:
        """What `look` gives as soon as it is true."""

        async def waiting() -> T:
            async with self._news:
                while not (found := look()):
                    await self._news.wait()
                return found

        try:
            return await asyncio.wait_for(waiting(), timeout_s)
        except TimeoutError:
            raise AssertionError(f"no {what} in {timeout_s} s; heard {self.summary()}") from None

    def summary(self) -> str:
        def words(event: api.Event) -> str:
            if event.update is not None:
                status = event.update.status
                return f"{status.task_id.value} {status.state} {status.reason} {status.message[:80]!r}"
            return event.type

        return (
            f"{[words(e) for e in self.heard.events[-15:]]}, problems {self.heard.problems[-3:]},"
            f" disconnections {self.heard.disconnections[-3:]}, {self.failed or 'runs'}"
        )

    async def offer(self, fits: Callable[[Offer], bool] = lambda _: True, timeout_s: float = PATIENCE_S) -> Offer:
        """One that fits; it is taken from `offers`."""

        def look() -> Offer | None:
            return next((offer for offer in self.offers.values() if fits(offer)), None)

        found = await self.wait_for(look, "such offer", timeout_s)
        assert found is not None
        del self.offers[found.id.value]
        return found

    async def status(
        self, task: str, state: str, fits: Callable[[TaskStatus], bool] = lambda _: True, timeout_s: float = PATIENCE_S
    ) -> TaskStatus:
        """The first status of the task with this state that fits; it is taken from `heard.statuses`."""

        def look() -> TaskStatus | None:
            mine = (s for s in self.heard.statuses if s.task_id.value == task and s.state == state)
            return next((status for status in mine if fits(status)), None)

        found = await self.wait_for(look, f"{state} of {task}", timeout_s)
        assert found is not None
        self.heard.statuses.remove(found)
        return found

    async def event_of(
        self, kind: api.EventType, fits: Callable[[api.Event], bool] = lambda _: True, timeout_s: float = PATIENCE_S
    ) -> api.Event:
        """The first event of this kind that fits, from the beginning."""

        def look() -> api.Event | None:
            return next((event for event in self.heard.events if event.type == kind and fits(event)), None)

        found = await self.wait_for(look, f"event {kind}", timeout_s)
        assert found is not None
        return found

    # --- calls

    async def call(self, call: api.Call) -> None:
        await self.driver.call(call)

    async def decline_all(self, refuse_seconds: float = 0.0) -> None:
        offers = [OfferID(value=value) for value in self.offers]
        self.offers.clear()
        if offers:
            await self.call(api.decline(offers, refuse_seconds))

    async def operate(self, offer: Offer, *operations: Operation, refuse_seconds: float = 0.0) -> None:
        await self.call(api.accept([offer.id], operations, refuse_seconds))

    async def launch(self, offer: Offer, task_id: str, script: Script = None, **more: Any) -> TaskInfo:
        """Launch one task of the sleeper; `more` as of `task`."""
        task = self.task(offer, task_id, script, **more)
        await self.operate(offer, launching(task))
        return task

    def task(
        self,
        offer: Offer,
        task_id: str,
        script: Script = None,
        *,
        executor_id: str = "ex",
        resources: Sequence[Resource] | None = None,
        kill_policy: KillPolicy | None = None,
        uris: Sequence[CommandURI] = (),
    ) -> TaskInfo:
        role = offer.allocation_info.role if offer.allocation_info else ""
        given = [scalar("cpus", 0.1), scalar("mem", 32)] if resources is None else list(resources)
        return TaskInfo(
            name=task_id,
            task_id=TaskID(value=task_id),
            agent_id=offer.agent_id,
            data=json.dumps(script or {}).encode(),
            resources=allocated(given, role),
            executor=self.executor(executor_id, role, uris),
            kill_policy=kill_policy,
        )

    def executor(
        self, executor_id: str, role: str, uris: Sequence[CommandURI] = (), more: Sequence[Resource] = ()
    ) -> ExecutorInfo:
        variables = (Variable(name="PYTHONPATH", value=str(ROOT)), Variable(name="FOO", value="bar"))
        return ExecutorInfo(
            type="CUSTOM",
            executor_id=ExecutorID(value=executor_id),
            framework_id=self.id,
            name="sleeper",
            source="conformance",
            command=CommandInfo(
                value=f"exec {sys.executable} {SLEEPER}", environment=Environment(variables=variables), uris=tuple(uris)
            ),
            resources=allocated([scalar("cpus", 0.1), scalar("mem", 32), *more], role),
        )


def launching(*tasks: TaskInfo) -> Operation:
    return Operation(type=OperationType.LAUNCH, launch=Launch(task_infos=tasks))


def allocated(resources: Iterable[Resource], role: str) -> tuple[Resource, ...]:
    """As the master wants them back: with the role that they were offered to."""
    info = AllocationInfo(role=role) if role else None
    return tuple(structs.replace(resource, allocation_info=info) for resource in resources)


def number_of(offer: Offer) -> int:
    """Of the agent that the offer is from."""
    return int(offer.hostname.removeprefix("agent"))


def running_pid(status: TaskStatus) -> int:
    """Of the executor, as the sleeper says it in TASK_RUNNING."""
    return int(status.message.split()[1])
