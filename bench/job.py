"""What a case asks of a contender: programs to run, and how. Plain data."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Skill(StrEnum):
    """What a contender can be asked to do."""

    BATCH = "batch"  # run programs to their end, in an order or with a limit, and exit 0
    START = "start"  # start programs that end at once, without restarting them
    KEEP = "keep"  # keep programs running
    STOP = "stop"
    CRASH = "crash"  # begin again after a kill -9
    KEEPER = "keeper"  # start a killed supervisor again by itself
    HELP = "help"
    LOG_FILE = "log file"
    LOG_ROTATE = "log rotate"
    LOG_BOTH = "log both"
    MESSAGES = "messages"  # read and write Mesos' messages
    SIMULATE = "simulate"  # a cluster
    EXECUTE = "execute"  # a task under Mesos
    EXECUTOR = "executor"  # be the executor of tasks
    SCHEDULE = "schedule"  # be the scheduler


@dataclass(frozen=True, slots=True)
class Log:
    skill: Skill = Skill.LOG_FILE
    size: int = 100_000_000
    count: int = 20


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    argv: tuple[str, ...]
    keep: bool = False  # start it again whenever it ends
    log: Log | None = None  # None: whatever is cheapest

    @property
    def command(self) -> str:
        return shlex.join(self.argv)


@dataclass(frozen=True, slots=True)
class Job:
    programs: tuple[Program, ...]
    directory: Path
    chain: bool = False
    limit: int = 0  # how many at a time, 0: no limit


@dataclass(frozen=True, slots=True)
class Command:
    argv: tuple[str, ...]
    env: dict[str, str] | None = None
