"""The cluster of `aurora local` as plain data: what there is, on which addresses and ports, and the one thermos task
that is all of it.

    mesos       master and agents, in one process: python -m mesos.local
    scheduler   aurora_scheduler
    observer    thermos_observer, over the work directories of all agents, at the address of each

Agents are hosts 127.0.0.11, 127.0.0.12, … : every address of 127.0.0.0/8 is this machine, so that links to hosts lead
somewhere. They share the machine's ports, so each offers a range of its own.

Pure.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from thermos.errors import UserError
from thermos.model import LoggerSpec, LogMode, ProcessSpec, TaskSpec

MESOS, SCHEDULER, OBSERVER = "mesos", "scheduler", "observer"
PARTS = (MESOS, SCHEDULER, OBSERVER)

#: As sentences call them.
CALLED = {MESOS: "Mesos", SCHEDULER: "the scheduler", OBSERVER: "the observer"}

#: As many as the embedded Mesos takes, and as there are addresses for.
MAX_AGENTS = 48
_FIRST_HOST = 11

#: Ports for tasks, below those that the kernel gives to outgoing connections.
TASK_PORTS = (31000, 31999)

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}")
_ATTRIBUTES = re.compile(r"[^:;\s]+:[^;]+(;[^:;\s]+:[^;]+)*;?")

_MB = 1024 * 1024
_LOG_MB, _LOG_BACKUPS = 10, 2

#: Seconds after the end of a part until it is started anew, and for all of them to end politely.
_PAUSE_S = 0.5
ENDING_S = 20.0

#: Seconds between allocations: an offer takes one task, and few hosts need many offers.
_ALLOCATION_S = 0.2

#: Seconds for tasks to end politely when the cluster does.
GRACE_S = 30

#: Losing an agent takes so long, not 75 seconds: who plays with faults wants to see what comes of it.
_PING_S, _PINGS = 2, 4


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """`mesos` is the master's; those of the agents follow."""

    mesos: int
    scheduler: int
    observer: int


class LocalPlan(msgspec.Struct, frozen=True, kw_only=True):
    """All that `up` was told or has chosen. It is kept while the cluster is up."""

    cluster: str
    work_dir: str
    root: str  # checkpoint root of the thermos task
    user: str
    ports: Ports
    hosts: tuple[str, ...]
    attributes: tuple[str, ...]  # of each agent
    cpus: float = 4.0
    ram_mb: int = 8192
    disk_mb: int = 20480
    task_ports: tuple[int, int] = TASK_PORTS
    clusters_file: str = ""

    @property
    def task_id(self) -> str:
        return f"aurora-local-{self.cluster}"

    @property
    def mesos_dir(self) -> str:
        return f"{self.work_dir}/mesos"

    @property
    def control(self) -> str:
        return f"{self.work_dir}/control"

    @property
    def store(self) -> str:
        return f"{self.work_dir}/scheduler"

    @property
    def master_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.mesos}"

    @property
    def scheduler_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.scheduler}"

    @property
    def observer_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.observer}"

    @property
    def agent_dirs(self) -> tuple[str, ...]:
        return tuple(f"{self.mesos_dir}/agent{number}/work" for number in range(len(self.hosts)))

    def url_of(self, part: str) -> str:
        return {MESOS: self.master_url, SCHEDULER: self.scheduler_url, OBSERVER: self.observer_url}[part]


def check_cluster(name: str) -> str:
    """The name itself: it is part of job keys, files and a task id. Raises UserError."""
    if not _NAME.fullmatch(name):
        raise UserError(f"bad name of a cluster {name[:80]!r}: use letters, digits and _.- (first a letter or digit)")
    return name


def hosts_of(agents: int) -> tuple[str, ...]:
    """Raises UserError."""
    if not 1 <= agents <= MAX_AGENTS:
        raise UserError(f"cannot run {agents} agents: expected 1 to {MAX_AGENTS}")
    return tuple(f"127.0.0.{_FIRST_HOST + number}" for number in range(agents))


def attributes_of(hosts: Sequence[str], given: Sequence[str]) -> tuple[str, ...]:
    """One text is for all agents, several are one for each; `{i}` is the number of the agent. Every agent has its
    host, too. Raises UserError."""
    if len(given) > 1 and len(given) != len(hosts):
        raise UserError(f"--attributes was given {len(given)} times, and there are {len(hosts)} agents")
    found = []
    for number, host in enumerate(hosts):
        text = given[number if len(given) > 1 else 0] if given else f"rack:{_rack(number, len(hosts))}"
        text = text.replace("{i}", str(number))
        if not _ATTRIBUTES.fullmatch(text):
            raise UserError(f"bad attributes {text!r}: write NAME:VALUE;NAME:VALUE, e.g. rack:a;zone:east")
        names = {pair.partition(":")[0] for pair in text.split(";")}
        found.append(text if "host" in names else f"host:{host};{text}")
    return tuple(found)


def _rack(number: int, agents: int) -> str:
    """Half of the agents each."""
    return "a" if number < (agents + 1) // 2 else "b"


def ports_of(plan: LocalPlan) -> dict[str, tuple[str, int]]:
    """What listens where: its name -> (address, port)."""
    found = {"the Mesos master": ("127.0.0.1", plan.ports.mesos)}
    for number in range(len(plan.hosts)):
        found[f"Mesos agent {number}"] = ("127.0.0.1", plan.ports.mesos + 1 + number)
    found["the scheduler"] = ("127.0.0.1", plan.ports.scheduler)
    for host in ("127.0.0.1", *plan.hosts):
        found[f"the observer at {host}"] = (host, plan.ports.observer)
    return found


