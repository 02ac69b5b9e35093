"""Where the output goes: files, console, nowhere, both; rotation; and what a hostile owner of the logs can't do."""

from __future__ import annotations

import errno
import os
import resource
import select
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from tests.thermos.coordinator.conftest import STRANGER, root_only
from tests.thermos.coordinator.harness import PATIENCE, Host, Started, read_line, stays_quiet, until, wait_zombie
from tests.thermos.coordinator.test_end import start_with_daemon

ROTATE = {"mode": "rotate", "log_size": 1000, "log_backups": 3}


@pytest.fixture
def console(host: Host) -> tuple[int, int]:
    """The read ends of what is shown on fd 1 and 2."""
    out, out_end = os.pipe()
    err, err_end = os.pipe()
    host.console = (out_end, err_end)
    return out, err


def drain(fd: int) -> bytes:
    os.set_blocking(fd, False)
    data = b""
    try:
        while part := os.read(fd, 65536):
            data += part
    except BlockingIOError:
        pass
    return data


def log_dir(host: Host) -> Path:
    return host.logs / "p" / "0"


# ---- plain


def test_files_are_the_childs_own_and_appended_to(host: Host) -> None:
    for number in range(2):
        line = "echo out; echo err >&2; readlink /proc/self/fd/1"
        run = host.bash(line, run=number, log_dir="logs/p/0")
        assert run.end()["code"] == 0
    once = f"out\n{log_dir(host) / 'stdout'}\n".encode()
    assert host.log() == once * 2 and host.log("stderr") == b"err\n" * 2


def test_external_truncation_works(host: Host) -> None:
    ready, go = host.fifo("ready"), host.fifo("go")
    run = host.bash("echo before; echo > ready; read x < go; echo after")
    read_line(ready)
    os.truncate(log_dir(host) / "stdout", 0)
    os.write(go, b"\n")
    assert run.end()["code"] == 0 and host.log() == b"after\n"


def test_none_is_nowhere(host: Host) -> None:
    assert host.bash("echo hi; [ /dev/null -ef /dev/stdout ]", destination="none", log_base=None).end()["code"] == 0
    assert not list(host.logs.iterdir())


def test_console_is_the_owners_and_never_rotates(host: Host, console: tuple[int, int]) -> None:
    run = host.bash("echo hi; echo err >&2", destination="console", **ROTATE)
    assert run.end()["code"] == 0
    assert drain(console[0]) == b"hi\n" and drain(console[1]) == b"err\n"
    assert not list(host.logs.iterdir())


# ---- hostile logs


def refused(run: Started, *numbers: int) -> None:
    last = run.end()
    assert (last["kind"], last["stage"]) == ("setup_failed", "log") and last["errno"] in numbers


@pytest.mark.parametrize("log", [{}, ROTATE], ids=["plain", "pumped"])
@pytest.mark.parametrize("place", ["p", "p/0", "p/0/stdout", "p/0/stderr"])
def test_symlinks_in_the_logs_are_refused(host: Host, place: str, log: dict) -> None:
    target = host.root / "target"
    target.mkdir() if not place.endswith("out") and not place.endswith("err") else target.write_text("precious")
    link = host.logs / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)
    refused(host.bash("echo hi", **log), errno.ELOOP, errno.ENOTDIR)
    assert list(target.iterdir()) == [] if target.is_dir() else target.read_text() == "precious"


def test_a_fifo_or_directory_in_place_of_a_log_is_refused(host: Host) -> None:
    log_dir(host).mkdir(parents=True)
    os.mkfifo(log_dir(host) / "stdout")
    refused(host.bash("echo hi"), errno.ENXIO)
    reader = os.open(log_dir(host) / "stdout", os.O_RDONLY | os.O_NONBLOCK)
    refused(host.bash("echo hi", run=2, log_dir="logs/p/0"), errno.EINVAL)
    os.close(reader)
    (host.logs / "p" / "1" / "stderr").mkdir(parents=True)
    refused(host.bash("echo hi", run=1), errno.EISDIR)


@root_only
def test_log_base_may_be_a_link_but_the_user_needs_the_right_to_write(host: Host) -> None:
    base = host.root / "base"
    base.symlink_to(host.root)
    assert host.bash("echo hi", log_base=base).end()["code"] == 0
    refused(host.bash("echo hi", run=1, uid=STRANGER, gid=STRANGER, groups=""), errno.EACCES)
    (host.logs / "p" / "2").mkdir()
    os.chown(host.logs / "p" / "2", STRANGER, STRANGER)
    (host.logs / "p" / "2" / "stdout").touch(0o600)  # root's
    refused(host.bash("echo hi", run=2, uid=STRANGER, gid=STRANGER, groups=""), errno.EACCES)


