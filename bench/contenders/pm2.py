"""pm2: a Node daemon that `pm2 start` brings up."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from bench.contenders.base import Contender, find_program
from bench.job import Command, Job, Program, Skill
from bench.room import Begun, Room


class Pm2(Contender):
    name = "pm2"
    daemonises = True
    skills = frozenset({Skill.KEEP, Skill.STOP, Skill.LOG_FILE})
    note = "max_restarts raised, min_uptime=0"

    def missing(self) -> str:
        return "" if find_program("pm2") and find_program("node") else "not installed"

    def version(self) -> str:
        package = Path(find_program("pm2") or "pm2").resolve().parent.parent / "package.json"
        node = subprocess.run([find_program("node") or "node", "--version"], capture_output=True, text=True).stdout
        return f"pm2 {json.loads(package.read_text())['version']}, node {node.strip()}"

    def command(self, job: Job) -> Command:
        path = job.directory / "ecosystem.json"
        path.write_text(json.dumps({"apps": [_app(program, job) for program in job.programs]}))
        return self._pm2(job, "start", str(path))

    def main_pid(self, room: Room, begun: Begun) -> int:
        return int((room.directory / "pm2" / "pm2.pid").read_text())

    def begin_stop(self, room: Room, job: Job, begun: Begun) -> None:
        room.begin(self._pm2(job, "kill"))

    def _pm2(self, job: Job, *argv: str) -> Command:
        env = {"PM2_HOME": str(job.directory / "pm2"), "HOME": str(job.directory), "PM2_DISCRETE_MODE": "true"}
        return Command((find_program("pm2") or "pm2", *argv, "--silent"), env)


def _app(program: Program, job: Job) -> dict[str, object]:
    return {
        "name": program.name,
        "script": program.argv[0],
        "args": list(program.argv[1:]),
        "interpreter": "none",
        "exec_mode": "fork",
        "cwd": str(job.directory),
        "autorestart": program.keep,
        "out_file": f"{job.directory}/{program.name}.log" if program.log else "/dev/null",
        "error_file": "/dev/null",
        "merge_logs": True,
        "max_restarts": 10**9,
        "min_uptime": 0,
    }
