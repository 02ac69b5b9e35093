"""`thermos detach ID`: a task that is minded in the foreground, or by nobody, goes on under a keeper."""

from __future__ import annotations

import json
import signal
from typing import Any

import click
from msgspec import structs

from client.exits import echo_lines
from client.thermos.chosen import choose_task
from client.thermos.daemon import start, started_json, started_lines
from client.thermos.minding import check_ours, check_under_way, environment_of, orders_for, take_from_runner
from client.thermos.options import output_option, search_options
from client.thermos.suggest import task_ids
from thermos.host.kernel import Kernel
from thermos.monitor.follow import Attendance

EPILOG = """
\b
Examples:
  thermos detach web       from another terminal: that of `thermos run` is free again

\b
The foreground command says that it let go and ends with 0; its processes notice nothing.
A task whose runner has died is taken over. One that runs as a daemon already stays as it is.

\b
Exit codes: 0 a daemon minds it, 1 it can't, 6 the task is over.
"""


@click.command("detach", epilog=EPILOG)
@click.argument("task_id", metavar="ID", shell_complete=task_ids(active=True))
@search_options
@output_option
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Let a task go on as a daemon.

    It returns when the daemon owns it.
    """
    chosen = choose_task(ctx, given["task_id"], given["root"], given["mesos_root"])
    kernel, view = Kernel(), chosen.view
    check_under_way("detach", view)
    check_ours("detach", view, kernel)
    orders = orders_for(view)
    if orders.daemon and view.attendance is Attendance.ATTENDED:
        if given["output"] == "json":
            echo_lines([json.dumps(started_json(orders, view, None), ensure_ascii=False)])
        else:
            echo_lines([f"task {orders.task_id} runs as a daemon already", *started_lines(orders, view)[1:]])
        return 0
    environment = environment_of(view, orders, kernel)
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))  # half of it is nothing
    take_from_runner("detach", view, kernel)
    orders = structs.replace(orders, daemon=True)
    view, keeper = start(orders, environment, view.task.owner, kernel)
    if given["output"] == "json":
        echo_lines([json.dumps(started_json(orders, view, keeper), ensure_ascii=False)])
    else:
        echo_lines(started_lines(orders, view))
    return 0
