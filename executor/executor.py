"""The executor of one task: hears the agent, feeds the lifecycle's table, performs what it decides.

Everything happens in the thread of the loop; what blocks runs in workers, which post. One place performs actions, one
turns what happened into events:

    agent, runner, checks, workers, time -> Event -> core.lifecycle.step -> actions -> driver, runner, checks, workers

Source: spec/thermos.md §4.2, §4.8.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, assert_never

from executor.core.lifecycle import (
    Action,
    Do,
    Event,
    Happened,
    Life,
    Phase,
    Say,
    Waits,
    begin,
    step,
    within,
)
from executor.last_words import last_words
from executor.machinery import Checks, Machinery, OwnedTask, Prepared, Said
from executor.payload import AssignedTask, read_assigned
from executor.state_file import StateFile
from executor.workers import Workers
from mesos.core.executor_api import Subscribed
from mesos.core.executor_session import Phase as AgentPhase
from mesos.core.messages import KillPolicy, Opaque, TaskGroupInfo, TaskID, TaskInfo, TaskState, TaskStatus
from mesos.executor_driver import ExecutorDriver, ExecutorListener
from mesos.executor_environment import ExecutorEnvironment
from thermos.clock import Now
from thermos.errors import HostError, ThermosError, UserError
from thermos.host.loop import PlainLoop

#: Messages of statuses, as people know them.
ASKED_TO_KILL = "Instructed to kill task."
ASKED_TO_END = "Told to shut down executor."

Log = Callable[[Now, str], None]
MakeDriver = Callable[[ExecutorListener], ExecutorDriver]

_HAPPENED = {Said.HEALTHY: Happened.HEALTHY, Said.UNHEALTHY: Happened.UNHEALTHY, Said.STOPPED: Happened.CHECKS_STOPPED}


def why_not_prepared(error: Exception) -> str:
    """The message for a task that could not be prepared, in one line."""
    text = "; ".join(str(error).splitlines())
    if isinstance(error, UserError):  # what was configured can't be: that has nothing to do with its sandbox
        return text
    known = isinstance(error, ThermosError | OSError)
    return f"{'Failed to initialize sandbox' if known else 'Unknown exception initializing sandbox'}: {text}"


class TaskExecutor:
    """See the module; an `ExecutorListener`."""

    def __init__(
        self,
        environment: ExecutorEnvironment,
        loop: PlainLoop,
        machinery: Machinery,
        make_driver: MakeDriver,
        log: Log,
        waits: Waits,
    ) -> None:
        self._environment = environment
        self._loop = loop
        self._machinery = machinery
        self._log = log
        self._waits = waits
        self._workers = Workers(loop)
        self._life = Life()
        self._since = 0.0  # wall, of the phase
        self._task_id: TaskID | None = None
        self._assigned: AssignedTask | None = None
        self._container: Opaque | None = None  # of the executor, as the agent knows it
        self._prepared: Prepared | None = None
        self._runner: OwnedTask | None = None
        self._over = False  # the runner's end was told
        self._checks: Checks | None = None
        self._counts: Counter[str] = Counter()
        self._alarm: float | None = None
        self._file = StateFile(Path(environment.directory), loop, self.state)
        self.driver = make_driver(self)
        self.exit_code = 0

    # --- life ---------------------------------------------------------------------------------------------------

    def start(self, now: Now) -> None:
        """Subscribe. The loop is to be run until it stops."""
        self._life = begin(now.mono, self._waits)
        self._since = now.wall
        self._loop.on_turn = self._look
        self._set_alarm()
        self.driver.start(now)
        self._file.touch(now)

    def terminate(self, now: Now) -> None:
        """A signal wants us to end."""
        self.shutdown("a signal", now)

    def state(self, now: Now) -> dict[str, Any]:
        """What `executor.json` holds."""
        outcome = self._life.outcome
        checks = self._checks.state() if self._checks is not None else {}
        return {
            "version": 1,
            "pid": os.getpid(),
            "task_id": self._task_id.value if self._task_id is not None else None,
            "phase": str(self._life.phase),
            "since": self._since,
            "outcome": None if outcome is None else {"state": str(outcome.state), "message": outcome.message},
            "health": checks.get("health"),
            "announcer": checks.get("announcer"),
            "disk": checks.get("disk"),
            "trouble": self._runner.trouble if self._runner is not None else "",
            "driver": self.driver.state(),
            "metrics": dict(self._counts),
        }

    # --- the agent ----------------------------------------------------------------------------------------------

    def subscribed(self, event: Subscribed, again: bool, now: Now) -> None:
        self._counts["subscriptions"] += 1
        self._container = event.executor_info.container
        self._log(now, f"subscribed {'again' if again else ''} at {event.agent_info.hostname}".replace("  ", " "))

    def launch(self, task: TaskInfo, now: Now) -> None:
        """Of one task in the life of an executor."""
        if self._task_id == task.task_id:
            return  # said again
        if self._task_id is not None or self._life.phase is not Phase.IDLE:
            mine = self._task_id.value if self._task_id is not None else "none any more"
            self._say(task.task_id, TaskState.LOST, f"Task already running on this executor: {mine}", now)
            return
        self._task_id = task.task_id
        self._log(now, f"launch of {task.task_id.value}")
        try:
            self._assigned = read_assigned(task.data)
        except UserError as error:
            self._happen(Event(Happened.UNREADABLE, str(error)), now)
            return
        self._happen(Event(Happened.LAUNCHED), now)

    def launch_group(self, group: TaskGroupInfo, now: Now) -> None:
        for task in group.tasks:
            text = "This executor runs single tasks: launch it with LAUNCH, not LAUNCH_GROUP"
            self._say(task.task_id, TaskState.FAILED, text, now)

    def kill(self, task_id: TaskID, policy: KillPolicy | None, now: Now) -> None:
        if task_id != self._task_id:
            self._log(now, f"kill of {task_id.value}, which is not here")
            return
        if policy is not None and policy.grace_period is not None:
            self._waits = within(self._waits, policy.grace_period.nanoseconds / 1e9)
        self._happen(Event(Happened.KILL, ASKED_TO_KILL), now)

    def message(self, data: bytes, now: Now) -> None:
        self._log(now, f"a framework message of {len(data)} bytes, which nobody here reads")

    def shutdown(self, reason: str, now: Now) -> None:
        """The agent kills what is left after its grace period, so everything has to happen in that."""
        self._log(now, f"shutdown: {reason}")
        self._waits = within(self._waits, self._environment.shutdown_grace_period_s)
        self._happen(Event(Happened.SHUTDOWN, ASKED_TO_END), now)

    def disconnected(self, reason: str, now: Now) -> None:
        self._counts["disconnections"] += 1
        self._log(now, f"disconnected: {reason}")

    def problem(self, text: str, now: Now) -> None:
        self._counts["problems"] += 1
        self._log(now, text)

    def ended(self, reason: str, now: Now) -> None:
        """Nobody hears us any more; processes that still run end with us."""
        self._log(now, f"ended: {reason}")
        if self._runner is not None and not self._runner.done:
            self._runner.kill(now, grace=0.0, finalize=False, reason="the executor ends")
        self._file.write(now)
        self._loop.stop()

    # --- events -------------------------------------------------------------------------------------------------

    def _happen(self, event: Event, now: Now) -> None:
        self._notice_end(now)
        before = self._life.phase
        decision = step(self._life, event, self._waits, now.mono)
        self._life = decision.life
        if self._life.phase is not before:
            self._since = now.wall
            self._log(now, f"{before} -> {self._life.phase}: {event.what}{': ' if event.text else ''}{event.text}")
        for action in decision.actions:
            self._perform(action, now)
        self._set_alarm()
        self._file.touch(now)

    def _look(self, now: Now) -> None:
        """After each turn of the loop: what changed without telling us."""
        self._notice_end(now)
        if self._life.phase is Phase.FLUSHING and not self.driver.pending:
            self._happen(Event(Happened.ACKNOWLEDGED), now)
        self._file.touch(now)

    def _notice_end(self, now: Now) -> None:
        """The task's own end comes before whatever else happens in the same turn: what is over can't be killed."""
        if self._runner is None or not self._runner.done or self._over:
            return
        self._over = True
        task = self._runner.task
        state, words = last_words(self._runner.spec, task, lambda run: self._machinery.tail(task, run))
        self._happen(Event(Happened.TASK_OVER, words, state), now)

    def _set_alarm(self) -> None:
        deadline = self._life.deadline
        if deadline is not None and deadline != self._alarm:
            self._alarm = deadline
            self._loop.call_at(deadline, self._ring)

    def _ring(self, now: Now) -> None:
        if self._life.deadline is None or now.mono < self._life.deadline:
            return  # an alarm of a wait that is over
        self._alarm = None
        what = Happened.TICK
        if (
            self._life.phase is Phase.FLUSHING
            and self.driver.pending
            and self.driver.phase is not AgentPhase.SUBSCRIBED
        ):
            what = Happened.AWAY
        self._happen(Event(what), now)

    # --- actions ------------------------------------------------------------------------------------------------

    def _perform(self, action: Action, now: Now) -> None:
        match action:
            case Say(state=state, message=message):
                assert self._task_id is not None
                self._say(self._task_id, state, message, now)
            case Do.PREPARE:
                self._prepare()
            case Do.START:
                self._begin_task(now)
            case Do.STOP_CHECKS:
                self._stop_checks(now)
            case Do.POST_GRACEFUL | Do.POST_SHUTDOWN:
                self._post(action)
            case Do.TERMINATE | Do.KILL | Do.GIVE_UP:
                self._end_task(action, now)
            case Do.END:
                self.driver.stop(now)
            case _:
                assert_never(action)

    def _say(self, task_id: TaskID, state: TaskState, message: str, now: Now) -> None:
        self._counts[f"said_{state.removeprefix('TASK_').lower()}"] += 1
        try:
            self.driver.update(TaskStatus(task_id=task_id, state=state, message=message), now)
        except HostError as error:  # the driver has ended: nobody hears it
            self._log(now, str(error))

    def _prepare(self) -> None:
        assigned = self._assigned
        assert assigned is not None
        container = self._container
        self._workers.submit(lambda: self._machinery.prepare(assigned, container), self._on_prepared)

    def _on_prepared(self, outcome: Prepared | Exception, now: Now) -> None:
        if isinstance(outcome, Prepared):
            self._prepared = outcome
            if self._life.phase is Phase.PREPARING:
                self._waits = outcome.waits
            self._happen(Event(Happened.SANDBOX_READY), now)
            return
        self._happen(Event(Happened.SANDBOX_FAILED, why_not_prepared(outcome)), now)

    def _begin_task(self, now: Now) -> None:
        assert self._prepared is not None
        try:
            self._runner = self._machinery.own(self._prepared, now)
        except Exception as error:  # whatever it is, the task has failed and says so
            known = isinstance(error, ThermosError | OSError)
            begins = "Task initialization failed" if known else "Unknown exception starting runner"
            self._happen(Event(Happened.RUNNER_FAILED, f"{begins}: {error}", TaskState.FAILED), now)
            return
        self._loop.drive(self._runner)
        try:
            self._checks = self._machinery.checks(self._prepared, self._on_check)
            self._checks.start(now)
        except Exception as error:  # the task runs already, and has to end
            self._happen(Event(Happened.UNHEALTHY, f"Internal error: {error!r}"), now)

    def _on_check(self, said: Said, text: str, now: Now) -> None:
        self._counts[f"checks_{said}"] += 1
        self._happen(Event(_HAPPENED[said], text), now)

    def _stop_checks(self, now: Now) -> None:
        if self._checks is None:
            self._loop.post(lambda later: self._on_check(Said.STOPPED, "", later))
        else:
            self._checks.stop(now)

    def _post(self, action: Do) -> None:
        prepared, phase = self._prepared, self._life.phase
        assert prepared is not None and prepared.port is not None
        port = prepared.port
        endpoint = prepared.graceful_endpoint if action is Do.POST_GRACEFUL else prepared.shutdown_endpoint
        timeout_s = self._waits.endpoint_s

        def answered(outcome: bool | Exception, now: Now) -> None:
            if self._life.phase is phase:  # an answer that comes late means nothing
                self._happen(Event(Happened.HANDLED if outcome is True else Happened.UNHANDLED), now)

        self._workers.submit(lambda: self._machinery.post(port, endpoint, timeout_s), answered)

    def _end_task(self, action: Do, now: Now) -> None:
        runner = self._runner
        if runner is None or runner.done:
            return
        reason = self._life.outcome.message if self._life.outcome is not None else ""
        if action is Do.TERMINATE:
            runner.kill(now, grace=self._waits.finalization_s, reason=reason)
        elif action is Do.KILL:
            runner.kill(now, grace=0.0, finalize=False, reason=reason)
        else:
            runner.lose(now, reason="it did not end in time")
