"""A runner's world without processes: coordinators are puppets that a test moves by hand, and time is a number.

Files are real (in a temporary directory); spawning, pidfds, signals, /proc, the boot id and nonces are the puppet
kernel's. A test moves a puppet (`puppet.forked()`, `puppet.exited(3)`, `puppet.die()`) and then lets the runner look.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.thermos.host.faults import Fault, FaultyKernel
from thermos.clock import Now
from thermos.core.fold import TaskRecord, replay
from thermos.core.records import (
    AnyRecord,
    Exited,
    Forked,
    Gone,
    Line,
    RecordReader,
    Running,
    Stopped,
    encode_record,
)
from thermos.host.kernel import Stat
from thermos.host.spawn import RUN_MARKER, Settings
from thermos.host.users import Identity
from thermos.model import ProcessSpec, TaskSpec
from thermos.paths import TaskPaths
from thermos.recovery import own_task
from thermos.runner import Runner

ME = Identity("me", os.geteuid(), os.getegid(), (os.getegid(),), "/home/me")


class Puppet:
    """A coordinator, or anything else with a pid. Ended when its pipe is closed; reaped when somebody asked how."""

    def __init__(self, kernel: PuppetKernel, pid: int, orders: dict[str, str]) -> None:
        self.kernel, self.pid, self.orders = kernel, pid, orders
        self.start = pid * 7
        self.ppid, self.session = os.getpid(), pid
        self.comm, self.environ = "puppet", b""
        self.state = "S"
        self.signals: list[int] = []
        self.status: int | None = None
        self.reader, self._writer = os.pipe()
        self.seq = 0
        self.obeys_kill = True

    @property
    def process(self) -> str:
        return self.orders["process"]

    @property
    def run(self) -> int:
        return int(self.orders["run"])

    @property
    def nonce(self) -> str:
        return self.orders["env " + RUN_MARKER]

    # what a coordinator does ------------------------------------------------------------------------
    def write(self, data: bytes, poke: bool = True) -> None:
        """Into the inbox, as it is."""
        with self.kernel.paths.inbox(self.process).open("ab") as inbox:
            inbox.write(data)
        if poke:
            self.kernel.poke(self.orders["wake"].encode() + b"\n")

    def say(self, kind: type[Any], *, poke: bool = True, **fields: Any) -> AnyRecord:
        """One record of this run."""
        now = self.kernel.now
        base = {"at": now.wall, "mono": now.mono, "process": self.process, "run": self.run, "seq": self.seq}
        record: AnyRecord = kind(**(base | fields))
        self.seq += 1
        self.write(encode_record(record), poke)
        return record

    def forked(self, **fields: Any) -> None:
        kernel = self.kernel
        self.say(
            Forked, **({"pid": self.pid, "start": self.start, "boot": kernel.boot, "pidns": kernel.pidns} | fields)
        )

    def running(self, main: Puppet | None = None, **fields: Any) -> None:
        pid, start = (main.pid, main.start) if main else (self.pid + 500_000, 1)
        self.say(Running, **({"pid": pid, "start": start} | fields))

    def exited(self, code: int | None = 0, signum: int | None = None, daemons: int = 0, **fields: Any) -> None:
        """The last record, and the end unless daemons live on."""
        self.say(Exited, code=code, signal=signum, daemons=daemons, **fields)
        if not daemons:
            self.die(0)

    def gone(self) -> None:
        self.say(Gone)
        self.die(0)

    def stopped(self, **fields: Any) -> None:
        self.say(Stopped, **({"why": "stop"} | fields))

    def come_up(self) -> None:
        self.forked()
        self.running()

    # what the kernel does ----------------------------------------------------------------------------
    def die(self, status: int = signal.SIGKILL) -> None:
        """End with a wait status."""
        if self.status is None:
            self.status, self.state = status, "Z"
            os.close(self._writer)

    @property
    def ended(self) -> bool:
        return self.status is not None

    def close(self) -> None:
        self.die()
        os.close(self.reader)


class PuppetKernel(FaultyKernel):
    """Real files, invented processes."""

    def __init__(self, paths: TaskPaths, *faults: Fault) -> None:
        super().__init__(*faults)
        self.paths = paths
        self.now = Now(1_000_000.0, 1000.0)
        self.boot, self.pidns = "boot-1", 7
        self.puppets: dict[int, Puppet] = {}  # not reaped
        self.spawned: list[Puppet] = []
        self.signalled: list[tuple[int, int]] = []
        self._next_pid = 100_000
        self._next_nonce = 0
        self._fds: dict[int, Puppet] = {}

    def poke(self, token: bytes) -> None:
        fd = os.open(self.paths.checkpoint / "wake", os.O_RDWR | os.O_NONBLOCK)
        os.write(fd, token)
        os.close(fd)

    def stranger(self, pid: int = 0, **attributes: Any) -> Puppet:
        """A process that is no coordinator."""
        self._next_pid += 1
        puppet = Puppet(self, pid or self._next_pid, {})
        for name, value in attributes.items():
            setattr(puppet, name, value)
        self.puppets[puppet.pid] = puppet
        return puppet

    def close_all(self) -> None:
        for puppet in {*self.puppets.values(), *self.spawned}:
            puppet.close()


def _real(name: str) -> Any:
    def install(function: Any) -> Any:
        def call(self: PuppetKernel, *args: Any, **kwargs: Any) -> Any:
            def forward(*a: Any, **k: Any) -> Any:
                return function(self, *a, **k)

            return self._filter(name, args, forward, kwargs)

        setattr(PuppetKernel, name, call)
        return call

    return install


@_real("spawn")
def _spawn(self: PuppetKernel, program: str, argv: Sequence[str], orders: bytes, checkpoint_fd: int) -> int:
    fields: dict[str, str] = {}
    for text in orders.split(b"\0")[1:-1]:
        key, _, value = text.decode().partition("=")
        if key == "env":
            name, _, value = value.partition("=")
            key = f"env {name}"
        fields[key] = value
    self._next_pid += 1
    puppet = Puppet(self, self._next_pid, fields)
    self.puppets[puppet.pid] = puppet
    self.spawned.append(puppet)
    return puppet.pid


@_real("pidfd_open")
def _pidfd_open(self: PuppetKernel, pid: int) -> int:
    if pid not in self.puppets:
        raise ProcessLookupError(errno.ESRCH, "No such process")
    fd = os.dup(self.puppets[pid].reader)
    self._fds[fd] = self.puppets[pid]
    return fd


@_real("pidfd_signal")
def _pidfd_signal(self: PuppetKernel, pidfd: int, signum: int) -> None:
    puppet = self._fds[pidfd]
    if puppet.ended:
        raise ProcessLookupError(errno.ESRCH, "No such process")
    puppet.signals.append(int(signum))
    self.signalled.append((puppet.pid, int(signum)))
    if signum == signal.SIGKILL and puppet.obeys_kill:
        puppet.die(signal.SIGKILL)


@_real("reap")
def _reap(self: PuppetKernel, pid: int) -> int | None:
    puppet = self.puppets.get(pid)
    if puppet is None or not puppet.ended or puppet.ppid != os.getpid():
        return None
    del self.puppets[pid]
    return puppet.status


@_real("proc_stat")
def _proc_stat(self: PuppetKernel, pid: int) -> Stat | None:
    if pid == os.getpid():
        return Stat(pid, "runner", "R", 1, pid, 1)
    puppet = self.puppets.get(pid)
    if puppet is None:
        return None
    return Stat(pid, puppet.comm, puppet.state, puppet.ppid, puppet.session, puppet.start)


@_real("proc_pids")
def _proc_pids(self: PuppetKernel) -> list[int]:
    return list(self.puppets)


@_real("proc_environ")
def _proc_environ(self: PuppetKernel, pid: int) -> bytes:
    puppet = self.puppets.get(pid)
    return puppet.environ if puppet and puppet.state != "Z" else b""


@_real("proc_uid")
def _proc_uid(self: PuppetKernel, pid: int) -> int | None:
    return os.geteuid() if pid in self.puppets else None


@_real("boot_id")
def _boot_id(self: PuppetKernel) -> str:
    return self.boot


@_real("pid_namespace")
def _pid_namespace(self: PuppetKernel) -> int:
    return self.pidns


@_real("set_subreaper")
def _set_subreaper(self: PuppetKernel) -> bool:
    return True


@_real("nonce")
def _nonce(self: PuppetKernel) -> str:
    self._next_nonce += 1
    return f"nonce-{self._next_nonce}"


class Stage:
    """A task, its paths, and the runner that owns it now."""

    def __init__(self, root: Path, *processes: ProcessSpec, **task: Any) -> None:
        self.paths = TaskPaths(root / "root", "t-1")
        self.spec = TaskSpec(name="t", processes=processes, **task)
        self.settings = Settings(
            sandbox=root / "sandbox", log_dir=root / "sandbox" / ".logs", user=ME, hostname="h", path="/bin"
        )
        self.kernel = PuppetKernel(self.paths)
        self.runner: Runner | None = None

    def own(self, **options: Any) -> Runner:
        self.runner = own_task(self.spec, self.paths, self.settings, self.kernel, self.kernel.now, **options)
        return self.runner

    def crash(self) -> None:
        """The runner dies: its descriptors are closed, nothing is recorded."""
        assert self.runner is not None
        self.runner.close()
        for puppet in self.kernel.puppets.values():
            puppet.ppid = 1  # init's now

    def wait(self, seconds: float) -> None:
        """Time passes; nothing happens by itself."""
        now = self.kernel.now
        self.kernel.now = Now(now.wall + seconds, now.mono + seconds)

    def look(self) -> Runner:
        """The descriptor was readable."""
        assert self.runner is not None
        self.runner.on_ready(self.kernel.now)
        return self.runner

    def until_wake(self) -> Runner:
        """Time passes until the runner wants to be asked."""
        assert self.runner is not None
        assert self.runner.next_wake is not None
        self.wait(max(0.0, self.runner.next_wake - self.kernel.now.mono))
        self.runner.on_timer(self.kernel.now)
        return self.runner

    def puppet(self, process: str, run: int = -1) -> Puppet:
        """The last coordinator that was spawned for this process (and run)."""
        found = [p for p in self.kernel.spawned if p.process == process and run in (-1, p.run)]
        assert found, f"nothing was started for {process}"
        return found[-1]

    def started(self) -> list[tuple[str, int]]:
        return [(p.process, p.run) for p in self.kernel.spawned]

    def records(self) -> list[AnyRecord]:
        return [line.record for line in read_lines(self.paths.runner) if line.record is not None]

    def on_disk(self) -> TaskRecord:
        """What another reader makes of `runner`."""
        return replay(self.records())


def read_lines(path: Path) -> list[Line]:
    return [line for line in RecordReader().feed(path.read_bytes()) if isinstance(line, Line)]


def kinds(records: Iterable[AnyRecord]) -> list[str]:
    return [str(record.__struct_config__.tag) for record in records]


def process(name: str, **fields: Any) -> ProcessSpec:
    return ProcessSpec(name=name, cmdline="true", **({"min_duration": 0} | fields))
