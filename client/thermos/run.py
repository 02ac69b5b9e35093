"""`thermos run CONFIG`: begin a task, or take over one whose runner has died, and stay until it is over."""

from __future__ import annotations

import os
import re
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from client.context import hostname, one_root
from client.output import Output
from client.render import date_time, plural
from client.thermos.displays import Display, JsonLines, Live, Plain
from client.thermos.options import config_options, inherited, output_option
from client.thermos.ports import parse_ports, settle_ports
from client.thermos.session import Ended, Session, signals_blocked
from client.thermos.summary import EXIT_OF, render_summary, summary_json
from client.thermos.tails import tail_lines
from client.thermos.target import Target, compile_target, load_target
from client.thermos.view import View
from thermos.clock import now
from thermos.core.fold import Run, TaskRecord
from thermos.errors import Exit, NotOwner, UserError
from thermos.host.kernel import Kernel
from thermos.host.spawn import Settings
from thermos.host.users import Identity, current_user, resolve_user
from thermos.model import LogDestination, LoggerSpec, LogMode, TaskSpec
from thermos.monitor.follow import TaskView, read_task
from thermos.paths import TaskPaths, check_task_id, log_dir
from thermos.recovery import own_task
from thermos.runner import Runner

#: Lines of stderr that are shown of a failure at the end.
_TAIL = 5
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


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line said besides CONFIG."""

    root: Path
    task_id: str
    sandbox: Path
    user: Identity
    chroot: bool
    preserve_env: bool
    logger: LoggerSpec
    force: bool
    output: str
    plain: bool


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
    given["root"] = inherited(ctx, "root", given["root"])
    target = load_target(
        given["config"], json=given["json_input"], binds=given["binds"], task=given["task"], job=given["job"]
    )
    wishes = _wishes(given, target)
    paths = TaskPaths(wishes.root, wishes.task_id)
    host = given["host"] or hostname()
    before = _before(paths)
    ports = settle_ports(
        target.ports,
        parse_ports(given["ports"]),
        auto=given["auto_ports"],
        before=before.task.header.ports if before is not None and before.task.header is not None else {},
    )
    spec = compile_target(
        target,
        ports=ports,
        task_id=wishes.task_id,
        user=wishes.user.name,
        instance=given["instance"],
        hostname=host,
    )
    del target
    return run_task(spec, paths, _settings(wishes, ports, host), wishes, before)


def _wishes(given: dict[str, Any], target: Target) -> Wishes:
    root = one_root(given["root"])
    task_id = check_task_id(given["task_id"] or new_task_id(target.name))
    sandbox = Path(given["sandbox"]).absolute() if given["sandbox"] else root / "sandboxes" / task_id
    if given["chroot"] and os.geteuid() != 0:
        raise UserError("cannot chroot: only root may; leave out --enable-chroot")
    return Wishes(
        root=root,
        task_id=task_id,
        sandbox=sandbox,
        user=resolve_user(given["user"]) if given["user"] else current_user(),
        chroot=given["chroot"],
        preserve_env=given["preserve_env"],
        logger=LoggerSpec(
            destination=LogDestination(given["log_destination"]),
            mode=LogMode(given["log_mode"]),
            log_size=given["log_size"] * _MB,
            backups=given["log_backups"],
        ),
        force=given["force"],
        output=given["output"],
        plain=given["plain"],
    )


def new_task_id(name: str) -> str:
    """`<task name>-YYYYmmdd-HHMMSS.<microseconds>`, local time; what an id can't hold becomes `_`."""
    at = now().wall
    safe = re.sub(r"[^A-Za-z0-9_.\-+@:]", "_", name).lstrip(".-+@:") or "task"
    stamp = date_time(at).replace("-", "").replace(":", "").replace(" ", "-")
    return f"{safe[:200]}-{stamp}.{int(at % 1 * 1_000_000):06d}"


def _before(paths: TaskPaths) -> TaskView | None:
    """What an earlier run of the same id recorded; None when there was none (or owning it will say what is wrong)."""
    if not paths.runner.exists():
        return None
    return read_task(paths, Kernel())


def _settings(wishes: Wishes, ports: dict[str, int], host: str) -> Settings:
    return Settings(
        sandbox=wishes.sandbox,
        log_dir=log_dir(wishes.sandbox),
        user=wishes.user,
        hostname=host,
        ports=ports,
        setuid=wishes.user.uid != os.geteuid(),
        chroot=wishes.chroot,
        base_env=dict(os.environ) if wishes.preserve_env else None,
        path=os.environ.get("PATH", os.defpath),
        logger=wishes.logger,
        nofile=raise_nofile(),
    )


def raise_nofile() -> tuple[int, int]:
    """Allow ourselves as many descriptors as we may have; the limits that we had are for the processes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft, hard


def run_task(spec: TaskSpec, paths: TaskPaths, settings: Settings, wishes: Wishes, before: TaskView | None) -> int:
    """Own the task, stay until its end, say how it ended. The exit code."""
    output = Output(1)
    display = choose_display(output, spec, settings, wishes)
    with signals_blocked():
        runner = _own(spec, paths, settings, wishes, display)
        if before is not None and before.readable:
            display.note(_adopted(wishes.task_id, before), now())
        view = View(spec, runner.planner_of)
        ended = Session(runner, display, view).run()
    return _finish(spec, wishes, ended, display, output)


def _own(spec: TaskSpec, paths: TaskPaths, settings: Settings, wishes: Wishes, display: Display) -> Runner:
    try:
        return own_task(spec, paths, settings, Kernel(), now(), force=wishes.force, on_record=display.on_record)
    except NotOwner as error:
        hint = "" if wishes.force or "owned by" not in str(error) else "; --force takes it over"
        raise NotOwner(f"{error}{hint}") from error


def _adopted(task_id: str, before: TaskView) -> str:
    owner = before.task.owner
    who = f"its runner (pid {owner.pid}) is gone" if owner is not None else "nobody minded it"
    alive = plural(len(before.task.active), "process", "processes")
    return f"took over task {task_id}: {who}, {alive} under way"


def choose_display(output: Output, spec: TaskSpec, settings: Settings, wishes: Wishes) -> Display:
    """A live tree on a terminal, unless processes write there too."""
    if wishes.output == "json":
        return JsonLines(output)
    on_console = any(
        (p.logger or settings.logger).destination in (LogDestination.CONSOLE, LogDestination.BOTH)
        for p in spec.processes
    )
    if wishes.plain or on_console or not sys.stdout.isatty() or os.environ.get("TERM") in (None, "", "dumb"):
        return Plain(output, wishes.task_id, spec)
    return Live(output, wishes.task_id, colours="NO_COLOR" not in os.environ)


def _finish(spec: TaskSpec, wishes: Wishes, ended: Ended, display: Display, output: Output) -> int:
    task = ended.task
    code = exit_code(ended)
    if isinstance(display, JsonLines):
        display.emit(summary_json(wishes.task_id, task, code))
    elif ended.let_go:
        output.write(f"let go of task {wishes.task_id}: its processes go on; run it again to take over\n")
    else:
        for line in render_summary(wishes.task_id, spec, task, lambda run: _tail(task, run)):
            output.write(f"{line}\n")
    output.close()
    return code


def exit_code(ended: Ended) -> Exit:
    if ended.interrupted:
        return Exit.INTERRUPTED
    return Exit.OK if ended.task.state is None or ended.let_go else EXIT_OF[ended.task.state]


def _tail(task: TaskRecord, run: Run) -> list[str]:
    if task.header is None:
        return []
    return tail_lines(task.header.sandbox, task.header.log_dir, run.process, run.number, "stderr", _TAIL)
