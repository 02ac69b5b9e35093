"""`aurora local down`: the end of a local cluster and of everything that runs in it.

The embedded Mesos forgets its tasks when it ends, so their sandboxes go. The scheduler's store goes, too, unless the
jobs are to be kept: then the next `up` finds all tasks lost, and starts services anew.
"""

from __future__ import annotations

import json

import click

from client.aurora.exits import Exit
from client.aurora.local_end import end_tasks, take_down
from client.aurora.local_place import LOGS, STORE, load_plan, locked, pick_cluster
from client.aurora.local_plan import check_cluster
from client.exits import complain, echo_lines
from client.thermos.options import output_option

EPILOG = """
\b
Examples:
  aurora local down
  aurora local down --keep-jobs            the next `aurora local up` starts them anew
  aurora local down --keep-logs            what the parts wrote stays

\b
All tasks of the cluster end with it; their sandboxes and the cluster's entry in
clusters.json are removed.

\b
Exit codes: 0 it is down (also if it was), 4 something could not be ended or removed.
"""


@click.command("down", epilog=EPILOG)
@click.option("--cluster", metavar="NAME", help="Which one.  [default: the only one, or rz1]")
@click.option("--keep-jobs", is_flag=True, help="Keep the scheduler's store.")
@click.option("--keep-logs", is_flag=True, help="Keep what Mesos, scheduler and observer wrote.")
@output_option
def command(cluster: str | None, keep_jobs: bool, keep_logs: bool, output: str) -> int:
    """Stop the cluster of this machine.

    Politely: tasks are stopped as they want it, then all that is left is killed.
    """
    with locked():
        name = check_cluster(pick_cluster(cluster))
        plan = load_plan(name)
        if plan is None:
            _tell(output, name, f"cluster {name} is not up", was_up=False)
            return Exit.OK
        if output != "json":
            complain("aurora", f"stopping cluster {name} and all that runs in it")
        end_tasks(plan)
        take_down(plan, *((STORE,) if keep_jobs else ()), *((LOGS,) if keep_logs else ()))
    kept = f"; what was kept is in {plan.work_dir}" if keep_jobs or keep_logs else ""
    _tell(output, name, f"cluster {name} is down{kept}", was_up=True)
    return Exit.OK


def _tell(output: str, cluster: str, text: str, *, was_up: bool) -> None:
    echo_lines([json.dumps({"cluster": cluster, "up": False, "wasUp": was_up}, indent=1) if output == "json" else text])
