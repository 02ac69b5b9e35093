"""How a run ends by itself: exit status, rusage, what happens to those left behind, and a disk that is full."""

from __future__ import annotations

import os
import resource
import signal

import pytest

from tests.thermos.coordinator.harness import (
    WAKE,
    Host,
    Program,
    Started,
    is_alive,
    parse_record,
    read_line,
    stat_fields,
    stays_quiet,
    until,
    wait_gone,
    wait_stuck,
    wait_zombie,
)


@pytest.mark.parametrize("code", [0, 1, 7, 127, 255])
def test_exit_codes(host: Host, code: int) -> None:
    last = host.bash(f"exit {code}").end()
    assert (last["code"], last["signal"], last["daemons"]) == (code, None, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGHUP, 34])
def test_deaths_by_signal(host: Host, number: int) -> None:
    last = host.bash(f"kill -{int(number)} $$", rlimit=f"{resource.RLIMIT_CORE}:0:0").end()
    assert (last["code"], last["signal"]) == (None, number)


def test_rusage_covers_the_main_and_its_children(host: Host) -> None:
    last = host.bash("i=0; while ((i < 60000)); do ((i++)); done; dd if=/dev/zero of=/dev/null bs=40M count=1").end()
    assert 0.01 < last["utime"] < 20 and last["stime"] < 20
    assert 40e6 < last["maxrss"] < 200e6


def test_the_rest_of_the_session_dies_with_the_main(host: Host) -> None:
    ready = host.fifo("ready")
    run = host.bash('trap "" TERM HUP; sleep 1000 & sleep 1000 & echo $! > ready; exit 4')
    sleeper = int(read_line(ready))
    last = run.end()
    assert (last["code"], last["daemons"]) == (4, 0) and not is_alive(sleeper)
    assert [r["kind"] for r in host.records(0)] == ["forked", "running", "exited"]


def test_a_background_child_that_holds_stdout_does_not_keep_the_run(host: Host) -> None:
    for number, more in enumerate(({}, {"mode": "rotate", "log_size": 1000, "log_backups": 1})):
        run = host.bash("sleep 1000 & echo said", run=number, **more)
        assert run.end()["code"] == 0
        assert host.log(run=number) == b"said\n"


def start_with_daemon(host: Host, line: str = "exit 5", **orders: object) -> tuple[Started, int, int]:
    """A run whose daemon waits for a line in `go`: (run, daemon's pid, go)."""
    ready, go = host.fifo("ready"), host.fifo("go")
    child = "echo $$ > ready; echo > sync; read line < go"
    run = host.bash(f"mkfifo sync; (setsid bash -c '{child}' &); read < sync; {line}", **orders)
    return run, int(read_line(ready)), go


def test_daemons_live_on_and_their_end_is_a_record(host: Host) -> None:
    run, pid, go = start_with_daemon(host)
    exited = run.record("exited")
    assert (exited["code"], exited["daemons"]) == (5, 1)
    assert is_alive(pid) and not run.has_ended() and stat_fields(pid)[1] == str(run.pid)
    os.write(go, b"\n")
    assert [r["kind"] for r in run.finish()] == ["forked", "running", "exited", "gone"]


def test_a_lingering_coordinator_does_not_hold_up_the_next_run(host: Host) -> None:
    first, _, go = start_with_daemon(host)
    first.record("exited")
    second = host.bash("exit 6", run=1)
    assert second.end()["code"] == 6
    assert not first.has_ended()
    os.write(go, b"\n")
    assert first.end()["kind"] == "gone"
    assert [(r["run"], r["seq"]) for r in host.records()][-1] == (0, 3)


def test_a_daemon_that_leaves_first_is_reaped_while_the_main_runs(host: Host) -> None:
    ready = host.fifo("more")
    run, pid, go = start_with_daemon(host, "read line < more; exit 0")
    os.write(go, b"\n")
    wait_gone([pid])
    # no zombie stays: the coordinator has been told
    os.write(ready, b"\n")
    assert run.end()["daemons"] == 0 and not stat_fields(pid)


