"""Coordinators killed at every record boundary, alone or with their runner.

A limit on the size of files makes the boundary exact: the coordinator gets stuck, with a torn line, in the record that
would cross it, and is killed there. The run is LOST and repeated, except where the kernel still knows how it ended.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.thermos.runner.conftest import MakeRig
from tests.thermos.runner.rig import PATIENCE, Rig, RigKernel, all_pids, process, stat_of
from thermos.core.fold import Run
from thermos.core.states import ProcessState, TaskState
from thermos.runner import Runner

LIBC = ctypes.CDLL(None, use_errno=True)
IN_MODIFY, IN_CREATE = 0x2, 0x100

#: Room for so many whole records, and what the next one is then.
ROOM = {"forked": 20, "running": 230, "exited": 350}


#: The first execution never ends by itself; the bell rings when the next one will know that.
ONCE = "[ -e once ] || { touch once; echo up > bell; exec sleep 1000; }"


class Stuck(RigKernel):
    """The first coordinator may write `room` bytes only."""

    room = 0

    def spawn(self, program: str, argv: Sequence[str], orders: bytes, checkpoint_fd: int) -> int:
        if not self.calls["spawn"]:
            prlimit = shutil.which("prlimit")
            assert prlimit is not None, "util-linux is needed"
            limits = f"--fsize={self.room}:{self.room}"
            argv, program = ("prlimit", limits, program, *argv[1:]), prlimit
        return super().spawn(program, argv, orders, checkpoint_fd)


class Watch:
    """inotify on one directory."""

    def __init__(self, path: Path) -> None:
        self.fd = LIBC.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        assert self.fd >= 0 and LIBC.inotify_add_watch(self.fd, bytes(path), IN_MODIFY | IN_CREATE) >= 0

    def wait(self, until: float) -> None:
        assert select.select([self.fd], [], [], max(0.0, until - time.monotonic()))[0], "nothing more was written"
        os.read(self.fd, 65536)


def is_stuck(rig: Rig, room: int) -> bool:
    path = rig.paths.inbox("p")
    return path.exists() and path.stat().st_size == room


def kill_the_stuck(rig: Rig, runner: Runner, record: str) -> list[int]:
    """Wait until the coordinator is stuck in its `record`, and kill it there; the runner sees nothing of it yet."""
    room, limit = ROOM[record], time.monotonic() + PATIENCE
    watch = Watch(rig.paths.checkpoint)
    while not is_stuck(rig, room):
        watch.wait(limit)
    os.close(watch.fd)
    text = rig.paths.inbox("p").read_text()
    assert not text.endswith("\n") and text.count("\n") == list(ROOM).index(record), text
    return rig.kill_coordinators()


def stuck_rig(make_rig: MakeRig, record: str, cmdline: str, **fields: object) -> tuple[Rig, Runner]:
    rig = make_rig(process("p", cmdline, **fields), max_failures=0)
    rig.bell("bell")
    kernel = rig.mark(Stuck())
    kernel.room = ROOM[record]
    return rig, rig.own(kernel)


@pytest.mark.parametrize("who", ["coordinator", "coordinator and runner"])
@pytest.mark.parametrize("record", ROOM)
def test_a_coordinator_killed_in_any_record(make_rig: MakeRig, record: str, who: str) -> None:
    """Stuck in `forked` nothing was executed yet; in `running` the first execution is kept from ending."""
    hold = f"{ONCE}; " if record == "running" else ""
    rig, runner = stuck_rig(make_rig, record, hold + "exit 5", max_failures=1)
    if hold:
        rig.await_bell(rig.bells[0])
    killed = kill_the_stuck(rig, runner, record)
    assert len(killed) == 1
    if who != "coordinator":
        runner.close()
        runner = rig.own()
    task = rig.finish(runner)
    runs = task.processes["p"].runs
    assert task.processes["p"].failures == 1
    if record == "running":  # it was executed, nobody knows how it would have ended
        assert [run.state for run in runs.values()] == [ProcessState.LOST, ProcessState.FAILED]
    else:
        assert [(run.state, run.code) for run in runs.values()] == [(ProcessState.FAILED, 5)]
    rig.check()


def test_the_exit_code_of_a_main_whose_coordinator_died_before_its_record(make_rig: MakeRig) -> None:
    """The main is an unreaped zombie; it lands with the runner, who is a subreaper and asks it."""
    rig, runner = stuck_rig(make_rig, "exited", "exit 42")
    kill_the_stuck(rig, runner, "exited")
    rig.drive(runner, lambda: runner.task.processes["p"].ended)
    run = runner.task.processes["p"].runs[0]
    assert (run.state, run.code, run.lost) == (ProcessState.FAILED, 42, None)
    assert not stat_of(run.pid), "the zombie is reaped"
    rig.finish(runner)


def test_the_signal_of_a_main_whose_coordinator_died_before_its_record(make_rig: MakeRig) -> None:
    rig, runner = stuck_rig(make_rig, "exited", "[ -e once ] || { touch once; kill -USR1 $$; }")
    kill_the_stuck(rig, runner, "exited")
    task = rig.finish(runner)
    first = task.processes["p"].runs[0]
    assert (first.state, first.signal) == (ProcessState.KILLED, signal.SIGUSR1)
    assert task.state is TaskState.SUCCESS


def test_a_killed_coordinator_is_noticed_at_once_and_its_run_repeated(make_rig: MakeRig) -> None:
    rig = make_rig(process("p", ONCE))
    bell = rig.bell("bell")
    runner = rig.own()
    rig.drive(runner, lambda: bell.heard() and Rig.is_running(runner, "p"))
    main = only(runner.task.processes["p"].runs).pid
    assert runner.next_wake is None, "it may have noticed by its own timer"
    assert len(rig.kill_coordinators()) == 1
    rig.drive(runner, lambda: runner.task.processes["p"].total == 2)
    task = rig.finish(runner)
    lost = task.processes["p"].runs[0]
    assert lost.lost is not None and lost.lost.reason == "its coordinator died"
    assert main in [pid for pid, _ in lost.lost.killed]
    assert task.state is TaskState.SUCCESS


def only(runs: dict[int, Run]) -> Run:
    (run,) = runs.values()
    return run


#: RING tells the test that the strays are there.
STRAYS = {
    "in the session": "sleep 1000 & sleep 1000 & RING; wait",
    "double fork": "(sleep 1000 & sleep 1000 &) ; RING; sleep 1000",
    "setsid": "setsid sleep 1000 & setsid -f sleep 1000; RING; sleep 1000",
    "ignoring TERM": "trap '' TERM HUP INT; (while :; do sleep 1000; done) & RING; while :; do sleep 1000; done",
    "stopped": "sleep 1000 & kill -STOP $!; setsid sh -c 'kill -STOP $$' & RING; kill -STOP $$",
    "holding stdout": "sleep 1000 | cat | cat & (exec -a noname sleep 1000) & RING; sleep 1000",
    "without a marker": "env -i sleep 1000 & env -i sh -c 'sleep 1000; :' & RING; sleep 1000",
    "a fork bomb": "b() { [ $1 -eq 0 ] && exec sleep 1000; b $(($1-1)) & b $(($1-1)) & wait; }; b 5 & RING; wait",
}


@pytest.mark.parametrize("cmdline", STRAYS.values(), ids=STRAYS)
def test_nothing_of_a_run_survives_its_coordinators_death(make_rig: MakeRig, cmdline: str) -> None:
    cmdline = cmdline.replace("RING", "echo up > bell")
    rig = make_rig(process("p", f"if [ -e once ]; then exit 0; fi; touch once; {cmdline}"))
    bell = rig.bell("bell")
    runner = rig.own()
    rig.drive(runner, lambda: bell.heard() and Rig.is_running(runner, "p"))
    main = only(runner.task.processes["p"].runs).pid
    members = set(rig.members()) | session_of(main)
    assert main in members
    rig.kill_coordinators()
    task = rig.finish(runner)
    assert not rig.members() and not session_of(main)
    lost = task.processes["p"].runs[0].lost
    assert lost is not None and not lost.refused
    assert members <= {pid for pid, _ in lost.killed} | gone(members), "who was killed is on record"
    assert task.state is TaskState.SUCCESS


def session_of(leader: int) -> set[int]:
    found = set()
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            fields = stat_of(int(path.name))
            if fields and fields[0] not in "ZX" and fields[3] == str(leader):
                found.add(int(path.name))
    return found


def gone(members: set[int]) -> set[int]:
    """Those that have left: a bomb goes on while we look, and its shells come and go."""
    return {pid for pid in members if not stat_of(pid)} if len(members) > 10 else set()


def test_strays_are_reaped(make_rig: MakeRig) -> None:
    others = our_zombies()
    tree = "sleep 1000 & (sleep 1000 & sleep 1000) & echo up > bell; wait"
    rig = make_rig(process("p", f"[ -e once ] && exit 0; touch once; {tree}"))
    bell = rig.bell("bell")
    runner = rig.own()
    rig.drive(runner, lambda: bell.heard() and Rig.is_running(runner, "p"))
    rig.kill_coordinators()
    rig.finish(runner)
    assert our_zombies() <= others


def our_zombies() -> set[int]:
    """Other tests may have left some."""
    stats = {pid: stat_of(pid) for pid in all_pids()}
    return {pid for pid, fields in stats.items() if fields[:2] == ["Z", str(os.getpid())]}
