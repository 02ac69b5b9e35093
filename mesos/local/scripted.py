"""Executors that only exist in a simulation: they speak with their agent as real ones do, and do what a script says.

What a task shall do is in its `data` as JSON (`{"run_s": 5, "ends": "TASK_FAILED"}`), what its executor shall do in the
executor's; whoever makes a simulation may say it otherwise with a function. Without a script a task runs until it is
killed, and its executor ends when it has nothing left to run or to tell.

    launch --start_s--> TASK_RUNNING --run_s--> `ends`, or the executor's exit with status `crashes`
    kill --kill_s--> TASK_KILLED (never, if it `ignores_kill`)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from mesos.core import executor_api
from mesos.core.executor_api import Call, Event, EventType, Speaker
from mesos.core.messages import Source, TaskID, TaskInfo, TaskState, TaskStatus
from mesos.local.core.protocol import StartContainer
from mesos.local.timeline import Timeline

SIGKILL = 9
NOT_READY = 503

#: Seconds until an executor tries again what was refused, or what it heard nothing of.
RETRY_S = 1.0

#: Seconds that an executor waits for its first task.
IDLE_S = 10.0

#: Seconds without an agent after which an executor gives up; the default of Mesos' agents.
RECOVERY_TIMEOUT_S = 900.0


class TaskScript(msgspec.Struct, frozen=True):
    """Seconds, and what comes after them. `run_s` None: until it is killed."""

    start_s: float = 0.0
    run_s: float | None = None
    ends: str = TaskState.FINISHED
    crashes: int | None = None
    kill_s: float = 0.0
    never_starts: bool = False
    ignores_kill: bool = False


class ExecutorScript(msgspec.Struct, frozen=True):
    """`fails`: its container can't be started, with this text. `lingers`: it stays when it has nothing to do."""

    start_s: float = 0.1
    fails: str | None = None
    never_subscribes: bool = False
    lingers: bool = False
    ignores_shutdown: bool = False


def task_script(task: TaskInfo) -> TaskScript:
    """Data that is no script is none."""
    try:
        return msgspec.json.decode(task.data or b"{}", type=TaskScript)
    except msgspec.MsgspecError:
        return TaskScript()


def executor_script(start: StartContainer) -> ExecutorScript:
    try:
        return msgspec.json.decode(start.executor.data or b"{}", type=ExecutorScript)
    except msgspec.MsgspecError:
        return ExecutorScript()


class AgentEnd(Protocol):
    """The agent as its executor has it."""

    def call(self, executor: ScriptedExecutor, call: Call) -> None: ...

    def exited(self, wait_status: int) -> None: ...


