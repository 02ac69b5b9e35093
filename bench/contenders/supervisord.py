"""supervisord: one process, a poll of one second."""

from __future__ import annotations

import subprocess

from bench.contenders.base import Contender, find_program
from bench.job import Command, Job, Program, Skill

_HEAD = """[supervisord]
nodaemon=true
minfds=16000
logfile={directory}/supervisord.log
pidfile={directory}/supervisord.pid
childlogdir={directory}
"""


class Supervisord(Contender):
    name = "supervisord"
    skills = frozenset({Skill.START, Skill.KEEP, Skill.STOP, Skill.CRASH, Skill.LOG_FILE, Skill.LOG_ROTATE})
    note = "startsecs=0"

    def missing(self) -> str:
        return "" if find_program("supervisord") else "not installed"

    def version(self) -> str:
        argv = [find_program("supervisord") or "supervisord", "--version"]
        return "supervisord " + subprocess.run(argv, capture_output=True, text=True).stdout.strip()

    def command(self, job: Job) -> Command:
        path = job.directory / "supervisord.conf"
        path.write_text(_HEAD.format(directory=job.directory) + "".join(_section(p, job) for p in job.programs))
        return Command((find_program("supervisord") or "supervisord", "-c", str(path)))


def _section(program: Program, job: Job) -> str:
    command = program.command.replace("%", "%%")
    lines = [f"[program:{program.name}]", f"command={command}", "startsecs=0", "redirect_stderr=true"]
    lines.append(f"autorestart={'true' if program.keep else 'false'}")
    if program.log is None:
        lines.append("stdout_logfile=NONE")
    else:
        size = program.log.size if program.log.skill is Skill.LOG_ROTATE else 0
        lines.append(f"stdout_logfile={job.directory}/{program.name}.log")
        lines += [f"stdout_logfile_maxbytes={size}", f"stdout_logfile_backups={program.log.count}"]
    return "\n".join(lines) + "\n"
