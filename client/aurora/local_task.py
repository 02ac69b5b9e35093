"""The three parts as one thermos task with a keeper, as `thermos run --daemon` starts it: whatever of it is killed
comes back, and it outlives the terminal. `thermos status` shows it.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from client.aurora.local_plan import CALLED, ENDING_S, MESOS, LocalPlan, make_task
from client.thermos.daemon import start
from client.thermos.gc import Remains, remove
from client.thermos.kill import end_unattended
from client.thermos.minding import check_ours, send_wishes
from client.thermos.orders import Orders
from thermos.clock import now
from thermos.core.fold import Run
from thermos.errors import HostError, NotOwner
from thermos.host.checkpoint import open_checkpoint
from thermos.host.keeper import read_kept
from thermos.host.kernel import Kernel
from thermos.host.spawn import Settings
from thermos.host.users import current_user
from thermos.monitor.detect import Found, find_tasks, mesos_roots
from thermos.monitor.follow import Attendance, TaskView, read_task
from thermos.monitor.last_lines import tail_lines
from thermos.monitor.watch import Watch
from thermos.paths import TaskPaths, log_dir

#: Seconds that a polite end may take longer than the task's own limit, and one by force; and between looks.
_PATIENCE_S, _FORCE_S, _LOOK_S = 10.0, 10.0, 0.5

#: Seconds for ending what a killed embedded Mesos has left.
_SWEEP_S = 120.0


def paths_of(plan: LocalPlan) -> TaskPaths:
    return TaskPaths(Path(plan.root), plan.task_id)


def orders_of(plan: LocalPlan) -> Orders:
    sandbox = Path(plan.work_dir)
    settings = Settings(
        sandbox=sandbox,
        log_dir=log_dir(sandbox),
        user=current_user(),
        hostname="127.0.0.1",
        path=os.environ.get("PATH", os.defpath),
    )
    spec = make_task(plan, sys.executable, os.environ.get("PYTHONPATH", ""))
    return Orders(spec=spec, root=Path(plan.root), task_id=plan.task_id, settings=settings, daemon=True)


def start_task(plan: LocalPlan) -> None:
    """Returns when a keeper has it. Raises HostError, NotOwner."""
    kernel = Kernel()
    open_checkpoint(paths_of(plan), kernel, create=True).close()
    start(orders_of(plan), dict(os.environ), None, kernel)


def look_at_task(plan: LocalPlan) -> TaskView | None:
    """None: there is none. Raises HostError."""
    paths = paths_of(plan)
    if not paths.runner.exists():
        return None
    view = read_task(paths, Kernel())
    return view if view.readable else None


def is_minded(view: TaskView | None) -> bool:
    """Somebody sees to it that it runs."""
    return view is not None and not view.task.terminal and view.attendance is Attendance.ATTENDED


def run_of(view: TaskView, part: str) -> Run | None:
    """The present run of a part, or the last one."""
    process = view.task.processes.get(part)
    return process.last if process is not None else None


def is_alive(run: Run) -> bool:
    """Its first process is there; records of what was killed together with its coordinator may be old."""
    status = Kernel().proc_stat(run.pid) if run.pid else None
    return status is not None and status.start == run.pid_start and status.state not in "ZX"


def last_words(view: TaskView, part: str, count: int) -> list[str]:
    """What the last run of a part that ended wrote to stderr."""
    header, process = view.task.header, view.task.processes.get(part)
    if header is None or process is None:
        return []
    ended = [run.number for run in process.runs.values() if run.terminal]
    numbers = [max(ended)] if ended else [process.total - 1] if process.total else []
    return [
        line for number in numbers for line in tail_lines(header.sandbox, header.log_dir, part, number, "stderr", count)
    ]


def kill_part(plan: LocalPlan, part: str) -> int:
    """As kill -9 of its first process; the pid that it had. Raises HostError."""
    view = look_at_task(plan)
    run = run_of(view, part) if view is not None else None
    if run is None or run.terminal or not run.pid:
        raise HostError(f"cannot kill {CALLED[part]}: it does not run")
    kill_run(run, Kernel())
    return run.pid


def kill_run(run: Run, kernel: Kernel) -> None:
    """Raises HostError when its process is not there any more."""
    try:
        pidfd = kernel.pidfd_open(run.pid)
    except OSError as error:
        raise HostError(f"cannot kill pid {run.pid}: {error.strerror}") from error
    try:
        status = kernel.proc_stat(run.pid)
        if status is None or status.start != run.pid_start:
            raise HostError(f"cannot kill pid {run.pid}: it has ended")
        kernel.pidfd_signal(pidfd, signal.SIGKILL)
    except OSError as error:
        raise HostError(f"cannot kill pid {run.pid}: {error.strerror}") from error
    finally:
        kernel.close(pidfd)


def running_tasks(plan: LocalPlan) -> list[Found]:
    """What executors run now."""
    roots = [root for work_dir in plan.agent_dirs for root in mesos_roots(Path(work_dir))]
    kernel = Kernel()
    return [found for found in find_tasks(roots) if found.active and _has_executor(found, kernel)]


def _has_executor(found: Found, kernel: Kernel) -> bool:
    try:
        return read_task(found.paths, kernel).attendance is Attendance.ATTENDED
    except HostError:
        return False  # it has just ended


# --- the end


def stop_task(plan: LocalPlan, reason: str) -> bool:
    """End it and all that it has started, politely if that works, and remove its records. Whether there was one.
    Raises HostError."""
    paths, kernel = paths_of(plan), Kernel()
    view = look_at_task(plan)
    if view is None or not paths.active.exists():
        _end_keeper(paths, kernel)
        view = look_at_task(plan)
    if view is not None and paths.active.exists():
        check_ours("end", view, kernel)
        if view.attendance is not Attendance.UNATTENDED:
            _ask_to_end(view, reason)
        if paths.active.exists():
            end_unattended(read_task(paths, kernel), kernel, force=True)
    existed = paths.active.exists() or paths.finished.exists()
    if paths.finished.exists():
        _remove(paths, kernel)
    return existed


def _end_keeper(paths: TaskPaths, kernel: Kernel) -> None:
    """One whose runner has not begun yet ends with it: what a killed `up` has left. Raises HostError."""
    try:
        kept = read_kept(paths.checkpoint, kernel)
        if kept is None or not kept.alive:
            return
        pidfd = kernel.pidfd_open(kept.pid)
    except OSError:
        return  # it has ended
    try:
        for signum, patience in ((signal.SIGTERM, ENDING_S + _PATIENCE_S), (signal.SIGKILL, _FORCE_S)):
            kernel.pidfd_signal(pidfd, signum)
            if select.select((pidfd,), (), (), patience)[0]:
                return
        raise HostError(f"cannot end the keeper of task {paths.task_id} (pid {kept.pid})")
    except OSError as error:
        raise HostError(f"cannot end the keeper of task {paths.task_id}: {error.strerror}") from error
    finally:
        kernel.close(pidfd)


def _ask_to_end(view: TaskView, reason: str) -> None:
    for how, patience in (("politely", ENDING_S + _PATIENCE_S), ("now", _FORCE_S)):
        try:
            send_wishes("end", view.paths, f"kill {how} {reason}")
        except HostError:
            return  # nobody listens any more
        if _wait_gone(view.paths, patience):
            return


def _wait_gone(paths: TaskPaths, patience: float) -> bool:
    watch = Watch()
    give_up_at = now().mono + patience
    try:
        watch.add(paths.finished.parent)
        while paths.active.exists():
            left = give_up_at - now().mono
            if left <= 0:
                return False
            watch.wait(min(left, _LOOK_S))
        return True
    finally:
        watch.close()


def _remove(paths: TaskPaths, kernel: Kernel) -> None:
    """Its runner may still be saying good-bye."""
    give_up_at = now().mono + _FORCE_S
    while True:
        try:
            remove(Remains(Found(paths.root, paths.task_id, active=False), None), kernel)
            return
        except NotOwner:
            if now().mono >= give_up_at:
                raise
            pause(0.05)
        except OSError as error:
            raise HostError(f"cannot remove {error.filename}: {error.strerror}") from error


def pause(seconds: float) -> None:
    select.select((), (), (), seconds)


def end_leftovers(plan: LocalPlan) -> None:
    """Executors whose Mesos was killed, and all that was to mind them. Raises HostError."""
    if not Path(plan.mesos_dir).is_dir():
        return
    words = [sys.executable, "-P", "-m", "mesos.local", "--sweep", "--work-dir", plan.mesos_dir]
    try:
        done = subprocess.run(
            [*words, "--agents", str(len(plan.hosts))],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SWEEP_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise HostError(f"cannot end what {CALLED[MESOS]} has left in {plan.mesos_dir}: it takes too long") from error
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise HostError(f"cannot end what {CALLED[MESOS]} has left: {said[-1] if said else f'exit {done.returncode}'}")
