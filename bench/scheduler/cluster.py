"""A whole engine with a journal in memory, a master that answers at once, and a clock that only we move.

What the scheduler's one thread does is counted, by kind of work: the turn, its operations in memory and as the bytes
that a journal gets, the news as bytes for those who listen, the calls as bytes for the master. Not counted: what the
master does, the disk, sockets.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from bench.scheduler.making import SETTINGS, host_offer, rest_of
from mesos.core import scheduler_api as api
from mesos.core.messages import AgentID, Offer, TaskID, TaskStatus
from mesos.core.wire import encode
from scheduler.core.effects import AcknowledgeStatus, LaunchTasks, News
from scheduler.core.launch import launch
from scheduler.core.model import TaskConfig
from scheduler.engine import Engine, EngineSettings
from scheduler.event_log import EventLog
from scheduler.store.codec import encode_ops
from scheduler.store.tables import Tables
from scheduler.store.trial import Trial
from scheduler.turn import Turn
from thermos.clock import Now

T = TypeVar("T")
WALL, MONO = 1_700_000_000.0, 1000.0
#: As the link does: offers and statuses of one turn.
OFFERS_AT_ONCE, STATUSES_AT_ONCE = 250, 100
#: What is not placed within so many seconds is not placed.
PATIENCE_S = 30.0


class Spent:
    """Processor seconds by kind of work, and how many of them were done; of several clusters one after the other."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.done: Counter[str] = Counter()

    def us_each(self, kind: str) -> float:
        return round(1e6 * self.seconds[kind] / max(1, self.done[kind]), 1)

    def s_of(self, kinds: Iterable[str]) -> float:
        return sum(self.seconds[kind] for kind in kinds)

    def forget(self, kind: str) -> None:
        """What was counted of it so far."""
        del self.seconds[kind], self.done[kind]


class Cluster:
    """`launched`: (task, agent) in order."""

    def __init__(self, hosts: int, tables: Tables | None = None, spent: Spent | None = None, seed: int = 7) -> None:
        self.spent = spent if spent is not None else Spent()
        self.launched: list[tuple[str, str]] = []
        self.journal_bytes = 0
        self.tables = tables if tables is not None else Tables()
        self.now = Now(WALL, MONO)
        chance = random.Random(seed).random
        ids = random.Random(seed)
        self.engine = Engine(self.tables, EngineSettings(SETTINGS, startup_delay_s=0.0), chance, lambda: _unique(ids))
        self.events = EventLog("bench")
        self.hosts = hosts
        self._offers: dict[str, Offer] = {}
        self._numbers = itertools.count(1)
        self._left: list[Offer] = []
        self.act("start", 1, self.engine.start)
        self.act("start", 1, lambda turn: self.engine.registered(turn, "f", False))

    def offer_all(self) -> None:
        self._offer("first offers", [host_offer(number, next(self._numbers)) for number in range(self.hosts)])

    # --- turns ------------------------------------------------------------------------------------------------------

    def act(self, kind: str, count: int, decide: Callable[[Turn], T]) -> T:
        """One turn, durable at once."""
        began = time.process_time()
        turn = Turn(Trial(self.tables), self.now)
        result = decide(turn)
        if turn.trial.ops:
            self.journal_bytes += len(encode_ops(turn.trial.ops))
        launches = []
        for effect in turn.effects:
            if isinstance(effect, News):
                self.events.publish(effect)
            elif isinstance(effect, LaunchTasks):
                encode(api.accept([effect.offer_id], [launch(effect.tasks)], effect.refuse_s))
                launches.append(effect)
            elif isinstance(effect, AcknowledgeStatus):
                encode(api.acknowledge(effect.status))
        self.engine.next_wake()
        self.spent.seconds[kind] += time.process_time() - began
        self.spent.done[kind] += count
        for effect in launches:
            self._launch(effect)
        return result

    def insert(self, config: TaskConfig, count: int) -> None:
        self.act("insert", count, lambda turn: self.engine.insert(turn, config, range(count)))

    def fill(self, report: Sequence[str] = ()) -> None:
        """Until nobody waits, or those who do wait long; what was launched says these things about itself."""
        until = self.now.mono + PATIENCE_S
        while self.engine.groups.tasks and (wake := self.engine.next_wake()) is not None and wake <= until:
            self.wait(max(0.0, wake - self.now.mono))
            before = len(self.launched)
            self.act("step", 0, self.engine.step)
            self.spent.done["step"] += len(self.launched) - before
            left, self._left = self._left, []
            self._offer("offer", left)
            for state in report:
                self.say(state, self.launched[before:])

    def wait(self, seconds: float) -> None:
        self.now = Now(self.now.wall + seconds, self.now.mono + seconds)

    def say(self, state: str, places: Sequence[tuple[str, str]], at_once: int = STATUSES_AT_ONCE) -> None:
        """What executors report, so many in a turn."""
        for first in range(0, len(places), at_once):
            statuses = [a_status(task, agent, state) for task, agent in places[first : first + at_once]]
            self.act(state, len(statuses), lambda turn, s=statuses: self.engine.statuses(turn, s))  # type: ignore[misc]

    # --- the master -------------------------------------------------------------------------------------------------

    def _offer(self, kind: str, offers: Sequence[Offer]) -> None:
        for first in range(0, len(offers), OFFERS_AT_ONCE):
            part = offers[first : first + OFFERS_AT_ONCE]
            self._offers.update((each.id.value, each) for each in part)
            self.act(kind, len(part), lambda turn, p=part: self.engine.offers(turn, p))  # type: ignore[misc]

    def _launch(self, effect: LaunchTasks) -> None:
        """What is left of the offer comes back."""
        offer = self._offers.pop(effect.offer_id.value)
        for info in effect.tasks:
            taken = (*info.resources, *(info.executor.resources if info.executor is not None else ()))
            offer = rest_of(offer, taken, next(self._numbers))
            self.launched.append((info.task_id.value, info.agent_id.value))
        self._left.append(offer)


def a_status(task_id: str, agent: str, state: str) -> TaskStatus:
    """As an executor's, that waits to be acknowledged."""
    return TaskStatus(
        task_id=TaskID(value=task_id),
        state=state,
        agent_id=AgentID(value=agent),
        source="SOURCE_EXECUTOR",
        uuid=b"u" * 16,
    )


def _unique(ids: random.Random) -> str:
    """As long as a UUID."""
    digits = f"{ids.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
