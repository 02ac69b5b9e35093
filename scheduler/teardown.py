"""The end of a framework, with all its tasks, at somebody's explicit wish; the only way in which we ever end tasks so.

The store is ours meanwhile, so no scheduler runs. What jobs there are stays in it: the next scheduler is a new
framework and starts their tasks anew.

Source: spec/libraries.md §2 (a scheduler that ends must not take its tasks along).
"""

from __future__ import annotations

import asyncio

from mesos.core import scheduler_api as api
from mesos.core.messages import FrameworkID, MasterInfo
from mesos.leader import leader_detector
from mesos.scheduler_driver import SchedulerDriver
from mesos.scheduler_options import DriverOptions
from scheduler.settings import Settings, framework_of
from scheduler.store.ops import SaveFrameworkId
from scheduler.store.store import Store
from thermos.errors import RemoteError

#: Seconds for a master to be found and to take us.
PATIENCE_S = 60.0


class _Subscriber:
    """Waits for the subscription, and heeds nothing else."""

    def __init__(self) -> None:
        self.is_subscribed = asyncio.Event()
        self.last_problem = "no leading master is known"

    async def subscribed(self, framework_id: FrameworkID, master: MasterInfo | None, again: bool) -> None:
        self.is_subscribed.set()

    async def disconnected(self, reason: str) -> None:
        self.is_subscribed.clear()

    async def event(self, event: api.Event) -> None:
        pass

    async def problem(self, text: str) -> None:
        self.last_problem = text


async def tear_down(settings: Settings, store: Store) -> str | None:
    """The id of the framework that is no more; None: there was none. Raises RemoteError, StoreError."""
    framework = store.tables.framework_id
    try:
        if framework is not None:
            await _end(settings, FrameworkID(value=framework))
            trial = store.trial()
            trial.apply(SaveFrameworkId(framework_id=None))
            await store.commit(trial)
    finally:
        await store.close()
    return framework


async def _end(settings: Settings, framework: FrameworkID) -> None:
    mesos = settings.mesos
    listener = _Subscriber()
    driver = SchedulerDriver(
        framework_of(mesos, framework, ""),
        leader_detector(mesos.master, "https" if mesos.tls is not None else "http"),
        listener,
        options=DriverOptions(credentials=mesos.credentials, tls=mesos.tls),
    )
    running = asyncio.create_task(driver.run())
    subscribing = asyncio.create_task(listener.is_subscribed.wait())
    try:
        await asyncio.wait((running, subscribing), timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        if not subscribing.done():
            raise RemoteError(f"cannot tear down framework {framework.value}: {listener.last_problem}")
        await driver.teardown()
        await running
    finally:
        for task in (running, subscribing):
            task.cancel()
        await asyncio.wait((running, subscribing))
