"""The executor's surroundings without a machine: a loop on a virtual clock, a driver, a runner, checks that obey."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from executor.core.lifecycle import Waits
from executor.executor import TaskExecutor
from executor.machinery import Prepared, Report, Said
from executor.payload import AssignedTask, Assignment
from mesos.core.executor_session import Phase as AgentPhase
from mesos.core.messages import AgentID, TaskID, TaskInfo, TaskState, TaskStatus
from mesos.executor_environment import ExecutorEnvironment
from tests.executor.payloads import assigned_json
from thermos.clock import Now
from thermos.core.fold import Run, TaskRecord
from thermos.core.states import TaskState as HostState
from thermos.model import ProcessSpec, TaskSpec

Call = Callable[[Now], None]

SPEC = TaskSpec(name="t", processes=(ProcessSpec(name="main", cmdline="true"),))


class FakeLoop:
    """Time passes when it is told to; timers and posts run then."""

    def __init__(self) -> None:
        self.mono = 100.0
        self.timers: list[tuple[float, int, Call]] = []
        self.count = 0
        self.stopped = False
        self.on_turn: Call | None = None
        self.driven: list[Any] = []

    def now(self) -> Now:
        return Now(1_000_000.0 + self.mono, self.mono)

    def post(self, call: Call) -> None:
        self.call_at(self.mono, call)

    def call_at(self, when: float, call: Call) -> None:
        self.count += 1
        heapq.heappush(self.timers, (when, self.count, call))

    def drive(self, driven: Any) -> None:
        self.driven.append(driven)

    def stop(self) -> None:
        self.stopped = True

    def settle(self) -> None:
        """Everything that is due now."""
        while self.timers and self.timers[0][0] <= self.mono and not self.stopped:
            heapq.heappop(self.timers)[2](self.now())
            self.turn()

    def turn(self) -> None:
        if self.on_turn is not None and not self.stopped:
            self.on_turn(self.now())

    def advance(self, seconds: float) -> None:
        end = self.mono + seconds
        while self.timers and self.timers[0][0] <= end and not self.stopped:
            self.mono = max(self.mono, self.timers[0][0])
            self.settle()
        self.mono = end


class FakeDriver:
    def __init__(self, listener: Any) -> None:
        self.listener = listener
        self.said: list[TaskStatus] = []
        self.unacknowledged: list[TaskStatus] = []
        self.acknowledge = True
        self.phase = AgentPhase.SUBSCRIBED
        self.stopped = False

    @property
    def pending(self) -> tuple[TaskStatus, ...]:
        return tuple(self.unacknowledged)

    def start(self, now: Now) -> None: ...

    def update(self, status: TaskStatus, now: Now) -> TaskStatus:
        self.said.append(status)
        if not self.acknowledge:
            self.unacknowledged.append(status)
        return status

    def stop(self, now: Now, flush_s: float = 0.0) -> None:
        self.stopped = True
        self.listener.ended("stopped", now)

    def state(self) -> dict[str, Any]:
        return {"phase": str(self.phase)}


class FakeRunner:
    """Ends when a test says so."""

    def __init__(self) -> None:
        self.spec = SPEC
        self.task = TaskRecord()
        self.done = False
        self.next_wake: float | None = None
        self.trouble = ""
        self.orders: list[str] = []
        self.graces: list[float | None] = []
        self.obeys = True

    def fileno(self) -> int:
        return -1

    def on_ready(self, now: Now) -> None: ...
    def on_timer(self, now: Now) -> None: ...
    def close(self) -> None: ...

    def end(self, state: HostState, reason: str = "") -> None:
        self.task.state, self.task.reason, self.done = state, reason, True

    def kill(self, now: Now, grace: float | None = None, *, finalize: bool = True, reason: str = "") -> None:
        self.orders.append("kill" if grace else "kill now")
        self.graces.append(grace)
        if self.obeys:
            self.end(HostState.KILLED, reason)

    def lose(self, now: Now, *, reason: str = "") -> None:
        self.orders.append("lose")
        self.end(HostState.LOST, reason)


class FakeChecks:
    def __init__(self, report: Report) -> None:
        self.report = report
        self.started = self.stopped = 0
        self.answers = True
        self.now = Now(0, 0)

    def start(self, now: Now) -> None:
        self.started += 1

    def stop(self, now: Now) -> None:
        self.stopped += 1
        if self.answers:
            self.report(Said.STOPPED, "", now)

    def state(self) -> dict[str, Any]:
        return {"health": {"verdict": "x"}}


@dataclass
class FakeMachinery:
    """`prepare_error`, `own_error`: what is raised there. `endpoints`: what posting gives."""

    port: int | None = None
    prepare_error: Exception | None = None
    own_error: Exception | None = None
    endpoints: bool = False
    runner: FakeRunner = field(default_factory=FakeRunner)
    checks_made: list[FakeChecks] = field(default_factory=list)
    posted: list[str] = field(default_factory=list)
    owned: int = 0
    waits: Waits = field(default_factory=Waits)

    def prepare(self, assigned: AssignedTask, container: Any) -> Prepared:
        if self.prepare_error is not None:
            raise self.prepare_error
        assignment = Assignment(
            task_id=assigned.taskId, instance=0, role="www", environment="test", name="web", hostname="h",
            spec=SPEC, job={}, ports={}, container={},
        )  # fmt: skip
        return Prepared(assignment, self.waits, self.port, "/quitquitquit", "/abortabortabort")

    def own(self, prepared: Prepared, now: Now) -> FakeRunner:
        if self.own_error is not None:
            raise self.own_error
        self.owned += 1
        return self.runner

    def checks(self, prepared: Prepared, report: Report) -> FakeChecks:
        self.checks_made.append(FakeChecks(report))
        return self.checks_made[-1]

    def post(self, port: int, endpoint: str, timeout_s: float) -> bool:
        self.posted.append(endpoint)
        return self.endpoints

    def tail(self, task: TaskRecord, run: Run) -> list[str]:
        return []


class InlineWorkers:
    """Work is done at once, its outcome told in the next turn; or held back until `release`."""

    def __init__(self, loop: FakeLoop) -> None:
        self.loop = loop
        self.hold = False
        self.held: list[Callable[[], None]] = []

    def submit(self, work: Callable[[], Any], done: Callable[[Any, Now], None]) -> None:
        def run() -> None:
            try:
                outcome = work()
            except Exception as error:
                outcome = error
            self.loop.post(lambda now: done(outcome, now))

        if self.hold:
            self.held.append(run)
        else:
            run()

    def release(self) -> None:
        for run in self.held:
            run()
        self.held.clear()


class Stage:
    """An executor and everything around it."""

    def __init__(self, directory: Path, machinery: FakeMachinery | None = None, waits: Waits | None = None) -> None:
        self.loop = FakeLoop()
        self.machinery = machinery or FakeMachinery()
        waits = waits or Waits()
        self.machinery.waits = waits
        self.log: list[str] = []
        self.drivers: list[FakeDriver] = []
        environment = ExecutorEnvironment(
            agent_endpoint="127.0.0.1:5051", framework_id="f", executor_id="e", directory=str(directory),
            sandbox=str(directory), checkpoint=True,
        )  # fmt: skip
        self.executor = TaskExecutor(
            environment, self.loop, self.machinery, self._driver, lambda now, text: self.log.append(text), waits
        )  # type: ignore[arg-type]
        self.workers = InlineWorkers(self.loop)
        self.executor._workers = self.workers  # type: ignore[assignment]
        self.executor.start(self.loop.now())

    def _driver(self, listener: Any) -> Any:
        self.drivers.append(FakeDriver(listener))
        return self.drivers[-1]

    @property
    def driver(self) -> FakeDriver:
        return self.drivers[0]

    @property
    def runner(self) -> FakeRunner:
        return self.machinery.runner

    @property
    def checks(self) -> FakeChecks:
        return self.machinery.checks_made[0]

    @property
    def said(self) -> list[tuple[TaskState, str]]:
        return [(TaskState(status.state), status.message) for status in self.driver.said]

    def launch(self, task_id: str = "t1", data: bytes | None = None) -> None:
        payload = assigned_json(task_id) if data is None else data
        task = TaskInfo(name=task_id, task_id=TaskID(value=task_id), agent_id=AgentID(value="a"), data=payload)
        self.executor.launch(task, self.loop.now())
        self.loop.turn()
        self.loop.settle()

    def healthy(self) -> None:
        self.checks.report(Said.HEALTHY, "Task is healthy.", self.loop.now())

    def kill(self, task_id: str = "t1") -> None:
        self.executor.kill(TaskID(value=task_id), None, self.loop.now())
        self.loop.settle()
        self.loop.turn()
