"""The runner over puppets: coordinators that die, come late or twice, and pids that became somebody else's."""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import replace
from typing import Any

import pytest

from tests.thermos.host.conftest import MakeStage
from tests.thermos.host.faults import Fault
from tests.thermos.host.puppets import Puppet, Stage, kinds, process
from thermos.core.fold import Run
from thermos.core.records import Exited, Lost
from thermos.core.states import ProcessState, TaskState
from thermos.host import proctree
from thermos.host import spawn as spawn_module
from thermos.host.spawn import RUN_MARKER
from thermos.host.users import UnknownUser

SUCCEEDED = 0


def run_of(stage: Stage, name: str = "a", number: int = 0) -> Run:
    assert stage.runner is not None
    run = stage.runner.task.run(name, number)
    assert run is not None
    return run


def member(stage: Stage, coordinator: Puppet, **attributes: Any) -> Puppet:
    """A process of the run that `coordinator` minds: it carries the run's marker."""
    environ = f"A=b\0{RUN_MARKER}={coordinator.nonce}\0".encode()
    return stage.kernel.stranger(**({"environ": environ, "ppid": coordinator.pid} | attributes))


def up(stage: Stage, name: str = "a") -> tuple[Puppet, Puppet]:
    """(coordinator, main), both running and known."""
    stage.own()
    coordinator = stage.puppet(name)
    main = member(stage, coordinator, comm="main")
    main.session = main.pid
    coordinator.forked()
    coordinator.running(main)
    stage.look()
    return coordinator, main


# ---- a coordinator dies ------------------------------------------------------------------------------


def test_a_coordinator_that_died_makes_its_run_lost_and_the_next_begins(make_stage: MakeStage) -> None:
    stage = make_stage(process("a"))
    coordinator, main = up(stage)
    daemon = member(stage, coordinator, ppid=1, session=77, comm="daemon")
    coordinator.die()
    stage.look()
    run = run_of(stage)
    assert run.state is ProcessState.LOST and run.lost is not None
    assert run.lost.reason == "its coordinator died"
    assert {tuple(entry) for entry in run.lost.killed} == {(main.pid, "main"), (daemon.pid, "daemon")}
    assert stage.started() == [("a", 0), ("a", 1)]


def test_what_it_recorded_before_it_died_counts(make_stage: MakeStage) -> None:
    """A pidfd event and an unread inbox: the inbox is read to its end before anything is called LOST."""
    stage = make_stage(process("a"))
    coordinator, _ = up(stage)
    coordinator.say(Exited, poke=False, code=0)
    coordinator.die()
    assert stage.look().state is TaskState.SUCCESS
    assert "lost" not in kinds(stage.records())


@pytest.mark.parametrize("moment", ["taken over", "met"])
def test_what_it_records_while_we_ask_whether_it_lives_counts(make_stage: MakeStage, moment: str) -> None:
    """It records its end and is gone between our reading of the inbox and our look at its pid."""
    stage = make_stage(process("a"))
    if moment == "taken over":
        coordinator, main = up(stage)
        stage.crash()
    else:
        stage.own()
        coordinator = stage.puppet("a")
        stage.crash()
        coordinator.forked(poke=False)  # the one whom the next owner will meet

    class Late:
        fired = 0

        def matches(self, args: tuple[Any, ...]) -> bool:
            if args[0] == coordinator.pid and not self.fired:
                self.fired = 1
                coordinator.say(Exited, code=0)
                coordinator.die(0)
                del stage.kernel.puppets[coordinator.pid]
                if moment == "taken over":
                    main.die(0)
            return False

    late = Late()
    stage.kernel.faults.append(Fault("pidfd_open", match=late.matches))
    runner = stage.own()
    assert late.fired
    assert runner.state is TaskState.SUCCESS
    assert "lost" not in kinds(stage.records())
    assert stage.started() == [("a", 0)]


