"""What a host runs: a task is a graph of processes that share a sandbox. Fully bound plain data.

`config` makes a TaskSpec from what users write; `thermos.runner` runs it; `tasks/active/<id>` holds it as JSON.
Defaults are those of the config language (spec/thermos.md §1.3). Durations are seconds, sizes bytes.
"""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

#: A process name is also a file and directory name: no leading dot or slash, no slash anywhere, no NUL, one line.
PROCESS_NAME = re.compile(r"[^./\x00-\x1f\x7f][^/\x00-\x1f\x7f]*")

#: Longest process name in UTF-8 bytes: `coordinator.<name>` has to be a file name (255 bytes).
PROCESS_NAME_BYTES = 255 - len("coordinator.")

#: A task id is a directory name and part of URLs.
TASK_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-+@:]*")


class LogDestination(StrEnum):
    FILE = "file"
    CONSOLE = "console"
    BOTH = "both"
    NONE = "none"


class LogMode(StrEnum):
    STANDARD = "standard"
    ROTATE = "rotate"


class LoggerSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a process's output goes; `log_size` (bytes) and `backups` count only when mode is rotate."""

    destination: LogDestination = LogDestination.FILE
    mode: LogMode = LogMode.STANDARD
    log_size: int = 100 * 1024 * 1024
    backups: int = 5


class ProcessSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One command line under supervision, run as `/bin/bash -c cmdline`."""

    name: str
    cmdline: str
    max_failures: int = 1  # failed runs before it has failed for good; 0 = never
    daemon: bool = False  # success restarts it
    ephemeral: bool = False  # the task does not wait for it; failing for good counts as finished
    min_duration: float = 5  # seconds between the end of a run and the next start
    final: bool = False  # runs in the finalizing phase
    logger: LoggerSpec | None = None  # None: the runner's default


class ResourcesSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    cpu: float
    ram: int
    disk: int
    gpu: int = 0


class TaskSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task, fully bound. `order` holds the order constraints: each a list of process names run one after another."""

    name: str
    processes: tuple[ProcessSpec, ...] = ()
    order: tuple[tuple[str, ...], ...] = ()
    resources: ResourcesSpec | None = None
    max_failures: int = 1  # failed processes that fail the task; 0 = never
    max_concurrency: int = 0  # 0 = unlimited
    finalization_wait: float = 30  # seconds for CLEANING and FINALIZING together
    user: str | None = None  # kept from the config; read by nothing


def encode_task(spec: TaskSpec) -> bytes:
    """The JSON of `tasks/active/<id>`: stable, readable, byte-identical for equal specs."""
    return msgspec.json.format(msgspec.json.encode(spec), indent=1) + b"\n"


def decode_task(text: bytes) -> TaskSpec:
    """Inverse of `encode_task`. Raises msgspec.ValidationError or msgspec.DecodeError; unknown fields are ignored."""
    return msgspec.json.decode(text, type=TaskSpec)
