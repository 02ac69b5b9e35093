"""What the two halves of `thermos run` tell each other.

The first half reads words and config (`client.thermos.run`): a command-line library, the config language, whatever the
user's file imports. The second half (`client.thermos.stay`) minds the task, for months maybe, and needs none of that.
So the first one writes orders and *becomes* the second: exec, the same pid, signals blocked all the way. Nothing that
a config file did to the interpreter, and none of the memory that it took, stays.

Whoever owns a task keeps its orders in `<checkpoint>/orders` (0600), so that another runner can go on as the first one
did: `attach`, `detach`, `kill`, and the keeper of a daemon, which starts `thermos-runner` with that file anew.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec

import thermos
from thermos.errors import HostError, UserError
from thermos.host.spawn import Settings
from thermos.model import TaskSpec
from thermos.paths import TaskPaths

#: The script that is the second half; its name is what people look for with `ps` and `pgrep -f`.
RUNNER = Path(__file__).with_name("thermos-runner")

ORDERS = "orders"


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that minding a task needs to know. The environment is not told but inherited."""

    spec: TaskSpec
    root: Path
    task_id: str
    settings: Settings
    preserve_env: bool = False
    force: bool = False
    output: str = "text"
    plain: bool = False
    follow: bool = False  # show what processes write
    daemon: bool = False  # under a keeper: no terminal, SIGHUP means nothing

    @property
    def paths(self) -> TaskPaths:
        return TaskPaths(self.root, self.task_id)


def encode_orders(orders: Orders) -> bytes:
    """Raises UserError for what is not UTF-8."""
    try:
        return msgspec.json.encode(orders, enc_hook=str)
    except UnicodeEncodeError as error:
        raise UserError(f"cannot use {error.object!r}: it is not UTF-8") from error


def decode_orders(data: bytes) -> Orders:
    """Inverse of `encode_orders`. Raises msgspec.DecodeError."""
    return msgspec.json.decode(data, type=Orders, dec_hook=_decode_path)


def _decode_path(kind: type[Any], value: Any) -> Any:
    return kind(value)


def _script_input(orders: Orders) -> bytes:
    """What `thermos-runner` reads: where modules lie, then the orders."""
    home = str(Path(thermos.__file__).parent.parent)
    paths = [entry for entry in sys.path if entry] + [home] * (home not in sys.path)
    return os.fsencode("\0".join(paths)) + b"\n" + encode_orders(orders)


def runner_words(orders: Orders, source: str) -> list[str]:
    """The command line of a runner; `source` is a descriptor or a file."""
    return [sys.executable, "-S", "-E", "-P", str(RUNNER), orders.task_id, source]


def orders_path(paths: TaskPaths) -> Path:
    return paths.checkpoint / ORDERS


def save_orders(orders: Orders) -> None:
    """Keep them for whoever minds the task next; only the task's owner may. Raises HostError."""
    path = orders_path(orders.paths)
    fresh = path.with_name(f"{ORDERS}.new")
    try:
        fresh.unlink(missing_ok=True)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(_script_input(orders))
        fresh.replace(path)
    except OSError as error:
        raise HostError(f"cannot write {path}: {error.strerror}") from error


def load_orders(paths: TaskPaths) -> Orders | None:
    """The orders of whoever minded the task last; None when there are none that can be read."""
    path = orders_path(paths)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            if os.fstat(fd).st_uid != os.geteuid():
                return None  # a stranger's word
            orders = decode_orders(file.read().partition(b"\n")[2])
    except (OSError, msgspec.DecodeError):
        return None
    return orders if orders.paths == paths else None


def become_runner(orders: Orders, environment: Mapping[str, str] | None = None) -> NoReturn:
    """Go on as the second half; signals that it handles should be blocked. Raises HostError."""
    fd = os.memfd_create("orders", 0)  # survives the exec
    data = _script_input(orders)
    while data:
        data = data[os.write(fd, data) :]
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        os.execve(sys.executable, runner_words(orders, str(fd)), dict(environment or os.environ))
    except OSError as error:
        raise HostError(f"cannot start {sys.executable}: {error.strerror}") from error
