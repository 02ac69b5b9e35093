"""Which program is the coordinator on this host, and how it is started.

The C program where it was built. Where its file system is mounted noexec, or a security module refuses to execute it,
a sealed copy in memory (a memfd, executed as /proc/self/fd/N; made once, all coordinators share its pages). Where
that can't be done either, or no compiler was at hand, the Python program of the same contract: Python itself runs.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from thermos.host.kernel import Kernel

Program = tuple[str, tuple[str, ...]]  # what is executed; its leading arguments

#: Set it to use the Python coordinator although there is a C one.
PREFER_PYTHON = "THERMOS_PYTHON_COORDINATOR"

_HERE = Path(__file__).parent
_BUILT = str(_HERE / "thermos-coordinator")
_SCRIPT = str(_HERE / "coordinator.py")
_NAME = ("thermos-coordinator",)
_MFD_EXEC = 0x10  # kernels from 6.3 on may be told to make memfds that can't be executed, unless they are asked so
_ABOVE_OURS = 10  # descriptors that a coordinator is given are below


def find_coordinator(refused: Collection[str] = ()) -> Program:
    """The best coordinator that is none of `refused`. Python's argv[0] is its path: by it, it finds its library."""
    if not os.environ.get(PREFER_PYTHON):
        if _BUILT not in refused and os.access(_BUILT, os.X_OK):
            return _BUILT, _NAME
        copy = _copy_in_memory(_BUILT)
        if copy is not None and copy not in refused:
            return copy, _NAME
    return sys.executable, (sys.executable, "-I", "-S", "-E", _SCRIPT)


def spawn_coordinator(kernel: Kernel, label: str, orders: bytes, checkpoint_fd: int) -> int:
    """Start one; `label` is what `ps` shows. Its pid. Raises OSError."""

    def spawn(program: str, argv: Sequence[str]) -> int:
        return kernel.spawn(program, argv, orders, checkpoint_fd)

    return _spawn_best(spawn, label)


def spawn_into_pipes(kernel: Kernel, label: str, orders: bytes, records: int, output: int) -> int:
    """Likewise, for a run without a checkpoint."""

    def spawn(program: str, argv: Sequence[str]) -> int:
        return kernel.spawn_into_pipes(program, argv, orders, records, output)

    return _spawn_best(spawn, label)


def _spawn_best(spawn: Callable[[str, Sequence[str]], int], label: str) -> int:
    refused: list[str] = []
    while True:
        program, argv = find_coordinator(refused) if refused else find_coordinator()
        try:
            return spawn(program, (*argv, label))
        except PermissionError:
            if program in (sys.executable, *refused):
                raise
            refused.append(program)


@functools.cache
def _copy_in_memory(path: str) -> str | None:
    """A path by which a sealed copy of the program can be executed, as long as we live. None if it can't be made."""
    try:
        text = Path(path).read_bytes()
        fd = _make_memfd()
    except OSError:
        return None
    try:
        os.write(fd, text)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
        lasting = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE_OURS)
    except OSError:
        return None
    finally:
        os.close(fd)
    name = f"/proc/self/fd/{lasting}"
    if os.access(name, os.X_OK):
        return name
    os.close(lasting)  # no /proc, or a kernel that allows no programs in memory
    return None


def _make_memfd() -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create("thermos-coordinator", flags | _MFD_EXEC)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return os.memfd_create("thermos-coordinator", flags)
