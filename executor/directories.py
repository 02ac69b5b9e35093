"""Directories of a task, made where others of the same user may have been busy before.

No step below the run directory is taken through a link, and owners and modes change by descriptor. What is there
already is used; nothing is ever removed (Mesos collects run directories).

Source: spec/thermos.md §4.4.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from executor.core.sandbox_plan import SandboxPlan
from thermos.errors import HostError
from thermos.host.spawn import ImageRoot
from thermos.host.users import Identity, UnknownUser, current_user, resolve_user
from thermos.paths import log_dir

SANDBOX = "sandbox"

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class SandboxFailed(HostError):
    """The sandbox can't be made; one line says why."""


class DirectorySandbox:
    """A directory of the host: `<MESOS_DIRECTORY>/sandbox`, 0700, and its user's."""

    def __init__(self, plan: SandboxPlan) -> None:
        self.path = Path(plan.directory) / SANDBOX
        self.image: ImageRoot | None = None
        self.user = current_user()
        self.setuid = False
        self._plan = plan

    def create(self) -> None:
        owner = owner_of(self._plan)
        make_directories(self._plan, owner)
        self.user, self.setuid = runs_as(owner)

    def enter(self) -> None:
        """It is everywhere."""


def owner_of(plan: SandboxPlan) -> Identity | None:
    """Whose the sandbox is, when that is not just whoever we are. Raises SandboxFailed."""
    if plan.owner is None:
        return None
    try:
        return resolve_user(plan.owner)
    except UnknownUser:
        raise SandboxFailed(f"Could not create sandbox because user does not exist: {plan.owner}") from None


def runs_as(owner: Identity | None) -> tuple[Identity, bool]:
    """As whom processes run, and whether they have to become that. Raises SandboxFailed."""
    if owner is None:
        return current_user(), False
    if os.geteuid() not in (0, owner.uid):
        raise SandboxFailed(f"cannot run processes as user {owner.name}{_hint(owner)}")
    return owner, owner.uid != os.geteuid()


def make_directories(plan: SandboxPlan, owner: Identity | None) -> None:
    """The sandbox and its logs, and whose they and the run directory are. Raises SandboxFailed."""
    run_directory = Path(plan.directory)
    sandbox_path = run_directory / SANDBOX
    with failing(f"cannot open {run_directory}"):
        run = os.open(run_directory, _DIRECTORY)
    try:
        with directory(run, SANDBOX, sandbox_path) as sandbox:
            give(run, owner, run_directory)
            give(sandbox, owner, sandbox_path, 0o700)
            logs = log_dir(sandbox_path)
            with directory(sandbox, logs.name, logs) as fd:
                give(fd, owner, logs)
    finally:
        os.close(run)


def give(fd: int, owner: Identity | None, shown: Path, mode: int | None = None) -> None:
    """With no owner all stays as it is. Raises SandboxFailed."""
    if owner is None:
        return
    with failing(f"cannot give {shown} to user {owner.name}", _hint(owner)):
        os.fchown(fd, owner.uid, owner.gid)
        if mode is not None:
            os.fchmod(fd, mode)


def _hint(owner: Identity) -> str:
    me = current_user()
    return (
        f": the executor runs as {me.name}; start it as root, or with --nosetuid"
        if me.uid not in (0, owner.uid)
        else ""
    )


@contextlib.contextmanager
def directory(parent: int, name: str, shown: Path) -> Iterator[int]:
    """A descriptor of the directory `name` below `parent`, made if it is missing. Raises SandboxFailed."""
    with failing(f"cannot make directory {shown}"):
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=parent)
        try:
            fd = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        except NotADirectoryError:
            kind = "a symbolic link" if stat.S_ISLNK(os.lstat(name, dir_fd=parent).st_mode) else "no directory"
            raise SandboxFailed(f"cannot use {shown}: it is {kind}, and was there before us") from None
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def opened(path: str | Path, flags: int = _DIRECTORY, dir_fd: int | None = None) -> Iterator[int]:
    """A descriptor, closed afterwards. Raises OSError."""
    fd = os.open(path, flags | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def failing(what: str, hint: str = "") -> Iterator[None]:
    """OSError becomes SandboxFailed: `what` and the system's words."""
    try:
        yield
    except OSError as error:
        raise SandboxFailed(f"{what}: {error.strerror}{hint}") from error
