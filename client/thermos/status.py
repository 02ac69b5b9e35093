"""`thermos status`: the tasks of this host, from their records alone. No daemon is asked and no lock is tried."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Any

import click

from client.context import search_roots, user_name
from client.exits import echo_lines
from client.render import date_time
from client.thermos.options import inherited, output_option, search_options
from client.thermos.suggest import task_ids
from client.thermos.tasks import KnownTask, matcher, plan_of, read_tasks
from client.thermos.view import Row, View
from thermos.clock import Now, now
from thermos.core.fold import ProcessRecord, Run, TaskRecord
from thermos.core.records import Header
from thermos.core.states import TaskState
from thermos.core.words import duration, plural
from thermos.errors import Exit
from thermos.host.kernel import Kernel
from thermos.monitor.detect import find_tasks
from thermos.monitor.follow import Attendance, TaskView
from thermos.words import ending_of

SORTS = ("id", "started", "ended")

EPILOG = """
\b
Examples:
  thermos status                              ids of all tasks
  thermos status --verbosity 3 'web-.*'       process by process
  thermos status --only active -o json
  thermos status --unattended                 tasks that are under way and have no runner
  thermos status --state failed --sort ended  what failed, the latest last

Exit codes: 0, or 1 when no task was found.
"""


@click.command("status", epilog=EPILOG)
@click.argument("patterns", metavar="[REGEX]...", nargs=-1, shell_complete=task_ids(active=False))
@click.option("--verbosity", "-v", type=click.IntRange(0, 3), default=0, help="How much to tell.  [default: 0]")
@click.option("--only", type=click.Choice(("active", "finished")), help="Leave the others out.")
@click.option(
    "--state",
    "states",
    type=click.Choice([str(s) for s in TaskState], case_sensitive=False),
    multiple=True,
    help="Only tasks in this state; may be repeated.",
)
@click.option("--user", metavar="NAME", help="Only tasks of this user.")
@click.option("--unattended", is_flag=True, help="Only active tasks that have no runner.")
@click.option("--sort", type=click.Choice(SORTS), default="id", help="In which order.  [default: id]")
@search_options
@output_option
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Show the tasks of this host.

    A REGEX is matched at the beginning of task ids. Verbosity 1 adds state and time, 2 user, ports and sandbox,
    3 every process with its runs.
    """
    roots = search_roots(inherited(ctx, "root", given["root"]), inherited(ctx, "mesos_root", given["mesos_root"]))
    matches, only = matcher(given["patterns"]), given["only"]
    found = [
        task
        for task in find_tasks(roots)
        if matches(task.task_id) and (only is None or task.active is (only == "active"))
    ]
    known = [task for task in read_tasks(found, Kernel()) if is_wanted(task, given)]
    known.sort(key=lambda task: _sort_key(task, given["sort"]))
    verbosity = given["verbosity"]
    if given["output"] == "json":
        echo_lines([json.dumps([task_json(task, now()) for task in known], indent=1, ensure_ascii=False)])
    elif known:
        echo_lines(status_lines(known, verbosity, now()))
    else:
        echo_lines(["No tasks found."])
    return Exit.OK if known else Exit.FAILED


def is_wanted(known: KnownTask, given: Mapping[str, Any]) -> bool:
    """Do the filters let it through? One that can't be read passes only when there are none."""
    if not (given["states"] or given["user"] or given["unattended"]):
        return True
    view = known.view
    if view is None or view.task.header is None:
        return False
    header, state = view.task.header, view.task.state
    if given["states"] and str(state) not in given["states"]:
        return False
    if given["user"] and given["user"] not in (header.user, str(header.uid), user_name(header.uid)):
        return False
    return not given["unattended"] or (not view.task.terminal and view.attendance is Attendance.UNATTENDED)


def _sort_key(known: KnownTask, sort: str) -> tuple[float, str]:
    """Tasks that can't be read come first."""
    task = known.view.task if known.view is not None else None
    at = 0.0
    if task is not None and task.header is not None and sort == "started":
        at = task.header.at
    if task is not None and task.history and sort == "ended":
        at = task.history[-1].at if task.terminal else inf
    return at, known.found.task_id


def status_lines(tasks: Sequence[KnownTask], verbosity: int, at: Now) -> Iterator[str]:
    for active, title in ((True, "Active tasks:"), (False, "Finished tasks:")):
        chosen = [task for task in tasks if task.found.active is active]
        if not chosen:
            continue
        yield title
        for task in chosen:
            yield from _task_lines(task, verbosity, at)


def _task_lines(known: KnownTask, verbosity: int, at: Now) -> Iterator[str]:
    view = known.view
    if view is None or view.task.header is None:
        yield f"  {known.found.task_id}  {known.trouble}"
        return
    header, task = view.task.header, view.task
    line = f"  {known.found.task_id} [owner: {user_name(header.uid) if header.uid else header.user}]"
    yield line + attendance_words(view) if not known.found.active or verbosity == 0 else line
    if view.damage:
        first = view.damage[0]
        more = f" ({first.file} at byte {first.offset}: {first.reason})"
        yield f"    note: {plural(len(view.damage), 'damaged line')} in its checkpoint{more}"
    if verbosity >= 1:
        yield f"    {_state_words(known, task, at)}{attendance_words(view) if known.found.active else ''}"
    if verbosity >= 2:
        yield from _place_lines(header)
    if verbosity >= 3:
        yield from _process_lines(known, task, at)


