"""`thermos run CONFIG`: begin a task, or take over one whose runner has died, and stay until it is over.

This is the first half: words and config become orders. The second half, `client.thermos.stay`, carries them out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import click

from client.context import given_path, hostname, one_root
from client.render import date_time
from client.thermos.options import config_options, inherited, output_option
from client.thermos.orders import Orders, become_runner
from client.thermos.ports import parse_ports, settle_ports
from client.thermos.signals import block_signals
from client.thermos.target import compile_target, load_target
from thermos.clock import now
from thermos.errors import UserError
from thermos.host.kernel import Kernel
from thermos.host.spawn import Settings
from thermos.host.users import current_user, resolve_user
from thermos.model import LogDestination, LoggerSpec, LogMode
from thermos.monitor.follow import read_task
from thermos.paths import TaskPaths, check_task_id, log_dir

_MB = 1024 * 1024

EPILOG = """
\b
Examples:
  thermos run hello.thermos
  thermos run -P http:8080 --job www/test/webserver web.aurora
  thermos run --auto-ports -E profile.numbers=500 --plain job.aurora
  thermos run --root ./state --task-id nightly-1 nightly.thermos   # again: takes over

\b
Signals: SIGTERM, SIGINT (Ctrl-C), SIGUSR1 and SIGHUP end the task politely,
a second SIGINT at once; SIGUSR2 gives it up as lost.

\b
Exit codes: 0 success, 1 failed, 2 usage, 3 bad config, 4 killed, 5 lost,
6 the task can't be owned, 130 interrupted twice.
"""


@click.command("run", epilog=EPILOG)
@config_options
@click.option("--root", metavar="PATH", help="Checkpoint root.  [default: /var/run/thermos, ~/.local/state/thermos]")
@click.option("--task-id", "--task_id", metavar="ID", help="Id of the task.  [default: NAME-DATE-TIME]")
@click.option("--sandbox", metavar="PATH", help="Where the processes run.  [default: ROOT/sandboxes/ID]")
@click.option("--auto-ports", is_flag=True, help="Pick a free port for every port that is not given.")
@click.option("--user", metavar="NAME", help="Run processes as this user (only root may).  [default: yourself]")
@click.option("--hostname", "host", metavar="NAME", help="The name of this host in bindings and records.")
@click.option("--enable-chroot", "--enable_chroot", "chroot", is_flag=True, help="chroot into the sandbox.")
@click.option("--preserve-env", "--preserve_env", is_flag=True, help="Processes get this environment too.")
@click.option(
    "--process-logger-destination",
    "--process_logger_destination",
    "log_destination",
    type=click.Choice([str(d) for d in LogDestination]),
    default="file",
    help="Where output goes.",
)
@click.option(
    "--process-logger-mode",
    "--process_logger_mode",
    "log_mode",
    type=click.Choice([str(m) for m in LogMode]),
    default="standard",
    help="Whether logs are rotated.",
)
@click.option(
    "--rotate-log-size-mb",
    "--rotate_log_size_mb",
    "log_size",
    type=click.IntRange(1),
    default=100,
    help="Rotate a log that is longer.",
)
@click.option(
    "--rotate-log-backups",
    "--rotate_log_backups",
    "log_backups",
    type=click.IntRange(1),
    default=5,
    help="Rotated logs to keep.",
)
@click.option("--force", is_flag=True, help="Take the task over even if its runner lives: that one is killed.")
@click.option("--plain", is_flag=True, help="Plain lines on a terminal too.")
@output_option
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Run a task in the foreground.

    CONFIG is a .thermos or .aurora file (or JSON). With the --root and --task-id of a task whose runner has died, that
    task is taken over where it stands. Every run has a sandbox of its own.
    """
    target = load_target(
        given["config"], json=given["json_input"], binds=given["binds"], task=given["task"], job=given["job"]
    )
    root = one_root(inherited(ctx, "root", given["root"]))
    paths = TaskPaths(root, check_task_id(new_task_id(target.name) if given["task_id"] is None else given["task_id"]))
    host = given["host"] or hostname()
    ports = settle_ports(
        target.ports, parse_ports(given["ports"]), auto=given["auto_ports"], before=earlier_ports(paths)
    )
    settings = _settings(given, paths, ports, host)
    spec = compile_target(
        target,
        ports=ports,
        task_id=paths.task_id,
        user=settings.user.name,
        instance=given["instance"],
        hostname=host,
    )
    orders = Orders(
        spec=spec,
        root=root,
        task_id=paths.task_id,
        settings=settings,
        preserve_env=given["preserve_env"],
        force=given["force"],
        output=given["output"],
        plain=given["plain"],
    )
    block_signals()
    become_runner(orders)


def new_task_id(name: str) -> str:
    """`<task name>-YYYYmmdd-HHMMSS.<microseconds>`, local time; what an id can't hold becomes `_`."""
    at = now().wall
    safe = re.sub(r"[^A-Za-z0-9_.\-+@:]", "_", name).lstrip(".-+@:") or "task"
    stamp = date_time(at).replace("-", "").replace(":", "").replace(" ", "-")
    return f"{safe[:200]}-{stamp}.{int(at % 1 * 1_000_000):06d}"


def earlier_ports(paths: TaskPaths) -> Mapping[str, int]:
    """What an earlier run of the same id had."""
    header = read_task(paths, Kernel()).task.header if paths.runner.exists() else None
    return header.ports if header is not None else {}


def _settings(given: Mapping[str, Any], paths: TaskPaths, ports: Mapping[str, int], host: str) -> Settings:
    if given["chroot"] and os.geteuid() != 0:
        raise UserError("cannot chroot: only root may; leave out --enable-chroot")
    user = current_user() if given["user"] is None else resolve_user(given["user"])
    own = paths.root / "sandboxes" / paths.task_id
    sandbox = own if given["sandbox"] is None else given_path("--sandbox", given["sandbox"])
    return Settings(
        sandbox=sandbox,
        log_dir=log_dir(sandbox),
        user=user,
        hostname=host,
        ports=ports,
        setuid=user.uid != os.geteuid(),
        chroot=given["chroot"],
        logger=LoggerSpec(
            destination=LogDestination(given["log_destination"]),
            mode=LogMode(given["log_mode"]),
            log_size=given["log_size"] * _MB,
            backups=given["log_backups"],
        ),
    )
