"""What the embedded master and its agents say to each other, and what each asks of its rim.

Inside real Mesos this is protobuf over libprocess, which nobody but Mesos speaks; here it is plain frozen structs, so
that a simulated agent costs no socket, and a message can be dropped, delayed, doubled or held back (the fault
switchboard). Delivery is at most once and, without faults, in order per pair; both sides must live with less.

Master and agents are machines without I/O: `handle(message, now) -> effects`. `Effect`s are what the rim performs.
"""

from __future__ import annotations

from mesos.core import executor_api, scheduler_api
from mesos.core.messages import (
    AgentID,
    AgentInfo,
    ContainerID,
    DiscoveryInfo,
    DurationInfo,
    ExecutorID,
    ExecutorInfo,
    FrameworkID,
    FrameworkInfo,
    KillPolicy,
    Labels,
    Message,
    Operation,
    OperationStatus,
    Resource,
    TaskGroupInfo,
    TaskID,
    TaskInfo,
    TaskStatus,
)


class Task(Message, frozen=True):
    """A task as master and agent keep it, and as the operator API shows it.

    `state` is the newest that the agent knows; `status_update_state` and `_uuid` belong to the update that is
    not acknowledged yet (or was acknowledged last).
    """

    name: str
    task_id: TaskID
    framework_id: FrameworkID
    agent_id: AgentID
    state: str
    resources: tuple[Resource, ...] = ()
    executor_id: ExecutorID | None = None
    statuses: tuple[TaskStatus, ...] = ()
    status_update_state: str = ""
    status_update_uuid: bytes = b""
    labels: Labels | None = None
    discovery: DiscoveryInfo | None = None


# --- agent to master ---------------------------------------------------------------------------------------------


class RegisterAgent(Message, frozen=True):
    """A new agent; `info` has no id yet, `info.resources` is all that it has."""

    info: AgentInfo


class ReregisterAgent(Message, frozen=True):
    """An agent that has an id: after its own restart, the master's, or a lost connection. `info.resources` is what it
    was configured with; `total` has its reservations and volumes too."""

    info: AgentInfo
    total: tuple[Resource, ...] = ()
    frameworks: tuple[FrameworkInfo, ...] = ()
    executors: tuple[ExecutorInfo, ...] = ()
    tasks: tuple[Task, ...] = ()


class UnregisterAgent(Message, frozen=True):
    """It ends for good, and its tasks with it."""

    agent_id: AgentID


class StatusUpdate(Message, frozen=True):
    """Of a task. `latest_state` is where the agent knows the task to be, perhaps ahead of `status`."""

    framework_id: FrameworkID
    agent_id: AgentID
    status: TaskStatus
    latest_state: str


class ExecutorExited(Message, frozen=True):
    """`status` is a wait status (an exit code n is n * 256)."""

    framework_id: FrameworkID
    agent_id: AgentID
    executor_id: ExecutorID
    status: int


class ExecutorMessage(Message, frozen=True):
    framework_id: FrameworkID
    agent_id: AgentID
    executor_id: ExecutorID
    data: bytes


class OperationUpdate(Message, frozen=True):
    """What became of an operation; `total` is what the agent has now."""

    agent_id: AgentID
    operation_uuid: bytes
    status: OperationStatus
    total: tuple[Resource, ...]
    framework_id: FrameworkID | None = None


class Pong(Message, frozen=True):
    agent_id: AgentID


# --- master to agent ---------------------------------------------------------------------------------------------


class TaskOf(Message, frozen=True):
    """`state` is what an agent that does not know it says: TASK_DROPPED, or TASK_LOST in the old tongue."""

    framework_id: FrameworkID
    task_id: TaskID
    state: str


class AgentRegistered(Message, frozen=True):
    """Also the answer to ReregisterAgent (with the same id). `reconcile` names tasks that the agent did not mention:
    those that it does not know to this moment it reports as dropped, a status update like any other."""

    agent_id: AgentID
    reconcile: tuple[TaskOf, ...] = ()


