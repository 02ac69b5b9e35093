"""The JSON of the original's URLs (`/j/…`, `/logdata`, `/filedata`), shape by shape (spec/thermos.md §5.3). Pure.

Mended on the way: return codes are there for every run that ended (0 and failed ones too), unknown things are 404 and
not 500. Kept: in resource figures `user` means CPU seconds, while in a task it is the user's name.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import msgspec

from observer.core.build import state_since, state_word
from observer.core.source import Source
from observer.core.views import Chunk, IndexRow, IndexView, UsageNow
from thermos.core.fold import Run, TaskRecord
from thermos.core.states import ProcessState

#: Where the original puts a process: by the state of its newest run.
_BUCKETS: Mapping[ProcessState | None, str] = {
    None: "waiting",
    ProcessState.WAITING: "waiting",
    ProcessState.LOST: "waiting",
    ProcessState.FORKED: "running",
    ProcessState.RUNNING: "running",
    ProcessState.SUCCESS: "success",
    ProcessState.FAILED: "failed",
    ProcessState.KILLED: "killed",
}


def usage_json(usage: UsageNow) -> dict[str, Any]:
    """`resource_consumption` and the like."""
    return {
        "cpu": usage.cpu,
        "ram": usage.ram,
        "disk": usage.disk or 0,
        "user": usage.user,
        "system": usage.system,
        "rss": usage.rss,
        "vms": usage.vms,
        "nice": usage.nice,
        "status": usage.status,
        "threads": usage.threads,
    }


def task_ids_json(view: IndexView) -> dict[str, Any]:
    """`/j/task_ids`."""
    return {
        "type": str(view.kind),
        "offset": view.offset,
        "num": len(view.rows),
        "task_count": view.total,
        "tasks": [_row_json(row) for row in view.rows],
    }


def _row_json(row: IndexRow) -> dict[str, Any]:
    figures = usage_json(row.usage)
    return {
        "task_id": row.task_id,
        "key": row.key,
        "name": row.name,
        "role": row.role,
        "launch_timestamp": int(row.launched_at),
        "state": row.state,
        "state_timestamp": int(row.state_since),
        "ports": {port.name: port.number for port in row.ports},
        **figures,
    }


def task_json(source: Source, others: list[str]) -> dict[str, Any]:
    """One task of `/j/task`; `others` are the keys of tasks with the same id under other roots."""
    record, header = source.record, source.record.header
    buckets: dict[str, list[str]] = {name: [] for name in ("waiting", "running", "success", "failed", "killed")}
    names = [p.name for p in source.spec.processes] if source.spec else list(record.processes)
    for name in names:
        run = _last(record, name)
        buckets[_BUCKETS[run.state if run else None]].append(name)
    return {
        "task_id": source.task_id,
        "key": source.key,
        "name": source.spec.name if source.spec else "",
        "user": header.user if header else "",
        "launch_timestamp": int(record.history[0].at) if record.history else 0,
        "state": state_word(record),
        "state_timestamp": int(state_since(record)),
        "ports": dict(header.ports) if header else {},
        "resource_consumption": usage_json(source.measured.usage),
        "processes": buckets,
        "task": msgspec.to_builtins(source.spec) if source.spec else {},
        "notes": [note.text for note in source.notes],
        "other_roots": others,
    }


def _last(record: TaskRecord, name: str) -> Run | None:
    process = record.processes.get(name)
    return process.last if process is not None else None


def process_json(source: Source, name: str, number: int | None = None) -> dict[str, Any]:
    """`/j/process`: a run of a process, the newest if none is named; {} for what there is not."""
    process = source.record.processes.get(name)
    known = process is not None or (source.spec is not None and any(p.name == name for p in source.spec.processes))
    if not known:
        return {}
    if process is None or not process.total:
        return {"process_name": name, "process_run": 0, "state": str(ProcessState.WAITING)} if not number else {}
    run = process.last if number is None else process.runs.get(number)
    if run is None:
        return {}
    answer: dict[str, Any] = {"process_name": name, "process_run": run.number, "state": str(run.state)}
    if run.started_at:
        answer["start_time"] = run.started_at
    if run.terminal:
        answer["stop_time"] = run.ended_at
    code = return_code(run)
    if code is not None:
        answer["return_code"] = code
    if run.state is ProcessState.RUNNING and run is process.last and name in source.measured.processes:
        figures = usage_json(source.measured.processes[name])
        del figures["disk"]
        answer["used"] = figures
    return answer


def return_code(run: Run) -> int | None:
    """As the original: negative for a signal."""
    return run.code if run.signal is None else -run.signal


def processes_json(source: Source) -> dict[str, Any]:
    """One task of `/j/processes`."""
    names = [p.name for p in source.spec.processes] if source.spec else list(source.record.processes)
    return {name: process_json(source, name) for name in names}


def data_json(chunk: Chunk | None) -> dict[str, Any]:
    """`/logdata` and `/filedata`: the text is HTML-escaped, as the original's script expects it; {} for no file."""
    if chunk is None:
        return {}
    return {"offset": chunk.offset, "length": chunk.length, "data": html.escape(chunk.text)}
