"""What tasks use: one pass over /proc a tick for the whole host, and disk by a throttled walk or the Mesos agent.

`apply_look` turns a look into figures of every active task; it is cheap and runs in the loop, the look itself in a
worker thread. Disk is walked task by task in small bites, so that no sandbox holds up another one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from observer.core.series import Series
from observer.core.source import Measured
from observer.core.views import UsageNow
from observer.task import Task
from thermos.core.fold import Run
from thermos.core.usage import Look, Usage, add, measure, tree
from thermos.monitor.sample import DiskWalk

#: A history holds so many seconds, in samples at least `interval` apart.
SPAN = 3600.0
MAX_POINTS = 720


def series_length(interval: float) -> int:
    return max(1, min(MAX_POINTS, int(SPAN / max(interval, 1.0))))


def apply_look(tasks: Iterable[Task], look: Look, before: Look | None, interval: float) -> None:
    """New figures for these (active) tasks; a sample is kept when the last one is `interval` old."""
    for task in tasks:
        measured = task.measured
        figures = {name: _usage_of(run, look, before) for name, run in _live_runs(task)}
        disk = measured.usage.disk
        measured.processes = {name: usage_now(usage) for name, usage in figures.items()}
        measured.usage = usage_now(add(figures.values()), disk)
        measured.series = _keep(measured.series, look.at, measured.usage, interval)
        _keep_processes(measured, look.at, interval)
        task.touch()


def _live_runs(task: Task) -> list[tuple[str, Run]]:
    record = task.record
    runs = ((name, record.run(name, number)) for name, number in record.active.items())
    return [(name, run) for name, run in runs if run is not None and run.pid]


def _usage_of(run: Run, look: Look, before: Look | None) -> Usage:
    """The run's main and its descendants; its coordinator is not counted."""
    return measure(tree(look, run.pid, run.pid_start), look, before)


def usage_now(usage: Usage, disk: int | None = None) -> UsageNow:
    return UsageNow(
        cpu=usage.cpu,
        ram=usage.ram,
        disk=disk,
        user=usage.user,
        system=usage.system,
        rss=usage.rss,
        vms=usage.vms,
        nice=usage.nice,
        status=usage.status,
        threads=usage.threads,
        procs=usage.procs,
    )


def _keep(series: Series | None, at: float, usage: UsageNow, interval: float) -> Series:
    series = series or Series(series_length(interval))
    if at - series.newest_at >= interval * 0.9:
        series.add(at, usage.cpu, usage.ram, usage.disk)
    return series


def _keep_processes(measured: Measured, at: float, interval: float) -> None:
    for name, usage in measured.processes.items():
        measured.process_series[name] = _keep(measured.process_series.get(name), at, usage, interval)


def set_disk(task: Task, disk: int | None) -> None:
    if task.measured.usage.disk != disk:
        task.measured.usage = replace(task.measured.usage, disk=disk)
        task.touch()


class DiskRound:
    """Walks the sandboxes of many tasks, one after another, a bite at a time."""

    def __init__(self, places: Iterable[tuple[str, Path]]) -> None:
        self._left = list(places)[::-1]
        self._walk: DiskWalk | None = None
        self._key = ""

    def bite(self) -> tuple[str, int] | None:
        """Look at a bounded number of entries; (key, bytes) of a task whose walk is complete. Blocks on the disk."""
        if self._walk is None:
            if not self._left:
                return None
            self._key, root = self._left.pop()
            self._walk = DiskWalk(root)
        if not self._walk.step():
            return None
        total, self._walk = self._walk.total, None
        return self._key, total or 0

    @property
    def is_over(self) -> bool:
        return self._walk is None and not self._left


def parse_agent_disk(answer: bytes, id_path: str, disk_path: str) -> dict[str, int]:
    """Executor id -> bytes, from the Mesos agent's `/containers`; what isn't as it should be is left out."""
    try:
        containers = msgspec.json.decode(answer)
    except msgspec.DecodeError:
        return {}
    found: dict[str, int] = {}
    for container in containers if isinstance(containers, list) else ():
        executor, disk = _dig(container, id_path), _dig(container, disk_path)
        if isinstance(executor, str) and isinstance(disk, int | float) and not isinstance(disk, bool):
            found[executor] = int(disk)
    return found


def _dig(value: Any, path: str) -> Any:
    """`statistics.disk_used_bytes` of nested objects; None when there is no such thing."""
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value
