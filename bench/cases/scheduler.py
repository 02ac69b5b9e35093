"""The scheduler's cost by the size of the cluster, and of what it remembers (`bench.scheduler`). Nothing to compare.

Each run is a process of its own (`python -m bench.scheduler`), which prints its figures.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench.cases.base import Case, Figures, Options, expect_success
from bench.contenders.base import Contender
from bench.figures import Figure
from bench.job import Command, Skill
from bench.room import Room

_ROOT = str(Path(__file__).resolve().parent.parent.parent)
_PATIENCE_S = 900
_HOSTS, _TASKS = Figure("hosts", "hosts", 0), Figure("tasks", "tasks", 0)
_PER_S, _EACH = Figure("placements_per_s", "placements per s", 0), Figure("us_per_placement", "µs each", 1)

_FIGURES = {
    "place": (_HOSTS, Figure("placed", "tasks", 0), _PER_S, _EACH, Figure("looks_per_placement", "looks each", 1)),
    "stuck": (_HOSTS, Figure("us_per_attempt", "µs per attempt", 1), Figure("looks_per_attempt", "looks each", 1)),
    "explain": (_HOSTS, Figure("ms", "ms", 1)),
    "engine": (
        _HOSTS,
        Figure("placed", "tasks", 0),
        _PER_S,
        _EACH,
        Figure("us_rounds", "– rounds", 1),
        Figure("us_offer", "– an offer", 1),
        Figure("us_insert", "wish µs", 1),
        Figure("us_starting", "STARTING µs", 1),
        Figure("us_running", "RUNNING µs", 1),
        Figure("us_per_task", "µs per task", 1),
        Figure("journal_bytes", "journal, bytes per task", 0),
    ),
    "why": (_HOSTS, Figure("ms", "ms", 1), Figure("answer_kib", "answer KiB", 1)),
    "simulate": (
        _HOSTS,
        _TASKS,
        Figure("us_per_task", "µs per task", 1),
        Figure("tasks_per_s", "tasks per s", 0),
        Figure("virtual_s", "virtual s until all run", 1),
        Figure("simulation_s", "the simulation's CPU s", 1),
    ),
    "events": (
        _TASKS,
        Figure("us_status", "µs per status", 1),
        Figure("us_alone", "in a turn of its own", 1),
        Figure("us_known", "nothing new", 1),
        Figure("us_lost", "LOST and replaced", 1),
    ),
    "memory": (_TASKS, Figure("kib_per_task", "KiB per task", 2)),
    "restart": (
        _TASKS,
        Figure("load_s", "read s", 2),
        Figure("start_s", "start s", 2),
        Figure("cpu_s", "CPU s", 2),
        Figure("kib_per_task", "KiB per task", 2),
        Figure("us_per_change", "µs per change behind the snapshot", 1),
    ),
    "commits": (
        _TASKS,
        Figure("alone_ms", "one waits: ms", 2),
        Figure("alone_p99_ms", "p99 ms", 2),
        Figure("abreast_ms", "64 wait: ms", 2),
        Figure("abreast_per_s", "statuses per s", 0),
        Figure("posted_per_s", "posted: statuses per s", 0),
    ),
}

_TITLES = {
    "place": "the core of placement alone on {} hosts",
    "stuck": "groups that no host takes, {} hosts",
    "explain": "the reasons of {} hosts",
    "engine": "tasks through the whole engine on {} hosts",
    "why": "`job why` over {} hosts, answer included",
    "simulate": "loop, link and engine on the embedded Mesos with {} simulated agents",
    "events": "statuses among {} tasks",
    "memory": "{} tasks that run",
    "restart": "a store of {} tasks, read and started",
    "commits": "{} statuses, each durable, SQLite on the disk of temporary files (wall time)",
}

_SIZES = {
    **dict.fromkeys(("place", "stuck", "explain", "engine", "why", "simulate"), (100, 1000, 10000)),
    "events": (1000, 10000, 100000),
    **dict.fromkeys(("memory", "restart"), (100000,)),
    "commits": (20000,),
}


def case_of(what: str, size: int) -> Case:
    def measure(contender: Contender, room: Room, options: Options) -> Figures:
        count = str(int(options.pick(size, max(40, size / 100))))
        argv = (sys.executable, "-m", "bench.scheduler", what, count)
        begun = room.begin(Command(argv, {"PYTHONPATH": _ROOT}))
        _, code = room.wait_end(begun.pid, _PATIENCE_S)
        expect_success(room, code)
        figures: Figures = json.loads(room.out_path.read_text())
        return figures

    title = f"Scheduler: {_TITLES[what].format(f'{size:,}')}"
    return Case(f"scheduler-{what}-{size}", title, frozenset({Skill.SCHEDULE}), _FIGURES[what], measure)


CASES = [case_of(what, size) for what, sizes in _SIZES.items() for size in sizes]
