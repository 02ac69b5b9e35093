"""Where things of a task lie below a checkpoint root (spec/thermos.md §2.1)."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from thermos.errors import UserError
from thermos.model import TASK_ID


class TaskPaths(Struct, frozen=True):
    """Paths of one task id below one root."""

    root: Path
    task_id: str

    @property
    def active(self) -> Path:
        """The task as JSON while it is active."""
        return self.root / "tasks" / "active" / self.task_id

    @property
    def finished(self) -> Path:
        """The same file once the task is terminal; its mtime is the finish time."""
        return self.root / "tasks" / "finished" / self.task_id

    @property
    def checkpoint(self) -> Path:
        """Directory of `runner`, `coordinator.<process>` and the FIFO `wake`."""
        return self.root / "checkpoints" / self.task_id

    @property
    def runner(self) -> Path:
        return self.checkpoint / "runner"

    def inbox(self, process: str) -> Path:
        return self.checkpoint / inbox_name(process)


def inbox_name(process: str) -> str:
    return f"coordinator.{process}"


def log_dir(sandbox: Path) -> Path:
    """Default place of the logs: `<log_dir>/<process>/<run>/stdout` and `stderr`."""
    return sandbox / ".logs"


def check_task_id(task_id: str) -> str:
    """The id itself. Raises UserError when it can't be a directory name."""
    if not TASK_ID.fullmatch(task_id) or len(task_id) > 255:
        raise UserError(
            f"bad task id {task_id[:80]!r}: use letters, digits and _.-+@: (first a letter, digit or _), at most 255"
        )
    return task_id
