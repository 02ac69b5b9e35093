"""The payload's program, built on first use, and its command lines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Payload:
    """`program` is the argv in front of every verb."""

    program: tuple[str, ...]

    @property
    def is_native(self) -> bool:
        return len(self.program) == 1

    def begin(self, marks: Path, ident: str, procs: str, argv: tuple[str, ...]) -> tuple[str, ...]:
        """Join the cgroup of `procs`, stamp the beginning, become `argv`."""
        return (*self.program, "begin", str(marks), ident, procs, *argv)

    def mark(self, marks: Path, ident: str, code: int = 0) -> tuple[str, ...]:
        return (*self.program, "mark", str(marks), ident, str(code))

    def hold(self, marks: Path, ident: str) -> tuple[str, ...]:
        return (*self.program, "hold", str(marks), ident)

    def sleep(self, marks: Path, ident: str) -> tuple[str, ...]:
        """Becomes the real `sleep`, so that memory and idle CPU are those of an ordinary process."""
        return (*self.program, "become", str(marks), ident, "sleep", "100000")

    def pour(self, marks: Path, ident: str, total: int, line: int, size: int) -> tuple[str, ...]:
        return (*self.program, "pour", str(marks), ident, str(total), str(line), str(size))


def build_payload(directory: Path) -> Payload:
    """The C program compiled into `directory` (kept there), or the Python one where there is no compiler."""
    target, source = directory / "payload", HERE / "payload.c"
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        directory.mkdir(parents=True, exist_ok=True)
        if compiler is None:
            return plain_payload()
        done = subprocess.run([compiler, "-O2", "-o", str(target), str(source)], capture_output=True, text=True)
        if done.returncode != 0:
            print(f"bench: {compiler} failed, the Python payload will be used\n{done.stderr}", file=sys.stderr)
            return plain_payload()
    return Payload((str(target),))


def plain_payload() -> Payload:
    return Payload((sys.executable, "-I", "-S", str(HERE / "payload_plain.py")))
