"""Which tasks there are: checkpoint roots, and the tasks below each.

A standalone root holds `tasks/active/<id>`, `tasks/finished/<id>` and `checkpoints/<id>/`. Under Mesos every executor
run has a root of its own in its sandbox; `mesos_roots` finds them all below the agent's work directory, each once
(`latest` is only a link to one of them). Nothing here opens a checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from thermos.errors import HostError
from thermos.model import TASK_ID
from thermos.paths import TaskPaths

#: The levels between a Mesos work directory and a checkpoint root; `*` is any directory that is no link.
_MESOS_LEVELS = ("slaves", "*", "frameworks", "*", "executors", "*", "runs", "*", "checkpoints")


@dataclass(frozen=True, slots=True)
class Found:
    """A task id below a root; `active` says in which of the two directories its JSON lies."""

    root: Path
    task_id: str
    active: bool

    @property
    def paths(self) -> TaskPaths:
        return TaskPaths(self.root, self.task_id)


def mesos_roots(mesos_root: Path) -> list[Path]:
    """The checkpoint roots of all executor runs below a Mesos work directory; [] when there is none."""
    level = [mesos_root]
    for name in _MESOS_LEVELS:
        if name == "*":
            level = [child for directory in level for child in _directories(directory)]
        else:
            level = [directory / name for directory in level if (directory / name).is_dir()]
    return level


def _directories(directory: Path) -> list[Path]:
    try:
        with os.scandir(directory) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []  # gone meanwhile, or not ours to see: its tasks aren't either


def find_tasks(roots: Iterable[Path]) -> list[Found]:
    """All tasks below these roots: active ones first, each kind by id. A root that does not exist has none.

    Raises HostError when a root may not be read.
    """
    found = [task for root in dict.fromkeys(roots) for task in _tasks_of(root)]
    return sorted(found, key=lambda task: (not task.active, task.task_id, task.root))


def _tasks_of(root: Path) -> Iterator[Found]:
    active = _ids(root / "tasks" / "active")
    for task_id in active:
        yield Found(root, task_id, True)
    for task_id in _ids(root / "tasks" / "finished") - active:
        yield Found(root, task_id, False)


def _ids(directory: Path) -> set[str]:
    """Names that are task ids; files that are just being written have a dot in front."""
    try:
        return {entry.name for entry in directory.iterdir() if TASK_ID.fullmatch(entry.name)}
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise HostError(f"cannot read {directory}: {error.strerror}") from error
