"""A View as the lines of a live tree. Pure: sizes come in, styled lines come out."""

from __future__ import annotations

from collections.abc import Mapping

from client.render import cores, fit, pad, running_clock, size_words, width_of
from client.terminal import Segment, StyledLine
from client.thermos.view import Headline, Row, View
from thermos.clock import Now
from thermos.core.doing import Doing
from thermos.core.fold import TaskRecord
from thermos.core.states import ProcessState, TaskState
from thermos.core.usage import NO_USAGE, Usage, add
from thermos.core.words import duration, plural

_SIGNS: dict[Doing, Segment] = {
    Doing.FAILED: ("✗", "bold red"),
    Doing.RUNNING: ("●", "green"),
    Doing.RETRY: ("↻", "yellow"),
    Doing.READY: ("○", "cyan"),
    Doing.BLOCKED: ("·", "dim"),
    Doing.IDLE: ("-", "dim"),
    Doing.STOPPED: ("■", "dim"),
    Doing.DONE: ("✓", "green"),
}

_STATE_STYLES = {
    TaskState.SUCCESS: "bold green",
    TaskState.FAILED: "bold red",
    TaskState.KILLED: "bold red",
    TaskState.LOST: "bold red",
}

#: Indentation of the graph stops here: a chain of 500 is no staircase.
_DEEPEST = 6
_NAME_COLUMNS = 32


def live_lines(
    task_id: str,
    view: View,
    task: TaskRecord,
    now: Now,
    rows: int,
    hints: dict[str, str],
    notes: list[str],
    usages: Mapping[str, Usage] | None = None,
) -> tuple[list[StyledLine], bool]:
    """(at most `rows` lines, whether they change by time alone). `hints`: process -> last line of its stderr; `usages`:
    process -> what its run uses, where that is known."""
    usages = usages or {}
    headline = view.headline(task, now)
    room = max(1, rows - 1 - len(notes))
    total = len(view.order)
    shown = view.rows(task, now, room if total <= room else max(0, room - 1))
    lines: list[StyledLine] = [_headline(task_id, headline, task, add(usages.values()))]
    lines += _rows(shown, hints, usages)
    if len(shown) < total:
        lines.append([(f"  … {plural(total - len(shown), 'more process', 'more processes')}", "dim")])
    lines += [[(note, "yellow")] for note in notes]
    ticks = headline.ticks or bool(headline.note and not task.terminal) or any(row.ticks for row in shown)
    return lines[:rows], ticks


def _headline(task_id: str, headline: Headline, task: TaskRecord, usage: Usage) -> StyledLine:
    clock = duration if task.terminal else running_clock
    style = _STATE_STYLES.get(task.state, "bold") if task.state is not None else "bold"
    line = [(task_id, "bold"), (" ", ""), (headline.state, style), (f"  {clock(headline.seconds)}", "")]
    line.append((f"  {headline.counts}", "dim"))
    if usage.procs:
        line.append((f"  cpu {cores(usage.cpu)}  ram {size_words(usage.ram)}", ""))
    if headline.note:
        line.append((f"  {headline.note}", "yellow"))
    return line


def _rows(rows: list[Row], hints: dict[str, str], usages: Mapping[str, Usage]) -> list[StyledLine]:
    names = {row.process: "  " * min(row.level, _DEEPEST) + row.process for row in rows}
    width = min(_NAME_COLUMNS, max(map(width_of, names.values()), default=0))
    return [
        _row(row, names[row.process], width, hints.get(row.process, ""), usages.get(row.process, NO_USAGE))
        for row in rows
    ]


def _row(row: Row, name: str, width: int, hint: str, usage: Usage) -> StyledLine:
    sign, style = _SIGNS[row.doing]
    quiet = "dim" if row.doing in (Doing.BLOCKED, Doing.IDLE, Doing.READY) else ""
    line = [(f"  {sign} ", style), (pad(name, width), quiet), (f" {row.state:<8}", quiet or style)]
    if row.run is not None:
        clock = running_clock if row.doing is Doing.RUNNING else duration
        took = "" if row.seconds is None else clock(row.seconds)
        line.append((f" run {row.run:<3} {took:>9}", ""))
    if row.pid:
        line.append((f"  pid {row.pid}", "dim"))
    if usage.procs and row.doing is Doing.RUNNING:
        line.append((f"  cpu {cores(usage.cpu):>5}  ram {size_words(usage.ram):>7}", ""))
    if row.note:
        line.append((f"  {row.note}", "red" if row.doing is Doing.FAILED else "yellow"))
    if hint and (row.doing is Doing.FAILED or row.state == ProcessState.FAILED):
        line.append((f" | {fit(hint, 200)}", "dim"))
    return line
