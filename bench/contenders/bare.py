"""The bare Python loop, our yardstick."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from bench.contenders.base import Contender
from bench.job import Command, Job, Skill

LOOPS = Path(__file__).resolve().parent.parent / "bare.py"
PYTHON = (sys.executable, "-I", "-S")


class Bare(Contender):
    name = "bare Python"
    is_bare = True
    skills = frozenset(Skill) - {Skill.CRASH, Skill.START, Skill.KEEPER, Skill.SIMULATE, Skill.EXECUTOR, Skill.SCHEDULE}
    note = "posix_spawn of /bin/bash -c, blocking waitpid"

    def version(self) -> str:
        return f"Python {platform.python_version()}"

    def command(self, job: Job) -> Command:
        path = job.directory / "commands"
        path.write_text("".join(program.command + "\n" for program in job.programs))
        return Command((*PYTHON, str(LOOPS), *self._mode(job, str(path))))

    def _mode(self, job: Job, path: str) -> tuple[str, ...]:
        first = job.programs[0]
        log = str(job.directory / f"{first.name}.log")
        if first.log is not None:
            match first.log.skill:
                case Skill.LOG_ROTATE:
                    return "rotate", path, log, str(first.log.size), str(first.log.count)
                case Skill.LOG_BOTH:
                    return "both", path, log
                case _:
                    return "file", path, log
        if first.keep:
            return "keep", path
        return ("chain", path) if job.chain else ("fanout", path, str(job.limit))

    def help_command(self) -> Command:
        return Command((sys.executable, "-c", "pass"))
