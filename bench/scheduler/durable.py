"""With the store in a SQLite file, in the directory for temporary files: wall time, and of the disk that is there.

`restart`: SIZE tasks that run, once as a snapshot and once, for a tenth of them, as the records of their changes: a
new process reads the store and starts an engine on it. By how much it has grown for each task is the memory of the
store, the engine and its timers.
`commits`: SIZE statuses of tasks, each a change: by one who waits for each commit, by 64 who do so at a time, and as
the link gives them, 100 in a turn with as many turns under way as there is room for. Loop, engine, store and journal as
in a scheduler that serves.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path

from bench.mesos import pss_kib
from bench.scheduler.cluster import STATUSES_AT_ONCE, a_status
from bench.scheduler.engine import filled
from bench.scheduler.making import SETTINGS, Figures
from mesos.core.messages import TaskState, TaskStatus
from mesos.timers import LoopTimers
from scheduler.core.states import ScheduleStatus
from scheduler.engine import Engine, EngineSettings
from scheduler.event_log import EventLog
from scheduler.lifecycle import Lifecycle
from scheduler.loop import Loop
from scheduler.store.ops import SaveTasks
from scheduler.store.sqlite_journal import SqliteJournal
from scheduler.store.store import Store
from scheduler.store.tables import Tables, replay
from scheduler.store.trial import Trial
from scheduler.turn import Turn
from thermos.clock import now

HOSTS_PER_TASK = 10
ABREAST = 64
PATIENCE_S = 120.0


# --- restart ------------------------------------------------------------------------------------------------------


def restart(tasks: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        snapshot, records = Path(directory, "snapshot"), Path(directory, "records")
        write_snapshot(snapshot, tasks)
        changes = write_records(records, max(1, tasks // 10))
        of_snapshot, of_records = in_new_process(snapshot), in_new_process(records)
    if of_snapshot["tasks"] != tasks:
        raise SystemExit(f"bench.scheduler: {of_snapshot['tasks']} tasks were read")
    return {
        **of_snapshot,
        "changes": changes,
        "us_per_change": round(1e6 * of_records["load_s"] / changes, 1),
    }


def write_snapshot(directory: Path, tasks: int) -> None:
    directory.mkdir()
    journal = SqliteJournal(directory)
    tables = replay(journal.load())
    for task in filled(tasks, 0, max(1, tasks // HOSTS_PER_TASK)).tasks.all():
        op = SaveTasks(tasks=(task,))
        Trial(tables).apply(op)
        journal.append([op])
    journal.snapshot(tables).result(PATIENCE_S)
    journal.close()


def write_records(directory: Path, tasks: int) -> int:
    """Each task saved three times, a hundred in a record; how many changes that is."""
    directory.mkdir()
    journal = SqliteJournal(directory)
    list(journal.load())
    saved = list(filled(tasks, 0, max(1, tasks // HOSTS_PER_TASK)).tasks.all())
    for _ in range(3):
        for first in range(0, tasks, STATUSES_AT_ONCE):
            journal.append([SaveTasks(tasks=tuple(saved[first : first + STATUSES_AT_ONCE]))])
    journal.close()
    return 3 * tasks


def in_new_process(directory: Path) -> Figures:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(read_and_start, directory).result(PATIENCE_S)


def read_and_start(directory: Path) -> Figures:
    gc.collect()
    memory, began, cpu = pss_kib(), time.monotonic(), time.process_time()
    journal = SqliteJournal(directory)
    tables = replay(journal.load())
    loaded = time.monotonic()
    engine = make_engine(tables)
    engine.start(Turn(Trial(tables), now()))
    started = time.monotonic()
    used = time.process_time() - cpu
    gc.collect()
    count = len(tables.tasks)
    grown = pss_kib() - memory
    journal.close()
    return {
        "tasks": count,
        "load_s": round(loaded - began, 2),
        "start_s": round(started - loaded, 2),
        "cpu_s": round(used, 2),
        "kib_per_task": round(grown / count, 2),
    }


def make_engine(tables: Tables) -> Engine:
    return Engine(tables, EngineSettings(SETTINGS, startup_delay_s=0.0), random.random, lambda: str(uuid.uuid4()))


# --- commits ------------------------------------------------------------------------------------------------------


def commits(tasks: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        return asyncio.run(commit_all(Path(directory), tasks))


async def commit_all(directory: Path, tasks: int) -> Figures:
    """A tenth of the statuses for the one who waits for each."""
    journal = SqliteJournal(directory)
    store = Store(journal)
    tables = filled(tasks, tasks, max(1, tasks // HOSTS_PER_TASK))
    trial = store.trial()
    trial.apply(SaveTasks(tasks=tuple(tables.tasks.all())))
    await store.commit(trial)
    timers = LoopTimers()
    engine = make_engine(store.tables)
    loop = Loop(engine, store, EventLog("bench"), Lifecycle(timers.now), now=now, timers=timers)
    loop.start()
    statuses = iter(all_statuses(store.tables))
    alone = await wait_for_each(loop, list(islice(statuses, max(1, tasks // 10))))
    half = list(islice(statuses, tasks // 2))
    parts = [half[first::ABREAST] for first in range(ABREAST)]
    began = time.monotonic()
    abreast = [s for part in await asyncio.gather(*(wait_for_each(loop, part) for part in parts)) for s in part]
    abreast_s = time.monotonic() - began
    rest = list(statuses)
    posted_s = await post_all(loop, rest)
    await loop.close()
    running = store.tables.tasks.count(ScheduleStatus.RUNNING)
    if running != tasks or loop.stats.failed_commits:
        raise SystemExit(f"bench.scheduler: {running} of {tasks} tasks run")
    return {
        "tasks": tasks,
        "alone_ms": round(1000 * statistics.median(alone), 2),
        "alone_p99_ms": round(1000 * statistics.quantiles(alone, n=100, method="inclusive")[98], 2),
        "abreast_ms": round(1000 * statistics.median(abreast), 2),
        "abreast_per_s": round(len(abreast) / abreast_s),
        "posted_per_s": round(len(rest) / posted_s),
    }


def all_statuses(tables: Tables) -> Iterator[TaskStatus]:
    return (a_status(task.id, task.assigned_task.slave_id, TaskState.RUNNING) for task in list(tables.tasks.all()))


async def wait_for_each(loop: Loop, statuses: Sequence[TaskStatus]) -> list[float]:
    """Seconds of each commit."""
    took = []
    for status in statuses:
        began = time.monotonic()
        await loop.act(lambda turn, s=status: loop.engine.statuses(turn, [s]))  # type: ignore[misc]
        took.append(time.monotonic() - began)
    return took


async def post_all(loop: Loop, statuses: Sequence[TaskStatus]) -> float:
    """Seconds until all are durable."""
    began = time.monotonic()
    for first in range(0, len(statuses), STATUSES_AT_ONCE):
        part = statuses[first : first + STATUSES_AT_ONCE]
        loop.post(lambda turn, p=part: loop.engine.statuses(turn, p))  # type: ignore[misc]
        await loop.room()
        await asyncio.sleep(0)
    await loop.act(lambda turn: None)
    return time.monotonic() - began
