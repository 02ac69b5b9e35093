"""Nothing survives: every beast, every way to end it, both coordinators.

One task holds all beasts. For every way to end it the task is run once; then each beast is a test of its own.
"""

from __future__ import annotations

import select
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.harness import Host, Task
from tests.e2e.processes import KERNEL, is_alive, kill_verified, wait_gone
from tests.torture.beasts import BEASTS, TRACELESS, config
from thermos.core.fold import TaskRecord
from thermos.core.states import TERMINAL_RUN
from thermos.host.kernel import Stat

#: Seconds in which whoever obeys has left, on a busy machine too.
WAIT = 10


@dataclass
class Outcome:
    """What was there before the end, and what the records say afterwards."""

    ending: str
    trees: dict[str, list[Stat]]  # by process, before the end
    alive: list[Stat]  # of them, when the task was over
    left: list[Stat]  # by marker and session, when the task was over
    view: TaskRecord


def names(task: Task) -> list[str]:
    return list(task.view().processes)


def lasting_trees(task: Task) -> dict[str, list[Stat]]:
    """Those that are there at two looks: a shell that is about to become one of a loop's sleeps goes soon."""
    first = trees(task)
    select.select([task.pidfd], [], [], 0.5)
    pids = {(s.pid, s.start) for members in first.values() for s in members}
    return {name: [s for s in members if (s.pid, s.start) in pids] for name, members in trees(task).items()}


def trees(task: Task) -> dict[str, list[Stat]]:
    """Everything below each coordinator, found by parentage alone."""
    everybody = [status for pid in KERNEL.proc_pids() if (status := KERNEL.proc_stat(pid)) is not None]
    everybody = [status for status in everybody if status.state not in "ZX"]
    found = {}
    for name in names(task):
        members = {task.runs(name)[0].coordinator}
        size = 0
        while len(members) > size:
            size = len(members)
            members |= {status.pid for status in everybody if status.ppid in members}
        members.remove(task.runs(name)[0].coordinator)
        found[name] = [s for s in everybody if s.pid in members and s.comm != "sleep"]  # those of loops come and go
    return found


def end_politely(task: Task) -> None:
    task.signal(signal.SIGTERM)


def end_at_once(task: Task) -> None:
    task.signal(signal.SIGUSR2)


def end_without_coordinators(task: Task) -> None:
    """All coordinators are killed: the runner has to find what they had started, before it says LOST."""
    for name in names(task):
        for run in task.runs(name):
            kill_verified(run.coordinator, run.coordinator_start)
    for name in names(task):
        task.wait(lambda name=name: task.runs(name)[0].state in TERMINAL_RUN or None, f"end of {name}")
    task.signal(signal.SIGTERM)


def end_with_a_new_runner(task: Task) -> None:
    """Runner and coordinators are killed: the next runner finds only records and strangers."""
    task.signal(signal.SIGKILL)
    task.wait_exit()
    for name in names(task):
        for run in task.runs(name):
            kill_verified(run.coordinator, run.coordinator_start)
    task.start()
    for name in names(task):
        task.wait(lambda name=name: task.runs(name)[0].state in TERMINAL_RUN or None, f"end of {name}")
    task.signal(signal.SIGTERM)


ENDINGS = {
    "politely": end_politely,
    "at once": end_at_once,
    "without coordinators": end_without_coordinators,
    "with a new runner": end_with_a_new_runner,
}


@pytest.fixture(
    scope="module",
    params=[(e, c) for e in ENDINGS for c in ("c", "python")],
    ids=lambda param: f"{param[0]}-{param[1]}".replace(" ", "-"),
)
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    ending, coordinator = request.param
    host = Host(tmp_path_factory.mktemp("torture"), python_coordinator=coordinator == "python")
    try:
        cast = [name for name in BEASTS if name != TRACELESS or not ending.startswith("with")]
        task = host.run(config(cast, WAIT))
        for name in cast:
            task.wait_file(f"{name}.up")
            task.wait_running(name)
        before = lasting_trees(task)
        ENDINGS[ending](task)
        code = task.wait_exit()
        survivors = [s for members in before.values() for s in members if same_and_alive(s)]
        view, left = task.view(), task.find_left()
        assert view.terminal, (code, host.said())
        yield Outcome(ending, before, survivors, left, view)
        for pid, start in task.coordinators():
            wait_gone(pid, start)
    finally:
        host.clean_up()


def same_and_alive(status: Stat) -> bool:
    now = KERNEL.proc_stat(status.pid)
    return now is not None and now.start == status.start and is_alive(status.pid)


def test_nothing_of_it_is_alive(outcome: Outcome) -> None:
    assert len(outcome.trees["fork_bomb"]) > 40, "the bomb has not gone off"
    assert outcome.alive == []
    assert outcome.left == []


def test_it_took_no_longer_than_it_may(outcome: Outcome) -> None:
    """The budget, and a moment to kill some hundreds of processes on a busy machine."""
    took = outcome.view.history[-1].mono - outcome.view.history[1].mono
    assert took < WAIT + 30


@pytest.mark.parametrize("name", BEASTS)
def test_the_records_say_how_it_went(outcome: Outcome, name: str) -> None:
    if name not in outcome.trees:
        assert name == TRACELESS
        return
    run, beast = outcome.view.processes[name].runs[0], BEASTS[name]
    daemons = {s.pid for s in outcome.trees[name] if s.session != run.pid}
    if outcome.ending.startswith("with"):  # without coordinators, with a new runner
        assert run.lost is not None and run.lost.refused == []
        session = {s.pid for s in outcome.trees[name] if s.session == run.pid} - {run.pid}
        assert {pid for pid, _ in run.lost.killed} >= session  # the kernel itself kills the main
        return
    receipt = run.receipt
    assert receipt is not None, "nobody wrote a receipt"
    assert receipt.refused == []
    assert {pid for pid, _ in receipt.daemons} >= daemons or len(receipt.daemons) == 32
    assert len(receipt.killed) == min(32, receipt.killed_count)
    if outcome.ending == "politely":
        assert receipt.signalled > 0
        assert (receipt.why, receipt.signal) in (("stop", signal.SIGTERM), ("kill", signal.SIGKILL)), receipt
        assert receipt.why == "stop" or beast.killed is not False, (
            "who was left at the deadline was killed by order of the runner"
        )
        assert beast.killed is None or bool(receipt.killed_count) == beast.killed, receipt
        assert beast.daemons in (bool(receipt.daemons), None), receipt
    else:
        assert receipt.why == "kill" and receipt.killed_count >= len(outcome.trees[name]), receipt
