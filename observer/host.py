"""The server's picture of its host: inventory, samples, finished tasks that somebody opened, news. One event loop owns
it; what blocks (big checkpoints, files, /proc, disks) goes through two worker threads, whatever the number of tasks.

    inotify readable --(20 ms later)--> inventory.on_readable --> change --> news
    every tick: one look at /proc --> figures of all active tasks --> news, if somebody watches
    every `polling` (60 s, or the old 5 s without inotify): inventory.rescan
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from observer.core.build import row_of, state_word
from observer.core.listing import Listed, Page, select
from observer.core.sandbox_path import Refused
from observer.core.source import Source
from observer.core.travel import moment_of, view_at
from observer.core.views import IndexRow, IndexView, Kind, Moment, Note, Sort
from observer.events import Broker, Coalescer
from observer.files import NoSuchFile, trusted_base
from observer.inotify import Inotify
from observer.inventory import Change, ChangeKind, Inventory, Places
from observer.sampling import DiskRound, apply_look, parse_agent_disk, set_disk
from observer.task import Loaded, Task, read_records, source_of
from thermos.clock import Now, now
from thermos.core.records import AnyRecord
from thermos.core.usage import Look
from thermos.host.kernel import Kernel
from thermos.monitor.sample import take_look

T = TypeVar("T")

#: Finished tasks that stay read: about so many bytes of records, at most so many tasks.
KEEP_BYTES = 8 * 1024 * 1024
KEEP_TASKS = 32
#: Rows of finished tasks that stay made.
KEEP_ROWS = 1000
#: Pages of lists whose order is remembered.
KEEP_PAGES = 200

#: Seconds between looks while somebody watches, and of the safety net of inotify.
WATCHED_TICK = 5.0
SAFETY_NET = 60.0
AGENT_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What the flags say about gathering; seconds."""

    polling: float = 5.0
    sampling: bool = True
    process_interval: float = 20.0
    disk_interval: float = 60.0
    agent_disk: bool = False
    agent_url: str = "http://localhost:5051/containers"
    executor_id_path: str = "executor_id"
    disk_path: str = "statistics.disk_used_bytes"


