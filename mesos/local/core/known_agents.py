"""An agent as the master keeps it: what runs there, what is offered of it, and whether it is heard of.

`used` is what tasks and executors hold; what is free, and the total, the allocator keeps.
"""

from __future__ import annotations

from mesos.core.messages import URL, Address, AgentID, AgentInfo, ExecutorInfo, Unavailability
from mesos.local.core.operations import OperationRecord
from mesos.local.core.registry import Drain
from mesos.local.core.resources import NONE, Resources
from mesos.local.core.tasks import TaskRecord

#: How the name of an executor begins that was made for a command task. It is in no master's books.
COMMAND_EXECUTOR = "Command Executor (Task: "

#: Hostname and IP address, as maintenance knows a machine.
Machine = tuple[str, str]


class ExecutorRecord:
    __slots__ = ("info", "resources")

    def __init__(self, info: ExecutorInfo, resources: Resources) -> None:
        self.info, self.resources = info, resources


class Agent:
    __slots__ = ("connected", "deactivated", "drain", "executors", "id", "info", "inverse_offers", "killed", "link",
                 "machine", "offers", "operations", "pinged", "registered_at", "reregistered_at", "session", "tasks",
                 "timeouts", "unavailability", "url", "used")  # fmt: skip

    def __init__(self, agent: str, info: AgentInfo, link: str, ip: str, registered_at: float) -> None:
        self.id, self.info, self.link = agent, info, link
        self.machine: Machine = (info.hostname, ip)
        self.url = URL(scheme="http", address=Address(hostname=info.hostname, ip=ip, port=info.port), path="/slave(1)")
        self.registered_at = registered_at
        self.reregistered_at: float | None = None
        self.connected = True
        self.deactivated = False
        self.drain: Drain | None = None
        self.session = 0  # registrations so far: pings of an old one are none
        self.pinged = False
        self.timeouts = 0
        self.unavailability: Unavailability | None = None
        self.tasks: dict[str, dict[str, TaskRecord]] = {}  # framework -> task
        self.executors: dict[str, dict[str, ExecutorRecord]] = {}  # framework -> executor
        self.offers: dict[str, None] = {}
        self.inverse_offers: dict[str, str] = {}  # framework -> inverse offer
        self.operations: dict[bytes, OperationRecord] = {}
        self.killed: dict[tuple[str, str], None] = {}  # (framework, task) whose end is wanted
        self.used: Resources = NONE

    @property
    def agent_id(self) -> AgentID:
        return AgentID(value=self.id)

    @property
    def pid(self) -> str:
        """As libprocess would name it; people know it from Mesos' pages."""
        address = self.url.address
        return f"slave(1)@{address.ip}:{address.port}"

    @property
    def offered(self) -> bool:
        """Whether its resources may be offered."""
        return self.connected and not self.deactivated

    def executor(self, framework: str, executor: str) -> ExecutorRecord | None:
        return self.executors.get(framework, {}).get(executor)

    def task(self, framework: str, task: str) -> TaskRecord | None:
        return self.tasks.get(framework, {}).get(task)

    def holds(self, framework: str) -> list[Resources]:
        """What of the framework's holds resources here."""
        tasks = [task.resources for task in self.tasks.get(framework, {}).values() if not task.over]
        return tasks + [executor.resources for executor in self.executors.get(framework, {}).values()]

    @property
    def frameworks(self) -> list[str]:
        """With tasks or executors here."""
        return list(dict.fromkeys([*self.tasks, *self.executors]))

    @property
    def is_empty(self) -> bool:
        """Nothing left that a drain would wait for."""
        return not any(self.tasks.values()) and not self.operations
