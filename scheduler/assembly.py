"""All parts of a scheduler, put together around a store that was read.

    store ── loop ── engine        decisions, commits
              ├──── link           Mesos
              ├──── web server     the API and the pages
              └──── backups

`run` ends when it is told to, or with the first error that none of them can live with; tasks live on either way.

Source: design §7, spec/scheduler.md §8.3.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Callable

from aiohttp import web

from mesos.core.messages import FrameworkID
from mesos.leader import leader_detector
from mesos.scheduler_driver import SchedulerDriver, SchedulerListener
from mesos.scheduler_options import DriverOptions
from mesos.timers import LoopTimers
from scheduler.api.app import make_app
from scheduler.api.settings import ApiSettings, Ending
from scheduler.auth import Authenticator
from scheduler.backups import Backups
from scheduler.engine import Engine
from scheduler.event_log import EventLog
from scheduler.garbage import spare_what_lasts
from scheduler.lifecycle import Lifecycle, LifecycleState
from scheduler.loop import Loop
from scheduler.mesos_link import MesosLink
from scheduler.service.context import ServiceSettings
from scheduler.settings import Settings, framework_of
from scheduler.store.store import Store
from scheduler.web_server import WebServer, host_names
from thermos.clock import Now, now
from thermos.errors import ThermosError

#: What was decided before the end is still done, if the master answers within so many seconds.
PATIENCE_S = 2.0

_log = logging.getLogger(__name__)


class Scheduler:
    """Made and run in one asyncio loop. `clock` stands in for time in tests."""

    def __init__(self, settings: Settings, store: Store, *, clock: Callable[[], Now] = now) -> None:
        self.settings = settings
        self.store = store
        self._stopping = asyncio.Event()
        self._patience_s = PATIENCE_S
        self.lifecycle = Lifecycle(lambda: clock().mono)
        self.engine = Engine(store.tables, settings.engine, random.random, lambda: str(uuid.uuid4()))
        self.events = EventLog(uuid.uuid4().hex[:12])
        self.timers = LoopTimers()
        self.loop = Loop(self.engine, store, self.events, self.lifecycle, now=clock, timers=self.timers)
        self.authenticator = Authenticator(settings.users)
        self.web = WebServer(self._app(), settings)
        self.link = MesosLink(
            self.loop,
            self._make_driver,
            self.timers,
            patience_s=settings.mesos.patience_s,
            batch=settings.mesos.batch,
        )
        self.backups = Backups(store, settings.store, settings.backups, now=clock, stats=self.loop.backups)
        self.lifecycle.move(LifecycleState.STORAGE_PREPARED)

    def stop(self) -> None:
        """`run` ends soon; the framework and its tasks live on."""
        self._stopping.set()

    def reload(self) -> None:
        """The users, from their file; a file that can't be used changes nothing."""
        try:
            self.authenticator.reload()
        except ThermosError as error:
            _log.error("%s; the users stay as they were", error)
        else:
            _log.info("read the users anew")

    async def run(self) -> None:
        """Until `stop`. Raises ThermosError for what ends it: Refused, Fenced, Bug, HostError (the port)."""
        try:
            await self.web.start()
            _log.info("serving cluster %s at %s/", self.settings.cluster, self.web.url)
            self.loop.start()
            self.lifecycle.move(LifecycleState.LEADER_AWAITING_REGISTRATION)
            spare_what_lasts()
            await self._serve()
        finally:
            self.lifecycle.move(LifecycleState.DEAD)
            await self.web.stop()
            await self.loop.close()

    async def _serve(self) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        linked = asyncio.create_task(self.link.run())
        backing_up = asyncio.create_task(self.backups.run())
        try:
            everything = (stopping, linked, backing_up, self.loop.failed)
            done, _ = await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
            await self._finish(linked)
        finally:
            for task in (stopping, linked, backing_up):
                task.cancel()
            await asyncio.wait((stopping, linked, backing_up))

    async def _finish(self, linked: asyncio.Task[None]) -> None:
        """Politely: what was decided is done, then the connection ends; the framework and its tasks live on."""
        self.loop.stop()
        try:
            async with asyncio.timeout(self._patience_s):
                await self.link.quiet()
        except TimeoutError:
            _log.warning("some of what was decided could not be told to the master; it is told after the next start")
        await self.link.stop()
        await asyncio.wait({linked}, timeout=self._patience_s)

    def _app(self) -> web.Application:
        flags = self.settings.flags
        given = ApiSettings(
            hostname=self.settings.hostname,
            started_at=self.loop.now(),
            service=ServiceSettings(
                cluster=self.settings.cluster,
                rules=self.settings.rules,
                max_update_failures=flags.max_update_instance_failures,
            ),
            authenticator=self.authenticator,
            stop=self._end,
            web_url=lambda: self.web.url,
            hosts=host_names(flags.ip, flags.allowed_host, is_protected=self.authenticator.is_on),
            read_auth=flags.read_authentication,
            observer_port=flags.observer_port,
            role=flags.mesos_role or "*",
        )
        return make_app(self.loop, given)

    def _end(self, ending: Ending) -> None:
        """Somebody who may wants it."""
        _log.info("told to end by /%s", ending.value)
        if ending is Ending.AT_ONCE:
            self._patience_s = 0.0
        self.stop()

    def _make_driver(self, framework_id: FrameworkID | None, listener: SchedulerListener) -> SchedulerDriver:
        mesos = self.settings.mesos
        options = DriverOptions(credentials=mesos.credentials, tls=mesos.tls)
        info = framework_of(mesos, framework_id, self.web.url)
        detector = leader_detector(mesos.master, "https" if mesos.tls is not None else "http")
        return SchedulerDriver(info, detector, listener, options=options)
