"""Checkpoints that lie: who writes one could have root signal anybody, so what can't be verified is never signalled."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.attacks.conftest import MALLORY, MakeVictim, Victim, root_only
from tests.thermos.runner.rig import process, stat_of
from thermos import clock
from thermos.core.records import Forked, Running, Starting, encode_record
from thermos.core.states import ProcessState
from thermos.errors import HostError
from thermos.host.kernel import Kernel

pytestmark = root_only


class Stranger:
    """A process that is none of the task's."""

    def __init__(self, **options: object) -> None:
        self.process = subprocess.Popen(["/bin/sleep", "1000"], **options)  # type: ignore[call-overload]
        self.pid = self.process.pid
        self.start = int(stat_of(self.pid)[19])

    def is_unharmed(self) -> bool:
        return stat_of(self.pid)[:1] in (["S"], ["R"], ["D"])


@pytest.fixture
def strangers() -> Iterator[list[Stranger]]:
    """root's with its own session, root's in ours, and somebody's with a session."""
    made = [Stranger(start_new_session=True), Stranger(), Stranger(start_new_session=True, user=MALLORY)]
    yield made
    for stranger in made:
        stranger.process.kill()
        stranger.process.wait()


def begun(victim: Victim) -> None:
    """A task whose runner died with nothing under way."""
    runner = victim.own()
    victim.drive(runner, lambda: "p" in runner.task.active and victim.is_running(runner, "p"))
    runner.close()
    victim.kill_coordinators()
    for pid in victim.members():
        os.kill(pid, signal.SIGKILL)


def forge(victim: Victim, coordinator: tuple[int, int], main: tuple[int, int], **world: object) -> None:
    """The next owner finds a run with these pids and start ticks under way."""
    kernel, now = Kernel(), clock.now()
    place = {"boot": kernel.boot_id(), "pidns": kernel.pid_namespace()} | world
    head = {"at": now.wall, "mono": now.mono, "process": "q", "run": 0}
    records = [
        Starting(at=now.wall, mono=now.mono, process="q", run=0, nonce=f"{victim.token}-forged", offset=0),
        Forked(**head, seq=0, pid=coordinator[0], start=coordinator[1], **place),  # type: ignore[arg-type]
        Running(**head, seq=1, pid=main[0], start=main[1]),  # type: ignore[arg-type]
    ]
    with open(victim.paths.runner, "ab") as file:
        file.write(b"".join(map(encode_record, records)))


def settle(victim: Victim) -> ProcessState:
    """A new owner takes over and ends the task; what became of the forged run."""
    runner = victim.own()
    runner.kill(clock.now(), grace=0)
    victim.finish(runner)
    return victim.on_disk().processes["q"].runs[0].state


@pytest.mark.parametrize("lie", ["start ticks", "another boot", "another namespace", "not the owner's", "no session"])
def test_strangers_are_not_signalled(make_victim: MakeVictim, strangers: list[Stranger], lie: str) -> None:
    """The pids are right; something else is not."""
    victim = make_victim(process("p", "sleep 1000"), process("q", "true"), order=(("p", "q"),))
    begun(victim)
    roots, plain, mallorys = strangers
    off, world, coordinator = 0, {}, roots
    match lie:
        case "start ticks":
            off = 1
        case "another boot":
            world = {"boot": "00000000-0000-0000-0000-000000000000"}
        case "another namespace":
            world = {"pidns": 1}
        case "not the owner's":
            coordinator = mallorys
        case "no session":
            coordinator = plain
    forge(victim, (coordinator.pid, coordinator.start + off), (roots.pid, roots.start + 1), **world)
    assert settle(victim) is ProcessState.LOST
    assert all(stranger.is_unharmed() for stranger in strangers)


def test_a_pid_that_was_reused_is_not_signalled(make_victim: MakeVictim, strangers: list[Stranger]) -> None:
    """The recorded process was one tick older, or younger: another one has its number now."""
    victim = make_victim(process("p", "sleep 1000"), process("q", "true"), order=(("p", "q"),))
    begun(victim)
    pid, start = strangers[0].pid, strangers[0].start
    forge(victim, (pid, start - 1), (pid, start - 1))
    assert settle(victim) is ProcessState.LOST
    assert strangers[0].is_unharmed()


