"""A host for scenarios: real configs, the real command, real processes; the test waits for events.

    host.run(CONFIG)           starts `thermos run` on a config file           -> Task
    task.wait_running("web")   until the records say so (inotify on the checkpoint)
    task.wait_file("ready")    until a command has made a file in the sandbox (inotify on the sandbox)
    task.wait_end()            until the command has ended (pidfd)              -> the fold of the records

Nothing sleeps: every wait ends by an event, and PATIENCE only turns a hang into a failure. A finished task is looked
over: nothing that one of its runs started may be alive.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.processes import PATIENCE, Found, Watch, cpu_seconds, find_processes, kill_verified, wait_gone
from thermos.core.fold import Run, TaskRecord, replay
from thermos.core.records import AnyRecord, Exited, Forked, Line, RecordReader, Running, Starting
from thermos.core.states import TaskState
from thermos.errors import Exit
from thermos.host.kernel import Stat
from thermos.paths import TaskPaths, log_dir

REPO = Path(__file__).parents[2]
COMMAND = Path(sys.executable).parent / "thermos"

#: How tasks are run: by the installed command, or (THERMOS_E2E=library) by the small driver beside this file.
LIBRARY = (sys.executable, "-m", "tests.e2e.drive")
THERMOS_RUN = LIBRARY if os.environ.get("THERMOS_E2E") == "library" else (str(COMMAND), "run", "--plain")

#: Exit codes of the command by the state in which the task ended.
EXITS = {
    TaskState.SUCCESS: Exit.OK,
    TaskState.FAILED: Exit.FAILED,
    TaskState.KILLED: Exit.KILLED,
    TaskState.LOST: Exit.LOST,
}


def read_records(path: Path) -> list[AnyRecord]:
    """Every good record of a checkpoint file; a bad line is a failure."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    lines = list(RecordReader().feed(data))
    assert all(isinstance(line, Line) for line in lines), lines
    return [line.record for line in lines if isinstance(line, Line) and line.record is not None]


@dataclass
class Task:
    """One task: the process that runs it now, and what can be known of it from outside."""

    host: Host
    paths: TaskPaths
    sandbox: Path
    argv: tuple[str, ...]
    env: dict[str, str]
    popen_options: dict[str, object]
    process: subprocess.Popen[bytes] = field(init=False)
    pidfd: int = -1
    output: int | None = None  # fd for its stdout; None: with the others
    gates: dict[str, int] = field(default_factory=dict)

    def start(self) -> None:
        """Start a runner (the first, or the next one after its death)."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
        self.process = subprocess.Popen(
            self.argv,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=self.host.output if self.output is None else self.output,
            stderr=self.host.output,
            cwd=REPO,
            **self.popen_options,  # type: ignore[call-overload]
        )
        self.pidfd = os.pidfd_open(self.process.pid)

    # facts ----------------------------------------------------------------------------------------------------------
    def records(self) -> list[AnyRecord]:
        return read_records(self.paths.runner)

    def view(self) -> TaskRecord:
        """The state of the task as any reader sees it."""
        return replay(self.records())

    def runs(self, process: str) -> list[Run]:
        known = self.view().processes.get(process)
        return list(known.runs.values()) if known else []

    def states(self, process: str) -> list[str]:
        return [str(run.state) for run in self.runs(process)]

    def sequence(self) -> list[tuple[str, str]]:
        """(process, "Starting" or "Exited") in the order of the records: what the runner knew before it did what."""
        return [(r.process, type(r).__name__) for r in self.records() if isinstance(r, Starting | Exited)]

    def log(self, process: str, run: int = 0, name: str = "stdout") -> str:
        return (log_dir(self.sandbox) / process / str(run) / name).read_text()

    def file(self, name: str) -> Path:
        return self.sandbox / name

    def lines(self, name: str) -> list[str]:
        """Lines that commands have put into a file of the sandbox."""
        path = self.file(name)
        return path.read_text().splitlines() if path.exists() else []

    # waiting --------------------------------------------------------------------------------------------------------
    def wait(self, look: Callable[[], Found | None], what: str) -> Found:
        """Until `look` gives something; woken by changes of the checkpoint and the sandbox."""
        try:
            return self.host.watch.until(look, what, [self.paths.checkpoint, self.sandbox], self.pidfd)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.host.said()}\n{self.records()[-5:]}") from None

    def wait_run(self, process: str, number: int, *states: str) -> Run:
        """Until a run is in one of these states."""

        def look() -> Run | None:
            run = self.view().run(process, number)
            return run if run is not None and run.state in states else None

        return self.wait(look, f"{process}/{number} {states}")

    def wait_running(self, process: str, number: int = 0) -> Run:
        return self.wait_run(process, number, "RUNNING")

    def wait_file(self, name: str) -> str:
        """Until a command has made a file and written a whole line; its text."""

        def look() -> str | None:
            path = self.file(name)
            text = path.read_text() if path.exists() else ""
            return text if text.endswith("\n") else None

        return self.wait(look, f"file {name}")

    def wait_lines(self, name: str, count: int) -> list[str]:
        def look() -> list[str] | None:
            lines = self.lines(name)
            return lines if len(lines) >= count else None

        return self.wait(look, f"{count} lines in {name}")

    def wait_quiet(self, seconds: float) -> None:
        """Let time pass in which nothing may be recorded; ends early, as a failure, if something is."""
        before = self.records()
        ready, _, _ = select.select([self.pidfd], [], [], seconds)
        assert not ready, "the runner has ended"
        assert self.records() == before

    def wait_rest(self, pids: list[int]) -> float:
        """Until these have nothing left to do of what came before; the CPU seconds that they have used."""
        used, before = sum(map(cpu_seconds, pids)), -1.0
        while used != before:
            self.wait_quiet(0.3)
            used, before = sum(map(cpu_seconds, pids)), used
        return used

    def wait_exit(self) -> int:
        """Until the runner has ended; its exit code (negative: the signal that killed it)."""
        ready, _, _ = select.select([self.pidfd], [], [], PATIENCE)
        assert ready, f"the runner does not end: {self.host.said()}\n{self.records()[-5:]}"
        return self.process.wait()

    def wait_end(self, state: str = "") -> TaskRecord:
        """Until the task is over; nothing of it may be left. `state`: what it has to be."""
        code = self.wait_exit()
        view = self.view()
        assert view.terminal and view.state is not None, f"the runner ended with {code}: {self.host.said()}"
        assert code in (EXITS[view.state], Exit.INTERRUPTED), (code, self.host.said())
        self.assert_nothing_left()
        if state:
            assert view.state.name == state, (view.state, view.reason)
        return view

    # acting ---------------------------------------------------------------------------------------------------------
    def signal(self, signum: signal.Signals) -> None:
        """To the runner."""
        signal.pidfd_send_signal(self.pidfd, signum)

    def gate(self, name: str = "go") -> None:
        """A FIFO in the sandbox, open at our side: commands `read x < go` until they are let go."""
        path = self.file(name)
        os.mkfifo(path)
        path.chmod(0o666)
        self.gates[name] = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def let_go(self, count: int = 1, name: str = "go") -> None:
        """So many commands go on."""
        os.write(self.gates[name], b"go\n" * count)

    # what is left ---------------------------------------------------------------------------------------------------
    def coordinators(self) -> list[tuple[int, int]]:
        """(pid, start ticks) of every coordinator that ever recorded a run."""
        records = [r for path in self.paths.checkpoint.glob("coordinator.*") for r in read_records(path)]
        return [(r.pid, r.start) for r in records if isinstance(r, Forked)]

    def find_left(self) -> list[Stat]:
        """Everything alive that one of our runs started: by its marker, its session, or as a recorded main."""
        records = self.records()
        for path in self.paths.checkpoint.glob("coordinator.*"):
            records += read_records(path)
        markers = [f"THERMOS_RUN={r.nonce}".encode() for r in records if isinstance(r, Starting)]
        mains = {r.pid: r.start for r in records if isinstance(r, Running)}
        return find_processes(markers, mains)

    def assert_nothing_left(self) -> None:
        """The tree must be gone now; a coordinator may still be on its way out after its last record."""
        left = self.find_left()
        assert not left, left
        for pid, start in self.coordinators():
            wait_gone(pid, start)

    def clean_up(self) -> None:
        """End the runner, the coordinators and whatever a failed test left."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for fd in (self.pidfd, *self.gates.values()):
            os.close(fd)
        for pid, start in self.coordinators():
            kill_verified(pid, start)
        for _ in range(20):
            left = self.find_left()
            for status in left:
                kill_verified(status.pid, status.start)
            if not left:
                break


