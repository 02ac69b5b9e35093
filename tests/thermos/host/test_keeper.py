"""A real task under a real keeper: its runner is killed again and again, and the task never notices.

The kept command is a small program of this test (`MINDER`): it owns the task and drives it as `thermos run` does.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.thermos.runner.conftest import MakeRig, make_rig  # noqa: F401 - a fixture
from tests.thermos.runner.rig import PATIENCE, Rig, process, stat_of
from thermos.core.records import Exited, Forked, Lost, Owner, Starting
from thermos.core.states import TaskState
from thermos.errors import HostError, NotOwner
from thermos.host.keeper import INBOX, MAX_INBOX, Kept, read_kept, start_keeper
from thermos.host.kernel import Kernel
from thermos.model import encode_task

ROOT = Path(__file__).parents[3]

MINDER = """
import json, os, signal, sys
from pathlib import Path
from dataclasses import replace
from thermos.clock import now
from thermos.host.kernel import Kernel
from thermos.model import encode_task
from thermos.host.loop import Loop
from thermos.host.spawn import Settings
from thermos.host.users import current_user
from thermos.model import decode_task
from thermos.paths import TaskPaths
from thermos.recovery import own_task

root, task_id, sandbox, token = sys.argv[1:5]
class Marking(Kernel):
    def nonce(self):
        return f"{token}-{super().nonce()}"
sandbox = Path(sandbox)
settings = Settings(sandbox=sandbox, log_dir=sandbox / ".logs", user=current_user(), hostname="h")
spec = decode_task((sandbox / "spec").read_bytes())
if (sandbox / "broken").exists():
    raise SystemExit(70)
runner = own_task(spec, TaskPaths(Path(root), task_id), settings, Marking(), now())
loop = Loop(runner, now)
calls = {signal.SIGTERM: runner.kill, signal.SIGUSR2: runner.lose}
with loop.signals(calls):
    signal.pthread_sigmask(signal.SIG_UNBLOCK, calls)
    loop.run()
print("ended", runner.state, flush=True)
"""


class Daemon:
    """A rig whose runner is kept."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        (rig.sandbox / "spec").write_bytes(encode_task(rig.spec))
        self.kernel = Kernel()
        self.log = rig.paths.checkpoint / "runner.log"
        self.pid = self.start()
        self.pidfd = os.pidfd_open(self.pid)

    def start(self) -> int:
        rig = self.rig
        argv = [sys.executable, "-c", MINDER, str(rig.paths.root), rig.paths.task_id, str(rig.sandbox), rig.token]
        env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
        return start_keeper(rig.paths.checkpoint, argv, env, Path("/"), self.log)

    @property
    def kept(self) -> Kept:
        kept = read_kept(self.rig.paths.checkpoint, self.kernel)
        assert kept is not None
        return kept

    def owners(self) -> list[Owner]:
        return [r for r in self.rig.records() if isinstance(r, Owner)] if self.rig.paths.runner.exists() else []

    def wait(self, look: object, what: str) -> None:
        """Until it is so; asks again every 5 ms, as no event tells."""
        for _ in range(int(PATIENCE / 0.005)):
            if look():  # type: ignore[operator]
                return
            select.select([], [], [], 0.005)
        raise AssertionError(f"never {what}; {self.log.read_text() if self.log.exists() else ''}\n{self.rig.story()}")

    def wait_owned(self, times: int) -> Owner:
        self.wait(lambda: len(self.owners()) >= times, f"owned {times} times")
        return self.owners()[-1]

    def kill_runner(self) -> float:
        """SIGKILL the present runner; wall time of the keeper's record of its death."""
        pid = self.owners()[-1].pid
        deaths = len(self.deaths())
        os.kill(pid, signal.SIGKILL)
        self.wait(lambda: len(self.deaths()) > deaths, "recorded the death")
        return self.deaths()[-1].mono

    def deaths(self) -> list[Exited]:
        records = self.rig.records(self.rig.paths.checkpoint / INBOX)
        return [r for r in records if isinstance(r, Exited)]

    def wait_end(self) -> int:
        assert select.select([self.pidfd], [], [], PATIENCE)[0], self.rig.story()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def close(self) -> None:
        os.close(self.pidfd)
        try:
            if os.waitpid(self.pid, os.WNOHANG)[0] == 0:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                for owner in self.owners():
                    if stat_of(owner.pid):
                        os.kill(owner.pid, signal.SIGKILL)
        except ChildProcessError:
            pass  # waited for


@pytest.fixture
def daemons() -> Iterator[list[Daemon]]:
    made: list[Daemon] = []
    yield made
    for daemon in made:
        daemon.close()