@root_only
def test_the_users_groups_count_when_logs_are_opened(host: Host) -> None:
    os.chown(host.logs, 0, STRANGER + 5)
    host.logs.chmod(0o775)
    user = {"uid": STRANGER, "gid": STRANGER, "groups": str(STRANGER + 5)}
    assert host.bash("echo hi", **user).end()["code"] == 0
    assert (log_dir(host) / "stdout").stat().st_uid == STRANGER


# ---- pumped


def test_both_goes_to_file_and_console(host: Host, console: tuple[int, int]) -> None:
    run = host.bash("echo hi; echo err >&2; exit 3", destination="both")
    assert run.end()["code"] == 3
    assert drain(console[0]) == host.log() == b"hi\n" and drain(console[1]) == host.log("stderr") == b"err\n"


def test_both_in_a_socket_a_file_and_a_console_that_has_gone(host: Host) -> None:
    ours, theirs = socket.socketpair()
    file = os.open(host.root / "console", os.O_RDWR | os.O_CREAT)
    host.console = (theirs.fileno(), file)
    run = host.bash("head -c 300000 /dev/zero; echo err >&2", destination="both")
    shown = 0
    while shown < 300_000:
        assert select.select([ours], [], [], PATIENCE)[0]
        shown += len(ours.recv(65536))
    assert run.end()["code"] == 0 and len(host.log()) == 300_000
    assert os.read(file, 100) == b"" and (host.root / "console").read_bytes() == b"err\n"
    theirs.close(), ours.close(), os.close(file)


def test_a_console_that_goes_away_is_forgotten(host: Host, console: tuple[int, int]) -> None:
    ready, go = host.fifo("ready"), host.fifo("go")
    run = host.bash("echo one; echo > ready; read x < go; echo two", destination="both")
    read_line(ready)
    for fd in (*console, *host.console):
        os.close(fd)
    os.write(go, b"\n")
    assert run.end()["code"] == 0 and host.log() == b"one\ntwo\n"


def test_a_full_console_holds_the_process_and_loses_nothing(host: Host, console: tuple[int, int]) -> None:
    run = host.bash("head -c 1000000 /dev/zero", destination="both")
    run.record("running")
    assert stays_quiet(run, 0.3)  # nobody reads, so it can't get rid of its output
    shown = 0
    while shown < 1_000_000:
        assert select.select([console[0]], [], [], PATIENCE)[0]
        shown += len(os.read(console[0], 65536))
    assert run.end()["code"] == 0 and len(host.log()) == 1_000_000
    assert os.get_blocking(host.console[0])  # the owner's descriptor is left as it was


def test_a_full_console_does_not_keep_from_stopping(host: Host, console: tuple[int, int]) -> None:
    run = host.bash("cat /dev/zero", destination="both")
    run.record("running")
    assert stays_quiet(run, 0.2)
    run.signal(signal.SIGTERM)
    assert [r["kind"] for r in run.finish()][2:] == ["stopped", "exited"]


@root_only
def test_the_user_can_open_a_pumped_stdout_anew(host: Host) -> None:
    os.chown(host.logs, STRANGER, STRANGER)
    line = "echo one > /dev/stdout; echo two > /dev/stderr"
    run = host.bash(line, uid=STRANGER, gid=STRANGER, groups="", **ROTATE)
    assert run.end()["code"] == 0 and host.log() == b"one\n" and host.log("stderr") == b"two\n"


def test_output_comes_through_at_once(host: Host) -> None:
    ready, go = host.fifo("ready"), host.fifo("go")
    run = host.bash("echo hi; echo > ready; read x < go", **ROTATE)
    read_line(ready)
    until(lambda: host.log() == b"hi\n")
    os.write(go, b"\n")
    assert run.end()["code"] == 0


# ---- rotation


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_files_rotate_at_line_ends_and_the_last_fall_off(host: Host) -> None:
    run = host.bash("for i in {1000..1999}; do echo line $i; done; echo err >&2", **ROTATE)  # 10 bytes a line
    assert run.end()["code"] == 0
    names = sorted(p.name for p in log_dir(host).iterdir())
    assert names == ["stderr", "stdout", "stdout.1", "stdout.2", "stdout.3"]
    parts = [lines(log_dir(host) / name) for name in ("stdout.3", "stdout.2", "stdout.1", "stdout")]
    assert [len(part) for part in parts] == [100, 100, 100, 100]
    assert b"".join(map(b"".join, parts)).splitlines(keepends=True) == [b"line %d\n" % i for i in range(1600, 2000)]


