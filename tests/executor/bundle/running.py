"""Running the bundle as an agent would: an environment of a few variables, a run directory."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

#: Whichever test is first builds the bundle, or waits until another process has: its wheels come over the network.
may_build = pytest.mark.timeout(600)


@dataclass
class Bundle:
    path: Path
    base: Path
    programs: Path  # what is on PATH
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def cache(self) -> Path:
        return self.base / "run" / ".thermos_executor"

    def full_environment(self) -> dict[str, str]:
        run = self.base / "run"
        run.mkdir(exist_ok=True)
        return {"PATH": str(self.programs), "MESOS_SANDBOX": str(run)} | self.environment

    def start(self, *arguments: str, user: int | None = None) -> subprocess.Popen[str]:
        environment = self.full_environment()
        return subprocess.Popen(
            [str(self.path), *arguments],
            env=environment, cwd=environment["MESOS_SANDBOX"], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            **({} if user is None else {"user": user, "group": user, "extra_groups": []}),
        )  # fmt: skip

    def run(self, *arguments: str, user: int | None = None) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, user=user)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def unpack(self) -> Path:
        """The directory into which it was unpacked."""
        done = self.run("--bundle-unpack")
        assert done.returncode == 0, done.stderr
        return Path(done.stdout.strip())


def only_line(done: subprocess.CompletedProcess[str]) -> str:
    """What it said before it gave up."""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert done.stdout == ""
    return lines[0]
