"""What a step of an update decides: events to store, acts on its instances, and what it waits for.

Source: spec/scheduler.md §4.4, §4.7.
"""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.core.model import SlaPolicy, TaskConfig
from scheduler.core.update_model import JobInstanceUpdateEvent, JobUpdateEvent
from scheduler.core.update_watch import Waiting


@dataclass(frozen=True, slots=True)
class KillInstance:
    """`policy`: only if it allows it; asked for again in every step until the task is KILLING.
    `keep_agent`: to be reserved for the task that follows."""

    instance: int
    task_id: str
    message: str
    policy: SlaPolicy | None = None
    keep_agent: str | None = None


@dataclass(frozen=True, slots=True)
class AddInstance:
    instance: int
    config: TaskConfig


Act = KillInstance | AddInstance


@dataclass(frozen=True, slots=True)
class UpdateDecision:
    """To be stored and done in this order. `wake_at_ms`: wall time of the next step, if nothing happens before."""

    instance_events: tuple[JobInstanceUpdateEvent, ...] = ()
    event: JobUpdateEvent | None = None
    acts: tuple[Act, ...] = ()
    waits_for: tuple[Waiting, ...] = ()
    wake_at_ms: int | None = None

    @property
    def is_quiet(self) -> bool:
        """Nothing is to be stored or done."""
        return not (self.instance_events or self.acts) and self.event is None
