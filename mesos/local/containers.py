"""An agent's containers: executors as child processes of this process, each in its sandbox and its own session.

The sandbox lies where a real agent has it, `slaves/ID/frameworks/ID/executors/ID/runs/UUID` with a link `latest`, and
holds `stdout` and `stderr`. The end of a container is told when its first process has ended and nothing that belongs
to it is left (`process_tree` says what does). All waiting is done by the event loop: a container costs a pidfd, and no
thread.

`Containers` outlives the agents that it serves: an agent that was killed finds its executors alive. What is left of an
embedded Mesos that was itself killed is ended at the next start: of every container its first process is recorded
below `meta/containers`, with its start time.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from mesos.core.messages import CommandInfo, ContainerID
from mesos.local import process_tree
from mesos.local.core.protocol import StartContainer
from mesos.local.fetcher import DEFAULT_LIMITS, Account, Fetcher, FetchLimits, Sandbox
from mesos.local.process_tree import Usage
from thermos.errors import HostError, ThermosError, UserError

_SIGKILL = 9
_EXIT_1 = 256  # as a wait status

#: Seconds between looks at what is left of a container that was killed.
_LOOK_S = 0.02
_LOOKS = 3000


class Report(Protocol):
    """Who hears of containers. Never called inside `start` or `kill`."""

    def container_started(self, container_id: ContainerID, pid: int) -> None: ...

    def container_failed(self, container_id: ContainerID, text: str) -> None: ...

    def container_exited(self, container_id: ContainerID, wait_status: int) -> None: ...


class Record(msgspec.Struct, frozen=True):
    """Of a container's first process, for the next life."""

    pid: int
    start_ticks: int
    boot_id: str


@dataclass(slots=True, eq=False)
class _Container:
    order: StartContainer
    task: asyncio.Task[None] | None = None
    process: subprocess.Popen[bytes] | None = None
    has_begun: bool = False
    is_killed: bool = False
    killer: asyncio.Task[int] | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def id(self) -> ContainerID:
        return self.order.container_id


class Containers:
    """Used in a running event loop."""

    def __init__(self, work_dir: Path, report: Report, *, fetch: FetchLimits = DEFAULT_LIMITS) -> None:
        self._records = work_dir / "meta" / "containers"
        self._report = report
        self._fetcher = Fetcher(work_dir / "fetch", fetch)
        self._containers: dict[str, _Container] = {}
        self._work_dir = work_dir

    # --- for the agent

    def start(self, order: StartContainer) -> None:
        """Makes the sandbox, fetches, starts; tells how it went."""
        container = _Container(order)
        self._containers[order.container_id.value] = container
        container.task = asyncio.create_task(self._live(container))

    def kill(self, container_id: ContainerID) -> None:
        """All of it. The end is told as usual, also of a container that is not there (as a wait status of SIGKILL)."""
        container = self._containers.get(container_id.value)
        if container is None:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._report.container_exited, container_id, _SIGKILL)
            return
        self._kill(container)

    @property
    def alive(self) -> tuple[str, ...]:
        """Of those that have not been reported as ended or failed."""
        return tuple(self._containers)

    def pid_of(self, container_id: str) -> int | None:
        container = self._containers.get(container_id)
        return container.process.pid if container is not None and container.process is not None else None

    async def usage(self) -> dict[str, Usage]:
        """What each container uses now; one look at all processes."""
        roots = {name: c.process.pid for name, c in self._containers.items() if c.process is not None}
        if not roots:
            return {}
        processes = await asyncio.to_thread(process_tree.all_processes)
        return {name: process_tree.usage_of(pid, processes) for name, pid in roots.items()}

    # --- for who runs the agent

    async def kill_leftovers(self) -> int:
        """Of an earlier life that ended without a word. Returns how many containers were left."""
        if not self._records.is_dir():
            return 0
        left = 0
        for path in sorted(self._records.iterdir()):
            record = _read_record(path)
            if record is not None and _is_its_own(record):
                left += await self._sweep(record.pid) > 0
            path.unlink(missing_ok=True)
        return left

    async def close(self) -> None:
        """Kill all containers and wait until they have ended."""
        for container in tuple(self._containers.values()):
            self._kill(container)
        for container in tuple(self._containers.values()):
            await container.ended.wait()
        await self._fetcher.close()

    # --- one container

    async def _live(self, container: _Container) -> None:
        name = container.id.value
        status: int | None = None
        problem = ""
        container.has_begun = True
        try:
            if container.is_killed:
                raise asyncio.CancelledError
            await self._begin(container)
            status = await self._until_end(container)
        except asyncio.CancelledError:
            status = _SIGKILL  # killed while it was being made
        except _CannotExecute:
            status = _EXIT_1
        except (ThermosError, OSError) as error:
            problem = str(error)
        finally:
            del self._containers[name]
            container.ended.set()
        if status is None:
            self._report.container_failed(container.id, problem)
        else:
            self._report.container_exited(container.id, status)

    async def _begin(self, container: _Container) -> None:
        order = container.order
        account, directory = account_of(order.user), Path(order.directory)
        if ".." in directory.parts or not directory.is_relative_to(self._work_dir):
            raise UserError(f"cannot make the sandbox {directory}: it is not below {self._work_dir}")
        make_sandbox(directory, account)
        command = order.executor.command or CommandInfo()
        with _log(directory / "stdout", account) as stdout, _log(directory / "stderr", account) as stderr:
            if command.uris:
                await self._fetch(container, command, Sandbox(directory, account, stderr))
            container.process = _spawn(order, command, account, stdout, stderr)
        self._write_record(container, container.process.pid)
        self._report.container_started(container.id, container.process.pid)

    async def _fetch(self, container: _Container, command: CommandInfo, sandbox: Sandbox) -> None:
        try:
            await self._fetcher.fetch(command.uris, sandbox)
        except ThermosError as error:
            assert sandbox.log is not None
            sandbox.log.write(f"{error}\n".encode())
            name = container.id.value
            text = f"Failed to fetch all URIs for container '{name}': exited with status 1"
            raise HostError(text) from error

    async def _until_end(self, container: _Container) -> int:
        """Until the first process has ended and all that belongs to it was killed. Its id stays its own as long as
        it is not waited for, so nobody else is taken for a member of its session."""
        assert container.process is not None
        pid = container.process.pid
        await _ended(pid)
        await self._sweep(pid)
        if container.killer is not None:
            await container.killer
        try:
            _, status = os.waitpid(pid, 0)
        except ChildProcessError:  # a subreaper in this process has waited for it: how it ended is lost
            status = _SIGKILL
        container.process.returncode = os.waitstatus_to_exitcode(status)
        (self._records / container.id.value).unlink(missing_ok=True)
        return status

    def _kill(self, container: _Container) -> None:
        if container.is_killed:
            return
        container.is_killed = True
        if container.process is not None:
            container.killer = asyncio.create_task(self._sweep(container.process.pid))
        elif container.has_begun and container.task is not None:
            container.task.cancel()

    async def _sweep(self, pid: int) -> int:
        """Kill what belongs to it until nothing does, or for a minute: who hangs in the kernel is left to it. Returns
        how many there were."""
        roots, most = {pid}, 0
        for _ in range(_LOOKS):
            living = await asyncio.to_thread(process_tree.kill_all, roots)
            most = max(most, living)
            if not living:
                break
            await asyncio.sleep(_LOOK_S)
        return most

    def _write_record(self, container: _Container, pid: int) -> None:
        process = process_tree.look_at(pid)
        if process is None:
            return
        self._records.mkdir(parents=True, exist_ok=True)
        record = Record(pid, process.start_ticks, boot_id())
        (self._records / container.id.value).write_bytes(msgspec.json.encode(record))


