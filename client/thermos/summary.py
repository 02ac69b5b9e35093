"""What is said when a task is over: how it ended, what failed and why, and where to read more. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from thermos.core.failures import Failure, failures
from thermos.core.fold import ProcessRecord, Run, TaskRecord
from thermos.core.states import ProcessState, TaskState
from thermos.core.words import duration, plural
from thermos.errors import Exit
from thermos.model import TaskSpec
from thermos.monitor.last_lines import log_path
from thermos.words import ending_of

#: So many failures are told in full.
_SHOWN = 10

EXIT_OF = {
    TaskState.SUCCESS: Exit.OK,
    TaskState.FAILED: Exit.FAILED,
    TaskState.KILLED: Exit.KILLED,
    TaskState.LOST: Exit.LOST,
}

#: (run, stream) -> its last lines
Tail = Callable[[Run], list[str]]


def totals(task: TaskRecord) -> tuple[int, int]:
    """(processes that ran, runs)."""
    return len(task.processes), sum(record.total for record in task.processes.values())


def task_seconds(task: TaskRecord) -> float:
    if task.header is None or not task.history:
        return 0.0
    return task.history[-1].at - task.header.at


def render_summary(task_id: str, spec: TaskSpec, task: TaskRecord, tail: Tail) -> Iterator[str]:
    """The last lines of `thermos run`."""
    processes, runs = totals(task)
    why = f": {task.reason}" if task.reason and task.state is not TaskState.SUCCESS else ""
    yield f"task {task_id} {task.state} after {duration(task_seconds(task))}{why}"
    bad = failures(spec, task)
    for failure in bad[:_SHOWN]:
        yield from _render_failure(failure, task, tail)
    if len(bad) > _SHOWN:
        yield f"  … and {plural(len(bad) - _SHOWN, 'more process', 'more processes')} that failed"
    for line in _receipts(task):
        yield f"  {line}"
    retried = _retried(task, {failure.process for failure in bad})
    if retried:
        yield f"  retried: {', '.join(retried)}"
    yield f"  {plural(processes, 'process', 'processes')}, {plural(runs, 'run')}"
    if task.header is not None:
        yield f"  logs: {task.header.log_dir}/PROCESS/RUN/stdout and stderr"


def _render_failure(failure: Failure, task: TaskRecord, tail: Tail) -> Iterator[str]:
    run = failure.run
    took = f" after {duration(run.ended_at - run.started_at)}" if run.started_at else ""
    yield f"  {failure.process} run {run.number} {run.state}: {ending_of(run)}{took}"
    lines = tail(run)
    yield from (f"    | {line}" for line in lines)
    if task.header is not None and run.started_at:
        stream = "stderr" if lines else "stdout"
        path = log_path(task.header.log_dir, run.process, run.number, stream)
        yield f"    more: tail -n 100 {shlex.quote(str(Path(path)))}"


def _receipts(task: TaskRecord) -> Iterator[str]:
    """Who had to be killed."""
    for record in task.processes.values():
        receipt = record.last.receipt if record.last is not None else None
        if receipt is not None and receipt.killed_count:
            count = plural(receipt.killed_count, "process", "processes")
            asked = f"did not leave when asked to: {count} killed"
            yield f"{record.name} {asked if receipt.signalled else f'was killed at once: {count}'}"


def _retried(task: TaskRecord, without: set[str]) -> list[str]:
    """Processes that needed more than one run because one of them went wrong."""
    names = []
    for record in task.processes.values():
        wrong = record.failures + record.kills + record.losses
        last = record.last
        if record.name not in without and wrong and last is not None and last.state is ProcessState.SUCCESS:
            names.append(f"{record.name} ({wrong} of {plural(record.total, 'run')} went wrong)")
    return names


def summary_json(task_id: str, task: TaskRecord, exit_code: int) -> dict[str, Any]:
    """The same for programs."""
    header = task.header
    return {
        "kind": "summary",
        "task_id": task_id,
        "state": task.state,
        "reason": task.reason,
        "exit_code": int(exit_code),
        "seconds": round(task_seconds(task), 3),
        "sandbox": header.sandbox if header else None,
        "log_dir": header.log_dir if header else None,
        "ports": header.ports if header else {},
        "processes": [_process_json(record) for record in task.processes.values()],
    }


def _process_json(record: ProcessRecord) -> dict[str, Any]:
    last = record.last
    return {
        "process": record.name,
        "runs": record.total,
        "failures": record.failures,
        "last": None
        if last is None
        else {
            "run": last.number,
            "state": last.state,
            "code": last.code,
            "signal": last.signal,
            "pid": last.pid or None,
            "started_at": last.started_at or None,
            "ended_at": last.ended_at or None,
        },
    }
