"""`aurora local up`: a whole cluster on this machine, for whoever types it.

Everything that can be found out before is: names, ports, the entry of the cluster. Then the parts are started, watched
until tasks can be placed on every agent, and the cluster is entered in clusters.json. Whatever goes wrong on the way,
and ^C, takes all of it back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from client.aurora.exits import CommandFailed, Exit
from client.aurora.local_begin import bring_up
from client.aurora.local_end import take_down
from client.aurora.local_entry import check_free
from client.aurora.local_look import look
from client.aurora.local_place import DEFAULT_CLUSTER, STORE, known_clusters, load_plan, locked, state_dir
from client.aurora.local_plan import (
    MAX_AGENTS,
    TASK_PORTS,
    LocalPlan,
    Ports,
    attributes_of,
    check_cluster,
    check_task_ports,
    hosts_of,
    plan_json,
    task_port_ranges,
)
from client.aurora.local_ports import check_ports, choose_ports, parse_port, remark_on_task_ports
from client.aurora.local_task import is_minded, look_at_task
from client.clusters import cluster_files
from client.context import default_root, given_path, user_name
from client.exits import complain, echo_lines
from client.thermos.options import output_option
from thermos.core.words import plural
from thermos.errors import UserError

EPILOG = """
\b
Examples:
  aurora local up                          cluster rz1: 4 agents of 4 cores and 8 GB
  aurora local up --agents 6 --attributes 'rack:r{i};zone:east'
  aurora local up --cluster test --mesos-port auto --scheduler-port auto --observer-port auto
  aurora update start rz1/www/test/webserver examples/webserver.aurora

\b
What it starts is the thermos task aurora-local-CLUSTER (`thermos status`): Mesos,
scheduler and observer, each started again when it ends. All of it listens on this
machine only, and whoever may log in here may use it: tasks run as you.

\b
Exit codes: 0 it is up (also if it was), 4 it can't be started (all was taken back),
6 a bad value, 130 interrupted (all was taken back).
"""


class Parsed(click.ParamType[Any]):
    """A value that one of our own parsers reads; its UserError is the message."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except UserError as error:
            self.fail(str(error), param, ctx)


#: What there is in a checkout.
EXAMPLE = Path("examples", "webserver.aurora")

PORT = Parsed("port", parse_port)


