"""A loop with a journal that becomes durable when a test says so, an engine that does what it is told, and time that
stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, cast

from mesos.core.messages import OfferID
from scheduler.core.cluster_model import ResourceAggregate
from scheduler.core.effects import DeclineOffers, Effect
from scheduler.engine import Engine
from scheduler.event_log import EventLog
from scheduler.lifecycle import Lifecycle
from scheduler.loop import Loop
from scheduler.store.journal import StoreError
from scheduler.store.ops import Op, SaveQuota
from scheduler.store.store import Store
from scheduler.store.tables import Tables
from scheduler.turn import Turn
from tests.mesos.scheduler.masters import VirtualTimers
from thermos.clock import Now


class SlowJournal:
    """Commits wait for `succeed` or `fail`."""

    def __init__(self) -> None:
        self.under_way: list[Future[None]] = []
        self.resumed = 0
        self.is_long = False

    def load(self) -> Iterator[Op]:
        return iter(())

    def append(self, ops: Sequence[Op]) -> Future[None]:
        self.under_way.append(Future())
        return self.under_way[-1]

    def snapshot(self, tables: Tables) -> Future[None]:
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def resume(self) -> None:
        self.resumed += 1

    def close(self) -> None:
        self.succeed(len(self.under_way))

    def succeed(self, count: int = 1) -> None:
        for _ in range(count):
            self.under_way.pop(0).set_result(None)

    def fail(self, error: Exception | None = None) -> None:
        """The first, and so all behind it."""
        for future in self.under_way:
            future.set_exception(error or StoreError("cannot write: no space left on device"))
        self.under_way.clear()


class ToldEngine:
    """`wakes`: when it wants to be called; each step takes the first off, and raises `error` if there is one."""

    def __init__(self) -> None:
        self.wakes: list[float] = []
        self.steps: list[float] = []
        self.started = 0
        self.rebuilt: list[list[Effect]] = []
        self.error: Exception | None = None
        self.is_broken = False

    def start(self, turn: Turn) -> None:
        self.started += 1

    def step(self, turn: Turn) -> None:
        if self.wakes:
            self.wakes.pop(0)
        self.steps.append(turn.now.mono)
        if self.error is not None:
            turn.apply(quota("half"))
            raise self.error

    def next_wake(self) -> float | None:
        return self.wakes[0] if self.wakes else None

    def rebuild(self, now: Now, lost: Iterable[Effect] = ()) -> list[Effect]:
        if self.is_broken:
            raise RuntimeError("the tables make no sense")
        self.rebuilt.append(list(lost))
        return [declined(f"rebuilt{len(self.rebuilt)}")]


class World:
    def __init__(self) -> None:
        self.timers = VirtualTimers()
        self.journal = SlowJournal()
        self.engine = ToldEngine()
        self.store = Store(self.journal)
        self.loop = Loop(
            cast(Engine, self.engine),
            self.store,
            EventLog("boot"),
            Lifecycle(self.timers.now),
            now=lambda: Now(1_800_000_000.0 + self.timers.now(), self.timers.now()),
            timers=self.timers,
        )

    @property
    def roles(self) -> list[str]:
        """What memory holds."""
        return list(self.store.tables.quotas)

    def told(self) -> list[str]:
        """What may be performed now, taken."""
        found: list[str] = []
        while self.loop._outward:
            found += [offer.value for offer in cast(DeclineOffers, self.loop._outward.popleft()).offer_ids]
        return found

    async def settle(self) -> None:
        """Everything that can go on now has gone on."""
        for _ in range(10):
            await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        self.timers.advance(seconds)


def quota(role: str) -> SaveQuota:
    return SaveQuota(role=role, quota=ResourceAggregate())


def declined(name: str) -> DeclineOffers:
    """An effect that is told apart by its name."""
    return DeclineOffers((OfferID(value=name),), 5.0)


def saving(role: str, effect: str = "", answer: Any = None) -> Any:
    """A decision."""

    def decide(turn: Turn) -> Any:
        turn.apply(quota(role))
        if effect:
            turn.tell(declined(effect))
        return answer

    return decide


def telling(effect: str) -> Any:
    return lambda turn: turn.tell(declined(effect))
