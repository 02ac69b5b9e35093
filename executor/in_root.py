"""Places inside an image, as its processes will see them, found without ever leaving it.

Whoever made the image chose its links; `chroot` would resolve them below the root, so do we, step by step over
descriptors. What is returned is held open: nobody can exchange it afterwards.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from enum import Enum

_MOST_LINKS = 40
_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Make(Enum):
    """What to put there when nothing is (directories on the way, too)."""

    NOTHING = "nothing"
    FILE = "file"
    DIRECTORY = "directory"


def open_in_root(root: int, path: str, make: Make = Make.NOTHING) -> int:
    """An O_PATH descriptor of `path` below the directory `root`; links lead no further up than to `root`. Raises
    OSError."""
    trail = [os.dup(root)]
    try:
        steps, links = _steps(path), 0
        while steps:
            name = steps.pop(0)
            if name == "..":
                if len(trail) > 1:
                    os.close(trail.pop())
                continue
            fd = _step(trail[-1], name, make if not steps or make is Make.NOTHING else Make.DIRECTORY)
            if stat.S_ISLNK(os.fstat(fd).st_mode):
                links += 1
                target = _read_link(fd)
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                if target.startswith("/"):
                    while len(trail) > 1:
                        os.close(trail.pop())
                steps = [*_steps(target), *steps]
            else:
                trail.append(fd)
        return trail.pop()
    finally:
        for fd in trail:
            os.close(fd)


def is_executable(root: int, path: str) -> bool:
    """Is there a program at `path`? Whoever may run it."""
    try:
        fd = open_in_root(root, path)
    except OSError:
        return False
    try:
        mode = os.fstat(fd).st_mode
    finally:
        os.close(fd)
    return stat.S_ISREG(mode) and bool(mode & 0o111)


def _steps(path: str) -> list[str]:
    return [step for step in path.split("/") if step not in ("", ".")]


def _step(parent: int, name: str, make: Make) -> int:
    try:
        return os.open(name, _STEP, dir_fd=parent)
    except FileNotFoundError:
        if make is Make.NOTHING:
            raise
    with contextlib.suppress(FileExistsError):
        if make is Make.DIRECTORY:
            os.mkdir(name, 0o755, dir_fd=parent)
        else:
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=parent))
    return os.open(name, _STEP, dir_fd=parent)


def _read_link(fd: int) -> str:
    try:
        return os.readlink("", dir_fd=fd)
    finally:
        os.close(fd)
