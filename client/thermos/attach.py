"""`thermos attach ID`: mind a task here, in the foreground; whoever did so is asked to let go. `--watch` only looks."""

from __future__ import annotations

import sys
from typing import Any

import click
from msgspec import structs

from client.output import Output
from client.thermos.chosen import Chosen, choose_task
from client.thermos.minding import check_ours, check_under_way, environment_of, orders_for, take_from_runner
from client.thermos.options import output_option, search_options
from client.thermos.orders import Orders, become_runner
from client.thermos.signals import block_signals
from client.thermos.stay import choose_display, finish_words
from client.thermos.suggest import task_ids
from client.thermos.watching import Watching
from thermos.host.kernel import Kernel

EPILOG = """
\b
Examples:
  thermos attach web              from now on it is ours: Ctrl-C ends it
  thermos attach --watch web      only look; Ctrl-C ends the looking
  thermos attach --follow web     and see what its processes write

\b
A task that runs as a daemon is taken from its keeper; `thermos detach` gives it back.
Processes that start from now on get this command's PATH; the others notice nothing.

\b
Exit codes: as of `thermos run`: 0 success, 1 failed, 4 killed, 5 lost,
6 the task can't be owned, 130 interrupted twice. With --watch 0 once you have gone.
"""


@click.command("attach", epilog=EPILOG)
@click.argument("task_id", metavar="ID", shell_complete=task_ids(active=True))
@click.option("--watch", is_flag=True, help="Own nothing: only look, until the task is over or you go.")
@click.option("--follow", is_flag=True, help="Show what the processes write, each line after its process.")
@click.option("--force", is_flag=True, help="Don't ask a living runner: kill it.")
@click.option("--plain", is_flag=True, help="Plain lines on a terminal too.")
@search_options
@output_option
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Mind an active task in the foreground.

    Its processes go on without noticing.
    """
    if given["follow"] and given["output"] == "json":
        raise click.UsageError("--follow and -o json can't be given together")
    chosen = choose_task(ctx, given["task_id"], given["root"], given["mesos_root"])
    kernel = Kernel()
    orders = structs.replace(
        orders_for(chosen.view),
        daemon=False,
        force=given["force"],
        output=given["output"],
        plain=given["plain"],
        follow=given["follow"],
    )
    if given["watch"]:
        return watch(chosen, orders, kernel)
    check_under_way("attach to", chosen.view)
    check_ours("attach to", chosen.view, kernel)
    environment = environment_of(chosen.view, orders, kernel)
    block_signals()
    if not given["force"]:
        take_from_runner("attach to", chosen.view, kernel)
    sys.stdout.flush()
    return become_runner(orders, environment)


def watch(chosen: Chosen, orders: Orders, kernel: Kernel) -> int:
    """The exit code of whoever looked to the end, 0 when they went before."""
    output = Output(1)
    display = choose_display(output, orders)
    try:
        task = Watching(orders.spec, chosen.found.paths, kernel, display).run()
    except KeyboardInterrupt:
        output.close()
        return 0
    code = finish_words(orders, task, display, output)
    output.close()
    return code