def test_no_byte_is_lost_and_no_line_is_cut(host: Host) -> None:
    """Lines of many lengths, written in pieces that end anywhere."""
    writer = (
        "import os, random; r = random.Random(7); data = b''.join(b'%d ' % i + b'x' * r.randrange(3000) + b'\\n'"
        " for i in range(3000))\nwhile data: n = r.randrange(1, 50000); os.write(1, data[:n]); data = data[n:]"
    )
    run = host.start(sys.executable, "-I", "-S", "-c", writer, mode="rotate", log_size=100_000, log_backups=1000)
    assert run.end()["code"] == 0
    files = sorted(log_dir(host).glob("stdout*"), key=lambda p: -int(p.suffix[1:] or 0))
    whole = b"".join(path.read_bytes() for path in files)
    assert [int(line.split()[0]) for line in whole.splitlines()] == list(range(3000))
    assert all(path.read_bytes().endswith(b"\n") for path in files) and len(files) > 20
    assert all(path.stat().st_size <= 103_100 for path in files)  # at most the rest of a line too much


def test_a_long_line_stays_whole_up_to_64_kib_and_may_be_cut_beyond(host: Host) -> None:
    run = host.bash(
        "echo a; head -c 60000 /dev/zero | tr '\\0' b; echo; echo c; head -c 300000 /dev/zero; echo", **ROTATE
    )
    assert run.end()["code"] == 0
    names = ["stdout.3", "stdout.2", "stdout.1", "stdout"]
    content = [(log_dir(host) / name).read_bytes() for name in names]
    assert all(len(part) <= 140_000 for part in content)
    other = host.bash("echo a; head -c 60000 /dev/zero | tr '\\0' b; echo; echo c", run=1, **ROTATE)
    assert other.end()["code"] == 0
    found = [(host.logs / "p" / "1" / name).read_bytes() for name in ("stdout.2", "stdout.1", "stdout")]
    assert found == [b"a\n", b"b" * 60000 + b"\n", b"c\n"]


def test_the_size_of_an_existing_file_counts(host: Host) -> None:
    log_dir(host).mkdir(parents=True)
    (log_dir(host) / "stdout").write_bytes(b"old\n" * 249)  # 996 bytes
    assert host.bash("echo newer", **ROTATE).end()["code"] == 0
    assert host.log() == b"newer\n" and host.log("stdout.1") == b"old\n" * 249


def test_backups_shift_up_to_the_first_gap(host: Host) -> None:
    log_dir(host).mkdir(parents=True)
    (log_dir(host) / "stdout").write_bytes(b"x" * 999 + b"\n")
    (log_dir(host) / "stdout.1").write_bytes(b"one")
    (log_dir(host) / "stdout.3").write_bytes(b"three")
    assert host.bash("echo new", **ROTATE).end()["code"] == 0
    assert [host.log(f"stdout.{n}")[:5] for n in (1, 2, 3)] == [b"xxxxx", b"one", b"three"]


@root_only
def test_rotation_is_done_with_the_users_rights(host: Host) -> None:
    """The directory is swapped for a link to somebody else's while the process runs."""
    os.chown(host.logs, STRANGER, STRANGER)
    ready, go = host.fifo("ready"), host.fifo("go")
    precious = host.root / "precious"
    precious.mkdir()
    for name in ("stdout", "stdout.1"):
        (precious / name).write_text("precious")
    line = "echo > ready; read x < go; for i in {1000..1499}; do echo line $i; done"
    run = host.bash(line, uid=STRANGER, gid=STRANGER, groups="", **ROTATE)
    read_line(ready)
    moved = host.root / "moved"
    log_dir(host).rename(moved)
    log_dir(host).symlink_to(precious)
    os.write(go, b"\n")
    assert run.end()["code"] == 0
    assert [p.read_text() for p in precious.iterdir()] == ["precious"] * 2
    assert {p.stat().st_uid for p in moved.iterdir()} == {STRANGER} and (moved / "stdout.3").exists()


def test_a_rotation_that_fails_writes_on_in_the_old_file(host: Host) -> None:
    (log_dir(host) / "stdout.1").mkdir(parents=True)
    (log_dir(host) / "stdout.2" / "occupied").mkdir(parents=True)
    (log_dir(host) / "stdout.3" / "occupied").mkdir(parents=True)
    run = host.bash("for i in {1000..1499}; do echo line $i; done", **ROTATE)
    assert run.end()["code"] == 0
    assert lines(log_dir(host) / "stdout") == [b"line %d\n" % i for i in range(1000, 1500)]


