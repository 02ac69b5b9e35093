"""The second half of `thermos run`: own the task, stay until its end, say how it ended (see `client.thermos.orders`).

It is started with the signals that it handles blocked, and with nothing else than orders."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import replace

from msgspec import structs

from client.exits import guard
from client.output import Output
from client.thermos.displays import Display, JsonLines, Live, Plain
from client.thermos.orders import Orders, decode_orders, save_orders
from client.thermos.session import Ended, Session
from client.thermos.streams import Follow
from client.thermos.summary import EXIT_OF, render_summary, summary_json
from client.thermos.view import View
from thermos.clock import now
from thermos.core.fold import Run, TaskRecord
from thermos.core.words import plural
from thermos.errors import Exit, HostError, NotOwner
from thermos.host.kernel import Kernel
from thermos.host.limits import raise_nofile
from thermos.host.spawn import Settings
from thermos.model import LogDestination
from thermos.monitor.follow import TaskView, read_task
from thermos.monitor.last_lines import tail_lines
from thermos.recovery import own_task
from thermos.runner import Runner

#: Lines of stderr that are shown of a failure at the end.
_TAIL = 5


#: `pgrep thermos` finds it; 15 bytes at most.
_NAME = b"thermos-runner"
_PR_SET_NAME = 15


class Refused(HostError):
    """The host refused a kept runner of a task that is under way: its keeper tries again. A task that has not begun is
    not tried again; whoever wanted it is told."""

    exit_code = Exit.HOST


def main(text: bytes) -> None:
    """Carry out these orders."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, _NAME)
    sys.exit(guard("thermos", lambda: stay(decode_orders(text))))


def stay(orders: Orders) -> int:
    """The exit code. Raises NotOwner, HostError, ConfigError."""
    kernel, output = Kernel(), Output(1)
    before = read_task(orders.paths, kernel) if orders.paths.runner.exists() else None
    display = choose_display(output, orders)
    runner = _own(orders, kernel, display, begun=before is not None and before.readable)
    if before is not None and before.readable:
        display.note(_adopted(orders.task_id, before), now())
    _keep_orders(orders, display)
    ended = Session(runner, display, View(orders.spec, runner.planner_of), on_terminal=not orders.daemon).run()
    return _finish(orders, ended, display, output)


def _keep_orders(orders: Orders, display: Display) -> None:
    """For whoever minds the task after us. A keeper's runner was started with them, and takes over by force once."""
    if orders.daemon and not orders.force:
        return
    try:
        save_orders(structs.replace(orders, force=False))
    except HostError as error:
        display.note(
            f"{error.strerror if isinstance(error, OSError) else error}; the next runner must be told again", now()
        )


def _own(orders: Orders, kernel: Kernel, display: Display, *, begun: bool) -> Runner:
    settings = inherit(orders.settings, orders.preserve_env)
    try:
        return own_task(
            orders.spec, orders.paths, settings, kernel, now(), force=orders.force, on_record=display.on_record
        )
    except NotOwner as error:
        hint = "" if orders.force or "owned by" not in str(error) else "; --force takes it over"
        raise NotOwner(f"{error}{hint}") from error
    except HostError as error:
        raise (Refused(str(error)) if orders.daemon and begun else error) from error


def inherit(settings: Settings, preserve_env: bool) -> Settings:
    """The settings with what this process was started with: environment and limits are for the task's processes."""
    return replace(
        settings,
        base_env=dict(os.environ) if preserve_env else None,
        path=os.environ.get("PATH", os.defpath),
        nofile=raise_nofile(),
    )


def _adopted(task_id: str, before: TaskView) -> str:
    owner = before.task.owner
    gone = "let go" if before.task.released else "is gone"
    who = f"its runner (pid {owner.pid}) {gone}" if owner is not None else "nobody minded it"
    alive = plural(len(before.task.active), "process", "processes")
    return f"took over task {task_id}: {who}, {alive} under way"


def choose_display(output: Output, orders: Orders) -> Display:
    """A live tree on a terminal, unless processes write there too."""
    if orders.output == "json":
        return JsonLines(output)
    loggers = [process.logger or orders.settings.logger for process in orders.spec.processes]
    on_console = any(logger.destination in (LogDestination.CONSOLE, LogDestination.BOTH) for logger in loggers)
    if orders.follow:
        return Follow(output, orders.spec, colours=os.isatty(1) and "NO_COLOR" not in os.environ)
    if (
        orders.daemon
        or orders.plain
        or on_console
        or not os.isatty(1)
        or os.environ.get("TERM", "dumb") in ("", "dumb")
    ):
        return Plain(output, orders.task_id, orders.spec)
    return Live(output, orders.task_id, colours="NO_COLOR" not in os.environ)


def _finish(orders: Orders, ended: Ended, display: Display, output: Output) -> int:
    code = exit_code(ended)
    if ended.let_go and not isinstance(display, JsonLines):
        output.write(f"let go of task {orders.task_id}: it goes on; `thermos attach {orders.task_id}` takes it back\n")
    else:
        finish_words(orders, ended.task, display, output, code)
    output.close()
    return code


def finish_words(orders: Orders, task: TaskRecord, display: Display, output: Output, code: Exit | None = None) -> Exit:
    """Say how the task ended; the exit code that says the same."""
    code = exit_code(Ended(task, False, False)) if code is None else code
    if isinstance(display, JsonLines):
        display.emit(summary_json(orders.task_id, task, code))
    else:
        for line in render_summary(orders.task_id, orders.spec, task, lambda run: _tail(task, run)):
            output.write(f"{line}\n")
    return code


def exit_code(ended: Ended) -> Exit:
    if ended.interrupted:
        return Exit.INTERRUPTED
    return Exit.OK if ended.task.state is None or ended.let_go else EXIT_OF[ended.task.state]


def _tail(task: TaskRecord, run: Run) -> list[str]:
    if task.header is None:
        return []
    return tail_lines(task.header.sandbox, task.header.log_dir, run.process, run.number, "stderr", _TAIL)
