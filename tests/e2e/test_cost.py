"""What running a task costs, as ratios measured in one run, so that the machine's speed cancels out.

CPU time, with that of all children, is compared rather than wall time: a chain has one thing to do at any moment, so
on an idle machine both are the same, and on a busy one the neighbours don't count. `bench/` measures the rest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import pytest

from config.check import check
from config.core.compile import compile_task
from config.loader import load_tasks
from tests.e2e.harness import LIBRARY, REPO
from thermos.core.fold import ProcessRecord, Run
from thermos.core.graph import check_graph
from thermos.core.planner import Planner
from thermos.core.states import ProcessState
from thermos.model import ProcessSpec, TaskSpec

STEPS = 1000

#: A bare loop has no records, no logs, no coordinator that outlives it, and starts bash without leaving its session.
LIMIT = 3.0

BARE = "import subprocess, sys\nfor _ in range(int(sys.argv[1])): subprocess.run(['/bin/bash', '-c', 'true'])"

CHAIN = """
export(SequentialTask(name = 'chain', processes = [Process(name = 'p%%d' %% n, cmdline = 'true') for n in range(%d)]))
"""


def cpu_of(argv: Sequence[str]) -> float:
    """CPU seconds of a command and everything that it waited for."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, cwd=REPO)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_chain_costs_little_more_than_a_bare_loop(tmp_path: Path) -> None:
    config = tmp_path / "chain.thermos"
    config.write_text(CHAIN % STEPS)
    ratios: list[float] = []
    for attempt in range(3):
        ours, bare = [], []
        for repeat in range(3):
            where = tmp_path / f"{attempt}-{repeat}"
            place = ("--root", str(where / "root"), "--task_id", "chain", "--sandbox", str(where / "sandbox"))
            ours.append(cpu_of([*LIBRARY, *place, str(config)]))
            bare.append(cpu_of([sys.executable, "-c", BARE, str(STEPS)]))
        ratios.append(median(ours) / median(bare))
        if ratios[-1] <= LIMIT:
            return
    raise AssertionError(f"{STEPS} steps cost {min(ratios):.2f} times a bare loop, and may cost {LIMIT}")


SIZES = (1000, 3000, 10000)


def chain(size: int) -> TaskSpec:
    names = tuple(f"p{n}" for n in range(size))
    return TaskSpec(name="chain", processes=processes(names), order=(names,))


def fan(size: int) -> TaskSpec:
    """One first, one last, all others between them."""
    names = tuple(f"p{n}" for n in range(size))
    return TaskSpec(name="fan", processes=processes(names), order=tuple((names[0], n, names[-1]) for n in names[1:-1]))


def layers(size: int) -> TaskSpec:
    """Layers of ten; each waits for the ten before it."""
    names = tuple(f"p{n}" for n in range(size))
    order = tuple((names[a], names[b]) for b in range(10, size) for a in range(b // 10 * 10 - 10, b // 10 * 10))
    return TaskSpec(name="layers", processes=processes(names), order=order)


def processes(names: Sequence[str]) -> tuple[ProcessSpec, ...]:
    return tuple(ProcessSpec(name=name, cmdline="true") for name in names)


def plan_all(spec: TaskSpec) -> None:
    """Check the graph, and play the task to its end in a planner."""
    assert check_graph(spec) == []
    planner = Planner(spec.processes, spec.order, max_concurrency=50)
    moment, done = 0.0, 0
    while not planner.is_complete:
        moment += 1
        for name in planner.take_runnable(moment):
            done += 1
            run = Run(process=name, number=0, nonce="", offset=0, state=ProcessState.SUCCESS, ended_mono=moment)
            planner.update(ProcessRecord(name=name, total=1, successes=1, runs={0: run}))
        assert planner.next_wake is None
    assert done == len(spec.processes)


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds, the best of three."""
    taken = []
    for _ in range(3):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def assert_linear(cost: dict[int, float]) -> None:
    """Ten times as many may cost thirty times as much: n log n and cold caches, but not n squared."""
    small, middle, large = SIZES
    assert cost[large] <= 30 * cost[small] + 0.05, cost
    assert cost[large] <= 10 * cost[middle] + 0.05, cost


@pytest.mark.parametrize("shape", [chain, fan, layers])
def test_planning_grows_with_the_size_of_the_graph(shape: Callable[[int], TaskSpec]) -> None:
    assert_linear({size: seconds(partial(plan_all, shape(size))) for size in SIZES})


@pytest.mark.slow
def test_loading_and_checking_grow_with_the_size_of_the_config(tmp_path: Path) -> None:
    cost = {}
    for size in SIZES:
        path = tmp_path / f"{size}.thermos"
        path.write_text(CHAIN % size)
        began = time.process_time()
        loaded = load_tasks(str(path))
        assert check(loaded) == []
        spec, problems = compile_task(loaded.pick(), ports={})
        cost[size] = time.process_time() - began
        assert spec is not None and problems == [] and len(spec.processes) == size
    assert_linear(cost)
