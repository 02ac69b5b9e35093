"""Pending tasks and offers, brought together: rounds of placement, and the reasons why some tasks wait.

    offers ─▶ book ─┐                        ┌─▶ ASSIGNED in the tables, LaunchTasks told
                    ├─▶ round: begin, assign ┤
    PENDING ▶ groups┘                        └─▶ refused: a pause for the group, its reasons counted by and by

A round is one turn: what it assigns is stored as ASSIGNED before anything else can ask for the same offer, or count
the tasks on a host. Everything here can be made anew from the tables, but for the offers, which come again when they
are declined.

Source: spec/scheduler.md §3.1, §3.3, §3.7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mesos.core.messages import OfferID
from scheduler.core.assign import Assignment, Placement, Round, assign
from scheduler.core.effects import DeclineOffers, LaunchTasks
from scheduler.core.explain import Asked, Explanation, explain
from scheduler.core.filters import MaintenanceMode
from scheduler.core.groups import Attempt, PendingTask, TaskGroups, group_key
from scheduler.core.launch import task_info
from scheduler.core.model import ScheduledTask
from scheduler.core.offers import OfferBook
from scheduler.core.refusals import RefusalBook, Standing
from scheduler.core.reservations import Reservations
from scheduler.core.spread import Spread
from scheduler.core.states import AGENT_ASSIGNED, ScheduleStatus
from scheduler.core.timeouts import entered_at_ms
from scheduler.engine_settings import EngineSettings
from scheduler.engine_stats import EngineStats
from scheduler.host_records import recorded_attributes
from scheduler.reason_counter import ReasonCounter
from scheduler.state_manager import Details, Move, StateManager
from scheduler.store.tables import Tables
from scheduler.turn import Turn
from thermos.clock import Now
from thermos.errors import Bug

#: What a task leaves of its offer may come back at once: the next one may be waiting for it.
LEFT_OVER_S = 0.0


class PlacementDesk:
    """Follows tasks: its groups hold those that are PENDING, its counts those that hold resources somewhere."""

    def __init__(
        self, tables: Tables, settings: EngineSettings, stats: EngineStats, chance: Callable[[], float]
    ) -> None:
        self.book = OfferBook(settings.offers)
        self.groups = TaskGroups(settings.groups)
        self.reservations = Reservations()
        self.refusals = RefusalBook(settings.refusals)
        self.spread = Spread(lambda host: recorded_attributes(tables, host))
        self._tables = tables
        self._settings = settings
        self._stats = stats
        self._chance = chance
        self._reasons = ReasonCounter(self.refusals, stats, self._question, self.book, self.spread)
        for record in tables.hosts.values():
            if record.mode is not MaintenanceMode.NONE:
                self.book.set_mode(record.host, record.mode)

    # --- tasks come and go ------------------------------------------------------------------------------------------

    def moved(self, move: Move, turn: Turn) -> None:
        if move.before is not None:
            self._left(move.before)
        self._entered(move.task, turn.now.mono, 0.0)

    def deleted(self, task: ScheduledTask, turn: Turn) -> None:
        self._left(task)

    def restored(self, task: ScheduledTask, now: Now, delay_s: float) -> None:
        """Found in the store."""
        self._entered(task, now.mono, delay_s)

    def _entered(self, task: ScheduledTask, now: float, delay_s: float) -> None:
        if task.status is ScheduleStatus.PENDING:
            self.groups.add(PendingTask(task.id, task.instance), task.config, now, delay_s)
        elif task.status in AGENT_ASSIGNED:
            self.spread.add(task.config.job, task.assigned_task.slave_host)

    def _left(self, task: ScheduledTask) -> None:
        """It is not what it was."""
        if task.status is ScheduleStatus.PENDING:
            group = self.groups.group_of(task.id)
            if group is not None:
                self.reservations.release_group(group)
            self.reservations.release_instance(task.instance)
            gone = self.groups.remove(task.id)
            if gone is not None:
                self.refusals.forget(gone)
        elif task.status in AGENT_ASSIGNED:
            self.spread.remove(task.config.job, task.assigned_task.slave_host)

    # --- rounds -----------------------------------------------------------------------------------------------------

    def step(self, turn: Turn, states: StateManager) -> None:
        """What has been held for too long is given back; who is due is tried; some reasons are counted."""
        now = turn.now.mono
        decline = self.book.step(now)
        if decline is not None:
            self.decline(turn, decline.offer_ids)
        if self.reservations.expire(now):
            self.groups.hasten(now, self._settings.groups.most_at_once)
        attempts = self.groups.begin(now)
        if attempts:
            self._round(turn, states, attempts)
        self._reasons.step(turn.now)

    def next_wake(self) -> float | None:
        wakes = (self.book, self.groups, self.reservations, self._reasons)
        moments = [each.next_wake() for each in wakes]
        return min((at for at in moments if at is not None), default=None)

    def decline(self, turn: Turn, offers: Iterable[OfferID]) -> None:
        """The book has them no more."""
        ids = tuple(offers)
        self._stats.offers_declined += len(ids)
        turn.tell(DeclineOffers(ids, self._settings.offers.filter_s))

    def _round(self, turn: Turn, states: StateManager, attempts: list[Attempt]) -> None:
        found = assign(
            attempts,
            Placement(
                book=self.book,
                counts=self.spread,
                reservations=self.reservations,
                wanted_of=self._settings.launch.wanted_of,
                now_wall=turn.now.wall,
                chance=self._chance,
            ),
        )
        for assignment in found.assignments:
            self._start(turn, states, assignment)
        for attempt in attempts:
            self._settle(attempt, found, turn.now.mono)

    def _start(self, turn: Turn, states: StateManager, assignment: Assignment) -> None:
        task = self._tables.tasks.get(assignment.task.task_id)
        if task is None or task.status is not ScheduleStatus.PENDING:
            raise Bug(f"task {assignment.task.task_id} was to be started, and is not pending")
        assigned = assignment.fill(task.assigned_task)
        info = task_info(assigned, assignment.allocation, self._settings.launch)
        states.change(turn, task.id, ScheduleStatus.ASSIGNED, details=Details(assigned=assigned))
        turn.tell(LaunchTasks(assignment.offer.offer.id, (info,), LEFT_OVER_S))
        waited_ms = turn.now_ms - entered_at_ms(task, ScheduleStatus.PENDING)
        self._stats.tasks_assigned += 1
        self._stats.latency_s.observe(max(0, waited_ms) / 1000)

    def _settle(self, attempt: Attempt, found: Round, now: float) -> None:
        assigned = found.assigned_of(attempt)
        left = len(attempt.tasks) - len(assigned)
        self._stats.attempts_fired += 1
        self._stats.attempts_failed += not assigned
        self._stats.attempts_no_match += left > 0
        gone = self.groups.settle(attempt, assigned, now, self._chance)
        if gone is not None or not left:
            self.refusals.forget(attempt.group)
        else:
            self.refusals.failed(attempt.group, self.groups.size_of(attempt.group), now)

    # --- why --------------------------------------------------------------------------------------------------------

    def explain(self, task: ScheduledTask, now: Now) -> Explanation:
        """Of every offer, whatever state the task is in."""
        group = self.groups.group_of(task.id) or group_key(task.config)
        may_use = self.reservations.may_use
        wanted = self._settings.launch.wanted_of(task.config)
        asked = Asked(task.config, wanted, lambda agent: may_use(agent, group, task.instance))
        return explain(asked, self.book, self.spread, now.mono, now.wall)

    def waiting(self, task_id: str) -> Standing | None:
        group = self.groups.group_of(task_id)
        return self.refusals.of(group) if group is not None else None

    def _question(self, group: bytes) -> Asked | None:
        config = self.groups.config_of(group)
        if config is None:
            return None
        wanted = self._settings.launch.wanted_of(config)
        return Asked(config, wanted, lambda agent: self.reservations.is_open_to(agent, group))