class _CannotExecute(Exception):
    """The command is not there; the sandbox' stderr says so, and the container has exited with 1."""


def account_of(user: str) -> Account:
    """Whom to run as. Only root can be somebody else."""
    if not user or os.geteuid() != 0:
        return Account()
    try:
        entry = pwd.getpwnam(user)
    except (KeyError, ValueError) as error:  # a name with a null byte is a ValueError
        raise UserError(f"Failed to get user information for '{user}': no such user") from error
    if entry.pw_uid == 0:
        return Account()
    return Account(entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(user, entry.pw_gid)))


def make_sandbox(directory: Path, account: Account) -> None:
    """With the link `latest` beside it."""
    directory.mkdir(parents=True)
    directory.chmod(0o750)
    if account.uid is not None and account.gid is not None:
        os.chown(directory, account.uid, account.gid)
    fresh = directory.parent / f".latest-{directory.name}"
    fresh.symlink_to(directory)
    fresh.rename(directory.parent / "latest")


def _log(path: Path, account: Account) -> BinaryIO:
    """Opened so that nobody can have put a link there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
    if account.uid is not None and account.gid is not None:
        os.fchown(descriptor, account.uid, account.gid)
    return os.fdopen(descriptor, "wb", buffering=0)


def _spawn(
    order: StartContainer, command: CommandInfo, account: Account, stdout: BinaryIO, stderr: BinaryIO
) -> subprocess.Popen[bytes]:
    if command.shell:
        arguments, program = ["sh", "-c", command.value], "sh"
    else:
        arguments, program = list(command.arguments) or [command.value], command.value
    try:
        return subprocess.Popen(
            arguments,
            executable=program,
            cwd=order.directory,
            env=order.environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            **account.arguments(),
        )
    except (OSError, ValueError) as error:  # ValueError: a null byte, or a name of a variable that is none
        why = error.strerror if isinstance(error, OSError) else error
        stderr.write(f"Failed to execute '{program}': {why}\n".encode())
        raise _CannotExecute from error


async def _ended(pid: int) -> None:
    """Until the process is a zombie (or gone)."""
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(pid)
    done = asyncio.Event()
    loop.add_reader(descriptor, done.set)
    try:
        await done.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _is_its_own(record: Record) -> bool:
    """Whether this process, or the session that it left behind, is still the container's. An id is not given anew
    while there is a session of that name."""
    process = process_tree.look_at(record.pid)
    return process is None or process.start_ticks == record.start_ticks


def _read_record(path: Path) -> Record | None:
    """None for what is damaged, or of another boot."""
    try:
        record = msgspec.json.decode(path.read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError):
        return None
    return record if record.boot_id == boot_id() else None
