"""The whole engine: what a task costs from its wish until it runs, what a status costs among many, what a task weighs.

`engine`: two tasks for each host, 20,000 at most, as in `place`: wished, placed, launched, STARTING, RUNNING. In the
figure of a placement: the rounds, with ASSIGNED in the tables and for the journal, the news, and the accepts as bytes;
and the offer that comes back. In that of a task also its wish and its two statuses.
`events`: statuses of 2,000 tasks among SIZE that run on 1,000 hosts: that they run (100 in a turn, and each alone),
that they still do, and that they are lost, which has them replaced.
`memory`: SIZE tasks are wished, placed, launched and run, a hundred of a job, on a tenth as many hosts; by how much
the process has grown for each.
`why`: `aurora job why` for a task that no host takes, and its answer as bytes: so long everybody else waits.
"""

from __future__ import annotations

import gc
import time

import msgspec

from bench.mesos import pss_kib
from bench.scheduler.cluster import WALL, Cluster, Spent
from bench.scheduler.making import (
    JOB_SIZE,
    Figures,
    a_config,
    kinds,
    limit,
    settled_memory,
    value,
)
from mesos.core.messages import TaskState
from scheduler.core.model import AssignedTask, InstanceKey, ScheduledTask, TaskConfig, TaskEvent, task_id_of
from scheduler.core.states import ScheduleStatus
from scheduler.service.context import Context, ServiceSettings
from scheduler.service.why import why as ask_why
from scheduler.store.ops import SaveTasks
from scheduler.store.tables import Tables, apply

MOST_PLACED, ENOUGH = 20_000, 2000
HOSTS_OF_EVENTS = 1000
REPORTED = 2000
LARGE_JOB = 100
UP = (TaskState.STARTING, TaskState.RUNNING)
_S = ScheduleStatus


def engine(hosts: int) -> Figures:
    """Small clusters several times, until 2,000 tasks have run: all are measured warm."""
    spent, placed, left, written = Spent(), 0, 0, 0
    while placed < ENOUGH:
        cluster = served(hosts, spent)
        placed += len(cluster.launched)
        left += cluster.engine.groups.tasks
        written += cluster.journal_bytes
    placing = spent.s_of(("step", "offer"))
    living = placing + spent.s_of(("insert", *UP))
    return {
        "hosts": hosts,
        "placed": placed,
        "left": left,
        "placements_per_s": round(placed / placing),
        "us_per_placement": round(1e6 * placing / placed, 1),
        "us_rounds": spent.us_each("step"),
        "us_offer": spent.us_each("offer"),
        "us_insert": spent.us_each("insert"),
        "us_starting": spent.us_each(TaskState.STARTING),
        "us_running": spent.us_each(TaskState.RUNNING),
        "us_per_task": round(1e6 * living / placed, 1),
        "journal_bytes": round(written / placed),
    }


