"""The records of a checkpoint: one frozen struct a kind, one line each, `crc32hex SP json LF`.

Coordinators write the facts of a run into `coordinator.<process>` (docs/coordinator.md has their exact bytes); the
owner copies each accepted one, byte for byte, into `runner` and adds its own kinds there. `runner` alone defines the
fold. Readers skip kinds they don't know, so new ones may be added; a changed meaning needs a new kind.

Units: `at` wall seconds, `mono` CLOCK_MONOTONIC seconds, `start` clock ticks since boot (field 22 of /proc/PID/stat),
sizes bytes, `seq` position among the records of a run (-1: written by the owner, not by a coordinator).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import msgspec

from thermos.core.states import TaskState

#: Version of the checkpoint format; a reader refuses a header with a higher one.
FORMAT = 1

#: A line longer than this is damage, not a record.
MAX_LINE = 64 * 1024 * 1024


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", gc=False):
    at: float
    mono: float


class Header(Record, frozen=True, kw_only=True, tag="header", omit_defaults=True):
    """First record of a task: what does not change while it lives."""

    format: int
    task_id: str
    sandbox: str
    log_dir: str
    hostname: str
    user: str
    uid: int
    ports: dict[str, int] = {}
    chroot: bool = False
    image: str = ""  # the root that processes are confined to, when that is not the sandbox
    image_sandbox: str = ""  # where they see the sandbox in it


class Owner(Record, frozen=True, kw_only=True, tag="owner"):
    """Somebody took the lock: the runner with this pid, on this boot, in this pid namespace."""

    pid: int
    start: int
    uid: int
    boot: str
    pidns: int


class Released(Record, frozen=True, kw_only=True, tag="released"):
    """The owner let go on purpose (detach); processes go on without one."""

    pid: int


class TaskStatus(Record, frozen=True, kw_only=True, tag="task", omit_defaults=True):
    """The task entered a state. The deadlines (mono) stand in the CLEANING record and hold until the end."""

    state: TaskState
    reason: str = ""
    stop_deadline: float = 0  # until here processes may leave politely
    deadline: float = 0  # until here finalizers may run


class Request(Record, frozen=True, kw_only=True, tag="request", omit_defaults=True):
    """Somebody wants the task to end. `grace` seconds for everything, None: its finalization_wait."""

    want: TaskState  # KILLED or LOST
    grace: float | None = None
    finalize: bool = True
    reason: str = ""


class Restart(Record, frozen=True, kw_only=True, tag="restart"):
    """Somebody wants this run to end and the next one to begin at once; how it ends does not count."""

    process: str
    run: int


class Starting(Record, frozen=True, kw_only=True, tag="starting"):
    """The owner is about to spawn the coordinator of this run; `offset` is the inbox's size before it."""

    process: str
    run: int
    nonce: str
    offset: int


class RunRecord(Record, frozen=True, kw_only=True):
    process: str
    run: int
    seq: int = -1


class Forked(RunRecord, frozen=True, kw_only=True, tag="forked"):
    """The coordinator `pid` holds the lock and is about to fork."""

    pid: int
    start: int
    boot: str
    pidns: int


class Running(RunRecord, frozen=True, kw_only=True, tag="running"):
    """The command was executed as `pid`."""

    pid: int
    start: int


class SetupFailed(RunRecord, frozen=True, kw_only=True, tag="setup_failed", omit_defaults=True):
    """A named step before the exec failed; the command never ran."""

    stage: str
    errno: int = 0
    detail: str = ""


class Stopped(RunRecord, frozen=True, kw_only=True, tag="stopped", omit_defaults=True):
    """The kill receipt: who left on the stop signal, who needed SIGKILL, who had daemonised. Entries: [pid, comm]."""

    why: str
    signal: int = 0
    signalled: int = 0
    left: int = 0
    killed: list[tuple[int, str]] = []
    killed_count: int = 0
    daemons: list[tuple[int, str]] = []
    refused: list[tuple[int, str]] = []


