"""What the two halves of `thermos run` tell each other.

The first half reads words and config (`client.thermos.run`): a command-line library, the config language, whatever the
user's file imports. The second half (`client.thermos.stay`) minds the task, for months maybe, and needs none of that.
So the first one writes orders and *becomes* the second: exec, the same pid, signals blocked all the way. Nothing that
a config file did to the interpreter, and none of the memory that it took, stays.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import msgspec

import thermos
from thermos.errors import HostError, UserError
from thermos.host.spawn import Settings
from thermos.model import TaskSpec
from thermos.paths import TaskPaths

#: Arguments: the task's id (for `ps`), the descriptor of the orders, where modules lie.
_CODE = "import sys; sys.path[:] = sys.argv[3:]; from client.thermos.stay import main; main(int(sys.argv[2]))"


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


def become_runner(orders: Orders) -> NoReturn:
    """Go on as the second half; signals that it handles should be blocked. Raises HostError."""
    fd = os.memfd_create("orders", 0)  # survives the exec
    data = encode_orders(orders)
    while data:
        data = data[os.write(fd, data) :]
    os.lseek(fd, 0, os.SEEK_SET)
    home = str(Path(thermos.__file__).parent.parent)
    paths = [entry for entry in sys.path if entry] + [home] * (home not in sys.path)
    words = [sys.executable, "-S", "-E", "-P", "-c", _CODE, orders.task_id, str(fd), *paths]
    try:
        os.execv(sys.executable, words)
    except OSError as error:
        raise HostError(f"cannot start {sys.executable}: {error.strerror}") from error
