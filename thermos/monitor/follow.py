"""What a task's records tell, for whoever does not own it: CLI, observer, tests. It tries no lock and writes nothing.

A reader folds `runner`, then what coordinators have added since (the tails of the inboxes, in the order of process
and seq). `read_task` does it once; a `Follower` goes on reading where it stopped, also when the owner has replaced a
long `runner` file by a snapshot: the old file is read to its end, then the new one from its start.

Whether somebody minds the task is told by the recorded owner's pid, start ticks, boot and pid namespace.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from thermos.core.fold import Applied, TaskRecord, fold
from thermos.core.records import (
    FORMAT,
    AnyRecord,
    BadLine,
    CoordinatorRecord,
    Line,
    RecordReader,
    RunRecord,
    Snapshot,
)
from thermos.core.states import Outcome
from thermos.errors import HostError
from thermos.host.checkpoint import TORN
from thermos.host.kernel import Kernel
from thermos.paths import TaskPaths, inbox_name

_CHUNK = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


class Attendance(StrEnum):
    """Is there a runner that minds the task?"""

    ATTENDED = "attended"
    UNATTENDED = "unattended"
    UNKNOWN = "unknown"  # another pid namespace, or no readable /proc


@dataclass(frozen=True, slots=True)
class Damage:
    """A line that does not count, and why; `file` is its name in the checkpoint directory."""

    file: str
    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class Event:
    """A record that a reader met for the first time, and what it did to the fold."""

    record: AnyRecord
    applied: Applied


@dataclass(slots=True)
class TaskView:
    """A task as its records tell it at one moment."""

    paths: TaskPaths
    task: TaskRecord
    attendance: Attendance
    unattended_since: float = 0.0  # wall; when the owner let go or was last heard of; 0 while attended
    damage: list[Damage] = field(default_factory=list)

    @property
    def readable(self) -> bool:
        """There is a header: these are records of ours."""
        return self.task.header is not None


def read_task(paths: TaskPaths, kernel: Kernel) -> TaskView:
    """The task as it stands. Raises HostError when its checkpoint is missing, not to be read, or newer than ours."""
    follower = Follower(paths, kernel)
    try:
        follower.read()
        return follower.view()
    finally:
        follower.close()


class _File:
    """One growing file: what was read of it, and its unfinished last line."""

    def __init__(self, name: str, kernel: Kernel, fd: int, offset: int = 0) -> None:
        self.name = name
        self._kernel = kernel
        self.fd = fd
        self.inode = kernel.fstat(fd).st_ino
        self.reader = RecordReader(offset)
        self._position = offset

    def lines(self) -> Iterator[Line | BadLine]:
        while data := self._kernel.pread(self.fd, _CHUNK, self._position):
            self._position += len(data)
            yield from self.reader.feed(data)

    def skip_to(self, offset: int) -> None:
        """Begin here; nothing may have been read yet."""
        self.reader = RecordReader(offset)
        self._position = offset

    def close(self) -> None:
        self._kernel.close(self.fd)


class Follower:
    """Reads a task's records as they come; `read` whenever something may have happened. Close it at the end."""

    def __init__(self, paths: TaskPaths, kernel: Kernel) -> None:
        self.paths = paths
        self.task = TaskRecord()
        self.damage: list[Damage] = []
        self._kernel = kernel
        self._heard_at = 0.0  # wall; last record in `runner`
        self._inboxes: dict[str, tuple[int, int]] = {}  # process -> (inode, offset of what is not read yet)
        self._told: dict[str, tuple[int, int]] = {}  # process -> (run, seq) of the last coordinator record given out
        try:
            self._dir_fd = kernel.open(paths.checkpoint, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise HostError(f"cannot read the checkpoint {paths.checkpoint}: {error.strerror}") from error
        try:
            self._runner = self._open("runner", 0)
        except OSError as error:
            kernel.close(self._dir_fd)
            raise HostError(f"cannot read {paths.runner}: {error.strerror}") from error

    def close(self) -> None:
        self._runner.close()
        self._kernel.close(self._dir_fd)

    def read(self) -> list[Event]:
        """Everything new since the last call, in order. Raises HostError for a format that is newer than ours."""
        events = list(self._read_runner())
        for name in sorted({*self.task.active, *self.task.unsettled}):
            events += self._read_inbox(name)
        header = self.task.header
        if header is not None and header.format > FORMAT:
            raise HostError(
                f"cannot read the checkpoint {self.paths.checkpoint}: format {header.format} is newer than ours"
            )
        return events

    def view(self) -> TaskView:
        """What was read so far, and whether somebody minds the task now."""
        attendance = self._attendance()
        torn = self._runner.reader.pending and attendance is not Attendance.ATTENDED
        damage = [*self.damage, *([Damage("runner", self._runner.reader.offset, TORN)] if torn else [])]
        since = self._heard_at if attendance is Attendance.UNATTENDED and not self.task.terminal else 0.0
        return TaskView(self.paths, self.task, attendance, since, damage)

    def _open(self, name: str, offset: int) -> _File:
        fd = self._kernel.open(name, _READ, dir_fd=self._dir_fd)
        if not stat.S_ISREG(self._kernel.fstat(fd).st_mode):
            self._kernel.close(fd)
            raise HostError(f"cannot read {self.paths.checkpoint / name}: it is not a file")
        return _File(name, self._kernel, fd, offset)

    def _read_runner(self) -> Iterator[Event]:
        yield from self._fold_runner()
        while self._was_replaced():
            yield from self._fold_runner()  # what came between the last look and the rename
            fresh = self._open("runner", 0)
            self._runner.close()
            self._runner = fresh
            yield from self._fold_runner()

    def _was_replaced(self) -> bool:
        try:
            now = self._kernel.stat("runner", dir_fd=self._dir_fd, follow=False)
        except FileNotFoundError:
            return False  # the checkpoint was removed; what we have is what there was
        return now.st_ino != self._runner.inode

    def _fold_runner(self) -> Iterator[Event]:
        for line in self._runner.lines():
            if isinstance(line, BadLine):
                self.damage.append(Damage("runner", line.offset, line.reason))
            elif line.record is not None:
                self._heard_at = max(self._heard_at, line.record.at)
                yield from self._apply(line.record, line.offset, "runner")

    def _read_inbox(self, process: str) -> Iterator[Event]:
        """What a process's coordinators have recorded and nobody has mirrored yet."""
        numbers = [*self.task.unsettled.get(process, ())]
        if process in self.task.active:
            numbers.append(self.task.active[process])
        runs = [run for number in numbers if (run := self.task.run(process, number)) is not None]
        name = inbox_name(process)
        begins = min((run.offset for run in runs), default=0)
        try:
            inbox = self._open(name, begins)
        except FileNotFoundError:
            return
        try:
            if begins and self._kernel.pread(inbox.fd, 1, begins - 1) != b"\n":
                return  # it began anew since we read `runner`, which tells where to read it by now
            inode, offset = self._inboxes.get(process, (inbox.inode, 0))
            if inode == inbox.inode and begins < offset <= self._kernel.fstat(inbox.fd).st_size:
                inbox.skip_to(offset)  # else a long inbox began anew
            for line in inbox.lines():
                yield from self._apply_inbox(process, name, line)
            self._inboxes[process] = (inbox.inode, inbox.reader.offset)
        finally:
            inbox.close()

    def _apply_inbox(self, process: str, name: str, line: Line | BadLine) -> Iterator[Event]:
        if isinstance(line, BadLine):
            self.damage.append(Damage(name, line.offset, line.reason))
            return
        record = line.record
        if not isinstance(record, CoordinatorRecord) or record.process != process:
            return
        run = self.task.run(process, record.run)
        if run is not None and record.seq > run.seq:
            yield from self._apply(record, line.offset, name)

    def _apply(self, record: AnyRecord, offset: int, file: str) -> Iterator[Event]:
        self.task, applied = fold(self.task, record)
        if isinstance(record, Snapshot):
            self._inboxes.clear()  # it may be older than what we have read of the inboxes
        if applied.outcome is Outcome.ILLEGAL:
            self.damage.append(Damage(file, offset, f"a {_kind(record)} record that can't be here"))
        elif applied.outcome is not Outcome.NOOP and self._is_news(record):
            yield Event(record, applied)

    def _is_news(self, record: AnyRecord) -> bool:
        """A coordinator's record is given out once, though it stands in two files and in snapshots."""
        if not isinstance(record, RunRecord) or record.seq < 0:
            return True
        key = (record.run, record.seq)
        if key <= self._told.get(record.process, (-1, -1)):
            return False
        self._told[record.process] = key
        return True

    def _attendance(self) -> Attendance:
        owner = self.task.owner
        if owner is None or self.task.released:
            return Attendance.UNATTENDED
        boot = self._kernel.boot_id()
        if owner.boot and boot and owner.boot != boot:
            return Attendance.UNATTENDED
        if owner.pidns != self._kernel.pid_namespace() or not owner.start:
            return Attendance.UNKNOWN
        status = self._kernel.proc_stat(owner.pid)
        if status is not None and status.start == owner.start and status.state not in ("Z", "X"):
            return Attendance.ATTENDED
        return Attendance.UNATTENDED


def _kind(record: AnyRecord) -> str:
    return str(record.__struct_config__.tag)


def follow(paths: TaskPaths, kernel: Kernel) -> Follower:
    """The reader's side of a task: a Follower that has read nothing yet. Raises HostError."""
    return Follower(paths, kernel)