def test_a_killed_runner_is_replaced_and_its_task_goes_on(make_rig: MakeRig, daemons: list[Daemon]) -> None:  # noqa: F811
    """Three times; ten sleepers and a chain of short processes: none lost, none executed twice."""
    count = 10
    rig = make_rig(
        *(process(f"s{n}", "exec sleep 1000") for n in range(count)),
        process("chain", "sleep 0.05; exit 1", max_failures=0),
    )
    daemon = Daemon(rig)
    daemons.append(daemon)
    daemon.wait_owned(1)
    daemon.wait(lambda: len(rig.marks()) >= count, "all up")
    times = []
    for killed in range(1, 4):
        died = daemon.kill_runner()
        owner = daemon.wait_owned(killed + 1)
        times.append(owner.mono - died)
        assert os.getsid(owner.pid) == owner.pid
        assert int(stat_of(owner.pid)[1]) == daemon.pid
    daemon.wait(lambda: daemon.kept.runner == daemon.owners()[-1].pid, "recorded the last runner")
    assert daemon.kept.deaths == 3 and daemon.kept.alive
    before = {run.process for run in rig.runs() if run.process != "chain"}
    os.kill(daemon.pid, signal.SIGTERM)
    assert daemon.wait_end() == 0
    assert rig.on_disk().state is TaskState.KILLED and len(before) == count
    assert not [r for r in rig.records() if isinstance(r, Lost)]
    assert len([r for r in rig.records() if isinstance(r, Starting) and r.process != "chain"]) == count
    assert max(times) < 20, times  # 0.5 on a machine of one's own; this one is shared
    assert not daemon.kept.alive and "ended KILLED" in daemon.log.read_text()


def test_an_internal_error_is_tried_again_with_back_off(make_rig: MakeRig, daemons: list[Daemon]) -> None:  # noqa: F811
    rig = make_rig(process("p", "read x < go"))
    os.mkfifo(rig.sandbox / "go")
    (rig.sandbox / "broken").touch()
    daemon = Daemon(rig)
    daemons.append(daemon)
    daemon.wait(lambda: len(daemon.deaths()) >= 2, "died twice")
    assert [death.code for death in daemon.deaths()[:2]] == [70, 70]
    (rig.sandbox / "broken").unlink()
    daemon.wait_owned(1)
    with open(rig.sandbox / "go", "w") as go:
        go.write("\n")
    assert daemon.wait_end() == 0
    assert rig.on_disk().state is TaskState.SUCCESS


def test_there_is_one_keeper_and_after_it_another(make_rig: MakeRig, daemons: list[Daemon]) -> None:  # noqa: F811
    rig = make_rig(process("p", "exec sleep 1000"))
    daemon = Daemon(rig)
    daemons.append(daemon)
    first = daemon.wait_owned(1)
    with pytest.raises(NotOwner, match=f"has a keeper already .pid {daemon.pid}."):
        daemon.start()
    os.kill(daemon.pid, signal.SIGKILL)  # with it goes only the keeper
    os.waitpid(daemon.pid, 0)
    assert stat_of(first.pid) and not daemon.kept.alive
    os.kill(first.pid, signal.SIGKILL)
    daemon.pid = daemon.start()
    os.close(daemon.pidfd)
    daemon.pidfd = os.pidfd_open(daemon.pid)
    daemon.wait_owned(2)
    runs = [r.run for r in rig.records(rig.paths.checkpoint / INBOX) if isinstance(r, Forked)]
    assert runs == [0, 1]
    os.kill(daemon.pid, signal.SIGUSR2)
    assert daemon.wait_end() == 0
    assert rig.on_disk().state is TaskState.LOST


def test_a_long_inbox_begins_anew(make_rig: MakeRig, daemons: list[Daemon]) -> None:  # noqa: F811
    rig = make_rig(process("p", "true"))
    rig.paths.checkpoint.mkdir(parents=True)
    inbox = rig.paths.checkpoint / INBOX
    inbox.write_bytes(b"\n" * (MAX_INBOX + 1))
    daemon = Daemon(rig)
    daemons.append(daemon)
    assert daemon.wait_end() == 0
    assert inbox.stat().st_size < 2000 and rig.on_disk().state is TaskState.SUCCESS


def test_what_can_not_be_kept_is_said(make_rig: MakeRig, tmp_path: Path) -> None:  # noqa: F811
    rig = make_rig(process("p", "true"))
    argv, log = ["/bin/true"], tmp_path / "log"
    rig.paths.checkpoint.parent.mkdir(parents=True)
    rig.paths.checkpoint.symlink_to(tmp_path)
    with pytest.raises(HostError, match=r"cannot use the checkpoint directory .*"):
        start_keeper(rig.paths.checkpoint, argv, {}, Path("/"), log)
    rig.paths.checkpoint.unlink()
    rig.paths.checkpoint.mkdir(mode=0o777)
    rig.paths.checkpoint.chmod(0o777)
    with pytest.raises(HostError, match=r"cannot trust .*: others may write it"):
        start_keeper(rig.paths.checkpoint, argv, {}, Path("/"), log)
    rig.paths.checkpoint.chmod(0o755)
    (rig.paths.checkpoint / INBOX).mkdir()
    with pytest.raises(HostError, match=r"cannot .*keep"):
        start_keeper(rig.paths.checkpoint, argv, {}, Path("/"), log)
    assert read_kept(tmp_path, Kernel()) is None