def fill_disk(run: Started, room: int = 0) -> None:
    """As if the disk of the inbox had `room` more bytes: a file size limit on the coordinator alone."""
    limit = run.host.inbox.stat().st_size + room
    _, hard = resource.prlimit(run.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (limit, hard))


def free_disk(run: Started) -> None:
    _, hard = resource.prlimit(run.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (hard, hard))


@pytest.mark.parametrize("room", [0, 1, 30])
def test_a_full_disk_delays_the_exit_status_and_loses_nothing(host: Host, room: int) -> None:
    go = host.fifo("go")
    run = host.bash("read line < go; exit 9")
    running = run.record("running")
    size = host.inbox.stat().st_size
    fill_disk(run, room)
    os.write(go, b"\n")
    wait_zombie(running["pid"])
    wait_stuck(host)
    assert stays_quiet(run) and run.kinds() == ["forked", "running"]
    assert host.inbox.stat().st_size == size + room  # the fault has fired: the line is torn
    free_disk(run)
    last = run.end()
    assert last["code"] == 9 and host.inbox.stat().st_mtime - last["at"] > 0.2
    lines = host.raw().split(b"\n")
    assert [parse_record(line)["kind"] for line in (lines[0], lines[1], lines[-2])] == ["forked", "running", "exited"]
    assert len(lines) == (5 if room else 4)


def test_a_line_without_its_line_feed_is_not_written_twice(host: Host) -> None:
    """The disk takes all of `exited` but its last byte. Both runs' lines are equally long."""
    line = "read line < go; exit 3"
    go = host.fifo("go")
    os.write(go, b"\n")
    assert host.bash(line, run=1).wait() == 0
    length = len(host.raw().split(b"\n")[2]) + 1
    run = host.bash(line, run=2)
    running = run.record("running")
    fill_disk(run, length - 1)
    os.write(go, b"\n")
    wait_zombie(running["pid"])
    wait_stuck(host)
    assert stays_quiet(run) and host.raw().endswith(b"}")  # the fault has fired
    free_disk(run)
    assert run.end()["code"] == 3
    assert host.raw().count(b"exited") == 2 and b"\n\n" not in host.raw()


def test_a_full_disk_does_not_keep_from_stopping(host: Host) -> None:
    run = host.bash("exec sleep 1000")
    running = run.record("running")
    fill_disk(run)
    run.signal(signal.SIGTERM)
    wait_zombie(running["pid"])
    free_disk(run)
    assert [r["kind"] for r in run.finish()] == ["forked", "running", "stopped", "exited"]


def test_the_zombie_of_a_main_outlives_its_coordinator_until_the_record_is_written(host: Host) -> None:
    """Killed between the main's exit and the record: whoever inherits the zombie can read its status."""
    go = host.fifo("go")
    run = host.bash("read line < go; exit 42")
    running = run.record("running")
    fill_disk(run)
    os.write(go, b"\n")
    wait_zombie(running["pid"])
    wait_stuck(host)
    run.signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    assert os.waitpid(running["pid"], 0) == (running["pid"], 42 << 8)
    assert host.raw().endswith(b"\n") and run.kinds() == ["forked", "running"]


NO_LIMIT = f"{int(resource.RLIMIT_FSIZE)}:-1:-1"


def test_a_full_disk_at_the_start_starts_nothing_until_there_is_room(host: Host) -> None:
    """`forked` comes first. Told to stop meanwhile, it ends with nothing done."""
    host.inbox.touch()
    host.program = Program(host.program.name, ("/usr/bin/prlimit", "--fsize=0:", *host.program.argv))
    run = host.bash("touch started", rlimit=NO_LIMIT)
    wait_stuck(host)
    assert stays_quiet(run)
    until(lambda: host.pokes().startswith(f"!stuck {WAKE}\n".encode()))
    run.signal(signal.SIGTERM)
    assert run.wait() == 5
    assert host.raw() == b"" and not (host.sandbox / "started").exists()
    host.pokes()
    again = host.bash("touch started", rlimit=NO_LIMIT)
    wait_stuck(host)  # prlimit has done its work
    assert stays_quiet(again)
    free_disk(again)
    assert again.end()["code"] == 0 and (host.sandbox / "started").exists()