def served(hosts: int, spent: Spent) -> Cluster:
    """A cluster with all its tasks running."""
    cluster = Cluster(hosts, spent=spent)
    cluster.offer_all()
    with settled_memory():
        wanted = min(MOST_PLACED, 2 * hosts)
        for number in range(max(1, wanted // JOB_SIZE)):
            cluster.insert(a_config(f"job{number}", *kinds(number)), JOB_SIZE)
        cluster.fill(UP)
    return cluster


# --- statuses among many tasks ------------------------------------------------------------------------------------


def events(tasks: int) -> Figures:
    """The last 2,000 tasks have just been launched."""
    reported = min(REPORTED, tasks)
    cluster = Cluster(HOSTS_OF_EVENTS, tables=filled(tasks, reported, HOSTS_OF_EVENTS))
    starting = [
        (task.id, task.assigned_task.slave_id) for task in cluster.tables.tasks.all() if task.status is _S.ASSIGNED
    ]
    half = len(starting) // 2
    with settled_memory():
        cluster.say(TaskState.STARTING, starting[:half])
        cluster.say(TaskState.RUNNING, starting[half:], at_once=1)
        alone = cluster.spent.us_each(TaskState.RUNNING)
        cluster.spent.forget(TaskState.RUNNING)
        cluster.say(TaskState.RUNNING, starting[:half])
        together = cluster.spent.us_each(TaskState.RUNNING)
        cluster.spent.forget(TaskState.RUNNING)
        cluster.say(TaskState.RUNNING, starting[:half])
        cluster.say(TaskState.LOST, starting)
    return {
        "tasks": tasks,
        "us_status": together,
        "us_alone": alone,
        "us_known": cluster.spent.us_each(TaskState.RUNNING),
        "us_lost": cluster.spent.us_each(TaskState.LOST),
    }


def filled(tasks: int, assigned: int, hosts: int) -> Tables:
    """Tasks that run, and some that were just launched; a hundred of a job, its tasks on hosts side by side."""
    tables = Tables()
    for job in range(-(-tasks // LARGE_JOB)):
        config = a_config(f"job{job}", *kinds(job))
        numbers = range(job * LARGE_JOB, min(tasks, (job + 1) * LARGE_JOB))
        saved = tuple(placed_task(config, number, hosts, is_up=number < tasks - assigned) for number in numbers)
        apply(tables, SaveTasks(tasks=saved))
    return tables


def placed_task(config: TaskConfig, number: int, hosts: int, *, is_up: bool) -> ScheduledTask:
    """Texts as long as real ones, each its own."""
    statuses = (_S.PENDING, _S.ASSIGNED, _S.STARTING, _S.RUNNING)[: 4 if is_up else 2]
    at, host, instance = int(WALL * 1000), number % hosts, number % LARGE_JOB
    place = AssignedTask(
        task_id=task_id_of(config.job, instance, f"00000000-0000-4000-8000-{number:012}"),
        task=config,
        instance_id=instance,
        slave_id=f"5a7f2b1c-0000-0000-0000-000000000000-S{host}",
        slave_host=f"host{host}.example.org",
        assigned_ports={"http": 31000 + number % 1000},
    )
    history = tuple(TaskEvent(timestamp=at + n, status=s, scheduler="bench") for n, s in enumerate(statuses))
    return ScheduledTask(assigned_task=place, status=statuses[-1], task_events=history)


# --- memory -------------------------------------------------------------------------------------------------------


def memory(tasks: int) -> Figures:
    """Hosts, their offers and the jobs' configurations are there before."""
    cluster = Cluster(max(10, tasks // 10))
    cluster.offer_all()
    ways = ((), (value("os", "a"),), (limit("host", 10),))
    configs = [a_config(f"job{job}", *ways[job % len(ways)], cpus=0.25) for job in range(-(-tasks // LARGE_JOB))]
    gc.collect()
    before = pss_kib()
    for number, config in enumerate(configs):
        cluster.insert(config, min(LARGE_JOB, tasks - number * LARGE_JOB))
        cluster.fill(UP)
        cluster.launched.clear()
    gc.collect()
    grown = pss_kib() - before
    running = cluster.tables.tasks.count(_S.RUNNING)
    return {"tasks": tasks, "running": running, "kib_per_task": round(grown / running, 2)}


# --- why ----------------------------------------------------------------------------------------------------------


def why(hosts: int) -> Figures:
    cluster = Cluster(hosts)
    cluster.offer_all()
    config = a_config("why", value("os", "a"), limit("rack", 1), cpus=32.0)
    cluster.insert(config, 1)
    cluster.wait(1.0)
    cluster.act("step", 1, cluster.engine.step)
    context = Context(cluster.engine, ServiceSettings("bench"))
    began = time.process_time()
    answer = ask_why(context, InstanceKey(job_key=config.job, instance_id=0), cluster.now)
    size = len(msgspec.json.encode(answer))
    took = time.process_time() - began
    if answer.host_count != hosts or answer.smallest is None:
        raise SystemExit(f"bench.scheduler: of {hosts} hosts the answer names {answer.host_count}")
    return {"hosts": hosts, "ms": round(1000 * took, 1), "answer_kib": round(size / 1024, 1)}
