"""Log throughput: lines of 80 bytes on stdout, until every byte stands in the files. On tmpfs where there is one.

CPU is that of everything but the writer, over the time of the writing.
"""

from __future__ import annotations

import time
from pathlib import Path

from bench.cases.base import Case, Figures, Options, bring_up
from bench.contenders.base import Contender
from bench.figures import Figure
from bench.job import Job, Log, Program, Skill
from bench.room import Failed, Room

LINE = 80
_FIGURES = (
    Figure("mb_per_s", "MB/s", 0, has_ratio=True),
    Figure("cpu_s_per_gb", "CPU s per GB beside the writer's", 2),
    Figure("files", "files", 0),
)


def _size(files: list[Path]) -> int:
    total = 0
    for path in files:
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue  # it is being renamed
    return total


def _wait_written(contender: Contender, job: Job, total: int, patience_s: float) -> int:
    """When every byte stands in the files (ns)."""
    deadline = time.monotonic() + patience_s
    while (have := _size(contender.logs(job, job.programs[0]))) < total:
        if time.monotonic() > deadline:
            raise Failed(f"{total - have} of {total} bytes are missing in the logs")
        time.sleep(0.002)
    return time.monotonic_ns()


def pour(contender: Contender, room: Room, options: Options, skill: Skill, write: int) -> Figures:
    total = int(options.pick(512 if write > LINE else 64, 2)) * 1_000_000 // LINE * LINE
    argv = room.payload.pour(room.marks_path, "0", total, LINE, write)
    log = Log(skill, size=100_000_000 if total > 200_000_000 else total // 5)
    job = Job((Program("p0", argv, log=log),), room.directory)
    begun = room.begin(contender.command(job))
    started = bring_up(room, contender, begun, 1)[0]
    cpu = room.accounting.cpu_s()
    ended = room.wait_marks("E", 1, 60)[0]
    written = _wait_written(contender, job, total, 30)
    time.sleep(0.2)  # what the logger still has to do belongs to it
    seconds = (max(written, ended.at) - started.at) / 1e9
    beside = room.accounting.cpu_s() - cpu - int(ended.extra[0]) / 1e6
    files = contender.logs(job, job.programs[0])
    return {
        "mb_per_s": total / 1e6 / seconds,
        "cpu_s_per_gb": max(0.0, beside) / (total / 1e9),
        "files": len(files),
        "too_much": _size(files) - total,
    }


def log_case(skill: Skill, write: int, what: str) -> Case:
    def measure(contender: Contender, room: Room, options: Options) -> Figures:
        return pour(contender, room, options, skill, write)

    by = "4 KiB writes" if write > LINE else "a write per line"
    name = f"{skill.value.replace(' ', '-')}-{'4k' if write > LINE else 'lines'}"
    return Case(name, f"Log {what}, {by}", frozenset({skill}), _FIGURES, measure, on_tmpfs=True)


CASES = [
    log_case(skill, write, what)
    for skill, what in (
        (Skill.LOG_FILE, "to a plain file"),
        (Skill.LOG_ROTATE, "rotated at 100 MB"),
        (Skill.LOG_BOTH, "to a file and the console"),
    )
    for write in (4096, LINE)
]
