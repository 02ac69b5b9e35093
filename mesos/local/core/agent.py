"""An agent without I/O: what it hears goes in, what it wants done comes out as effects.

One `Agent` is one life of an agent process; `AgentDisk` is what outlives it. It serves real executors (child processes,
HTTP) and simulated ones alike: containers are started and killed by effects, and their ends are told to it.

    agent = Agent(config, disk)
    agent.start(now, alive)          first; `alive` are the containers left from a former life
    agent.connected(now)             a leading master can be reached; `link_broken` when it can't any more
    agent.from_master(message, now)
    agent.executor_call(call, token, now) -> Answer
    agent.container_started / _failed / _exited
    agent.on_timer(now)              when `next_wake` has come

Every one of these gives effects, to be performed in order (an `Answer` has them inside, to be performed after the
stream of a subscription was made). After a kill -9 simply drop the object, and give the disk to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from mesos.core.executor_api import Call
from mesos.core.messages import ContainerID, ExecutorInfo, Reason, TaskState
from mesos.local.core import (
    agent_executors,
    agent_forward,
    agent_operations,
    agent_recovery,
    agent_statuses,
    agent_tasks,
)
from mesos.local.core.agent_calls import Answer, answer
from mesos.local.core.agent_disk import Executor, Framework, Verdict
from mesos.local.core.agent_state import AgentState, Effects
from mesos.local.core.agent_states import AgentChange, AgentPhase, ExecutorChange, ExecutorState
from mesos.local.core.agent_updates import Acknowledgement
from mesos.local.core.protocol import (
    AcknowledgeUpdate,
    AgentRegistered,
    ApplyOperation,
    DrainAgent,
    FromMaster,
    KillTask,
    MessageExecutor,
    Ping,
    Pong,
    ReactivateAgent,
    RegisterAgent,
    ReregisterAgent,
    RunTask,
    RunTaskGroup,
    ShutdownAgent,
    ShutdownExecutor,
    ShutdownFramework,
    Task,
    UnregisterAgent,
    UpdateFramework,
)
from thermos.clock import Now
from thermos.errors import Bug

__all__ = ["Agent", "Answer", "Effects"]

_REGISTER = ("register",)
_PING = ("ping",)

#: The wait status that a container which never ran is given: `exit 1`, as of a fetcher that failed.
FAILED_TO_START = 256


class Agent(AgentState):
    __slots__ = ()

    @property
    def next_wake(self) -> float | None:
        return self.deadlines.next_at

    # --- life ------------------------------------------------------------------------------------------------------

    def start(self, now: Now, alive: Collection[str] = ()) -> Effects:
        """`alive`: ids of containers of a former life that still run; those that are not known any more are killed."""
        self.started_at = now.wall
        agent_recovery.recover(self, alive, now)
        self._register_soon(now)
        return self.take_effects()

    def shutdown(self, message: str, now: Now) -> Effects:
        """For good, as by SIGUSR1: the master is told, everything ends."""
        if self.disk.agent_id is not None:
            self.tell_master(UnregisterAgent(agent_id=self.agent_id))
        self._shutdown(message, now)
        return self.take_effects()

    def connected(self, now: Now) -> Effects:
        """There is a link to a leading master; if there was one before, this is another."""
        self._leave_master()
        self.is_linked = True
        self._register_soon(now)
        return self.take_effects()

    def link_broken(self, now: Now) -> Effects:
        self._leave_master()
        self.is_linked = False
        self.deadlines.drop(_REGISTER)
        self.deadlines.drop(_PING)
        return self.take_effects()

    # --- the master ------------------------------------------------------------------------------------------------

    def from_master(self, message: FromMaster, now: Now) -> Effects:
        if self._listens_to(message):
            _HEARD[type(message)](self, message, now)
        return self.take_effects()

    def _listens_to(self, message: FromMaster) -> bool:
        """Before it is somebody, and while it looks for its executors, an agent has no ear for a master's orders."""
        if self.phase is AgentPhase.RECOVERING:
            return isinstance(message, Ping)
        return self.disk.agent_id is not None or isinstance(message, AgentRegistered | Ping | ShutdownAgent)

    # --- executors -------------------------------------------------------------------------------------------------

    def executor_call(self, call: Call, token: str | None, now: Now) -> Answer:
        """Of any type. With 200, it is subscribed: make the stream of `container_id` (instead of any older one), then
        perform the effects."""
        return answer(self, call, token, now)

    def executor_closed(self, container_id: ContainerID, now: Now) -> Effects:
        """Its stream broke. Told only of the stream that was made last."""
        executor = self.executor_in(container_id)
        if executor is not None and executor.is_connected:
            executor.is_connected = False  # it may come again; what is sent meanwhile is lost, as with a real agent
        return self.take_effects()

    def container_started(self, container_id: ContainerID, pid: int, now: Now) -> Effects:
        executor = self.executor_in(container_id)
        if executor is not None:
            executor.pid = pid
        return self.take_effects()

    def container_failed(self, container_id: ContainerID, text: str, now: Now) -> Effects:
        """It could not be started (`text` says what failed), and nothing of it runs."""
        executor = self.executor_in(container_id)
        if executor is not None and executor.verdict is None:
            self.count("container_launch_errors")
            executor.verdict = Verdict(
                TaskState.FAILED, Reason.CONTAINER_LAUNCH_FAILED, f"Failed to launch container: {text}"
            )
        return self.container_exited(container_id, FAILED_TO_START, now)

    def container_exited(self, container_id: ContainerID, wait_status: int, now: Now) -> Effects:
        found = self._executor_of(container_id)
        if found is not None:
            agent_executors.exited(self, *found, wait_status, now)
        return self.take_effects()

    # --- time ------------------------------------------------------------------------------------------------------

    def on_timer(self, now: Now) -> Effects:
        while (key := self.deadlines.due(now.mono)) is not None:
            assert isinstance(key, tuple)
            self._due(key, now)
        return self.take_effects()

    def _due(self, key: tuple[Any, ...], now: Now) -> None:
        match key:
            case ("update", framework_id, task_id):
                agent_forward.retry(self, (framework_id, task_id), now)
            case ("registration", container_id):
                found = self._executor_of(ContainerID(value=container_id))
                if found is not None:
                    agent_executors.registration_timeout(self, *found, now)
            case ("grace", container_id):
                found = self._executor_of(ContainerID(value=container_id))
                if found is not None:
                    agent_executors.change(self, *found, ExecutorChange.GRACE_OVER, now)
            case (agent_recovery.TIMEOUT,):
                agent_recovery.give_up_waiting(self, now)
                self._register_soon(now)
            case ("register",):
                self._register(now)
            case ("ping",):
                self._look_for_pings(now)
            case ("heartbeat",):
                agent_executors.send_heartbeats(self, now)
            case _:
                raise Bug(f"a deadline of an agent is called {key}")

    def _executor_of(self, container_id: ContainerID) -> tuple[Framework, Executor] | None:
        executor = self.executor_in(container_id)
        framework = self.framework(executor.framework_id) if executor is not None else None
        return (framework, executor) if executor is not None and framework is not None else None

    # --- registration ----------------------------------------------------------------------------------------------

    def _register_soon(self, now: Now) -> None:
        if self.phase is AgentPhase.DISCONNECTED and self.is_linked:
            self.backoff_s = self.options.registration_backoff_factor_s
            self.deadlines.set(_REGISTER, now.mono + self.disk.new_fraction() * self.backoff_s)

    def _register(self, now: Now) -> None:
        """Said again until it is answered, ever more seldom."""
        if self.phase is not AgentPhase.DISCONNECTED or not self.is_linked:
            return
        if self.disk.agent_id is None:
            self.tell_master(RegisterAgent(info=self.config.info))
        else:
            self.tell_master(self._reregistration())
        self.backoff_s = min(max(self.backoff_s * 2, 0.1), self.options.registration_retry_max_s)
        # at least half of it, so that a master that is slow to answer is not asked without end
        self.deadlines.set(_REGISTER, now.mono + self.backoff_s * (0.5 + self.disk.new_fraction() / 2))

    def _reregistration(self) -> ReregisterAgent:
        executors: list[ExecutorInfo] = []
        tasks: list[Task] = []
        for framework, executor in self.disk.executors():
            tasks += executor.launched.values()
            tasks += (executor.terminated or {}).values()
            executor_id = executor.info.executor_id
            tasks += (
                agent_statuses.task_of(self.agent_id, framework, executor_id, t) for t in executor.queued.values()
            )
            if executor.state is not ExecutorState.TERMINATED:
                info = executor.info
                executors.append(msgspec.structs.replace(info, framework_id=framework.info.id))
        return ReregisterAgent(
            info=self.info,
            total=self.total,
            frameworks=tuple(framework.info for framework in (self.disk.frameworks or {}).values()),
            executors=tuple(executors),
            tasks=tuple(tasks),
        )

    def _leave_master(self) -> None:
        if self.change(AgentChange.LOST_MASTER):
            agent_forward.pause(self)

    def _look_for_pings(self, now: Now) -> None:
        timeout = self.options.master_ping_timeout_s
        if timeout is None or self.phase is not AgentPhase.RUNNING:
            return
        if now.mono < self.heard_at + timeout:
            self.deadlines.set(_PING, self.heard_at + timeout)
            return
        self._leave_master()
        self._register_soon(now)

    # --- what a master says ----------------------------------------------------------------------------------------

    def _registered(self, message: AgentRegistered, now: Now) -> None:
        if self.disk.agent_id is not None and self.disk.agent_id != message.agent_id:
            return  # meant for somebody else: a real agent would end itself; a late answer of a former life it is
        if self.disk.info is None:
            self.disk.agent_id = message.agent_id
            self.disk.info = msgspec.structs.replace(self.config.info, id=message.agent_id)
        self.heard_at = now.mono
        if self.change(AgentChange.REGISTERED):
            self.deadlines.drop(_REGISTER)
            if self.options.master_ping_timeout_s is not None:
                self.deadlines.set(_PING, now.mono + self.options.master_ping_timeout_s)
            agent_forward.resume(self, now)
        if self.phase is AgentPhase.RUNNING:
            agent_tasks.reconcile(self, message.reconcile, now)

    def _ping(self, message: Ping, now: Now) -> None:
        self.heard_at = now.mono
        if self.disk.agent_id is not None:
            self.tell_master(Pong(agent_id=self.agent_id))
        if not message.connected:
            self._leave_master()
            self._register_soon(now)

    def _run_task(self, message: RunTask, now: Now) -> None:
        if message.task.executor is None:
            raise Bug(f"task {message.task.task_id.value} came to an agent without an executor")
        agent_tasks.run(self, message.framework, message.task.executor, (message.task,), now)

    def _run_group(self, message: RunTaskGroup, now: Now) -> None:
        agent_tasks.run(self, message.framework, message.executor, message.group.tasks, now, message.group)

    def _kill(self, message: KillTask, now: Now) -> None:
        agent_tasks.kill(self, message, now)

    def _acknowledge(self, message: AcknowledgeUpdate, now: Now) -> None:
        task_id = message.task_id.value
        key = message.framework_id.value, task_id
        outcome = agent_forward.acknowledged(self, key, message.uuid, now)
        framework = self.framework(message.framework_id.value)
        if framework is None or outcome is Acknowledgement.UNEXPECTED:
            return
        executor = framework.executor_of(task_id)
        if executor is None:  # of a task that nobody has here
            agent_executors.remove_if_idle(self, framework)
        elif outcome is Acknowledgement.DONE:
            agent_statuses.complete_task(self, executor, task_id)
            if executor.state is ExecutorState.TERMINATED and not executor.has_incomplete_tasks:
                agent_executors.remove(self, framework, executor)

    def _shutdown_executor(self, message: ShutdownExecutor, now: Now) -> None:
        framework = self.framework(message.framework_id.value)
        executor = framework.executors.get(message.executor_id.value) if framework is not None else None
        if framework is not None and executor is not None:
            agent_executors.change(self, framework, executor, ExecutorChange.SHUTDOWN, now)

    def _shutdown_framework(self, message: ShutdownFramework, now: Now) -> None:
        framework = self.framework(message.framework_id.value)
        if framework is not None:
            agent_executors.shutdown_framework(self, framework, now)

    def _update_framework(self, message: UpdateFramework, now: Now) -> None:
        framework_id = message.framework.id
        framework = self.framework(framework_id.value) if framework_id is not None else None
        if framework is not None:
            framework.info = message.framework
            agent_forward.resume(self, now, framework.id)

    def _message(self, message: MessageExecutor, now: Now) -> None:
        agent_tasks.deliver(self, message)

    def _operation(self, message: ApplyOperation, now: Now) -> None:
        agent_operations.apply(self, message)

    def _drain(self, message: DrainAgent, now: Now) -> None:
        agent_tasks.drain(self, message, now)

    def _reactivate(self, message: ReactivateAgent, now: Now) -> None:
        agent_tasks.reactivate(self)

    def _shutdown_by_master(self, message: ShutdownAgent, now: Now) -> None:
        self._shutdown(message.message, now)

    def _shutdown(self, message: str, now: Now) -> None:
        if not self.change(AgentChange.SHUTDOWN):
            return
        for framework in tuple((self.disk.frameworks or {}).values()):
            agent_executors.shutdown_framework(self, framework, now)
        if not self.disk.frameworks:
            agent_executors.end_if_empty(self)


_HEARD: dict[type[Any], Callable[[Agent, Any, Now], None]] = {
    AgentRegistered: Agent._registered,
    RunTask: Agent._run_task,
    RunTaskGroup: Agent._run_group,
    KillTask: Agent._kill,
    AcknowledgeUpdate: Agent._acknowledge,
    ShutdownExecutor: Agent._shutdown_executor,
    ShutdownFramework: Agent._shutdown_framework,
    UpdateFramework: Agent._update_framework,
    MessageExecutor: Agent._message,
    ApplyOperation: Agent._operation,
    DrainAgent: Agent._drain,
    ReactivateAgent: Agent._reactivate,
    ShutdownAgent: Agent._shutdown_by_master,
    Ping: Agent._ping,
}
