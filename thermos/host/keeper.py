"""The keeper of a daemonised runner: a coordinator whose orders say `respawn` (docs/coordinator.md, "Keeping").

The keeper is 50 KiB of C that outlives everything but its own SIGKILL. It starts the runner, starts it again when it
was killed or ended with an internal error, forwards signals to it, and adopts the coordinators that a killed runner
leaves behind, so that the next runner finds all of them alive. What it does stands in the inbox `keeper` of the
checkpoint.

How `thermos run --daemon` uses it:

    pid = start_keeper(paths.checkpoint, argv, env, cwd, log)

- `argv`: the command that owns and runs the task, `argv[0]` an absolute path. It is executed anew for each incarnation,
  so it must find everything it needs on disk or in `argv` and `env`, own the task with `own_task` (which takes over
  what the one before left), and end with `Exit.INTERNAL` where it met a bug of ours, `Exit.HOST` where the host refused
  and trying again may help (disk full). Only those two, and death by a signal, start it again; every other code ends
  the keeper too.
- Signals that the keeper forwards (TERM, INT, QUIT, USR1, USR2, HUP) are blocked when the command starts; it unblocks
  them when it can handle them. A signal that came is sent to later incarnations as well.
- stdin is /dev/null, stdout and stderr go to the file `log`, which rotates (`LOG_SIZE`, `LOG_BACKUPS`).
- The keeper has its own session and no controlling terminal. The caller may exit or stay; if it stays it should reap
  the keeper some day.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from thermos.core.records import Exited, Forked, Line, RecordReader, Running
from thermos.errors import Exit, HostError, NotOwner
from thermos.host.checkpoint import check_owner
from thermos.host.kernel import Kernel
from thermos.host.program import spawn_coordinator
from thermos.host.spawn import RUN_MARKER, render_fields

#: The keeper's inbox in the checkpoint directory, and its name in its records.
INBOX = "keeper"

#: The runner's log: one file and so many older ones of at most this size.
LOG_SIZE, LOG_BACKUPS = 1024 * 1024, 2

#: An inbox longer than this begins anew with a new keeper.
MAX_INBOX = 256 * 1024

#: How long a keeper may take to say that it is up, in looks of so many seconds.
_LOOK, _LOOKS = 0.002, 5000

#: Exit codes of a runner after which it is started again.
RESPAWN_CODES = (Exit.INTERNAL, Exit.HOST)

_REASONS = {3: "another keeper was quicker", 4: "another keeper has it"}


@dataclass(frozen=True, slots=True)
class Kept:
    """What a keeper's inbox tells of the last keeper."""

    pid: int
    alive: bool
    runner: int  # pid of the present incarnation, 0 when it is between two
    deaths: int  # of runners so far


def start_keeper(checkpoint: Path, argv: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path) -> int:
    """Start the keeper of a task (see above); its pid, once it is up. Raises NotOwner (there is one), HostError."""
    kernel = Kernel()
    try:
        kernel.mkdir(checkpoint)
        fd = kernel.open(checkpoint, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise HostError(f"cannot use the checkpoint directory {checkpoint}: {error.strerror}") from error
    try:
        check_owner(checkpoint, kernel.fstat(fd), kernel)
        before = read_kept(checkpoint, kernel)
        if before is not None and before.alive:
            raise NotOwner(f"task {checkpoint.name} has a keeper already (pid {before.pid})")
        run, offset = _next_run(kernel, checkpoint)
        orders = _render(run, offset, argv, env, cwd, log)
        pid = spawn_coordinator(kernel, f"{checkpoint.name}/{INBOX}/{run}", orders, fd)
    except OSError as error:
        raise HostError(f"cannot start a keeper for task {checkpoint.name}: {error.strerror}") from error
    finally:
        kernel.close(fd)
    _await(kernel, checkpoint, pid, offset)
    return pid


def read_kept(checkpoint: Path, kernel: Kernel) -> Kept | None:
    """The task's keeper, None if it never had one. Takes no lock, so anybody may ask. Raises OSError."""
    forked: Forked | None = None
    runner, deaths = 0, 0
    for line in _lines(kernel, checkpoint, 0):
        match line.record:
            case Forked():
                deaths = 0 if forked is None or forked.pid != line.record.pid else deaths
                forked, runner = line.record, 0
            case Running(pid=pid):
                runner = pid
            case Exited():
                runner, deaths = 0, deaths + 1
    if forked is None:
        return None
    status = kernel.proc_stat(forked.pid)
    here = forked.boot in ("", kernel.boot_id()) and forked.pidns in (0, kernel.pid_namespace())
    alive = here and status is not None and status.start == forked.start and status.state not in ("Z", "X")
    return Kept(forked.pid, alive, runner if alive else 0, deaths)


def _lines(kernel: Kernel, checkpoint: Path, offset: int) -> Iterator[Line]:
    """The good lines of the inbox from `offset` on; none when there is no inbox."""
    try:
        fd = kernel.open(checkpoint / INBOX, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    reader = RecordReader(offset)
    try:
        while data := kernel.pread(fd, 1 << 20, offset):
            offset += len(data)
            yield from (line for line in reader.feed(data) if isinstance(line, Line))
    finally:
        kernel.close(fd)


def _next_run(kernel: Kernel, checkpoint: Path) -> tuple[int, int]:
    """(number of the first incarnation, where its records will begin). Nobody uses the inbox now."""
    numbers = [line.record.run for line in _lines(kernel, checkpoint, 0) if isinstance(line.record, Forked)]
    inbox = checkpoint / INBOX
    try:
        size = kernel.stat(inbox, follow=False).st_size
        if size <= MAX_INBOX:
            return max(numbers, default=-1) + 1, size
        kernel.unlink(inbox)
    except FileNotFoundError:
        pass  # the first keeper of this task
    return max(numbers, default=-1) + 1, 0


def _render(run: int, offset: int, argv: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path) -> bytes:
    def fields() -> Iterator[tuple[str, object]]:
        yield "process", INBOX
        yield "run", run
        yield "inbox", INBOX
        yield "scan_from", offset
        yield "respawn", 1
        yield "respawn_codes", ",".join(str(int(code)) for code in RESPAWN_CODES)
        for argument in argv:
            yield "arg", argument
        for name, value in env.items():
            if name != RUN_MARKER:  # that of a task in which we may run ourselves
                yield "env", f"{name}={value}"
        yield "cwd", cwd
        yield "mode", "rotate"
        yield "log_base", log.parent.absolute()
        yield "log_dir", "."
        yield "log_file", log.name
        yield "log_size", LOG_SIZE
        yield "log_backups", LOG_BACKUPS

    return b"1\0" + render_fields(fields())


def _await(kernel: Kernel, checkpoint: Path, pid: int, offset: int) -> None:
    """Until the keeper has the lock. Raises NotOwner, HostError."""
    for _ in range(_LOOKS):
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        up = any(
            isinstance(line.record, Forked) and line.record.pid == pid for line in _lines(kernel, checkpoint, offset)
        )
        if up:
            return  # its end, should it have come already, is the caller's
        if ended is not None:
            kernel.reap(pid)
            code = ended.si_status
            reason = _REASONS.get(code)
            if reason is not None:
                raise NotOwner(f"cannot keep task {checkpoint.name}: {reason}")
            raise HostError(f"cannot keep task {checkpoint.name}: its keeper ended with {code} before it began")
        kernel.rest(_LOOK)
    raise HostError(f"cannot keep task {checkpoint.name}: nothing can be written to {checkpoint / INBOX} (disk full?)")
