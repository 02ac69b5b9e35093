"""s6 and runit: a small supervisor for each service, in C, below one that scans a directory."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from bench.contenders.base import Contender, find_program
from bench.job import Command, Job, Log, Program, Skill
from bench.room import Begun, Room

_SKILLS = frozenset({Skill.KEEP, Skill.STOP, Skill.CRASH, Skill.LOG_FILE, Skill.LOG_ROTATE})


def debian_version(package: str) -> str:
    """As the package manager has it; the bare name where there is none."""
    try:
        argv = ["dpkg-query", "-W", "-f", "${Version}", package]
        return f"{package} {subprocess.run(argv, capture_output=True, text=True).stdout}".strip()
    except FileNotFoundError:
        return package


class S6(Contender):
    name = "s6"
    skills = _SKILLS
    note = "at least 1 s between two starts of a service"
    scanner = "s6-svscan"

    def missing(self) -> str:
        return "" if find_program(self.scanner) else "not installed"

    def version(self) -> str:
        return debian_version(self.name)

    def command(self, job: Job) -> Command:
        for program in job.programs:
            service = job.directory / "services" / program.name
            if not service.exists():
                _write_script(service / "run", _run_script(job, program))
                if program.log is not None and program.log.skill is Skill.LOG_ROTATE:
                    _write_script(service / "log" / "run", self._logger(_log_dir(job, program), program.log))
        return Command(self._scan(job.directory / "services"))

    def logs(self, job: Job, program: Program) -> list[Path]:
        if program.log is not None and program.log.skill is Skill.LOG_ROTATE:
            return [p for p in sorted(_log_dir(job, program).iterdir()) if p.name == "current" or p.name[0] == "@"]
        return super().logs(job, program)

    def _scan(self, services: Path) -> tuple[str, ...]:
        return find_program(self.scanner) or self.scanner, "-c", "8000", str(services)

    def _logger(self, where: Path, log: Log) -> str:
        return f"exec s6-log n{log.count} s{log.size} {where}"


class Runit(S6):
    name = "runit"
    scanner = "runsvdir"

    def begin_stop(self, room: Room, job: Job, begun: Begun) -> None:
        os.kill(begun.pid, signal.SIGHUP)

    def _scan(self, services: Path) -> tuple[str, ...]:
        return find_program(self.scanner) or self.scanner, "-P", str(services)

    def _logger(self, where: Path, log: Log) -> str:
        where.mkdir()
        (where / "config").write_text(f"s{log.size}\nn{log.count}\n")
        return f"exec svlogd -b 65536 {where}"


def _log_dir(job: Job, program: Program) -> Path:
    return job.directory / f"log-{program.name}"


def _run_script(job: Job, program: Program) -> str:
    redirect = ""
    if program.log is not None and program.log.skill is Skill.LOG_FILE:
        redirect = f" >> {job.directory}/{program.name}.log"
    # What shall run once must not end: these restart whatever ends.
    return f"exec {program.command}{redirect}" if program.keep else f"{program.command}{redirect}\nexec sleep 100000"


def _write_script(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
