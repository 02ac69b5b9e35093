"""A service layer on a real engine and real tables, without a journal: every turn is durable at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from mesos.core.messages import Offer
from scheduler.core.effects import Effect
from scheduler.core.executors import LaunchSettings
from scheduler.core.model import InstanceKey, JobConfiguration, JobKey, ScheduledTask, TaskConfig
from scheduler.core.states import ScheduleStatus
from scheduler.core.update_model import (
    InstanceRange,
    InstanceTaskConfig,
    JobUpdate,
    JobUpdateEvent,
    JobUpdateInstructions,
    JobUpdateKey,
    JobUpdateSettings,
    JobUpdateStatus,
    JobUpdateSummary,
)
from scheduler.core.validation import Rules
from scheduler.engine import Engine, EngineSettings
from scheduler.service import jobs
from scheduler.service.context import Context, ServiceSettings
from scheduler.service.refusals import Refusal, RefusalCode
from scheduler.store.ops import Op, SaveJobUpdate, SaveJobUpdateEvents
from scheduler.store.tables import Tables
from scheduler.store.trial import Trial
from scheduler.turn import Turn
from tests.scheduler.core.making import JOB, SETTINGS, config
from thermos.clock import Now

T = TypeVar("T")
S = ScheduleStatus
RUNNING = (S.ASSIGNED, S.STARTING, S.RUNNING)


class Desk:
    def __init__(self, rules: Rules | None = None, launch: LaunchSettings = SETTINGS, **settings: Any) -> None:
        numbers = itertools.count()
        self.wall, self.mono = 1_700_000_000.0, 1000.0
        self.tables = Tables()
        self.engine = Engine(self.tables, EngineSettings(launch), lambda: 0.5, lambda: f"uuid{next(numbers)}")
        self.context = Context(
            self.engine, ServiceSettings(cluster="rz1", rules=rules or Rules(), web_url="http://s:8081", **settings)
        )
        self.effects: list[Effect] = []
        self.act(self.engine.start)
        self.act(lambda turn: self.engine.registered(turn, "f", False))

    @property
    def now(self) -> Now:
        return Now(self.wall, self.mono)

    def tick(self, seconds: float) -> None:
        self.wall += seconds
        self.mono += seconds

    def act(self, decide: Callable[[Turn], T]) -> T:
        """A refusal has changed nothing."""
        turn = Turn(Trial(self.tables), self.now)
        applied = self.tables.applied
        try:
            result = decide(turn)
        except Refusal:
            assert not turn.trial.ops and not turn.effects and self.tables.applied == applied
            raise
        self.effects += turn.effects
        return result

    def apply(self, *operations: Op) -> None:
        def decide(turn: Turn) -> None:
            for op in operations:
                turn.apply(op)

        self.act(decide)

    def step(self, seconds: float = 1.0) -> None:
        """Time passes, and what is due is done."""
        self.tick(seconds)
        for _ in range(20):
            self.act(self.engine.step)

    def offers(self, *offers: Offer) -> None:
        self.act(lambda turn: self.engine.offers(turn, offers))

    # --- jobs

    def create(self, wanted: TaskConfig | None = None, count: int = 1, who: str = "jane") -> jobs.JobCreated:
        asked = job_of(wanted or config(), count)
        return self.act(lambda turn: jobs.create_job(self.context, turn, asked, who))

    def move(self, instance: int, *statuses: ScheduleStatus, job: JobKey = JOB, message: str = "") -> ScheduledTask:
        """The active task of an instance goes through these states; the task as it is then."""
        task = self.active(instance, job)
        for status in statuses:
            self.act(lambda turn, to=status: self.engine.change(turn, task.id, to, message))  # type: ignore[misc]
        found = self.tables.tasks.get(task.id)
        assert found is not None
        return found

    def active(self, instance: int, job: JobKey = JOB) -> ScheduledTask:
        found = self.tables.tasks.active(InstanceKey(job_key=job, instance_id=instance))
        assert found is not None
        return found

    def instances(self, job: JobKey = JOB) -> list[int]:
        return sorted(task.assigned_task.instance_id for task in self.tables.tasks.active_of_job(job))

    def begin_update(
        self, job: JobKey = JOB, before: tuple[InstanceTaskConfig, ...] = (), after: InstanceTaskConfig | None = None
    ) -> JobUpdateKey:
        key = JobUpdateKey(job=job, id=f"u{len(self.tables.updates)}")
        instructions = JobUpdateInstructions(settings=JobUpdateSettings(), initial_state=before, desired_state=after)
        summary = JobUpdateSummary(key=key, user="jane")
        event = JobUpdateEvent(status=JobUpdateStatus.ROLLING_FORWARD, timestamp_ms=1)
        self.apply(
            SaveJobUpdate(update=JobUpdate(summary=summary, instructions=instructions)),
            SaveJobUpdateEvents(key=key, events=(event,)),
        )
        return key

    def end_update(self, key: JobUpdateKey) -> None:
        ended = JobUpdateEvent(status=JobUpdateStatus.ABORTED, timestamp_ms=2)
        self.apply(SaveJobUpdateEvents(key=key, events=(ended,)))


def job_of(wanted: TaskConfig, count: int = 1, **more: Any) -> JobConfiguration:
    return JobConfiguration(key=wanted.job, task_config=wanted, instance_count=count, **more)


def group(wanted: TaskConfig, first: int, last: int) -> InstanceTaskConfig:
    return InstanceTaskConfig(task=wanted, instances=(InstanceRange(first=first, last=last),))


def refused(ask: Callable[[], object]) -> tuple[RefusalCode, str]:
    with pytest.raises(Refusal) as caught:
        ask()
    assert "\n" not in str(caught.value)
    return caught.value.code, str(caught.value)
