"""A home for tests that run the installed `aurora local`: nothing of it is shared with the rest of the machine, and the
test proves that nothing is left.

Root's tests can be run as a user without rights: with one capability, to find a Python that lies in root's home.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.client.room import Done, alive
from tests.mesos.ports import Block

AURORA = Path(sys.executable).parent / "aurora"
PATIENCE_S = 100.0

#: Blocks of ports for tasks, below those of other tests.
BLOCKS = range(6000, 10000, 400)

_AS_NOBODY = ("setpriv", "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--clear-groups")


class Home:
    """Files below `path`. `user`: who runs commands; None: who runs the tests."""

    def __init__(self, path: Path, cluster: str, user: str | None = None) -> None:
        self.path = path
        self.cluster = cluster
        self._front: tuple[str, ...] = ()
        if user is not None:
            entry = pwd.getpwnam(user)
            os.chown(path, entry.pw_uid, entry.pw_gid)
            self._front = (*_AS_NOBODY, f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}")
        self._ports = Block(BLOCKS, BLOCKS.step)
        self.task_ports = (self._ports.first, self._ports.first + BLOCKS.step - 1)
        self.root = path / "root"
        self.work_dir = path / "state" / "aurora" / "local" / cluster
        self.plan_file = Path(f"{self.work_dir}.json")
        self.clusters_file = path / ".aurora" / "clusters.json"

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{AURORA.parent}:{os.environ['PATH']}",
            "HOME": str(self.path),
            "XDG_STATE_HOME": str(self.path / "state"),
            "AURORA_CONFIG_ROOT": str(self.path / "site"),
            "LC_ALL": "C.UTF-8",
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self._front, str(AURORA), *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=self._environment(), cwd=self.path,
        )  # fmt: skip

    def aurora(self, *words: str) -> Done:
        with self.start(*words) as process:
            out, err = process.communicate(timeout=PATIENCE_S)
        return Done(process.returncode, out, err)

    def local(self, verb: str, *words: str) -> Done:
        return self.aurora("local", *verb.split(), "--cluster", self.cluster, *words)

    @property
    def up_words(self) -> tuple[str, ...]:
        ports = [word for part in ("mesos", "scheduler", "observer") for word in (f"--{part}-port", "auto")]
        first, last = self.task_ports
        where = ("--root", str(self.root), "--task-ports", f"{first}-{last}")
        return ("local", "up", "--cluster", self.cluster, *ports, *where)

    def up(self, *words: str) -> Done:
        return self.aurora(*self.up_words, *words)

    def status(self) -> Any:
        return json.loads(self.local("status", "-o", "json").out)

    def ports(self) -> dict[str, int]:
        told: dict[str, int] = json.loads(self.plan_file.read_text())["ports"]
        return told

    def pids(self) -> list[int]:
        """Of everything that names this home, is below something that does, or works below it."""
        mark = os.fsencode(str(self.path))
        found = []
        for process in Path("/proc").iterdir():
            if not process.name.isdigit() or int(process.name) == os.getpid():
                continue
            try:
                ours = mark in (process / "cmdline").read_bytes() or mark in os.fsencode((process / "cwd").readlink())
            except OSError:
                continue
            if ours and alive(int(process.name)):
                found.append(int(process.name))
        return sorted(found)

    def check_nothing_left(self) -> None:
        assert self.pids() == []
        assert not self.plan_file.exists()
        assert not self.work_dir.exists()
        for name in ("active", "finished"):
            folder = self.root / "tasks" / name
            assert not folder.exists() or list(folder.iterdir()) == []
        if self.clusters_file.exists():
            assert self.cluster not in self.clusters_file.read_text()

    def tidy(self) -> None:
        """Also what a test that failed has left."""
        self.local("down")
        for pid in self.pids():
            os.kill(pid, 9)
        shutil.rmtree(self.path, ignore_errors=True)
        self._ports.close()


def until(condition: Callable[[], Any], what: str) -> Any:
    """Whatever true thing it gives."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < give_up_at, f"no {what}"
        time.sleep(0.05)
    return value
