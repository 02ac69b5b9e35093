"""What all parts of an agent work on: its configuration, its disk, what it knows of its master, and what it wants done.

Every public method of `Agent` collects effects in `out` and gives them back; nothing is performed here. `agent_*`
modules are functions over this state, one noun each.
"""

from __future__ import annotations

from mesos.core import executor_api
from mesos.core.messages import AgentID, AgentInfo, Capability, ContainerID, FrameworkInfo, Resource
from mesos.local.core.agent_config import AgentConfig, AgentOptions
from mesos.local.core.agent_deadlines import Deadlines
from mesos.local.core.agent_disk import AgentDisk, Executor, Framework
from mesos.local.core.agent_states import AgentChange, AgentPhase, step_agent
from mesos.local.core.protocol import AgentEffect, FromAgent, SendExecutor, SendMaster

Effects = tuple[AgentEffect, ...]

#: What an agent counts, shown by /metrics/snapshot as "slave/<name>".
COUNTS = (
    "container_launch_errors", "executors_preempted", "executors_terminated", "invalid_framework_messages",
    "invalid_status_updates", "recovery_errors", "tasks_failed", "tasks_finished", "tasks_gone", "tasks_killed",
    "tasks_lost", "valid_framework_messages", "valid_status_updates",
)  # fmt: skip


class AgentState:
    __slots__ = (
        "backoff_s", "config", "counts", "deadlines", "disk", "disowned", "executors_by_container", "heard_at",
        "is_linked", "out", "phase", "started_at",
    )  # fmt: skip

    def __init__(self, config: AgentConfig, disk: AgentDisk) -> None:
        self.config = config
        self.disk = disk
        self.phase = AgentPhase.RECOVERING
        self.is_linked = False  # a leading master can be reached
        self.heard_at = 0.0  # monotonic, of the last ping
        self.backoff_s = 0.0
        self.started_at = 0.0  # epoch seconds
        self.deadlines = Deadlines()
        self.executors_by_container: dict[str, Executor] | None = None
        self.counts: dict[str, int] | None = None
        self.disowned: dict[tuple[str, str], None] | None = None  # tasks that were said to be unknown here
        self.out: list[AgentEffect] = []

    # --- looking ---------------------------------------------------------------------------------------------------

    @property
    def options(self) -> AgentOptions:
        return self.config.options

    @property
    def agent_id(self) -> AgentID:
        assert self.disk.agent_id is not None, "used only when registered once"
        return self.disk.agent_id

    @property
    def info(self) -> AgentInfo:
        """As the agent registers: with its id once it has one."""
        return self.disk.info or self.config.info

    @property
    def total(self) -> tuple[Resource, ...]:
        """With reservations and volumes."""
        return self.disk.total if self.disk.total is not None else self.config.info.resources

    def framework(self, framework_id: str) -> Framework | None:
        return self.disk.frameworks.get(framework_id) if self.disk.frameworks else None

    def executor(self, framework_id: str, executor_id: str) -> Executor | None:
        framework = self.framework(framework_id)
        return framework.executors.get(executor_id) if framework is not None else None

    def executor_in(self, container_id: ContainerID) -> Executor | None:
        return (self.executors_by_container or {}).get(container_id.value)

    # --- doing -----------------------------------------------------------------------------------------------------

    def change(self, change: AgentChange) -> bool:
        """Whether the phase is another one now."""
        before, self.phase = self.phase, step_agent(self.phase, change)
        return self.phase is not before

    def count(self, name: str) -> None:
        if self.counts is None:
            self.counts = {}
        self.counts[name] = self.counts.get(name, 0) + 1

    def tell_master(self, message: FromAgent) -> None:
        if self.is_linked:
            self.out.append(SendMaster(message=message))

    def tell_executor(self, executor: Executor, event: executor_api.Event) -> None:
        """Dropped when it has no stream, as in Mesos."""
        if executor.is_connected:
            self.out.append(SendExecutor(container_id=executor.container_id, event=event))

    def take_effects(self) -> Effects:
        effects, self.out = tuple(self.out), []
        return effects


def is_partition_aware(framework: FrameworkInfo) -> bool:
    return framework.can(Capability.PARTITION_AWARE)
