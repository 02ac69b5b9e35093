"""One command that is run for its exit code and what it says: a health check, a hook.

A coordinator runs it without a checkpoint (docs/coordinator.md, "Into a pipe"), so everything holds that holds for the
processes of a task: the user and nothing but the user's groups, a session of its own, the whole tree killed at the
deadline, and all of it dead when we die. Nothing is written to disk. What it leaves in the background when it ends is
killed, too: an errand that is over is over.

`run` blocks and belongs into a worker thread; `cancel` is for any thread. No Python runs between fork and exec, so
threads are no danger.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from thermos.clock import now as look_at_clock
from thermos.core.fold import Run
from thermos.core.records import AnyRecord, Exited, Forked, Line, RecordReader, Running, SetupFailed
from thermos.host.kernel import Kernel
from thermos.host.proctree import sweep
from thermos.host.program import spawn_into_pipes
from thermos.host.spawn import RUN_MARKER, SHELL, render_fields
from thermos.host.users import Identity

#: Bytes that are kept of the beginning and of the end of what a command says.
KEPT = 2048

#: How long its tree may take to die before we go on without waiting for it.
KILL_PATIENCE_S = 2.0

_CHUNK = 64 * 1024
_RLIMIT_NOFILE = 7
_NAME = "errand"  # of the process in records


@dataclass(frozen=True, slots=True)
class Errand:
    """What to run and as whom. `identity` None: as ourselves. `cwd` is a path inside `root`, if there is one."""

    command: str
    cwd: Path
    env: Mapping[str, str]
    identity: Identity | None = None
    root: Path | None = None
    umask: int = 0o022
    nofile: tuple[int, int] | None = None
    label: str = "errand"  # for `ps`


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended: exactly one of `code`, `signal`, `failed` and `overdue` says so."""

    code: int | None = None
    signal: int | None = None
    failed: tuple[str, int] | None = None  # the step before the exec that failed, and its errno
    overdue: bool = False
    cancelled: bool = False
    left: bool = False  # something of it could not be killed in time
    output: bytes = b""
    cut: int = 0  # bytes that are missing in the middle of `output`


@dataclass(slots=True)
class _Output:
    """Beginning and end of what was said, however much that is."""

    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    cut: int = 0

    def add(self, data: bytes) -> None:
        room = KEPT - len(self.head)
        self.head += data[:room]
        self.tail += data[room:] if room > 0 else data
        if len(self.tail) > KEPT:
            self.cut += len(self.tail) - KEPT
            del self.tail[: len(self.tail) - KEPT]


class Runner:
    """Runs one errand again and again, never twice at a time. A coordinator that is still busy killing what can't be
    killed is remembered, and nothing new is started beside it."""

    def __init__(self, errand: Errand, kernel: Kernel | None = None) -> None:
        self._errand = errand
        self._kernel = kernel or Kernel()
        me = self._kernel.proc_stat(self._kernel.getpid())
        self._owner = (self._kernel.getpid(), me.start if me else 0)
        self._left: tuple[int, int] | None = None  # pid and pidfd
        self._lock = threading.Lock()
        self._wake: int | None = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._cancelled = False

    def cancel(self) -> None:
        """For good: what runs is killed, and nothing will run any more."""
        with self._lock:
            self._cancelled = True
            if self._wake is not None:
                os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """When no thread is in `run` any more."""
        with self._lock:
            if self._wake is not None:
                os.close(self._wake)
                self._wake = None
        self._is_one_left()

    def run(self, timeout_s: float) -> Outcome:
        """Raises OSError when nothing could be started."""
        if self._cancelled:
            return Outcome(cancelled=True)
        if self._is_one_left():
            return Outcome(overdue=True, left=True)
        deadline = look_at_clock().mono + timeout_s
        records, records_end = self._kernel.pipe()
        try:
            output, output_end = self._kernel.pipe()
        except OSError:
            self._kernel.close(records)
            self._kernel.close(records_end)
            raise
        try:
            nonce = self._kernel.nonce()
            try:
                pid = spawn_into_pipes(self._kernel, self._errand.label, self._render(nonce), records_end, output_end)
            finally:
                self._kernel.close(records_end)
                self._kernel.close(output_end)
            return self._attend(pid, nonce, records, output, deadline)
        finally:
            self._kernel.close(records)
            self._kernel.close(output)

    # -- while it runs

    def _attend(self, pid: int, nonce: str, records: int, output: int, deadline: float) -> Outcome:
        pidfd = self._watch(pid)
        attempt = _Attempt(self._kernel, nonce, pidfd, records, output, self._wake)
        outcome = attempt.attend(deadline)
        if outcome.left:
            self._left = pid, pidfd
            return outcome
        self._bury(pid, pidfd)
        attempt.sweep_if_lost()
        return outcome

    def _watch(self, pid: int) -> int:
        """Its pidfd, -1 if it has gone already (a runner in this process reaps orphans, and may have reaped it)."""
        try:
            return self._kernel.pidfd_open(pid)
        except ProcessLookupError:
            return -1
        except OSError:  # no descriptors
            status = self._kernel.proc_stat(pid)
            if status is not None and status.ppid == self._kernel.getpid():
                os.kill(pid, signal.SIGQUIT)
            raise

    def _is_one_left(self) -> bool:
        if self._left is None:
            return False
        pid, pidfd = self._left
        if not _is_readable(pidfd):
            return True
        self._bury(pid, pidfd)
        self._left = None
        return False

    def _bury(self, pid: int, pidfd: int) -> None:
        """It has ended, or is about to; somebody else of this process may have reaped it."""
        if pidfd < 0:
            return
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(KILL_PATIENCE_S * 1000)
        self._kernel.reap(pid)
        self._kernel.close(pidfd)

    # -- the orders

    def _render(self, nonce: str) -> bytes:
        return b"1\0" + render_fields(self._fields(nonce))

    def _fields(self, nonce: str) -> Iterator[tuple[str, object]]:
        errand = self._errand
        yield "process", _NAME
        yield "run", 0
        yield "records", "pipe"
        yield "destination", "console"
        for argument in (*SHELL, errand.command):
            yield "arg", argument
        for name, value in errand.env.items():
            if name != RUN_MARKER:
                yield "env", f"{name}={value}"
        yield "env", f"{RUN_MARKER}={nonce}"
        yield "cwd", errand.cwd
        yield "umask", errand.umask
        if errand.nofile is not None:
            yield "rlimit", "{}:{}:{}".format(_RLIMIT_NOFILE, *errand.nofile)
        if errand.root is not None:
            yield "chroot", errand.root
        if errand.identity is not None:
            yield "uid", errand.identity.uid
            yield "gid", errand.identity.gid
            yield "groups", ",".join(map(str, errand.identity.groups))
        yield "stop_wait", 0
        yield "on_owner_death", "stop"
        yield "owner", "{}:{}".format(*self._owner)


