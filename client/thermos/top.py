"""`thermos top`: tasks and their processes by what they use, again and again. Measured only while it runs."""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from client.exits import complain, echo_lines
from client.render import clock_time, cores, fit, pad, size_words, width_of
from client.terminal import Frame
from client.thermos.chosen import found_tasks
from client.thermos.meters import can_measure, usages_of
from client.thermos.options import output_option, search_options
from client.thermos.suggest import task_ids
from client.thermos.tasks import KnownTask, matcher, read_tasks
from thermos.clock import Now, now
from thermos.core.usage import Look, Usage, add
from thermos.core.words import duration, plural
from thermos.errors import Exit
from thermos.host.kernel import Kernel
from thermos.monitor.sample import take_look

EPILOG = """
\b
Examples:
  thermos top                       all active tasks, every 2 seconds; Ctrl-C ends it
  thermos top --sort ram 'web-.*'
  thermos top -n 1 -o json          one measurement of a second, for programs
  thermos top -n 5 -d 60            five lines of tables, a minute between them

\b
cpu is CPU seconds per second (1.00 is one core busy), ram the sum of resident memory, in
which pages that processes share count for each. A process's figures are those of all that it
has started. Our own coordinators are not counted.

\b
Exit codes: 0, or 1 when there is no active task.
"""

_FIRST_GAP = 1.0
_SORTS = ("cpu", "ram", "name")


@dataclass(frozen=True, slots=True)
class Measured:
    """A task and what its processes use."""

    known: KnownTask
    processes: dict[str, Usage]

    @property
    def task_id(self) -> str:
        return self.known.found.task_id

    @property
    def total(self) -> Usage:
        return add(self.processes.values())


@click.command("top", epilog=EPILOG)
@click.argument("patterns", metavar="[REGEX]...", nargs=-1, shell_complete=task_ids(active=True))
@click.option("-n", "--iterations", metavar="N", type=click.IntRange(1), help="So many tables.  [default: endless]")
@click.option(
    "-d",
    "--delay",
    metavar="SECONDS",
    type=click.FloatRange(0.1, 86400),
    default=2.0,
    help="Between two tables.  [default: 2]",
)
@click.option("--sort", type=click.Choice(_SORTS), default="cpu", help="What comes first.")
@search_options
@output_option
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Show what tasks and their processes use.

    A REGEX is matched at the beginning of task ids. On a terminal the table changes in place.
    """  # fmt: skip
    matches, kernel = matcher(given["patterns"]), Kernel()
    left, shown = given["iterations"], False
    table = Table(json_output=given["output"] == "json")
    before = take_look(now().mono)
    if not can_measure(before):
        complain("thermos", "cannot measure: /proc can't be read here")
        return Exit.FAILED
    try:
        while left is None or left > 0:
            _rest(_FIRST_GAP if not shown else given["delay"])
            found = [t for t in found_tasks(ctx, given["root"], given["mesos_root"]) if t.active and matches(t.task_id)]
            look = take_look(now().mono)
            measured = measure_tasks(read_tasks(found, kernel), look, before)
            table.show(sort_tasks(measured, given["sort"]), given["sort"], now())
            if not found and left is not None:
                return Exit.FAILED
            before, shown = look, True
            left = left - 1 if left is not None else None
    except KeyboardInterrupt:
        pass  # that is how one ends it
    return Exit.OK


def _rest(seconds: float) -> None:
    """A resize of the terminal is no reason to look earlier."""
    select.select((), (), (), seconds)


def measure_tasks(tasks: Sequence[KnownTask], look: Look, before: Look) -> list[Measured]:
    return [
        Measured(known, usages_of(known.view.task, look, before))
        for known in tasks
        if known.view is not None and known.view.readable
    ]


def sort_tasks(tasks: Sequence[Measured], sort: str) -> list[Measured]:
    return sorted(tasks, key=lambda task: _rank(task.total, task.task_id, sort))


def _rank(usage: Usage, name: str, sort: str) -> tuple[float, str]:
    return {"cpu": -usage.cpu, "ram": -float(usage.ram), "name": 0.0}[sort], name


class Table:
    """Shows tables: in place on a terminal, one after another elsewhere, as JSON for programs."""

    def __init__(self, *, json_output: bool) -> None:
        self._json = json_output
        self._frame = Frame() if os.isatty(1) and os.environ.get("TERM", "dumb") not in ("", "dumb") else None

    def show(self, tasks: Sequence[Measured], sort: str, at: Now) -> None:
        if self._json:
            echo_lines([json.dumps([task_json(task, at) for task in tasks], ensure_ascii=False)])
        elif self._frame is None:
            echo_lines(table_lines(tasks, sort, at))
        else:
            size = shutil.get_terminal_size()
            lines = [fit(line, size.columns - 1) for line in table_lines(tasks, sort, at)]
            if len(lines) > size.lines - 1:
                hidden = len(lines) - (size.lines - 2)
                lines = [*lines[: size.lines - 2], f"… {plural(hidden, 'more line')}"]
            sys.stdout.write(self._frame.draw(lines))
        sys.stdout.flush()


def table_lines(tasks: Sequence[Measured], sort: str, at: Now) -> Iterator[str]:
    total = add(task.total for task in tasks)
    yield (
        f"{clock_time(at.wall)}  {plural(len(tasks), 'active task')}  cpu {cores(total.cpu)}  "
        f"ram {size_words(total.ram)}  {plural(total.procs, 'process', 'processes')}"
    )
    names = [task.task_id for task in tasks] + [f"  {name}" for task in tasks for name in task.processes]
    width = min(48, max([width_of(name) for name in names], default=0))
    titles = f"{'RUN':>5} {'PID':>8} {'CPU':>6} {'RAM':>8} {'THREADS':>7} {'TIME':>10}"
    yield f"{pad('TASK / PROCESS', max(width, 14))} {titles}"
    for task in tasks:
        yield _line(task.task_id, "", "", task.total, max(width, 14))
        record = task.known.view.task if task.known.view is not None else None
        ranked = sorted(task.processes.items(), key=lambda item: _rank(item[1], item[0], sort))
        for name, usage in ranked:
            run = record.run(name, record.active[name]) if record is not None else None
            pid = str(run.pid) if run is not None and run.pid else ""
            yield _line(f"  {name}", str(run.number) if run is not None else "", pid, usage, max(width, 14))


def _line(name: str, run: str, pid: str, usage: Usage, width: int) -> str:
    time = duration(usage.user + usage.system)
    return (
        f"{pad(name, width)} {run:>5} {pid:>8} {cores(usage.cpu):>6} {size_words(usage.ram):>8} "
        f"{usage.threads:>7} {time:>10}"
    )


def task_json(task: Measured, at: Now) -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        "root": str(task.known.found.root),
        "at": at.wall,
        "total": task.total.to_dict(),
        "processes": {name: usage.to_dict() for name, usage in task.processes.items()},
    }