@dataclass(slots=True, eq=False)
class _Run:
    """A task, from its launch until its last update was acknowledged. `untold`: updates, the first one under way."""

    task: TaskInfo
    script: TaskScript
    is_over: bool = False
    is_killed: bool = False
    is_known: bool = False  # an update of it was acknowledged
    untold: list[TaskStatus] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class ScriptedExecutor:
    """`uuid` gives 16 bytes, new ones each time. What is not answered is said again, as by a real executor."""

    start: StartContainer
    script: ExecutorScript
    timeline: Timeline
    agent: AgentEnd
    uuid: Callable[[], bytes]
    task_script: Callable[[TaskInfo], TaskScript] = task_script
    has_ended: bool = False
    is_subscribed: bool = False
    connection: int = 0  # the number of its present one to the agent
    _runs: dict[str, _Run] = field(default_factory=dict)

    @property
    def _speaker(self) -> Speaker:
        framework_id = self.start.framework.id
        assert framework_id is not None, "an agent runs tasks of frameworks that have an id"
        return Speaker(framework_id=framework_id, executor_id=self.start.executor.executor_id)

    @property
    def tasks(self) -> tuple[str, ...]:
        """That it runs, or has something to tell of."""
        return tuple(self._runs)

    def begin(self) -> None:
        self._after(self.script.start_s, self.subscribe)

    def subscribe(self) -> None:
        """And again, until the agent says SUBSCRIBED or is gone."""
        if self.has_ended or self.is_subscribed or self.script.never_subscribes:
            return
        waiting = [status for run in self._runs.values() for status in run.untold]
        tasks = [run.task for run in self._runs.values() if not run.is_known]
        self.agent.call(self, self._speaker.subscribe(tasks, waiting))
        connection = self.connection
        self._after(RETRY_S, lambda: self.subscribe() if self.connection == connection else None)

    def disconnected(self) -> None:
        """The agent is gone; whoever starts it again calls `subscribe`. An executor that does not checkpoint ends with
        it, any other one when it has been alone for too long."""
        if self.has_ended:
            return
        self.connection += 1
        self.is_subscribed = False
        if not self.start.framework.checkpoint:
            self.has_ended = True
            return
        connection = self.connection

        def give_up() -> None:
            if self.connection == connection and not self.is_subscribed:
                self._exit(1 << 8)

        self._after(RECOVERY_TIMEOUT_S, give_up)

    def refused(self, status: int) -> None:
        """Its subscription. If the agent is only not ready yet, it tries again; otherwise there is nothing to stay
        for."""
        if status != NOT_READY:
            self._exit(1 << 8)

    def kill(self) -> None:
        self._exit(SIGKILL)

    def hear(self, event: Event) -> None:
        if self.has_ended:
            return
        if event.subscribed is not None:
            self.is_subscribed = True
            for run in tuple(self._runs.values()):
                self._send(run)
            self._after(IDLE_S, self._end_if_idle)  # a launch that was lost does not come again
        elif event.launch is not None:
            self._launch(event.launch.task)
        elif event.launch_group is not None:
            for task in event.launch_group.task_group.tasks:
                self._launch(task)
        elif event.kill is not None:
            self._kill(event.kill.task_id)
        elif event.acknowledged is not None:
            self._acknowledged(event.acknowledged)
        elif event.message is not None and self.is_subscribed:
            self.agent.call(self, self._speaker.message(event.message.data))
        elif event.type == EventType.SHUTDOWN:
            self._shut_down()

    def _launch(self, task: TaskInfo) -> None:
        if task.task_id.value in self._runs:  # said twice
            return
        run = self._runs[task.task_id.value] = _Run(task, self.task_script(task))
        if not run.script.never_starts:
            self._after(run.script.start_s, lambda: self._started(run))

    def _started(self, run: _Run) -> None:
        if run.is_over:
            return
        self._tell(run, TaskState.RUNNING)
        if run.script.run_s is not None:
            self._after(run.script.run_s, lambda: self._ran(run))

    def _ran(self, run: _Run) -> None:
        if run.is_over:
            return
        if run.script.crashes is not None:
            self._exit(run.script.crashes)
        else:
            self._finish(run, run.script.ends)

    def _kill(self, task_id: TaskID) -> None:
        run = self._runs.get(task_id.value)
        if run is None or run.is_over or run.is_killed or run.script.ignores_kill:
            return
        run.is_killed = True
        self._after(run.script.kill_s, lambda: self._finish(run, TaskState.KILLED))

    def _finish(self, run: _Run, state: str) -> None:
        if not run.is_over:
            run.is_over = True
            self._tell(run, state)

    def _tell(self, run: _Run, state: str) -> None:
        status = TaskStatus(
            task_id=run.task.task_id,
            state=state,
            source=Source.EXECUTOR,
            executor_id=self.start.executor.executor_id,
            timestamp=self.timeline.now().wall,
            uuid=self.uuid(),
        )
        run.untold.append(status)
        if len(run.untold) == 1:
            self._send(run)

    def _send(self, run: _Run) -> None:
        """The first update that was not acknowledged, and again until it is."""
        if self.is_subscribed and run.untold:
            status = run.untold[0]
            self.agent.call(self, self._speaker.update(status))
            self._after(RETRY_S, lambda: self._send(run) if run.untold[:1] == [status] else None)

    def _acknowledged(self, event: executor_api.Acknowledged) -> None:
        run = self._runs.get(event.task_id.value)
        if run is None or not run.untold or run.untold[0].uuid != event.uuid:
            return
        run.untold.pop(0)
        run.is_known = True
        self._send(run)
        if run.is_over and not run.untold:
            del self._runs[event.task_id.value]
            self._after(0.0, self._end_if_idle)

    def _end_if_idle(self) -> None:
        if not self._runs and not self.script.lingers:
            self._exit(0)

    def _shut_down(self) -> None:
        if self.script.ignores_shutdown:
            return
        for run in tuple(self._runs.values()):
            if not run.is_over:
                self._finish(run, TaskState.KILLED)
        self._after(0.1, lambda: self._exit(0))

    def _exit(self, wait_status: int) -> None:
        if not self.has_ended:
            self.has_ended = True
            self.is_subscribed = False
            self.agent.exited(wait_status)

    def _after(self, seconds: float, call: Callable[[], None]) -> None:
        def unless_ended() -> None:
            if not self.has_ended:
                call()

        self.timeline.call_at(self.timeline.now().mono + seconds, unless_ended)
