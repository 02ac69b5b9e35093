"""From the orders to the first records: what is refused, what is recorded, and that a run starts at most once."""

from __future__ import annotations

import fcntl
import os
import select
import signal
from pathlib import Path

import pytest

from tests.thermos.coordinator.harness import (
    PATIENCE,
    WAKE,
    Host,
    encode_orders,
    parse_record,
    stat_fields,
)


def without(host: Host, key: str) -> list[tuple[str, object]]:
    return [order for order in host.orders("/bin/true") if order[0] != key]


@pytest.fixture
def said(host: Host) -> int:
    """The read end of what the coordinator says on fd 2."""
    read, write = os.pipe()
    host.console = (os.open("/dev/null", os.O_WRONLY), write)
    return read


@pytest.mark.parametrize(
    "spoil",
    [
        lambda host: b"",
        lambda host: b"1\0",
        lambda host: encode_orders(host.orders("/bin/true"), version=b"2"),
        lambda host: encode_orders(host.orders("/bin/true"))[:-1],
        lambda host: encode_orders(without(host, "process")),
        lambda host: encode_orders(without(host, "run")),
        lambda host: encode_orders(without(host, "inbox")),
        lambda host: encode_orders(without(host, "arg")),
        lambda host: encode_orders([*without(host, "run"), ("run", "first")]),
        lambda host: encode_orders([*without(host, "inbox"), ("inbox", "../elsewhere")]),
        lambda host: encode_orders([*without(host, "process"), ("process", b"two\nlines")]),
    ],
    ids=[
        "empty",
        "nothing",
        "version",
        "cut-short",
        "process",
        "run",
        "inbox",
        "arg",
        "bad-run",
        "bad-inbox",
        "bad-process",
    ],
)
def test_unusable_orders_are_one_line_and_exit_100(host: Host, said: int, spoil) -> None:
    assert host.spawn(spoil(host)).wait() == 100
    line = os.read(said, 4096)
    assert line.startswith(b"thermos-coordinator: ") and line.count(b"\n") == 1
    assert sorted(p.name for p in host.task.iterdir()) == ["wake"]


@pytest.mark.parametrize(
    ("stage", "number", "orders"),
    [
        ("unsupported", 95, {"colour": "blue"}),
        ("unsupported", 95, {"colour": "blue", "umask": "many"}),
        ("orders", 22, {"umask": "many"}),
        ("orders", 22, {"umask": 0o1000}),
        ("orders", 22, {"uid": -1}),
        ("orders", 22, {"uid": 2**32 - 1}),
        ("orders", 22, {"groups": "1"}),
        ("orders", 22, {"groups": "1,,2", "uid": 1, "gid": 1}),
        ("orders", 22, {"groups": "1,", "uid": 1, "gid": 1}),
        ("orders", 22, {"rlimit": "7:10"}),
        ("orders", 22, {"rlimit": "7:ten:10"}),
        ("orders", 22, {"rlimit": ["7:1:1"] * 33}),
        ("orders", 22, {"destination": "printer"}),
        ("orders", 22, {"mode": "rotate"}),
        ("orders", 22, {"mode": "rotate", "log_size": 0, "log_backups": 1}),
        ("orders", 22, {"mode": "rotate", "log_size": 1, "log_backups": 0}),
        ("orders", 22, {"log_base": None}),
        ("orders", 22, {"log_base": "logs"}),
        ("orders", 22, {"log_dir": None}),
        ("orders", 22, {"stop_signal": 0}),
        ("orders", 22, {"stop_signal": 65}),
        ("orders", 22, {"stop_wait": "1.5"}),
        ("orders", 22, {"stop_wait": ""}),
        ("orders", 22, {"stop_wait": "99999999999999999999999"}),
        ("orders", 22, {"on_owner_death": "stop"}),
        ("orders", 22, {"owner": "1"}),
        ("orders", 22, {"wake": "x" * 256}),
        ("orders", 22, {"scan_from": "-1"}),
        ("orders", 22, {"env": "NAME"}),
        ("orders", 22, {"env": "=value"}),
    ],
    ids=str,
)
def test_orders_that_cannot_be_kept_are_a_failed_set_up(host: Host, stage: str, number: int, orders: dict) -> None:
    run = host.bash("touch started", **orders)
    (record,) = run.finish()
    assert (record["kind"], record["stage"], record["errno"]) == ("setup_failed", stage, number)
    assert not (host.sandbox / "started").exists()


