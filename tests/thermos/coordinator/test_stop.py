"""The stop of a whole tree: who is asked, who is killed, and that the receipt says so. The fixture asserts after every
test that nothing is left alive."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import time

import pytest

from tests.thermos.coordinator.conftest import root_only
from tests.thermos.coordinator.harness import (
    PATIENCE,
    Host,
    Started,
    is_alive,
    read_line,
    stat_fields,
    stays_quiet,
    until,
    wait_zombie,
)
from tests.thermos.coordinator.test_end import start_with_daemon
from tests.thermos.coordinator.test_start import hold_lock

#: An application that takes its time to leave: says so, in the file named by its first argument.
APP = """
trap 'echo got-term >> "$1"; exit 3' TERM
sleep 1000 & echo $$ > ready
wait
"""

#: A prefork server: on SIGTERM the master tells its workers by a pipe; a worker that gets SIGTERM itself complains.
SERVER = """
import os, signal, sys
stop = os.pipe()
def complain(*_):
    os.write(2, b"worker got SIGTERM\\n")
signal.signal(signal.SIGTERM, complain)
for _ in range(3):
    if os.fork() == 0:
        os.close(stop[1])
        os.write(os.open("ready", os.O_WRONLY), b"worker\\n")
        os.read(stop[0], 1)
        os._exit(0)
def leave(*_):
    os.close(stop[1])
    for _ in range(3):
        os.wait()
    os._exit(0)
signal.signal(signal.SIGTERM, leave)
os.write(os.open("ready", os.O_WRONLY), b"master\\n")
while True:
    signal.pause()