def test_the_exit_status_of_an_unreaped_main_is_not_lost(make_stage: MakeStage) -> None:
    stage = make_stage(process("a"), max_failures=1)
    coordinator, main = up(stage)
    main.die(3 << 8)
    main.ppid = os.getpid()
    coordinator.die()
    stage.look()
    assert run_of(stage).state is ProcessState.FAILED
    assert run_of(stage).code == 3
    assert main.pid not in stage.kernel.puppets, "the zombie was reaped"


def test_the_exit_status_counts_even_if_others_had_to_be_killed(make_stage: MakeStage) -> None:
    """Its session is known to be ours as long as the zombie stands: members without a marker are found by it."""
    stage = make_stage(process("a"), max_failures=1)
    coordinator, main = up(stage)
    left = stage.kernel.stranger(session=main.pid, comm="left", ppid=1)
    main.die(3 << 8)
    main.ppid = os.getpid()
    coordinator.die()
    stage.look()
    assert left.ended
    assert run_of(stage).state is ProcessState.FAILED
    assert run_of(stage).code == 3


def test_a_main_that_we_had_to_kill_was_lost_not_killed(make_stage: MakeStage) -> None:
    stage = make_stage(process("a"))
    coordinator, main = up(stage)
    main.ppid = os.getpid()
    coordinator.die()
    stage.look()
    assert run_of(stage).state is ProcessState.LOST


def test_strays_that_became_our_children_while_they_died_are_reaped(make_stage: MakeStage) -> None:
    """A grandchild is handed to us, the subreaper, when its parent dies in the sweep."""
    stage = make_stage(process("a"))
    coordinator, main = up(stage)
    grandchild = member(stage, coordinator, ppid=main.pid)
    original = main.die

    def die(status: int = 9) -> None:
        original(status)
        grandchild.ppid = os.getpid()

    main.die = die  # type: ignore[method-assign]
    main.ppid = os.getpid()
    coordinator.die()
    stage.look()
    assert grandchild.pid not in stage.kernel.puppets
    assert main.pid not in stage.kernel.puppets


def test_a_stray_that_will_not_die_is_named_and_does_not_hold_us_up(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proctree, "_PATIENCE_MS", 1)
    stage = make_stage(process("a"))
    coordinator, main = up(stage)
    main.obeys_kill = False  # uninterruptible sleep
    coordinator.die()
    stage.look()
    run = run_of(stage)
    assert run.state is ProcessState.LOST and run.lost is not None
    assert [tuple(entry) for entry in run.lost.refused] == [(main.pid, "main")]
    assert main.signals == [signal.SIGKILL], "asked once, not for every round"


def test_lingering_daemons_of_a_dead_coordinator_are_killed_and_the_run_is_settled(make_stage: MakeStage) -> None:
    stage = make_stage(process("a"), process("b"))
    coordinator, main = up(stage)
    daemon = member(stage, coordinator, ppid=coordinator.pid, session=5)
    main.die(0)
    coordinator.exited(0, daemons=1)
    stage.look()
    assert run_of(stage).state is ProcessState.SUCCESS and not run_of(stage).settled
    coordinator.die()
    stage.look()
    assert daemon.ended and run_of(stage).settled
    assert kinds(stage.records())[-1] == "gone"


# ---- it never came -----------------------------------------------------------------------------------


def test_a_coordinator_that_died_before_it_began_is_replaced_in_the_same_run(make_stage: MakeStage) -> None:
    stage = make_stage(process("a"))
    stage.own()
    stage.puppet("a").die()
    stage.look()
    assert stage.started() == [("a", 0), ("a", 0)]
    first, second = stage.kernel.spawned
    assert first.nonce == second.nonce
    second.come_up()
    second.exited(0)
    assert stage.look().state is TaskState.SUCCESS
    assert kinds(stage.records()).count("starting") == 1


def test_one_that_dies_again_and_again_is_a_failed_set_up(make_stage: MakeStage) -> None:
    stage = make_stage(process("a"))
    runner = stage.own()
    for _ in range(50):
        if runner.done:
            break
        if not stage.kernel.spawned[-1].ended:
            stage.kernel.spawned[-1].die()
            stage.look()
        else:
            stage.until_wake()
    assert runner.state is TaskState.FAILED
    assert run_of(stage).stage == "coordinator"
    assert len(stage.kernel.spawned) <= 10


