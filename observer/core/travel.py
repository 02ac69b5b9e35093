"""Time travel: the task as it stood after any of its records. The fold up to a record is the state at that moment."""

from __future__ import annotations

from collections.abc import Sequence

from observer.core.source import sane
from observer.core.views import Moment
from thermos.clock import Now
from thermos.core.fold import TaskRecord, replay
from thermos.core.records import (
    AnyRecord,
    Exited,
    Forked,
    Gone,
    Header,
    Lost,
    Owner,
    Released,
    Request,
    Restart,
    Running,
    SetupFailed,
    Snapshot,
    Starting,
    Stopped,
    TaskStatus,
)
from thermos.core.words import ending_words, signal_name

#: Ticks on the slider; longer histories are thinned evenly.
MAX_STOPS = 500


def view_at(records: Sequence[AnyRecord], position: int) -> tuple[TaskRecord, Now]:
    """The fold of the first `position` records, and when that was. `position` is clamped to what there is."""
    position = max(1, min(position, len(records)))
    taken = records[:position]
    if not taken:
        return TaskRecord(), Now(0.0, 0.0)
    last = taken[-1]
    return replay(taken), Now(last.at, last.mono)


def moment_of(records: Sequence[AnyRecord], position: int | None) -> Moment:
    """Where on the slider `position` is; None is now, behind the last record."""
    total = len(records)
    live = position is None
    position = total if position is None else max(min(position, total), 1 if total else 0)
    chosen = records[position - 1] if position else None
    step = max(1, -(-total // MAX_STOPS))
    picked = [*range(0, total, step)]
    if total and picked[-1] != total - 1:
        picked.append(total - 1)
    return Moment(
        position=position,
        total=total,
        at=sane(chosen.at) if chosen else 0.0,
        words=record_words(chosen) if chosen else "no record",
        earlier=position - 1 if position > 1 else None,
        later=position + 1 if position < total else None,
        live=live,
        begin=sane(records[0].at) if records else 0.0,
        end=sane(records[-1].at) if records else 0.0,
        stops=tuple((i + 1, sane(records[i].at), record_words(records[i])) for i in picked),
    )


def position_at(records: Sequence[AnyRecord], at: float) -> int:
    """How many records had been written by a wall time (records come nearly in order: the last one that fits)."""
    for index in range(len(records) - 1, -1, -1):
        if records[index].at <= at:
            return index + 1
    return 1


def record_words(record: AnyRecord) -> str:
    """What happened, in a few words."""
    match record:
        case Header():
            return "the task begins"
        case Owner():
            return f"runner {record.pid} owns the task"
        case Released():
            return "the runner let go"
        case TaskStatus():
            return f"task {record.state}{': ' + record.reason if record.reason else ''}"
        case Request():
            return f"{record.want} requested{': ' + record.reason if record.reason else ''}"
        case Restart():
            return f"restart of {record.process} requested"
        case Snapshot():
            return "older records summed up"
        case _:
            return f"{record.process}/{record.run} {_run_words(record)}"


def _run_words(
    record: Starting | Forked | Running | SetupFailed | Stopped | Exited | Gone | Lost,
) -> str:
    match record:
        case Starting():
            return "is to start"
        case Forked():
            return "forks"
        case Running():
            return f"runs, pid {record.pid}"
        case SetupFailed():
            return f"could not start ({record.stage})"
        case Exited(code=0):
            return "succeeded"
        case Exited():
            return ending_words(record.code, record.signal)
        case Stopped():
            return f"was stopped{' by ' + signal_name(record.signal) if record.signal else ''}"
        case Gone():
            return "left nothing behind"
        case Lost():
            return f"lost: {record.reason}"
