"""Where commands look when they are not told: checkpoint roots, the host's name, who we are."""

from __future__ import annotations

import os
import pwd
import socket
from pathlib import Path

from thermos.monitor.detect import mesos_roots

SYSTEM_ROOT = Path("/var/run/thermos")
MESOS_ROOT = Path("/var/lib/mesos")


def default_root() -> Path:
    """/var/run/thermos for root; for others a directory of their own that outlives a reboot."""
    if os.geteuid() == 0:
        return SYSTEM_ROOT
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "thermos"


def one_root(root: str | None) -> Path:
    """The root to run in, absolute."""
    return Path(root).absolute() if root else default_root()


def search_roots(root: str | None, mesos_root: str | None) -> list[Path]:
    """The roots to look into. Named ones replace the usual ones: who names a root means that root only."""
    if root is None and mesos_root is None:
        return [*dict.fromkeys((default_root(), SYSTEM_ROOT)), *mesos_roots(MESOS_ROOT)]
    named = [Path(root).absolute()] if root is not None else []
    return named + (mesos_roots(Path(mesos_root).absolute()) if mesos_root is not None else [])


def hostname() -> str:
    return socket.gethostname()


def user_name(uid: int) -> str:
    """The name of a user, or its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