@pytest.mark.parametrize("code", [100, 111])
def test_one_that_says_it_cannot_is_believed_at_once(make_stage: MakeStage, code: int) -> None:
    stage = make_stage(process("a"))
    stage.own()
    stage.puppet("a").die(code << 8)
    assert stage.look().state is TaskState.FAILED
    assert stage.started() == [("a", 0)]
    assert f"ended with {code}" in run_of(stage).detail


def test_one_that_found_the_inbox_busy_is_tried_for_ever(make_stage: MakeStage) -> None:
    stage = make_stage(process("a"))
    runner = stage.own()
    for _ in range(30):
        stage.kernel.spawned[-1].die(4 << 8)
        stage.look()
        if stage.kernel.spawned[-1].ended:
            stage.until_wake()
    assert not runner.done and run_of(stage).state is ProcessState.WAITING
    stage.kernel.spawned[-1].come_up()
    stage.kernel.spawned[-1].exited(0)
    assert stage.look().state is TaskState.SUCCESS


# ---- two for one run ---------------------------------------------------------------------------------


def test_two_coordinators_of_one_run_and_the_late_one_gives_way(make_stage: MakeStage) -> None:
    """The dead owner's coordinator was only slow: it wins, ours is superseded, and the run is one."""
    stage = make_stage(process("a"))
    stage.own()
    slow = stage.puppet("a")
    stage.crash()
    stage.own()
    ours = stage.puppet("a")
    assert ours is not slow and ours.nonce == slow.nonce
    slow.come_up()
    ours.die(3 << 8)
    stage.look()
    assert run_of(stage).coordinator == slow.pid and run_of(stage).state is ProcessState.RUNNING
    slow.exited(0)
    assert stage.look().state is TaskState.SUCCESS
    assert stage.started() == [("a", 0), ("a", 0)]


@pytest.mark.parametrize("how", ["kill", "now", "lose"])
def test_a_stop_reaches_the_coordinator_that_wins(make_stage: MakeStage, how: str) -> None:
    """The stop was told to the one that is superseded; the one that runs the command has to hear it too."""
    stage = make_stage(process("a"))
    stage.own()
    slow = stage.puppet("a")
    stage.crash()
    runner = stage.own()
    ours = stage.puppet("a")
    if how == "lose":
        runner.lose(stage.kernel.now)
    else:
        runner.kill(stage.kernel.now, grace=0 if how == "now" else None)
    wanted = signal.SIGTERM if how == "kill" else signal.SIGQUIT
    assert ours.signals == [wanted]
    slow.come_up()
    ours.die(3 << 8)
    stage.look()
    assert slow.signals and slow.signals[-1] == wanted
    slow.exited(None, 15)
    assert stage.look().state is (TaskState.LOST if how == "lose" else TaskState.KILLED)


def test_a_stop_reaches_a_coordinator_that_is_started_again(make_stage: MakeStage) -> None:
    stage = make_stage(process("a"))
    runner = stage.own()
    runner.kill(stage.kernel.now)
    first = stage.puppet("a")
    assert first.signals == [signal.SIGTERM]
    first.die()
    stage.look()
    second = stage.puppet("a")
    assert second is not first
    assert second.signals == [signal.SIGTERM]
    second.come_up()
    second.exited(None, 15)
    assert stage.look().state is TaskState.KILLED


# ---- strangers ---------------------------------------------------------------------------------------


def test_a_pid_that_became_a_strangers_is_never_signalled(make_stage: MakeStage) -> None:
    """The coordinator is gone, its pid and the main's belong to others now: another start time."""
    stage = make_stage(process("a"))
    coordinator, main = up(stage)
    stage.crash()
    coordinator.die()
    main.die()
    del stage.kernel.puppets[coordinator.pid], stage.kernel.puppets[main.pid]
    strangers = [
        stage.kernel.stranger(coordinator.pid, start=99, comm="stranger"),
        stage.kernel.stranger(main.pid, start=99, comm="stranger"),
    ]
    in_its_session = stage.kernel.stranger(session=main.pid, comm="stranger")
    runner = stage.own()
    assert run_of(stage).state is ProcessState.LOST
    runner.lose(stage.kernel.now)
    assert all(not s.signals and not s.ended for s in (*strangers, in_its_session))
    hit = {pid for pid, _ in stage.kernel.signalled}
    assert hit <= {p.pid for p in stage.kernel.spawned}


