"""One task of the host as the server holds it: where it is, its reader while it is active, what went wrong.

An active task keeps a Follower open and reads what is new when told that something changed. A finished one holds
nothing but its place: `load` reads it whole when somebody asks. Whatever a checkpoint says, reading it ends in a
note, never in an exception: tasks may forge what lies in their own directories.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from observer.core.executor_state import executor_view
from observer.core.source import Measured, Source, is_coherent
from observer.core.views import ExecutorView, IndexRow, Note
from observer.executor_file import NO_FILE, ExecutorFile, read_executor_file
from thermos.clock import Now
from thermos.core.fold import TaskRecord
from thermos.core.records import AnyRecord
from thermos.errors import ThermosError
from thermos.host.kernel import Kernel
from thermos.model import TaskSpec, decode_task
from thermos.monitor.follow import Damage, Event, Follower, TaskView
from thermos.paths import TaskPaths

#: What reading something forged or damaged may raise.
UNREADABLE = (
    ThermosError, OSError, msgspec.MsgspecError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError,
    RecursionError,
)  # fmt: skip

#: Bigger than this is no checkpoint of ours (the runner rewrites its file at 16 MB), and no config.
MAX_RUNNER = 128 * 1024 * 1024
MAX_CONFIG = 16 * 1024 * 1024


@dataclass(slots=True)
class Loaded:
    """A task as read at one moment; `cost` is about how many bytes of records there were."""

    record: TaskRecord
    spec: TaskSpec | None
    attendance: str = ""
    unattended_since: float = 0.0
    notes: tuple[Note, ...] = ()
    executor: ExecutorView | None = None
    executor_file: ExecutorFile = NO_FILE
    cost: int = 0


@dataclass(slots=True)
class Task:
    """`version` grows with every change that a page could show."""

    key: str
    paths: TaskPaths
    active: bool
    changed_at: float
    run_dir: Path | None = None  # of the Mesos executor run; its sandbox has to lie in here
    version: int = 0
    follower: Follower | None = None
    spec: TaskSpec | None = None
    trouble: str = ""  # why its records can't be read
    config_trouble: str = ""
    came_back: bool = False
    executor_file: ExecutorFile = NO_FILE
    measured: Measured = field(default_factory=Measured)
    row: IndexRow | None = None
    row_version: int = -1

    @property
    def task_id(self) -> str:
        return self.paths.task_id

    @property
    def root(self) -> str:
        return str(self.paths.root)

    @property
    def record(self) -> TaskRecord:
        """Of an active task; an empty one while it can't be read."""
        return self.follower.task if self.follower is not None else TaskRecord()

    def touch(self) -> None:
        self.version += 1

    # active ----------------------------------------------------------------------------------------------------------
    def read(self, kernel: Kernel) -> list[Event]:
        """What is new. Trouble ends the reader; the next call begins anew."""
        self.read_executor()
        try:
            if self.follower is None:
                self.follower = _open_follower(self.paths, kernel)
            events = self.follower.read()
            if not is_coherent(self.follower.task):
                raise ValueError("its records contradict each other")
        except UNREADABLE as error:
            self.close()
            self._set_trouble(_one_line(error))
            return []
        if self.trouble:
            self._set_trouble("")
        if events:
            self.touch()
        if self.spec is None:
            self.read_config()
        return events

    def read_executor(self) -> None:
        """Under Mesos: what its executor says of itself, if that is new."""
        if self.run_dir is None:
            return
        found = read_executor_file(self.run_dir, self.executor_file)
        if found is not self.executor_file:
            self.executor_file = found
            self.touch()

    def read_config(self) -> None:
        before = self.config_trouble
        self.spec, self.config_trouble = load_spec(self.paths)
        if self.spec is not None or before != self.config_trouble:
            self.touch()

    def _set_trouble(self, text: str) -> None:
        if text != self.trouble:
            self.trouble = text
            self.touch()

    def close(self) -> None:
        if self.follower is not None:
            self.follower.close()
            self.follower = None

    def now_loaded(self) -> Loaded:
        """An active task as it stands."""
        notes = [*self._own_notes()]
        if self.follower is None:
            return Loaded(TaskRecord(), self.spec, notes=tuple(notes))
        loaded = _loaded(self.follower.view(), self.spec, notes)
        loaded.executor = view_of_executor(self.executor_file)
        return loaded

    # finished --------------------------------------------------------------------------------------------------------
    def load(self, kernel: Kernel) -> Loaded:
        """Everything, read anew. May take a while: not for the event loop."""
        spec, config_trouble = load_spec(self.paths)
        notes = [Note(config_trouble, serious=True)] if config_trouble else []
        file = read_executor_file(self.run_dir, NO_FILE) if self.run_dir is not None else NO_FILE
        if file.trouble:
            notes.append(Note(file.trouble, serious=True))
        try:
            follower = _open_follower(self.paths, kernel)
            try:
                follower.read()
                loaded = _loaded(follower.view(), spec, notes)
                loaded.executor, loaded.executor_file = view_of_executor(file), file
                loaded.cost = self.paths.runner.stat().st_size
            finally:
                follower.close()
            if not is_coherent(loaded.record):
                raise ValueError("its records contradict each other")
        except UNREADABLE as error:
            return Loaded(TaskRecord(), spec, notes=(*notes, Note(_one_line(error), serious=True)), cost=1)
        return loaded

    def is_still(self, loaded: Loaded) -> bool:
        """An executor says its last words after its task has finished."""
        return self.run_dir is None or read_executor_file(self.run_dir, loaded.executor_file) is loaded.executor_file

    def _own_notes(self) -> list[Note]:
        troubles = (self.trouble, self.config_trouble, self.executor_file.trouble)
        notes = [Note(text, serious=True) for text in troubles if text]
        if self.came_back:
            notes.append(Note("it was finished and is active again"))
        return notes


