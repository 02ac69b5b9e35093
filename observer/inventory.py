"""Which tasks this host has, kept up to date by events; whoever holds it never has to look for them.

Two kinds of places: standalone checkpoint roots, and the Mesos work directory below which every executor run brings a
root of its own. inotify tells what changes:

    a directory on the way to a root      -> look for roots again (`rescan`)
    `tasks/active`, `tasks/finished`      -> look at that one task (`_settle`)
    the checkpoint of an active task      -> read what is new (`_read`)
    `executor.json` of an active task     -> likewise

A slow rescan is the safety net; where inotify is out of instances or watches, it becomes the poll, and a note says so.
A root whose tasks are all finished is not watched. Nothing here waits: `on_readable` and `rescan` are called by the
loop, every change is told to `publish`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from observer.core.source import task_key
from observer.core.views import Note
from observer.executor_file import NAME as EXECUTOR_FILE
from observer.inotify import ENTRIES, Inotify, Mask
from observer.task import Task
from thermos.errors import HostError
from thermos.host.kernel import Kernel
from thermos.model import TASK_ID
from thermos.monitor.detect import find_tasks
from thermos.monitor.follow import Event
from thermos.paths import TaskPaths

#: The levels between a Mesos work directory and the run directories; `*` is any directory that is no link.
_MESOS_LEVELS = ("slaves", "*", "frameworks", "*", "executors", "*", "runs", "*")

_CHECKPOINT = Mask.MODIFY | Mask.CREATE | Mask.MOVED_TO | Mask.DELETE_SELF | Mask.ONLYDIR


class ChangeKind(StrEnum):
    APPEARED = "appeared"
    CHANGED = "changed"  # new records, or trouble came or went
    FINISHED = "finished"
    RETURNED = "returned"  # finished, then active again
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to a task; `events` are its new records."""

    kind: ChangeKind
    task: Task
    events: Sequence[Event] = ()


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look: checkpoint roots, and work directories of Mesos agents."""

    roots: tuple[Path, ...] = ()
    mesos_roots: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class _Watch:
    """Why a directory is watched: `root` of tasks, `key` of an active task, neither: it leads to roots. Only entries of
    this `name` matter; "": any."""

    path: str
    root: Path | None = None
    key: str = ""
    name: str = ""


class Inventory:
    """All tasks by key, and by id."""

    def __init__(
        self, places: Places, kernel: Kernel, publish: Callable[[Change], None], inotify: Inotify | None
    ) -> None:
        self.tasks: dict[str, Task] = {}
        self.by_id: dict[str, list[str]] = {}
        self.rescans = 0
        self.generation = 0  # grows when tasks come, go, finish or are touched on disk: what lists are ordered by
        self.trouble: dict[str, str] = {}  # path -> why it can't be read or watched
        self.inotify = inotify
        self._places = places
        self._kernel = kernel
        self._publish = publish
        self._watches: dict[int, _Watch] = {}
        self._wds: dict[str, int] = {}
        self._stale = False
        if inotify is None:
            self.trouble["inotify"] = "the kernel has no inotify instance left: changes are found by polling"

    # questions -------------------------------------------------------------------------------------------------------
    @property
    def is_polling(self) -> bool:
        """Something is not watched: rescans have to be frequent."""
        return "inotify" in self.trouble

    def find(self, ref: str) -> Task | None:
        """By key, or by id: the newest one then, an active one before a finished one."""
        if ref in self.tasks:
            return self.tasks[ref]
        known = [self.tasks[key] for key in self.by_id.get(ref, ())]
        return max(known, key=lambda task: (task.active, task.changed_at), default=None)

    def ref_of(self, task: Task) -> str:
        """The shortest address that means this task and no other."""
        return task.task_id if len(self.by_id.get(task.task_id, ())) < 2 else task.key

    def others(self, task: Task) -> list[Task]:
        """Tasks of the same id under other roots."""
        return [self.tasks[key] for key in self.by_id.get(task.task_id, ()) if key != task.key]

    @property
    def watches(self) -> int:
        """Directories that inotify watches for us."""
        return len(self._watches)

    def active(self) -> list[Task]:
        return [task for task in self.tasks.values() if task.active]

    def notes(self) -> tuple[Note, ...]:
        return tuple(Note(text, serious=True) for text in self.trouble.values())

    # events ----------------------------------------------------------------------------------------------------------
    def on_readable(self) -> None:
        """inotify has something to say."""
        if self.inotify is None:
            return
        dirty: dict[str, None] = {}
        names: dict[tuple[Path, str], None] = {}
        for happening in self.inotify.read():
            if happening.mask & Mask.Q_OVERFLOW:
                self._stale = True
                continue
            watch = self._watches.get(happening.wd)
            if watch is None:
                continue
            if happening.mask & Mask.IGNORED:
                self._forget_watch(happening.wd)
                self._stale = True
            elif watch.key:
                if watch.name in ("", happening.name):
                    dirty[watch.key] = None
            elif watch.root is not None and not happening.mask & Mask.ISDIR:
                names[(watch.root, happening.name)] = None
            elif watch.name in ("", happening.name):
                self._stale = True
        for key in dirty:
            self._read(key)
        for root, name in names:
            self._settle_name(root, name)
        if self._stale:
            self.rescan()

    def rescan(self) -> None:
        """Look at everything: roots, tasks, and active tasks' records; arm what should be watched."""
        self.rescans += 1
        for _ in range(len(_MESOS_LEVELS)):  # what came before its directory was watched is found by another look
            self._stale = False
            if not self._look():
                break
        for task in self.active():  # after arming: nothing is missed in between
            self._read(task.key)
        self._stale = False  # what went meanwhile is for the next look

    def _look(self) -> bool:
        """One look at all places; True when new watches were armed."""
        for path in [p for p in self.trouble if p != "inotify"]:
            del self.trouble[path]
        wanted: dict[str, _Watch] = {}
        of_mesos = [root for work_dir in self._places.mesos_roots for root in self._mesos_roots(work_dir, wanted)]
        roots = list(dict.fromkeys([*self._places.roots, *of_mesos]))
        seen: set[str] = set()
        for root in roots:
            seen |= self._scan_root(root, wanted)
        for key in [key for key in self.tasks if key not in seen]:
            self._remove(self.tasks[key])
        return self._arm(wanted)

    def _scan_root(self, root: Path, wanted: dict[str, _Watch]) -> set[str]:
        try:
            found = find_tasks([root])
        except HostError as error:
            self.trouble[str(root)] = str(error)
            return {task.key for task in self.tasks.values() if task.paths.root == root}
        for each in found:
            self._settle(root, each.task_id)
        tasks = [task for each in found if (task := self.tasks.get(task_key(each.task_id, str(root)))) is not None]
        if root in self._places.roots or not tasks or any(task.active for task in tasks):
            self._want_root(root, wanted)
        for task in tasks:
            if task.active:
                self._want_checkpoint(task, wanted)
        return {task.key for task in tasks}

    def _settle_name(self, root: Path, name: str) -> None:
        if TASK_ID.fullmatch(name) is None:
            return  # a file that is just being written
        task = self._settle(root, name)
        if task is not None and task.active:
            wanted: dict[str, _Watch] = {}
            self._want_checkpoint(task, wanted)
            for path, watch in wanted.items():
                self._add_watch(path, watch)
            self._read(task.key)

    def _settle(self, root: Path, task_id: str) -> Task | None:
        """Is it active, finished or gone? Tell what changed."""
        paths = TaskPaths(root, task_id)
        key = task_key(task_id, str(root))
        known = self.tasks.get(key)
        active_at, finished_at = _mtime(paths.active), _mtime(paths.finished)
        changed_at = active_at if active_at is not None else finished_at
        if changed_at is None:
            if known is not None:
                self._remove(known)
            return None
        if known is None:
            return self._add(key, paths, active_at is not None, changed_at)
        if known.changed_at != changed_at:
            known.changed_at = changed_at
            known.touch()
            self.generation += 1
        if known.active and active_at is None:
            self._finish(known)
        elif not known.active and active_at is not None:
            known.active = known.came_back = True
            known.touch()
            self.generation += 1
            self._publish(Change(ChangeKind.RETURNED, known))
        return known

    def _add(self, key: str, paths: TaskPaths, active: bool, changed_at: float) -> Task:
        mesos = paths.root not in self._places.roots
        task = Task(key, paths, active, changed_at, run_dir=paths.root.parent if mesos else None)
        self.tasks[key] = task
        others = self.by_id.setdefault(paths.task_id, [])
        for other in others:
            self.tasks[other].touch()  # its address changes
        others.append(key)
        self.generation += 1
        self._publish(Change(ChangeKind.APPEARED, task))
        return task

    def _finish(self, task: Task) -> None:
        """The last records first, then the news; it costs nothing from now on."""
        events = task.read(self._kernel)
        task.active = False
        self._put_to_rest(task)
        self._publish(Change(ChangeKind.FINISHED, task, events))

    def _remove(self, task: Task) -> None:
        task.active = False
        self._put_to_rest(task)
        del self.tasks[task.key]
        keys = self.by_id[task.task_id]
        keys.remove(task.key)
        if not keys:
            del self.by_id[task.task_id]
        for other in keys:
            self.tasks[other].touch()
        self._publish(Change(ChangeKind.REMOVED, task))

    def _put_to_rest(self, task: Task) -> None:
        self.generation += 1
        task.close()
        task.spec = None
        task.measured = type(task.measured)()
        task.touch()
        for path in (task.paths.checkpoint, task.run_dir):
            wd = self._wds.get(str(path))
            if wd is not None and self.inotify is not None:
                self.inotify.drop(wd)
                self._forget_watch(wd)

    def _read(self, key: str) -> None:
        task = self.tasks.get(key)
        if task is None or not task.active:
            return
        before = task.version
        events = task.read(self._kernel)
        if task.version != before:
            self._publish(Change(ChangeKind.CHANGED, task, events))

    # watches ---------------------------------------------------------------------------------------------------------
    def _mesos_roots(self, work_dir: Path, wanted: dict[str, _Watch]) -> Iterator[Path]:
        """Checkpoint roots below a work directory; on the way, wants watches where new ones would appear."""
        if not work_dir.is_dir():
            _want_way_to(work_dir, wanted)
            return
        level = [str(work_dir)]
        for name in _MESOS_LEVELS:
            if name == "*":
                for directory in level:
                    wanted[directory] = _Watch(directory)
                level = [child for directory in level for child in _directories(directory)]
                continue
            below = []
            for directory in level:
                path = f"{directory}/{name}"
                if Path(path).is_dir():
                    below.append(path)
                else:
                    wanted[directory] = _Watch(directory, name=name)
            level = below
        for run_dir in level:
            root = Path(run_dir, "checkpoints")
            if root.is_dir() and not root.is_symlink():
                yield root
            else:
                wanted[run_dir] = _Watch(run_dir, name="checkpoints")

    def _want_root(self, root: Path, wanted: dict[str, _Watch]) -> None:
        for directory in (root / "tasks" / "active", root / "tasks" / "finished"):
            if directory.is_dir():
                wanted[str(directory)] = _Watch(str(directory), root=root)
            else:
                _want_way_to(directory, wanted)

    def _want_checkpoint(self, task: Task, wanted: dict[str, _Watch]) -> None:
        path = task.paths.checkpoint
        if path.is_dir():
            wanted[str(path)] = _Watch(str(path), key=task.key)
        else:
            _want_way_to(path, wanted)
        if task.run_dir is not None:
            directory = str(task.run_dir)
            wanted[directory] = _Watch(directory, key=task.key, name=EXECUTOR_FILE)

    def _arm(self, wanted: dict[str, _Watch]) -> bool:
        if self.inotify is None:
            return False
        for path in [path for path in self._wds if path not in wanted]:
            wd = self._wds[path]
            self.inotify.drop(wd)
            self._forget_watch(wd)
        return sum(self._add_watch(path, watch) for path, watch in wanted.items()) > 0

    def _add_watch(self, path: str, watch: _Watch) -> bool:
        """True when it is new."""
        if self.inotify is None or path in self._wds:
            return False
        try:
            wd = self.inotify.watch(path, _CHECKPOINT if watch.key and not watch.name else ENTRIES)
        except FileNotFoundError:
            self._stale = True  # it went meanwhile
            return False
        except OSError as error:
            text = f"cannot watch {path}: {error.strerror}; changes are found by polling"
            self.trouble.setdefault("inotify", text)
            return False
        self._wds[path] = wd
        self._watches[wd] = watch
        return True

    def _forget_watch(self, wd: int) -> None:
        watch = self._watches.pop(wd, None)
        if watch is not None:
            self._wds.pop(watch.path, None)

    def close(self) -> None:
        for task in self.tasks.values():
            task.close()
        if self.inotify is not None:
            self.inotify.close()
            self.inotify = None


def _want_way_to(path: Path, wanted: dict[str, _Watch]) -> None:
    """The deepest directory there is on the way to `path`, for the next name on it."""
    for child in (path, *path.parents):
        parent = str(child.parent)
        if child.parent.is_dir():
            known = wanted.get(parent)
            if known is None:
                wanted[parent] = _Watch(parent, name=child.name)
            elif known.root is None and not known.key and known.name != child.name:
                wanted[parent] = _Watch(parent)
            return


def _mtime(path: Path) -> float | None:
    try:
        return path.lstat().st_mtime
    except OSError:
        return None


def _directories(directory: str) -> Iterable[str]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []  # gone meanwhile, or not ours to see: its tasks aren't either
