"""Nothing can be recorded: nothing new starts, what has to stop is stopped, and all goes on when there is room."""

from __future__ import annotations

import errno
import signal
from typing import Any

import pytest

from tests.thermos.host.conftest import MakeStage
from tests.thermos.host.faults import Fault, disk_full
from tests.thermos.host.puppets import Stage, kinds, process
from thermos import runner as runner_module
from thermos.core.states import TaskState
from thermos.errors import HostError
from thermos.runner import Runner


def play(stage: Stage, runner: Runner, rounds: int = 400) -> None:
    """Puppets succeed as soon as they are started, time passes when nothing else happens; until the task is over."""
    for _ in range(rounds):
        if runner.done:
            return
        fresh = [p for p in stage.kernel.spawned if not p.ended]
        for puppet in fresh:
            puppet.come_up()
            puppet.exited(0)
        if fresh:
            stage.look()
        else:
            stage.until_wake()
    raise AssertionError(f"it never ends: {runner.state} {runner.trouble}")


def chain(make_stage: MakeStage) -> Stage:
    return make_stage(
        process("a"), process("b"), process("c"), process("f", final=True), order=(("a", "b"),), finalization_wait=30
    )


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("nth", range(1, 15))
def test_any_append_may_fail_for_a_while(make_stage: MakeStage, nth: int, error: int) -> None:
    """The nth append and the four tries after it fail: the task ends as if nothing had been, no run starts twice."""
    stage = chain(make_stage)
    fault = Fault("write", nth=nth, error=error, times=5)
    stage.kernel.faults.append(fault)
    try:
        runner = stage.own()
    except HostError as refused:
        assert "cannot record" in str(refused) and nth <= 3
        while fault.fired < fault.times:
            with pytest.raises(HostError, match="cannot record"):
                stage.own()
        runner = stage.own()
    play(stage, runner)
    assert fault.fired == 5
    assert runner.state is TaskState.SUCCESS and not runner.trouble
    assert sorted(stage.started()) == [("a", 0), ("b", 0), ("c", 0), ("f", 0)]


@pytest.mark.parametrize("cut", [1, 40, -1])
@pytest.mark.parametrize("nth", range(1, 15))
def test_any_append_may_be_cut_short(make_stage: MakeStage, nth: int, cut: int) -> None:
    stage = chain(make_stage)
    fault = Fault("write", nth=nth, cut=cut)
    stage.kernel.faults.append(fault)
    try:
        runner = stage.own()
    except HostError:
        runner = stage.own()
    play(stage, runner)
    assert fault.fired == 1
    assert runner.state is TaskState.SUCCESS
    assert sorted(stage.started()) == [("a", 0), ("b", 0), ("c", 0), ("f", 0)]


def full(stage: Stage) -> Fault:
    fault = disk_full()
    stage.kernel.faults.append(fault)
    return fault


def running_pair(make_stage: MakeStage, **task: Any) -> Stage:
    stage = make_stage(process("a"), process("b"), process("c"), order=(("a", "c"),), **task)
    stage.own()
    for name in "ab":
        stage.puppet(name).come_up()
    stage.look()
    return stage


def test_nothing_new_starts_and_the_trouble_is_named(make_stage: MakeStage) -> None:
    stage = running_pair(make_stage)
    fault = full(stage)
    stage.puppet("a").exited(0)
    runner = stage.look()
    assert fault.fired
    assert runner.trouble.startswith("cannot record: disk full (")
    for _ in range(20):
        stage.until_wake()
    assert stage.started() == [("a", 0), ("b", 0)]
    fault.lift()
    stage.until_wake()
    assert runner.trouble == "" and stage.started()[-1] == ("c", 0)


def test_tries_come_with_a_back_off(make_stage: MakeStage) -> None:
    stage = running_pair(make_stage)
    full(stage)
    stage.puppet("a").exited(0)
    runner = stage.look()
    waits = []
    for _ in range(10):
        assert runner.next_wake is not None
        waits.append(round(runner.next_wake - stage.kernel.now.mono, 3))
        stage.until_wake()
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0]


@pytest.mark.parametrize("after", [0, 1], ids=["not even the request", "the request, but no state"])
@pytest.mark.parametrize("how", ["kill", "now", "lose"])
def test_a_stop_is_told_although_it_cannot_be_recorded(make_stage: MakeStage, how: str, after: int) -> None:
    stage = running_pair(make_stage)
    fault = disk_full(nth=1 + after)
    stage.kernel.faults.append(fault)
    runner, now = stage.runner, stage.kernel.now
    assert runner is not None
    runner.lose(now) if how == "lose" else runner.kill(now, grace=0 if how == "now" else None)
    wanted = signal.SIGTERM if how == "kill" else signal.SIGQUIT
    assert fault.fired and runner.trouble
    assert [set(stage.puppet(n).signals) for n in "ab"] == [{wanted}, {wanted}]
    fault.lift()
    for name in "ab":
        stage.puppet(name).exited(None, 15)
    stage.look()
    assert runner.state is (TaskState.LOST if how == "lose" else TaskState.KILLED)
    assert stage.started() == [("a", 0), ("b", 0)]


def test_requests_that_waited_are_all_heard(make_stage: MakeStage) -> None:
    """A weaker one that comes later takes nothing back."""
    stage = running_pair(make_stage)
    fault = full(stage)
    runner, now = stage.runner, stage.kernel.now
    assert runner is not None
    runner.lose(now)
    runner.kill(now)
    fault.lift()
    stage.until_wake()
    for name in "ab":
        stage.puppet(name).exited(None, 9)
    stage.look()
    assert runner.state is TaskState.LOST
    assert kinds(stage.records()).count("request") == 2