class RunTask(Message, frozen=True):
    """`task.executor` is set."""

    framework: FrameworkInfo
    task: TaskInfo


class RunTaskGroup(Message, frozen=True):
    framework: FrameworkInfo
    executor: ExecutorInfo
    group: TaskGroupInfo


class KillTask(Message, frozen=True):
    framework_id: FrameworkID
    task_id: TaskID
    kill_policy: KillPolicy | None = None


class AcknowledgeUpdate(Message, frozen=True):
    framework_id: FrameworkID
    task_id: TaskID
    uuid: bytes


class ShutdownExecutor(Message, frozen=True):
    framework_id: FrameworkID
    executor_id: ExecutorID


class ShutdownFramework(Message, frozen=True):
    framework_id: FrameworkID


class UpdateFramework(Message, frozen=True):
    framework: FrameworkInfo


class MessageExecutor(Message, frozen=True):
    framework_id: FrameworkID
    executor_id: ExecutorID
    data: bytes


class ApplyOperation(Message, frozen=True):
    """RESERVE, UNRESERVE, CREATE, DESTROY: the agent's resources change."""

    operation_uuid: bytes
    operation: Operation
    framework_id: FrameworkID | None = None


class DrainAgent(Message, frozen=True):
    """Kill all tasks, each with at most this grace period, and take no new ones until reactivated."""

    max_grace_period: DurationInfo | None = None
    mark_gone: bool = False


class ReactivateAgent(Message, frozen=True):
    pass


class ShutdownAgent(Message, frozen=True):
    """Kill everything and end."""

    message: str = ""


class Ping(Message, frozen=True):
    """`connected`: the master believes that the agent is registered; if not, the agent registers again."""

    connected: bool = True


FromAgent = (
    RegisterAgent | ReregisterAgent | UnregisterAgent | StatusUpdate | ExecutorExited | ExecutorMessage
    | OperationUpdate | Pong
)  # fmt: skip
FromMaster = (
    AgentRegistered | RunTask | RunTaskGroup | KillTask | AcknowledgeUpdate | ShutdownExecutor | ShutdownFramework
    | UpdateFramework | MessageExecutor | ApplyOperation | DrainAgent | ReactivateAgent | ShutdownAgent | Ping
)  # fmt: skip


# --- effects: what the machines ask of their rims -----------------------------------------------------------------


class SendEvent(Message, frozen=True):
    """Master: write this event to a framework's stream (by Mesos-Stream-Id)."""

    stream_id: str
    event: scheduler_api.Event


class CloseStream(Message, frozen=True):
    """Master: end this framework's stream, after what was sent to it."""

    stream_id: str


class SendAgent(Message, frozen=True):
    """Master: over the link to an agent. `link` names the connection: an agent that has no id yet has one, too."""

    link: str
    message: FromMaster


class SendMaster(Message, frozen=True):
    """Agent: over its link to the master."""

    message: FromAgent


class SendExecutor(Message, frozen=True):
    """Agent: write this event to an executor's stream."""

    container_id: ContainerID
    event: executor_api.Event


class CloseExecutor(Message, frozen=True):
    """Agent: end this executor's stream, after what was sent to it."""

    container_id: ContainerID


class StartContainer(Message, frozen=True):
    """Agent: make `directory`, fetch the command's URIs into it, start the command there with this environment."""

    container_id: ContainerID
    executor: ExecutorInfo
    framework: FrameworkInfo
    directory: str
    environment: dict[str, str]
    user: str = ""


class KillContainer(Message, frozen=True):
    """Agent: SIGKILL to all of it; its end is told as usual."""

    container_id: ContainerID


class EndAgent(Message, frozen=True):
    """Agent: its process would end now."""

    reason: str


MasterEffect = SendEvent | CloseStream | SendAgent
AgentEffect = SendMaster | SendExecutor | CloseExecutor | StartContainer | KillContainer | EndAgent
