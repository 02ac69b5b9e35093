"""Runs the updates of jobs: steps each one when something of it may have changed, and keeps what it needs for that.

    a task of the job moved ─┐
    a pulse, a wish          ├─▶ due ─▶ step: events, kills, new tasks ─▶ due again when the machine says so
    its time has come        ─┘

What an update is and how far it is stands in the tables (scheduler.core.update_machine); here is only what follows from
them, so a restart at any moment goes on. Only the moments of pulses are in nothing but memory.

Tasks are only judged by what the master says now: nothing is stepped while it can't be heard, and an update from before
a subscription, or from before a commit that failed, waits a moment, until the answers about its tasks are there. An
update with very many instances in the works rests between its steps, so that they take a part of the time only.

Source: spec/scheduler.md §4.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from scheduler.core.deadlines import Deadlines
from scheduler.core.model import InstanceKey, JobKey, ScheduledTask
from scheduler.core.update_decision import UpdateDecision
from scheduler.core.update_machine import broken, decide_wish, step
from scheduler.core.update_model import (
    UPDATE_ACTIVE,
    JobUpdate,
    JobUpdateEvent,
    JobUpdateKey,
    JobUpdateQuery,
    JobUpdateStatus,
)
from scheduler.core.update_progress import Progress
from scheduler.core.update_prune import prunable_updates
from scheduler.core.update_pulse import JobUpdatePulseStatus, answer_pulse, pulse_after_restart
from scheduler.core.update_states import ROLLING, Wish
from scheduler.core.update_watch import Wait, Waiting, WaitKind, last_change_ms, waiting
from scheduler.engine_settings import EngineSettings
from scheduler.engine_stats import EngineStats
from scheduler.state_manager import Move
from scheduler.store.ops import DeleteJobUpdates, SaveJobUpdate
from scheduler.store.tables import Tables
from scheduler.store.update_table import UpdateEntry
from scheduler.turn import Turn
from scheduler.update_acts import UpdateActs
from thermos.clock import Now
from thermos.errors import Bug

#: One step of the engine steps so many updates at most.
UPDATES_PER_STEP = 20

#: Updates that were there before it wait so long for answers about their tasks.
SETTLE_S = 2.0

#: An update with more instances in the works than `SMALL` rests for so long per instance after each step.
SMALL, REST_PER_INSTANCE_S = 100, 0.0001

#: An update passes through no more statuses at one moment.
MOST_STATUSES = 10

_log = logging.getLogger("aurora.scheduler")


@dataclass(slots=True)
class UpdateMemory:
    """What the tables don't have, and what is kept when everything else is made anew. `failed`: updates whose acts
    could not be done, and why; that is stored first of all then. `since_ms`: since when the master is there, or is not;
    wall time."""

    pulses: dict[JobUpdateKey, int] = field(default_factory=dict)
    failed: dict[JobUpdateKey, str] = field(default_factory=dict)
    since_ms: int = 0


@dataclass(slots=True)
class _Running:
    """One that is active. `progress` None: nobody has asked yet."""

    entry: UpdateEntry
    not_before: float = 0.0
    progress: Progress | None = None


class UpdateDesk:
    """Follows tasks."""

    def __init__(
        self,
        tables: Tables,
        settings: EngineSettings,
        stats: EngineStats,
        acts: UpdateActs,
        memory: UpdateMemory,
        unique: Callable[[], str],
    ) -> None:
        self._tables = tables
        self._rules = settings.updates
        self._stats = stats
        self._acts = acts
        self._memory = memory
        self._unique = unique
        self._running: dict[JobUpdateKey, _Running] = {}
        self._of_job: dict[JobKey, JobUpdateKey] = {}
        self._due: Deadlines[JobUpdateKey] = Deadlines()
        self._prune_at = 0.0
        self._done: dict[JobUpdateKey, tuple[int, int]] = {}
        self._is_registered = False

    def __len__(self) -> int:
        return len(self._running)

    # --- beginning --------------------------------------------------------------------------------------------------

    def restored(self, now: Now, *, is_registered: bool) -> None:
        """The active updates of the tables. What was heard of their tasks in turns that were taken back is asked for
        again; that takes a moment, too."""
        self._is_registered = is_registered
        self._prune_at = now.mono + self._rules.pruning.interval_s
        self._memory.since_ms = self._memory.since_ms or int(now.wall * 1000)
        for entry in self._tables.updates.page(JobUpdateQuery(update_statuses=UPDATE_ACTIVE)):
            self._take_up(entry, now.mono + SETTLE_S if is_registered else now.mono)
        for known in (self._memory.pulses, self._memory.failed):
            for key in [key for key in known if key not in self._running]:
                del known[key]

    def registered(self, now: Now) -> None:
        """The master is asked how the tasks are."""
        self._is_registered = True
        self._memory.since_ms = int(now.wall * 1000)
        for key, running in self._running.items():
            running.not_before = now.mono + SETTLE_S
            self._due.set(key, running.not_before)

    def disconnected(self, now: Now) -> None:
        self._is_registered = False
        self._memory.since_ms = int(now.wall * 1000)

    def _take_up(self, entry: UpdateEntry, at: float) -> None:
        key = entry.update.summary.key
        self._running[key] = _Running(entry, at)
        self._of_job[key.job] = key
        self._due.set(key, at)

    def _drop(self, key: JobUpdateKey) -> None:
        """It has ended."""
        self._running.pop(key, None)
        self._of_job.pop(key.job, None)
        self._due.cancel(key)
        self._memory.pulses.pop(key, None)
        self._memory.failed.pop(key, None)

    # --- as a follower of tasks -------------------------------------------------------------------------------------

    def moved(self, move: Move, turn: Turn) -> None:
        self._touched(move.task, turn)

    def deleted(self, task: ScheduledTask, turn: Turn) -> None:
        self._touched(task, turn)

    def _touched(self, task: ScheduledTask, turn: Turn) -> None:
        key = self._of_job.get(task.config.job)
        if key is not None:
            self._mark(key, turn.now.mono)

    def _mark(self, key: JobUpdateKey, at: float) -> None:
        """To be stepped then, if not sooner."""
        at = max(at, self._running[key].not_before)
        known = self._due.of(key)
        if known is None or at < known:
            self._due.set(key, at)

    # --- wishes -----------------------------------------------------------------------------------------------------

    def new_id(self) -> str:
        return self._unique()

    def start(self, turn: Turn, update: JobUpdate, event: JobUpdateEvent) -> None:
        """Its job must be in no other. Raises Bug otherwise, before any change."""
        key = update.summary.key
        if key.job in self._of_job:
            raise Bug(f"cannot start {key}: {self._of_job[key.job]} is not over")
        turn.apply(SaveJobUpdate(update=update))
        self._acts.record(turn, key, event)
        self._take_up(self._entry(key), turn.now.mono)

    def wish(self, turn: Turn, key: JobUpdateKey, wish: Wish, user: str, message: str) -> JobUpdateStatus:
        """The status it has then. Raises UserError when it can't be, before any change."""
        progress = self.progress(self._entry(key))
        event = decide_wish(progress, wish, user, message or None, self._pulse_of(progress), turn.now_ms)
        if event is None:
            return progress.status
        self._acts.record(turn, key, event)
        self._settle(key, event, turn.now.mono)
        return event.status

    def pulse(self, turn: Turn, key: JobUpdateKey) -> JobUpdatePulseStatus:
        """Whoever watches over the update says that all is well."""
        entry = self._tables.updates.get(key)
        answer = answer_pulse(entry.state.status if entry is not None else None)
        if answer is JobUpdatePulseStatus.OK:
            self._memory.pulses[key] = turn.now_ms
            self._mark(key, turn.now.mono)
        return answer

    # --- time -------------------------------------------------------------------------------------------------------

    def step(self, turn: Turn) -> None:
        if self._memory.failed:
            self._give_up(turn)
            return
        if turn.now.mono >= self._prune_at and len(self._tables.updates):
            self._prune(turn)
        if self._is_registered:
            for key in self._due.due(turn.now.mono, UPDATES_PER_STEP):
                self._step(turn, key, self._running[key])

    def next_wake(self) -> float | None:
        if self._memory.failed:
            return 0.0
        due = self._due.next_wake() if self._is_registered else None
        prune_at = self._prune_at if len(self._tables.updates) else None
        return min((at for at in (due, prune_at) if at is not None), default=None)

    def _step(self, turn: Turn, key: JobUpdateKey, running: _Running) -> None:
        for _ in range(MOST_STATUSES):
            decision = self._decide(turn, running)
            self._acts.record_instances(turn, key, decision.instance_events)
            if decision.event is not None:
                self._acts.record(turn, key, decision.event)
                self._settle(key, decision.event, turn.now.mono)
            refused = self._perform(turn, key, running, decision)
            if decision.event is None or key not in self._running:
                break
        if key in self._running:
            self._plan(turn, key, running, decision, refused=refused)

    def _decide(self, turn: Turn, running: _Running) -> UpdateDecision:
        """What follows, whatever happens: an update that can't be understood ends, and is the only one that does."""
        try:
            progress = self.progress(running.entry)
            look = self._look(running.entry.update.summary.key.job)
            return step(progress, look, self._pulse_of(progress), turn.now_ms, self._memory.since_ms)
        except Exception as error:
            _log.error("an internal error, please report it; the update ends", exc_info=error)
            self._stats.update_errors += 1
            return UpdateDecision(event=broken(error, turn.now_ms))

    def _perform(self, turn: Turn, key: JobUpdateKey, running: _Running, decision: UpdateDecision) -> bool:
        if not decision.acts:
            return False
        try:
            assert running.progress is not None
            return self._acts.perform(turn, running.progress, decision.acts)
        except Exception as error:
            # half of it is in the turn: that is taken back, and the next one ends the update
            self._memory.failed[key] = str(error)
            raise

    def _give_up(self, turn: Turn) -> None:
        """In a turn of its own."""
        for key, text in self._memory.failed.items():
            if key in self._running:
                self._stats.update_errors += 1
                event = broken(Bug(text), turn.now_ms)
                self._acts.record(turn, key, event)
        for key in list(self._memory.failed):
            if key in self._running:
                self._drop(key)
        self._memory.failed.clear()

    def _plan(
        self, turn: Turn, key: JobUpdateKey, running: _Running, decision: UpdateDecision, *, refused: bool
    ) -> None:
        """When it is stepped again, if nothing happens before."""
        now = turn.now.mono
        in_works = len(running.progress.way.begun) if running.progress is not None else 0
        if in_works > SMALL:
            running.not_before = now + in_works * REST_PER_INSTANCE_S
            marked = self._due.of(key)
            if marked is not None and marked < running.not_before:
                self._due.set(key, running.not_before)
        if decision.wake_at_ms is not None:
            # `now_ms` is rounded down
            self._mark(key, now + max(1, decision.wake_at_ms - turn.now_ms + 1) / 1000)
        if refused:
            self._mark(key, now + self._rules.sla_retry_s)

    def _settle(self, key: JobUpdateKey, event: JobUpdateEvent, now: float) -> None:
        """It has this status now."""
        if event.status not in UPDATE_ACTIVE:
            self._drop(key)
        elif key in self._running:
            self._mark(key, now)

    def _prune(self, turn: Turn) -> None:
        rules, tables = self._rules.pruning, self._tables
        self._prune_at = turn.now.mono + rules.interval_s
        summaries = (entry.summary for entry in tables.updates.walk())
        gone = prunable_updates(summaries, lambda job: bool(tables.tasks.statuses_of(job)), rules, turn.now_ms)
        if gone:
            turn.apply(DeleteJobUpdates(keys=gone))
            self._stats.updates_pruned += len(gone)
            for key in gone:
                self._done.pop(key, None)

    # --- being asked ------------------------------------------------------------------------------------------------

    def progress(self, entry: UpdateEntry) -> Progress:
        """How far it is; of an active one its own, not to be changed."""
        running = self._running.get(entry.update.summary.key)
        if running is None or running.entry is not entry:
            progress = Progress(entry.update)
        elif running.progress is None:
            progress = running.progress = Progress(entry.update)
        else:
            progress = running.progress
        progress.catch_up(entry.events, entry.instance_events)
        return progress

    def needs(self, task: ScheduledTask) -> bool:
        """It has ended while its instance was in the works: it may be one of the failures that are counted."""
        key = self._of_job.get(task.config.job)
        if key is None:
            return False
        progress = self._running[key].progress
        if progress is None:
            return True  # nobody knows yet
        begun_ms = progress.way.begun.get(task.assigned_task.instance_id)
        return begun_ms is not None and last_change_ms(task) >= begun_ms

    def done(self, entry: UpdateEntry) -> tuple[int, int]:
        """How many instances are over, of how many; on the way back, of those that were touched. Of an update that
        can't be understood nothing is known."""
        key = entry.update.summary.key
        found = self._done.get(key)
        if found is None:
            try:
                found = _done(self.progress(entry))
            except Bug:  # it ended in ERROR then; all others can be told
                found = (0, 0)
            if entry.state.status not in UPDATE_ACTIVE and key not in self._running:
                self._done[key] = found
        return found

    def waits_for(self, entry: UpdateEntry, now: Now) -> tuple[Waiting, ...]:
        """What keeps it from going on, as it is now. Nothing: it goes on, or has ended."""
        progress, now_ms = self.progress(entry), int(now.wall * 1000)
        if progress.status in ROLLING and not self._is_registered:
            return (waiting(Wait(WaitKind.MASTER, self._memory.since_ms)),)
        look = self._look(entry.update.summary.key.job)
        return step(progress, look, self._pulse_of(progress), now_ms, self._memory.since_ms).waits_for

    def _look(self, job: JobKey) -> Callable[[int], list[ScheduledTask]]:
        of_instance = self._tables.tasks.of_instance
        return lambda instance: of_instance(InstanceKey(job_key=job, instance_id=instance))

    def _pulse_of(self, progress: Progress) -> int:
        """When the last one came; after a restart what the events tell."""
        key = progress.update.summary.key
        if key not in self._running:
            return 0
        pulse = self._memory.pulses.get(key)
        if pulse is None:
            pulse = self._memory.pulses[key] = pulse_after_restart(progress)
        return pulse

    def _entry(self, key: JobUpdateKey) -> UpdateEntry:
        entry = self._tables.updates.get(key)
        if entry is None:
            raise Bug(f"there is no {key}")
        return entry


def _done(progress: Progress) -> tuple[int, int]:
    way = progress.way
    order = way.walk.order
    if progress.went_back:
        order = tuple(instance for instance in order if progress.is_touched(instance))
    return sum(instance in way.ended for instance in order), len(order)
