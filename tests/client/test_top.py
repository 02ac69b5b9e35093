"""`thermos top`, and the same figures in the live tree."""

from __future__ import annotations

import json
import re

from msgspec.structs import replace

from client.render import cores, size_words
from client.thermos.meters import Meters, usages_of
from client.thermos.tasks import KnownTask
from client.thermos.top import measure_tasks, sort_tasks, table_lines
from tests.client.background import wait_for_records
from tests.client.room import Room
from thermos.clock import Now
from thermos.core.usage import Proc, make_look
from thermos.host.kernel import Kernel
from thermos.monitor.detect import find_tasks
from thermos.monitor.follow import read_task
from thermos.paths import TaskPaths

SLEEP = "Process(name = 'sleep', cmdline = 'exec sleep 1000')"
BUSY = "Process(name = 'busy', cmdline = 'while :; do :; done')"


def test_programs_get_figures(room: Room) -> None:
    run = room.start(room.task(SLEEP, BUSY))
    for process in ("sleep", "busy"):
        run.running(process)
    done = room.thermos("top", "--root", str(room.root), "-n", "1", "-o", "json")
    assert (done.code, done.err) == (0, "")
    [task] = json.loads(done.out)
    assert task["task_id"] == "t"
    assert task["processes"]["busy"]["cpu"] > 0.05
    assert task["processes"]["sleep"]["cpu"] < 0.05
    assert task["processes"]["sleep"]["ram"] > 0
    assert task["total"]["procs"] == 2
    keys = {"cpu", "ram", "user", "system", "rss", "vms", "nice", "status", "threads", "procs"}
    assert set(task["total"]) == keys


def test_nothing_runs_is_1(room: Room) -> None:
    done = room.thermos("top", "--root", str(room.root), "-n", "1")
    assert done.code == 1
    assert "0 active tasks" in done.out


def proc(pid: int, ppid: int, cpu: float = 0.0, rss: int = 1 << 20) -> Proc:
    return Proc(
        pid=pid, ppid=ppid, start=1, comm="x", status="S", user=cpu, system=0.0, nice=0, threads=1, vms=0, rss=rss
    )


def test_a_table_is_sorted_by_what_is_asked(room: Room) -> None:
    for task_id in ("a", "b"):
        run = room.start(room.task(SLEEP), task_id=task_id)
        run.running("sleep")
        wait_for_records(room, lambda task: task.processes["sleep"].runs[0].coordinator, task_id)
    known = [read_known(room, task_id) for task_id in ("a", "b")]
    coordinators = [k.view.task.processes["sleep"].runs[0] for k in known]  # type: ignore[union-attr]
    procs = [replace(proc(run.coordinator, 1), start=run.coordinator_start) for run in coordinators]
    before = make_look(0.0, [*procs])
    now = make_look(2.0, [*procs, proc(100001, procs[0].pid, 1.0, 1 << 20), proc(100002, procs[1].pid, 0.5, 5 << 20)])
    measured = measure_tasks(known, now, before)
    assert [round(task.total.cpu, 3) for task in measured] == [0.5, 0.25], "the coordinators are not counted"
    assert [task.task_id for task in sort_tasks(measured, "cpu")] == ["a", "b"]
    assert [task.task_id for task in sort_tasks(measured, "ram")] == ["b", "a"]
    lines = list(table_lines(sort_tasks(measured, "ram"), "ram", Now(0.0, 0.0)))
    assert re.search(r"2 active tasks  cpu 0.75  ram 6.0 MB  2 processes", lines[0])
    assert re.match(r"b +0.25 +5.0 MB +1 +0.50 s$", lines[2])
    assert re.match(r"  sleep +0 +\d+ +0.25 +5.0 MB +1 +0.50 s$", lines[3])


def read_known(room: Room, task_id: str) -> KnownTask:
    [found] = [task for task in find_tasks([room.root]) if task.task_id == task_id]
    return KnownTask(found, read_task(TaskPaths(room.root, task_id), Kernel()))


def test_meters_look_no_more_often_than_asked(room: Room) -> None:
    run = room.start(room.task(SLEEP))
    run.running("sleep")
    task = wait_for_records(room, lambda task: task.processes["sleep"].runs[0].pid)
    meters = Meters(gap=1000.0)
    first = meters.usages(task, 1000.0)
    assert first["sleep"].procs == 1
    assert meters.usages(task, 1001.0)["sleep"] is first["sleep"]
    assert usages_of(task, make_look(0.0, ()), None) == {}


def test_words_for_figures() -> None:
    assert [size_words(n) for n in (0, 980, 12 * 1024, 3.4 * (1 << 20), 512 << 20, 1.2 * (1 << 30), 1 << 50)] == [
        "0 B", "980 B", "12 KB", "3.4 MB", "512 MB", "1.2 GB", "1024 TB",
    ]  # fmt: skip
    assert [cores(rate) for rate in (0.0, 0.526, 3.14, 12.4)] == ["0.00", "0.53", "3.14", "12"]
