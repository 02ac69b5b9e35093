"""Options that several verbs share, under their old names and with dashes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from thermos.model import LogDestination, LogMode

F = TypeVar("F", bound=Callable[..., Any])


def _together(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def config_options(function: F) -> F:
    """What says which task of which file, bound to what."""
    return _together(
        click.argument("config", metavar="CONFIG"),
        click.option("--task", metavar="NAME", help="The task to take, if CONFIG has several."),
        click.option("--job", metavar="KEY", help="The job to take: CLUSTER/ROLE/ENVIRONMENT/NAME or the end of it."),
        click.option("--instance", type=click.IntRange(0), help="Instance number of a job.  [default: 0]"),
        click.option("--json", "json_input", is_flag=True, help="CONFIG is JSON."),
        click.option("-P", "--port", "ports", metavar="NAME:PORT", multiple=True, help="Bind a port."),
        click.option("-E", "--environment", "--bind", "binds", metavar="NAME=VALUE", multiple=True,
                     help="Bind a reference, e.g. profile.instances=3."),
    )(function)  # fmt: skip


def running_options(function: F) -> F:
    """What says where and how a task runs, and how that is shown."""
    return _together(
        click.option("--root", metavar="PATH",
                     help="Checkpoint root.  [default: /var/run/thermos, ~/.local/state/thermos]"),
        click.option("--task-id", "--task_id", metavar="ID", help="Id of the task.  [default: NAME-DATE-TIME]"),
        click.option("--sandbox", metavar="PATH", help="Where the processes run.  [default: ROOT/sandboxes/ID]"),
        click.option("--auto-ports", is_flag=True, help="Pick a free port for every port that is not given."),
        click.option("--user", metavar="NAME", help="Run processes as this user (only root may).  [default: yourself]"),
        click.option("--hostname", "host", metavar="NAME", help="The name of this host in bindings and records."),
        click.option("--enable-chroot", "--enable_chroot", "chroot", is_flag=True, help="chroot into the sandbox."),
        click.option("--preserve-env", "--preserve_env", is_flag=True, help="Processes get this environment too."),
        click.option("--process-logger-destination", "--process_logger_destination", "log_destination",
                     type=click.Choice([str(d) for d in LogDestination]), default="file", help="Where output goes."),
        click.option("--process-logger-mode", "--process_logger_mode", "log_mode",
                     type=click.Choice([str(m) for m in LogMode]), default="standard",
                     help="Whether logs are rotated."),
        click.option("--rotate-log-size-mb", "--rotate_log_size_mb", "log_size", type=click.IntRange(1), default=100,
                     help="Rotate a log that is longer."),
        click.option("--rotate-log-backups", "--rotate_log_backups", "log_backups", type=click.IntRange(1), default=5,
                     help="Rotated logs to keep."),
        click.option("--daemon", is_flag=True, help="Run in the background, with a runner that is kept alive."),
        click.option("--follow", is_flag=True, help="Show what the processes write, each line after its process."),
        click.option("--force", is_flag=True, help="Take the task over even if its runner lives: that one is killed."),
        click.option("--plain", is_flag=True, help="Plain lines on a terminal too."),
        output_option,
    )(function)  # fmt: skip


def search_options(function: F) -> F:
    """What says where to look for tasks."""
    return _together(
        click.option("--root", metavar="PATH", help="Look into this checkpoint root only."),
        click.option("--mesos-root", "--mesos_root", metavar="PATH", help="Look below this Mesos work directory."),
    )(function)


def output_option(function: F) -> F:
    return click.option(
        "-o", "--output", type=click.Choice(("text", "json")), default="text", help="Text, or JSON for programs."
    )(function)


def inherited(ctx: click.Context, name: str, value: str | None) -> str | None:
    """An option that may also stand before the verb."""
    above = ctx.find_root().params.get(name)
    return value if value is not None or not isinstance(above, str) else above
