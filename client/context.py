"""Where commands look when they are not told: checkpoint roots, the host's name, who we are."""

from __future__ import annotations

import os
import pwd
import socket
from pathlib import Path

from thermos.errors import UserError
from thermos.monitor.detect import mesos_roots

SYSTEM_ROOT = Path("/var/run/thermos")
MESOS_ROOT = Path("/var/lib/mesos")


def default_root() -> Path:
    """/var/run/thermos for root; for others a directory of their own that outlives a reboot."""
    if os.geteuid() == 0:
        return SYSTEM_ROOT
    state = os.environ.get("XDG_STATE_HOME")
    if state:
        return Path(state) / "thermos"
    try:
        return Path.home() / ".local" / "state" / "thermos"
    except RuntimeError as error:
        raise UserError(f"uid {os.geteuid()} has no home directory to keep checkpoints in; say --root PATH") from error


def usual_roots() -> list[Path]:
    """Where standalone tasks are: ours, and those of the system. Who has no home has none of their own."""
    try:
        return [*dict.fromkeys((default_root(), SYSTEM_ROOT))]
    except UserError:
        return [SYSTEM_ROOT]


def one_root(root: str | None) -> Path:
    """The root to run in, absolute."""
    return given_path("--root", root) if root is not None else default_root()


def given_path(option: str, path: str) -> Path:
    """The path that an option names, absolute. An empty one is a variable that was not set, not this directory."""
    if not path:
        raise UserError(f"{option} is empty; give a path or leave it out")
    return Path(path).absolute()


def search_roots(root: str | None, mesos_root: str | None) -> list[Path]:
    """The roots to look into. Named ones replace the usual ones: who names a root means that root only."""
    if root is None and mesos_root is None:
        return [*usual_roots(), *mesos_roots(MESOS_ROOT)]
    named = [given_path("--root", root)] if root is not None else []
    return named + (mesos_roots(given_path("--mesos-root", mesos_root)) if mesos_root is not None else [])


def hostname() -> str:
    return socket.gethostname()


def user_name(uid: int) -> str:
    """The name of a user, or its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
