"""What a runner holds keeps its bounds: an inbox whose processes always linger, zombies that land with it."""

from __future__ import annotations

import os
import select
import signal

import pytest

import thermos.runner
from tests.thermos.runner.conftest import MakeRig
from tests.thermos.runner.rig import PATIENCE, Rig, process, stat_of
from tests.thermos.runner.test_coordinator_death import our_zombies
from thermos.clock import now
from thermos.core.states import TaskState
from thermos.host.kernel import Kernel
from thermos.monitor.follow import read_task

INBOX = 1000


@pytest.mark.parametrize("again", [False, True], ids=["one owner", "two owners"])
def test_an_inbox_begins_anew_although_daemons_always_linger(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """Some daemon of an earlier run lives whenever the next one starts; all of them are stopped at the end."""
    monkeypatch.setattr(thermos.runner, "MAX_INBOX_FILE", INBOX)
    line = 'mkfifo up.$$; setsid -f bash -c "echo > up.$$; exec sleep 1000"; read x < up.$$'
    rig = make_rig(process("p", line, daemon=True))
    kernel = rig.kernel()
    runner = rig.own(kernel)
    rig.drive(runner, lambda: runner.task.processes["p"].total >= 20 and Rig.is_running(runner, "p"))
    assert kernel.calls["unlink"] >= 1, "no inbox was renewed"
    assert rig.paths.inbox("p").stat().st_size < 6 * INBOX
    assert len(runner.task.unsettled["p"]) >= 18
    if again:
        runner.close()
        runner = rig.own()
    assert not read_task(rig.paths, Kernel()).damage
    runner.kill(now(), grace=5)
    task = rig.finish(runner)
    assert task.state is TaskState.KILLED
    assert not task.unsettled and not rig.members()


def test_what_died_below_a_killed_coordinator_is_reaped(make_rig: MakeRig) -> None:
    """A daemon ends while its coordinator is frozen: a zombie in a session of its own, that lands with us."""
    others = our_zombies()
    rig = make_rig(
        process("p", "[ -e once ] && exit 0; touch once; setsid -f bash -c 'echo $$ > bell; read x < hold'; sleep 1000")
    )
    bell, hold = rig.bell("bell"), rig.bell("hold")
    runner = rig.own()
    rig.drive(runner, lambda: bell.heard() and Rig.is_running(runner, "p"))
    daemon = int(bell.heard()[0])
    pidfd = os.pidfd_open(daemon)
    (coordinator,) = rig.coordinators()
    os.kill(coordinator, signal.SIGSTOP)
    os.write(hold.fd, b"go\n")
    assert select.select([pidfd], [], [], PATIENCE)[0], "the daemon does not end"
    os.close(pidfd)
    assert stat_of(daemon)[:2] == ["Z", str(coordinator)]
    rig.kill_coordinators()
    assert rig.finish(runner).processes["p"].losses == 1
    assert our_zombies() <= others
