"""Everything the views are built from: one task as the rim knows it at one moment. Plain data, nothing is looked up."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from observer.core.series import Series
from observer.core.views import ExecutorView, Note, UsageNow, UsagePoint
from thermos.clock import Now
from thermos.core.fold import Run, TaskRecord
from thermos.model import TaskSpec

#: No moment lies after the year 9999 or before 1970; a record that says so is forged or damaged.
LAST_MOMENT = 253_402_300_799.0


@dataclass(slots=True)
class Measured:
    """What sampling has found of a task so far; grows in place."""

    usage: UsageNow = field(default_factory=UsageNow)
    series: Series | None = None
    processes: dict[str, UsageNow] = field(default_factory=dict)
    process_series: dict[str, Series] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """A task: where it is, what its records tell, what it is made of, what it uses."""

    key: str
    ref: str
    task_id: str
    root: str
    active: bool
    changed_at: float
    record: TaskRecord
    spec: TaskSpec | None
    measured: Measured
    now: Now
    attendance: str = ""
    unattended_since: float = 0.0
    executor: ExecutorView | None = None
    notes: tuple[Note, ...] = ()


def task_key(task_id: str, root: str) -> str:
    """The id with its root: what tells tasks of the same id apart. `~` is in no task id."""
    return f"{task_id}~{zlib.crc32(root.encode('utf-8', 'surrogateescape')):08x}"


def is_coherent(record: TaskRecord) -> bool:
    """Do its parts fit together? A forged snapshot may say anything."""
    processes = record.processes.items()
    return all(
        p.name == name and (p.total - 1 in p.runs if p.total else not p.runs) and all(r >= 0 for r in p.runs)
        for name, p in processes
    ) and all(record.run(name, number) is not None for name, number in record.active.items())


def sane(at: float) -> float:
    """A wall time that can be shown; 0 for what is none."""
    return at if 0.0 < at <= LAST_MOMENT else 0.0


def run_seconds(run: Run, wall: float) -> float | None:
    """How long a run took, or takes; None before its command was executed."""
    if not run.started_at:
        return None
    return max(0.0, (run.ended_at if run.terminal else wall) - run.started_at)


def chart_of(series: Series | None, now: Now) -> tuple[UsagePoint, ...]:
    """A series with its monotonic times turned into wall times."""
    if series is None:
        return ()
    return tuple(UsagePoint(now.wall - (now.mono - at), cpu, ram, disk) for at, cpu, ram, disk in series.points())
