"""`job status` in text, as people know it: active and inactive tasks with all that happened to them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from client.aurora.core.answers import one_line
from client.aurora.core.tasks import Config, Task
from client.render import date_time


def status_lines(tasks: Sequence[Task], reasons: Mapping[str, str]) -> Iterator[str]:
    """The tasks of one job."""
    for title, active in (("Active", True), ("Inactive", False)):
        chosen = [task for task in tasks if task.is_active is active]
        yield f"{title} tasks ({len(chosen)}):"
        for task in chosen:
            yield from _task_lines(task, reasons.get(task.id, ""))


def _task_lines(task: Task, reason: str) -> Iterator[str]:
    config, job = task.config, task.config.job
    where = f" on {task.host}" if task.host else ""
    yield "\t" + one_line(
        f"Task role: {job.role}, env: {job.environment}, name: {job.name}, instance: {task.instance}, "
        f"status: {task.status}{where}"
    )
    if reason:
        yield f"\t  reason: {one_line(reason)}"
    yield f"\t  {resource_words(config)}"
    ports = task.assigned_task.assigned_ports
    if ports:
        yield f"\t  ports: {one_line(', '.join(f'{name}: {port}' for name, port in sorted(ports.items())))}"
    yield f"\t  failure count: {task.failure_count} (max {_max_failures(config)})"
    yield "\t  events:"
    for event in sorted(task.task_events, key=lambda event: event.timestamp):
        message = f": {event.message}" if event.message else ""
        yield f"\t   {one_line(f'{date_time(event.timestamp / 1000)} {event.status}{message}')}"
    if config.metadata:
        yield "\t  metadata:"
        for pair in config.metadata:
            yield f"\t   {one_line(f'''(key: '{pair.key}', value: '{pair.value}')''')}"


def _max_failures(config: Config) -> str:
    return "any number" if config.is_service or config.max_task_failures == -1 else str(config.max_task_failures)


def resource_words(config: Config) -> str:
    """`cpus: 0.5, ram: 128 MB, disk: 64 MB`."""
    found = config.amounts
    gpus = f", gpus: {found.num_gpus:g}" if found.num_gpus else ""
    return f"cpus: {found.num_cpus:g}, ram: {found.ram_mb:g} MB, disk: {found.disk_mb:g} MB{gpus}"
