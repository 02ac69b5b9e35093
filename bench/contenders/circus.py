"""circus: looks after its processes every check_delay."""

from __future__ import annotations

import shlex
import subprocess

from bench.contenders.base import Contender, find_program
from bench.job import Command, Job, Program, Skill


class Circus(Contender):
    name = "circus"
    skills = frozenset({Skill.START, Skill.KEEP, Skill.STOP, Skill.CRASH, Skill.LOG_FILE, Skill.LOG_ROTATE})
    note = "check_delay=0.1 (its ini default is 5 s)"

    def missing(self) -> str:
        return "" if find_program("circusd") else "not installed"

    def version(self) -> str:
        argv = [find_program("circusd") or "circusd", "--version"]
        return "circus " + subprocess.run(argv, capture_output=True, text=True).stdout.strip()

    def command(self, job: Job) -> Command:
        where = job.directory
        head = f"[circus]\nendpoint = ipc://{where}/e.sock\npubsub_endpoint = ipc://{where}/p.sock\nstatsd = False\n"
        head += "httpd = False\ncheck_delay = 0.1\n"
        path = where / "circus.ini"
        path.write_text(head + "".join(_section(program, job) for program in job.programs))
        return Command((find_program("circusd") or "circusd", "--log-level", "warning", str(path)))


def _section(program: Program, job: Job) -> str:
    lines = [f"[watcher:{program.name}]", f"cmd = {program.argv[0]}", f"args = {shlex.join(program.argv[1:])}"]
    lines += ["copy_env = True", f"respawn = {program.keep}", "max_retry = -1"]
    if program.log is not None:
        lines += ["stdout_stream.class = FileStream", f"stdout_stream.filename = {job.directory}/{program.name}.log"]
        if program.log.skill is Skill.LOG_ROTATE:
            lines += [f"stdout_stream.max_bytes = {program.log.size}"]
            lines += [f"stdout_stream.backup_count = {program.log.count}"]
    return "\n".join(lines) + "\n"
