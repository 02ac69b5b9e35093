"""The coordinators that are alive: one pidfd each, in one epoll set, so that waiting for all of them is one call."""

from __future__ import annotations

import errno
import select
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from thermos.core.fold import Run
from thermos.errors import HostError
from thermos.host.checkpoint import Checkpoint
from thermos.host.kernel import Kernel


class CannotWatch(HostError):
    """A coordinator can't be watched now (no descriptors); it says nothing about the coordinator. Try again later."""


@dataclass(slots=True, eq=False)
class Minder:
    """A coordinator at work on a run: one of our children, or one that an earlier owner started."""

    process: str
    run: int
    pid: int
    pidfd: int = -1  # -1: it was gone when we looked
    status: int | None = None  # wait status, once it ended and was our child

    @property
    def key(self) -> tuple[str, int]:
        return self.process, self.run


class Minders:
    """Living coordinators by (process, run). A run may have two for a moment (docs/coordinator.md, "superseded")."""

    def __init__(self, kernel: Kernel, wake_fd: int) -> None:
        self._kernel = kernel
        self._wake_fd = wake_fd
        self._epoll = select.epoll()
        self._epoll.register(wake_fd, select.EPOLLIN)
        self._of_run: dict[tuple[str, int], Minder] = {}
        self._of_fd: dict[int, Minder] = {}

    def fileno(self) -> int:
        return self._epoll.fileno()

    def __len__(self) -> int:
        """How many are alive, superseded ones too."""
        return len(self._of_fd)

    def __contains__(self, key: tuple[str, int]) -> bool:
        return key in self._of_run

    def __iter__(self) -> Iterator[Minder]:
        return iter(list(self._of_run.values()))

    def get(self, process: str, run: int) -> Minder | None:
        return self._of_run.get((process, run))

    def pids(self) -> list[int]:
        """Of all that are watched, superseded ones too."""
        return [minder.pid for minder in self._of_fd.values()]

    def poll(self) -> tuple[bool, list[Minder]]:
        """(did the FIFO wake us, coordinators that ended since; reaped and forgotten)."""
        woken, ended = False, []
        for fd, _ in self._epoll.poll(0):
            if fd == self._wake_fd:
                woken = True
            else:
                minder = self._of_fd[fd]
                minder.status = self._kernel.reap(minder.pid)
                self._forget(minder)
                ended.append(minder)
        return woken, ended

    def watch(self, process: str, run: int, pid: int, pidfd: int) -> None:
        minder = Minder(process, run, pid, pidfd)
        self._of_run[minder.key] = self._of_fd[pidfd] = minder
        self._epoll.register(pidfd, select.EPOLLIN)

    def watch_child(self, process: str, run: int, pid: int) -> None:
        """Watch the coordinator that we have spawned and not reaped. Raises CannotWatch."""
        self.watch(process, run, pid, self._open(pid))

    def _open(self, pid: int) -> int:
        try:
            return self._kernel.pidfd_open(pid)
        except OSError as error:
            if error.errno in (errno.ESRCH, errno.EINVAL):  # EINVAL: no pid can have this number
                raise ProcessLookupError from error
            raise CannotWatch(f"cannot watch coordinator pid {pid}: {error.strerror}") from error

    def adopt(self, run: Run, checkpoint: Checkpoint) -> bool:
        """Watch the coordinator that wrote a `forked` record; False when it has gone. Raises CannotWatch."""
        try:
            pidfd = self._open(run.coordinator)
        except (ProcessLookupError, OverflowError):
            return False
        if not self._wrote_it(run, checkpoint):
            self._kernel.close(pidfd)
            return False
        self.watch(run.process, run.number, run.coordinator, pidfd)
        return True

    def _wrote_it(self, run: Run, checkpoint: Checkpoint) -> bool:
        """Is the pid in the record still the process that wrote it? Without /proc its lock tells."""
        if run.boot not in ("", self._kernel.boot_id()) or run.pidns not in (0, self._kernel.pid_namespace()):
            return False
        status = self._kernel.proc_stat(run.coordinator)
        if status is not None and run.coordinator_start:
            ours = self._kernel.proc_uid(run.coordinator) in (None, self._kernel.geteuid())
            return ours and status.start == run.coordinator_start and status.session == run.coordinator
        return checkpoint.inbox_is_locked(run.process)

    def signal(self, process: str, run: int, signum: signal.Signals) -> None:
        """Tell the coordinator of a run; nothing happens if it has ended."""
        minder = self._of_run.get((process, run))
        if minder is None:
            return
        try:
            self._kernel.pidfd_signal(minder.pidfd, signum)
        except ProcessLookupError:
            pass  # it has just ended; its pidfd says so too

    def _forget(self, minder: Minder) -> None:
        self._epoll.unregister(minder.pidfd)
        self._kernel.close(minder.pidfd)
        del self._of_fd[minder.pidfd]
        if self._of_run.get(minder.key) is minder:
            del self._of_run[minder.key]

    def close(self) -> None:
        for minder in self._of_fd.values():
            self._kernel.close(minder.pidfd)
        self._of_fd.clear()
        self._epoll.close()
