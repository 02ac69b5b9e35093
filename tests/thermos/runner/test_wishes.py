"""Wishes that reach a runner through the FIFO: restart a process, let go, end."""

from __future__ import annotations

import os

import pytest

from tests.thermos.runner.conftest import MakeRig
from tests.thermos.runner.rig import Rig, process
from thermos.core.states import ProcessState, TaskState
from thermos.runner import Runner

STAYS = "echo up > bell; exec sleep 1000"


def wish(runner: Runner, text: str) -> None:
    """What another process of the same user writes."""
    fd = os.open(runner.checkpoint.paths.checkpoint / "wake", os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(fd, f"!{text}\n".encode())
    finally:
        os.close(fd)


def begin(rig: Rig) -> Runner:
    runner = rig.own()
    rig.drive(runner, lambda: Rig.is_running(runner, "p"))
    return runner


def test_a_restart_ends_the_run_and_begins_the_next_without_waiting(make_rig: MakeRig) -> None:
    rig = make_rig(process("p", STAYS, min_duration=1000))
    runner = begin(rig)
    wish(runner, "restart 0")
    rig.drive(runner, lambda: runner.task.processes["p"].total == 2 and Rig.is_running(runner, "p"))
    before = runner.task.processes["p"].runs[0]
    assert (before.state, before.restart) == (ProcessState.KILLED, True)
    assert runner.task.processes["p"].restarts == 1
    wish(runner, "kill now by the test")
    assert rig.finish(runner).state is TaskState.KILLED


@pytest.mark.parametrize(("how", "finalizers"), [("now", 0), ("politely", 1)])
def test_a_kill_carries_its_reason(make_rig: MakeRig, how: str, finalizers: int) -> None:
    rig = make_rig(process("p", STAYS), process("f", "true", final=True))
    runner = begin(rig)
    wish(runner, f"kill {how} by somebody at noon")
    task = rig.finish(runner)
    assert (task.state, task.reason) == (TaskState.KILLED, "by somebody at noon")
    assert sum(p.successes for p in task.processes.values() if p.name == "f") == finalizers


def test_a_runner_lets_go_and_the_next_one_goes_on(make_rig: MakeRig) -> None:
    rig = make_rig(process("p", STAYS))
    runner = begin(rig)
    wish(runner, "detach")
    rig.drive(runner, lambda: runner.done)
    assert runner.task.released and runner.task.state is TaskState.ACTIVE
    later = rig.own()
    rig.drive(later, lambda: Rig.is_running(later, "p"))
    assert later.task.processes["p"].total == 1
    wish(later, "kill now enough")
    assert rig.finish(later).state is TaskState.KILLED


@pytest.mark.parametrize("nonsense", ["restart 7", "restart x", "restart", "dance", "", "kill"])
def test_what_can_not_be_understood_harms_nothing(make_rig: MakeRig, nonsense: str) -> None:
    rig = make_rig(process("p", STAYS))
    runner = begin(rig)
    wish(runner, nonsense)
    wish(runner, "kill now done")
    task = rig.finish(runner)
    assert task.state is TaskState.KILLED and task.processes["p"].total == 1
