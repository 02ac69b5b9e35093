"""`--daemon`: what can go wrong is found out here, in the foreground; then a keeper is started, whose runner does it.

The lock is taken and given up again, so that whoever has the task, or finished it, is told now. Then the orders are
written where the keeper's runner reads them, each time it has to be started anew. We stay until the task is owned: what
a runner that could not do that had to say stands in its log.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from client.exits import echo_lines
from client.thermos.orders import Orders, orders_path, runner_words, save_orders
from thermos.clock import now
from thermos.core.records import Owner
from thermos.core.words import duration
from thermos.errors import ConfigError, HostError, NotOwner
from thermos.host.checkpoint import open_checkpoint
from thermos.host.keeper import start_keeper
from thermos.host.kernel import Kernel
from thermos.monitor.follow import TaskView, read_task
from thermos.monitor.watch import Watch
from thermos.paths import TaskPaths
from thermos.recovery import describe_difference, load_active
from thermos.words import printable

LOG = "runner.log"

#: Seconds until a runner must have said that it owns the task.
_PATIENCE = 30.0


def daemonize(orders: Orders, environment: Mapping[str, str], *, output: str = "text") -> int:
    """Run the task in the background. Returns when it is owned. Raises ConfigError, NotOwner, HostError."""
    kernel = Kernel()
    orders = msgspec.structs.replace(orders, daemon=True, output="text", follow=False)
    before = _prepare(orders, kernel)
    if output != "json":
        echo_lines(["Daemonizing and starting runner."])
        sys.stdout.flush()
    view, keeper = start(orders, environment, before, kernel)
    if output == "json":
        echo_lines([json.dumps(started_json(orders, view, keeper), ensure_ascii=False)])
    else:
        echo_lines(started_lines(orders, view))
    return 0


def _prepare(orders: Orders, kernel: Kernel) -> Owner | None:
    """Everything that the runner will ask, asked here; the owner so far."""
    paths = orders.paths
    if paths.finished.exists() and not paths.active.exists():
        raise NotOwner(f"task {paths.task_id} is finished; choose another id or `thermos gc`")
    begun = load_active(paths)
    if begun is not None and begun != orders.spec:
        raise ConfigError(
            f"Task differs from on disk copy: {describe_difference(begun, orders.spec)}; "
            f"choose another id than {paths.task_id}, or end that one first"
        )
    before = read_task(paths, kernel).task.owner if paths.runner.exists() else None
    if not orders.force:
        try:
            open_checkpoint(paths, kernel, create=True).close()
        except NotOwner as error:
            raise NotOwner(f"{error}; --force takes it over") from error
    return before


def start(orders: Orders, environment: Mapping[str, str], before: Owner | None, kernel: Kernel) -> tuple[TaskView, int]:
    """(the task once a daemon owns it, the keeper's pid). `before`: who owned it last. Raises HostError."""
    paths = orders.paths
    save_orders(orders)
    log = paths.checkpoint / LOG
    size = log.stat().st_size if log.exists() else 0
    keeper = start_keeper(paths.checkpoint, runner_words(orders, str(orders_path(paths))), environment, Path("/"), log)
    return _wait_until_owned(paths, keeper, before, log, size, kernel), keeper


def _wait_until_owned(
    paths: TaskPaths, keeper: int, before: Owner | None, log: Path, size: int, kernel: Kernel
) -> TaskView:
    pidfd = kernel.pidfd_open(keeper)
    watch = Watch()
    watch.add(paths.checkpoint)
    give_up_at = now().mono + _PATIENCE
    try:
        while True:
            ended = _has_ended(keeper)
            view = read_task(paths, kernel) if paths.runner.exists() else None
            if view is not None and view.task.owner not in (None, before) and view.task.state is not None:
                return view
            if ended:
                raise HostError(f"cannot run task {paths.task_id} as a daemon: {_last_words(log, size)}")
            left = give_up_at - now().mono
            if left <= 0:
                raise HostError(f"task {paths.task_id} has not begun within {duration(_PATIENCE)}; see {log}")
            watch.wait(left, pidfd)
    finally:
        watch.close()
        kernel.close(pidfd)


def _has_ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _last_words(log: Path, offset: int) -> str:
    """What the runner complained of since `offset`."""
    try:
        data = log.read_bytes()[offset:] or log.read_bytes()
    except OSError as error:
        return f"its log {log} can't be read: {error.strerror}"
    lines = [printable(line) for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    said = [line.removeprefix("thermos: ") for line in lines if line.startswith("thermos: ")] or lines
    return said[-1] if said else f"its runner ended without a word; see {log}"


def started_lines(orders: Orders, view: TaskView) -> list[str]:
    paths = orders.paths
    here = f"--root {shlex.quote(str(paths.root))} {shlex.quote(paths.task_id)}"
    owner = view.task.owner
    return [
        f"task {paths.task_id} is {view.task.state}, its runner is pid {owner.pid if owner else '?'}",
        f"  root: {paths.root}",
        f"  look: thermos status -v 3 {here}",
        f"        thermos attach --watch {here}",
        f"  end:  thermos kill {here}",
        f"  its runner writes to {paths.checkpoint / LOG}",
    ]


def started_json(orders: Orders, view: TaskView, keeper: int | None) -> dict[str, Any]:
    paths, owner = orders.paths, view.task.owner
    return {
        "task_id": paths.task_id,
        "root": str(paths.root),
        "state": view.task.state,
        "runner_pid": owner.pid if owner else None,
        "keeper_pid": keeper,
        "log": str(paths.checkpoint / LOG),
    }