"""


@pytest.fixture
def ready(host: Host) -> int:
    (host.sandbox / "app").write_text(APP)
    return host.fifo("ready")


def stopped(run: Started) -> dict:
    """Waits for the end; the receipt. `stopped` comes before `exited`."""
    kinds = [r["kind"] for r in run.finish()]
    assert kinds[:4] == ["forked", "running", "stopped", "exited"], kinds
    return run.host.records(run.run)[2]


def pids(entries: list) -> list[int]:
    return [pid for pid, _ in entries]


def test_a_simple_command_is_asked_alone(host: Host, ready: int) -> None:
    """bash has replaced itself by the command, so the main is the application."""
    run = host.bash("sleep 1000")
    main = run.record("running")["pid"]
    until(lambda: cmdline(main).startswith(b"sleep"))
    run.signal(signal.SIGTERM)
    receipt = stopped(run)
    assert (receipt["why"], receipt["signal"], receipt["signalled"], receipt["left"]) == ("stop", 15, 1, 1)
    assert receipt["killed"] == receipt["daemons"] == receipt["refused"] == [] and receipt["killed_count"] == 0
    assert run.end()["signal"] == signal.SIGTERM


def cmdline(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as stream:
        return stream.read()


def test_the_application_below_a_shell_is_asked_too(host: Host, ready: int) -> None:
    run = host.bash("bash app said; true")
    app = int(read_line(ready))
    run.signal(signal.SIGTERM)
    receipt = stopped(run)
    assert (receipt["signalled"], receipt["left"], receipt["killed"]) == (3, 3, [])
    assert (host.sandbox / "said").read_text() == "got-term\n" and not is_alive(app)


def test_a_script_is_a_shell_whatever_its_interpreter_is_called(host: Host, ready: int) -> None:
    script = host.sandbox / "script"
    script.write_text("#!/bin/bash -e\nbash app said\ntrue\n")
    script.chmod(0o755)
    run = host.start(str(script), "argument")
    read_line(ready)
    run.signal(signal.SIGTERM)
    assert stopped(run)["signalled"] == 3 and (host.sandbox / "said").read_text() == "got-term\n"


def test_a_prefork_server_stops_its_own_workers(host: Host, ready: int) -> None:
    (host.sandbox / "server.py").write_text(SERVER)
    run = host.bash(f"exec {sys.executable} -I -S server.py", stop_wait=30000)
    assert sorted(read_line(ready) for _ in range(4)) == ["master", "worker", "worker", "worker"]
    run.signal(signal.SIGTERM)
    receipt = stopped(run)
    assert (receipt["signalled"], receipt["left"], receipt["killed"]) == (1, 4, [])
    assert run.end()["code"] == 0 and host.log("stderr") == b""


def test_another_stop_signal(host: Host, ready: int) -> None:
    run = host.bash("trap 'exit 8' USR2; echo > ready; while :; do read -t 100 x <> never; done", stop_signal=12)
    read_line(ready)
    run.signal(signal.SIGTERM)
    receipt = stopped(run)
    assert (receipt["why"], receipt["signal"]) == ("stop", 12) and run.end()["code"] == 8


def test_who_ignores_the_signal_is_killed_at_the_deadline(host: Host, ready: int) -> None:
    run = host.bash("trap '' TERM; sleep 1000 & echo $$ $! > ready; wait; sleep 1000", stop_wait=300)
    main, child = map(int, read_line(ready).split())
    before = time.monotonic()
    run.signal(signal.SIGTERM)
    receipt = stopped(run)
    assert 0.29 < receipt["mono"] - before < 8  # without the order it would be 10
    assert (receipt["why"], receipt["signalled"], receipt["left"], receipt["killed_count"]) == ("stop", 2, 0, 2)
    assert receipt["killed"] == [[main, "bash"], [child, "sleep"]] and run.end()["signal"] == signal.SIGKILL


def test_stop_wait_zero_kills_right_after_asking(host: Host, ready: int) -> None:
    run = host.bash("trap '' TERM; echo > ready; sleep 1000; true", stop_wait=0)
    read_line(ready)
    run.signal(signal.SIGTERM)
    assert stopped(run)["killed_count"] >= 1


def test_a_frozen_process_is_thawed_to_leave(host: Host, ready: int) -> None:
    run = host.bash("bash app said; true")
    app = int(read_line(ready))
    os.kill(app, signal.SIGSTOP)
    until(lambda: stat_fields(app)[0] == "T")
    run.signal(signal.SIGTERM)
    assert stopped(run)["killed"] == [] and (host.sandbox / "said").read_text() == "got-term\n"


def test_a_frozen_main_that_ignores_the_signal_is_killed(host: Host, ready: int) -> None:
    run = host.bash("trap '' TERM; echo $$ > ready; while :; do kill -STOP $$; done", stop_wait=200)
    main = int(read_line(ready))
    until(lambda: stat_fields(main)[0] == "T")
    run.signal(signal.SIGTERM)
    assert pids(stopped(run)["killed"]) == [main]


def test_daemons_are_asked_and_named(host: Host, ready: int) -> None:
    run = host.bash("(setsid bash app said &); read x <> never; sleep 1000")
    daemon = int(read_line(ready))
    assert stat_fields(daemon)[3] != str(run.record("running")["pid"])
    run.signal(signal.SIGTERM)
    receipt = stopped(run)
    assert daemon in pids(receipt["daemons"]) and receipt["killed"] == []
    assert (host.sandbox / "said").read_text() == "got-term\n"


def test_a_daemon_of_an_application_is_asked_too(host: Host, ready: int) -> None:
    run = host.bash("(setsid bash app said &); exec sleep 1000")
    daemon = int(read_line(ready))
    run.signal(signal.SIGTERM)
    receipt = stopped(run)
    assert daemon in pids(receipt["daemons"]) and (host.sandbox / "said").read_text() == "got-term\n"


def test_a_stubborn_daemon_is_killed(host: Host, ready: int) -> None:
    run = host.bash(
        "(trap '' TERM; setsid bash -c 'echo $$ > ready; while :; do sleep 1000; done' &); sleep 1000", stop_wait=200
    )
    daemon = int(read_line(ready))
    run.signal(signal.SIGTERM)
    receipt = stopped(run)
    assert daemon in pids(receipt["killed"]) and daemon in pids(receipt["daemons"])


def test_the_mains_exit_during_a_stop_leaves_the_rest_its_time(host: Host, ready: int) -> None:
    go = host.fifo("go")
    run = host.bash("(trap '' TERM; echo > ready; read x < go; echo saved > saved) & sleep 1000; true")
    read_line(ready)
    run.signal(signal.SIGTERM)
    wait_zombie(run.record("running")["pid"])
    assert stays_quiet(run)
    os.write(go, b"\n")
    receipt = stopped(run)
    assert receipt["killed"] == [] and (host.sandbox / "saved").exists()


def test_sigquit_kills_everything_now(host: Host, ready: int) -> None:
    run = host.bash("(setsid bash app said &); bash app said; true")
    for _ in range(2):
        read_line(ready)
    run.signal(signal.SIGQUIT)
    receipt = stopped(run)
    assert (receipt["why"], receipt["signal"], receipt["signalled"], receipt["left"]) == ("kill", 9, 0, 0)
    assert receipt["killed_count"] == len(receipt["killed"]) == 5
    assert run.end()["signal"] == signal.SIGKILL and not (host.sandbox / "said").exists()


def test_sigquit_shortens_a_stop(host: Host, ready: int) -> None:
    run = host.bash("trap 'echo > ready' TERM; echo > ready; while :; do read x <> never; done", stop_wait=1_000_000)
    read_line(ready)
    run.record("running")
    run.signal(signal.SIGTERM)
    read_line(ready)  # it was asked
    assert stays_quiet(run, 0.1)
    run.signal(signal.SIGQUIT)
    receipt = stopped(run)
    assert (receipt["why"], receipt["signalled"], receipt["killed_count"]) == ("kill", 1, 1)


def test_repeats_change_nothing(host: Host, ready: int) -> None:
    run = host.bash("trap 'echo x >> terms' TERM; echo > ready; while :; do read x <> never; done", stop_wait=500)
    read_line(ready)
    run.record("running")
    before = time.monotonic()
    deadline = before + PATIENCE
    while not run.has_ended():  # it ends although they don't: the deadline is not moved by the later ones
        assert time.monotonic() < deadline
        run.signal(signal.SIGTERM)
        select.select([run.pidfd], [], [], 0.1)
    receipt = stopped(run)
    assert receipt["mono"] - before > 0.49
    assert receipt["signalled"] == 1 and len(run.finish()) == 4


def test_other_signals_are_ignored(host: Host) -> None:
    go = host.fifo("go")
    run = host.bash("read x < go; exit 2")
    run.record("running")
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR2, signal.SIGPIPE, signal.SIGALRM, 40):
        run.signal(number)
    assert stays_quiet(run, 0.1)
    os.write(go, b"\n")
    assert run.end()["code"] == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_signal_before_the_fork_is_acted_on_as_soon_as_there_is_a_child(host: Host, number: int) -> None:
    lock = hold_lock(host)
    run = host.bash("trap '' TERM; sleep 1000; sleep 1000")
    run.signal(number)
    os.close(lock)
    receipt = stopped(run)
    assert receipt["why"] == ("stop" if number == signal.SIGTERM else "kill")


def test_a_lingering_coordinator_stops_its_daemons(host: Host) -> None:
    run, daemon, _ = start_with_daemon(host)
    run.record("exited")
    run.signal(signal.SIGTERM)
    records = run.finish()
    assert [r["kind"] for r in records] == ["forked", "running", "exited", "stopped", "gone"]
    assert pids(records[3]["daemons"]) == [daemon] and (records[3]["signalled"], records[3]["left"]) == (1, 1)


def test_a_lingering_coordinator_kills_its_daemons(host: Host) -> None:
    run, daemon, _ = start_with_daemon(host)
    run.record("exited")
    run.signal(signal.SIGQUIT)
    records = run.finish()
    assert [r["kind"] for r in records][3:] == ["stopped", "gone"] and pids(records[3]["killed"]) == [daemon]


@pytest.mark.parametrize("log", [{}, {"mode": "rotate", "log_size": 1000, "log_backups": 1}], ids=["plain", "pumped"])
def test_children_that_hold_stdout_do_not_delay_the_stop(host: Host, ready: int, log: dict) -> None:
    run = host.bash("echo out; setsid sleep 1000 & sleep 1000 & echo > ready; wait", **log)
    read_line(ready)
    run.signal(signal.SIGTERM)
    assert stopped(run)["killed"] == []
    receipt, exited = run.finish()[2:]
    assert exited["mono"] - receipt["mono"] < 1.9 and host.log() == b"out\n"  # a pipe that somebody holds: 2


def test_a_tree_of_many_is_killed_to_the_last(host: Host, ready: int) -> None:
    """More than a receipt names, all ignoring SIGTERM, in sessions and below each other."""
    (host.sandbox / "grow").write_text(
        'trap "" TERM\n[ $1 = 0 ] && { echo leaf > ready; read x <> never; exit; }\n'
        "setsid bash grow $(($1 - 1)) & bash grow $(($1 - 1)) &\nwait\n"
    )
    run = host.bash("bash grow 5; true", stop_wait=1000)  # in which the main has died of the signal
    for _ in range(32):
        read_line(ready)
    run.signal(signal.SIGTERM)
    receipt = stopped(run)
    assert (
        (receipt["killed_count"], receipt["left"]) == (63, 1)
        and len(receipt["killed"]) == 32
        and len(receipt["daemons"]) == 32
    )


def test_a_fork_bomb_is_defused(host: Host, ready: int) -> None:
    """It forks while it is killed: two processes replace each other for as long as they live (bounded at 5000)."""
    bomb = (
        "trap '' TERM; f() { [ $1 -gt 0 ] || return; f $(($1 - 1)) & f $(($1 - 1)) & wait; }; "
        "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do f 7; [ $i = 2 ] && echo > ready; done"
    )
    run = host.bash(bomb)
    read_line(ready)
    run.signal(signal.SIGQUIT)
    receipt = stopped(run)
    assert receipt["killed_count"] >= 1 and run.end()["signal"] == signal.SIGKILL


@root_only
def test_who_may_not_be_signalled_is_waited_for_and_named(stranger_host: Host) -> None:
    host = stranger_host
    ready = host.fifo("ready")
    wrapper = host.sandbox / "become-root"
    shutil.copy("/usr/bin/setpriv", wrapper)
    wrapper.chmod(0o4755)
    run = host.bash(
        "./become-root --reuid=0 bash -c 'echo $$ > ready; read x <> never' & sleep 1000; true", stop_wait=50
    )
    protected = int(read_line(ready))
    run.signal(signal.SIGTERM)
    wait_zombie(run.record("running")["pid"])
    assert stays_quiet(run) and is_alive(protected)
    os.kill(protected, signal.SIGKILL)
    receipt = stopped(run)
    assert pids(receipt["refused"]) == [protected] and protected not in pids(receipt["killed"])


def test_an_idle_coordinator_never_wakes(host: Host) -> None:
    run = host.bash("exec sleep 1000")
    run.record("running")
    until(lambda: [switches(run.pid), stays_quiet(run, 0.1)] == [switches(run.pid), True])  # at rest
    counts = [switches(run.pid), stays_quiet(run, 1.0), switches(run.pid)]
    assert counts[0] == counts[2] and counts[1]
    run.signal(signal.SIGQUIT)
    assert run.wait() == 0


def test_an_idle_coordinator_is_small(host: Host) -> None:
    """Its own pages, in KiB: 52 for the C program when this was written, some 7000 for the Python one."""
    run = host.bash("exec sleep 1000")
    run.record("running")
    until(lambda: stat_fields(run.pid)[0] == "S")
    with open(f"/proc/{run.pid}/smaps_rollup") as stream:
        sizes = dict(line.split(":", 1) for line in list(stream)[1:])
    assert int(sizes["Anonymous"].split()[0]) <= (64 if host.program.name == "c" else 12_000)
    run.signal(signal.SIGQUIT)
    assert run.wait() == 0


def switches(pid: int) -> list[str]:
    with open(f"/proc/{pid}/status") as stream:
        return [line for line in stream if "ctxt_switches" in line]
