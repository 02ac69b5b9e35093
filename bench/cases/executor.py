"""Our executor on a Mesos, from ACCEPT to TASK_RUNNING, and what it holds per task; its yardstick is the 60-line
executor of the kit that real Mesos was tried with.

Each run is a process of its own (`python -m bench.executor`), which prints its figures. The bundle is built once;
`--quick` does without.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path

from bench.cases.base import Case, Figures, Options
from bench.contenders.bare import Bare
from bench.contenders.base import Contender
from bench.figures import Figure
from bench.job import Command, Skill
from bench.room import Failed, Room

_ROOT = Path(__file__).resolve().parent.parent.parent
_PATIENCE_S = 600
_COUNT = Figure("count", "tasks", 0)

_START = (
    _COUNT,
    Figure("running_ms", "to TASK_RUNNING ms", 0, has_ratio=True),
    Figure("best_ms", "quickest ms", 0),
    Figure("worst_ms", "slowest ms", 0),
)
_MEMORY = (
    _COUNT,
    Figure("pss_mib", "PSS per task MiB", 1),
    Figure("uss_mib", "USS per task MiB", 1),
    Figure("executor_mib", "its executor MiB", 1),
    Figure("coordinators", "coordinators", 0),
    Figure("coordinators_kib", "all of them KiB", 0),
)
_PROCESSES = (
    Figure("count", "processes", 0),
    Figure("each_kib", "KiB per further process", 1),
    Figure("pss_mib", "PSS of the task MiB", 1),
)


@functools.cache
def bundle(directory: Path) -> Path:
    """`make executor`, once."""
    path = directory / "thermos_executor"
    made = subprocess.run([_ROOT / "scripts" / "make-executor", path], capture_output=True, text=True)
    if made.returncode != 0:
        raise Failed(f"make-executor: {made.stderr.strip().splitlines()[-1:]}")
    return path


def run_in_child(room: Room, options: Options, what: str, kind: str, count: int) -> Figures:
    if options.quick and kind != "kit":
        kind = "source"
    words = ["-m", "bench.executor", what, kind, str(count)]
    if kind in ("bundle", "fresh"):
        words.append(str(bundle(options.work.parent)))
    begun = room.begin(Command((sys.executable, *words), {"PYTHONPATH": str(_ROOT)}))
    _, code = room.wait_end(begun.pid, _PATIENCE_S)
    if code != 0:
        raise Failed(f"exit code {code}; {room.tail()}")
    lines = [line for line in room.out_path.read_text().splitlines() if line.startswith("{")]
    figures: Figures = json.loads(lines[-1])
    return figures


def start_case(name: str, title: str, what: str, kind: str) -> Case:
    def measure(contender: Contender, room: Room, options: Options) -> Figures:
        chosen = "kit" if isinstance(contender, Bare) else kind
        return run_in_child(room, options, what, chosen, int(options.pick(20, 2)))

    return Case(name, title, frozenset({Skill.EXECUTE}), _START, measure)


def memory_case(name: str, title: str, what: str, count: int, figures: tuple[Figure, ...] = _MEMORY) -> Case:
    def measure(contender: Contender, room: Room, options: Options) -> Figures:
        return run_in_child(room, options, what, "bundle", int(options.pick(count, min(count, 2))))

    return Case(name, title, frozenset({Skill.EXECUTOR}), figures, measure)


_ACCEPT = "ACCEPT to TASK_RUNNING, a task without health check"

CASES = [
    start_case("executor-start", f"{_ACCEPT}; bare: the kit's 60-line executor", "start", "bundle"),
    start_case("executor-start-fresh", f"{_ACCEPT}, the bundle unpacked for each", "start", "fresh"),
    start_case("executor-start-real", f"{_ACCEPT}, on real Mesos", "start-real", "bundle"),
    *(memory_case(f"executor-memory-{n}", f"{n} tasks of one process on a host", "memory", n) for n in (1, 10, 50)),
    *(memory_case(f"executor-announced-{n}", f"{n} tasks, announced", "announced", n) for n in (1, 10, 50)),
    memory_case("executor-processes", "A task of 51 processes beside one of one", "processes", 51, _PROCESSES),
]
