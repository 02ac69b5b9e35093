"""An update played through on a job of paper, by the machine that will run it: every task starts and stops in a given
time, nothing fails, a pause is ended at once.

Source: spec/scheduler.md §4.3, §4.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush

from msgspec import structs

from scheduler.core.model import AssignedTask, ScheduledTask, TaskConfig, TaskEvent
from scheduler.core.states import AGENT_ASSIGNED, ScheduleStatus
from scheduler.core.update_decision import Act, AddInstance
from scheduler.core.update_machine import step
from scheduler.core.update_model import (
    UPDATE_ACTIVE,
    JobInstanceUpdateEvent,
    JobUpdate,
    JobUpdateEvent,
    JobUpdateInstructions,
    JobUpdateKey,
    JobUpdateStatus,
    JobUpdateSummary,
)
from scheduler.core.update_pace import Pace
from scheduler.core.update_progress import FORWARD_WORDS, Progress, is_auto_pause
from scheduler.core.update_strategy import order_of
from thermos.errors import Bug

_S = ScheduleStatus


@dataclass(slots=True)
class Beginning:
    """Instances that began together; the lowest number that ran from then until others began."""

    instances: tuple[int, ...]
    at_ms: int
    pauses_before: bool
    lowest_running: int


@dataclass(frozen=True, slots=True)
class Rehearsed:
    beginnings: tuple[Beginning, ...]
    took_ms: int
    running: int  # in the end


def rehearse(instructions: JobUpdateInstructions, active: Mapping[int, ScheduledTask], pace: Pace) -> Rehearsed:
    """`active`: the active task of each instance of the job. Raises Bug if it comes to no end."""
    stage = _Stage(instructions, active, pace)
    for _ in range(_STEPS * (len(order_of(instructions)) + 1)):
        if stage.progress.status not in UPDATE_ACTIVE:
            return Rehearsed(tuple(stage.beginnings), stage.now_ms - _BEGIN_MS, stage.running)
        stage.play()
    raise Bug("cannot plan the update: its rehearsal comes to no end")


#: Steps of one instance: it begins, ends, is added, runs, is watched, pauses; a few more do no harm.
_STEPS = 12

#: Moments of the rehearsal are wall time, of which 0 is none.
_BEGIN_MS = 1_000_000_000_000


@dataclass
class _Stage:
    instructions: JobUpdateInstructions
    active: Mapping[int, ScheduledTask]
    pace: Pace
    now_ms: int = _BEGIN_MS
    paused: bool = False
    beginnings: list[Beginning] = field(default_factory=list)
    agenda: list[tuple[int, int]] = field(default_factory=list)  # when something happens to which instance
    events: list[JobUpdateEvent] = field(default_factory=list)
    instance_events: list[JobInstanceUpdateEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.progress = Progress(_update(self.instructions))
        self.tasks = {instance: structs.replace(task, task_events=()) for instance, task in self.active.items()}
        self.running = sum(task.status is _S.RUNNING for task in self.tasks.values())
        for instance, task in self.tasks.items():
            if task.status is _S.KILLING:
                heappush(self.agenda, (self.now_ms + self.pace.stop_ms, instance))
        self._store(JobUpdateEvent(status=JobUpdateStatus.ROLLING_FORWARD, timestamp_ms=self.now_ms))
        self.progress.catch_up(self.events, self.instance_events)

    def play(self) -> None:
        """One step, and what it asks for; time goes on when nothing more is to be done at this moment."""
        decision = step(self.progress, self._look, 0, self.now_ms)
        begun = [each.instance_id for each in decision.instance_events if each.action is FORWARD_WORDS.begun]
        if begun:
            self.beginnings.append(Beginning(tuple(begun), self.now_ms - _BEGIN_MS, self.paused, self.running))
            self.paused = False
        self.instance_events += decision.instance_events
        if decision.event is not None:
            self._store(decision.event)
        if decision.event is not None and is_auto_pause(decision.event):
            self.paused = True
            self._store(JobUpdateEvent(status=JobUpdateStatus.ROLLING_FORWARD, timestamp_ms=self.now_ms))
        self.progress.catch_up(self.events, self.instance_events)
        for act in decision.acts:
            self._perform(act)
        if self.beginnings:
            last = self.beginnings[-1]
            last.lowest_running = min(last.lowest_running, self.running)
        if decision.event is None:
            self._pass(decision.wake_at_ms)

    def _pass(self, wake_at_ms: int | None) -> None:
        """To the next moment at which something happens, and all that happens then."""
        moments = [at for at in (wake_at_ms, self.agenda[0][0] if self.agenda else None) if at is not None]
        if self.progress.status in UPDATE_ACTIVE and moments:
            self.now_ms = max(self.now_ms, min(moments))
        while self.agenda and self.agenda[0][0] <= self.now_ms:
            self._happen(heappop(self.agenda)[1])

    def _happen(self, instance: int) -> None:
        """Its task has stopped, or has become healthy."""
        task = self.tasks[instance]
        if task.status is _S.KILLING:
            del self.tasks[instance]
        else:
            running = TaskEvent(timestamp=self.now_ms, status=_S.RUNNING)
            self.tasks[instance] = structs.replace(task, status=_S.RUNNING, task_events=(running,))
            self.running += 1

    def _perform(self, act: Act) -> None:
        if isinstance(act, AddInstance):
            self.tasks[act.instance] = _starting(act.config, act.instance)
            heappush(self.agenda, (self.now_ms + self.pace.start_ms, act.instance))
            return
        task = self.tasks[act.instance]
        self.running -= task.status is _S.RUNNING
        stops_at = self.now_ms + (self.pace.stop_ms if task.status in AGENT_ASSIGNED else 0)
        self.tasks[act.instance] = structs.replace(task, status=_S.KILLING)
        heappush(self.agenda, (stops_at, act.instance))

    def _look(self, instance: int) -> tuple[ScheduledTask, ...]:
        task = self.tasks.get(instance)
        return () if task is None else (task,)

    def _store(self, event: JobUpdateEvent) -> None:
        self.events.append(event)


def _starting(config: TaskConfig, instance: int) -> ScheduledTask:
    assigned = AssignedTask(task_id=str(instance), task=config, instance_id=instance)
    return ScheduledTask(assigned_task=assigned, status=_S.STARTING)


def _update(instructions: JobUpdateInstructions) -> JobUpdate:
    """Nobody is asked in a rehearsal, and nobody is waited for."""
    settings = structs.replace(
        instructions.settings, block_if_no_pulses_after_ms=0, sla_aware=False, progress_deadline_ms=0
    )
    desired = instructions.desired_state
    config = desired.task if desired is not None else instructions.initial_state[0].task
    summary = JobUpdateSummary(key=JobUpdateKey(job=config.job, id="plan"), user="")
    return JobUpdate(summary=summary, instructions=structs.replace(instructions, settings=settings))
