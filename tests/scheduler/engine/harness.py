"""An engine with a journal in memory, a master, and a clock that only we move.

Turns are committed when we say so: until then their effects wait, and a commit that fails takes them and all later ones
back, as the store does. What holds at every moment is checked here: nothing outward happens before its commit, every
service task that ended by itself is replaced in the same turn, what the engine keeps beside the tables agrees with
them.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, assert_never

from mesos.core.messages import TaskState
from scheduler.core.effects import (
    AcceptInverseOffers,
    AcknowledgeStatus,
    DeclineOffers,
    Effect,
    InstancesUpdated,
    KillTask,
    LaunchTasks,
    News,
    ReconcileTasks,
    TaskChanged,
    TasksDeleted,
    UpdateChanged,
)
from scheduler.core.model import ScheduledTask, TaskConfig
from scheduler.core.states import AGENT_ASSIGNED, ENDING, OF_MESOS, TERMINAL, TRANSIENT, ScheduleStatus
from scheduler.core.timeouts import Timer, gives_up_after_s
from scheduler.engine import Engine, EngineSettings
from scheduler.store.ops import Op, SaveFrameworkId
from scheduler.store.tables import Tables, apply, replay
from scheduler.store.trial import Trial
from scheduler.turn import Turn
from tests.scheduler.core.making import SETTINGS
from tests.scheduler.engine.cluster import Agent, Master, Said
from thermos.clock import Now

T = TypeVar("T")
S = ScheduleStatus
WALL = 1_700_000_000.0
#: More steps than this at one moment are a loop.
MOST_STEPS = 400


@dataclass
class Faults:
    """What goes wrong from now on; `fired` counts what did."""

    drop_calls: float = 0.0  # probability
    fired: Counter[str] = field(default_factory=Counter)


class World:
    """`lag`: turns are only committed by `settle`; otherwise at once."""

    def __init__(self, settings: EngineSettings | None = None, seed: int = 0, agents: int = 4) -> None:
        self.settings = settings or EngineSettings(SETTINGS)
        self.random = random.Random(seed)
        self.faults = Faults()
        self.master = Master(agents)
        self.journal: list[Op] = []
        self.durable = Tables()  # what the journal leads to
        self.mono, self.wall = 1000.0, WALL
        self.framework = "f"
        self.lag = False
        self.flights: list[Turn] = []
        self.performed: list[Effect] = []
        self._settling = False
        self._unique = itertools.count()
        self.tables = Tables()
        self.engine = self._start()

    # --- beginning and ending ---------------------------------------------------------------------------------------

    def _start(self) -> Engine:
        self.tables = replay(self.journal)
        engine = Engine(self.tables, self.settings, self.random.random, lambda: f"{next(self._unique)}")
        turn = Turn(Trial(self.tables), self.now)
        engine.start(turn)
        assert not turn.trial.ops and not turn.effects
        return engine

    def restart(self) -> None:
        """The process is killed: what was not durable has not happened."""
        self.faults.fired["turns lost in a crash"] += len(self.flights)
        self.flights.clear()
        self.master.disconnect()
        self.engine = self._start()

    def subscribe(self, again: bool = False) -> None:
        self.master.connect()
        self.act(lambda turn: self.engine.registered(turn, self.framework, again))

    def forget(self) -> None:
        """The master forgets the framework, and ends its tasks; it registers as a new one."""
        self.settle()
        self.disconnect()
        for agent in self.master.agents.values():
            agent.tasks.clear()
        self.act(lambda turn: turn.apply(SaveFrameworkId(framework_id=None)))
        self.settle()
        self.framework = f"f{next(self._unique)}"
        self.subscribe(again=True)

    def disconnect(self) -> None:
        self.master.disconnect()
        self.engine.disconnected(self.now)

    # --- turns ------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> Now:
        return Now(self.wall, self.mono)

    def act(self, decide: Callable[[Turn], T]) -> T:
        turn = Turn(Trial(self.tables), self.now)
        result = decide(turn)
        self._check_turn(turn)
        self.flights.append(turn)
        if not self.lag:
            self.settle()
        return result

    def settle(self, most: int | None = None) -> None:
        """Commits the oldest turns, and does what they have told, in order."""
        if self._settling:
            return  # who waits for this one is served, too
        self._settling = True
        while self.flights and (most is None or most > 0):
            turn = self.flights.pop(0)
            self.journal += turn.trial.ops
            for op in turn.trial.ops:
                apply(self.durable, op)
            for effect in turn.effects:
                self._perform(effect)
            most = most - 1 if most is not None else None
        self._settling = False

    def fail(self) -> None:
        """The oldest commit fails: it and all on top of it are taken back."""
        if not self.flights:
            return
        self.faults.fired["commits failed"] += 1
        lost = [effect for turn in self.flights for effect in turn.effects]
        self.faults.fired["launches taken back"] += sum(isinstance(effect, LaunchTasks) for effect in lost)
        for turn in reversed(self.flights):
            turn.trial.take_back()
        self.flights.clear()
        for effect in self.engine.rebuild(self.now, lost):
            self._perform(effect)
        self.check()

    def step(self) -> None:
        self.act(self.engine.step)

    def advance(self, seconds: float) -> None:
        """As the loop does: a step whenever the engine wants one, and at no other time."""
        until, steps, moment = self.mono + seconds, 0, self.mono
        while (wake := self.engine.next_wake()) is not None and wake <= until:
            if wake > moment:
                moment, steps = wake, 0
            self._check_early(wake)
            self.tick(max(self.mono, wake))
            self.step()
            self.deliver()
            steps += 1
            assert steps < MOST_STEPS, "the engine spins"
        self.tick(max(self.mono, until))

    def tick(self, mono: float) -> None:
        self.wall += mono - self.mono
        self.mono = mono

    # --- Mesos ------------------------------------------------------------------------------------------------------

    def deliver(self, most: int | None = None) -> None:
        """What the master has said, in order."""
        inbox = self.master.inbox
        while inbox and (most is None or most > 0):
            self.hear(inbox.popleft())
            most = most - 1 if most is not None else None

    def hear(self, said: Said) -> None:
        if said.offers:
            self.act(lambda turn: self.engine.offers(turn, said.offers))
        elif said.rescinded:
            self.act(lambda turn: self.engine.rescinded(turn, said.rescinded))
        elif said.lost_agent:
            self.act(lambda turn: self.engine.agent_lost(turn, said.lost_agent))
        elif said.status is not None:
            status = said.status
            self.act(lambda turn: self.engine.statuses(turn, [status]))

    def _perform(self, effect: Effect) -> None:
        self.performed.append(effect)
        if isinstance(effect, News):
            return
        self._check_durable(effect)
        if isinstance(effect, LaunchTasks) and not self.master.connected:
            self.faults.fired["launches without a master"] += 1
            self.act(lambda turn: self.engine.launch_failed(turn, effect.tasks, "no master"))
        elif not self.master.connected:
            self.faults.fired["calls without a master"] += 1
        elif self.random.random() < self.faults.drop_calls:
            self._drop(effect)
        else:
            self._call(effect)

    def _drop(self, effect: Effect) -> None:
        """Nobody knows whether it has arrived."""
        self.faults.fired[f"{type(effect).__name__} lost"] += 1
        if isinstance(effect, LaunchTasks):
            self.master.spent.add(effect.offer_id.value)
            self.act(lambda turn: self.engine.reconcile(turn, [info.task_id.value for info in effect.tasks]))
        elif isinstance(effect, DeclineOffers):
            self.master.spent.update(each.value for each in effect.offer_ids)

    def _call(self, effect: Effect) -> None:
        match effect:
            case LaunchTasks():
                self.master.launch(effect)
            case DeclineOffers():
                self.master.decline(effect)
            case KillTask():
                self.master.kill(effect.task_id)
            case AcknowledgeStatus():
                self.master.acknowledge(effect.status)
            case ReconcileTasks():
                self.master.reconcile(effect)
            case AcceptInverseOffers() | TaskChanged() | TasksDeleted() | UpdateChanged() | InstancesUpdated():
                pass
            case _:
                assert_never(effect)

    # --- what holds always ------------------------------------------------------------------------------------------

    def _check_turn(self, turn: Turn) -> None:
        changed = [effect for effect in turn.effects if isinstance(effect, TaskChanged)]
        ancestors = {effect.task.ancestor_id for effect in changed if effect.old is None}
        for effect in changed:
            task = effect.task
            wanted = any(event.status is S.KILLING for event in task.task_events)
            if task.status in TERMINAL and task.config.is_service and not wanted:
                assert task.id in ancestors, f"{task.id} is {task.status}, and not replaced"
            assert len(task.task_events) <= 12, "a history without end"

    def _check_durable(self, effect: Effect) -> None:
        """The journal has what the effect builds on."""
        if isinstance(effect, LaunchTasks):
            for info in effect.tasks:
                task = self.durable.tasks.get(info.task_id.value)
                assert task is not None and task.status is S.ASSIGNED
                assert task.assigned_task.slave_id == info.agent_id.value
        elif isinstance(effect, AcknowledgeStatus):
            task = self.durable.tasks.get(effect.status.task_id.value)
            told = {state.value: status for state, status in OF_MESOS.items()}.get(effect.status.state)
            agent = effect.status.agent_id
            if task is not None and agent is not None and agent.value != task.assigned_task.slave_id:
                return  # somebody else's words
            if task is not None and told in TERMINAL:
                assert task.status in TERMINAL
            if task is not None and told is S.RUNNING:
                assert task.status not in (S.PENDING, S.ASSIGNED, S.STARTING)

    def _check_early(self, wake: float) -> None:
        """Before the moment that the engine has named there is nothing to do."""
        early = (self.mono + wake) / 2
        if early >= wake:
            return
        turn = Turn(Trial(self.tables), Now(self.wall, early))
        self.engine.step(turn)
        assert not turn.trial.ops and not turn.effects, "it was not yet time"
        assert self.engine.next_wake() == wake

    def check(self) -> None:
        """Beside the tables there is nothing but what follows from them."""
        tasks = list(self.tables.tasks.all())
        active = Counter(str(task.instance) for task in tasks if task.is_active)
        assert all(count == 1 for count in active.values()), active
        pending = {task.id for task in tasks if task.status is S.PENDING}
        assert self.engine.groups.tasks == len(pending)
        assert all(self.engine.groups.group_of(task_id) is not None for task_id in pending)
        assert len(self.engine._ended) == sum(task.status in TERMINAL for task in tasks)
        self._check_counts(tasks)
        self._check_timers(tasks)
        self.master.check_hosts()
        if not self.flights:
            assert replay(self.journal) == self.tables == self.durable

    def _check_timers(self, tasks: Sequence[ScheduledTask]) -> None:
        """A task has those of its state, and there are no others."""
        expected = 0
        for task in tasks:
            wanted = {
                Timer.THROTTLE_END: task.status is S.THROTTLED,
                Timer.TIME_OUT: task.status in TRANSIENT,
                Timer.KILL_RETRY: task.status in ENDING,
                Timer.GIVE_UP: task.status is S.PARTITIONED and gives_up_after_s(task.config) is not None,
            }
            found = {timer for timer in Timer if self.engine._timers.of(task.id, timer) is not None}
            assert found - {Timer.DISOWN} == {timer for timer, is_wanted in wanted.items() if is_wanted}
            assert Timer.DISOWN not in found or task.status in AGENT_ASSIGNED
            expected += len(found)
        assert len(self.engine._timers) == expected
        assert set(self.engine._timers._kill_pauses) == {task.id for task in tasks if task.status in ENDING}

    def _check_counts(self, tasks: Sequence[ScheduledTask]) -> None:
        there = [task for task in tasks if task.status in AGENT_ASSIGNED]
        found = Counter((task.config.job, self.tables.hosts[task.assigned_task.slave_host].host) for task in there)
        racks = {agent.host: agent.rack for agent in self.master.agents.values()}
        by_rack: Counter[tuple[object, str]] = Counter()
        for (job, host), count in found.items():
            by_rack[job, racks[host]] += count
        counts = self.engine.spread
        for job in {task.config.job for task in tasks}:
            for rack in set(racks.values()):
                assert counts(job, "rack", rack) == by_rack[job, rack]

    # --- short ways -------------------------------------------------------------------------------------------------

    def add(self, config: TaskConfig, *instances: int) -> list[ScheduledTask]:
        return self.act(lambda turn: self.engine.insert(turn, config, instances))

    def assigned(self, config: TaskConfig, count: int = 1) -> list[ScheduledTask]:
        """New tasks that have a host, and whose executors have said nothing yet."""
        tasks = self.add(config, *range(count))
        self.offer()
        return [self.task(task.id) for task in tasks]

    def running(self, config: TaskConfig, count: int = 1) -> list[ScheduledTask]:
        tasks = self.assigned(config, count)
        for task in tasks:
            self.say(task, TaskState.RUNNING)
        return [self.task(task.id) for task in tasks]

    def offer(self) -> None:
        """Everything that is free, until nobody wants more."""
        while True:
            self.master.offer_all()
            self.deliver()
            before = len(self.told(LaunchTasks))
            self.advance(0.1)
            launched = self.told(LaunchTasks)
            if not launched and not before:
                return

    def say(self, task: ScheduledTask, state: TaskState, message: str = "", reason: str = "") -> None:
        """Its executor reports it."""
        agent, there = self.master.where(task.id)
        assert agent is not None and there is not None
        self.master.progress(agent, there, state, message, reason)
        self.deliver()

    def agent_of(self, task: ScheduledTask) -> Agent:
        agent, _ = self.master.where(task.id)
        assert agent is not None
        return agent

    def replacement_of(self, task: ScheduledTask) -> ScheduledTask:
        (found,) = [each for each in self.tables.tasks.all() if each.ancestor_id == task.id]
        return found

    def wish(self, task_id: str, to: ScheduleStatus, message: str = "") -> None:
        self.act(lambda turn: self.engine.change(turn, task_id, to, message))

    def task(self, task_id: str) -> ScheduledTask:
        found = self.tables.tasks.get(task_id)
        assert found is not None
        return found

    def told(self, kind: type[T]) -> list[T]:
        """What was performed of that kind since it was last asked for."""
        found: list[T] = [effect for effect in self.performed if isinstance(effect, kind)]
        self.performed = [effect for effect in self.performed if not isinstance(effect, kind)]
        return found
