"""Kernels that fail or die where a test says so. Faults are data, and tell whether they fired.

`FaultyKernel` forwards to the real kernel until a `Fault` says otherwise; `DyingKernel` kills its own process at the
n-th call that changes the world: before it, after it, or in the middle of a write.
"""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from thermos.host.kernel import Kernel

CALLS = [name for name, member in vars(Kernel).items() if callable(member) and not name.startswith("_")]

#: Calls that change what another owner will find.
ACTS = ("write", "spawn", "rename", "unlink", "touch", "mkfifo")


@dataclass(eq=False)
class Fault:
    """The `nth` and later calls of `call` (those that `match`) fail, `times` times, with `error`.

    A write with `cut` writes so many bytes (from the end, if negative) and, without `error`, says so."""

    call: str
    nth: int = 1
    error: int | None = None
    times: float = 1
    cut: int | None = None
    match: Callable[[tuple[Any, ...]], bool] = field(default=lambda args: True)
    seen: int = 0
    fired: int = 0

    def strikes(self, call: str, args: tuple[Any, ...]) -> bool:
        if call != self.call or not self.match(args):
            return False
        self.seen += 1
        if self.seen < self.nth or self.fired >= self.times:
            return False
        self.fired += 1
        return True

    def lift(self) -> None:
        self.times = 0


def disk_full(times: float = float("inf"), nth: int = 1, match: Callable[..., bool] = lambda args: True) -> Fault:
    return Fault("write", nth, errno.ENOSPC, times, match=match)


class FaultyKernel(Kernel):
    """The real kernel, but for its faults. `calls` counts everything that was asked of it."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = list(faults)
        self.calls: Counter[str] = Counter()

    def _filter(self, call: str, args: tuple[Any, ...], forward: Callable[..., Any], kwargs: dict[str, Any]) -> Any:
        self.calls[call] += 1
        for fault in self.faults:
            if fault.strikes(call, args):
                if fault.cut is not None:
                    return self._cut(fault, args, forward)
                assert fault.error is not None
                raise OSError(fault.error, os.strerror(fault.error))
        return forward(*args, **kwargs)

    def _cut(self, fault: Fault, args: tuple[Any, ...], forward: Callable[..., Any]) -> Any:
        fd, data = args
        written = forward(fd, data[: fault.cut])
        if fault.error is not None:
            raise OSError(fault.error, os.strerror(fault.error))
        return written


class DyingKernel(Kernel):
    """SIGKILLs its own process at the `at`-th act. `how`: "before", "after", or "torn" (half of a write)."""

    def __init__(self, at: int, how: str) -> None:
        self.at, self.how, self.acts = at, how, 0

    def _filter(self, call: str, args: tuple[Any, ...], forward: Callable[..., Any], kwargs: dict[str, Any]) -> Any:
        if call not in ACTS:
            return forward(*args, **kwargs)
        self.acts += 1
        if self.acts != self.at:
            return forward(*args, **kwargs)
        if self.how == "torn" and call == "write":
            forward(args[0], args[1][: len(args[1]) // 2])
        elif self.how == "after":
            forward(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")


def _filtered(name: str, base: type[Kernel]) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self._filter(name, args, getattr(super(base, self), name), kwargs)

    call.__name__ = name
    return call


for _base in (FaultyKernel, DyingKernel):
    for _name in CALLS:
        setattr(_base, _name, _filtered(_name, _base))
