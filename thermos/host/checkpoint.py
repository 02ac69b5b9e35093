"""The checkpoint of one task as its owner holds it: the lock, the `runner` file, the inboxes, the FIFO `wake`.

`runner` is append-only; whoever holds `flock` on it owns the task. A file that ends in the middle of a line gets `!`
and LF first: damage stays one bad line, and one that lacked nothing but its LF, which this owner did not count, is
not counted by the next one either. Everything is opened through the directory's descriptor without following links,
and as root only when root owns it.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from thermos.core.records import BadLine, Line, Owner, Record, RecordReader, encode_record
from thermos.errors import HostError, NotOwner
from thermos.host.kernel import Kernel, is_disk_full
from thermos.paths import TaskPaths, inbox_name

_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
_CHUNK = 1 << 20

#: Why the last line does not count when it has no LF.
TORN = "torn line"
_SPOIL = b"!\n"

#: How long a lock may outlive its dead owner, and how often we look: a coordinator that was just spawned holds it, too,
#: from the moment when the owner goes on until the kernel closes the descriptors of the new program.
_LOCK_WAIT, _LOCK_LOOKS = 0.005, 200


class CannotRecord(HostError):
    """A record could not be written (or one in an inbox not be read); nothing was decided from it. Try again later."""


class Checkpoint:
    """Opened by `open_checkpoint`; close it to give the task up."""

    def __init__(self, paths: TaskPaths, kernel: Kernel, dir_fd: int, runner_fd: int, wake_fd: int) -> None:
        self.paths = paths
        self.dir_fd = dir_fd
        self.wake_fd = wake_fd
        self._kernel = kernel
        self._runner_fd = runner_fd
        self._torn = False  # the file does not end in LF
        self.size = 0

    def close(self) -> None:
        for fd in (self._runner_fd, self.wake_fd, self.dir_fd):
            self._kernel.close(fd)

    def load(self) -> tuple[list[Line], list[BadLine]]:
        """All lines of `runner`, good and bad; notes whether the last one is torn."""
        reader = RecordReader()
        good: list[Line] = []
        bad: list[BadLine] = []
        offset = 0
        while data := self._kernel.pread(self._runner_fd, _CHUNK, offset):
            offset += len(data)
            for line in reader.feed(data):
                if isinstance(line, Line):
                    good.append(line)
                else:
                    bad.append(line)
        if reader.pending:
            bad.append(BadLine(reader.offset, TORN))
        self._torn, self.size = bool(reader.pending), offset
        return good, bad

    def append(self, record: Record) -> None:
        self.append_raw(encode_record(record))

    def append_raw(self, lines: bytes) -> None:
        """Append whole lines. Raises CannotRecord; then nothing of `lines` counts."""
        data = _SPOIL + lines if self._torn else lines
        try:
            written = self._kernel.write(self._runner_fd, data)
        except OSError as error:
            raise cannot_record(self.paths.runner, error) from error
        self.size += written
        if written < len(data):
            # The complete lines of a short write stand; they are written again, and the fold takes the second as said.
            self._torn = not data[:written].endswith(b"\n") and (self._torn or written > 0)
            raise cannot_record(self.paths.runner, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        self._torn = False

    def replace(self, lines: bytes) -> None:
        """Put `lines` in the place of the whole `runner` file (new + rename, the lock held throughout)."""
        try:
            fresh = self._kernel.open("runner.new", _APPEND | os.O_TRUNC, dir_fd=self.dir_fd)
        except OSError as error:
            raise cannot_record(self.paths.runner, error) from error
        try:
            if not self._kernel.lock(fresh) or self._kernel.write(fresh, lines) < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._kernel.rename("runner.new", "runner", dir_fd=self.dir_fd)
        except OSError as error:
            self._kernel.close(fresh)
            self._kernel.unlink("runner.new", dir_fd=self.dir_fd)  # it takes space
            raise cannot_record(self.paths.runner, error) from error
        self._kernel.close(self._runner_fd)
        self._runner_fd, self.size, self._torn = fresh, len(lines), False

    def inbox_size(self, process: str) -> int:
        """0 when there is none."""
        try:
            return self._kernel.stat(inbox_name(process), dir_fd=self.dir_fd, follow=False).st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise cannot_read(self.paths.inbox(process), error) from error

    def drop_inbox(self, process: str) -> None:
        """Remove an inbox whose records are all mirrored; the next coordinator begins a new one."""
        try:
            self._kernel.unlink(inbox_name(process), dir_fd=self.dir_fd)
        except OSError as error:
            raise cannot_record(self.paths.inbox(process), error) from error

    def read_inbox(self, process: str, offset: int) -> bytes:
        """Everything from `offset` on; b"" when there is none."""
        fd = self._open_inbox(process)
        if fd is None:
            return b""
        try:
            data = self._kernel.pread(fd, _CHUNK, offset)
            while len(data) % _CHUNK == 0 and (more := self._kernel.pread(fd, _CHUNK, offset + len(data))):
                data += more
            return data
        except OSError as error:
            raise cannot_read(self.paths.inbox(process), error) from error
        finally:
            self._kernel.close(fd)

    def inbox_is_locked(self, process: str) -> bool:
        """Is a coordinator at work on it?"""
        fd = self._open_inbox(process)
        if fd is None:
            return False
        try:
            return self._kernel.is_locked(fd)
        finally:
            self._kernel.close(fd)

    def _open_inbox(self, process: str) -> int | None:
        try:
            return self._kernel.open(
                inbox_name(process), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self.dir_fd
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            raise cannot_read(self.paths.inbox(process), error) from error

    def finish(self) -> None:
        """The task is terminal: active becomes finished, its mtime the time of that. Idempotent."""
        try:
            self._kernel.touch(self.paths.active)
            self._kernel.rename(self.paths.active, self.paths.finished)
        except FileNotFoundError:
            return  # done already
        except OSError as error:
            raise cannot_record(self.paths.finished, error) from error


def cannot_record(path: Path, error: OSError) -> CannotRecord:
    if is_disk_full(error):
        return CannotRecord(f"cannot record: disk full ({path})")
    return CannotRecord(f"cannot record to {path}: {error.strerror}")


def cannot_read(path: Path, error: OSError) -> CannotRecord:
    return CannotRecord(f"cannot read {path}: {error.strerror}")


def open_checkpoint(paths: TaskPaths, kernel: Kernel, *, create: bool) -> Checkpoint:
    """Lock the task's `runner` file. Raises NotOwner (somebody has it), HostError (the place is unusable)."""
    try:
        if create:
            for directory in (paths.active.parent, paths.finished.parent, paths.checkpoint):
                kernel.mkdir(directory)
        dir_fd = kernel.open(paths.checkpoint, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        if create:
            raise HostError(f"cannot make the checkpoint directory {paths.checkpoint}: {error.strerror}") from error
        raise HostError(f"cannot find a checkpoint of task {paths.task_id} below {paths.root}") from error
    except OSError as error:
        raise HostError(f"cannot use the checkpoint directory {paths.checkpoint}: {error.strerror}") from error
    opened = [dir_fd]
    try:
        check_owner(paths.checkpoint, kernel.fstat(dir_fd), kernel)
        wake_fd = _open_wake(paths, kernel, dir_fd)
        opened.append(wake_fd)
        runner_fd = _lock_runner(paths, kernel, dir_fd)
    except OSError as error:
        _close_all(kernel, opened)
        raise HostError(f"cannot use the checkpoint {paths.checkpoint}: {error.strerror}") from error
    except HostError:
        _close_all(kernel, opened)
        raise
    return Checkpoint(paths, kernel, dir_fd, runner_fd, wake_fd)


def _close_all(kernel: Kernel, fds: list[int]) -> None:
    for fd in fds:
        kernel.close(fd)


def check_owner(path: Path, status: os.stat_result, kernel: Kernel) -> None:
    """A checkpoint that another user may write could name strangers' pids."""
    if status.st_uid != kernel.geteuid():
        raise HostError(f"cannot trust {path}: it belongs to uid {status.st_uid}, not to uid {kernel.geteuid()}")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise HostError(f"cannot trust {path}: others may write it (chmod go-w {path})")


def _open_wake(paths: TaskPaths, kernel: Kernel, dir_fd: int) -> int:
    """The FIFO by which coordinators wake their owner; made if missing, anything else in its place refused."""
    try:
        kernel.mkfifo("wake", dir_fd)
    except FileExistsError:
        pass  # made by an earlier owner
    fd = kernel.open("wake", os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=dir_fd)
    if not stat.S_ISFIFO(kernel.fstat(fd).st_mode):
        kernel.close(fd)
        raise HostError(f"cannot use {paths.checkpoint / 'wake'}: it is not a FIFO; remove it")
    return fd


def _lock_runner(paths: TaskPaths, kernel: Kernel, dir_fd: int) -> int:
    looks = 0
    while True:
        fd = kernel.open("runner", _APPEND, dir_fd=dir_fd)
        try:
            status = kernel.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise HostError(f"cannot use {paths.runner}: it is not a file")
            check_owner(paths.runner, status, kernel)
            if kernel.lock(fd):
                if kernel.stat("runner", dir_fd=dir_fd, follow=False).st_ino == status.st_ino:
                    return fd
            else:
                looks += 1
                owner = read_owner(kernel, fd)
                if looks > _LOCK_LOOKS or (owner is not None and is_alive(owner, kernel)):
                    raise NotOwner(f"task {paths.task_id} is owned by {_describe(owner)}")
                kernel.rest(_LOCK_WAIT)
        except BaseException:
            kernel.close(fd)
            raise
        kernel.close(fd)  # it was replaced meanwhile, or its owner is dead: look again


def read_owner(kernel: Kernel, fd: int) -> Owner | None:
    """The last owner record of a `runner` file."""
    owner = None
    reader, offset = RecordReader(), 0
    while data := kernel.pread(fd, _CHUNK, offset):
        offset += len(data)
        for line in reader.feed(data):
            if isinstance(line, Line) and isinstance(line.record, Owner):
                owner = line.record
    return owner


def is_alive(owner: Owner, kernel: Kernel) -> bool:
    """Is the process that wrote this record still there?"""
    if owner.boot != kernel.boot_id() or owner.pidns != kernel.pid_namespace():
        return False
    status = kernel.proc_stat(owner.pid)
    return status is not None and status.start == owner.start and status.state not in ("Z", "X")


def _describe(owner: Owner | None) -> str:
    if owner is None:
        return "a runner that is just starting"
    return f"runner pid {owner.pid} (uid {owner.uid})"
