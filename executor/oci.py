"""Containers through an OCI runtime of this host: for images that need more than a root of their own.

    runtime = find_runtime()                  # runc, or podman (with runc below it, where both are there)
    container = runtime.start(spec, stdout=fd, stderr=fd)
    container.fileno()                        # readable when it has ended: for a loop
    container.wait(timeout_s) -> Ended | None
    container.kill(signal.SIGTERM)            # to its first process
    container.remove()                        # whatever it does just now; afterwards nothing of it is on the host

`start` returns when the container is there, so the others find it. Under runc no process of the runtime stays: the
first process of the container becomes our child (we are a subreaper) and tells its end itself. podman's own process
stays with it, and tells the death by a signal as 128 and its number, as shells do; a command that exits with such a
code looks the same.

Source: runc(8), podman-create(1). Seen on hosts: podman raises limits, which needs CAP_SYS_RESOURCE, unless small ones
are named; crun refuses hybrid cgroups, so podman is told to use runc where that is installed.
"""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from executor.core.oci_config import ContainerSpec, render_config
from thermos.errors import HostError, UserError
from thermos.host.kernel import Kernel

_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
_CALL_DEADLINE_S = 60.0
#: Above this podman has been seen to fail without CAP_SYS_RESOURCE, whatever our own limit is.
_NPROC = 20_000


class ContainerFailed(HostError):
    """The runtime refused; its own words."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a container's first process ended: one of them is a number (neither, if another parent has reaped it)."""

    code: int | None
    signal: int | None


class Container(Protocol):
    """One that was started. `remove` it in the end."""

    spec: ContainerSpec

    def fileno(self) -> int: ...

    def wait(self, timeout_s: float | None = None) -> Ended | None:
        """None: it still runs."""

    def kill(self, signum: int) -> None:
        """One that has ended is left alone. Raises ContainerFailed."""

    def remove(self) -> None:
        """Raises ContainerFailed."""


class Runtime(Protocol):
    name: str

    def start(self, spec: ContainerSpec, *, stdout: int | None = None, stderr: int | None = None) -> Container:
        """Blocking. Raises ContainerFailed. A container of that name, left over by a dead executor, has to be removed
        first."""

    def remove(self, name: str) -> None:
        """By name, also when another process has started it; none of that name is well. Raises ContainerFailed."""


def find_runtime(name: str | None = None, places: Path = Path("/run/thermos-oci")) -> Runtime:
    """The runtime called `name`, or the first there is. Bundles of runc lie in `places`. Raises HostError."""
    if os.geteuid() != 0:
        raise HostError("cannot run containers: only root may")
    if name not in (None, "runc", "podman"):
        raise UserError(f"cannot run containers with {name}: use runc or podman")
    runc, podman = _find("runc"), _find("podman")
    if runc is not None and name in (None, "runc"):
        return Runc(runc, places)
    if podman is not None and name in (None, "podman"):
        return Podman(podman, runc)
    wanted = name or "neither runc nor podman"
    raise HostError(
        f"cannot run containers: {wanted} is {'not ' if name else ''}installed (Debian: apt-get install runc)"
    )


class Runc:
    """runc alone: a bundle per container below `places`."""

    name = "runc"

    def __init__(self, program: str, places: Path) -> None:
        self._program = program
        self._places = places

    def start(self, spec: ContainerSpec, *, stdout: int | None = None, stderr: int | None = None) -> Container:
        bundle = self._places / _checked(spec.name)
        try:
            bundle.mkdir(mode=0o700, parents=True)
            (bundle / "config.json").write_text(json.dumps(render_config(_within_limits(spec))))
        except OSError as error:
            raise ContainerFailed(f"cannot make the bundle {bundle}: {error.strerror}") from error
        log, pid_file = bundle / "log", bundle / "pid"
        Kernel().set_subreaper()
        words = ("--log", log, "--log-format", "json", "create", "--bundle", bundle, "--pid-file", pid_file, spec.name)
        done = subprocess.run(
            [self._program, *words], stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, check=False
        )
        if done.returncode != 0:
            said = _last_error(log) or f"runc create ended with {done.returncode}"
            shutil.rmtree(bundle, ignore_errors=True)
            raise ContainerFailed(f"cannot start container {spec.name}: {said}")
        container = _RuncContainer(spec, self, _pid_in(pid_file))
        try:
            _call(self._program, "start", spec.name)
        except ContainerFailed:
            container.remove()
            raise
        return container

    def remove(self, name: str) -> None:
        bundle = self._places / _checked(name)
        _call(self._program, "delete", "--force", name)
        shutil.rmtree(bundle, ignore_errors=True)


class _RuncContainer:
    def __init__(self, spec: ContainerSpec, runtime: Runc, pid: int) -> None:
        self.spec = spec
        self._runtime = runtime
        self._pidfd = os.pidfd_open(pid)
        self._ended: Ended | None = None

    def fileno(self) -> int:
        return self._pidfd

    def wait(self, timeout_s: float | None = None) -> Ended | None:
        if self._ended is None and _readable(self._pidfd, timeout_s):
            self._ended = _reap(self._pidfd)
        return self._ended

    def kill(self, signum: int) -> None:
        if self._ended is None:
            _signal(self._pidfd, signum, self.spec.name)

    def remove(self) -> None:
        self._runtime.remove(self.spec.name)
        self.wait()
        self._pidfd = _closed(self._pidfd)