def task_port_ranges(plan: LocalPlan) -> list[tuple[int, int]]:
    """First and last port that each agent offers. Raises UserError."""
    first, last = plan.task_ports
    size = (last - first + 1) // len(plan.hosts)
    if size < 1 or not 1024 <= first <= last <= 65535:
        raise UserError(f"bad range of ports {first}-{last} for {len(plan.hosts)} agents: each needs some of its own")
    return [(first + size * number, first + size * (number + 1) - 1) for number in range(len(plan.hosts))]


def check_task_ports(plan: LocalPlan, others: Iterable[LocalPlan]) -> None:
    """Two clusters give no port to two tasks. Raises UserError."""
    first, last = plan.task_ports
    for other in others:
        if other.cluster != plan.cluster and first <= other.task_ports[1] and other.task_ports[0] <= last:
            theirs = "{}-{}".format(*other.task_ports)
            raise UserError(f"ports {theirs} are those of cluster {other.cluster}; choose others: --task-ports")


# --- the task


def make_task(plan: LocalPlan, python: str, python_path: str = "") -> TaskSpec:
    """The three parts, each started again whenever it ends."""
    front = ["exec", *(["env", f"PYTHONPATH={python_path}"] if python_path else []), python, "-P", "-m"]
    logger = LoggerSpec(mode=LogMode.ROTATE, log_size=_LOG_MB * _MB, backups=_LOG_BACKUPS)
    words = {MESOS: mesos_words(plan), SCHEDULER: scheduler_words(plan), OBSERVER: observer_words(plan)}
    return TaskSpec(
        name=plan.task_id,
        processes=tuple(
            ProcessSpec(
                name=part,
                cmdline=shlex.join([*front, *words[part]]),
                max_failures=0,
                daemon=True,
                min_duration=_PAUSE_S,
                logger=logger,
            )
            for part in PARTS
        ),
        max_failures=0,
        finalization_wait=ENDING_S,
    )


def mesos_words(plan: LocalPlan) -> list[str]:
    words = ["mesos.local", "--work-dir", plan.mesos_dir, "--port", str(plan.ports.mesos)]
    words += ["--agents", str(len(plan.hosts)), "--control", plan.control]
    for host, attributes, (first, last) in zip(plan.hosts, plan.attributes, task_port_ranges(plan), strict=True):
        resources = f"cpus:{plan.cpus:g};mem:{plan.ram_mb};disk:{plan.disk_mb};ports:[{first}-{last}]"
        words += ["--hostname", host, "--attributes", attributes, "--resources", resources]
    words += ["--master-option", f"agent_ping_timeout_s={_PING_S}"]
    words += ["--master-option", f"max_agent_ping_timeouts={_PINGS}"]
    words += ["--master-option", f"allocation_interval_s={_ALLOCATION_S:g}"]
    words += ["--agent-option", f"executor_shutdown_grace_period_s={GRACE_S}"]
    return words


def scheduler_words(plan: LocalPlan) -> list[str]:
    """What waits minutes on a site waits seconds here, and tasks run as whoever started the cluster."""
    return [
        "scheduler.main",
        f"--cluster_name={plan.cluster}",
        f"--mesos_master_address=127.0.0.1:{plan.ports.mesos}",
        "--ip=127.0.0.1",
        f"--http_port={plan.ports.scheduler}",
        "--hostname=127.0.0.1",
        f"--observer_port={plan.ports.observer}",
        f"--store={plan.store}",
        f"--executor_user={plan.user}",
        "--thermos_executor_flags=--nosetuid",
        "--offer_filter_duration=1secs",
        "--max_schedule_penalty=5secs",
        "--max_reschedule_task_delay_on_startup=1secs",
        "--initial_flapping_task_delay=5secs",
        "--max_flapping_task_delay=1mins",
        "--initial_task_kill_retry_interval=5secs",
        "--reconciliation_initial_delay=5secs",
        "--reconciliation_explicit_interval=1mins",
        "--reconciliation_implicit_interval=1mins",
        "--reconciliation_schedule_spread=0secs",
    ]


def observer_words(plan: LocalPlan) -> list[str]:
    words = ["observer.main", "--port", str(plan.ports.observer)]
    for host in ("127.0.0.1", *plan.hosts):
        words += ["--ip", host]
    for work_dir in plan.agent_dirs:
        words += ["--mesos-root", work_dir]
    return words


# --- what others get to see


def cluster_entry(plan: LocalPlan) -> dict[str, Any]:
    """The entry in clusters.json; `local` marks it as ours."""
    return {
        "name": plan.cluster,
        "scheduler_uri": plan.scheduler_url,
        "slave_root": f"{plan.mesos_dir}/agent*/work",
        "slave_run_directory": "latest",
        "local": {"work_dir": plan.work_dir},
    }


def is_local(entry: Mapping[str, Any]) -> bool:
    """Was an entry made by `aurora local`?"""
    return isinstance(entry.get("local"), dict)


def plan_json(plan: LocalPlan) -> dict[str, Any]:
    """For `-o json`."""
    return {
        "cluster": plan.cluster,
        "urls": {part: plan.url_of(part) for part in PARTS},
        "workDir": plan.work_dir,
        "taskId": plan.task_id,
        "root": plan.root,
        "logs": f"{plan.work_dir}/.logs",
        "clustersFile": plan.clusters_file,
        "agents": [
            {"number": number, "host": host, "attributes": attributes}
            for number, (host, attributes) in enumerate(zip(plan.hosts, plan.attributes, strict=True))
        ],
    }
