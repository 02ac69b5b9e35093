"""Orders for a coordinator: from the model of a process to the bytes of docs/coordinator.md."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from thermos.core.fold import Run
from thermos.host.kernel import Kernel
from thermos.host.program import spawn_coordinator
from thermos.host.users import Identity, resolve_user
from thermos.model import LoggerSpec, ProcessSpec
from thermos.paths import inbox_name

#: Marker in the environment of everything that a run starts.
RUN_MARKER = "THERMOS_RUN"

SHELL = ("/bin/bash", "-c")

DEFAULT_LOGGER = LoggerSpec()


@dataclass(frozen=True, slots=True)
class ImageRoot:
    """A root directory that processes are confined to, and where they see their sandbox in it."""

    path: Path
    sandbox: str


@dataclass(frozen=True, slots=True)
class Settings:
    """How processes of a task are run on this host; the same for all of them."""

    sandbox: Path
    log_dir: Path
    user: Identity
    hostname: str
    ports: Mapping[str, int] = field(default_factory=dict)
    setuid: bool = False  # become `user` (root only)
    chroot: bool = False  # the sandbox is the root
    image: ImageRoot | None = None  # the root is another directory, with the sandbox mounted in it
    base_env: Mapping[str, str] | None = None  # --preserve-env: start from this
    path: str = os.defpath
    logger: LoggerSpec = DEFAULT_LOGGER
    umask: int = 0o022
    nofile: tuple[int, int] | None = None  # limits to give back to the command
    run_limit: int = 0  # runs of a process, 0 = unlimited (100 under Aurora)
    on_owner_death: str = "keep"
    owner_wait: float = 0.0  # seconds


@dataclass(frozen=True, slots=True)
class RunOrder:
    """One run to start."""

    process: ProcessSpec
    run: int
    nonce: str
    offset: int
    wake: int  # index of the process; comes back through the FIFO
    stop_wait: float  # seconds
    owner: tuple[int, int]  # pid, start ticks
    prune: Sequence[int] = ()  # older runs whose logs nobody needs


class OrderForm:
    """The orders of a task's coordinators: what is the same for all of them is rendered once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._always = render_fields(_settled_fields(settings))
        self._profile = f"{settings.sandbox}/.thermos_profile"
        self._profile_inside = f"{sandbox_inside(settings).rstrip('/')}/.thermos_profile"
        self._log_base, self._log_prefix = settings.log_dir, ""
        if settings.log_dir.is_relative_to(settings.sandbox) and settings.log_dir != settings.sandbox:
            # the user may write there: every step below it is taken without following links
            self._log_base, self._log_prefix = settings.sandbox, f"{settings.log_dir.relative_to(settings.sandbox)}/"

    def render(self, order: RunOrder) -> bytes:
        """The bytes on fd 0 of the coordinator."""
        return b"1\0" + self._always + render_fields(self._fields(order))

    def _fields(self, order: RunOrder) -> Iterator[tuple[str, object]]:
        process, settings = order.process, self._settings
        yield "process", json.dumps(process.name, ensure_ascii=False)[1:-1]
        yield "run", order.run
        yield "inbox", inbox_name(process.name)
        yield "scan_from", order.offset
        yield "wake", order.wake
        yield "arg", process.cmdline
        yield "env", f"{RUN_MARKER}={order.nonce}"
        if os.path.isfile(self._profile):  # noqa: PTH113 - asked before every run
            yield "env", f"BASH_ENV={self._profile_inside}"
        logger = process.logger or settings.logger
        yield "destination", logger.destination
        yield "mode", logger.mode
        yield "log_base", self._log_base
        yield "log_dir", f"{self._log_prefix}{process.name}/{order.run}"
        yield "log_size", logger.log_size
        yield "log_backups", logger.backups
        for number in order.prune:
            yield "prune", number
        yield "stop_wait", max(0, round(order.stop_wait * 1000))
        if settings.on_owner_death != "keep":
            yield "owner", "{}:{}".format(*order.owner)


def _settled_fields(settings: Settings) -> Iterator[tuple[str, object]]:
    """What does not change from run to run. The environment is exactly HOME, LOGNAME, USER and PATH on top of
    `base_env`; a run adds its marker, and BASH_ENV if there is a profile."""
    for argument in SHELL:
        yield "arg", argument
    inside = sandbox_inside(settings)
    home = settings.user.home if settings.chroot else inside
    env = dict(settings.base_env or {})
    env |= {"HOME": home, "LOGNAME": settings.user.name, "USER": settings.user.name, "PATH": settings.path}
    env.pop(RUN_MARKER, None)
    for name, value in env.items():
        yield "env", f"{name}={value}"
    yield "umask", settings.umask
    if settings.nofile is not None:
        yield "rlimit", "7:{}:{}".format(*settings.nofile)
    if settings.setuid:
        yield "uid", settings.user.uid
        yield "gid", settings.user.gid
        yield "groups", ",".join(map(str, settings.user.groups))
    if settings.image is not None:
        yield "chroot", settings.image.path
    elif settings.chroot:
        yield "chroot", settings.sandbox
    yield "cwd", inside
    if settings.on_owner_death != "keep":
        yield "on_owner_death", settings.on_owner_death
        yield "owner_wait", max(0, round(settings.owner_wait * 1000))


def sandbox_inside(settings: Settings) -> str:
    """Where processes see their sandbox."""
    if settings.image is not None:
        return settings.image.sandbox
    return "/" if settings.chroot else str(settings.sandbox)


def render_fields(fields: Iterator[tuple[str, object]]) -> bytes:
    return "".join([f"{key}={value}\0" for key, value in fields]).encode("utf-8", "surrogateescape")


class Spawner:
    """Starts the coordinators of one task."""

    def __init__(self, settings: Settings, kernel: Kernel, task_id: str, checkpoint_fd: int) -> None:
        self._settings = settings
        self._kernel = kernel
        self._task_id = task_id
        self._checkpoint_fd = checkpoint_fd
        self._form = OrderForm(settings)
        me = kernel.proc_stat(kernel.getpid())
        self._owner = (kernel.getpid(), me.start if me else 0)

    def spawn(self, run: Run, process: ProcessSpec, wake: int, stop_wait: float, prune: Sequence[int] = ()) -> int:
        """The pid of the new coordinator, our child; it removes the logs of the runs to `prune`. Raises OSError,
        UnknownUser."""
        if self._settings.setuid:
            resolve_user(self._settings.user.name)  # gone since the task began? Better than to run as a stray number
        order = RunOrder(process, run.number, run.nonce, run.offset, wake, stop_wait, self._owner, prune)
        label = f"{self._task_id}/{process.name}/{run.number}"
        return spawn_coordinator(self._kernel, label, self._form.render(order), self._checkpoint_fd)