@pytest.mark.parametrize("field, value", [("pidns", 8), ("boot", "boot-0")])
def test_pids_of_another_namespace_or_boot_mean_nothing_here(make_stage: MakeStage, field: str, value: Any) -> None:
    stage = make_stage(process("a"))
    stage.own()
    coordinator = stage.puppet("a")
    victim = stage.kernel.stranger(comm="victim")
    coordinator.forked(**{field: value, "pid": victim.pid, "start": victim.start})
    coordinator.running(victim)
    stage.crash()
    stage.own()
    assert run_of(stage).state is ProcessState.LOST
    assert not victim.signals


def test_a_pid_reused_between_the_look_and_the_signal_is_left_alone(make_stage: MakeStage) -> None:
    stage = make_stage(process("a"))
    coordinator, main = up(stage)

    def swap(args: tuple[Any, ...]) -> bool:
        if args[0] == main.pid:
            main.start, main.environ = 123456, b""
        return False

    stage.kernel.faults.append(Fault("pidfd_open", match=swap))
    coordinator.die()
    stage.look()
    assert not main.signals
    assert run_of(stage).state is ProcessState.LOST


def test_who_may_not_be_killed_is_named(make_stage: MakeStage) -> None:
    stage = make_stage(process("a"))
    coordinator, main = up(stage)
    fault = Fault("pidfd_signal", error=errno.EPERM)
    stage.kernel.faults.append(fault)
    coordinator.die()
    stage.look()
    assert fault.fired
    lost = run_of(stage).lost
    assert lost is not None and [tuple(e) for e in lost.refused] == [(main.pid, "main")] and not lost.killed


# ---- the host was restarted --------------------------------------------------------------------------


def test_after_a_restart_of_the_host_every_live_run_is_lost_and_begins_anew(make_stage: MakeStage) -> None:
    stage = make_stage(process("a"), process("b"), process("c"), order=(("a", "b"),))
    stage.own()
    stage.puppet("a").come_up()
    stage.puppet("c").come_up()
    stage.puppet("c").exited(0)
    stage.look()
    stage.crash()
    reboot(stage)
    stage.own()
    lost = [r for r in stage.records() if isinstance(r, Lost)]
    assert [(r.process, r.run, r.reason) for r in lost] == [("a", 0, "the host was restarted")]
    assert stage.started() == [("a", 0), ("c", 0), ("a", 1)]
    assert not stage.kernel.signalled


def reboot(stage: Stage, uptime: float = 50.0) -> None:
    """Another boot id, a young monotonic clock, and none of the old processes."""
    kernel = stage.kernel
    kernel.boot = "boot-2"
    kernel.now = type(kernel.now)(kernel.now.wall + 60, uptime)
    for puppet in list(kernel.puppets.values()):
        puppet.die()
    kernel.puppets.clear()


def test_min_duration_does_not_wait_for_the_clock_of_the_old_boot(make_stage: MakeStage) -> None:
    """The run ended at 1000 s of uptime; 50 s after the restart that is not 955 s ahead."""
    stage = make_stage(process("a", daemon=True, min_duration=5))
    stage.own()
    stage.puppet("a").come_up()
    stage.puppet("a").exited(0)
    runner = stage.look()
    stage.crash()
    reboot(stage)
    runner = stage.own()
    assert runner.next_wake is not None and runner.next_wake <= stage.kernel.now.mono + 5
    stage.until_wake()
    assert stage.started() == [("a", 0), ("a", 1)]


