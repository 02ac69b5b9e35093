"""A real task with real coordinators, driven by a test. No sleeps: a wait is a select() whose timeout means failure.

Everything that a rig starts carries the rig's token, in THERMOS_RUN or in the name of its coordinator, so that what is
left over can be found. Commands `mark` each of their executions, so that a run that was executed twice shows.
"""

from __future__ import annotations

import os
import secrets
import select
import signal
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.thermos.host.faults import DyingKernel, FaultyKernel
from thermos import clock
from thermos.core.fold import Run, TaskRecord, replay
from thermos.core.records import AnyRecord, CoordinatorRecord, Exited, Line, RecordReader
from thermos.core.states import ProcessState
from thermos.host.kernel import Kernel
from thermos.host.spawn import RUN_MARKER, Settings
from thermos.host.users import current_user
from thermos.model import ProcessSpec, TaskSpec
from thermos.paths import TaskPaths
from thermos.recovery import own_task
from thermos.runner import Runner

PATIENCE = 40.0  # seconds until a test that waits has failed
ENDING = 20.0  # seconds that a coordinator may take to end after its last record

#: One line per execution: which run it was.
MARK = 'echo "$THERMOS_RUN" >> marks; '


class _Marking(Kernel):
    """Nonces begin with the rig's token."""

    token = ""

    def nonce(self) -> str:
        return f"{self.token}-{secrets.token_hex(4)}"


class RigKernel(_Marking, FaultyKernel):
    """The real kernel, counting, with faults."""


class MortalKernel(_Marking, DyingKernel):
    """The real kernel; its process dies at the n-th act."""


def process(name: str, cmdline: str, **fields: Any) -> ProcessSpec:
    return ProcessSpec(name=name, cmdline=MARK + cmdline, **({"min_duration": 0} | fields))


