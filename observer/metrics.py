"""What `/metrics` tells of tasks and of the observer itself, and `/vars`: what the original said of itself."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping

from observer.core.build import state_word
from observer.core.source import Source
from observer.core.views import ExecutorView, UsageNow
from observer.host import Host
from observer.places import log_bytes
from observer.task import Task
from thermos.core.fold import ProcessRecord
from thermos.core.states import TaskState
from thermos.version import VERSION
from web.prometheus import Family, Labels, process_families

#: name -> (kind, help) of what is told of every active task and of its processes.
_TASK = {
    "thermos_task_state": ("gauge", "1 for the state that the task is in."),
    "thermos_task_attended": ("gauge", "1 when a runner minds the task, 0 when none does."),
    "thermos_task_launched_seconds": ("gauge", "Wall time of the task's beginning."),
    "thermos_task_cpu_cores": ("gauge", "CPU that the task uses now."),
    "thermos_task_ram_bytes": ("gauge", "Resident memory of the task's processes."),
    "thermos_task_disk_bytes": ("gauge", "Disk that the sandbox uses."),
}
_PROCESS = {
    "thermos_process_state": ("gauge", "1: the newest run is in this state; only that one is told."),
    "thermos_process_runs_total": ("counter", "Runs begun."),
    "thermos_process_failures_total": ("counter", "Runs that failed."),
    "thermos_process_kills_total": ("counter", "Runs that a signal ended."),
    "thermos_process_losses_total": ("counter", "Runs that were lost."),
    "thermos_process_restarts_total": ("counter", "Runs that made way because somebody asked for it."),
    "thermos_process_cpu_cores": ("gauge", "CPU that the newest run uses now, its descendants included."),
    "thermos_process_ram_bytes": ("gauge", "Resident memory of the newest run, its descendants included."),
    "thermos_process_log_bytes": ("gauge", "Size of the newest run's logs on disk, rotated files included."),
}
#: Of tasks under Mesos, as their executors say. Old names of the executor's own observables in docs/executor.md.
_EXECUTOR = {
    "thermos_executor_phase": ("gauge", "1: the executor is in this phase; only that one is told."),
    "thermos_executor_connected": ("gauge", "1 while the agent has accepted the executor's subscription."),
    "thermos_executor_unacknowledged_updates": ("gauge", "Status updates that nobody has acknowledged yet."),
    "thermos_executor_healthy": ("gauge", "1 when running and healthy, 0 otherwise; tasks with health checks only."),
    "thermos_executor_health_consecutive_failures": ("gauge", "Failed health checks in a row, those that count."),
    "thermos_executor_health_snoozed": ("gauge", "1 while health checks are snoozed."),
    "thermos_executor_health_checks_total": ("counter", "Health checks made."),
    "thermos_executor_health_failed_total": ("counter", "Health checks that failed."),
    "thermos_executor_health_latency_seconds_total": ("counter", "Time that health checks took."),
    "thermos_executor_announced": ("gauge", "1 while the task is announced; tasks that shall be only."),
    "thermos_executor_announcer_disconnected_seconds": ("gauge", "Since when ZooKeeper can't be reached."),
    "thermos_executor_disk_limit_bytes": ("gauge", "Disk that the sandbox may use."),
    "thermos_executor_disk_used_bytes": ("gauge", "Disk that the sandbox uses, as the executor found."),
}


def task_families(tasks: Iterable[tuple[Task, Source]]) -> list[Family]:
    """Series of the active tasks. Looks at log sizes: for a worker thread."""
    families = {name: Family(name, *about) for name, about in (_TASK | _EXECUTOR | _PROCESS).items()}
    for task, source in tasks:
        labels = {"task": source.ref, "name": source.spec.name if source.spec else ""}
        _add_task(families, labels, source)
        if source.executor is not None:
            _add_executor(families, labels, source.executor)
        logs = log_bytes(source, task)
        for name, record in source.record.processes.items():
            labels = {"task": source.ref, "process": name}
            _add_process(families, labels, record, source.measured.processes.get(name))
            if name in logs:
                families["thermos_process_log_bytes"].add(labels, logs[name])
    return list(families.values())


def _add_task(families: dict[str, Family], labels: Labels, source: Source) -> None:
    state, usage = state_word(source.record), source.measured.usage
    for each in (*TaskState, "STARTING", "UNKNOWN"):
        families["thermos_task_state"].add({**labels, "state": str(each)}, int(each == state))
    if source.attendance in ("attended", "unattended"):
        families["thermos_task_attended"].add(labels, int(source.attendance == "attended"))
    if source.record.header is not None:
        families["thermos_task_launched_seconds"].add(labels, source.record.header.at)
    families["thermos_task_cpu_cores"].add(labels, usage.cpu)
    families["thermos_task_ram_bytes"].add(labels, usage.ram)
    if usage.disk is not None:
        families["thermos_task_disk_bytes"].add(labels, usage.disk)


def _add_executor(families: dict[str, Family], labels: Labels, executor: ExecutorView) -> None:
    def add(name: str, value: float) -> None:
        families[f"thermos_executor_{name}"].add(labels, value)

    families["thermos_executor_phase"].add({**labels, "phase": executor.phase}, 1)
    add("connected", int(executor.agent == "subscribed"))
    add("unacknowledged_updates", executor.unacknowledged)
    health, announced, disk = executor.health, executor.announced, executor.disk
    if health is not None and health.checked:
        add("healthy", int(health.verdict == "running"))
        add("health_consecutive_failures", health.failures)
        add("health_snoozed", int(health.word == "snoozed"))
        add("health_checks_total", health.checks)
        add("health_failed_total", health.failed)
        add("health_latency_seconds_total", health.latency)
    if announced is not None:
        add("announced", int(announced.announced))
        add("announcer_disconnected_seconds", announced.disconnected)
    if disk is not None:
        add("disk_limit_bytes", disk.limit)
        if disk.used is not None:
            add("disk_used_bytes", disk.used)


def _add_process(families: dict[str, Family], labels: Labels, record: ProcessRecord, usage: UsageNow | None) -> None:
    last = record.last
    if last is not None:
        families["thermos_process_state"].add({**labels, "state": str(last.state)}, 1)
    totals = {
        "runs": record.total,
        "failures": record.failures,
        "kills": record.kills,
        "losses": record.losses,
        "restarts": record.restarts,
    }
    for word, value in totals.items():
        families[f"thermos_process_{word}_total"].add(labels, value)
    families["thermos_process_cpu_cores"].add(labels, usage.cpu if usage else 0.0)
    families["thermos_process_ram_bytes"].add(labels, usage.ram if usage else 0)


def own_families(host: Host, requests: Mapping[int, int]) -> list[Family]:
    """What the observer costs and does."""
    tasks = Family("thermos_observer_tasks", "gauge", "Tasks of this host.")
    active = len(host.inventory.active())
    tasks.add({"kind": "active"}, active)
    tasks.add({"kind": "finished"}, len(host.inventory.tasks) - active)
    answers = Family("thermos_observer_requests_total", "counter", "Requests answered, by status.")
    for status, count in sorted(requests.items()):
        answers.add({"status": str(status)}, count)
    numbers: list[tuple[str, str, str, float]] = [
        ("thermos_observer_streams", "gauge", "Event streams that are open.", len(host.broker.subscribers)),
        ("thermos_observer_events_total", "counter", "Events sent to open streams.", host.broker.sent),
        ("thermos_observer_slow_readers_total", "counter", "Streams cut off: not read.", host.broker.dropped),
        ("thermos_observer_rescans_total", "counter", "Looks at all places.", host.inventory.rescans),
        ("thermos_observer_watches", "gauge", "Directories watched by inotify.", host.inventory.watches),
        ("thermos_observer_proc_seconds_total", "counter", "Time spent reading /proc.", host.look_seconds),
        ("thermos_observer_polling", "gauge", "1 when inotify is out of resources.", int(host.inventory.is_polling)),
    ]
    families = [Family(name, kind, text, [({}, value)]) for name, kind, text, value in numbers]
    return [tasks, answers, *process_families("observer", host.started_at.wall), *families]


def variables(host: Host, requests: Mapping[int, int]) -> dict[str, str | int | float]:
    """`/vars`: the original's names, and ours. The command line is not told: it is nobody's business over the net."""
    known: dict[str, str | int | float] = {
        "build.version": VERSION,
        "sys.uptime": round(host.clock().wall - host.started_at.wall, 3),
        "sys.version": sys.version.replace("\n", " "),
        "sys.platform": sys.platform,
        "sys.uname": " ".join(platform.uname()),
        "sys.hostname": host.hostname,
    }
    for family in own_families(host, requests):
        for labels, value in family.samples:
            suffix = "".join(f".{text}" for text in labels.values())
            known[family.name.replace("thermos_observer_", "observer.").replace("process_", "process.") + suffix] = (
                value
            )
    return known
