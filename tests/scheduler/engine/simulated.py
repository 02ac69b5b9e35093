"""An engine on the embedded Mesos: the very machines that run behind HTTP, in virtual time (mesos.local.simulation).

What Mesos does is not modelled here; this is the loop and the link, as small as they can be: a turn is durable at once,
its effects are calls, a call without an answer is asked about later.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from mesos.core import scheduler_api as api
from mesos.core.messages import AgentID, Capability, CapabilityInfo, FrameworkInfo, TaskID
from mesos.local.simulation import SimulatedScheduler, Simulation
from mesos.local.timeline import Alarm
from scheduler.core.effects import (
    AcceptInverseOffers,
    AcknowledgeStatus,
    DeclineOffers,
    Effect,
    KillTask,
    LaunchTasks,
    ReconcileTasks,
)
from scheduler.core.launch import launch
from scheduler.core.states import ScheduleStatus
from scheduler.engine import Engine, EngineSettings
from scheduler.store.ops import Op
from scheduler.store.tables import Tables, replay
from scheduler.store.trial import Trial
from scheduler.turn import Turn

T = TypeVar("T")
CAN = (Capability.MULTI_ROLE, Capability.RESERVATION_REFINEMENT, Capability.PARTITION_AWARE)
INFO = FrameworkInfo(
    user="root",
    name="aurora",
    roles=("*",),
    failover_timeout=1e6,
    checkpoint=True,
    capabilities=tuple(CapabilityInfo(type=each) for each in CAN),
)
RETRY_S = 1.0
ASK_LATER_S = 10.0


class Scheduler:
    """Subscribes whenever it is not."""

    def __init__(self, simulation: Simulation, settings: EngineSettings) -> None:
        self.simulation = simulation
        self.settings = settings
        self.journal: list[Op] = []
        self.launched: Counter[str] = Counter()
        self._unique = itertools.count()
        self._known = False
        self.start()
        self.link: SimulatedScheduler = simulation.connect(INFO, self._hear)
        simulation.timeline.call_at(simulation.now.mono + RETRY_S, self._mind_connection)

    def start(self) -> None:
        """With what the journal remembers."""
        self.tables: Tables = replay(self.journal)
        random = self.simulation.random.random
        self.engine = Engine(self.tables, self.settings, random, lambda: f"{next(self._unique)}")
        self._alarm = Alarm(self.simulation.timeline, lambda: self.act(self.engine.step))
        self.act(self.engine.start)

    def restart(self) -> None:
        """As after kill -9."""
        self._alarm.stop()
        self.link.disconnect()
        self.start()

    def act(self, decide: Callable[[Turn], T]) -> T:
        turn = Turn(Trial(self.tables), self.simulation.now)
        result = decide(turn)
        self.journal += turn.trial.ops
        for effect in turn.effects:
            self._perform(effect)
        self._alarm.set(self.engine.next_wake())
        return result

    def count(self, status: ScheduleStatus) -> int:
        return self.tables.tasks.count(status)

    def there(self) -> list[str]:
        """What executors run, whoever knows of it."""
        executors = [executor for agent in self.simulation.agents for executor in agent.executors]
        return sorted(task for executor in executors for task in executor.tasks)

    # --- what Mesos says --------------------------------------------------------------------------------------------

    def _hear(self, event: api.Event) -> None:
        engine = self.engine
        if (subscribed := event.subscribed) is not None:
            again, self._known = self._known, True
            self.act(lambda turn: engine.registered(turn, subscribed.framework_id.value, again))
        elif (offers := event.offers) is not None:
            self.act(lambda turn: engine.offers(turn, offers.offers))
        elif (update := event.update) is not None:
            self.act(lambda turn: engine.statuses(turn, [update.status]))
        elif (rescind := event.rescind) is not None:
            self.act(lambda turn: engine.rescinded(turn, rescind.offer_id.value))
        elif (failure := event.failure) is not None and failure.executor_id is None and failure.agent_id is not None:
            agent = failure.agent_id.value
            self.act(lambda turn: engine.agent_lost(turn, agent))

    def _mind_connection(self) -> None:
        if not self.link.is_subscribed:
            if self.engine.is_registered:
                self.engine.disconnected(self.simulation.now)
            self.link.subscribe()
        self.simulation.timeline.call_at(self.simulation.now.mono + RETRY_S, self._mind_connection)

    # --- what it is asked -------------------------------------------------------------------------------------------

    def _perform(self, effect: Effect) -> None:
        match effect:
            case LaunchTasks():
                self._launch(effect)
            case KillTask():
                agent = AgentID(value=effect.agent_id) if effect.agent_id is not None else None
                self.link.call(api.kill(TaskID(value=effect.task_id), agent))
            case AcknowledgeStatus():
                self.link.call(api.acknowledge(effect.status))
            case DeclineOffers():
                self.link.call(api.decline(effect.offer_ids, effect.refuse_s))
            case AcceptInverseOffers():
                self.link.call(api.accept_inverse(effect.inverse_offer_ids))
            case ReconcileTasks():
                tasks = [(TaskID(value=each), AgentID(value=at) if at else None) for each, at in effect.tasks]
                self.link.call(api.reconcile(tasks))
            case _:
                pass  # news

    def _launch(self, effect: LaunchTasks) -> None:
        ids = [info.task_id.value for info in effect.tasks]
        self.launched.update(ids)
        answer = self.link.call(api.accept([effect.offer_id], [launch(effect.tasks)], effect.refuse_s))
        timeline, engine = self.simulation.timeline, self.engine
        if answer is None:
            asked = self.simulation.now.mono + ASK_LATER_S
            timeline.call_at(asked, lambda: self.act(lambda turn: self.engine.reconcile(turn, ids)))
        elif answer.status >= 300:
            timeline.call_soon(lambda: self.act(lambda turn: engine.launch_failed(turn, effect.tasks, answer.text)))
