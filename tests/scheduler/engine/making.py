"""Worlds and jobs for the tests of one behaviour each."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from mesos.core.messages import AgentID, TaskID, TaskState, TaskStatus
from scheduler.core.backoff import Backoff
from scheduler.core.groups import GroupRules
from scheduler.core.model import Constraint, PartitionPolicy, ScheduledTask, TaskConfig
from scheduler.engine import EngineSettings
from tests.scheduler.core.making import SETTINGS, config
from tests.scheduler.engine.harness import World


def world(agents: int = 4, **settings: Any) -> World:
    """Subscribed; a pause of a group is never longer than a second."""
    rules = {"groups": GroupRules(penalty=Backoff(0.5, 1.0)), "startup_delay_s": 0.0, **settings}
    made = World(EngineSettings(SETTINGS, **rules), agents=agents)
    made.subscribe()
    return made


def service(*constraints: Constraint, policy: PartitionPolicy | None = None, **wishes: Any) -> TaskConfig:
    return structs.replace(config(*constraints, **wishes), is_service=True, partition_policy=policy)


def status(
    task_id: str, state: str, message: str = "", reason: str = "", agent: str = "a0", uuid: bytes = b"u"
) -> TaskStatus:
    return TaskStatus(
        task_id=TaskID(value=task_id),
        state=state,
        message=message,
        reason=reason,
        agent_id=AgentID(value=agent) if agent else None,
        uuid=uuid,
    )


def hear(made: World, *statuses: TaskStatus) -> None:
    made.act(lambda turn: made.engine.statuses(turn, statuses))


def messages(task: ScheduledTask) -> list[tuple[str, str]]:
    return [(event.status.value, event.message) for event in task.task_events]


__all__ = ["TaskState", "hear", "messages", "service", "status", "world"]
