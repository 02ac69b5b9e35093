"""Tasks under Mesos' Docker containerizer: the agent has started the executor itself inside the task's image.

There is nothing to isolate any more and nobody else to become: processes run as the container's user. The run
directory is mounted at MESOS_SANDBOX, and MESOS_DIRECTORY names a path of the host that the container lacks. A link
makes that path lead to the same place inside, so that all that is recorded (sandbox, logs, checkpoints) has one name on
both sides, and the host's observer finds it.

The image must hold Python 3.11 or newer; `find-python.sh`, part of the bundle's launcher, says so in one line where it
does not.

Source: spec/thermos.md §4.4 ("Docker engine").
"""

from __future__ import annotations

import os
from pathlib import Path

from executor.core.sandbox_plan import SandboxPlan
from executor.directories import SANDBOX, SandboxFailed, failing, make_directories
from thermos.host.spawn import ImageRoot
from thermos.host.users import current_user


def inside_container(directory: str, mesos_sandbox: str) -> bool:
    """Does MESOS_DIRECTORY name a place of another file system than ours?"""
    return directory != mesos_sandbox and not Path(directory).is_dir() and Path(mesos_sandbox).is_dir()


class DockerSandbox:
    """`<MESOS_DIRECTORY>/sandbox` through a link to MESOS_SANDBOX."""

    def __init__(self, plan: SandboxPlan) -> None:
        self.path = Path(plan.directory) / SANDBOX
        self.image: ImageRoot | None = None
        self.user = current_user()
        self.setuid = False
        self._plan = plan

    def create(self) -> None:
        directory, mounted = Path(self._plan.directory), Path(self._plan.mesos_sandbox)
        _open_to_all(mounted)
        _link(directory, mounted)
        make_directories(self._plan, None)

    def enter(self) -> None:
        """It is everywhere."""


def _open_to_all(mounted: Path) -> None:
    """0755, unless it is another's and can be used as it is."""
    with failing(f"cannot use MESOS_SANDBOX {mounted}"):
        try:
            mounted.chmod(0o755)
        except PermissionError:
            if not os.access(mounted, os.R_OK | os.W_OK | os.X_OK):
                raise


def _link(directory: Path, mounted: Path) -> None:
    with failing(f"cannot make {directory} lead to {mounted}"):
        if directory.exists():
            if directory.samefile(mounted):
                return
            raise SandboxFailed(
                f"cannot use MESOS_DIRECTORY {directory}: it is not the same as MESOS_SANDBOX {mounted}"
            )
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.symlink_to(mounted)