class Exited(RunRecord, frozen=True, kw_only=True, tag="exited", omit_defaults=True):
    """The main ended; exactly one of `code` and `signal` is a number. `daemons` descendants live on."""

    code: int | None = None
    signal: int | None = None
    utime: float = 0.0
    stime: float = 0.0
    maxrss: int = 0
    daemons: int = 0


class Gone(RunRecord, frozen=True, kw_only=True, tag="gone"):
    """The last daemonised descendant of the run has left."""


class Lost(RunRecord, frozen=True, kw_only=True, tag="lost", omit_defaults=True):
    """The owner gave the run up: its coordinator is gone without an exit record. Says what was left and killed."""

    reason: str
    killed: list[tuple[int, str]] = []
    refused: list[tuple[int, str]] = []


class Snapshot(Record, frozen=True, kw_only=True, tag="snapshot"):
    """The fold up to here, written when a long `runner` file is made short; `complete_since` tells readers from when
    on the history is whole."""

    complete_since: float
    state: dict[str, Any]


AnyRecord = (
    Header | Owner | Released | TaskStatus | Request | Restart | Starting | Forked | Running | SetupFailed | Stopped
    | Exited | Gone | Lost | Snapshot
)  # fmt: skip
CoordinatorRecord = Forked | Running | SetupFailed | Stopped | Exited | Gone

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[AnyRecord] = msgspec.json.Decoder(AnyRecord)
_KINDS = frozenset(str(kind.__struct_config__.tag) for kind in AnyRecord.__args__)

#: What decoding a forged line may raise; msgspec.ValidationError is a DecodeError.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Kind(msgspec.Struct):
    kind: str


class BadLine(msgspec.Struct, frozen=True):
    """A line that is no record; `offset` is where it begins in its file."""

    offset: int
    reason: str


class Line(msgspec.Struct, frozen=True):
    """A good line: its bytes (with LF), where it begins, and the record, None for a kind we don't know."""

    offset: int
    raw: bytes
    record: AnyRecord | None


def encode_record(record: Record) -> bytes:
    """One line, LF included."""
    body = _ENCODER.encode(record)
    return b"%08x %s\n" % (zlib.crc32(body), body)


def decode_line(raw: bytes, offset: int = 0) -> Line | BadLine:
    """`raw` is one line with its LF."""
    body = raw[9:-1]
    try:
        checksum = int(raw[:8], 16)
    except ValueError:
        return BadLine(offset, "no checksum")
    if raw[8:9] != b" " or checksum != zlib.crc32(body):
        return BadLine(offset, "wrong checksum")
    try:
        return Line(offset, raw, _DECODER.decode(body))
    except _UNREADABLE as error:
        return _unknown_or_bad(raw, body, offset, error)


def _unknown_or_bad(raw: bytes, body: bytes, offset: int, error: Exception) -> Line | BadLine:
    try:
        kind = msgspec.json.decode(body, type=_Kind).kind
    except _UNREADABLE:
        return BadLine(offset, f"no record: {error}")
    if kind in _KINDS:
        return BadLine(offset, f"bad {kind} record: {error}")
    return Line(offset, raw, None)


class RecordReader:
    """Bytes in, lines out. An unfinished last line is kept until its LF comes; it never owns a file. What is given out
    does not depend on how the bytes were cut; of a line that is too long only the length is kept."""

    __slots__ = ("_rest", "_skipped", "offset")

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset  # where the next line begins
        self._rest = b""
        self._skipped = 0  # bytes at the beginning of the unfinished line that were dropped

    def feed(self, data: bytes) -> Iterator[Line | BadLine]:
        """Every complete line of what was fed so far and not yet given out."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for text in lines:
            offset, size = self.offset, self._skipped + len(text)
            self.offset += size + 1
            self._skipped = 0
            if size > MAX_LINE:
                yield BadLine(offset, f"longer than {MAX_LINE} bytes")
            elif text:  # an empty line separates a torn one from the next; it says nothing
                yield decode_line(text + b"\n", offset)
        if len(self._rest) > MAX_LINE:
            self._skipped += len(self._rest)
            self._rest = b""

    @property
    def pending(self) -> int:
        """Bytes of the unfinished last line."""
        return self._skipped + len(self._rest)