def _port_range(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not (dash and first.isdigit() and last.isdigit()):
        raise UserError(f"{text!r} is no range of ports; write FIRST-LAST, e.g. {TASK_PORTS[0]}-{TASK_PORTS[1]}")
    return int(first), int(last)


@click.command("up", epilog=EPILOG)
@click.option("--cluster", default=DEFAULT_CLUSTER, show_default=True, metavar="NAME", help="Its name in job keys.")
@click.option("--agents", type=click.IntRange(1, MAX_AGENTS), default=4, show_default=True, help="So many hosts.")
@click.option(
    "--attributes",
    multiple=True,
    metavar="NAME:VALUE;…",
    help="Of the agents; {i} is the number of each. Given several times: one for each.  "
    "[default: rack:a, rack:b, half of them each]",
)
@click.option("--cpus", type=click.FloatRange(0.1), default=4.0, show_default=True, help="Cores that each announces.")
@click.option("--ram", type=click.IntRange(32), default=8192, show_default=True, metavar="MB", help="Memory, likewise.")
@click.option("--disk", type=click.IntRange(32), default=20480, show_default=True, metavar="MB", help="Disk, likewise.")
@click.option(
    "--task-ports",
    type=Parsed("ports", _port_range),
    default="{}-{}".format(*TASK_PORTS),
    show_default=True,
    metavar="FIRST-LAST",
    help="Ports for tasks; the agents share them out.",
)
@click.option(
    "--mesos-port",
    type=PORT,
    default="5050",
    show_default=True,
    metavar="PORT",
    help="Of the master; agents have the ports after it. auto: free ones.",
)
@click.option("--scheduler-port", type=PORT, default="8081", show_default=True, metavar="PORT", help="Or auto.")
@click.option("--observer-port", type=PORT, default="1338", show_default=True, metavar="PORT", help="Or auto.")
@click.option(
    "--work-dir",
    metavar="PATH",
    help="For sandboxes, store and logs; removed by `down`.  [default: ~/.local/state/aurora/local/CLUSTER]",
)
@click.option("--root", metavar="PATH", help="Checkpoint root of the thermos task.  [default: as `thermos run`]")
@output_option
def command(output: str, **given: Any) -> int:
    """Start a whole cluster on this machine.

    Embedded Mesos with some agents, a scheduler and an observer. It needs no root, no ZooKeeper and no network, and
    goes on when the terminal closes. `aurora local down` ends it, with everything that runs in it. What was killed, or
    ended with the machine, comes back with its jobs.
    """  # fmt: skip
    cluster = check_cluster(given["cluster"])
    with locked():
        tell = complain_unless(output == "json")
        running = load_plan(cluster)
        if running is not None and is_minded(look_at_task(running)):
            return _up_already(running, given, output)
        if running is not None:
            tell(f"what a killed cluster {cluster} has left is ended first")
            take_down(running, STORE)
            if given["work_dir"] is None:
                given["work_dir"] = running.work_dir  # where the jobs are
        files = cluster_files(os.environ)
        check_free(files, cluster)
        plan = make_plan(cluster, given, files[-1])
        check_task_ports(plan, [other for name in known_clusters() if (other := load_plan(name)) is not None])
        check_ports(plan)
        bring_up(plan, tell)
        remark = remark_on_task_ports(plan)
        if remark is not None:
            tell(remark)
    if output == "json":
        echo_lines([_json(plan, started=True)])
    else:
        echo_lines(ready_lines(plan))
    return Exit.OK


def make_plan(cluster: str, given: dict[str, Any], clusters_file: Path) -> LocalPlan:
    """Raises UserError, HostError."""
    hosts = hosts_of(given["agents"])
    wanted = Ports(mesos=given["mesos_port"], scheduler=given["scheduler_port"], observer=given["observer_port"])
    named = given["work_dir"]
    plan = LocalPlan(
        cluster=cluster,
        work_dir=str(given_path("--work-dir", named) if named is not None else state_dir().absolute() / cluster),
        root=str(given_path("--root", given["root"]) if given["root"] is not None else default_root()),
        user=user_name(os.geteuid()),
        ports=choose_ports(wanted, hosts),
        hosts=hosts,
        attributes=attributes_of(hosts, given["attributes"]),
        cpus=given["cpus"],
        ram_mb=given["ram"],
        disk_mb=given["disk"],
        task_ports=given["task_ports"],
        clusters_file=str(clusters_file),
    )
    task_port_ranges(plan)
    return plan


def _up_already(plan: LocalPlan, given: dict[str, Any], output: str) -> int:
    """As it is, though other things may have been asked for."""
    seen = look(plan)
    if output == "json":
        echo_lines([_json(plan, started=False)])
        return Exit.OK if seen.is_up else Exit.FAILED
    if not seen.is_up:
        raise CommandFailed(
            f"cluster {plan.cluster} was started, and not all of it is up: `aurora local status` says what is missing"
        )
    echo_lines([f"cluster {plan.cluster} is up already", *ready_lines(plan)[1:]])
    if len(plan.hosts) != given["agents"]:
        complain("aurora", f"it has {plural(len(plan.hosts), 'agent')}; for other settings, `aurora local down` first")
    return Exit.OK


def ready_lines(plan: LocalPlan) -> list[str]:
    return [
        f"cluster {plan.cluster} is up",
        f"  scheduler  {plan.scheduler_url}",
        f"  observer   {plan.observer_url}",
        f"  Mesos      {plan.master_url}",
        f"  logs       {plan.work_dir}/.logs",
        f"  next       aurora update start {_next_words(plan)}",
        f"             aurora local status --cluster {plan.cluster}",
    ]


def _next_words(plan: LocalPlan) -> str:
    """The example, where it lies at hand and is of this cluster."""
    if plan.cluster == DEFAULT_CLUSTER and EXAMPLE.is_file():
        return f"{plan.cluster}/www/test/webserver {EXAMPLE}"
    return f"{plan.cluster}/ROLE/test/NAME FILE"


def complain_unless(quiet: bool) -> Callable[[str], None]:
    """Progress goes to stderr."""
    return (lambda _: None) if quiet else (lambda text: complain("aurora", text))


def _json(plan: LocalPlan, *, started: bool) -> str:
    return json.dumps({**plan_json(plan), "started": started}, indent=1, ensure_ascii=False)
