"""`thermos read CHECKPOINT`: what stands in a checkpoint, whoever wrote it and whatever became of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import msgspec

from client.exits import echo_lines
from client.render import date_time
from client.thermos.chosen import found_tasks, pick_task
from client.thermos.options import output_option, search_options
from client.thermos.suggest import task_ids
from thermos.core.fold import ProcessRecord, Run, TaskRecord, fold
from thermos.core.records import AnyRecord, BadLine, CoordinatorRecord, Line, RecordReader
from thermos.core.states import Outcome
from thermos.core.words import duration, ending_words, plural
from thermos.errors import Exit, HostError
from thermos.host.checkpoint import TORN
from thermos.words import printable, setup_words

EPILOG = """
\b
Examples:
  thermos read hello                                  by task id
  thermos read /var/run/thermos/checkpoints/hello     by directory
  thermos read ./runner                               by file, wherever it came from
  thermos read --simple hello | tail                  its records, one a line, as JSON

\b
Exit codes: 0, or 1 when it can't be read, is no checkpoint, or has damaged lines.
"""

_CHUNK = 1 << 20


@dataclass(slots=True)
class Told:
    """What the files of a checkpoint tell."""

    path: Path
    task: TaskRecord = field(default_factory=TaskRecord)
    records: list[AnyRecord] = field(default_factory=list)
    unknown: int = 0  # lines of kinds that we don't know
    damage: list[tuple[str, int, str]] = field(default_factory=list)  # (file, offset, why)


@click.command("read", epilog=EPILOG)
@click.argument("checkpoint", metavar="CHECKPOINT", shell_complete=task_ids(active=False))
@click.option("--simple", is_flag=True, help="The records themselves, one a line.")
@search_options
@output_option
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Show what a checkpoint tells.

    CHECKPOINT is a directory, a `runner` file, or the id of a task. Damaged lines are told with their places.
    """
    told = read_checkpoint(_find(ctx, given["checkpoint"], given["root"], given["mesos_root"]))
    if given["simple"]:
        encoder = msgspec.json.Encoder()
        echo_lines(encoder.encode(record).decode() for record in told.records)
    elif given["output"] == "json":
        echo_lines([msgspec.json.encode(told_json(told)).decode()])
    else:
        echo_lines(told_lines(told))
    if told.task.header is None:
        raise HostError(f"cannot read {told.path}: checkpoint stream CORRUPT or outdated format")
    return Exit.FAILED if told.damage else Exit.OK


def _find(ctx: click.Context, wanted: str, root: str | None, mesos_root: str | None) -> Path:
    """The `runner` file that is meant. Raises HostError, NotFound."""
    path = Path(wanted)
    if path.is_dir() and (path / "runner").exists():
        return path / "runner"
    if "/" in wanted and path.is_dir():
        raise HostError(f"cannot read {path}: there is no checkpoint in it")
    if path.is_file() or ("/" in wanted and path.exists()):
        return path
    if "/" in wanted:
        raise HostError(f"cannot read {path}: no such file")
    return pick_task(found_tasks(ctx, root, mesos_root), wanted).paths.runner


def read_checkpoint(path: Path) -> Told:
    """`runner`, then what stands in the inboxes beside it and was not mirrored. Raises HostError."""
    told = Told(path)
    for line in _lines(path, told):
        if line.record is not None:
            told.records.append(line.record)
            told.task, applied = fold(told.task, line.record)
            if applied.outcome is Outcome.ILLEGAL:
                told.damage.append((path.name, line.offset, "a record that can't be here"))
        else:
            told.unknown += 1
    for name in sorted({*told.task.active, *told.task.unsettled}):
        inbox = path.parent / f"coordinator.{name}"
        if inbox.exists():
            _read_inbox(inbox, name, told)
    return told


def _read_inbox(inbox: Path, process: str, told: Told) -> None:
    for line in _lines(inbox, told):
        record = line.record
        if not isinstance(record, CoordinatorRecord) or record.process != process:
            continue
        run = told.task.run(process, record.run)
        if run is not None and record.seq > run.seq:
            told.records.append(record)
            told.task, _ = fold(told.task, record)


def _lines(path: Path, told: Told) -> Iterator[Line]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error
    reader = RecordReader()
    with os.fdopen(fd, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise HostError(f"cannot read {path}: it is not a file")
        while data := file.read(_CHUNK):
            for line in reader.feed(data):
                if isinstance(line, BadLine):
                    told.damage.append((path.name, line.offset, line.reason))
                else:
                    yield line
    if reader.pending:
        told.damage.append((path.name, reader.offset, TORN))


def told_lines(told: Told) -> Iterator[str]:
    yield from _header_lines(told)
    yield from _state_lines(told.task)
    if told.task.processes:
        yield "processes:"
    for record in told.task.processes.values():
        yield from _process_lines(record)
    if told.unknown:
        yield f"{plural(told.unknown, 'record')} of kinds that this version does not know"
    for file, offset, reason in told.damage:
        yield f"DAMAGED: {file} at byte {offset}: {printable(reason)}"


def _header_lines(told: Told) -> Iterator[str]:
    header, task = told.task.header, told.task
    if header is None:
        return
    yield f"task {header.task_id}"
    yield f"  user: {header.user} (uid {header.uid})"
    yield f"  host: {header.hostname}"
    yield f"  sandbox: {header.sandbox}{' (chroot)' if header.chroot else ''}"
    if header.image:
        yield f"  image: {header.image} (the sandbox at {header.image_sandbox})"
    yield f"  logs: {header.log_dir}"
    if header.ports:
        yield f"  ports: {', '.join(f'{name} -> {port}' for name, port in header.ports.items())}"
    yield f"  launched: {date_time(header.at)}"
    if task.owner is not None:
        let_go = ", let go" if task.released else ""
        yield f"  runner: pid {task.owner.pid} since {date_time(task.owner.at)}{let_go}"
    if task.complete_since:
        yield f"  history before {date_time(task.complete_since)} was cut"


def _state_lines(task: TaskRecord) -> Iterator[str]:
    if task.history:
        yield "states:"
    for status in task.history:
        yield f"  {date_time(status.at)} {status.state}{f': {status.reason}' if status.reason else ''}"


def _process_lines(record: ProcessRecord) -> Iterator[str]:
    forgotten = record.total - len(record.runs)
    yield f"  {record.name}: {plural(record.total, 'run')}{f', {forgotten} forgotten' if forgotten else ''}"
    for number in sorted(record.runs, reverse=True):
        yield f"    {number}: {run_words(record.runs[number])}"


def run_words(run: Run) -> str:
    """A run in a line."""
    parts = [str(run.state)]
    if run.stage:
        parts.append(setup_words(run.stage, run.errno, run.detail))
    elif run.lost is not None:
        parts.append(run.detail)
    elif run.terminal:
        parts.append(ending_words(run.code, run.signal))
    if run.pid:
        parts.append(f"pid {run.pid}")
    if run.started_at:
        parts.append(f"started {date_time(run.started_at)}")
    if run.ended_at:
        took = f" after {duration(run.ended_at - run.started_at)}" if run.started_at else ""
        parts.append(f"ended {date_time(run.ended_at)}{took}")
    if run.receipt is not None and run.receipt.killed_count:
        parts.append(f"{run.receipt.killed_count} killed")
    if run.damaged:
        parts.append("a record is missing")
    return ", ".join(parts)


def told_json(told: Told) -> dict[str, Any]:
    return {
        "path": str(told.path),
        "task": msgspec.to_builtins(told.task),
        "damage": [{"file": file, "offset": offset, "reason": reason} for file, offset, reason in told.damage],
    }
