"""Beginning a task, whatever it was made from: where it runs, with which ports, as whom; then its runner, in this very
process or as a daemon."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import click

from client.context import given_path, hostname, one_root
from client.render import date_time
from client.thermos.daemon import daemonize
from client.thermos.options import inherited
from client.thermos.orders import Orders, become_runner
from client.thermos.ports import parse_ports, settle_ports
from client.thermos.signals import block_signals
from client.thermos.target import Target, compile_target
from thermos.clock import now
from thermos.errors import UserError
from thermos.host.kernel import Kernel
from thermos.host.spawn import Settings
from thermos.host.users import current_user, resolve_user
from thermos.model import LogDestination, LoggerSpec, LogMode
from thermos.monitor.follow import read_task
from thermos.paths import TaskPaths, check_task_id, log_dir

_MB = 1024 * 1024


def begin(ctx: click.Context, target: Target, given: Mapping[str, Any]) -> int:
    """Run this task as the options (`running_options`) say. Returns only when it is a daemon's."""
    orders = _orders(ctx, target, given)
    if orders.daemon:
        return daemonize(orders, dict(os.environ), output=given["output"])
    block_signals()
    return become_runner(orders)


def _orders(ctx: click.Context, target: Target, given: Mapping[str, Any]) -> Orders:
    _check_display(given)
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
        instance=given.get("instance"),
        hostname=host,
    )
    return Orders(
        spec=spec,
        root=root,
        task_id=paths.task_id,
        settings=settings,
        preserve_env=given["preserve_env"],
        force=given["force"],
        output=given["output"],
        plain=given["plain"],
        follow=given["follow"],
        daemon=given["daemon"],
    )


def _check_display(given: Mapping[str, Any]) -> None:
    for first, second in (("daemon", "follow"), ("follow", "output")):
        if given[first] and given[second] not in (False, "text"):
            raise UserError(
                f"--{first} and {'-o json' if second == 'output' else '--' + second} can't be given together"
            )


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
