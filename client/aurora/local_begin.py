"""Starting a local cluster: its thermos task, then watching until tasks can be placed on every agent, then its entry in
clusters.json. Whatever goes wrong on the way, and ^C, takes all of it back.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from client.aurora.exits import CommandFailed
from client.aurora.local_end import take_down
from client.aurora.local_entry import register
from client.aurora.local_look import Look, look
from client.aurora.local_place import LOGS, STORE, clear_work_dir, make_work_dir, save_plan
from client.aurora.local_plan import CALLED, MESOS, OBSERVER, SCHEDULER, LocalPlan, cluster_entry
from client.aurora.local_task import last_words, look_at_task, pause, start_task
from client.exits import complain
from thermos.clock import now
from thermos.core.words import plural
from thermos.errors import ThermosError

#: Seconds until everything must be up; a machine may be busy. Between two looks.
_PATIENCE_S, _LOOK_S = 180.0, 0.2

#: So many ends of a part while the cluster starts, and it is given up.
_ENDS = 3

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: Lines of what a part that fails has said.
_LINES = 5


def bring_up(plan: LocalPlan, tell: Callable[[str], None]) -> None:
    """All of it, or nothing. Raises CommandFailed, HostError, KeyboardInterrupt."""
    work_dir = Path(plan.work_dir)
    make_work_dir(work_dir)
    kept = (STORE,) if (work_dir / STORE).exists() else ()  # of a cluster that was here before
    with _interruptible():
        try:
            clear_work_dir(work_dir, *kept)
            make_work_dir(work_dir)
            save_plan(plan)
            tell(f"starting cluster {plan.cluster}: {plural(len(plan.hosts), 'agent')}, in {plan.work_dir}")
            if kept:
                tell("with the jobs that it had before")
            with _held():  # what is half started can't be found
                start_task(plan)
            _wait_until_ready(plan, tell)
            register(Path(plan.clusters_file), cluster_entry(plan))
        except BaseException as error:
            for signum in _SIGNALS:
                signal.signal(signum, signal.SIG_IGN)
            if not isinstance(error, KeyboardInterrupt):
                tell("taking all of it back")
            _take_back(plan, *kept, *((LOGS,) if isinstance(error, CommandFailed) else ()))
            raise


def _take_back(plan: LocalPlan, *keep: str) -> None:
    """What can't be is told beside the reason for it all."""
    try:
        take_down(plan, *keep)
    except ThermosError as error:
        complain("aurora", f"{error}; `aurora local down` tries again")


@contextmanager
def _interruptible() -> Iterator[None]:
    """A terminal that closes while the cluster starts, and SIGTERM, are as ^C."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {signum: signal.getsignal(signum) for signum in _SIGNALS}
    try:
        for signum, handler in before.items():
            if signum is not signal.SIGINT and handler is not signal.SIG_IGN:  # as nohup has it
                signal.signal(signum, interrupt)
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def _held() -> Iterator[None]:
    """A signal that comes meanwhile is heard behind it. Raises KeyboardInterrupt."""
    heard: list[int] = []
    before = {signum: signal.getsignal(signum) for signum in _SIGNALS}
    try:
        for signum, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(signum, lambda number, _frame: heard.append(number))
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    if heard:
        raise KeyboardInterrupt


def _wait_until_ready(plan: LocalPlan, tell: Callable[[str], None]) -> None:
    """Raises CommandFailed."""
    give_up_at = now().mono + _PATIENCE_S
    told: set[str] = set()
    while True:
        seen = look(plan)
        for key, line in _milestones(plan, seen):
            if key not in told:
                told.add(key)
                tell(line)
        if seen.is_ready:
            return
        _check_progress(plan, seen)
        if now().mono >= give_up_at:
            raise CommandFailed(f"cannot start cluster {plan.cluster}: {_missing(seen)} after {_PATIENCE_S:.0f} s")
        pause(_LOOK_S)


def _milestones(plan: LocalPlan, seen: Look) -> Iterator[tuple[str, str]]:
    up = [agent for agent in seen.agents if agent.state == "up"]
    if seen.part(MESOS).answers and len(up) == len(plan.hosts):
        yield MESOS, f"Mesos is up: {plan.master_url}, agents {plan.hosts[0]} to {plan.hosts[-1]}"
    if seen.part(OBSERVER).answers:
        yield OBSERVER, f"the observer is up: {plan.observer_url}"
    if seen.part(SCHEDULER).answers:
        yield SCHEDULER, f"the scheduler is up, and connected to Mesos: {plan.scheduler_url}"


def _check_progress(plan: LocalPlan, seen: Look) -> None:
    """A part that ends again and again will not come up, nor one that nobody minds."""
    if seen.ended:
        raise CommandFailed(f"cannot start cluster {plan.cluster}: its task {plan.task_id} has ended: {seen.ended}")
    for part in seen.parts:
        if part.restarts < _ENDS or part.answers:
            continue
        view = look_at_task(plan)
        said = last_words(view, part.name, _LINES) if view is not None else []
        lines = [f"cannot start cluster {plan.cluster}: {CALLED[part.name]} ends again and again", *said]
        raise CommandFailed("\n  ".join([*lines, f"(more in {plan.work_dir}/.logs/{part.name})"]))


def _missing(seen: Look) -> str:
    """The first thing that is not there."""
    for part in seen.parts:
        if not part.answers:
            return f"{CALLED[part.name]} {part.words}"
    waiting = [agent.host for agent in seen.agents if agent.state != "up" or not (agent.offered or agent.executors)]
    return f"no offer of {', '.join(waiting)} has come"
