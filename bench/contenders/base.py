"""What a contender is: a name, skills, and how a job becomes a command line."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

from bench.job import Command, Job, Program, Skill
from bench.proc import read_stat
from bench.room import Begun, Room


def peers_dir() -> Path:
    """Where peers that aren't on PATH may lie: $PEERS_DIR, with a virtual environment `venv` and npm's `pm2`."""
    return Path(os.environ.get("PEERS_DIR") or Path(tempfile.gettempdir()) / "peers")


def find_program(name: str) -> str | None:
    """On PATH, or in $PEERS_DIR."""
    places = [
        os.environ.get("PATH", os.defpath),
        str(peers_dir() / "venv/bin"),
        str(peers_dir() / "pm2/node_modules/.bin"),
    ]
    return shutil.which(name, path=os.pathsep.join(places))


class Contender:
    """One subclass a contender; only the methods that its skills need."""

    name = ""
    skills: frozenset[Skill] = frozenset()
    is_bare = False
    daemonises = False  # the command that brings it up returns
    note = ""  # how its configuration was made quick

    def missing(self) -> str:
        """Why it can't be measured here; "" if it can."""
        return ""

    def version(self) -> str:
        return ""

    def command(self, job: Job) -> Command:
        """Write what it needs into the job's directory; say how it is started."""
        raise NotImplementedError

    def recover(self, job: Job) -> Command:
        """How it is started again after its kill -9."""
        return self.command(job)

    def main_pid(self, room: Room, begun: Begun) -> int:
        """The supervisor itself."""
        return begun.pid

    def helper_pid(self, payload: int, main: int) -> int | None:
        """The process between the supervisor and the one under test, if it has such."""
        stat = read_stat(payload)
        return stat.ppid if stat is not None and stat.ppid not in (main, 1, os.getpid()) else None

    def begin_stop(self, room: Room, job: Job, begun: Begun) -> None:
        """Ask for an orderly stop."""
        os.kill(self.main_pid(room, begun), signal.SIGTERM)

    def logs(self, job: Job, program: Program) -> list[Path]:
        """Every file that holds the program's stdout, rotated ones too."""
        return sorted(job.directory.glob(f"{program.name}.log*"))
