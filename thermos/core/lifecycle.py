"""The life of a task: from its records and the time to what has to be done. Pure; the runner performs.

    ACTIVE      regular processes run; ends when their plan is complete, when too many failed or the rest is blocked,
                or when somebody asked for the end
    CLEANING    everything that still runs is stopped politely, and killed at `stop_deadline`
    FINALIZING  final processes run until `deadline`; their failures never change the result
    terminal    SUCCESS, FAILED; KILLED or LOST if that was asked for

CLEANING and FINALIZING share one budget: `finalization_wait`, or the grace of the request. When there are final
processes, CLEANING gets all of it but min(10 s, half). `lose` and requests without finalizers skip FINALIZING.
Source: spec/thermos.md §2.4, §2.11; host.md "The runner as a library".
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from thermos.clock import Now
from thermos.core.actions import Action, Decision, EnterState, GiveUp, KillRun, StartRun, StopRun
from thermos.core.fold import Run, TaskRecord
from thermos.core.planner import Planner
from thermos.core.records import Request
from thermos.core.states import TaskState
from thermos.model import TaskSpec

#: Seconds after SIGKILL until a run that will not die is given up.
KILL_PATIENCE = 10.0

#: Final processes are left at least this many seconds, or half of the budget if that is less.
FINAL_SHARE = 10.0


class Lifecycle:
    """The two planners of a task, and what it has told which run already."""

    def __init__(self, spec: TaskSpec, *, run_limit: int = 0) -> None:
        self.spec = spec
        limits = {"max_concurrency": spec.max_concurrency, "run_limit": run_limit}
        self.regular = Planner([p for p in spec.processes if not p.final], spec.order, **limits)
        self.final = Planner([p for p in spec.processes if p.final], spec.order, **limits)
        self._has_final = any(p.final for p in spec.processes)
        self._asked: dict[str, int] = {}  # runs that were told to make way for the next
        self._told: tuple[TaskState, _Urge] | None = None  # what every live run was told in which state

    def planner_of(self, process: str) -> Planner:
        return self.final if process in self.final else self.regular

    def update(self, task: TaskRecord, run: Run) -> None:
        """The fold changed this run."""
        planner = self.planner_of(run.process)
        if run.process in planner:
            planner.update(task.processes[run.process])

    def rebuild(self, task: TaskRecord, now: Now | None = None) -> None:
        """Feed everything that was replayed. `now` for who starts processes: no run ended after it."""
        latest = float("inf") if now is None else now.mono
        for record in task.processes.values():
            planner = self.planner_of(record.name)
            if record.name in planner:
                planner.update(record, latest=latest)

    def tell_again(self) -> None:
        """A run has another coordinator now, which has not heard what was told to the last one."""
        self._told = None
        self._asked.clear()

    def budget(self, request: Request | None) -> tuple[float, float]:
        """Seconds for leaving politely, and in all."""
        if request is not None and request.want is TaskState.LOST:
            return 0.0, 0.0
        total = self.spec.finalization_wait if request is None or request.grace is None else request.grace
        if not self._has_final or (request is not None and not request.finalize):
            return total, total
        return total - min(FINAL_SHARE, total / 2), total

    @property
    def stop_wait(self) -> float:
        """Seconds between polite stop and kill of a regular process when nobody says otherwise."""
        return self.budget(None)[0]

    def decide(self, task: TaskRecord, now: Now, *, may_start: bool = True) -> Decision:
        """The next step. Ask again after every action was performed, until there are none."""
        match task.state:
            case None:
                return Decision((EnterState(TaskState.ACTIVE),))
            case TaskState.ACTIVE:
                return self._decide_active(task, now, may_start)
            case TaskState.CLEANING:
                return self._decide_cleaning(task, now)
            case TaskState.FINALIZING:
                return self._decide_finalizing(task, now, may_start)
            case _:
                return Decision()

    def result(self, task: TaskRecord) -> TaskState:
        """The terminal state that the task is heading for."""
        if task.request is not None:
            return task.request.want
        well = self.regular.is_complete and self.regular.is_healthy(self.spec.max_failures)
        return TaskState.SUCCESS if well else TaskState.FAILED

    def _decide_active(self, task: TaskRecord, now: Now, may_start: bool) -> Decision:
        why = self._why_over(task)
        if why:
            return Decision((self._deadlines(TaskState.CLEANING, task.request, now, why),))
        stops = [StopRun(p, run) for p, run in task.restarting.items() if self._asked.get(p) != run]
        if stops:
            self._asked |= {stop.process: stop.run for stop in stops}
            return Decision(tuple(stops))
        if not may_start:
            return Decision()
        return self._start(self.regular, now)

    def _start(self, planner: Planner, now: Now) -> Decision:
        starts: list[Action] = [StartRun(name) for name in planner.take_runnable(now.mono)]
        return Decision(tuple(starts), planner.next_wake)

    def _why_over(self, task: TaskRecord) -> str:
        """Why ACTIVE is over, in words; "" when it is not."""
        plan, allowed = self.regular, self.spec.max_failures
        if task.request is not None:
            return task.request.reason or f"{task.request.want} requested"
        if allowed and len(plan.failed) >= allowed:
            names = ", ".join(sorted(plan.failed)[:5])
            return f"{len(plan.failed)} failed process{'es' * (len(plan.failed) > 1)}: {names}"
        if plan.is_complete:
            return "all processes finished" if not plan.failed else f"complete, {len(plan.failed)} failed"
        if plan.is_deadlocked:
            return "the remaining processes wait for a failed one: " + ", ".join(sorted(plan.failed)[:5])
        return ""

    def _deadlines(self, state: TaskState, request: Request | None, now: Now, reason: str) -> EnterState:
        polite, total = self.budget(request)
        return EnterState(state, reason, now.mono + polite, now.mono + total)

    def _tighter(self, task: TaskRecord, state: TaskState, now: Now) -> Decision | None:
        """A request that came during the end may shorten it, never stretch it."""
        if not task.request_pending:
            return None
        new = self._deadlines(state, task.request, now, task.reason)
        stop_deadline = min(new.stop_deadline, task.stop_deadline)
        return Decision((EnterState(state, new.reason, stop_deadline, min(new.deadline, task.deadline)),))

    def _decide_cleaning(self, task: TaskRecord, now: Now) -> Decision:
        tighter = self._tighter(task, TaskState.CLEANING, now)
        if tighter:
            return tighter
        ending = self._end_runs(task, TaskState.CLEANING, task.stop_deadline, now)
        if ending:
            return ending
        skip = task.request is not None and not task.request.finalize
        if skip or self.result(task) is TaskState.LOST or now.mono >= task.deadline:
            return Decision((EnterState(self.result(task), task.reason),))
        return Decision((EnterState(TaskState.FINALIZING, task.reason),))

    def _decide_finalizing(self, task: TaskRecord, now: Now, may_start: bool) -> Decision:
        tighter = self._tighter(task, TaskState.FINALIZING, now)
        if tighter:
            return tighter
        plan = self.final
        gives_up = task.request is not None and (task.request.want is TaskState.LOST or not task.request.finalize)
        if not (plan.is_complete or plan.is_deadlocked or gives_up or now.mono >= task.deadline):
            started = self._start(plan, now) if may_start else Decision()
            wakes = [w for w in (started.next_wake, task.deadline) if w is not None]
            return Decision(started.actions, min(wakes))
        ending = self._end_runs(task, TaskState.FINALIZING, min(now.mono, task.deadline), now, task.deadline)
        return ending or Decision((EnterState(self.result(task), task.reason),))

    def _end_runs(
        self, task: TaskRecord, state: TaskState, kill_at: float, now: Now, patience_from: float = 0.0
    ) -> Decision | None:
        """Stop politely, kill at `kill_at`, give up KILL_PATIENCE later; None when nothing is left to wait for.

        The live runs are walked once for each urge, not once for each event: nothing starts while a task ends.
        """
        give_up_at = max(kill_at, patience_from) + KILL_PATIENCE
        if now.mono >= give_up_at:
            urge, next_wake = _Urge.GIVE_UP, None
        elif now.mono >= kill_at:
            urge, next_wake = _Urge.KILL, give_up_at
        else:
            urge, next_wake = _Urge.STOP, kill_at
        if not task.active and (not task.unsettled or urge is _Urge.GIVE_UP):
            return None
        if self._told == (state, urge):
            return Decision((), next_wake)
        self._told = (state, urge)
        return Decision(tuple(_urge_action(urge, *run) for run in _live_runs(task, urge)), next_wake)


class _Urge(Enum):
    """How urgently what still runs is told to go."""

    STOP = "stop"
    KILL = "kill"
    GIVE_UP = "give up"


def _urge_action(urge: _Urge, process: str, run: int) -> Action:
    if urge is _Urge.GIVE_UP:
        return GiveUp(process, run, "it could not be killed")
    return StopRun(process, run) if urge is _Urge.STOP else KillRun(process, run)


def _live_runs(task: TaskRecord, urge: _Urge) -> Iterator[tuple[str, int]]:
    """Everything that may still have processes; one that has ended and only lingers can't be given up."""
    yield from task.active.items()
    if urge is not _Urge.GIVE_UP:
        for process, numbers in task.unsettled.items():
            for number in numbers:
                yield process, number
