"""Whole lives with real processes: stopping, budgets, letting go, taking over, and everything that can be missing."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.thermos.host.faults import Fault
from tests.thermos.runner.conftest import MakeRig
from tests.thermos.runner.rig import Rig, process, wait_ended
from thermos import clock
from thermos.core.states import ProcessState, TaskState
from thermos.errors import NotOwner
from thermos.host import program as program_module
from thermos.runner import Runner

STUBBORN = "trap '' TERM; echo up > bell; while :; do sleep 1000; done"
POLITE = "trap 'echo bye > left; exit 0' TERM; echo up > bell; sleep 1000 & wait"


def begin(rig: Rig, rings: int = 1) -> Runner:
    """Own it, and wait until its processes have rung the bell."""
    bell = rig.bell("bell")
    runner = rig.own()
    rig.drive(runner, lambda: len(bell.heard()) >= rings)
    return runner


def test_a_polite_stop_lets_processes_leave(make_rig: MakeRig) -> None:
    rig = make_rig(process("p", POLITE), process("f", "true", final=True), finalization_wait=1000)
    runner = begin(rig)
    runner.kill(clock.now())
    task = rig.finish(runner)  # nobody waits for the deadline
    assert task.state is TaskState.KILLED and (rig.sandbox / "left").exists()
    run = task.processes["p"].runs[0]
    assert (run.state, run.code) == (ProcessState.SUCCESS, 0)
    assert run.receipt is not None and run.receipt.killed_count == 0
    assert task.processes["f"].successes == 1, "finalizers run when a task is killed"


@pytest.mark.parametrize("how", ["now", "lose"])
def test_a_stop_at_once_asks_nobody(make_rig: MakeRig, how: str) -> None:
    rig = make_rig(process("p", STUBBORN), process("f", "true", final=True), finalization_wait=1000)
    runner = begin(rig)
    runner.lose(clock.now()) if how == "lose" else runner.kill(clock.now(), grace=0)
    task = rig.finish(runner)
    assert task.state is (TaskState.LOST if how == "lose" else TaskState.KILLED)
    assert task.processes["p"].runs[0].signal == signal.SIGKILL
    assert "f" not in task.processes, "no finalizers"


def test_the_budget_is_kept_and_finalizers_have_their_share(make_rig: MakeRig) -> None:
    """4 s in all: half of it for the stubborn, the rest for finalizers, one of which never ends."""
    slow = process("slow", "exec sleep 1000", final=True)
    rig = make_rig(process("p", STUBBORN), process("f", "true", final=True), slow, finalization_wait=4)
    runner = begin(rig)
    began = time.monotonic()
    runner.kill(clock.now())
    task = rig.finish(runner)
    assert 4 <= time.monotonic() - began < 20
    assert task.state is TaskState.KILLED
    assert task.processes["p"].runs[0].signal == signal.SIGKILL
    assert task.processes["f"].successes == 1
    assert task.processes["slow"].runs[0].state is ProcessState.KILLED


def test_asking_again_changes_nothing_and_asking_harder_does(make_rig: MakeRig) -> None:
    rig = make_rig(process("p", STUBBORN), finalization_wait=1000)
    runner = begin(rig)
    runner.kill(clock.now())
    deadline = runner.task.deadline
    runner.kill(clock.now())
    assert runner.task.deadline == deadline and runner.state is TaskState.CLEANING
    runner.kill(clock.now(), grace=0)
    assert rig.finish(runner).state is TaskState.KILLED
    runner.kill(clock.now())


def test_daemons_that_left_their_session_end_with_the_task(make_rig: MakeRig) -> None:
    rig = make_rig(process("p", "setsid -f sh -c 'echo up > bell; exec sleep 1000'; read line < go"))
    rig.bell("go")
    runner = begin(rig)
    with (rig.sandbox / "go").open("w") as go:
        go.write("on\n")
    task = rig.finish(runner)
    assert task.state is TaskState.SUCCESS
    run = task.processes["p"].runs[0]
    assert run.daemons == 1 and run.gone and run.code == 0
    assert not rig.members()


def test_a_task_that_was_let_go_goes_on_and_is_taken_over(make_rig: MakeRig) -> None:
    rig = make_rig(process("p", "echo up > bell; read line < go"), process("q", "true"), order=(("p", "q"),))
    rig.bell("go")
    runner = begin(rig)
    rig.up(runner, "p")
    main = runner.task.processes["p"].runs[0].pid
    runner.detach(clock.now())
    assert main in rig.members()
    with (rig.sandbox / "go").open("w") as go:
        go.write("on\n")
    task = rig.finish(rig.own())
    assert task.state is TaskState.SUCCESS
    assert task.processes["p"].runs[0].pid == main
    assert sum(rig.marks().values()) == 2


def live_elsewhere(rig: Rig) -> int:
    """A runner in a process of its own, its process `p` running."""
    bell = rig.bell("bell")
    pid = rig.in_a_child(lambda: rig.finish(rig.own()) and None)
    rig.await_bell(bell)
    return pid


def test_a_second_runner_is_refused_while_the_first_lives(make_rig: MakeRig) -> None:
    rig = make_rig(process("p", "echo up > bell; exec sleep 1000"))
    pid = live_elsewhere(rig)
    with pytest.raises(NotOwner, match=rf"task {rig.token} is owned by runner pid {pid} \(uid {os.geteuid()}\)"):
        rig.own()
    os.kill(pid, signal.SIGKILL)
    assert wait_ended(pid) == -signal.SIGKILL
    runner = rig.own()
    runner.kill(clock.now(), grace=0)
    assert rig.finish(runner).state is TaskState.KILLED


def test_force_kills_the_live_runner_and_its_processes_go_on(make_rig: MakeRig) -> None:
    rig = make_rig(process("p", "echo up > bell; read line < go"))
    rig.bell("go")
    pid = live_elsewhere(rig)
    runner = rig.own(force=True)
    assert wait_ended(pid) == -signal.SIGKILL
    with (rig.sandbox / "go").open("w") as go:
        go.write("on\n")
    task = rig.finish(runner)
    assert task.state is TaskState.SUCCESS and task.processes["p"].total == 1
    with pytest.raises(NotOwner, match="is finished; choose another id or `thermos gc`"):
        rig.own(force=True)


def test_a_coordinator_that_is_missing_is_a_failed_set_up(make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make_rig(process("p", "true"))
    monkeypatch.setattr(program_module, "find_coordinator", lambda: (str(rig.sandbox / "nothing"), ("x",)))
    task = rig.finish(rig.own())
    run = task.processes["p"].runs[0]
    assert task.state is TaskState.FAILED
    assert (run.stage, run.errno, run.detail) == ("spawn", 2, "No such file or directory")


def test_a_command_that_cannot_be_set_up_says_at_which_step(make_rig: MakeRig) -> None:
    rig = make_rig(process("p", "true"))
    runner = rig.own(rig.kernel(Fault("spawn", error=11)))
    assert rig.finish(runner).processes["p"].runs[0].stage == "spawn"


def test_two_coordinators_for_one_run_execute_it_once(make_rig: MakeRig) -> None:
    """The first owner died after it had spawned; the next spawns the same run again. One of them wins the lock."""

    class Twice(type(make_rig(process("x", "true")).kernel())):  # type: ignore[misc]
        def spawn(self, *args: object) -> int:
            super().spawn(*args)
            return int(super().spawn(*args))

    rig = make_rig(*(process(f"p{n}", "true") for n in range(10)))
    task = rig.finish(rig.own(rig.mark(Twice())))
    assert task.state is TaskState.SUCCESS
    assert sum(rig.marks().values()) == 10
    assert [known.total for known in task.processes.values()] == [1] * 10


def test_costs_do_not_grow_with_the_number_of_processes(make_rig: MakeRig) -> None:
    """300 sleepers up and stopped: as many calls for each as with 30, and never a scan of /proc."""
    costs = {}
    for count in (30, 300):
        rig = make_rig(*(process(f"p{n}", "exec sleep 1000") for n in range(count)))
        kernel = rig.kernel()
        runner = rig.own(kernel)
        rig.up(runner, *(f"p{n}" for n in range(count)))
        runner.kill(clock.now())
        assert rig.finish(runner).state is TaskState.KILLED
        assert not kernel.calls["proc_pids"]
        costs[count] = sum(kernel.calls.values()) / count
    assert costs[300] <= costs[30] * 2, costs  # how many records are found in one look differs from time to time