class Host:
    """Create it in a running loop, `start` it, `close` it."""

    def __init__(self, places: Places, settings: Settings, hostname: str, clock: Callable[[], Now] = now) -> None:
        self.hostname = hostname
        self.settings = settings
        self.clock = clock
        self.kernel = Kernel()
        self.broker = Broker(secrets.token_hex(4))
        self.inventory = Inventory(places, self.kernel, self._on_change, _new_inotify())
        self.started_at = clock()
        self.look_seconds = 0.0
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="disk")
        self._loaded: OrderedDict[str, tuple[int, Loaded]] = OrderedDict()
        self._rows: OrderedDict[str, tuple[int, IndexRow]] = OrderedDict()
        self._pages: dict[tuple[object, ...], Page] = {}
        self._pages_generation = self._counted_generation = -1
        self._counted = 0
        self._look: Look | None = None
        self._jobs: list[asyncio.Task[None]] = []
        self._soon: Coalescer | None = None
        self._session: aiohttp.ClientSession | None = None
        self._wake = asyncio.Event()

    # life ------------------------------------------------------------------------------------------------------------
    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self.inventory.rescan()
        if self.inventory.inotify is not None:
            self._soon = Coalescer(loop, 0.02, self._read_inotify)
            loop.add_reader(self.inventory.inotify.fd, self._on_inotify)
        self._jobs = [loop.create_task(self._rescan_for_ever())]
        if self.settings.sampling:
            self._jobs += [loop.create_task(self._sample_for_ever()), loop.create_task(self._disk_for_ever())]

    async def close(self) -> None:
        self.broker.close()
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        if self._soon is not None:
            self._soon.cancel()
        if self.inventory.inotify is not None:
            asyncio.get_running_loop().remove_reader(self.inventory.inotify.fd)
        if self._session is not None:
            await self._session.close()
        self.inventory.close()
        self._pool.shutdown()

    async def blocking(self, call: Callable[..., T], *arguments: object) -> T:
        """Run what blocks on disks in a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *arguments)

    # news ------------------------------------------------------------------------------------------------------------
    def _on_inotify(self) -> None:
        """Let a burst gather: level-triggered, so the reader rests until the burst is read."""
        if self.inventory.inotify is not None and self._soon is not None:
            asyncio.get_running_loop().remove_reader(self.inventory.inotify.fd)
            self._soon.poke()

    def _read_inotify(self) -> None:
        if self.inventory.inotify is not None:
            self.inventory.on_readable()
            asyncio.get_running_loop().add_reader(self.inventory.inotify.fd, self._on_inotify)

    def _on_change(self, change: Change) -> None:
        task = change.task
        data: dict[str, Any] = {
            "change": str(change.kind),
            "key": task.key,
            "task_id": task.task_id,
            "active": task.active,
            "state": state_word(task.record) if task.follower is not None else None,
        }
        if change.events:
            data["records"] = [str(e.record.__struct_config__.tag) for e in change.events[-20:]]
            data["processes"] = sorted({e.applied.run.process for e in change.events if e.applied.run is not None})[:20]
        if change.kind in (ChangeKind.FINISHED, ChangeKind.REMOVED):
            self._loaded.pop(task.key, None)
        elif change.kind is ChangeKind.APPEARED and task.active:
            self._wake.set()  # it is measured soon, not at the next slow tick
        self.broker.publish("task", task.key, data)

    # loops -----------------------------------------------------------------------------------------------------------
    async def _rescan_for_ever(self) -> None:
        while True:
            polling = self.inventory.is_polling
            await asyncio.sleep(self.settings.polling if polling else max(SAFETY_NET, self.settings.polling))
            self.inventory.rescan()

    async def _sample_for_ever(self) -> None:
        while True:
            await self.sample()
            interval = self.settings.process_interval
            patience = min(interval, WATCHED_TICK) if self.broker.subscribers else interval
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), patience)
                since = self.clock().mono - self._look.at if self._look is not None else WATCHED_TICK
                await asyncio.sleep(min(interval, max(1.0, WATCHED_TICK - since)))  # looks have to be apart
            except TimeoutError:
                pass

    def somebody_watches(self) -> None:
        """A page was opened: don't let it wait for the next slow tick."""
        if self._look is None or self.clock().mono - self._look.at > WATCHED_TICK:
            self._wake.set()

    async def sample(self) -> None:
        """One look at the host; nothing is looked at when nothing is active."""
        tasks = self.inventory.active()
        if not tasks:
            self._look = None
            return
        begun = self.clock().mono
        look = await self.blocking(take_look, begun)
        self.look_seconds += self.clock().mono - begun
        active = [task for task in tasks if task.active]
        apply_look(active, look, self._look, self.settings.process_interval)
        self._look = look
        watched = self.broker.watched()
        for task in active:
            if task.key in watched:
                usage = task.measured.usage
                self.broker.publish("usage", task.key, {"cpu": usage.cpu, "ram": usage.ram, "disk": usage.disk})
        if "" in watched:
            self.broker.publish("usage", "", {"active": len(active)})

    async def _disk_for_ever(self) -> None:
        while True:
            await (self.ask_agent() if self.settings.agent_disk else self.walk_disks())
            await asyncio.sleep(self.settings.disk_interval)

    async def walk_disks(self) -> None:
        """The sandboxes of all active tasks, in bites with rests between them."""
        places = []
        for task in self.inventory.active():
            header = task.record.header
            if header is not None:
                try:
                    places.append((task.key, trusted_base(header.sandbox, task.paths.runner, task.run_dir)))
                except (NoSuchFile, Refused):
                    set_disk(task, None)
        walk = DiskRound(places)
        while not walk.is_over:
            result = await self.blocking(walk.bite)
            task_done = self.inventory.tasks.get(result[0]) if result else None
            if task_done is not None and result is not None:
                set_disk(task_done, result[1])
            await asyncio.sleep(0.01)

    async def ask_agent(self) -> None:
        """The Mesos agent knows the disk of its executors; without a good answer nothing is known."""
        self._session = self._session or aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=AGENT_TIMEOUT))
        try:
            async with self._session.get(self.settings.agent_url) as answer:
                body = await answer.content.read(64 * 1024 * 1024) if answer.status == 200 else b""
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            body = b""
        known = parse_agent_disk(body, self.settings.executor_id_path, self.settings.disk_path)
        for task in self.inventory.active():
            set_disk(task, known.get(_executor_of(task.run_dir)) if task.run_dir else None)

    # questions -------------------------------------------------------------------------------------------------------
    async def load(self, task: Task) -> Loaded:
        """What is known of a task; a finished one is read, if it isn't at hand."""
        if task.active:
            return task.now_loaded()
        kept = self._loaded.get(task.key)
        if kept is not None and kept[0] == task.version and task.is_still(kept[1]):
            self._loaded.move_to_end(task.key)
            return kept[1]
        version = task.version
        loaded = await self.blocking(task.load, self.kernel)
        self._loaded[task.key] = (version, loaded)
        while len(self._loaded) > 1 and (
            len(self._loaded) > KEEP_TASKS or sum(each.cost for _, each in self._loaded.values()) > KEEP_BYTES
        ):
            self._loaded.popitem(last=False)
        return loaded

    async def source(self, task: Task) -> Source:
        loaded = await self.load(task)
        return source_of(task, self.inventory.ref_of(task), loaded, self.clock(), self._twin_notes(task))

    def _twin_notes(self, task: Task) -> tuple[Note, ...]:
        others = self.inventory.others(task)
        if not others:
            return ()
        roots = ", ".join(sorted(other.root for other in others)[:5])
        return (Note(f"the same id exists under {len(others)} other root{'s' * (len(others) > 1)}: {roots}"),)

    async def travel(self, task: Task, position: int | None) -> tuple[Source, Moment]:
        """The task as it was after `position` records; None: now."""
        source = await self.source(task)
        records: list[AnyRecord] = await self.blocking(read_records, task.paths, self.kernel)
        moment = await self.blocking(moment_of, records, position)
        if position is None or not records:
            return source, moment
        record, then = await self.blocking(view_at, records, position)
        past = Loaded(record, source.spec, notes=source.notes)
        return source_of(task, source.ref, past, then), moment

    async def row(self, task: Task) -> IndexRow:
        """The line of a list; made anew only when the task has changed."""
        if task.active:
            return self.active_row(task)
        kept = self._rows.get(task.key)
        if kept is not None and kept[0] == task.version:
            self._rows.move_to_end(task.key)
            return kept[1]
        version = task.version
        loaded = await self.blocking(task.load, self.kernel)
        row = row_of(source_of(task, self.inventory.ref_of(task), loaded, self.clock(), self._twin_notes(task)))
        self._rows[task.key] = (version, row)
        if len(self._rows) > KEEP_ROWS:
            self._rows.popitem(last=False)
        return row

    def active_row(self, task: Task) -> IndexRow:
        if task.row is None or task.row_version != task.version:
            loaded = task.now_loaded()
            ref = self.inventory.ref_of(task)
            task.row = row_of(source_of(task, ref, loaded, self.clock(), self._twin_notes(task)))
            task.row_version = task.version
        return task.row

    async def index(
        self, kind: Kind, *, query: str = "", sort: Sort = Sort.CHANGED, reverse: bool = False, offset: int = 0,
        num: int = 20,
    ) -> IndexView:  # fmt: skip
        """One page of a list."""
        tasks = self.inventory.tasks
        page = self._page(kind, query, sort, reverse, offset, num)
        rows = [await self.row(tasks[key]) for key in page.keys if key in tasks]
        active = self._active_count()
        return IndexView(
            kind=kind,
            rows=tuple(rows),
            total=page.total,
            offset=page.offset,
            num=num,
            query=query,
            sort=sort,
            reverse=reverse,
            active_count=active,
            finished_count=len(tasks) - active,
            notes=self.inventory.notes(),
            at=self.clock().wall,
        )

    def _page(self, kind: Kind, query: str, sort: Sort, reverse: bool, offset: int, num: int) -> Page:
        """Which tasks are on a page; remembered until tasks come or go, if it depends on nothing else."""
        detailed = bool(query) or sort not in (Sort.CHANGED, Sort.ID)
        asked = (kind, sort, reverse, offset, num)
        if self._pages_generation != self.inventory.generation:
            self._pages.clear()
            self._pages_generation = self.inventory.generation
        if not detailed and asked in self._pages:
            return self._pages[asked]
        listed = [
            Listed(t.key, t.task_id, t.active, t.changed_at, self.active_row(t) if detailed and t.active else None)
            for t in self.inventory.tasks.values()
            if kind is Kind.ALL or t.active is (kind is Kind.ACTIVE)
        ]
        page = select(listed, kind=kind, query=query, sort=sort, reverse=reverse, offset=offset, num=num)
        if not detailed and len(self._pages) < KEEP_PAGES:
            self._pages[asked] = page
        return page

    def _active_count(self) -> int:
        if self._counted_generation != self.inventory.generation:
            self._counted = len(self.inventory.active())
            self._counted_generation = self.inventory.generation
        return self._counted


def _new_inotify() -> Inotify | None:
    try:
        return Inotify()
    except OSError:
        return None  # the inventory says so in a note


def _executor_of(run_dir: Path) -> str:
    """`…/executors/<executor id>/runs/<run>`."""
    return run_dir.parent.parent.name
