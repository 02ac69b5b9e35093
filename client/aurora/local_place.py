"""Where `aurora local` keeps what it knows: `~/.local/state/aurora/local/<cluster>.json`, the plan of a cluster that is
up, and beside it, unless another place was named, its work directory `<cluster>/`.

Whoever starts or stops a cluster holds the lock of that folder; who only looks does not.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from client.aurora.local_plan import LocalPlan
from thermos.errors import HostError, UserError

DEFAULT_CLUSTER = "rz1"

#: What there can be in a work directory; nothing else of it is ever removed.
STORE, LOGS = "scheduler", ".logs"
_OURS = ("control", "mesos", STORE, LOGS)


def state_dir() -> Path:
    """Raises UserError."""
    state = os.environ.get("XDG_STATE_HOME")
    if state:
        return Path(state) / "aurora" / "local"
    try:
        return Path.home() / ".local" / "state" / "aurora" / "local"
    except RuntimeError as error:
        raise UserError(f"uid {os.geteuid()} has no home directory; set XDG_STATE_HOME") from error


def plan_path(cluster: str) -> Path:
    return state_dir() / f"{cluster}.json"


def known_clusters() -> list[str]:
    """Those that were started and not stopped."""
    return sorted(path.stem for path in state_dir().glob("*.json"))


def pick_cluster(given: str | None) -> str:
    """The one that is meant when none was named: the only one that is known, else rz1."""
    known = known_clusters()
    return given or (known[0] if len(known) == 1 else DEFAULT_CLUSTER)


def load_plan(cluster: str) -> LocalPlan | None:
    """None: no such cluster was started. Raises HostError."""
    path = plan_path(cluster)
    try:
        return msgspec.json.decode(path.read_bytes(), type=LocalPlan)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise HostError(f"cannot understand {path}: {error}; remove it if no cluster is up") from error


def save_plan(plan: LocalPlan) -> None:
    """Raises HostError."""
    path = plan_path(plan.cluster)
    fresh = path.with_suffix(".new")
    try:
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(plan)) + b"\n")
        fresh.replace(path)
    except OSError as error:
        raise HostError(f"cannot write {path}: {error.strerror}") from error


def forget_plan(cluster: str) -> None:
    plan_path(cluster).unlink(missing_ok=True)


@contextmanager
def locked() -> Iterator[None]:
    """Raises HostError: another command is at work."""
    folder = state_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise HostError(f"cannot use {folder}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise HostError("another `aurora local up` or `down` is at work; wait for its end") from error
    finally:
        os.close(descriptor)


def make_work_dir(path: Path) -> None:
    """Only its owner may enter: whoever reaches the door for faults may kill. Raises HostError, UserError."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        strange = sorted({each.name for each in path.iterdir()} - set(_OURS))
    except OSError as error:
        raise HostError(f"cannot make {path}: {error.strerror}") from error
    if strange:
        raise UserError(f"--work-dir {path} holds other things ({strange[0]}); name an empty directory")


def clear_work_dir(path: Path, *keep: str) -> None:
    """All of ours but these. Raises HostError."""
    try:
        for name in _OURS:
            each = path / name
            if name in keep:
                continue
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            else:
                each.unlink(missing_ok=True)
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    except OSError as error:
        raise HostError(f"cannot remove {error.filename or path}: {error.strerror}") from error
