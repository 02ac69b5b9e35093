"""Run directories as an agent makes them, and images made of nothing but a static busybox (2 MB)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from executor.core.sandbox_plan import SandboxPlan
from thermos.host.kernel import Kernel
from thermos.host.users import resolve_user

T = TypeVar("T")

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs processes as others, mounts and chroots")

#: Who is somebody else on every Debian.
USER = "nobody"

ROOT = Path(__file__).parent.parent.parent.parent


class RunDirectory:
    """MESOS_DIRECTORY of one executor."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sandbox = path / "sandbox"
        self.image = path / "taskfs"

    def plan(self, **fields: Any) -> SandboxPlan:
        return SandboxPlan(**({"directory": str(self.path), "mesos_sandbox": str(self.path), "owner": None} | fields))

    def make_image(self) -> Path:
        make_image(self.image)
        return self.image


def make_image(root: Path) -> None:
    """busybox, with `bash` as every image must have one, and the files of users that even small images have."""
    busybox = shutil.which("busybox")
    assert busybox is not None, "busybox is missing: scripts/setup-containers installs it (Debian: busybox-static)"
    for name in ("bin", "etc", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copy2(busybox, root / "bin" / "busybox")
    for applet in (
        "sh",
        "cat",
        "echo",
        "env",
        "id",
        "ls",
        "mount",
        "sleep",
        "touch",
        "pwd",
        "stat",
        "grep",
        "wc",
        "sync",
    ):
        (root / "bin" / applet).symlink_to("busybox")
    bash = root / "bin" / "bash"
    bash.write_text('#!/bin/sh\nexec /bin/sh "$@"\n')
    bash.chmod(0o755)
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\n")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody may enter."""
    top = Path(tempfile.mkdtemp(prefix="executor-"))
    top.chmod(0o755)
    yield top
    shutil.rmtree(top)


@pytest.fixture
def run(place: Path) -> RunDirectory:
    directory = place / "runs" / "1"
    directory.mkdir(parents=True)
    return RunDirectory(directory)


@pytest.fixture
def vault(place: Path) -> Iterator[Path]:
    """What an attacker wants root to change; it is as before when the test ends."""
    vault = place / "vault"
    vault.mkdir(0o700)
    for name in ("passwd", "group", "hosts"):
        (vault / name).write_text("secret\n")
    before = vault.stat()
    yield vault
    assert sorted(p.name for p in vault.iterdir()) == ["group", "hosts", "passwd"]
    assert all(p.read_text() == "secret\n" and p.stat().st_uid == before.st_uid for p in vault.iterdir())
    after = vault.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def in_thread(work: Callable[[], T]) -> T:
    """In a thread of its own, so that a mount namespace that it makes is nobody else's."""
    outcome: list[T | BaseException] = []

    def target() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def mounts(below: Path) -> list[str]:
    """What the calling thread's namespace has mounted there. (Other tests mount elsewhere, at the same time.)"""
    return [line for line in Path("/proc/thread-self/mountinfo").read_text().splitlines() if str(below) in line]


def who_sees(run: Path) -> list[int]:
    """Processes in whose mount namespace something of the run directory is mounted."""
    found = []
    for pid in Kernel().proc_pids():
        try:
            if str(run) in Path(f"/proc/{pid}/mountinfo").read_text():
                found.append(pid)
        except OSError:
            pass  # it has just ended
    return found


_BECOME = """
import json, os, sys
from executor.sandbox import SandboxFailed, SandboxPlan, make_sandbox
os.setgroups([])
os.setgid({gid})
os.setuid({uid})
"""


def python_as_user(code: str, *words: str) -> str:
    """What Python prints as nobody in particular. It starts as root, who may read wherever Python lies."""
    user = resolve_user(USER)
    code = _BECOME.format(uid=user.uid, gid=user.gid) + code
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
