"""`job status` in text, as people know it: active and inactive tasks with all that happened to them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from client.aurora.core.tasks import Task, one_line, resources_of
from client.render import date_time


def status_lines(tasks: Sequence[Task], reasons: Mapping[str, str]) -> Iterator[str]:
    """The tasks of one job."""
    for title, active in (("Active", True), ("Inactive", False)):
        chosen = [task for task in tasks if task.is_active is active]
        yield f"{title} tasks ({len(chosen)}):"
        for task in chosen:
            yield from _task_lines(task, reasons.get(task.id, ""))


def _task_lines(task: Task, reason: str) -> Iterator[str]:
    config = task.config
    job = config.get("job") or {}
    where = f" on {task.host}" if task.host else ""
    yield (
        f"\tTask role: {job.get('role', '')}, env: {job.get('environment', '')}, name: {job.get('name', '')},"
        f" instance: {task.instance}, status: {task.status}{where}"
    )
    if reason:
        yield f"\t  reason: {one_line(reason)}"
    yield f"\t  {resource_words(config)}"
    if task.assigned_task.assigned_ports:
        yield f"\t  ports: {', '.join(f'{n}: {p}' for n, p in sorted(task.assigned_task.assigned_ports.items()))}"
    yield f"\t  failure count: {task.failure_count} (max {_max_failures(config)})"
    yield "\t  events:"
    for event in sorted(task.task_events, key=lambda event: event.timestamp):
        message = f": {one_line(event.message)}" if event.message else ""
        yield f"\t   {date_time(event.timestamp / 1000)} {event.status}{message}"
    if config.get("metadata"):
        yield "\t  metadata:"
        for pair in config["metadata"]:
            yield f"\t   (key: '{one_line(str(pair.get('key')))}', value: '{one_line(str(pair.get('value', '')))}')"


def _max_failures(config: Mapping[str, Any]) -> str:
    most = config.get("maxTaskFailures", 1)
    return "any number" if most == -1 or config.get("isService") else str(most)


def resource_words(config: Mapping[str, Any]) -> str:
    """`cpus: 0.5, ram: 128 MB, disk: 64 MB`."""
    found = resources_of(config)
    gpus = f", gpus: {found['gpus']:g}" if found["gpus"] else ""
    return f"cpus: {found['cpus']:g}, ram: {found['ram']:g} MB, disk: {found['disk']:g} MB{gpus}"
