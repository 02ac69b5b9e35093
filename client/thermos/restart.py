"""`thermos restart ID PROCESS…`: end the current run of processes politely; the next ones begin at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from client.exits import complain, echo_lines
from client.thermos.chosen import Chosen, NotFound, choose_task, pick_name
from client.thermos.minding import check_ours, check_under_way, send_wishes
from client.thermos.options import output_option, search_options
from client.thermos.suggest import process_names, task_ids
from client.thermos.tasks import KnownTask, plan_of
from thermos.clock import now
from thermos.core.doing import Doing
from thermos.core.fold import Run, TaskRecord
from thermos.core.states import ProcessState, TaskState
from thermos.core.words import duration, plural
from thermos.errors import Exit, HostError, ThermosError
from thermos.host.kernel import Kernel
from thermos.model import TaskSpec
from thermos.monitor.follow import Attendance, Follower, TaskView
from thermos.monitor.watch import Watch
from thermos.words import setup_words

EPILOG = """
\b
Examples:
  thermos restart web nginx            stop it politely and start it again
  thermos restart web nginx php-fpm    both, at the same time
  thermos restart web --all            everything that runs or waits for a retry

\b
The stop signal is followed by SIGKILL after the task's finalization_wait. How the run ends
does not count as a failure, and min_duration is not waited for.

\b
Exit codes: 0 all of them run again, 1 one of them can't be restarted or did not come up.
"""

#: Seconds that the next run may take to begin, once the old one has ended.
_PATIENCE = 20.0


@dataclass(slots=True)
class Wanted:
    """A process to restart, and the number of the run that makes way."""

    process: str
    index: int
    run: int
    said: bool = False


@click.command("restart", epilog=EPILOG)
@click.argument("task_id", metavar="ID", shell_complete=task_ids(active=True))
@click.argument("processes", metavar="PROCESS...", nargs=-1, shell_complete=process_names)
@click.option("--all", "everything", is_flag=True, help="Every process that runs or waits for a retry.")
@search_options
@output_option
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Restart processes of an active task.

    It waits until their next runs have begun.
    """
    chosen = choose_task(ctx, given["task_id"], given["root"], given["mesos_root"])
    kernel = Kernel()
    spec = _check(chosen, kernel)
    names = _names(chosen, spec, given["processes"], everything=given["everything"])
    index = {process.name: i for i, process in enumerate(spec.processes)}
    task = chosen.view.task
    wanted = [Wanted(name, index[name], task.processes[name].total - 1) for name in names]
    say = _silent if given["output"] == "json" else _say
    runs = Restarting(chosen.view, spec, kernel, say).carry_out(wanted)
    if given["output"] == "json":
        echo_lines([json.dumps([_run_json(run) for run in runs], ensure_ascii=False)])
    bad = [run for run in runs if run.state is ProcessState.FAILED and run.stage]
    for run in bad:
        complain("thermos", f"{run.process}[{run.number}] {setup_words(run.stage, run.errno, run.detail)}")
    return Exit.FAILED if bad else Exit.OK


def _say(text: str) -> None:
    echo_lines([text])


def _silent(text: str) -> None:
    """JSON comes at the end."""


def _check(chosen: Chosen, kernel: Kernel) -> TaskSpec:
    view, task_id = chosen.view, chosen.found.task_id
    check_under_way("restart processes of", view)
    check_ours("restart processes of", view, kernel)
    if view.attendance is Attendance.UNATTENDED:
        raise HostError(
            f"cannot restart processes of task {task_id}: nobody minds it; "
            f"`thermos attach {task_id}` or `thermos detach {task_id}` takes it over"
        )
    if view.task.state is not TaskState.ACTIVE:
        raise HostError(f"cannot restart processes of task {task_id}: it is ending ({view.task.state})")
    plan = plan_of(KnownTask(chosen.found, view))
    if plan is None:
        raise HostError(f"cannot read {view.paths.active}")
    return plan[0]


def _names(chosen: Chosen, spec: TaskSpec, words: Sequence[str], *, everything: bool) -> list[str]:
    """The processes that are meant; all of them can be restarted. Raises NotFound."""
    plan = plan_of(KnownTask(chosen.found, chosen.view))
    doings = {row.process: row.doing for row in plan[1].rows(chosen.view.task, now())} if plan else {}
    possible = [p.name for p in spec.processes if doings.get(p.name) in (Doing.RUNNING, Doing.RETRY)]
    if everything:
        if not possible:
            raise NotFound(f"No process of task {chosen.found.task_id} can be restarted now")
        return possible
    if not words:
        raise click.UsageError("say which processes, or --all")
    names = [pick_name([p.name for p in spec.processes], word, "process") for word in words]
    for name in names:
        if name not in possible:
            raise NotFound(f"Process {name} can't be restarted: {_why_not(doings.get(name), chosen.view.task, name)}")
    return list(dict.fromkeys(names))


def _why_not(doing: Doing | None, task: TaskRecord, name: str) -> str:
    known = task.processes.get(name)
    if known is None or known.last is None:
        return "it has not been started yet"
    return f"it is over ({known.last.state})" if doing in (Doing.DONE, Doing.FAILED) else f"it is {doing}"


class Restarting:
    """Asks, and looks at the records until every next run has begun."""

    def __init__(self, view: TaskView, spec: TaskSpec, kernel: Kernel, say: Callable[[str], None]) -> None:
        self._paths = view.paths
        self._records = Follower(view.paths, kernel)
        self._give_up_at = now().mono + spec.finalization_wait + _PATIENCE
        self._say = say

    def carry_out(self, wanted: Sequence[Wanted]) -> list[Run]:
        """The runs that began. Raises HostError."""
        watch = Watch()
        try:
            self._records.read()
            watch.add(self._paths.checkpoint)
            send_wishes("restart processes of", self._paths, *(f"restart {each.index}" for each in wanted))
            while True:
                self._records.read()
                runs = [self._next_run(each) for each in wanted]
                if all(runs):
                    return [run for run in runs if run is not None]
                self._check_time(wanted)
                watch.wait(max(0.0, self._give_up_at - now().mono))
        finally:
            watch.close()
            self._records.close()

    def _next_run(self, wanted: Wanted) -> Run | None:
        """The run after the one that makes way, once it runs or has ended."""
        record = self._records.task.processes[wanted.process]
        later = [run for number, run in record.runs.items() if number > wanted.run]
        begun = next((run for run in later if run.state not in (ProcessState.WAITING, ProcessState.FORKED)), None)
        if begun is not None and not wanted.said:
            wanted.said = True
            old = record.runs.get(wanted.run)
            ended = f"{wanted.process}[{wanted.run}] {old.state}, " if old is not None else ""
            self._say(f"{ended}{begun.process}[{begun.number}] {begun.state}{f' pid {begun.pid}' if begun.pid else ''}")
        return begun

    def _check_time(self, wanted: Sequence[Wanted]) -> None:
        task = self._records.task
        missing = [each.process for each in wanted if not each.said]
        if task.terminal or task.state in (TaskState.CLEANING, TaskState.FINALIZING):
            raise HostError(f"task {self._paths.task_id} ends ({task.reason}); not restarted: {', '.join(missing)}")
        if now().mono >= self._give_up_at:
            raise ThermosError(
                f"{plural(len(missing), 'process', 'processes')} of task {self._paths.task_id} did not come back "
                f"within {duration(_PATIENCE)} after the stop: {', '.join(missing)}"
            )


def _run_json(run: Run) -> dict[str, Any]:
    return {"process": run.process, "run": run.number, "state": run.state, "pid": run.pid or None}