def view_of_executor(file: ExecutorFile) -> ExecutorView | None:
    return executor_view(file.state, file.written_at) if file.state is not None else None


def read_records(paths: TaskPaths, kernel: Kernel) -> list[AnyRecord]:
    """All records in the order of the fold, for time travel; [] when they can't be read. Not for the event loop."""
    try:
        follower = _open_follower(paths, kernel)
    except UNREADABLE:
        return []
    try:
        return [event.record for event in follower.read()]
    except UNREADABLE:
        return []
    finally:
        follower.close()


def _open_follower(paths: TaskPaths, kernel: Kernel) -> Follower:
    follower = Follower(paths, kernel)
    size = paths.runner.stat().st_size
    if size > MAX_RUNNER:
        follower.close()
        raise ValueError(f"cannot read {paths.runner}: {size} bytes are too many for a checkpoint")
    return follower


def _loaded(view: TaskView, spec: TaskSpec | None, notes: list[Note]) -> Loaded:
    if not view.readable:
        notes = [*notes, Note("its checkpoint is corrupt or of an outdated format: it has no header", serious=True)]
    return Loaded(
        record=view.task,
        spec=spec,
        attendance="" if view.task.terminal else str(view.attendance),
        unattended_since=view.unattended_since,
        notes=(*notes, *_damage_notes(view.damage)),
    )


def _damage_notes(damage: list[Damage]) -> list[Note]:
    if not damage:
        return []
    first = damage[0]
    more = f" and {len(damage) - 1} more" if len(damage) > 1 else ""
    text = f"a damaged line in its checkpoint was skipped: {first.file}, byte {first.offset}: {first.reason}{more}"
    return [Note(text, serious=True)]


def load_spec(paths: TaskPaths) -> tuple[TaskSpec | None, str]:
    """The task's config, active or finished, or why there is none."""
    for path in (paths.active, paths.finished):
        try:
            return decode_task(_read_small(path)), ""
        except FileNotFoundError:
            continue
        except UNREADABLE as error:
            return None, f"cannot read {path}: {_one_line(error)}"
    return None, f"cannot read {paths.active}: it is gone"


def _read_small(path: Path) -> bytes:
    """A regular file that is not huge; a FIFO or a link to somewhere is refused."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_CONFIG:
            raise ValueError("it is not a small regular file")
        return file.read(MAX_CONFIG)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return (
        text if isinstance(error, ThermosError | ValueError | OSError) and text else f"{type(error).__name__}: {text}"
    )


def source_of(task: Task, ref: str, loaded: Loaded, now: Now, extra: tuple[Note, ...] = ()) -> Source:
    return Source(
        key=task.key,
        ref=ref,
        task_id=task.task_id,
        root=task.root,
        active=task.active,
        changed_at=task.changed_at,
        record=loaded.record,
        spec=loaded.spec,
        measured=task.measured,
        now=now,
        attendance=loaded.attendance,
        unattended_since=loaded.unattended_since,
        executor=loaded.executor,
        notes=(*loaded.notes, *extra),
    )