def test_a_marker_does_not_make_a_process_ours_for_another_task(make_victim: MakeVictim) -> None:
    """Mallory knows the marker of her own run and gives it to whom she can: that is her own process."""
    victim = make_victim(process("p", 'echo "$THERMOS_RUN" > marker; sleep 1000'))
    other = make_victim(process("p", "exec sleep 1000"))
    bystander = other.own()
    other.up(bystander, "p")
    runner = victim.own()
    victim.up(runner, "p")
    runner.close()
    victim.kill_coordinators()
    again = victim.own()
    victim.drive(again, lambda: again.task.processes["p"].losses == 1)
    assert other.is_running(bystander, "p")
    for rig, owner in ((victim, again), (other, bystander)):
        owner.kill(clock.now(), grace=0)
        rig.finish(owner)


@pytest.mark.parametrize("what", ["directory", "runner"])
def test_a_checkpoint_of_somebody_else_is_refused(make_victim: MakeVictim, what: str) -> None:
    victim = make_victim(process("p", "sleep 1000"))
    begun(victim)
    victim.give(victim.paths.checkpoint if what == "directory" else victim.paths.runner)
    with pytest.raises(HostError, match=rf"cannot trust .*: it belongs to uid {victim.mallory.uid}, not to uid 0"):
        victim.own()
    os.chown(victim.paths.checkpoint, 0, 0)
    os.chown(victim.paths.runner, 0, 0)
    victim.own().kill(clock.now(), grace=0)
    victim.finish(victim.runners[-1])


def test_a_checkpoint_that_others_may_write_is_refused(make_victim: MakeVictim) -> None:
    victim = make_victim(process("p", "sleep 1000"))
    begun(victim)
    victim.paths.checkpoint.chmod(0o777)
    with pytest.raises(HostError, match=r"cannot trust .*: others may write it"):
        victim.own()
    victim.paths.checkpoint.chmod(0o755)
    victim.own().kill(clock.now(), grace=0)
    victim.finish(victim.runners[-1])


def test_a_checkpoint_that_is_a_link_is_refused(make_victim: MakeVictim) -> None:
    victim = make_victim(process("p", "true"))
    victim.paths.checkpoint.parent.mkdir(parents=True)
    victim.paths.checkpoint.symlink_to(victim.vault)
    with pytest.raises(HostError, match="cannot use the checkpoint directory"):
        victim.own()


def test_garbage_in_the_fifo_changes_nothing(make_victim: MakeVictim) -> None:
    """Only root may write it; should somebody be able to, the task goes on as if nothing were."""
    victim = make_victim(process("p", "read x < go"))
    os.mkfifo(victim.sandbox / "go")
    victim.give(victim.sandbox / "go")
    runner = victim.own()
    victim.up(runner, "p")
    wake = os.open(victim.paths.checkpoint / "wake", os.O_WRONLY | os.O_NONBLOCK)
    for garbage in (
        b"\0" * 5000,
        b"999999999999999999999\n" * 100,
        b"!restart 77\n!nonsense\n!\n-1\n",
        b"\xff\n" * 40000,
    ):
        try:
            os.write(wake, garbage)
        except BlockingIOError:
            pass  # full: a flood
        runner.on_ready(clock.now())
    os.close(wake)
    assert not runner.done and victim.is_running(runner, "p") and runner.task.processes["p"].total == 1
    go = os.open(victim.sandbox / "go", os.O_WRONLY)
    os.write(go, b"\n")
    os.close(go)
    assert victim.finish(runner).processes["p"].runs[0].state is ProcessState.SUCCESS


def test_secrets_of_the_environment_are_shown_to_nobody(make_victim: MakeVictim) -> None:
    """Not in `ps`, not in a file that others may read."""
    victim = make_victim(process("p", "test $PASSWORD = hunter2 && read x < go"))
    os.mkfifo(victim.sandbox / "go")
    victim.give(victim.sandbox / "go")
    victim.settings = replace(victim.settings, base_env={"PASSWORD": "hunter2"})
    runner = victim.own()
    victim.up(runner, "p")
    listed = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert victim.token in listed and "hunter2" not in listed.replace("= hunter2", "")
    for path in victim.place.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert b"PASSWORD=hunter2" not in path.read_bytes(), path
    coordinator = runner.task.processes["p"].runs[0].coordinator
    peek = [
        "/usr/bin/setpriv",
        f"--reuid={victim.mallory.uid}",
        "--clear-groups",
        "cat",
        f"/proc/{coordinator}/environ",
    ]
    assert subprocess.run(peek, capture_output=True).stdout == b""
    go = os.open(victim.sandbox / "go", os.O_WRONLY)
    os.write(go, b"\n")
    os.close(go)
    victim.finish(runner)
