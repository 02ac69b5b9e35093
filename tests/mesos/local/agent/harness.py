"""An agent on a desk: a clock that is set by hand, a master and executors that are lists of what they were told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from mesos.core.executor_api import Call, Event, Speaker
from mesos.core.messages import (
    AgentID,
    AgentInfo,
    CapabilityInfo,
    CommandInfo,
    ContainerID,
    ExecutorID,
    ExecutorInfo,
    FrameworkID,
    FrameworkInfo,
    KillPolicy,
    Source,
    TaskGroupInfo,
    TaskID,
    TaskInfo,
    TaskStatus,
    ranges,
    scalar,
    text_attribute,
)
from mesos.local.core.agent import Agent, Answer
from mesos.local.core.agent_config import AgentConfig, AgentOptions
from mesos.local.core.agent_disk import AgentDisk
from mesos.local.core.protocol import (
    AcknowledgeUpdate,
    AgentEffect,
    AgentRegistered,
    CloseExecutor,
    EndAgent,
    FromAgent,
    FromMaster,
    KillContainer,
    KillTask,
    RegisterAgent,
    ReregisterAgent,
    RunTask,
    RunTaskGroup,
    SendExecutor,
    SendMaster,
    StartContainer,
    StatusUpdate,
)
from thermos.clock import Now

M = TypeVar("M")

AGENT = AgentID(value="m-S0")
FRAMEWORK = FrameworkID(value="m-0000")
RESOURCES = (scalar("cpus", 4), scalar("mem", 4096), scalar("disk", 8192), ranges("ports", (31000, 31099)))


def agent_info(**changes: object) -> AgentInfo:
    values: dict[str, object] = {
        "hostname": "agent0", "port": 5051, "resources": RESOURCES, "attributes": (text_attribute("rack", "a"),),
    }  # fmt: skip
    return AgentInfo(**(values | changes))  # type: ignore[arg-type]


def framework_info(checkpoint: bool = True, aware: bool = True, id_: FrameworkID = FRAMEWORK) -> FrameworkInfo:
    capabilities = (CapabilityInfo(type="PARTITION_AWARE"),) if aware else ()
    return FrameworkInfo(user="nobody", name="test", id=id_, checkpoint=checkpoint, capabilities=capabilities)


def executor_info(name: str = "ex") -> ExecutorInfo:
    return ExecutorInfo(
        executor_id=ExecutorID(value=name), framework_id=FRAMEWORK, command=CommandInfo(value="sleep 1000")
    )


def task_info(name: str, executor: str | None = "ex", policy: KillPolicy | None = None) -> TaskInfo:
    return TaskInfo(
        name=name,
        task_id=TaskID(value=name),
        agent_id=AGENT,
        resources=(scalar("cpus", 1),),
        executor=executor_info(executor) if executor is not None else None,
        kill_policy=policy,
    )


class Desk:
    """`seen` is what the master was told, `heard[container]` what executors were, `started` and `killed` containers."""

    def __init__(self, options: AgentOptions | None = None, disk: AgentDisk | None = None, **info: object) -> None:
        self.options = options or AgentOptions(master_ping_timeout_s=None)  # nobody pings
        self.config = AgentConfig(info=agent_info(**info), work_dir="/agent0", options=self.options)
        self.disk = disk or AgentDisk("seed")
        self.now = Now(1_000_000.0, 1000.0)
        self.seen: list[FromAgent] = []
        self.heard: dict[str, list[Event]] = {}
        self.started: list[StartContainer] = []
        self.killed: list[str] = []
        self.closed: list[str] = []
        self.ended: list[str] = []
        self.alive: set[str] = set()
        self.uuids = 0
        self.agent = Agent(self.config, self.disk)

    # --- the agent's life

    def start(self) -> Desk:
        self.perform(self.agent.start(self.now, self.alive))
        return self

    def register(self) -> Desk:
        self.start()
        return self.connect()

    def connect(self) -> Desk:
        self.perform(self.agent.connected(self.now))
        for _ in range(100):
            if any(isinstance(m, RegisterAgent | ReregisterAgent) for m in self.seen):
                break
            self.advance(0.1)
        else:
            raise AssertionError("the agent does not register")
        self.seen = [m for m in self.seen if not isinstance(m, RegisterAgent | ReregisterAgent)]
        self.say(AgentRegistered(agent_id=AGENT))
        return self

    def kill_9(self) -> Desk:
        """The agent dies between two events; containers live on."""
        self.agent = Agent(self.config, self.disk)
        self.heard.clear()
        return self

    def advance(self, seconds: float) -> None:
        end = self.now.mono + seconds
        while (wake := self.agent.next_wake) is not None and wake <= end:
            self.now = Now(self.now.wall + max(0.0, wake - self.now.mono), max(self.now.mono, wake))
            self.perform(self.agent.on_timer(self.now))
        self.now = Now(self.now.wall + end - self.now.mono, end)

    def perform(self, effects: Iterable[AgentEffect]) -> None:
        for effect in effects:
            match effect:
                case SendMaster(message=message):
                    self.seen.append(message)
                case SendExecutor(container_id=container_id, event=event):
                    self.heard.setdefault(container_id.value, []).append(event)
                case CloseExecutor(container_id=container_id):
                    self.closed.append(container_id.value)
                case StartContainer():
                    self.started.append(effect)
                    self.alive.add(effect.container_id.value)
                case KillContainer(container_id=container_id):
                    self.killed.append(container_id.value)
                case EndAgent(reason=reason):
                    self.ended.append(reason)

    # --- the master's side

    def say(self, message: FromMaster) -> None:
        self.perform(self.agent.from_master(message, self.now))

    def take(self, kind: type[M]) -> list[M]:
        """What the master was told of one kind; it is forgotten then."""
        taken = [m for m in self.seen if isinstance(m, kind)]
        self.seen = [m for m in self.seen if not isinstance(m, kind)]
        return taken

    def run(self, task: TaskInfo, framework: FrameworkInfo | None = None) -> None:
        self.say(RunTask(framework=framework or framework_info(), task=task))

    def run_group(self, *names: str, executor: str = "ex") -> None:
        group = TaskGroupInfo(tasks=tuple(task_info(name, None) for name in names))
        self.say(RunTaskGroup(framework=framework_info(), executor=executor_info(executor), group=group))

    def kill(self, name: str, policy: KillPolicy | None = None) -> None:
        self.say(KillTask(framework_id=FRAMEWORK, task_id=TaskID(value=name), kill_policy=policy))

    def acknowledge(self, update: StatusUpdate) -> None:
        self.say(
            AcknowledgeUpdate(framework_id=update.framework_id, task_id=update.status.task_id, uuid=update.status.uuid)
        )

    def statuses(self) -> list[TaskStatus]:
        return [update.status for update in self.take(StatusUpdate)]

    # --- executors

    def container(self, executor: str = "ex") -> str:
        return next(s.container_id.value for s in reversed(self.started) if s.executor.executor_id.value == executor)

    def call(self, call: Call, token: str | None = None) -> Answer:
        answer = self.agent.executor_call(call, token, self.now)
        if answer.status == 200 and answer.container_id is not None:
            self.heard[answer.container_id.value] = []
        self.perform(answer.effects)
        return answer

    def subscribe(
        self, executor: str = "ex", tasks: Iterable[TaskInfo] = (), updates: Iterable[TaskStatus] = ()
    ) -> list[Event]:
        answer = self.call(speaker(executor).subscribe(tuple(tasks), tuple(updates)))
        assert answer.status == 200, answer
        assert answer.container_id is not None
        return self.take_events(executor, answer.container_id.value)

    def take_events(self, executor: str = "ex", container: str | None = None) -> list[Event]:
        return self.heard.pop(container or self.container(executor), [])

    def new_uuid(self) -> bytes:
        self.uuids += 1
        return self.uuids.to_bytes(16, "big")

    def status(self, task: str, state: str, executor: str = "ex") -> TaskStatus:
        return TaskStatus(
            task_id=TaskID(value=task),
            state=state,
            source=Source.EXECUTOR,
            executor_id=ExecutorID(value=executor),
            uuid=self.new_uuid(),
            timestamp=self.now.wall,
        )

    def update(self, task: str, state: str, executor: str = "ex") -> TaskStatus:
        status = self.status(task, state, executor)
        answer = self.call(speaker(executor).update(status))
        assert answer.status == 202, answer
        return status

    def exit(self, executor: str = "ex", status: int = 0, container: str | None = None) -> None:
        container_id = container or self.container(executor)
        self.alive.discard(container_id)
        self.perform(self.agent.container_exited(ContainerID(value=container_id), status, self.now))

    def running(self, task: str = "t1", executor: str = "ex") -> Desk:
        """A registered agent, one task that runs, all acknowledged."""
        self.run(task_info(task, executor))
        self.subscribe(executor)
        self.update(task, "TASK_RUNNING", executor)
        for update in self.take(StatusUpdate):
            self.acknowledge(update)
        self.take_events(executor)
        return self


def speaker(executor: str = "ex") -> Speaker:
    return Speaker(framework_id=FRAMEWORK, executor_id=ExecutorID(value=executor))


def kinds(events: Iterable[Event]) -> list[str]:
    return [str(event.type) for event in events]
