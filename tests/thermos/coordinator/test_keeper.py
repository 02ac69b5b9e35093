"""Keeping a command: what begins it anew and what does not, the signals, the strays, the log."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.thermos.coordinator.conftest import PROGRAMS, root_only
from tests.thermos.coordinator.harness import (
    Host,
    Program,
    Record,
    Started,
    children_of,
    is_alive,
    read_line,
    stat_fields,
    until,
    wait_gone,
)
from tests.thermos.coordinator.test_setup import any_python

#: The kept command: takes signals as the runner does, when it is ready for them.
LISTENER = """
import signal
wanted = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP}
assert wanted <= signal.pthread_sigmask(signal.SIG_BLOCK, [])
bell = open("bell", "w")
print("up", file=bell, flush=True)
while True:
    number = signal.sigwait(wanted)
    print(int(number), file=bell, flush=True)
    if number == signal.SIGTERM:
        raise SystemExit(4)
"""


class Kept:
    """A keeper on a host, as `run` 0 and onwards."""

    def __init__(self, host: Host, *command: str, **orders: object) -> None:
        self.host = host
        plain: dict[str, object] = {"respawn": 1, "respawn_codes": "70,71", "log_dir": "logs", "log_file": "kept.log"}
        self.keeper = host.start(*command, **(plain | orders))

    def record(self, kind: str, run: int) -> Record:
        return Started.record(self._as(run), kind)

    def _as(self, run: int) -> Started:
        view = object.__new__(Started)
        view.__dict__ |= self.keeper.__dict__ | {"run": run}
        return view

    def kill(self, run: int) -> Record:
        """SIGKILL for an incarnation; its end."""
        os.kill(self.record("running", run)["pid"], signal.SIGKILL)
        return self.record("exited", run)

    def story(self) -> list[tuple[int, str]]:
        """(run, kind) of everything, once the keeper has ended."""
        assert self.keeper.wait() == 0
        return [(r["run"], r["kind"]) for r in self.host.records()]


def lives(*runs: int) -> list[tuple[int, str]]:
    return [(run, kind) for run in runs for kind in ("forked", "running", "exited")]


def log(host: Host) -> bytes:
    return (host.logs / "kept.log").read_bytes()


def test_a_command_that_was_killed_begins_anew_and_a_plain_exit_ends_it(host: Host) -> None:
    go = host.fifo("go")
    kept = Kept(host, "/bin/bash", "-c", "read x < go; exit 4")
    for run in (0, 1):
        ended = kept.kill(run)
        assert (ended["code"], ended["signal"], ended["daemons"]) == (None, 9, 0)
        again = kept.record("running", run + 1)
        assert 0.09 < again["mono"] - ended["mono"] < 10
        assert kept.record("forked", run + 1)["pid"] == kept.keeper.pid
    os.write(go, b"\n")
    assert kept.story() == lives(0, 1, 2)
    assert host.records(2)[-1]["code"] == 4


def test_exit_codes_that_begin_anew_with_a_doubling_back_off(host: Host) -> None:
    kept = Kept(host, "/bin/bash", "-c", "echo >> lives; case $(wc -l < lives) in [123]) exit 7$((RANDOM % 2));; esac")
    assert kept.story() == lives(0, 1, 2, 3)
    for run, wait in enumerate((0.1, 0.2, 0.4)):
        before, after = host.records(run)[-1]["mono"], host.records(run + 1)[0]["mono"]
        assert wait * 0.9 < after - before < wait + 10, run
    assert host.records(3)[-1]["code"] == 0


@pytest.mark.parametrize("code", [1, 69, 72, 255])
def test_any_other_exit_code_is_the_end(host: Host, code: int) -> None:
    assert Kept(host, "/bin/bash", "-c", f"exit {code}").story() == lives(0)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_long_life_begins_the_back_off_anew(
    name: str, build: Callable[..., Program], new_host: Callable[..., Host]
) -> None:
    """A life of two seconds counts as long in this variant."""
    host = new_host(build(name, "hasty"))
    line = "echo >> lives; n=$(wc -l < lives); [ $n = 5 ] && read -t 2.1 x <> never; [ $n = 7 ] || exit 70"
    kept = Kept(host, "/bin/bash", "-c", line)
    assert kept.story() == lives(*range(7))
    waits = [host.records(run + 1)[0]["mono"] - host.records(run)[-1]["mono"] for run in range(6)]
    assert waits[3] > 0.75 and waits[4] < waits[3], waits
    assert waits[5] > 0.18, waits


def test_nothing_but_the_command_is_signalled_and_strays_are_reaped(host: Host) -> None:
    ready, bell = host.fifo("ready"), host.fifo("bell")
    stray = "sleep 1000 & echo $! > ready"
    line = f"[ -e first ] && exec cat never; touch first; setsid {stray}; {stray}; wait"
    kept = Kept(host, "/bin/bash", "-c", line)
    strays = [int(read_line(ready)) for _ in range(2)]
    kept.kill(0)
    kept.record("running", 1)
    for stray in strays:
        assert is_alive(stray) and stat_fields(stray)[0] != "T"
        assert stray in children_of(kept.keeper.pid)  # adopted
        os.kill(stray, signal.SIGKILL)
    until(lambda: not any(stat_fields(stray) for stray in strays))  # reaped while the next one lives
    assert kept.record("running", 1)["run"] == 1
    kept.keeper.signal(signal.SIGTERM)  # forwarded, and blocked by `cat`: nobody is killed for it
    os.kill(kept.record("running", 1)["pid"], signal.SIGKILL)
    kept.record("running", 2)
    end(kept, 2)
    os.close(bell)


def end(kept: Kept, run: int) -> None:
    """A command that ignores everything, and its keeper with it."""
    kept.keeper.signal(signal.SIGKILL)
    kept.keeper.wait()
    pid = kept.record("running", run)["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_gone([pid])


def test_signals_are_forwarded(host: Host) -> None:
    bell = host.fifo("bell")
    kept = Kept(host, any_python(), "-S", "-c", LISTENER)
    assert read_line(bell) == "up"
    kept.record("running", 0)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGTERM):
        kept.keeper.signal(number)
        assert read_line(bell) == str(int(number))
    assert kept.story() == lives(0)
    assert host.records(0)[-1]["code"] == 4


def test_a_signal_between_two_lives_reaches_the_next_one_at_once(host: Host) -> None:
    """What was asked for is not forgotten, and for it nobody waits for the back-off."""
    bell = host.fifo("bell")
    kept = Kept(host, any_python(), "-S", "-c", LISTENER)
    for run in range(6):  # the back-off is 3.2 s now
        assert read_line(bell) == "up"
        ended = kept.kill(run)
    kept.keeper.signal(signal.SIGTERM)
    assert read_line(bell) == "up" and read_line(bell) == "15"
    assert kept.story() == lives(*range(7))
    assert host.records(6)[0]["mono"] - ended["mono"] < 3


def test_a_stop_outlives_a_command_that_was_killed_while_obeying(host: Host) -> None:
    bell = host.fifo("bell")
    kept = Kept(host, any_python(), "-S", "-c", LISTENER)
    assert read_line(bell) == "up"
    kept.record("running", 0)
    kept.keeper.signal(signal.SIGUSR1)
    assert read_line(bell) == "10"
    kept.kill(0)
    assert read_line(bell) == "up" and read_line(bell) == "10"
    kept.keeper.signal(signal.SIGTERM)
    assert kept.story() == lives(0, 1)


def test_dying_of_a_forwarded_signal_is_an_end(host: Host) -> None:
    bell = host.fifo("bell")
    line = (
        "import signal; signal.pthread_sigmask(signal.SIG_SETMASK, []); print(file=open('bell', 'w')); signal.pause()"
    )
    kept = Kept(host, any_python(), "-S", "-c", line)
    read_line(bell)
    kept.record("running", 0)
    kept.keeper.signal(signal.SIGHUP)
    assert kept.story() == lives(0) and host.records(0)[-1]["signal"] == signal.SIGHUP


def test_a_first_life_that_can_not_be_begun_is_the_end(host: Host) -> None:
    kept = Kept(host, "/nowhere/program")
    assert kept.story() == [(0, "forked"), (0, "setup_failed")]


def test_a_later_one_is_tried_again(host: Host) -> None:
    """A new version is just being installed."""
    go, up = host.fifo("go"), host.fifo("up")
    program, aside = host.sandbox / "program", host.sandbox / "aside"
    program.write_text("#!/bin/bash\necho > up\nread x < go\n")
    program.chmod(0o755)
    kept = Kept(host, str(program))
    read_line(up)  # "running" alone leaves the shell still to open its script
    program.rename(aside)
    kept.kill(0)
    failed = kept.record("setup_failed", 1)
    assert (failed["stage"], failed["errno"]) == ("exec", 2)
    aside.rename(program)
    os.write(go, b"\n")
    story = kept.story()
    last = story[-1][0]
    assert story[-3:] == lives(last) and host.records(last)[-1]["code"] == 0


def test_both_streams_of_all_lives_go_to_one_file(host: Host) -> None:
    kept = Kept(host, "/bin/bash", "-c", "echo out; echo err >&2; echo >> lives; [ $(wc -l < lives) = 2 ] || exit 70")
    kept.story()
    assert log(host) == b"out\nerr\n" * 2
    assert not (host.logs / "stdout").exists() and not (host.logs / "stderr").exists()


def test_what_a_stray_writes_goes_to_the_log_of_the_next_life(host: Host) -> None:
    go, last, up = host.fifo("go"), host.fifo("last"), host.fifo("up")
    stray = "setsid bash -c 'read x < go; echo stray; echo > up' & echo > up"
    kept = Kept(
        host, "/bin/bash", "-c", f"echo >> lives; [ $(wc -l < lives) = 2 ] || {{ {stray}; wait; }}; read x < last"
    )
    read_line(up)
    kept.kill(0)
    kept.record("running", 1)
    os.write(go, b"\n")
    read_line(up)
    os.write(last, b"\n")
    assert kept.story() == lives(0, 1)
    assert log(host) == b"stray\n"


def test_rotation_of_the_log(host: Host) -> None:
    rotate = {"mode": "rotate", "log_size": 100, "log_backups": 2}
    kept = Kept(host, "/bin/bash", "-c", "for i in {1..200}; do echo line $i; done", **rotate)
    assert kept.story() == lives(0)
    sizes = {path.name: path.stat().st_size for path in host.logs.iterdir()}
    assert sizes.keys() == {"kept.log", "kept.log.1", "kept.log.2"} and max(sizes.values()) <= 100
    assert log(host).endswith(b"line 200\n")


@pytest.mark.parametrize(
    "orders",
    [
        {"respawn": 2},
        {"respawn_codes": "256"},
        {"respawn_codes": "1,"},
        {"log_file": "a/b"},
        {"log_file": ".hidden"},
        {"log_file": "x" * 24},
        {"respawn": None},  # a log_file is for keepers only
        {"on_owner_death": "stop", "owner": "1:1"},
    ],
    ids=str,
)
def test_orders_that_make_no_sense(host: Host, orders: dict[str, object]) -> None:
    kept = Kept(host, "/bin/true", **orders)
    assert kept.story() == [(0, "setup_failed")]
    assert host.records(0)[0]["stage"] == "orders"


def test_ps_names_the_keeper(host: Host) -> None:
    go = host.fifo("go")
    kept = Kept(host, "/bin/bash", "-c", "read x < go")
    kept.record("running", 0)
    assert Path(f"/proc/{kept.keeper.pid}/comm").read_text() == "thermos-keeper\n"
    plain = host.bash("read x < go", run=1, inbox="coordinator.q", log_dir="logs/q")
    other = plain.host.task / "coordinator.q"
    until(lambda: other.exists() and b'"running"' in other.read_bytes())
    assert Path(f"/proc/{plain.pid}/comm").read_text() == "thermos-coordin\n"
    os.write(go, b"\n\n")
    os.write(go, b"\n\n")
    assert kept.keeper.wait() == 0 and plain.wait() == 0


@root_only
def test_a_full_disk_holds_the_next_life_until_it_can_be_recorded(host: Host) -> None:
    """A file system of four blocks for the inbox."""
    small = host.root / "small"
    small.mkdir()
    assert os.system(f"mount -t tmpfs -o size=16k none {small}") == 0
    try:
        host.task = small
        os.mkfifo(small / "wake")
        os.close(host.wake)
        host.wake = os.open(small / "wake", os.O_RDWR | os.O_NONBLOCK)
        host.inbox = small / "coordinator.p"
        go = host.fifo("go")
        kept = Kept(host, "/bin/bash", "-c", "read x < go")
        running = kept.record("running", 0)
        ballast = small / "ballast"
        with open(ballast, "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 100):
                    pass
            except OSError:
                pass  # full
        _fill_last_block(host.inbox)
        os.kill(running["pid"], signal.SIGKILL)
        wait_gone([running["pid"]])
        until(lambda: stat_fields(running["pid"]) == [])  # reaped, and nothing of it can be recorded
        assert not select.select([kept.keeper.pidfd], [], [], 0.5)[0]
        assert children_of(kept.keeper.pid) == [] and len(host.records()) == 2
        ballast.unlink()
        kept.record("running", 1)
        os.write(go, b"\n")
        assert kept.story() == lives(0, 1)
    finally:
        os.system(f"umount -l {small}")


def _fill_last_block(path: Path) -> None:
    """Blank lines until the file's last block is full (readers skip them)."""
    with open(path, "ab", buffering=0) as file:
        try:
            file.write(b"\n" * (-path.stat().st_size % 4096))
        except OSError:
            pass  # full already
