"""`job inspect` in text: the job, its task, its processes, as people know it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from thermos.words import printable

#: Marks of a process that differ from the usual, in words.
_FLAGS = ("daemon", "ephemeral", "final")


def inspect_lines(job: Mapping[str, Any], cluster: str) -> Iterator[str]:
    """Of a job's resolved plain data."""
    yield "Job level information"
    yield f"  name:       '{_text(job['name'])}'"
    yield f"  role:       '{_text(job['role'])}'"
    if job.get("contact"):
        yield f"  contact:    '{_text(job['contact'])}'"
    yield f"  cluster:    '{cluster}'"
    yield f"  instances:  '{job['instances']}'"
    if job.get("cron_schedule") is not None:
        yield "  cron:"
        yield f"    schedule: '{_text(job['cron_schedule'])}'"
        yield f"    policy:   '{_text(job['cron_collision_policy'])}'"
    if job.get("constraints"):
        yield "  constraints:"
        yield from (f"    '{_text(name)}': '{_text(value)}'" for name, value in job["constraints"].items())
    yield f"  service:    {job['service']}"
    yield f"  production: {bool(job.get('production'))}"
    if job.get("tier"):
        yield f"  tier:       '{_text(job['tier'])}'"
    yield ""
    yield from _task_lines(job["task"])
    for process in job["task"]["processes"]:
        yield ""
        yield from _process_lines(process)


def _task_lines(task: Mapping[str, Any]) -> Iterator[str]:
    yield "Task level information"
    yield f"  name: '{_text(task['name'])}'"
    orders: Sequence[Mapping[str, Any]] = task.get("constraints") or ()
    if orders:
        yield "  constraints:"
        yield from (f"    {' < '.join(_text(name) for name in each.get('order') or ())}" for each in orders)
    wanted = task.get("resources")
    if wanted:
        mb = 1024 * 1024
        gpu = f", gpu {wanted['gpu']}" if wanted.get("gpu") else ""
        yield f"  resources: cpu {wanted['cpu']:g}, ram {wanted['ram'] // mb} MB, disk {wanted['disk'] // mb} MB{gpu}"


def _process_lines(process: Mapping[str, Any]) -> Iterator[str]:
    yield f"Process '{_text(process['name'])}':"
    yield from (f"  {flag}" for flag in _FLAGS if process.get(flag))
    yield "  cmdline:"
    yield from (f"    {_text(line)}" for line in process["cmdline"].splitlines() or [""])


def _text(value: object) -> str:
    return printable(str(value))
