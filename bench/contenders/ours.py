"""Ours: `thermos run`, as a user would write the task; and the runner as a library, without command and config."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from bench.contenders.base import Contender
from bench.job import Command, Job, Program, Skill
from thermos.model import LogDestination, LoggerSpec, LogMode, ProcessSpec, TaskSpec, encode_task

TASK_ID = "t"


def thermos_program() -> str | None:
    """$THERMOS, the one beside this Python, or the one on PATH."""
    beside = Path(sys.executable).parent / "thermos"
    return os.environ.get("THERMOS") or (str(beside) if beside.exists() else shutil.which("thermos"))


@cache
def _says(*argv: str) -> str | None:
    """What a command prints; None if it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


class Ours(Contender):
    name = "thermos"
    skills = frozenset(Skill) - {Skill.START}
    note = "min_duration=0"

    def missing(self) -> str:
        program = thermos_program()
        if program is None:
            return "no `thermos` beside this Python or on PATH"
        return "" if _says(program, "run", "--help") is not None else f"`{Path(program).name} run --help` fails"

    def version(self) -> str:
        return (_says(thermos_program() or "thermos", "--version") or "").split("\n")[0]

    def command(self, job: Job) -> Command:
        path = job.directory / "bench.thermos"
        path.write_text(render_config(job))
        return Command((thermos_program() or "thermos", "run", *self._places(job), str(path)))

    def daemon(self, job: Job) -> Command | None:
        """The same in the background under a keeper that starts a killed runner again; None where there is none yet."""
        program = thermos_program() or "thermos"
        if "--daemon" not in (_says(program, "run", "--help") or ""):
            return None
        command = self.command(job)
        return Command((*command.argv[:2], "--daemon", *command.argv[2:]))

    def help_command(self) -> Command:
        return Command((thermos_program() or "thermos", "--help"))

    def logs(self, job: Job, program: Program) -> list[Path]:
        return sorted(job.directory.glob(f"sandbox/.logs/{program.name}/*/stdout*"))

    def checkpoint(self, job: Job) -> Path:
        """The records of the task."""
        return job.directory / "root" / "checkpoints" / TASK_ID / "runner"

    def _places(self, job: Job) -> tuple[str, ...]:
        directory = job.directory
        return f"--root={directory / 'root'}", f"--task_id={TASK_ID}", f"--sandbox={directory / 'sandbox'}"


class OursAsLibrary(Ours):
    name = "thermos (library)"
    skills = frozenset(Skill) - {
        Skill.START, Skill.HELP, Skill.KEEPER, Skill.MESSAGES, Skill.SIMULATE, Skill.EXECUTE, Skill.EXECUTOR,
        Skill.SCHEDULE,
    }  # fmt: skip
    note = "own_task and Loop, without command and config"

    def missing(self) -> str:
        return ""

    def version(self) -> str:
        return ""

    def command(self, job: Job) -> Command:
        path = job.directory / "task.json"
        path.write_bytes(render_spec(job))
        return Command((sys.executable, "-m", "bench.drive", *self._places(job), str(path)), {"PYTHONPATH": _ROOT})


_ROOT = str(Path(__file__).resolve().parent.parent.parent)


def render_config(job: Job) -> str:
    """The job in the config language."""
    processes = "\n".join(f"    Process(name={p.name!r}, cmdline={p.command!r}{_options(p)})," for p in job.programs)
    order = ", constraints=order(*processes)" if job.chain else ""
    failures = 0 if job.programs[0].keep else 1
    return (
        f"processes = [\n{processes}\n]\n"
        f"export(Task(name='bench', processes=processes, max_failures={failures}, max_concurrency={job.limit}{order},\n"
        "            resources=Resources(cpu=1.0, ram=1 * GB, disk=1 * GB)))\n"
    )


def _options(program: Program) -> str:
    text = ", daemon=True, max_failures=0, min_duration=0" if program.keep else ""
    if program.log is not None and program.log.skill is Skill.LOG_ROTATE:
        rotate = f"RotatePolicy(log_size={program.log.size}, backups={program.log.count})"
        text += f", logger=Logger(destination='file', mode='rotate', rotate={rotate})"
    elif program.log is not None and program.log.skill is Skill.LOG_BOTH:
        text += ", logger=Logger(destination='both')"
    return text


def render_spec(job: Job) -> bytes:
    """The job as a bound task, what the config above compiles to."""
    processes = tuple(_process_spec(program) for program in job.programs)
    return encode_task(
        TaskSpec(
            name="bench",
            processes=processes,
            order=(tuple(p.name for p in processes),) if job.chain else (),
            max_failures=0 if job.programs[0].keep else 1,
            max_concurrency=job.limit,
        )
    )


def _process_spec(program: Program) -> ProcessSpec:
    logger = None
    if program.log is not None and program.log.skill is Skill.LOG_ROTATE:
        logger = LoggerSpec(mode=LogMode.ROTATE, log_size=program.log.size, backups=program.log.count)
    elif program.log is not None and program.log.skill is Skill.LOG_BOTH:
        logger = LoggerSpec(destination=LogDestination.BOTH)
    if program.keep:
        return ProcessSpec(
            name=program.name, cmdline=program.command, daemon=True, max_failures=0, min_duration=0, logger=logger
        )
    return ProcessSpec(name=program.name, cmdline=program.command, logger=logger)
