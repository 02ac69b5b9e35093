"""Real checkpoint directories for tests of the observer, written with the records of `thermos.core.records`.

    builder = Builder(tmp_path / "root")
    task = builder.task("web-1", processes=("fetch", "serve"), order=(("fetch", "serve"),))
    task.run("fetch").run("serve", state="running")
    task.log("serve", 0, "stdout", "hello\\n")
    task.finish(TaskState.SUCCESS)

Time stands where `at` says; every record is a second after the last one, so that pages have something to show.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thermos.core.records import (
    AnyRecord,
    Exited,
    Forked,
    Header,
    Owner,
    Record,
    Running,
    SetupFailed,
    Starting,
    Stopped,
    TaskStatus,
    encode_record,
)
from thermos.core.states import TaskState
from thermos.host.kernel import Kernel
from thermos.model import LoggerSpec, ProcessSpec, ResourcesSpec, TaskSpec, encode_task
from thermos.paths import TaskPaths

BEGIN = 1_760_000_000.0
KERNEL = Kernel()


class TaskBuilder:
    """One task; every method writes at once, as a runner would, and returns the task."""

    def __init__(self, paths: TaskPaths, spec: TaskSpec, sandbox: Path, at: float, ports: dict[str, int]) -> None:
        self.paths = paths
        self.spec = spec
        self.sandbox = sandbox
        self.at = at
        self._runs: dict[str, int] = {}
        self._seq: dict[str, int] = {}
        for directory in (paths.active.parent, paths.finished.parent, paths.checkpoint, sandbox):
            directory.mkdir(parents=True, exist_ok=True)
        self._ports = ports

    @property
    def log_dir(self) -> Path:
        return self.sandbox / ".logs"

    def begin(self, *, attended: bool = True, format: int = 1) -> TaskBuilder:
        """Header, owner, ACTIVE; then the task's JSON appears. The owner is this very process, so it is alive."""
        self.record(
            Header(
                **self._clock(), format=format, task_id=self.paths.task_id, sandbox=str(self.sandbox),
                log_dir=str(self.log_dir), hostname="host-1", user="www", uid=os.geteuid(), ports=self._ports,
            )
        )  # fmt: skip
        me = KERNEL.proc_stat(os.getpid())
        start = me.start if me is not None and attended else 1
        self.record(
            Owner(
                **self._clock(), pid=os.getpid(), start=start, uid=os.geteuid(), boot=KERNEL.boot_id(),
                pidns=KERNEL.pid_namespace(),
            )
        )  # fmt: skip
        self.record(TaskStatus(**self._clock(), state=TaskState.ACTIVE))
        fresh = self.paths.active.with_name(f".{self.paths.task_id}")
        fresh.write_bytes(encode_task(self.spec))
        fresh.rename(self.paths.active)
        return self

    def _clock(self) -> dict[str, Any]:
        self.at += 1
        return {"at": self.at, "mono": self.at - BEGIN + 1000}

    def record(self, record: Record) -> TaskBuilder:
        with self.paths.runner.open("ab") as file:
            file.write(encode_record(record))
        return self

    def records(self, records: Sequence[AnyRecord]) -> TaskBuilder:
        for each in records:
            self.record(each)
        return self

    def start(self, process: str, *, pid: int = 0, start: int = 0) -> TaskBuilder:
        """A run that is RUNNING; `pid` 0 is a process that does not exist."""
        run = self._runs[process] = self._runs.get(process, -1) + 1
        self.record(Starting(**self._clock(), process=process, run=run, nonce=f"{process}-{run}", offset=0))
        self.record(
            Forked(
                **self._clock(), process=process, run=run, seq=0, pid=pid or 2_000_000_000, start=1,
                boot=KERNEL.boot_id(), pidns=KERNEL.pid_namespace(),
            )
        )  # fmt: skip
        self.record(
            Running(**self._clock(), process=process, run=run, seq=1, pid=pid or 2_000_000_001, start=start or 1)
        )
        self._seq[process] = 2
        return self

    def end(self, process: str, *, code: int | None = 0, signal: int | None = None) -> TaskBuilder:
        """The newest run of a process exits."""
        seq, self._seq[process] = self._seq[process], self._seq[process] + 1
        code = None if signal is not None else code
        return self.record(
            Exited(
                **self._clock(), process=process, run=self._runs[process], seq=seq, code=code, signal=signal,
                utime=0.25, stime=0.05, maxrss=4 << 20,
            )
        )  # fmt: skip

    def stop(self, process: str, *, killed: Sequence[tuple[int, str]] = ()) -> TaskBuilder:
        """The kill receipt of the newest run."""
        seq, self._seq[process] = self._seq[process], self._seq[process] + 1
        return self.record(
            Stopped(
                **self._clock(), process=process, run=self._runs[process], seq=seq, why="stop", signal=15,
                signalled=2, left=1, killed=list(killed), killed_count=len(killed),
            )
        )  # fmt: skip

    def run(self, process: str, *, code: int | None = 0, signal: int | None = None) -> TaskBuilder:
        """A whole run."""
        return self.start(process).end(process, code=code, signal=signal)

    def fail_setup(self, process: str) -> TaskBuilder:
        self.start(process)
        return self.record(
            SetupFailed(
                **self._clock(), process=process, run=self._runs[process], seq=2, stage="cwd", errno=2, detail=""
            )
        )

    def status(self, state: TaskState, reason: str = "", *, deadline: float = 0.0) -> TaskBuilder:
        clock = self._clock()
        until = clock["mono"] + deadline if deadline else 0.0
        return self.record(TaskStatus(**clock, state=state, reason=reason, stop_deadline=until, deadline=until))

    def finish(self, state: TaskState = TaskState.SUCCESS, reason: str = "all processes finished") -> TaskBuilder:
        """CLEANING, FINALIZING, `state`; then its JSON moves."""
        for each in (TaskState.CLEANING, TaskState.FINALIZING, state):
            self.status(each, reason)
        self.paths.active.rename(self.paths.finished)
        os.utime(self.paths.finished, (self.at, self.at))
        return self

    def come_back(self) -> TaskBuilder:
        self.paths.finished.rename(self.paths.active)
        return self

    def log(self, process: str, run: int, stream: str, text: str | bytes, *, rotated: int = 0) -> Path:
        """Append to a log; `rotated` N is the file `.N`."""
        path = self.log_dir / process / str(run) / (f"{stream}.{rotated}" if rotated else stream)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(text.encode() if isinstance(text, str) else text)
        return path

    def rotate(self, process: str, run: int, stream: str) -> None:
        """`.N` becomes `.N+1`, the current file `.1`."""
        directory = self.log_dir / process / str(run)
        numbers = sorted((int(p.name.rpartition(".")[2]) for p in directory.glob(f"{stream}.*")), reverse=True)
        for number in numbers:
            (directory / f"{stream}.{number}").rename(directory / f"{stream}.{number + 1}")
        (directory / stream).rename(directory / f"{stream}.1")


