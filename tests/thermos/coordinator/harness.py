"""Plays the owner of runs: writes orders, spawns a coordinator as the runner does, and waits for facts.

Nothing here sleeps or polls: every wait is a select() on the FIFO `wake`, a pidfd or a pipe of the test, and its
timeout only ever means failure. Every record that is read is checked: checksum, key order, run and sequence numbers.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import re
import select
import signal
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 60.0  # seconds until a test that waits has failed
WAKE = "token"

HEAD = ["kind", "process", "run", "seq", "at", "mono"]
KEYS = {
    "forked": ["pid", "start", "boot", "pidns"],
    "running": ["pid", "start"],
    "setup_failed": ["stage", "errno"],
    "stopped": ["why", "signal", "signalled", "left", "killed", "killed_count", "daemons", "refused"],
    "exited": ["code", "signal", "utime", "stime", "maxrss", "daemons"],
    "gone": [],
}
STAMP = re.compile(rb'"(?:at|mono|utime|stime)":\d+\.\d{6}[,}]')

Record = dict[str, Any]
LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Program:
    """One of the programs that keep the contract."""

    name: str
    argv: tuple[str, ...]
    has_proc: bool = True


def become_subreaper() -> None:
    """Strays of a killed coordinator land with the test, as they would with a runner."""
    assert LIBC.prctl(36, 1, 0, 0, 0) == 0


def encode_orders(fields: Iterable[tuple[str, object]], version: bytes = b"1") -> bytes:
    out = [version]
    for key, value in fields:
        out.append(key.encode() + b"=" + (value if isinstance(value, bytes) else str(value).encode()))
    return b"".join(part + b"\0" for part in out)


def parse_record(line: bytes) -> Record:
    """One line of an inbox, checked to the letter."""
    checksum, space, text = line[:8], line[8:9], line[9:]
    assert space == b" " and checksum == b"%08x" % zlib.crc32(text), line
    record: Record = json.loads(text)
    assert list(record) == HEAD + KEYS[record["kind"]], line
    assert len(STAMP.findall(text)) == (4 if record["kind"] == "exited" else 2), line
    if record["process"] == "p":
        assert b" " not in text, line
    if record["kind"] == "exited":
        assert (record["code"] is None) != (record["signal"] is None), line
    return record


def stat_fields(pid: int) -> list[str]:
    """Fields 3.. of /proc/PID/stat (index 0 is the state); empty if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    return text.rpartition(") ")[2].split()


def is_alive(pid: int) -> bool:
    return stat_fields(pid)[:1] not in ([], ["Z"], ["X"])


def children_of(pid: int) -> list[int]:
    """Children of a single-threaded process, from a scan of /proc."""
    return [int(p.name) for p in Path("/proc").glob("[0-9]*") if stat_fields(int(p.name))[1:2] == [str(pid)]]


class Started:
    """One coordinator that was spawned; `pid` is unreaped until wait()."""

    def __init__(self, host: Host, pid: int, run: int) -> None:
        self.host, self.pid, self.run = host, pid, run
        self.pidfd = os.pidfd_open(pid)
        self.status: int | None = None

    def wait(self) -> int:
        """The exit code (negative: the signal that killed it)."""
        if self.status is None:
            ready, _, _ = select.select([self.pidfd], [], [], PATIENCE)
            assert ready, f"coordinator does not end; inbox: {self.host.raw()!r}"
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self.pidfd)
        return self.status

    def signal(self, number: int) -> None:
        signal.pidfd_send_signal(self.pidfd, number)

    def has_ended(self) -> bool:
        return self.status is not None or bool(select.select([self.pidfd], [], [], 0)[0])

    def record(self, kind: str) -> Record:
        """Waits for a record of this run."""
        return self.host.wait_for(
            lambda: next((r for r in self.host.records(self.run) if r["kind"] == kind), None), kind, self
        )

    def kinds(self) -> list[str]:
        return [r["kind"] for r in self.host.records(self.run)]

    def finish(self) -> list[Record]:
        """Waits for a successful end; its records."""
        assert self.wait() == 0, self.host.raw()
        return self.host.records(self.run)

    def end(self) -> Record:
        """The last record after a successful end."""
        return self.finish()[-1]