def test_a_field_without_a_value_is_a_failed_set_up(host: Host) -> None:
    run = host.spawn(encode_orders(host.orders("/bin/true")) + b"cwd\0")
    assert run.end()["stage"] == "orders"


def test_a_relative_program_is_a_failed_set_up(host: Host) -> None:
    assert host.start("true").end()["stage"] == "orders"


def test_the_records_of_a_run(host: Host) -> None:
    ready = host.fifo("ready")
    run = host.bash("read line < ready; exit 3", process='a \\u00e4 \\"b\\"')
    running = run.record("running")
    forked = host.records()[0]
    assert forked["process"] == 'a ä "b"' and forked["run"] == 0
    assert forked["pid"] == run.pid and forked["start"] == int(stat_fields(run.pid)[19])
    assert forked["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert forked["pidns"] == Path("/proc/self/ns/pid").stat().st_ino
    assert running["start"] == int(stat_fields(running["pid"])[19]) and stat_fields(running["pid"])[1] == str(run.pid)
    os.write(ready, b"\n")
    assert [r["kind"] for r in run.finish()] == ["forked", "running", "exited"]
    stamps = [(r["at"], r["mono"]) for r in host.records()]
    assert stamps == sorted(stamps)
    assert not stat_fields(running["pid"])


def test_every_record_but_forked_pokes_the_fifo(host: Host) -> None:
    run = host.bash("true")
    assert run.wait() == 0
    assert host.pokes() == f"{WAKE}\n".encode() * 2


def test_a_missing_or_strange_fifo_is_no_obstacle(host: Host) -> None:
    (host.task / "wake").unlink()
    assert host.bash("true").wait() == 0
    (host.task / "wake").write_bytes(b"a file")
    assert host.bash("true", run=1).wait() == 0
    assert (host.task / "wake").read_bytes() == b"a file"
    assert [r["kind"] for r in host.records()] == ["forked", "running", "exited"] * 2


def test_a_full_fifo_is_no_obstacle(host: Host) -> None:
    with pytest.raises(BlockingIOError):
        while True:
            os.write(host.wake, b"x" * 4096)
    assert host.bash("true").wait() == 0


# ---- once


def test_a_run_that_was_forked_is_not_started_again(host: Host) -> None:
    assert host.bash("echo x >> ran").wait() == 0
    size = host.inbox.stat().st_size
    assert host.bash("echo x >> ran").wait() == 3
    assert host.inbox.stat().st_size == size
    assert (host.sandbox / "ran").read_text() == "x\n"


def test_a_running_run_is_not_started_again(host: Host) -> None:
    first = host.bash("exec sleep 1000")
    first.record("running")
    assert host.bash("touch twice").wait() == 3
    first.signal(signal.SIGQUIT)
    assert first.wait() == 0 and not (host.sandbox / "twice").exists()


def test_of_many_coordinators_for_one_run_one_starts_it(host: Host) -> None:
    runs = [host.bash("echo x >> ran") for _ in range(6)]
    begun, *others = sorted(run.wait() for run in runs)
    assert begun == 0 and set(others) <= {3, 4}  # 4: the lock was busy for too long, on a busy machine
    assert (host.sandbox / "ran").read_text() == "x\n"
    assert [r["kind"] for r in host.records(0)] == ["forked", "running", "exited"]


def test_runs_of_other_numbers_are_not_in_the_way(host: Host) -> None:
    for number in (1, 10, 0):
        assert host.bash("true", run=number).wait() == 0
    assert host.bash("true", run=11, process="p\\\\").wait() == 0


def test_scan_from_says_where_to_look(host: Host) -> None:
    assert host.bash("true").wait() == 0
    after = host.inbox.stat().st_size
    host.inbox.write_bytes(host.raw() + b"x" * 100_000 + b"\n" * 10)
    assert host.bash("true", scan_from=0).wait() == 3
    assert host.bash("true", scan_from=10).wait() == 0  # the record began before
    host.inbox.write_bytes(host.raw()[:after])
    assert host.bash("true", scan_from=after).wait() == 0


def test_a_forked_record_with_a_bad_checksum_does_not_count(host: Host) -> None:
    assert host.bash("true").wait() == 0
    forked = host.raw().split(b"\n")[0]
    host.inbox.write_bytes(b"00000000" + forked[8:] + b"\n")
    assert host.bash("echo again").wait() == 0
    assert host.log() == b"again\n"


def test_a_forked_record_behind_a_long_line_is_found(host: Host) -> None:
    assert host.bash("true").wait() == 0
    host.inbox.write_bytes(b"x" * 100_000 + b"\n" + host.raw())
    assert host.bash("true").wait() == 3


def hold_lock(host: Host) -> int:
    fd = os.open(host.inbox, os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def test_a_lock_that_stays_busy_is_exit_4(host: Host) -> None:
    fd = hold_lock(host)
    assert host.bash("touch started").wait() == 4
    os.close(fd)
    assert host.raw() == b"" and not (host.sandbox / "started").exists()


def test_a_busy_lock_is_waited_for(host: Host) -> None:
    fd = hold_lock(host)
    run = host.bash("echo hi")
    assert not select.select([run.pidfd], [], [], 0.1)[0]
    os.close(fd)
    assert run.finish()[-1]["code"] == 0 and host.log() == b"hi\n"


def test_a_run_whose_coordinator_died_before_forked_is_started_by_the_next(host: Host) -> None:
    fd = hold_lock(host)
    first = host.bash("echo first")
    first.signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    os.close(fd)
    assert host.bash("echo second").wait() == 0
    assert host.log() == b"second\n" and len(host.records(0)) == 3


def test_a_torn_tail_is_closed_with_a_line_feed(host: Host) -> None:
    host.inbox.write_bytes(b'12345678 {"kind":"for')
    assert host.bash("true").wait() == 0
    lines = host.raw().split(b"\n")
    assert lines[0] == b'12345678 {"kind":"for' and [parse_record(line)["seq"] for line in lines[1:-1]] == [0, 1, 2]


@pytest.mark.parametrize("kind", ["symlink", "directory", "fifo"])
def test_an_inbox_that_is_no_plain_file_is_exit_111(host: Host, said: int, kind: str) -> None:
    if kind == "symlink":
        host.inbox.symlink_to(host.root / "elsewhere")
    elif kind == "directory":
        host.inbox.mkdir()
    else:
        os.mkfifo(host.inbox)
    assert host.bash("true").wait() == 111
    line = os.read(said, 4096)
    assert b"coordinator.p" in line and line.count(b"\n") == 1
    assert not (host.root / "elsewhere").exists()


def test_orders_may_come_through_a_pipe_and_be_large(host: Host) -> None:
    """400 kB of environment; the pipe is filled while the coordinator reads."""
    env = [f"V{i}=" + "x" * 1000 for i in range(400)]
    data = encode_orders(host.orders("/usr/bin/env", env=env))
    read, write = os.pipe()
    run = host.spawn(data, stdin=read)
    os.close(read)
    with os.fdopen(write, "wb") as stream:
        stream.write(data)
    assert run.wait() == 0
    assert host.log().decode().splitlines() == env
    assert select.select([host.wake], [], [], PATIENCE)[0]