@pytest.mark.parametrize("wait", [0, 30])
def test_a_task_that_was_ending_ends_after_the_restart(make_stage: MakeStage, wait: float) -> None:
    stage = make_stage(process("a"), process("f", final=True), finalization_wait=wait)
    runner = stage.own()
    stage.puppet("a").come_up()
    stage.look()
    runner.kill(stage.kernel.now)
    stage.crash()
    reboot(stage)
    runner = stage.own()
    if wait:
        stage.puppet("f").come_up()
        stage.look()
        assert runner.state is TaskState.FINALIZING and runner.task.deadline == stage.kernel.now.mono + wait
        stage.puppet("f").exited(0)
        stage.look()
    assert runner.state is TaskState.KILLED
    assert run_of(stage).state is ProcessState.LOST


# ---- spawning ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.ENOENT, errno.EAGAIN, errno.ENOMEM, errno.EMFILE])
def test_a_coordinator_that_cannot_be_spawned_is_a_failed_set_up(make_stage: MakeStage, code: int) -> None:
    stage = make_stage(process("a"))
    fault = Fault("spawn", error=code)
    stage.kernel.faults.append(fault)
    runner = stage.own()
    assert fault.fired
    assert runner.state is TaskState.FAILED
    run = run_of(stage)
    assert (run.stage, run.errno, run.detail) == ("spawn", code, os.strerror(code))


def test_a_user_that_vanished_between_two_runs_is_a_failed_set_up(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Better than to run as a number that may be somebody else's soon."""
    stage = make_stage(process("a", max_failures=2))
    stage.settings = replace(stage.settings, setuid=True)
    there = [True]

    def resolve(name: str) -> None:
        if not there:
            raise UnknownUser(f"unknown user {name!r} on this host")

    monkeypatch.setattr(spawn_module, "resolve_user", resolve)
    stage.own()
    there.clear()
    stage.puppet("a").come_up()
    stage.puppet("a").exited(1)
    assert stage.look().state is TaskState.FAILED
    assert stage.started() == [("a", 0)]
    run = run_of(stage, "a", 1)
    assert (run.state, run.stage) == (ProcessState.FAILED, "user")
    assert run.detail == "unknown user 'me' on this host"


def test_failed_spawns_count_like_failed_runs(make_stage: MakeStage) -> None:
    stage = make_stage(process("a", max_failures=3))
    fault = Fault("spawn", error=errno.EAGAIN, times=2)
    stage.kernel.faults.append(fault)
    runner = stage.own()
    while fault.fired < 2 or not stage.kernel.spawned:
        before = stage.kernel.now.mono
        stage.until_wake()
        assert stage.kernel.now.mono - before >= 0.09, "an owner that only tries again does nothing else"
    assert fault.fired == 2
    stage.puppet("a").come_up()
    stage.puppet("a").exited(0)
    assert stage.look().state is TaskState.SUCCESS
    assert runner.task.processes["a"].failures == 2


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENOMEM])
def test_a_living_coordinator_that_cannot_be_watched_is_not_lost(make_stage: MakeStage, code: int) -> None:
    """Out of descriptors is our trouble, not the run's: it is watched as soon as there are some again."""
    stage = make_stage(process("a"))
    fault = Fault("pidfd_open", error=code)
    stage.kernel.faults.append(fault)
    runner = stage.own()
    assert fault.fired
    coordinator = stage.puppet("a")
    coordinator.come_up()
    stage.look()
    assert run_of(stage).state is ProcessState.RUNNING
    assert stage.started() == [("a", 0)]
    assert ("a", 0) in runner._minders
    coordinator.exited(0)
    assert stage.look().state is TaskState.SUCCESS


def test_taking_over_without_descriptors_loses_no_run(make_stage: MakeStage) -> None:
    stage = make_stage(process("a"))
    coordinator, _ = up(stage)
    stage.crash()
    fault = Fault("pidfd_open", error=errno.EMFILE)
    stage.kernel.faults.append(fault)
    runner = stage.own()
    assert fault.fired
    assert "cannot watch" in runner.trouble
    assert run_of(stage).state is ProcessState.RUNNING
    stage.until_wake()
    assert not runner.trouble and ("a", 0) in runner._minders
    coordinator.exited(0)
    assert stage.look().state is TaskState.SUCCESS
