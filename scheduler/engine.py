"""The heart of the scheduler: what happens to tasks and offers, decided in turns, without any I/O.

    Mesos says, people wish, time passes ──▶ a turn ──▶ operations (memory at once, then durable)
                                                   └──▶ effects (performed after the commit, in order)

The tables are the truth. All else that is held here (offers at hand, groups of pending tasks, timers, counts) follows
from them, or comes again from the master: `start` makes it after a replay, `rebuild` makes it anew when a turn could
not be committed. One engine in a process, one thread; nothing here waits, asks a clock, or draws a number by itself.

    StateManager    states of tasks, by the table                    scheduler.core.transitions
    PlacementDesk   offers, groups, rounds, reasons                  scheduler.core.{offers,groups,assign,refusals}
    TaskTimers      what time does to tasks                          scheduler.core.timeouts
    Questions       when the master is asked, about what             scheduler.core.reconcile
    Ended           which ended tasks are forgotten                  scheduler.core.prune
    UpdateDesk      updates of jobs                                  scheduler.core.update_machine

Source: spec/scheduler.md §2, §3, §8.4, §8.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from mesos.core.messages import InverseOffer, Offer, OfferID, TaskInfo, TaskStatus
from scheduler.core.effects import (
    AcceptInverseOffers,
    AcknowledgeStatus,
    DeclineOffers,
    Effect,
    LaunchTasks,
)
from scheduler.core.explain import Explanation
from scheduler.core.groups import TaskGroups
from scheduler.core.model import ScheduledTask, TaskConfig
from scheduler.core.offers import OfferBook
from scheduler.core.prune import Ended
from scheduler.core.refusals import RefusalBook, Standing
from scheduler.core.reschedule import penalty_ms
from scheduler.core.reservations import Reservations
from scheduler.core.spread import Spread
from scheduler.core.states import AGENT_ASSIGNED, TERMINAL, ScheduleStatus
from scheduler.core.status_words import read_status
from scheduler.core.timeouts import Timer
from scheduler.core.transitions import Result
from scheduler.engine_settings import EngineSettings
from scheduler.engine_stats import EngineStats
from scheduler.host_records import record_host
from scheduler.placement import PlacementDesk
from scheduler.questions import Questions
from scheduler.state_manager import Details, InstanceTaken, Move, StateManager
from scheduler.store.ops import SaveFrameworkId
from scheduler.store.tables import Tables
from scheduler.store.task_query import TaskQuery
from scheduler.task_timers import TaskTimers
from scheduler.turn import Turn
from scheduler.update_acts import UpdateActs
from scheduler.update_desk import UpdateDesk, UpdateMemory
from thermos.clock import Now
from thermos.errors import Bug

#: Of each kind of work one step does at most so much, so that others have their turn.
TIMERS_PER_STEP = 500
PRUNED_PER_STEP = 500

#: Seconds until it is asked again whether an update needs a task that could be forgotten.
HELD_S = 300.0


class Engine:
    """`chance()` in [0, 1); `unique()` is another text each time, part of a task's id."""

    def __init__(
        self, tables: Tables, settings: EngineSettings, chance: Callable[[], float], unique: Callable[[], str]
    ) -> None:
        self.tables = tables
        self.settings = settings
        self.stats = EngineStats()
        self.is_registered = False
        self._chance = chance
        self._unique = unique
        self._states = StateManager(tables, settings, self.stats, chance, unique)
        self._update_memory = UpdateMemory()
        self._questions: Questions | None = None
        self._begin()

    @property
    def book(self) -> OfferBook:
        return self._desk.book

    @property
    def groups(self) -> TaskGroups:
        return self._desk.groups

    @property
    def reservations(self) -> Reservations:
        return self._desk.reservations

    @property
    def spread(self) -> Spread:
        """How many tasks of a job run on hosts with some value of an attribute."""
        return self._desk.spread

    @property
    def refusals(self) -> RefusalBook:
        return self._desk.refusals

    @property
    def updates(self) -> UpdateDesk:
        """Updates of jobs: started, changed by wishes, and how they are."""
        return self._updates

    # --- beginning --------------------------------------------------------------------------------------------------

    def start(self, turn: Turn) -> None:
        """Once, after the replay and before anything else: timers, queues and counts from the tables."""
        self._restore(turn.now, self.settings.startup_delay_s)
        rules = self.settings.reconciliation
        self._questions = Questions(self.tables, rules, self.stats, turn.now.mono, self._chance)

    def rebuild(self, now: Now, lost: Iterable[Effect] = ()) -> list[Effect]:
        """After a commit failed and was taken back, or a turn broke off: everything anew from the tables.

        `lost`: what the turns that were taken back had told; none of it happened. The master still counts on the
        offers in it and on those at hand: they are to be declined (that is what is told; it needs no commit). And it
        is asked about the tasks: what it has said by itself it won't say again.
        """
        self.stats.rebuilds += 1
        held = [offer.offer.id for offer in self.book]
        for effect in lost:
            held += _offers_of(effect)
        if self._questions is not None:
            self._questions.schedule.doubted(now.mono)
        self._begin()
        self._restore(now, 0.0)
        if not held:
            return []
        return [DeclineOffers(tuple({each.value: each for each in held}.values()), self.settings.offers.filter_s)]

    def _begin(self) -> None:
        settings = self.settings
        self._desk = PlacementDesk(self.tables, settings, self.stats, self._chance)
        self._timers = TaskTimers(self.tables, settings.timeouts, self.stats, self._penalty_of, self._chance)
        self._ended = Ended(settings.pruning)
        acts = UpdateActs(self.tables, settings, self.stats, self._states, self._desk.reservations)
        self._updates = UpdateDesk(self.tables, settings, self.stats, acts, self._update_memory, self._unique)
        self._states.followers = (self._desk, self._timers, self._updates, self)

    def _restore(self, now: Now, delay_s: float) -> None:
        for task in self.tables.tasks.all():
            if task.status in TERMINAL:
                self._note_end(task, now)
                continue
            delay = 0.0
            if task.status is ScheduleStatus.PENDING and delay_s > 0:
                delay = delay_s * self._chance() + self._penalty_of(task) / 1000
            self._desk.restored(task, now, delay)
            self._timers.restored(task, now)
        self._updates.restored(now, is_registered=self.is_registered)

    def _penalty_of(self, task: ScheduledTask) -> int:
        """Of the task that it replaces, milliseconds; worked out again, so chance may make it another one."""
        former = self.tables.tasks.get(task.ancestor_id) if task.ancestor_id is not None else None
        if former is None:
            return 0
        return penalty_ms(former, self.tables.tasks.get, self.settings.flapping, self._chance)

    @property
    def _asking(self) -> Questions:
        if self._questions is None:
            raise Bug("the engine was not started")
        return self._questions

    # --- as a follower of tasks -------------------------------------------------------------------------------------

    def moved(self, move: Move, turn: Turn) -> None:
        if move.task.status in TERMINAL:
            self._note_end(move.task, turn.now)

    def deleted(self, task: ScheduledTask, turn: Turn) -> None:
        self._ended.remove(task.id)

    def _note_end(self, task: ScheduledTask, now: Now) -> None:
        self._ended.add(task.id, task.config.job, _ended_at(task, now))

    # --- Mesos ------------------------------------------------------------------------------------------------------

    def registered(self, turn: Turn, framework_id: str, again: bool) -> None:
        """Subscribed; `again`: not for the first time. Offers of before are void, tasks that have an agent are asked
        about; and if we are another framework than before, they are gone."""
        if self.tables.framework_id != framework_id:
            turn.apply(SaveFrameworkId(framework_id=framework_id))
            for task in self.tables.tasks.select(TaskQuery(statuses=AGENT_ASSIGNED)):
                self._timers.disown(task, turn.now.mono)
        self.is_registered = True
        self.stats.reregistrations += again
        self.book.disconnected()
        self._asking.subscribed(turn.now.mono)
        self._updates.registered(turn.now)

    def disconnected(self, now: Now) -> None:
        """Offers are void; nothing is declared lost before somebody can say how it is."""
        self.is_registered = False
        self.stats.disconnects += 1
        self.book.disconnected()
        self._asking.schedule.disconnected()
        self._updates.disconnected(now)

    def offers(self, turn: Turn, offers: Sequence[Offer]) -> None:
        self.stats.offers_received += len(offers)
        declined: list[OfferID] = []
        for offer in offers:
            if record_host(self.tables, turn, offer):
                self.spread.host_changed(offer.hostname)
            decline = self.book.add(offer, turn.now.mono, self._chance)
            if decline is not None:
                declined += decline.offer_ids
        if declined:
            self._desk.decline(turn, declined)
        self.groups.hasten(turn.now.mono, max(len(offers), self.settings.groups.most_at_once))

    def rescinded(self, turn: Turn, offer_id: str) -> None:
        self.stats.offers_rescinded += 1
        self.stats.rescinded_before_offered += not self.book.rescind(offer_id, turn.now.mono)

    def agent_lost(self, turn: Turn, agent_id: str) -> None:
        """Of its tasks the master tells each by itself."""
        self.stats.lost_agents += 1
        self.book.agent_lost(agent_id)

    def inverse_offers(self, turn: Turn, offers: Sequence[InverseOffer]) -> None:
        """Always accepted: announced absences are minded when something is placed."""
        self.stats.inverse_offers += len(offers)
        if offers:
            turn.tell(AcceptInverseOffers(tuple(offer.id for offer in offers)))

    def statuses(self, turn: Turn, statuses: Sequence[TaskStatus]) -> None:
        """One batch. Each is acknowledged behind what it changed, whatever it says.

        Mesos hands on what an executor says of tasks that are not its own: who is not on the agent of an active task
        can't tell how it is.
        """
        for status in statuses:
            report = read_status(status)
            task = self.tables.tasks.get(report.task_id)
            to = report.means(task.status if task is not None else None)
            result = "UNKNOWN_STATE"
            if task is not None and _is_elsewhere(task, report.agent_id):
                result = "OTHER_AGENT"
            elif to is not None:
                details = Details(agent_id=report.agent_id)
                result = self._states.change(turn, report.task_id, to, report.message, details=details)
            self.stats.status_updates[report.reason, str(result)] += 1
            if status.uuid:
                turn.tell(AcknowledgeStatus(status))

    def launch_failed(self, turn: Turn, infos: Sequence[TaskInfo], message: str) -> None:
        """These never reached the master: they are lost, and replaced."""
        for info in infos:
            self.stats.launch_failures += 1
            lost, assigned = ScheduleStatus.LOST, ScheduleStatus.ASSIGNED
            self._states.change(turn, info.task_id.value, lost, message, expected=assigned)

    # --- wishes -----------------------------------------------------------------------------------------------------

    def insert(
        self, turn: Turn, config: TaskConfig, instances: Iterable[int], message: str = ""
    ) -> list[ScheduledTask]:
        """New PENDING tasks of these instances. Raises InstanceTaken before anything is changed."""
        return self._states.insert(turn, config, instances, message)

    def change(
        self,
        turn: Turn,
        task_id: str,
        to: ScheduleStatus,
        message: str = "",
        *,
        expected: ScheduleStatus | None = None,
    ) -> Result:
        """By the table of states, with all that it asks for; with `expected` only from that state."""
        return self._states.change(turn, task_id, to, message, expected=expected)

    def delete(self, turn: Turn, task_ids: Iterable[str]) -> None:
        """Tasks that have ended. Unknown ids are nothing; raises Bug for one that is active, before any change."""
        self._states.delete(turn, task_ids)

    def reconcile(self, turn: Turn, tasks: Sequence[str] | None) -> None:
        """Ask the master about these tasks; none given: about all that have an agent. None: what it knows at all."""
        self._asking.ask(turn, tasks)

    # --- time -------------------------------------------------------------------------------------------------------

    def step(self, turn: Turn) -> None:
        """All that is due, a bounded part of it; `next_wake` tells when to come again."""
        self._timers.step(turn, self._states, self.is_registered, TIMERS_PER_STEP)
        self._prune(turn)
        self._asking.step(turn)
        self._updates.step(turn)
        self._desk.step(turn, self._states)

    def next_wake(self) -> float | None:
        """Monotonic. At that moment `step` has something to do; before it has nothing."""
        moments = (
            self._timers.next_wake(),
            self._ended.next_wake(),
            self._asking.schedule.next_wake(),
            self._updates.next_wake(),
            self._desk.next_wake(),
        )
        return min((at for at in moments if at is not None), default=None)

    def _prune(self, turn: Turn) -> None:
        now, old = turn.now, list[str]()
        for task_id in self._ended.due(now.mono, PRUNED_PER_STEP):
            task = self.tables.tasks.get(task_id)
            if task is not None and self._updates.needs(task):
                self._ended.hold(task_id, task.config.job, _ended_at(task, now), now.mono + HELD_S)
            else:
                old.append(task_id)
        self.stats.tasks_pruned += len(self._states.delete(turn, old))

    # --- being asked ------------------------------------------------------------------------------------------------

    def explain(self, task: ScheduledTask, now: Now) -> Explanation:
        """For every offer at hand: whether the task could run there, and what speaks against it."""
        return self._desk.explain(task, now)

    def waiting(self, task_id: str) -> Standing | None:
        """How long the group of a pending task has been refused, and why; None: it was not, or does not wait."""
        return self._desk.waiting(task_id)

    def throttled_for_s(self, task_id: str, now: Now) -> float | None:
        """How long a THROTTLED task has to wait yet; None: it is none."""
        until = self._timers.of(task_id, Timer.THROTTLE_END)
        return max(0.0, until - now.mono) if until is not None else None


def _is_elsewhere(task: ScheduledTask, agent_id: str | None) -> bool:
    where = task.assigned_task.slave_id
    return bool(agent_id and where) and agent_id != where and task.status in AGENT_ASSIGNED


def _ended_at(task: ScheduledTask, now: Now) -> float:
    """Monotonic; not in the future, whatever the clock was."""
    ended_ms = task.task_events[-1].timestamp if task.task_events else 0
    return now.mono - max(0.0, now.wall - ended_ms / 1000)


def _offers_of(effect: Effect) -> tuple[OfferID, ...]:
    match effect:
        case LaunchTasks():
            return (effect.offer_id,)
        case DeclineOffers():
            return effect.offer_ids
        case _:
            return ()


__all__ = ["Engine", "EngineSettings", "EngineStats", "InstanceTaken", "Result"]