class Podman:
    """podman, on a root that lies ready (not on an image of its own store)."""

    name = "podman"

    def __init__(self, program: str, runc: str | None) -> None:
        self._words = [program, *(("--runtime", runc) if runc is not None else ())]

    def start(self, spec: ContainerSpec, *, stdout: int | None = None, stderr: int | None = None) -> Container:
        _call(*self._words, "create", *create_words(_within_limits(spec)))
        try:
            _call(*self._words, "init", spec.name)
            pid = int(_call(*self._words, "inspect", "--format", "{{.State.Pid}}", spec.name))
            words = [*self._words, "start", "--attach", "--sig-proxy=false", spec.name]
            return _PodmanContainer(spec, self, os.pidfd_open(pid), words, stdout, stderr)
        except (ContainerFailed, OSError, ValueError) as error:
            self.remove(spec.name)
            raise ContainerFailed(f"cannot start container {spec.name}: {error}") from error

    def remove(self, name: str) -> None:
        _call(*self._words, "rm", "--force", "--ignore", "--time", "0", _checked(name))


class _PodmanContainer:
    def __init__(
        self,
        spec: ContainerSpec,
        runtime: Podman,
        pidfd: int,
        words: Sequence[str],
        stdout: int | None,
        stderr: int | None,
    ) -> None:
        self.spec = spec
        self._runtime = runtime
        self._main = pidfd  # of the container
        self._process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True
        )
        self._pidfd = os.pidfd_open(self._process.pid)

    def fileno(self) -> int:
        return self._pidfd

    def wait(self, timeout_s: float | None = None) -> Ended | None:
        try:
            return ended(self._process.wait(timeout_s))
        except subprocess.TimeoutExpired:
            return None

    def kill(self, signum: int) -> None:
        if self._process.poll() is None:
            _signal(self._main, signum, self.spec.name)

    def remove(self) -> None:
        self._runtime.remove(self.spec.name)
        self._process.wait()
        self._pidfd, self._main = _closed(self._pidfd), _closed(self._main)


def _pid_in(path: Path) -> int:
    return int(path.read_text())


def _last_error(log: Path) -> str | None:
    """The runtime's own words."""
    try:
        entries = [json.loads(line) for line in log.read_text().splitlines()]
    except (OSError, ValueError):
        return None
    errors = [entry["msg"] for entry in entries if entry.get("level") in ("error", "fatal")]
    return errors[-1] if errors else None


def _readable(pidfd: int, timeout_s: float | None) -> bool:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(None if timeout_s is None else timeout_s * 1000))


def _reap(pidfd: int) -> Ended:
    try:
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    except ChildProcessError:
        return Ended(None, None)
    assert result is not None  # it has ended
    exited = result.si_code == os.CLD_EXITED
    return Ended(result.si_status, None) if exited else Ended(None, result.si_status)


def _signal(pidfd: int, signum: int, name: str) -> None:
    try:
        signal.pidfd_send_signal(pidfd, signum)
    except ProcessLookupError:
        pass  # it has just ended
    except OSError as error:
        raise ContainerFailed(f"cannot send signal {int(signum)} to container {name}: {error.strerror}") from error


def _closed(fd: int) -> int:
    if fd >= 0:
        os.close(fd)
    return -1


def ended(code: int) -> Ended:
    """From the exit code of podman (negative when that was killed itself)."""
    if code < 0:
        return Ended(None, -code)
    if code > 128 and code - 128 in set(signal.valid_signals()):
        return Ended(None, code - 128)
    return Ended(code, None)


def create_words(spec: ContainerSpec) -> list[str]:
    """What `podman create` is told."""
    soft, hard = spec.nofile
    words = [
        f"--name={_checked(spec.name)}",
        f"--user={spec.uid}:{spec.gid}",
        f"--workdir={spec.directory}",
        f"--hostname={spec.hostname}",
        f"--network={'host' if spec.host_network else 'none'}",
        f"--ulimit=nofile={soft}:{hard}",
        f"--ulimit=nproc={_NPROC}:{_NPROC}",
        "--security-opt=no-new-privileges",
        "--log-driver=none",
        "--no-hosts",
    ]
    words += [f"--group-add={group}" for group in spec.groups]
    words += [f"--env={name}={value}" for name, value in spec.environment.items()]
    for volume in spec.volumes:
        if "," in volume.host_path + volume.path:
            raise ContainerFailed(f"cannot mount {volume.host_path} at {volume.path}: podman can't have commas there")
        mode = ",ro=true" if volume.read_only else ""
        words.append(f"--mount=type=bind,source={volume.host_path},target={volume.path}{mode}")
    if spec.memory is not None:
        words.append(f"--memory={spec.memory}b")
    if spec.cpus is not None:
        words.append(f"--cpus={spec.cpus:g}")
    if spec.most_processes is not None:
        words.append(f"--pids-limit={spec.most_processes}")
    return [*words, "--rootfs", spec.root, *spec.command]


def _within_limits(spec: ContainerSpec) -> ContainerSpec:
    """Nobody but CAP_SYS_RESOURCE raises a limit, so nothing may depend on that."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most == resource.RLIM_INFINITY:
        return spec
    soft, hard = spec.nofile
    return replace(spec, nofile=(min(soft, most), min(hard, most)))


def _checked(name: str) -> str:
    """It becomes a directory, and an argument."""
    if not name or name[0] in ".-" or not all(letter.isalnum() or letter in "_.-" for letter in name):
        raise UserError(f"bad name of a container {name!r}: use letters, digits and _.- (first a letter, digit or _)")
    return name


def _find(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")


def _call(*words: str) -> str:
    """One command of a runtime, to its end; its output. Raises ContainerFailed with its last word."""
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_CALL_DEADLINE_S, check=False
        )
    except OSError as error:
        raise ContainerFailed(f"cannot run {words[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise ContainerFailed(f"{Path(words[0]).name} does not answer") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ContainerFailed(f"{Path(words[0]).name}: {said[-1]}")
    return done.stdout