class Host:
    """A root for checkpoints and a place for sandboxes and configs; what the runners of a test have in common."""

    def __init__(self, place: Path, *, python_coordinator: bool = False) -> None:
        self.place = place
        self.root = place / "root"
        self.watch = Watch()
        self.tasks: list[Task] = []
        self.output = (place / "output").open("w+b")
        self.env = {name: value for name, value in os.environ.items() if name not in ("THERMOS_RUN", "BASH_ENV")}
        self.env.pop("THERMOS_PYTHON_COORDINATOR", None)
        if python_coordinator:
            self.env["THERMOS_PYTHON_COORDINATOR"] = "1"

    def run(
        self,
        config: str,
        *options: str,
        task_id: str = "t",
        before: Callable[[Task], object] | None = None,
        env: dict[str, str] | None = None,
        **popen_options: object,
    ) -> Task:
        """Write the config to a file and run it. `before` prepares the sandbox."""
        task = self.task(config, *options, task_id=task_id, env=env, **popen_options)
        if before is not None:
            before(task)
        task.start()
        return task

    def task(
        self,
        config: str,
        *options: str,
        task_id: str = "t",
        env: dict[str, str] | None = None,
        command: tuple[str, ...] = THERMOS_RUN,
        **popen_options: object,
    ) -> Task:
        """A task that is not yet started, with an empty sandbox."""
        path = self.place / f"{task_id}.thermos"
        path.write_text(config)
        sandbox = self.place / f"sandbox-{task_id}"
        sandbox.mkdir(exist_ok=True)
        where = ("--root", str(self.root), "--task_id", task_id, "--sandbox", str(sandbox))
        argv = (*command, *where, *options, str(path))
        paths = TaskPaths(self.root, task_id)
        self.tasks.append(Task(self, paths, sandbox, argv, {**self.env, **(env or {})}, popen_options))
        return self.tasks[-1]

    def said(self) -> str:
        """What the runners printed."""
        return os.pread(self.output.fileno(), 1 << 20, 0).decode(errors="replace")

    def clean_up(self) -> None:
        for task in self.tasks:
            if task.pidfd >= 0:
                task.clean_up()
        self.watch.close()
        self.output.close()
