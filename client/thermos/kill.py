"""`thermos kill REGEX…`: end active tasks. A task that a runner minds is ended by that runner; one that nobody minds
is taken over here and ended in the same way. Politely, with finalizers, unless `--force`.

Only standalone roots are looked into, unless --mesos-root is given: what Mesos runs is ended through Mesos.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from client.context import search_roots, user_name, usual_roots
from client.exits import complain, echo_lines
from client.thermos.minding import check_ours, send_wishes, settings_for
from client.thermos.options import inherited, search_options
from client.thermos.suggest import task_ids
from client.thermos.tasks import KnownTask, matcher, read_tasks
from thermos.clock import now
from thermos.core.records import Request
from thermos.core.states import TaskState
from thermos.core.words import duration
from thermos.errors import Exit, HostError, NotOwner, ThermosError, UserError
from thermos.host.kernel import Kernel
from thermos.host.loop import Loop
from thermos.monitor.detect import find_tasks
from thermos.monitor.follow import Attendance, TaskView, read_task
from thermos.recovery import load_active, own_task

EPILOG = """
\b
Examples:
  thermos kill 'web-.*'            politely: stop signal, then finalizers
  thermos kill --force nightly-1   at once, without finalizers

Exit codes: 0 all of them have ended, 1 nothing matched or one could not be ended, 2 usage.
"""

#: Seconds that a runner may take longer than its task's finalization_wait.
_PATIENCE = 20.0
#: Seconds that it gets with --force, before it is killed itself.
_FORCE_PATIENCE = 3.0
_LOOK_MS = 500


@click.command("kill", epilog=EPILOG)
@click.argument("patterns", metavar="REGEX...", nargs=-1, shell_complete=task_ids(active=True))
@click.option("--force", "--now", "force", is_flag=True, help="Kill everything at once; finalizers don't run.")
@search_options
@click.pass_context
def command(ctx: click.Context, patterns: Sequence[str], force: bool, root: str | None, mesos_root: str | None) -> int:
    """End active tasks.

    A REGEX is matched at the beginning of task ids. It waits until they have ended.
    """
    if not patterns:
        raise UserError("Must specify tasks! `thermos kill REGEX`, see `thermos status` for ids")
    matches = matcher(patterns)
    kernel = Kernel()
    chosen: list[KnownTask] = []
    for roots in _roots(inherited(ctx, "root", root), inherited(ctx, "mesos_root", mesos_root)):
        found = find_tasks(roots)
        chosen = chosen or read_tasks((task for task in found if task.active and matches(task.task_id)), kernel)
    if not chosen:
        echo_lines(["No active tasks matched."])
        return Exit.FAILED
    results = [_end(task, asked, kernel, force) for task, asked in [(t, _ask(t, kernel, force)) for t in chosen]]
    return Exit.OK if all(results) else Exit.FAILED


def _roots(root: str | None, mesos_root: str | None) -> list[list[Path]]:
    """Where to look, and where next if nothing is there: the system's tasks are ended, or said not to be ours, only
    if none of ours is meant."""
    if root is None and mesos_root is None:
        return [[each] for each in usual_roots()]
    return [search_roots(root, mesos_root)]


def _ask(known: KnownTask, kernel: Kernel, force: bool) -> int | None:
    """Tell a living runner to end its task; its pidfd, or None when there is none to be told."""
    view = known.view
    owner = view.task.owner if view is not None else None
    if view is None or owner is None or view.attendance is not Attendance.ATTENDED:
        return None
    try:
        pidfd = kernel.pidfd_open(owner.pid)
    except OSError:
        return None
    status = kernel.proc_stat(owner.pid)  # looked at again: the pidfd holds what it says now
    try:
        if status is not None and status.start == owner.start:
            kernel.pidfd_signal(pidfd, 0)  # may we?
            send_wishes("kill", view.paths, f"kill {'now' if force else 'politely'} {_reason(kernel)}")
            return pidfd
    except (PermissionError, ProcessLookupError, HostError):
        pass  # `_end` says who it belongs to, or that it has just ended
    kernel.close(pidfd)
    return None


def _reason(kernel: Kernel) -> str:
    return f"thermos kill by {user_name(kernel.geteuid())}"


def _end(known: KnownTask, pidfd: int | None, kernel: Kernel, force: bool) -> bool:
    """See one task to its end and say so."""
    task_id = known.found.task_id
    sys.stdout.write(f"Killing {task_id}...")
    sys.stdout.flush()
    try:
        if known.view is None or not known.view.readable:
            raise HostError(f"cannot kill task {task_id}: {known.trouble}")
        state = _see_to_end(known.view, pidfd, kernel, force)
    except ThermosError as error:
        echo_lines(["failed."])
        sys.stdout.flush()
        complain("thermos", str(error))
        return False
    echo_lines([f"done ({state})." if state is not TaskState.KILLED else "done."])
    return True


def _see_to_end(view: TaskView, pidfd: int | None, kernel: Kernel, force: bool) -> TaskState | None:
    if pidfd is not None:
        _wait_for_runner(view, pidfd, kernel, force)
        view = read_task(view.paths, kernel)
    if view.task.terminal and not view.paths.active.exists():
        return view.task.state
    return end_unattended(view, kernel, force)


def _wait_for_runner(view: TaskView, pidfd: int, kernel: Kernel, force: bool) -> None:
    """Until it exits, or its task has ended: it may still have to tell that to somebody who does not listen. One that
    does not end its task at once when it should is killed by whoever takes the task over."""
    spec = load_active(view.paths)
    seconds = _FORCE_PATIENCE if force else (spec.finalization_wait if spec is not None else 0.0) + _PATIENCE
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    give_up_at = now().mono + seconds
    while not poller.poll(_LOOK_MS) and view.paths.active.exists():
        if now().mono > give_up_at:
            kernel.close(pidfd)
            if force:
                return
            raise HostError(
                f"task {view.paths.task_id} has not ended within {duration(seconds)}; "
                "`thermos kill --force` does not wait"
            )
    kernel.close(pidfd)


def end_unattended(view: TaskView, kernel: Kernel, force: bool) -> TaskState | None:
    """Take the task over and end it here. Raises HostError, NotOwner."""
    paths = view.paths
    check_ours("kill", view, kernel)
    spec, settings = load_active(paths), settings_for(view)
    if spec is None or settings is None:
        raise HostError(f"cannot kill task {paths.task_id}: {paths.active} is gone")
    at = now()
    reason = _reason(kernel)
    wanted = Request(
        at=at.wall, mono=at.mono, want=TaskState.KILLED, grace=0.0 if force else None, finalize=not force, reason=reason
    )
    try:
        runner = own_task(spec, paths, settings, kernel, at, force=force, wanted=wanted)
    except NotOwner as error:
        raise NotOwner(f"cannot kill task {paths.task_id}: {error}; try again") from error
    loop = Loop(runner, now)
    try:
        loop.run()
    finally:
        loop.close()
        runner.close()
    return runner.task.state