class Builder:
    """A checkpoint root with sandboxes beside it."""

    def __init__(self, root: Path, sandboxes: Path | None = None) -> None:
        self.root = root
        self.sandboxes = sandboxes or root.parent / f"{root.name}-sandboxes"

    def task(
        self,
        task_id: str,
        *,
        processes: Sequence[str | ProcessSpec] = ("main",),
        order: Sequence[Sequence[str]] = (),
        at: float = BEGIN,
        name: str = "",
        ports: dict[str, int] | None = None,
        begin: bool = True,
        attended: bool = True,
        max_concurrency: int = 0,
        logger: LoggerSpec | None = None,
    ) -> TaskBuilder:
        spec = TaskSpec(
            name=name or task_id,
            processes=tuple(
                p if isinstance(p, ProcessSpec) else ProcessSpec(name=p, cmdline=f"echo {p}", logger=logger)
                for p in processes
            ),
            order=tuple(tuple(names) for names in order),
            resources=ResourcesSpec(cpu=1.0, ram=128 << 20, disk=1 << 30),
            max_concurrency=max_concurrency,
        )
        paths = TaskPaths(self.root, task_id)
        made = TaskBuilder(paths, spec, self.sandboxes / task_id, at, ports if ports is not None else {"http": 31000})
        return made.begin(attended=attended) if begin else made


def mesos_root(work_dir: Path, executor: str, run: str = "run-1") -> Path:
    """The checkpoint root of an executor's run below a Mesos work directory; its sandbox is beside it."""
    run_dir = work_dir / "slaves" / "S1" / "frameworks" / "F1" / "executors" / executor / "runs" / run
    run_dir.mkdir(parents=True)
    return run_dir / "checkpoints"
