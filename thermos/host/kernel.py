"""The seam to the kernel: every system call that owning a task needs, and nothing else.

Production forwards; tests replace all of it (a subclass that fails or dies at a chosen call) or nothing. Methods raise
OSError as the calls do; the ones that answer questions about processes return None for "can't be known".
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import resource
import select
import signal
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

_PR_SET_CHILD_SUBREAPER = 36
_CHECKPOINT_FD = 3  # of a coordinator
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
#: Everything a coordinator must find blocked when it starts; it reads them by signalfd.
_BLOCKED = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


class Stat(Struct, frozen=True):
    """What `/proc/PID/stat` says of a process; `start` in clock ticks since boot."""

    pid: int
    comm: str
    state: str
    ppid: int
    session: int
    start: int


def parse_stat(pid: int, text: bytes) -> Stat:
    """`comm` may hold anything, blanks and parentheses too: the last `)` ends it."""
    left, right = text.index(b"("), text.rindex(b")")
    fields = text[right + 2 :].split()
    comm = text[left + 1 : right].decode("utf-8", "replace")
    return Stat(pid, comm, fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


class Kernel:
    """Files, locks, processes and the identity of this boot."""

    # files ---------------------------------------------------------------------------------------------------------
    def open(self, path: str | Path, flags: int, mode: int = 0o644, dir_fd: int | None = None) -> int:
        """Never one of 0 to 3 (they may be closed): what somebody prints would go there; what we spawn has its own."""
        fd = os.open(path, flags | os.O_CLOEXEC, mode, dir_fd=dir_fd)
        if fd > _CHECKPOINT_FD:
            return fd
        try:
            return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _CHECKPOINT_FD + 1)
        finally:
            os.close(fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def read(self, fd: int, size: int) -> bytes:
        return os.read(fd, size)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        return os.pread(fd, size, offset)

    def write(self, fd: int, data: bytes) -> int:
        return os.write(fd, data)

    def fstat(self, fd: int) -> os.stat_result:
        return os.fstat(fd)

    def stat(self, path: str | Path, dir_fd: int | None = None, follow: bool = True) -> os.stat_result:
        return os.stat(path, dir_fd=dir_fd, follow_symlinks=follow)

    def mkdir(self, path: Path, mode: int = 0o755) -> None:
        path.mkdir(mode=mode, parents=True, exist_ok=True)

    def mkfifo(self, name: str, dir_fd: int) -> None:
        os.mkfifo(name, 0o600, dir_fd=dir_fd)

    def rename(self, old: str | Path, new: str | Path, dir_fd: int | None = None) -> None:
        os.rename(old, new, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)

    def unlink(self, path: str | Path, dir_fd: int | None = None) -> None:
        os.unlink(path, dir_fd=dir_fd)

    def touch(self, path: Path) -> None:
        os.utime(path)

    def lock(self, fd: int) -> bool:
        """Take the exclusive lock without waiting; False when somebody holds it."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def is_locked(self, fd: int) -> bool:
        """Does somebody else hold the lock? The caller's own lock on `fd` is given up."""
        if not self.lock(fd):
            return True
        fcntl.flock(fd, fcntl.LOCK_UN)
        return False

    def rest(self, seconds: float) -> None:
        """Wait for something that sends no event. Only where that takes milliseconds."""
        select.select([], [], [], seconds)

    # processes -----------------------------------------------------------------------------------------------------
    def getpid(self) -> int:
        return os.getpid()

    def geteuid(self) -> int:
        return os.geteuid()

    def most_descriptors(self) -> int:
        """How many descriptors this process may have."""
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    def nonce(self) -> str:
        return os.urandom(8).hex()  # as `secrets` does, without its megabyte of modules

    def pipe(self) -> tuple[int, int]:
        """Both ends close-on-exec, the reading one never blocks; none is 0 to 3 (see `open`)."""
        ends = os.pipe2(os.O_CLOEXEC)
        try:
            read, write = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _CHECKPOINT_FD + 1) for end in ends)
        finally:
            for end in ends:
                os.close(end)
        os.set_blocking(read, False)
        return read, write

    def set_subreaper(self) -> bool:
        """Orphans of our coordinators become ours. False where the kernel refuses."""
        libc = ctypes.CDLL(None, use_errno=True)
        return bool(libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)

    def spawn(self, program: str, argv: Sequence[str], orders: bytes, checkpoint_fd: int) -> int:
        """Start a coordinator: orders on fd 0, checkpoint directory on fd 3, empty environment, all blocked."""
        return self._spawn(program, argv, orders, [(os.POSIX_SPAWN_DUP2, checkpoint_fd, _CHECKPOINT_FD)])

    def spawn_into_pipes(self, program: str, argv: Sequence[str], orders: bytes, records: int, output: int) -> int:
        """Likewise, with a pipe for its records in place of the checkpoint, and one for what its command prints."""
        wanted = ((output, 1), (output, 2), (records, _CHECKPOINT_FD))
        return self._spawn(program, argv, orders, [(os.POSIX_SPAWN_DUP2, fd, number) for fd, number in wanted])

    def _spawn(self, program: str, argv: Sequence[str], orders: bytes, actions: list[tuple[int, int, int]]) -> int:
        fd = os.memfd_create("orders", os.MFD_CLOEXEC)
        try:
            os.write(fd, orders)
            os.lseek(fd, 0, os.SEEK_SET)
            actions = [(os.POSIX_SPAWN_DUP2, fd, 0), *actions]
            return os.posix_spawn(program, list(argv), {}, file_actions=actions, setsigmask=_BLOCKED)
        finally:
            os.close(fd)

    def pidfd_open(self, pid: int) -> int:
        return os.pidfd_open(pid)

    def pidfd_signal(self, pidfd: int, signum: int) -> None:
        signal.pidfd_send_signal(pidfd, signum)

    def reap(self, pid: int) -> int | None:
        """Wait status of a child that ended, as os.waitpid gives it; None if it is not our child or still runs."""
        try:
            reaped, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return None
        return status if reaped else None

    # identity ------------------------------------------------------------------------------------------------------
    def boot_id(self) -> str:
        """ "" when /proc can't be read."""
        try:
            return Path(_BOOT_ID).read_text().strip()
        except OSError:
            return ""

    def pid_namespace(self) -> int:
        """0 when /proc can't be read."""
        try:
            return os.stat("/proc/self/ns/pid").st_ino
        except OSError:
            return 0

    def proc_stat(self, pid: int) -> Stat | None:
        """None when there is no such process, or no readable /proc."""
        try:
            return parse_stat(pid, Path(f"/proc/{pid}/stat").read_bytes())
        except (OSError, ValueError, IndexError):
            return None

    def proc_pids(self) -> list[int]:
        try:
            return [int(name) for name in os.listdir("/proc") if name.isdigit()]
        except OSError:
            return []

    def proc_uid(self, pid: int) -> int | None:
        try:
            return os.stat(f"/proc/{pid}").st_uid
        except OSError:
            return None

    def proc_environ(self, pid: int) -> bytes:
        """b"" when it can't be read (another user's process, a zombie)."""
        try:
            return Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return b""


def is_disk_full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
