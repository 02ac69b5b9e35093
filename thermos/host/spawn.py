"""Orders for a coordinator: from the model of a process to the bytes of docs/coordinator.md. Pure but for the lookup
of the program itself."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from thermos.host.users import Identity
from thermos.model import LoggerSpec, ProcessSpec
from thermos.paths import inbox_name

#: Marker in the environment of everything that a run starts.
RUN_MARKER = "THERMOS_RUN"

SHELL = ("/bin/bash", "-c")

DEFAULT_LOGGER = LoggerSpec()


@dataclass(frozen=True, slots=True)
class Settings:
    """How processes of a task are run on this host; the same for all of them."""

    sandbox: Path
    log_dir: Path
    user: Identity
    hostname: str
    ports: Mapping[str, int] = field(default_factory=dict)
    setuid: bool = False  # become `user` (root only)
    chroot: bool = False
    base_env: Mapping[str, str] | None = None  # --preserve-env: start from this
    path: str = os.defpath
    logger: LoggerSpec = DEFAULT_LOGGER
    umask: int = 0o022
    nofile: tuple[int, int] | None = None  # limits to give back to the command
    run_limit: int = 0  # runs of a process, 0 = unlimited (100 under Aurora)
    on_owner_death: str = "keep"
    owner_wait: float = 0.0  # seconds


def find_coordinator() -> tuple[str, tuple[str, ...]]:
    """(program, leading arguments): the C one where it was built, else the Python one of the same contract."""
    here = Path(__file__).parent
    built = here / "thermos-coordinator"
    if os.access(built, os.X_OK) and not os.environ.get("THERMOS_PYTHON_COORDINATOR"):
        return str(built), ("thermos-coordinator",)
    return sys.executable, ("thermos-coordinator", "-I", "-S", "-E", str(here / "coordinator.py"))


def child_environment(settings: Settings, nonce: str) -> dict[str, str]:
    """Exactly HOME, LOGNAME, USER, PATH and the run marker, on top of `base_env`; BASH_ENV if there is a profile."""
    profile = settings.sandbox / ".thermos_profile"
    home = settings.user.home if settings.chroot else str(settings.sandbox)
    env = dict(settings.base_env or {})
    env |= {"HOME": home, "LOGNAME": settings.user.name, "USER": settings.user.name, "PATH": settings.path}
    env[RUN_MARKER] = nonce
    if profile.is_file():
        env["BASH_ENV"] = "/.thermos_profile" if settings.chroot else str(profile)
    return env


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


def render_orders(order: RunOrder, settings: Settings) -> bytes:
    """The bytes on fd 0 of the coordinator."""
    return b"".join(
        [b"1\0", *(f"{key}={value}\0".encode("utf-8", "surrogateescape") for key, value in _fields(order, settings))]
    )


def _fields(order: RunOrder, settings: Settings) -> Iterator[tuple[str, object]]:
    process = order.process
    yield "process", json.dumps(process.name, ensure_ascii=False)[1:-1]
    yield "run", order.run
    yield "inbox", inbox_name(process.name)
    yield "scan_from", order.offset
    yield "wake", order.wake
    for argument in (*SHELL, process.cmdline):
        yield "arg", argument
    for name, value in child_environment(settings, order.nonce).items():
        yield "env", f"{name}={value}"
    yield "umask", settings.umask
    if settings.nofile is not None:
        yield "rlimit", "7:{}:{}".format(*settings.nofile)
    if settings.setuid:
        yield "uid", settings.user.uid
        yield "gid", settings.user.gid
        yield "groups", ",".join(map(str, settings.user.groups))
    if settings.chroot:
        yield "chroot", settings.sandbox
    yield "cwd", "/" if settings.chroot else settings.sandbox
    yield from _log_fields(order, settings)
    yield "stop_wait", max(0, round(order.stop_wait * 1000))
    if settings.on_owner_death != "keep":
        yield "on_owner_death", settings.on_owner_death
        yield "owner", "{}:{}".format(*order.owner)
        yield "owner_wait", max(0, round(settings.owner_wait * 1000))


def _log_fields(order: RunOrder, settings: Settings) -> Iterator[tuple[str, object]]:
    logger = order.process.logger or settings.logger
    yield "destination", logger.destination
    yield "mode", logger.mode
    base, below = settings.log_dir, f"{order.process.name}/{order.run}"
    if settings.log_dir.is_relative_to(settings.sandbox) and settings.log_dir != settings.sandbox:
        base = settings.sandbox  # the user may write there: every step below it is taken without following links
        below = f"{settings.log_dir.relative_to(settings.sandbox)}/{below}"
    yield "log_base", base
    yield "log_dir", below
    yield "log_size", logger.log_size
    yield "log_backups", logger.backups