class Bell:
    """A FIFO in the sandbox that commands write lines into: `echo up > NAME`."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path, 0o666)
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._heard = b""

    def heard(self) -> list[str]:
        try:
            while data := os.read(self.fd, 65536):
                self._heard += data
        except BlockingIOError:
            pass  # no more for now
        return self._heard.decode().split("\n")[:-1]


class Rig:
    """One task below `root`."""

    def __init__(self, root: Path, *processes: ProcessSpec, **task: Any) -> None:
        self.token = f"rig{secrets.token_hex(6)}"
        self.paths = TaskPaths(root / "root", self.token)
        self.spec = TaskSpec(name="t", processes=processes, **({"finalization_wait": 20} | task))
        self.settings = Settings(
            sandbox=root / "sandbox",
            log_dir=root / "sandbox" / ".logs",
            user=current_user(),
            hostname="h",
            path=os.environ.get("PATH", os.defpath),
        )
        self.sandbox = root / "sandbox"
        self.sandbox.mkdir(parents=True, exist_ok=True)
        self.bells: list[Bell] = []
        self.runners: list[Runner] = []

    # owning -----------------------------------------------------------------------------------------
    def kernel(self, *faults: Any) -> RigKernel:
        return self.mark(RigKernel(*faults))

    def mark(self, kernel: Any) -> Any:
        kernel.token = self.token
        return kernel

    def own(self, kernel: Kernel | None = None, **options: Any) -> Runner:
        runner = own_task(self.spec, self.paths, self.settings, kernel or self.kernel(), clock.now(), **options)
        self.runners.append(runner)
        return runner

    def bell(self, name: str) -> Bell:
        self.bells.append(Bell(self.sandbox / name))
        return self.bells[-1]

    @staticmethod
    def await_bell(bell: Bell) -> None:
        """Until somebody rang it; no runner of ours is driven meanwhile."""
        while not bell.heard():
            assert select.select([bell.fd], [], [], PATIENCE)[0], "nobody rang"

    def drive(self, runner: Runner, until: Callable[[], Any]) -> None:
        """Let the runner run until the predicate holds. It is asked again after every event."""
        limit = time.monotonic() + PATIENCE
        extra = [bell.fd for bell in self.bells]
        while not until():
            assert not runner.done, f"over without it: {runner.state} {runner.task.reason}"
            now = time.monotonic()
            assert now < limit, self.story()
            wake = limit if runner.next_wake is None else min(limit, runner.next_wake)
            ready, _, _ = select.select([runner.fileno(), *extra], [], [], max(0.0, wake - now))
            if runner.fileno() in ready:
                runner.on_ready(clock.now())
            elif not ready and runner.next_wake is not None and runner.next_wake <= time.monotonic():
                runner.on_timer(clock.now())

    def finish(self, runner: Runner) -> TaskRecord:
        self.drive(runner, lambda: runner.done)
        return runner.task

    def up(self, runner: Runner, *names: str) -> None:
        """Until these run."""
        self.drive(runner, lambda: all(self.is_running(runner, name) for name in names))

    @staticmethod
    def is_running(runner: Runner, name: str) -> bool:
        number = runner.task.active.get(name)
        run = None if number is None else runner.task.run(name, number)
        return run is not None and run.state is ProcessState.RUNNING

    def in_a_child(self, act: Callable[[], None]) -> int:
        """Do it in a forked process; its pid."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # forking with threads around: the child only uses its own
            pid = os.fork()
        if pid:
            return pid
        code = 70
        try:
            act()
            code = 0
        except BaseException:
            (self.sandbox / "traceback").write_text(traceback.format_exc())
        finally:
            os._exit(code)

    def complaint(self) -> str:
        path = self.sandbox / "traceback"
        return path.read_text() if path.exists() else ""

    # looking ----------------------------------------------------------------------------------------
    def records(self, path: Path | None = None) -> list[AnyRecord]:
        lines = RecordReader().feed((path or self.paths.runner).read_bytes())
        return [line.record for line in lines if isinstance(line, Line) and line.record is not None]

    def on_disk(self) -> TaskRecord:
        return replay(self.records())

    def runs(self) -> list[Run]:
        return [run for record in self.on_disk().processes.values() for run in record.runs.values()]

    def marks(self) -> Counter[str]:
        path = self.sandbox / "marks"
        return Counter(path.read_text().split()) if path.exists() else Counter()

    def story(self) -> str:
        lines = self.paths.runner.read_text(errors="replace") if self.paths.runner.exists() else "nothing"
        return f"{self.paths.task_id}:\n{lines}"

    def check(self) -> None:
        """What must hold of every story, whatever died: no run twice, nothing unrecorded that was known."""
        runs = {run.nonce: run for run in self.runs()}
        marks = self.marks()
        assert set(marks) <= set(runs), f"executed, but not on record: {set(marks) - set(runs)}\n{self.story()}"
        assert all(times == 1 for times in marks.values()), f"a run was executed twice: {marks}\n{self.story()}"
        for nonce, run in runs.items():
            ended_by_itself = run.state in (ProcessState.SUCCESS, ProcessState.FAILED) and not run.stage
            assert not ended_by_itself or nonce in marks, f"never executed, but {run.state}: {run}"
            assert not run.damaged, run
        for inbox in self.paths.checkpoint.glob("coordinator.*"):
            self._check_inbox(self.records(inbox))

    def _check_inbox(self, records: Iterable[AnyRecord]) -> None:
        """Sequences count up without a gap; an exit that is here is also what the task believes, unless it was LOST."""
        seqs: dict[tuple[str, int], list[int]] = {}
        task = self.on_disk()
        for record in records:
            assert isinstance(record, CoordinatorRecord)
            seqs.setdefault((record.process, record.run), []).append(record.seq)
            run = task.run(record.process, record.run)
            assert run is not None
            if isinstance(record, Exited) and run.lost is None:
                assert (run.code, run.signal) == (record.code, record.signal), self.story()
        for key, numbers in seqs.items():
            assert numbers == list(range(len(numbers))), (key, numbers)

    # cleaning ---------------------------------------------------------------------------------------
    def coordinators(self) -> list[int]:
        return [pid for pid in all_pids() if f"{self.token}/".encode() in read_proc(pid, "cmdline")]

    def members(self) -> list[int]:
        """Living processes that carry the marker of one of our runs."""
        marker = f"{RUN_MARKER}={self.token}-".encode()
        return [pid for pid in all_pids() if marker in read_proc(pid, "environ")]

    def kill_coordinators(self) -> list[int]:
        pids = self.coordinators()
        pidfds = []
        for pid in pids:
            try:
                pidfds.append(os.pidfd_open(pid))
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has just ended
        for pidfd in pidfds:
            assert select.select([pidfd], [], [], PATIENCE)[0]
            os.close(pidfd)
        return pids

    def _await_coordinators(self) -> None:
        """One that has said its last word is about to end."""
        for pid in self.coordinators():
            try:
                pidfd = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            select.select([pidfd], [], [], ENDING)
            os.close(pidfd)

    def close(self) -> list[int]:
        """Kill and reap everything of ours; returns who was still alive."""
        for runner in self.runners:
            runner.close()
        self._await_coordinators()
        left = [*self.coordinators(), *self.members()]
        while pids := [*self.coordinators(), *self.members()]:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass  # gone meanwhile
            reap_children()
        for bell in self.bells:
            os.close(bell.fd)
        reap_children()
        return left


def reap_children() -> None:
    """As subreaper the test process inherits orphans."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass  # none at all


def all_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def read_proc(pid: int, name: str) -> bytes:
    """b"" for zombies and for those that have gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def stat_of(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; empty when there is no such process."""
    return read_proc(pid, "stat").decode(errors="replace").rpartition(") ")[2].split()


def wait_ended(pid: int) -> int:
    """Exit code of our child, or minus the signal."""
    pidfd = os.pidfd_open(pid)
    ready = select.select([pidfd], [], [], PATIENCE)[0]
    os.close(pidfd)
    assert ready, f"pid {pid} does not end"
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