def test_deadlines_count_from_when_they_could_be_recorded(make_stage: MakeStage) -> None:
    stage = running_pair(make_stage, finalization_wait=10)
    fault = disk_full(nth=2)
    stage.kernel.faults.append(fault)
    runner = stage.runner
    assert runner is not None
    runner.kill(stage.kernel.now)
    stage.wait(60)
    fault.lift()
    runner.on_timer(stage.kernel.now)
    assert runner.state is TaskState.CLEANING
    assert runner.task.stop_deadline == stage.kernel.now.mono + 10


def test_the_deadline_of_a_stop_holds_on_a_full_disk(make_stage: MakeStage) -> None:
    stage = running_pair(make_stage, finalization_wait=10)
    runner = stage.runner
    assert runner is not None
    runner.kill(stage.kernel.now)
    full(stage)
    stage.puppet("a").stopped()
    stage.look()
    assert runner.trouble
    stage.wait(11)
    runner.on_timer(stage.kernel.now)
    assert stage.puppet("b").signals[-1] == signal.SIGQUIT


def test_a_failed_spawn_that_cannot_be_recorded_is_no_run_for_ever(make_stage: MakeStage) -> None:
    """After a takeover the run is begun again; that this fails, on a full disk, is found out again."""
    stage = make_stage(process("a"))
    stage.own()
    stage.crash()
    spawn = Fault("spawn", error=errno.EAGAIN, times=2)
    disk = disk_full(nth=2)  # the owner's record still fits
    stage.kernel.faults += [spawn, disk]
    runner = stage.own()
    assert spawn.fired and disk.fired and runner.trouble
    disk.lift()
    stage.until_wake()
    assert runner.state is TaskState.FAILED
    assert runner.task.processes["a"].runs[0].stage == "spawn"


def test_letting_go_on_a_full_disk_is_refused(make_stage: MakeStage) -> None:
    stage = running_pair(make_stage)
    full(stage)
    runner = stage.runner
    assert runner is not None
    with pytest.raises(HostError, match="disk full"):
        runner.detach(stage.kernel.now)
    assert not runner.done


def test_the_end_itself_may_have_to_wait(make_stage: MakeStage) -> None:
    stage = make_stage(process("a"))
    fault = Fault("rename", error=errno.ENOSPC, times=2)
    stage.kernel.faults.append(fault)
    runner = stage.own()
    stage.puppet("a").come_up()
    stage.puppet("a").exited(0)
    stage.look()
    assert runner.state is TaskState.SUCCESS and not runner.done
    play(stage, runner)
    assert fault.fired == 2 and stage.paths.finished.exists()


# ---- a long `runner` file ------------------------------------------------------------------------------


def cycle(stage: Stage, times: int) -> None:
    for _ in range(times):
        puppet = stage.puppet("d")
        puppet.come_up()
        puppet.exited(0)
        stage.look()


def test_a_long_file_is_made_short_and_means_the_same(make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fixture compares what is on disk with what the runner believes."""
    monkeypatch.setattr(runner_module, "MAX_RUNNER_FILE", 4000)
    monkeypatch.setattr(runner_module, "MAX_INBOX_FILE", 2000)
    stage = make_stage(process("d", daemon=True), process("e"))
    runner = stage.own()
    stage.puppet("e").come_up()
    stage.look()
    cycle(stage, 60)
    assert kinds(stage.records())[:2] == ["snapshot", "owner"]
    assert runner.task.processes["d"].total == 61 and runner.task.processes["d"].successes == 60
    assert runner.checkpoint.inbox_size("d") < 4000, "the inbox was begun anew"
    assert stage.on_disk().owner == runner.task.owner
    stage.crash()
    runner = stage.own()
    assert stage.started()[-1] == ("d", 60)
    cycle(stage, 3)
    stage.puppet("e").exited(0)
    stage.look()
    assert runner.task.processes["d"].total == 64 and runner.task.processes["e"].successes == 1


@pytest.mark.parametrize("call", ["rename", "lock"])
def test_a_long_file_that_cannot_be_made_short_goes_on(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(runner_module, "MAX_RUNNER_FILE", 3000)
    stage = make_stage(process("d", daemon=True))
    runner = stage.own()
    fault = Fault(call, error=errno.EIO, times=float("inf"))
    stage.kernel.faults.append(fault)
    cycle(stage, 30)
    assert fault.fired and fault.fired < 10, "not at every start"
    assert runner.task.processes["d"].total == 31 and not runner.trouble


def test_a_coordinator_that_cannot_record_is_told_and_forgotten_when_it_can(make_stage: MakeStage) -> None:
    stage = make_stage(process("a"))
    runner = stage.own()
    stage.kernel.poke(b"!stuck 0")
    stage.look()
    assert "cannot record: disk full?" in runner.trouble and "coordinator.a" in runner.trouble
    stage.puppet("a").come_up()
    stage.look()
    assert not runner.trouble
    stage.puppet("a").exited(0)
    stage.look()
    assert runner.state is TaskState.SUCCESS


def test_one_that_was_stopped_before_it_could_record_has_not_failed(make_stage: MakeStage) -> None:
    stage = make_stage(process("a"))
    runner = stage.own()
    runner.kill(stage.kernel.now)
    stage.puppet("a").die(5 << 8)
    stage.look()
    assert runner.state is TaskState.KILLED
    record = stage.on_disk().processes["a"]
    assert (record.failures, record.losses) == (0, 1)
    assert record.runs[0].detail == "stopped before it began"