def test_a_log_that_was_deleted_is_begun_anew_at_the_next_rotation(host: Host) -> None:
    """Else all that follows would go where nobody sees it, and takes space without a bound."""
    ready, go = host.fifo("ready"), host.fifo("go")
    run = host.bash("echo one; echo > ready; read x < go; for i in {1000..1499}; do echo line $i; done", **ROTATE)
    read_line(ready)
    until(lambda: host.log() == b"one\n")
    (log_dir(host) / "stdout").unlink()
    os.write(go, b"\n")
    assert run.end()["code"] == 0
    kept = [log_dir(host) / name for name in ("stdout.3", "stdout.2", "stdout.1", "stdout")]
    text = b"".join(path.read_bytes() for path in kept)
    assert text == b"".join(b"line %d\n" % i for i in range(1000, 1500))[-len(text) :]
    assert all(path.stat().st_size <= 1000 for path in kept)


def test_sigusr1_opens_the_logs_anew(host: Host) -> None:
    ready, go = host.fifo("ready"), host.fifo("go")
    run = host.bash("echo one; echo > ready; read x < go; echo two", destination="both")
    read_line(ready)
    until(lambda: host.log() == b"one\n")
    (log_dir(host) / "stdout").rename(log_dir(host) / "moved")
    run.signal(signal.SIGUSR1)
    until(lambda: (log_dir(host) / "stdout").exists())
    os.write(go, b"\n")
    assert run.end()["code"] == 0
    assert host.log() == b"two\n" and host.log("moved") == b"one\n"


# ---- the end of the output


def test_all_that_was_written_is_in_the_log_before_exited(host: Host) -> None:
    run = host.bash("head -c 3000000 /dev/zero", mode="rotate", log_size=10**9, log_backups=1)
    run.record("exited")
    assert len(host.log()) == 3_000_000
    assert run.end()["code"] == 0


def test_a_daemons_output_is_pumped_while_it_lingers(host: Host) -> None:
    first, second = host.fifo("first"), host.fifo("second")
    daemon = "echo > sync; read x < second; echo late"
    run = host.bash(f"mkfifo sync; (setsid bash -c '{daemon}' &); read x < sync; read x < first", **ROTATE)
    main = os.pidfd_open(run.record("running")["pid"])
    os.write(first, b"\n")
    assert select.select([main], [], [], PATIENCE)[0]
    ended = time.monotonic()
    os.close(main)
    exited = run.record("exited")
    assert exited["daemons"] == 1 and exited["mono"] - ended < 1.5  # it did not wait for it
    os.write(second, b"\n")
    assert run.end()["kind"] == "gone" and host.log() == b"late\n"


def test_a_chatty_daemon_delays_exited_for_a_bounded_time(host: Host) -> None:
    run, _, _ = start_with_daemon(host)
    assert run.record("exited")
    run.signal(signal.SIGTERM)
    assert run.end()["kind"] == "gone"
    chatty = host.bash(
        "mkfifo sync2; (setsid bash -c 'echo > sync2; exec cat /dev/zero' &); read x < sync2",
        run=1,
        mode="rotate",
        log_size=10**7,
        log_backups=1,
    )
    assert chatty.record("exited")["daemons"] == 1
    chatty.signal(signal.SIGQUIT)
    assert chatty.end()["kind"] == "gone"


def test_a_full_log_disk_holds_the_process_and_loses_nothing(host: Host) -> None:
    """As if the disk held 50 kB: then there is room again."""
    go = host.fifo("go")
    line = "read x < go; head -c 400000 /dev/zero; exit 4"
    run = host.bash(line, mode="rotate", log_size=10**9, log_backups=1, wake="")
    run.record("running")
    hard = resource.prlimit(run.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (50_000, hard))
    os.write(go, b"\n")
    until(lambda: len(host.log()) == 50_000)  # the fault has fired
    assert stays_quiet(run, 0.3) and len(host.log()) == 50_000
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (hard, hard))
    assert run.end()["code"] == 4 and len(host.log()) == 400_000


def test_a_full_log_disk_does_not_hold_the_exit_for_ever(host: Host) -> None:
    go = host.fifo("go")
    run = host.bash("read x < go; head -c 10000 /dev/zero; exit 4", mode="rotate", log_size=10**9, log_backups=1)
    main = run.record("running")["pid"]
    hard = resource.prlimit(run.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (5000, hard))
    os.write(go, b"\n")
    wait_zombie(main)
    last = run.end()
    assert last["code"] == 4 and len(host.log()) == 5000