def attendance_words(view: TaskView) -> str:
    """Said of tasks that are under way and have no runner."""
    if view.task.terminal or view.attendance is Attendance.ATTENDED:
        return ""
    if view.attendance is Attendance.UNKNOWN:
        return "  (cannot verify whether its runner lives)"
    owner = view.task.owner
    who = "its runner let go" if view.task.released or owner is None else f"its runner, pid {owner.pid}, is gone"
    return f"  unattended since {date_time(view.unattended_since)}: {who}"


def _state_words(known: KnownTask, task: TaskRecord, at: Now) -> str:
    begun = task.header.at if task.header is not None else 0.0
    text = f"{task.state or 'STARTING'} since {date_time(task.history[-1].at if task.history else begun)}"
    text += f", started {date_time(begun)}"
    plan = plan_of(known)
    if plan is not None:
        headline = plan[1].headline(task, at)
        text += f", {headline.counts}{f', {headline.note}' if headline.note else ''}"
    return text


def _place_lines(header: Header) -> Iterator[str]:
    yield f"    user: {header.user}"
    if header.ports:
        yield f"    ports: {', '.join(f'{name} -> {port}' for name, port in header.ports.items())}"
    yield f"    sandbox: {header.sandbox}"
    yield f"    logs: {header.log_dir}"


def _process_lines(known: KnownTask, task: TaskRecord, at: Now) -> Iterator[str]:
    plan = plan_of(known)
    if plan is None:
        for name in task.processes:
            yield f"    - {name} {_run_words(task, name)}"
        return
    for row in _rows(plan[1], task, at):
        yield f"    - {row.process} {_run_words(task, row.process)}{f'  {row.note}' if row.note else ''}"


def _rows(view: View, task: TaskRecord, at: Now) -> list[Row]:
    return view.rows(task, at)


def _run_words(task: TaskRecord, process: str) -> str:
    record = task.processes.get(process)
    last = record.last if record is not None else None
    if record is None or last is None:
        return "runs: 0"
    parts = [f"pid={last.pid}" if last.pid else "", _end_words(last), f"state: {last.state}"]
    return f"runs: {record.total}{_bad_words(record)} last: {', '.join(part for part in parts if part)}"


def _bad_words(record: ProcessRecord) -> str:
    """` (2 failed, 1 killed)`, what went wrong so far."""
    counts = ((record.failures, "failed"), (record.kills, "killed"), (record.losses, "lost"))
    words = ", ".join(f"{count} {word}" for count, word in counts if count)
    return f" ({words})" if words and record.total > 1 else ""


def _end_words(run: Run) -> str:
    if not run.terminal:
        return f"started: {date_time(run.started_at)}" if run.started_at else ""
    code = run.code if run.signal is None else -run.signal
    took = f" after {duration(run.ended_at - run.started_at)}" if run.started_at else ""
    return f"{'' if code is None else f'rc={code}, '}finish: {date_time(run.ended_at)}{took}"


def task_json(known: KnownTask, at: Now) -> dict[str, Any]:
    """One task for programs; `trouble` instead of details when it can't be read."""
    base: dict[str, Any] = {
        "task_id": known.found.task_id,
        "root": str(known.found.root),
        "active": known.found.active,
    }
    view = known.view
    if view is None or view.task.header is None:
        return {**base, "trouble": known.trouble}
    task, header = view.task, view.task.header
    plan = plan_of(known)
    return {
        **base,
        "state": task.state,
        "reason": task.reason,
        "user": header.user,
        "uid": header.uid,
        "hostname": header.hostname,
        "sandbox": header.sandbox,
        "log_dir": header.log_dir,
        "ports": header.ports,
        "started_at": header.at,
        "state_since": task.history[-1].at if task.history else None,
        "attendance": view.attendance if not task.terminal else None,
        "unattended_since": view.unattended_since or None,
        "owner_pid": task.owner.pid if task.owner else None,
        "damaged_lines": len(view.damage),
        "processes": [
            {**_row_json(row), **_last_json(task, row.process)}
            for row in (_rows(plan[1], task, at) if plan is not None else ())
        ],
    }


def _row_json(row: Row) -> dict[str, Any]:
    return {"process": row.process, "state": row.state, "doing": row.doing, "note": row.note, "final": row.final}


def _last_json(task: TaskRecord, process: str) -> dict[str, Any]:
    record = task.processes.get(process)
    last = record.last if record is not None else None
    if record is None or last is None:
        return {"runs": 0}
    return {
        "runs": record.total,
        "failures": record.failures,
        "kills": record.kills,
        "losses": record.losses,
        "run": last.number,
        "last_end": ending_of(last) if last.terminal else None,
        "pid": last.pid or None,
        "code": last.code,
        "signal": last.signal,
        "started_at": last.started_at or None,
        "ended_at": last.ended_at or None,
    }
