"""The runs of a task as bars on a time axis (Gantt), with the phases of the task and the critical path. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from observer.core.source import sane
from observer.core.views import Bar, StateEntry, Timeline
from thermos.core.fold import ProcessRecord, TaskRecord

#: Bars of one process, and of the whole picture: a crash loop must not make a page of megabytes.
BARS_PER_PROCESS = 20
MAX_BARS = 2000


def history_of(record: TaskRecord) -> tuple[StateEntry, ...]:
    """The states of a task, each until the next one."""
    entries = record.history
    ends = [*(sane(entry.at) for entry in entries[1:]), 0.0][: len(entries)]
    return tuple(
        StateEntry(str(entry.state), sane(entry.at), end, entry.reason)
        for entry, end in zip(entries, ends, strict=True)
    )


def timeline_of(record: TaskRecord, names: Iterable[str], critical: Sequence[str], wall: float) -> Timeline:
    """Bars in the order of `names`; everything that still goes on ends at `wall`."""
    chain = set(critical)
    bars: list[Bar] = []
    left_out = 0
    for name in names:
        process = record.processes.get(name)
        if process is None:
            continue
        own = _bars(process, name in chain, wall)
        room = max(0, min(BARS_PER_PROCESS, MAX_BARS - len(bars)))
        bars += own[len(own) - min(room, len(own)) :]
        left_out += process.total - min(room, len(own))
    phases = history_of(record)
    begin = min((at for at in [*(b.begin for b in bars), *(p.at for p in phases)] if at), default=wall)
    end = sane(record.history[-1].at) if record.terminal and record.history else wall
    end = max([begin, end, *(bar.end for bar in bars)])
    return Timeline(begin, end, tuple(bars), phases, tuple(critical), left_out)


def _bars(process: ProcessRecord, critical: bool, wall: float) -> list[Bar]:
    newest = process.total - 1
    bars = []
    for number in sorted(process.runs):
        run = process.runs[number]
        begin = sane(run.started_at or run.starting_at)
        end = sane(run.ended_at) if run.terminal else wall
        bars.append(
            Bar(
                process=process.name,
                run=number,
                state=str(run.state),
                begin=begin,
                end=max(begin, end),
                running=not run.terminal,
                critical=critical and number == newest,
            )
        )
    return bars
