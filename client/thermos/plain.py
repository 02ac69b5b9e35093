"""Records as plain lines, one for each change that people want to know of. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from client.render import clock_time
from thermos.core.doing import failures_note
from thermos.core.fold import Applied, Run, TaskRecord
from thermos.core.planner import Standing, standing
from thermos.core.records import (
    AnyRecord,
    Exited,
    Gone,
    Lost,
    Request,
    Restart,
    Running,
    SetupFailed,
    Stopped,
    TaskStatus,
)
from thermos.core.states import Outcome, ProcessState, TaskState
from thermos.core.words import countdown, duration, plural, some_of
from thermos.model import ProcessSpec
from thermos.words import ending_of

Specs = Mapping[str, ProcessSpec]


def event_line(record: AnyRecord, applied: Applied, specs: Specs, task: TaskRecord, tail: str = "") -> str | None:
    """`17:03:21.4 fetch[0] RUNNING pid 4711`, or None for a record that says nothing to people. `task` is the fold
    after the record, `tail` the last line that a failed run wrote to stderr."""
    if applied.outcome not in (Outcome.CHANGED, Outcome.NOTE):
        return None
    text = _text(record, applied, specs, task)
    if text is None:
        return None
    return f"{clock_time(record.at)} {text}{f' | {tail}' if tail else ''}"


def _text(record: AnyRecord, applied: Applied, specs: Specs, task: TaskRecord) -> str | None:
    run = applied.run
    match record:
        case TaskStatus():
            return f"task {record.state}{f': {record.reason}' if record.reason and _says_why(record) else ''}"
        case Request():
            return f"asked to end as {record.want}{f': {record.reason}' if record.reason else ''}"
        case Restart():
            return f"{record.process}[{record.run}] asked to restart"
        case Running():
            return f"{record.process}[{record.run}] RUNNING pid {record.pid}"
        case Stopped():
            return _receipt(record)
        case Gone():
            return f"{record.process}[{record.run}] its daemons are gone"
        case Exited() | SetupFailed() | Lost() if run is not None and applied.outcome is Outcome.CHANGED:
            return _end(run, specs.get(run.process), task)
        case _:
            return None


def _says_why(record: TaskStatus) -> bool:
    return record.state is not TaskState.FINALIZING


def _receipt(record: Stopped) -> str | None:
    """Only what went wrong with a stop is worth a line."""
    if record.killed_count:
        who = some_of([f"{comm} ({pid})" for pid, comm in record.killed])
        return f"{record.process}[{record.run}] {plural(record.killed_count, 'process', 'processes')} killed: {who}"
    if record.refused:
        who = some_of([f"{comm} ({pid})" for pid, comm in record.refused])
        return f"{record.process}[{record.run}] could not be signalled: {who}"
    return None


def _end(run: Run, spec: ProcessSpec | None, task: TaskRecord) -> str:
    took = f" after {duration(run.ended_at - run.started_at)}" if run.started_at else ""
    text = f"{run.process}[{run.number}] {run.state}"
    if run.state is ProcessState.SUCCESS:
        return f"{text}{took}"
    how = ending_of(run).removeprefix("killed ").removeprefix("lost: ")  # the state has said so
    return f"{text} {how}{took}{_what_next(spec, task)}"


def _what_next(spec: ProcessSpec | None, task: TaskRecord) -> str:
    if spec is None or task.state is not TaskState.ACTIVE:
        return ""
    record = task.processes.get(spec.name)
    if record is not None and record.last is not None and record.last.restart:
        return "; starts again"
    if standing(spec, record, 0) is Standing.READY:
        return f"; retry in {countdown(spec.min_duration)}{failures_note(spec, task)}"
    if standing(spec, record, 0) is Standing.FINISHED:
        return "; not needed"
    return f"; failed for good{failures_note(spec, task)}"
