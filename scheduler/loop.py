"""The one thread in which everything is decided: turns, their commits, and what is done when these are durable.

    decide ──▶ memory, at once ──▶ commit under way ──▶ durable ──┬─▶ events are published
      ▲                                   │                       ├─▶ effects go to whoever performs them, in order
      │ next turn, at once                └─ failed: taken back   └─▶ whoever waits for the turn goes on

- A turn does not wait for the commit of the one before; it sees what that one decided. So when a commit fails, all
  turns on top of it are taken back, too, and the engine makes anew what it had derived (`Engine.rebuild`).
- Nothing outward happens before the commit of its turn and of all turns before it. A turn that changed nothing may have
  seen what is not durable yet: it waits like the others.
- While the store fails, wishes are refused at once for a while, and time stands still: to take back costs what the
  tables are long, and a full disk does not mend itself within milliseconds.
- A bug in a turn takes that turn back. Three within a minute and the scheduler ends: tasks live on without it.

Source: design §7, spec/scheduler.md §2.1, §8.1.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Struct

from mesos.timers import Cancellable, Timers
from scheduler.core.effects import Effect, News
from scheduler.engine import Engine
from scheduler.event_log import EventLog
from scheduler.lifecycle import Lifecycle
from scheduler.loop_stats import BackupStats, LoopStats
from scheduler.store.journal import Fenced, StoreError
from scheduler.store.store import Store
from scheduler.turn import Turn
from thermos.clock import Now
from thermos.errors import Bug, ThermosError

T = TypeVar("T")

#: Turns that may wait for their commits before those that nobody waits for (events, time) have to.
MOST_WAITING = 64

#: After a commit that failed, nothing is tried for so long; it doubles up to the second number.
PAUSE_S, LONGEST_PAUSE_S = 1.0, 10.0

#: So many bugs within so many seconds, and it is over.
MOST_BUGS, BUGS_WITHIN_S = 3, 60.0

_log = logging.getLogger(__name__)


class _Decided(Struct):
    """A turn that waits. `durable` None: it changed nothing, but may not overtake those before it."""

    durable: asyncio.Future[None] | None
    effects: list[Effect]
    since: float


class Loop:
    """Of one asyncio loop. `failed` gets the error that ends the scheduler."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        events: EventLog,
        lifecycle: Lifecycle,
        *,
        now: Callable[[], Now],
        timers: Timers,
    ) -> None:
        self.engine = engine
        self.store = store
        self.events = events
        self.lifecycle = lifecycle
        self.stats = LoopStats()
        self.backups = BackupStats()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.describe_mesos: Callable[[], dict[str, Any]] = dict
        self._now = now
        self._timers = timers
        self._waiting: deque[_Decided] = deque()
        self._last: asyncio.Future[None] | None = None  # of the latest commit
        self._outward: deque[Effect] = deque()
        self._news = asyncio.Event()  # something is outward
        self._idle = asyncio.Event()  # nothing is, and all that was is performed
        self._idle.set()
        self._room = asyncio.Event()
        self._room.set()
        self._runs = False  # time does, between start and stop
        self._timer: Cancellable | None = None
        self._timer_at = 0.0
        self._pause_s = 0.0
        self._paused_until = 0.0
        self._trouble = ""  # of the store, until it takes something again
        self._bugs: deque[float] = deque(maxlen=MOST_BUGS)

    # -- turns

    async def act(self, decide: Callable[[Turn], T]) -> T:
        """Somebody's wish. Returns when it is durable, and everything that it may have seen.

        Raises what `decide` raises, and nothing has changed then; StoreError when it could not be made durable, and
        was taken back, or when the store has just failed.
        """
        if self.is_in_trouble:
            raise StoreError(self._trouble)
        result, durable = self._turn(decide)
        if durable is not None:
            await asyncio.shield(durable)  # who stops waiting stops nothing
        return result

    def post(self, decide: Callable[[Turn], object]) -> None:
        """Something that happened; nobody waits for it. An error in it is a bug, and is counted."""
        try:
            self._turn(decide)
        except Exception:  # logged where it was taken back
            self._count_bug()

    @property
    def is_in_trouble(self) -> bool:
        """The store has failed, and it was not long ago."""
        self._settle()
        return bool(self._trouble) and self._now().mono < self._paused_until

    def read(self, ask: Callable[[], T]) -> T:
        """What memory says now, durable or not."""
        return ask()

    async def room(self) -> None:
        """For whoever posts one thing after the other: returns when not too many turns wait for their commits."""
        await self._room.wait()

    def now(self) -> Now:
        return self._now()

    def _turn(self, decide: Callable[[Turn], T]) -> tuple[T, asyncio.Future[None] | None]:
        self._settle()  # a commit that has failed is taken back already; the engine has to hear of it first
        now = self._now()
        turn = Turn(self.store.trial(), now)
        try:
            result = decide(turn)
        except Exception as error:
            self._undo(turn, error)
            raise
        self.stats.turns += 1
        if turn.trial.ops:
            self.stats.ops += len(turn.trial.ops)
            self._last = self.store.commit(turn.trial)
            self._last.add_done_callback(lambda _: self._settle())
            self._queue(_Decided(self._last, turn.effects, now.mono))
        else:
            self._queue(_Decided(None, turn.effects, now.mono))
        self._set_timer()
        return result, self._last if self._waiting else None

    def _undo(self, turn: Turn, error: Exception) -> None:
        """A refusal before the first change has nothing to undo."""
        if isinstance(error, ThermosError) and not isinstance(error, Bug) and not turn.trial.ops:
            return
        _log.error("an internal error, please report it; the turn is taken back", exc_info=error)
        self.stats.bugs += 1
        turn.trial.take_back()
        self._rebuild(turn.effects)

    def _count_bug(self) -> None:
        now = self._now().mono
        self._bugs.append(now)
        if len(self._bugs) == MOST_BUGS and now - self._bugs[0] <= BUGS_WITHIN_S:
            self.fail(Bug(f"{MOST_BUGS} internal errors within {BUGS_WITHIN_S:g} seconds; tasks live on"))
        self._pause()

    # -- commits

    def _queue(self, decided: _Decided) -> None:
        if decided.durable is None and not self._waiting:
            self._release(decided.effects)
            return
        self._waiting.append(decided)
        if len(self._waiting) >= MOST_WAITING:
            self._room.clear()

    def _settle(self) -> None:
        """Let go what is durable, in order. The first failure takes all behind it along: the store did so, too."""
        while self._waiting and ((durable := self._waiting[0].durable) is None or durable.done()):
            error = durable.exception() if durable is not None else None
            if error is not None:
                lost = [effect for decided in self._waiting for effect in decided.effects]
                self._waiting.clear()
                self._recover(error, lost)
                break
            decided = self._waiting.popleft()
            if durable is not None:
                self.stats.committed(self._now().mono - decided.since)
                self._pause_s, self._trouble = 0.0, ""
            self._release(decided.effects)
        if len(self._waiting) < MOST_WAITING and not self._room.is_set():
            self._room.set()
            self._set_timer()

    def _recover(self, error: BaseException, lost: list[Effect]) -> None:
        """Memory is as it was before the commit that failed; `lost` will not happen."""
        self.stats.failed_commits += 1
        if isinstance(error, Fenced) or not isinstance(error, StoreError):
            self.fail(error)
        elif not self.failed.done():
            _log.error("%s", error)
        self._trouble = str(error)
        self._rebuild(lost)
        self._pause()

    def _rebuild(self, lost: list[Effect]) -> None:
        try:
            self._queue(_Decided(None, self.engine.rebuild(self._now(), lost), 0.0))
        except Exception as error:  # there is nothing left to rely on
            _log.error("an internal error, please report it", exc_info=error)
            self.fail(Bug(f"the engine can't be made anew from the tables: {error}"))

    def fail(self, error: BaseException) -> None:
        """The scheduler ends with this, the first of these."""
        self._runs = False
        if not self.failed.done():
            self.failed.set_exception(error)

    # -- effects

    def _release(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, News):
                self.events.publish(effect)
            else:
                self._outward.append(effect)
        if self._outward:
            self._idle.clear()
            self._news.set()

    async def outward(self, most: int) -> list[Effect]:
        """The next effects to be performed, at least one, in order. For one taker, who performs these before he asks
        again."""
        while not self._outward:
            self._news.clear()
            self._idle.set()
            await self._news.wait()
        return [self._outward.popleft() for _ in range(min(most, len(self._outward)))]

    async def performed(self) -> None:
        """Returns when no effect waits any more, nor is under way."""
        await self._idle.wait()

    # -- time

    def start(self) -> None:
        """Begin: what the tables tell is taken up, and time runs."""
        self._runs = True
        self.post(self.engine.start)

    def stop(self) -> None:
        """Nothing is decided by time any more."""
        self._runs = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def close(self) -> None:
        """When all that was decided is durable. The error of a failed commit was told to whoever waits for it."""
        self.stop()
        await self.store.close()
        self._settle()

    def _pause(self) -> None:
        self._pause_s = min(LONGEST_PAUSE_S, max(PAUSE_S, 2 * self._pause_s))
        self._paused_until = self._now().mono + self._pause_s
        self._set_timer()

    def _set_timer(self) -> None:
        """For the engine's next wish; while too many turns wait, `_settle` sets it."""
        if not self._runs or not self._room.is_set():
            return
        wanted = self.engine.next_wake()
        if wanted is None:
            return
        at = max(wanted, self._paused_until)
        if self._timer is not None:
            if self._timer_at <= at:
                return  # it goes off early, and is set anew then
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._timers.call_later(max(0.0, at - self._now().mono), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if not self._runs or not self._room.is_set():
            return
        now = self._now().mono
        wanted = self.engine.next_wake()
        if wanted is not None and max(wanted, self._paused_until) <= now:
            self.post(self.engine.step)
        self._set_timer()

    # -- being looked at

    def state(self) -> dict[str, Any]:
        """For people and for metrics."""
        return {
            "lifecycle": self.lifecycle.state.value,
            "mesos": self.describe_mesos(),
            "turns_waiting": len(self._waiting),
            "effects_waiting": len(self._outward),
            "paused": self._paused_until > self._now().mono,
            "snapshot_error": str(self.store.snapshot_error or ""),
            **self.stats.asdict(),
        }
