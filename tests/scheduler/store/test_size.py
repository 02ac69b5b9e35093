"""100,000 tasks: what they cost in memory, and how long they take to be read.

Ratios of CPU time in one run, no absolute times: `pytest -s` prints the figures.
"""

from __future__ import annotations

import gc
import os
import time
import tracemalloc
import zlib
from pathlib import Path

import msgspec
import pytest

from scheduler.core.model import AssignedTask, ExecutorConfig, JobKey, Resource, ScheduledTask, TaskConfig, TaskEvent
from scheduler.core.states import ScheduleStatus
from scheduler.store.codec import _decoder
from scheduler.store.ops import SaveTasks
from scheduler.store.snapshot import Frozen
from scheduler.store.sqlite_file import read_chunks
from scheduler.store.sqlite_journal import SqliteJournal
from scheduler.store.tables import Tables, apply, replay

TASKS = int(os.environ.get("STORE_TASKS", "100000"))
JOBS = 500
KIB_PER_TASK = 3.0


def configs() -> list[TaskConfig]:
    return [
        TaskConfig(
            job=JobKey(role=f"role{n % 20}", environment="prod", name=f"job{n}"),
            is_service=True,
            tier="preferred",
            resources=(
                Resource(num_cpus=1.0),
                Resource(ram_mb=1024),
                Resource(disk_mb=4096),
                Resource(named_port="http"),
            ),
            executor_config=ExecutorConfig(name="AuroraExecutor", data=f'{{"n": {n}, "cmd": "{"x" * 2000}"}}'),
        )
        for n in range(JOBS)
    ]


def task(number: int, config: TaskConfig) -> ScheduledTask:
    """Every string is its own, as after reading."""
    job, at, agent = config.job, 1_700_000_000_000 + number, number % 10_000
    statuses = (ScheduleStatus.PENDING, ScheduleStatus.ASSIGNED, ScheduleStatus.STARTING, ScheduleStatus.RUNNING)
    return ScheduledTask(
        assigned_task=AssignedTask(
            task_id=f"{job.role}-{job.environment}-{job.name}-{number // JOBS}-00000000-0000-4000-8000-{number:012d}",
            task=config,
            instance_id=number // JOBS,
            slave_id=f"5a7f2b1c-0000-0000-0000-000000000000-S{agent}",
            slave_host=f"host{agent}.example.org",
            assigned_ports={"http": 31000 + number % 1000},
        ),
        status=statuses[-1],
        task_events=tuple(
            TaskEvent(timestamp=at + n, status=status, message=f"message {n}", scheduler="scheduler1.example.org")
            for n, status in enumerate(statuses)
        ),
    )


def write(directory: Path, count: int) -> Tables:
    """A store with a snapshot of so many tasks."""
    shared = configs()
    tables = Tables()
    journal = SqliteJournal(directory)
    list(journal.load())
    for start in range(0, count, 1000):
        op = SaveTasks(tasks=tuple(task(n, shared[n % JOBS]) for n in range(start, start + 1000)))
        apply(tables, op)
        journal.append([op])
    journal.snapshot(tables).result(60)
    journal.close()
    return tables


@pytest.mark.slow
def test_loading_a_hundred_thousand_tasks(tmp_path: Path) -> None:
    tables = write(tmp_path, TASKS)
    pauses = []
    for _ in range(3):
        started = time.process_time()
        Frozen(tables)
        pauses.append(time.process_time() - started)
    gc.freeze()  # a scheduler that starts holds nothing else
    loading, bare, loaded = fastest(tmp_path)
    gc.unfreeze()
    assert loaded == tables
    print(
        f"\n{TASKS} tasks: load {loading:.2f} s, bare msgpack decoding {bare:.2f} s, ratio {loading / bare:.1f};"
        f" the loop pauses for a snapshot {1000 * min(pauses):.1f} ms; {file_size(tmp_path) >> 20} MiB on disk"
    )
    assert loading / bare < 10
    assert min(pauses) < loading / 10


def file_size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


def test_memory_per_task(tmp_path: Path) -> None:
    write(tmp_path, TASKS // 5)
    kib = kib_per_task(tmp_path)
    print(f"\n{kib:.2f} KiB per task, with all indexes, without the shared configs")
    assert kib <= KIB_PER_TASK


def fastest(directory: Path) -> tuple[float, float, Tables]:
    """(seconds of a load, of bare decoding, the tables)."""
    loads, bares = [], []
    for _ in range(2):
        gc.collect()
        started = time.process_time()
        journal = SqliteJournal(directory)
        tables = replay(journal.load())
        loads.append(time.process_time() - started)
        chunks = list(read_chunks(journal._db, journal._head))
        journal.close()
        plain = [zlib.decompress(chunk) for chunk in chunks]
        started = time.process_time()
        decoded = [_decoder.decode(chunk) for chunk in plain]
        bares.append(time.process_time() - started)
        del decoded
    return min(loads), min(bares), tables


def kib_per_task(directory: Path) -> float:
    gc.collect()
    tracemalloc.start()
    journal = SqliteJournal(directory)
    tables = replay(journal.load())
    journal.close()
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    configs = len(tables.tasks.configs)
    encoded = sum(len(msgspec.msgpack.encode(c)) for c in {id(t.config): t.config for t in tables.tasks.all()}.values())
    assert configs == JOBS
    return (taken - 3 * encoded) / len(tables.tasks) / 1024
