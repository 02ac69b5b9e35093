"""`executor.json` beside a sandbox below a Mesos work directory: is it the executor's, and what does it say?

The run directory belongs to the task's user, who can put any file there. Believed is what belongs to root, to the
user of the agent (who owns the directory above), or to the observer's own user.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from observer.core.executor_state import ExecutorState, parse_executor_state

NAME = "executor.json"
#: Bigger than this it is none of ours.
MAX_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class ExecutorFile:
    """As read: what it says, or why that is not to be known. Neither: there is none (yet)."""

    state: ExecutorState | None = None
    trouble: str = ""
    written_at: float = 0.0
    identity: tuple[int, int, int] | None = None  # inode, size, mtime: another one has to be read


NO_FILE = ExecutorFile()


def read_executor_file(run_dir: Path, before: ExecutorFile) -> ExecutorFile:
    """`before` itself when nothing has changed."""
    path = run_dir / NAME
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        return NO_FILE if before.identity is not None or before.trouble else before
    except OSError as error:
        return _same(before, ExecutorFile(trouble=f"cannot read {path}: {error.strerror}"))
    try:
        found = os.fstat(fd)
        identity = (found.st_ino, found.st_size, found.st_mtime_ns)
        if identity == before.identity:
            return before
        _check(found, run_dir)
        state = parse_executor_state(os.read(fd, MAX_BYTES))
    except (OSError, ValueError) as error:
        text = " ".join(str(error).split())[:300]
        return ExecutorFile(trouble=f"cannot believe {path}: {text}", identity=identity)
    finally:
        os.close(fd)
    return ExecutorFile(state, "", found.st_mtime, identity)


def _check(found: os.stat_result, run_dir: Path) -> None:
    """Raises OSError, ValueError."""
    if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
        raise ValueError("it is not a small regular file")
    if found.st_uid not in (0, os.geteuid(), os.lstat(run_dir.parent).st_uid):
        raise ValueError(f"it belongs to uid {found.st_uid}, not to the agent's executor")
    if found.st_mode & 0o022:
        raise ValueError("others than its owner may write it")


def _same(before: ExecutorFile, now: ExecutorFile) -> ExecutorFile:
    return before if before.trouble == now.trouble and before.state is None else now
