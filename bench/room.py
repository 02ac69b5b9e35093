"""A room: one run of one contender. A directory, the marks of its payloads, everything it started, and its end."""

from __future__ import annotations

import os
import select
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.accounting import Accounting, end_all, open_accounting
from bench.job import Command
from bench.machine import Noise
from bench.payload import Payload
from bench.proc import program_of

_STEP_S = 0.004
_NOT_PASSED_ON = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")


class Failed(Exception):
    """The contender did not do what was asked; the row says why."""


@dataclass(frozen=True, slots=True)
class Mark:
    kind: str
    ident: str
    pid: int
    at: int  # ns
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Begun:
    """A command that was started: its pid, and when its exec was about to happen (ns)."""

    pid: int
    at: int


def parse_marks(text: str) -> list[Mark]:
    """Complete lines only."""
    lines = [line.split() for line in text[: text.rfind("\n") + 1].splitlines()]
    return [Mark(kind, ident, int(pid), int(at), tuple(extra)) for kind, ident, pid, at, *extra in lines]


class Room:
    """Use as a context; leaving it ends everything that the contender started."""

    def __init__(self, directory: Path, payload: Payload, *, keep: bool = False, prefer_tree: bool = False) -> None:
        self.directory = directory
        self.marks_path = directory / "marks"
        self.payload = payload
        self.accounting: Accounting = open_accounting(prefer_tree)
        self._keep = keep
        self._begun = 0
        directory.mkdir(parents=True)
        self.marks_path.touch()
        self.noise = Noise.begin(self.accounting)

    def __enter__(self) -> Room:
        return self

    def __exit__(self, *_: object) -> None:
        gone = end_all(self.accounting)
        self.accounting.close()
        if not self._keep:
            shutil.rmtree(self.directory, ignore_errors=True)
        if not gone:
            raise Failed(f"some processes of {self.directory.name} can't be ended")

    # commands -------------------------------------------------------------------------------------
    def begin(self, command: Command, patience_s: float = 30) -> Begun:
        """Start a command; returns when its exec is about to happen. Its output goes to the file `out`."""
        ident = f"begin{self._begun}"
        self._begun += 1
        argv = self.payload.begin(self.marks_path, ident, self.accounting.procs, command.argv)
        env = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON} | (command.env or {})
        out = os.open(self.out_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, out, 1),
            (os.POSIX_SPAWN_DUP2, out, 2),
        ]
        pid = os.posix_spawn(argv[0], argv, env, file_actions=actions, setsid=True)
        os.close(out)
        marks = self.wait_marks("B", 1, patience_s, where=lambda mark: mark.ident == ident)
        return Begun(pid, marks[0].at)

    def wait_end(self, pid: int, patience_s: float) -> tuple[int, int]:
        """(ns, exit code) of a command begun here. Raises Failed when it takes longer."""
        self.wait_gone([pid], patience_s)
        at = time.monotonic_ns()
        _, status = os.waitpid(pid, 0)
        return at, os.waitstatus_to_exitcode(status)

    def wait_gone(self, pids: list[int], patience_s: float) -> int:
        """When the last of these has ended (ns). Raises Failed when that takes longer."""
        poller, deadline = select.poll(), time.monotonic() + patience_s
        held: set[int] = set()
        try:
            for pid in pids:
                try:
                    held.add(os.pidfd_open(pid))
                except ProcessLookupError:
                    continue
            for fd in held:
                poller.register(fd, select.POLLIN)
            last = time.monotonic_ns()
            while held:
                left = deadline - time.monotonic()
                ready = poller.poll(left * 1000) if left > 0 else []
                if not ready:
                    raise Failed(f"{len(held)} of {len(pids)} did not end in {patience_s:g} s")
                last = time.monotonic_ns()
                for fd, _ in ready:
                    poller.unregister(fd)
                    os.close(fd)
                    held.discard(fd)
            return last
        finally:
            for fd in held:
                os.close(fd)

    @property
    def out_path(self) -> Path:
        return self.directory / "out"

    def tail(self) -> str:
        """The end of what the commands said, for the reason of a failure."""
        text = self.out_path.read_text(errors="replace") if self.out_path.exists() else ""
        return " | ".join(text.split("\n")[-6:])[-400:].strip(" |")

    # what happened --------------------------------------------------------------------------------
    def marks(self, kind: str = "S") -> list[Mark]:
        return [mark for mark in parse_marks(self.marks_path.read_text()) if mark.kind == kind]

    def wait_marks(
        self, kind: str, count: int, patience_s: float, *, where: Callable[[Mark], bool] = lambda mark: True
    ) -> list[Mark]:
        """Marks of that kind once `count` different ids have one. Raises Failed when that takes longer."""
        deadline, seen = time.monotonic() + patience_s, -1
        while True:
            size = self.marks_path.stat().st_size
            if size != seen:
                seen = size
                marks = [mark for mark in self.marks(kind) if where(mark)]
                if len({mark.ident for mark in marks}) >= count:
                    return marks
            if time.monotonic() > deadline:
                raise Failed(f"{len(self.marks(kind))} marks {kind} after {patience_s:g} s; {self.tail()}")
            time.sleep(_STEP_S)

    def supervisors(self, payloads: set[int]) -> list[int]:
        """Everything alive of this run but the processes under test."""
        return [pid for pid in self.accounting.pids() if pid not in payloads and program_of(pid) != "sleep"]