@dataclass
class Host:
    """A checkpoint directory, a sandbox and logs: what one process's coordinators are given."""

    program: Program
    root: Path
    console: tuple[int, int] | None = None  # fds handed as 1 and 2
    records_to: int | None = None  # fd handed as 3 in place of the checkpoint directory
    started: list[Started] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.task = self.root / "task"
        self.logs = self.root / "logs"
        self.sandbox = self.root / "sandbox"
        for path in (self.task, self.logs, self.sandbox):
            path.mkdir()
        os.mkfifo(self.task / "wake")
        os.mkfifo(self.sandbox / "never")  # `read x <> never` waits for ever
        (self.sandbox / "never").chmod(0o666)
        self.wake = os.open(self.task / "wake", os.O_RDWR | os.O_NONBLOCK)
        self.inbox = self.task / "coordinator.p"

    # ---- orders and start

    def orders(self, *command: str, run: int = 0, **more: object) -> list[tuple[str, object]]:
        """Orders for a command, logging to files; a keyword of None leaves its key out, a list repeats it."""
        plain: dict[str, object] = {
            "process": "p",
            "run": run,
            "inbox": "coordinator.p",
            "wake": WAKE,
            "cwd": self.sandbox,
            "log_base": self.root,
            "log_dir": f"logs/p/{run}",
            "env": ["PATH=/usr/bin:/bin"],
        }
        plain.update(more)
        fields: list[tuple[str, object]] = []
        for key, value in plain.items():
            if value is not None:
                fields += [(key, v) for v in value] if isinstance(value, list) else [(key, value)]
        return fields + [("arg", word) for word in command]

    def spawn(self, data: bytes, run: int = 0, stdin: int | None = None) -> Started:
        """posix_spawn with everything blocked, like the runner; the test's own fds are close-on-exec."""
        orders = os.memfd_create("orders")
        os.write(orders, data)
        os.lseek(orders, 0, os.SEEK_SET)
        null = os.open("/dev/null", os.O_RDWR)
        directory = os.open(self.task, os.O_RDONLY | os.O_DIRECTORY)
        third = directory if self.records_to is None else self.records_to
        wanted = [orders if stdin is None else stdin, *(self.console or (null, 2)), third]
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20) for fd in wanted]
        actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(high)]
        actions += [(os.POSIX_SPAWN_DUP2, null, 9)]  # a leaked descriptor
        pid = os.posix_spawn(
            self.program.argv[0],
            [*self.program.argv, f"task/p/{run}"],
            {},
            file_actions=actions,
            setsigmask=signal.valid_signals(),
        )
        for fd in (orders, null, directory, *high):
            os.close(fd)
        self.started.append(Started(self, pid, run))
        return self.started[-1]

    def start(self, *command: str, run: int = 0, **more: object) -> Started:
        return self.spawn(encode_orders(self.orders(*command, run=run, **more)), run)

    def bash(self, line: str, run: int = 0, **more: object) -> Started:
        return self.start("/bin/bash", "-c", line, run=run, **more)

    # ---- facts

    def raw(self) -> bytes:
        return self.inbox.read_bytes() if self.inbox.exists() else b""

    def records(self, run: int | None = None) -> list[Record]:
        """All whole records so far (lines with a bad checksum are left out, as every reader does)."""
        good = []
        for line in self.raw().split(b"\n")[:-1]:
            if line[:8] == b"%08x" % zlib.crc32(line[9:]):
                good.append(parse_record(line))
        mine = [r for r in good if run is None or r["run"] == run]
        if run is not None:
            assert [r["seq"] for r in mine] == list(range(len(mine))), mine
        return mine

    def wait_for(self, look: Callable[[], Any], what: str, who: Started | None = None) -> Any:
        """Waits until look() gives something, woken by the FIFO alone."""
        deadline = time.monotonic() + PATIENCE
        watched = [self.wake] + ([who.pidfd] if who and who.status is None else [])
        while (found := look()) is None:
            ready, _, _ = select.select(watched, [], [], max(0.0, deadline - time.monotonic()))
            if self.wake in ready:
                os.read(self.wake, 65536)
            elif (found := look()) is not None:
                return found
            else:
                raise AssertionError(f"no {what}; inbox: {self.raw()!r}")
        return found

    def pokes(self) -> bytes:
        """What lies in the FIFO now."""
        try:
            return os.read(self.wake, 65536)
        except BlockingIOError:
            return b""

    def log(self, name: str = "stdout", run: int = 0) -> bytes:
        return (self.logs / "p" / str(run) / name).read_bytes()

    # ---- meeting points for commands under test

    def fifo(self, name: str) -> int:
        """A FIFO in the sandbox that commands write to or read from, open at our side."""
        path = self.sandbox / name
        os.mkfifo(path)
        path.chmod(0o666)
        return os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def clean_up(self) -> None:
        """Ends whatever a failed test left; a good test leaves nothing (asserted by the fixture)."""
        for started in self.started:
            if not started.has_ended():
                started.signal(signal.SIGQUIT)
                if not select.select([started.pidfd], [], [], 3)[0]:
                    started.signal(signal.SIGKILL)
            if started.status is None:
                started.wait()
        os.close(self.wake)


def read_line(fd: int) -> str:
    """The next line from a FIFO or pipe of the test."""
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([fd], [], [], PATIENCE)
        assert ready, f"nothing more after {line!r}"
        line += os.read(fd, 1)
    return line.decode().strip()


def wait_gone(pids: Iterable[int]) -> None:
    """Waits by pidfd until none of these processes runs (ours are reaped)."""
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ready, _, _ = select.select([fd], [], [], PATIENCE)
        os.close(fd)
        assert ready, f"process {pid} is still alive"


def wait_zombie(pid: int) -> None:
    fd = os.pidfd_open(pid)
    assert select.select([fd], [], [], PATIENCE)[0]
    os.close(fd)
    assert stat_fields(pid)[0] == "Z"


def stays_quiet(run: Started, seconds: float = 0.3) -> bool:
    """For a while nothing is recorded and the coordinator does not end. (The FIFO is no witness: the poke of an earlier
    record may still be on its way.)"""
    before = run.host.records()
    ended = select.select([run.pidfd], [], [], seconds)[0]
    return not ended and run.host.records() == before


def wait_stuck(host: Host) -> None:
    """Until a coordinator has said that it can't record."""
    said = b""
    while b"!stuck " not in said:
        assert select.select([host.wake], [], [], PATIENCE)[0], f"nobody is stuck; inbox: {host.raw()!r}"
        said += host.pokes()


def until(look: Callable[[], bool]) -> None:
    """For the few facts that no event tells: asks again and again until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < deadline, "it never became so"
        os.sched_yield()