class _Attempt:
    """One execution, from the spawn to the end of its coordinator."""

    def __init__(self, kernel: Kernel, nonce: str, pidfd: int, records: int, output: int, wake: int | None) -> None:
        self._kernel = kernel
        self._pidfd = pidfd
        self._run = Run(process=_NAME, number=0, nonce=nonce, offset=0)
        self._records, self._output, self._wake = records, output, wake
        self._reader = RecordReader(0)
        self._said = _Output()
        self._end: Exited | SetupFailed | None = None
        self._killed = self._overdue = self._cancelled = False

    def attend(self, deadline: float) -> Outcome:
        poll = select.poll()
        for fd in (self._records, self._output, self._wake):
            if fd is not None:
                poll.register(fd, select.POLLIN)
        while True:
            left = deadline - look_at_clock().mono
            ready = [fd for fd, _ in poll.poll(left * 1000 + 1 if left > 0 else 0)]
            if self._records in ready and not self._read_records():
                return self._outcome(left=False)
            if self._output in ready and not self._read_output():
                poll.unregister(self._output)
            if self._wake in ready:
                poll.unregister(self._wake)
                self._cancelled = True
            if self._end is None and (self._cancelled or left <= 0) and not self._killed:
                self._overdue = left <= 0
            must_die = self._overdue or self._cancelled or isinstance(self._end, Exited)
            if must_die and not self._killed:
                self._kill()
                deadline = look_at_clock().mono + KILL_PATIENCE_S
            elif left <= 0:
                return self._outcome(left=True)

    def sweep_if_lost(self) -> None:
        """The coordinator was killed before it could tell the end: what it minded must not live on."""
        if self._end is None:
            sweep([self._run], self._kernel)

    def _kill(self) -> None:
        """Also when the main ended by itself: a daemon may be left. A coordinator that is done ignores it."""
        self._killed = True
        if self._pidfd < 0:
            return
        try:
            self._kernel.pidfd_signal(self._pidfd, signal.SIGQUIT)
        except ProcessLookupError:
            pass  # it has just ended

    def _read_records(self) -> bool:
        """False at their end."""
        while True:
            try:
                data = self._kernel.read(self._records, _CHUNK)
            except BlockingIOError:
                return True
            if not data:
                return False
            for line in self._reader.feed(data):
                if isinstance(line, Line):
                    self._learn(line.record)

    def _learn(self, record: AnyRecord | None) -> None:
        match record:
            case Forked(boot=boot, pidns=pidns):
                self._run.boot, self._run.pidns = boot, pidns
            case Running(pid=pid, start=start):
                self._run.pid, self._run.pid_start = pid, start
            case Exited() | SetupFailed():
                self._end = record

    def _read_output(self) -> bool:
        """One piece, so that a flood keeps nothing else waiting. False at its end, or when nothing is there."""
        try:
            data = self._kernel.read(self._output, _CHUNK)
        except BlockingIOError:
            return True
        self._said.add(data)
        return bool(data)

    def _outcome(self, *, left: bool) -> Outcome:
        pieces = 0
        while _is_readable(self._output) and pieces < 16 and self._read_output():  # a pipe holds no more
            pieces += 1
        output, cut = bytes(self._said.head + self._said.tail), self._said.cut
        if self._cancelled:
            return Outcome(cancelled=True, left=left, output=output, cut=cut)
        if self._overdue:
            return Outcome(overdue=True, left=left, output=output, cut=cut)
        match self._end:
            case Exited(code=code, signal=signum):
                return Outcome(code=code, signal=signum, left=left, output=output, cut=cut)
            case SetupFailed(stage=stage, errno=number):
                return Outcome(failed=(stage, number), left=left, output=output, cut=cut)
        return Outcome(failed=("coordinator", 0), left=left, output=output, cut=cut)


def _is_readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))
