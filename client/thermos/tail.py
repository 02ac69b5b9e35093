"""`thermos tail ID [PROCESS]`: the end of a run's log, and with -f what comes. It survives any number of rotations, and
ends when the run is over."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from typing import Any

import click

from client.exits import complain
from client.thermos.chosen import Chosen, NotFound, choose_task, pick_name
from client.thermos.options import search_options
from client.thermos.suggest import process_names, task_ids
from thermos.core.fold import Run, TaskRecord
from thermos.core.words import plural, some_of
from thermos.errors import ThermosError
from thermos.host.kernel import Kernel
from thermos.monitor.follow import Follower
from thermos.monitor.logs import Log, LogReader, log_of
from thermos.monitor.watch import Watch

EPILOG = """
\b
Examples:
  thermos tail hello                      the last lines of its only process
  thermos tail -f web nginx --stderr      what nginx writes to stderr, until its run ends
  thermos tail -F web nginx               and of the runs after this one, until the task ends
  thermos tail -n 100 --run 3 web nginx   of an earlier run
  thermos tail -n all web nginx | grep x  all there is, rotated files too

\b
A log that is rotated meanwhile is read to its end, then the newer files in turn. What was
rotated away before it could be read is told on stderr.

\b
Exit codes: 0, or 1 when there is no such task, process, run or log.
"""

#: Seconds between looks at whether the run is over, besides being told.
_LOOK = 1.0

#: What may not reach a terminal: control characters but tab, newline and return; escapes but colours.
_UNSAFE = re.compile(r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]")


def parse_lines(text: str) -> int | None:
    """None: all. Raises click.BadParameter."""
    if text == "all":
        return None
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return int(text)
    raise click.BadParameter(f"{text!r} is neither a number of lines nor `all`")


@click.command("tail", epilog=EPILOG)
@click.argument("task_id", metavar="ID", shell_complete=task_ids(active=False))
@click.argument("process", metavar="[PROCESS]", required=False, shell_complete=process_names)
@click.option("--stderr", "stream", flag_value="stderr", help="What it wrote to stderr.")
@click.option("--stdout", "stream", flag_value="stdout", default="stdout", help="What it wrote to stdout.  [default]")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run is over.")
@click.option("-F", "--follow-runs", is_flag=True, help="Go on with the next runs, until the task is over.")
@click.option(
    "-n",
    "--lines",
    metavar="N",
    default="10",
    callback=lambda _c, _p, text: parse_lines(text),
    help="So many lines, or `all`.  [default: 10]",
)
@click.option(
    "--run", "number", metavar="N", type=click.IntRange(0), help="Number of the run.  [default: the last one]"
)
@search_options
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Show the end of a process's output.

    ID and PROCESS are given in full, or as a regular expression that fits only one. PROCESS may be left out when the
    task has only one that ran.
    """  # fmt: skip
    chosen = choose_task(ctx, given["task_id"], given["root"], given["mesos_root"])
    task = chosen.view.task
    process = _process(task, given["process"])
    run = _run(task, process, given["number"])
    if given["follow"] or given["follow_runs"]:
        _follow(chosen, run, given["stream"], given["lines"], runs=given["follow_runs"])
        return 0
    log = _log(task, run, given["stream"])
    reader = LogReader(log, given["lines"])
    screen = Screen()
    try:
        pieces = 0
        while data := reader.read():
            pieces += 1
            screen.write(data)
    finally:
        reader.close()
    screen.end()
    if not pieces and log.open() is None:
        raise NotFound(f"There is no log {log.path}: {_why_no_log(run)}")
    return 0


def _process(task: TaskRecord, wanted: str | None) -> str:
    if not task.processes:
        raise NotFound("No processes found: none has run yet")
    if wanted is not None:
        return pick_name(task.processes, wanted, "process that ran")
    if len(task.processes) > 1:
        raise NotFound(f"More than one process matches query; say which: {some_of(list(task.processes), 10)}")
    return next(iter(task.processes))


def _run(task: TaskRecord, process: str, number: int | None) -> Run:
    known = task.processes[process]
    run = known.last if number is None else known.runs.get(number)
    if run is None:
        raise NotFound(f"Process {process} has no run {number}; it has had {plural(known.total, 'run')}, from 0 on")
    return run


def _log(task: TaskRecord, run: Run, stream: str) -> Log:
    if task.header is None:
        raise ThermosError("the task has no header")
    return log_of(task.header.sandbox, task.header.log_dir, run.process, run.number, stream)


def _why_no_log(run: Run) -> str:
    if run.stage:
        return f"its command was not started ({run.stage})"
    return "its output goes elsewhere, or the sandbox was removed"


class Screen:
    """stdout. What is written to a terminal is made harmless there, line by line; elsewhere bytes stay bytes."""

    def __init__(self) -> None:
        self._is_terminal = os.isatty(1)
        self._rest = b""

    def write(self, data: bytes) -> None:
        if self._is_terminal:
            data, self._rest = _whole_lines(self._rest + data)
            data = _UNSAFE.sub("?", data.decode("utf-8", "replace")).encode("utf-8", "replace")
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def end(self) -> None:
        """What stands there as an unfinished line."""
        if self._rest:
            self.write(b"\n")


def _whole_lines(data: bytes) -> tuple[bytes, bytes]:
    """(up to the last line end, the rest); a very long line is not waited for."""
    cut = data.rfind(b"\n") + 1
    return (data[:cut], data[cut:]) if len(data) - cut < 65536 else (data, b"")


def _follow(chosen: Chosen, run: Run, stream: str, lines: int | None, *, runs: bool) -> None:
    records, watch = Follower(chosen.found.paths, Kernel()), Watch()
    screen = Screen()
    try:
        records.read()
        watch.add(chosen.found.paths.checkpoint)
        for number in _numbers(records, watch, run, endless=runs):
            if number != run.number:
                complain("thermos", f"{run.process} run {number}")
            again = number != run.number
            _follow_run(records, watch, screen, run.process, number, stream, None if again else lines)
        screen.end()
    except KeyboardInterrupt:
        return  # that is how one ends it
    finally:
        watch.close()
        records.close()


def _numbers(records: Follower, watch: Watch, first: Run, *, endless: bool) -> Iterator[int]:
    """The runs to show, as they come."""
    number = first.number
    yield number
    while endless:
        known = records.task.processes[first.process]
        following = [n for n in known.runs if n > number]
        if following:
            number = min(following)
            yield number
        elif records.task.terminal:
            return
        else:
            watch.wait(_LOOK)
            records.read()


def _follow_run(
    records: Follower, watch: Watch, screen: Screen, process: str, number: int, stream: str, lines: int | None
) -> None:
    """Until the run is over and its log was read to its end."""
    run = records.task.processes[process].runs[number]
    log = _log(records.task, run, stream)
    watch.add(log.path.parent)
    reader = LogReader(log, lines)
    try:
        while True:
            run = records.task.run(process, number) or run
            over = run.terminal or records.task.terminal
            while data := reader.read():
                screen.write(data)
                if reader.lost:
                    complain("thermos", "some of the log was rotated away before it could be read")
                    reader.lost = False
            if over:
                return
            watch.wait(_LOOK)
            records.read()
    finally:
        reader.close()
