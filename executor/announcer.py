"""Announces one instance in ZooKeeper and keeps it announced: performs what `core/announcing` decides.

All decisions are taken in the executor's loop. kazoo is imported in a worker thread, when announcing starts: an
executor without an announcer never has it in memory. Beginning a session, asking and hearing don't block; closing does,
so it is the worker's.

`report` is called in the loop: JOINED and LOST any number of times, PAUSED after `pause`, FAILED at most once (its text
is for the task's status), and LEFT exactly once after `stop`, at the latest after `Waits.leave_s`, whatever was before.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable
from typing import Protocol, assert_never

from executor.announcer_auth import ZooKeeperOptions
from executor.core.announcement import Announcement
from executor.core.announcing import TIMED_OUT, begin, disconnected_s, step
from executor.core.membership import (
    AnnouncerEvent,
    Do,
    Event,
    Happened,
    State,
    Tell,
    Waits,
)
from executor.workers import EventLoop, Workers
from thermos.clock import Now
from thermos.clock import now as now_

__all__ = ["Announcer", "AnnouncerEvent", "Waits", "ZooKeeperOptions"]

Report = Callable[[AnnouncerEvent, str, Now], None]
Heed = Callable[[Event], None]

#: So many of our own sessions are recognised as owners of a node; older ones have expired.
SESSIONS_KEPT = 16

_log = logging.getLogger(__name__)


class Session(Protocol):
    """One ZooKeeper session (`announcer_zk.KazooSession`). All but `close` return at once; `ask` comes back with the
    answer. `heed` may be called from any thread."""

    @property
    def trouble(self) -> str:
        """Why there is no connection."""

    def start(self) -> None: ...
    def create(self, path: str, data: bytes, ask: int) -> None: ...
    def prepare(self, path: str, ask: int) -> None: ...
    def check(self, node: str, ask: int) -> None: ...
    def look(self, path: str, ask: int) -> None: ...
    def delete(self, node: str, ask: int) -> None: ...
    def close(self) -> None: ...


MakeSession = Callable[[ZooKeeperOptions, Heed, "deque[int]"], Session]


def kazoo_session(options: ZooKeeperOptions, heed: Heed, ours: deque[int]) -> Session:
    """In a worker thread: the import takes a while. Raises what kazoo raises for servers that are none."""
    from executor.announcer_zk import KazooSession  # noqa: PLC0415 - 11 MB (kazoo, ssl) only where it is used

    return KazooSession(options, heed, ours)


class Announcer:
    """`paused`: nothing is announced before `resume` (health-gated announcing)."""

    def __init__(
        self,
        announcement: Announcement,
        zookeeper: ZooKeeperOptions,
        loop: EventLoop,
        report: Report,
        *,
        connect_wait_s: float = 15.0,
        leave_s: float = 5.0,
        paused: bool = False,
        waits: Waits | None = None,
        clock: Callable[[], Now] = now_,
        chance: Callable[[], float] = random.random,
        make_session: MakeSession = kazoo_session,
        workers: Workers | None = None,
    ) -> None:
        self._announcement = announcement
        self._zookeeper = zookeeper
        self._loop = loop
        self._report = report
        self._waits = waits or Waits(connect_s=connect_wait_s, leave_s=leave_s)
        self._clock = clock
        self._chance = chance
        self._make_session = make_session
        self._workers = workers or Workers(loop, 1)  # its own: closing must not wait behind a probe that hangs
        self._life = begin(paused=paused)
        self._session: Session | None = None
        self._opening = 0  # the number of the newest session
        self._ours: deque[int] = deque(maxlen=SESSIONS_KEPT)
        self._wake: float | None = None
        self._since = 0.0  # wall, of the state
        self._counts = dict.fromkeys(AnnouncerEvent, 0)

    def start(self, now: Now) -> None:
        self._step(Event(Happened.START), now)

    def pause(self, now: Now) -> None:
        """Take the member back (or don't announce yet) until `resume`."""
        self._step(Event(Happened.PAUSE), now)

    def resume(self, now: Now) -> None:
        self._step(Event(Happened.RESUME), now)

    def stop(self, now: Now) -> None:
        """Leave; LEFT is reported when nothing is left in ZooKeeper, or when the time for it is over."""
        self._step(Event(Happened.STOP), now)

    def disconnected_s(self, now: Now) -> float:
        """The metric `disconnected_time`: 0 while joined."""
        return disconnected_s(self._life, now.mono)

    def state(self) -> dict[str, object]:
        """For the state file and metrics; no secrets. `away_since` goes on while the file is not written."""
        life, now = self._life, self._clock()
        away_s = self.disconnected_s(now)
        return {
            "state": str(life.state),
            "since": self._since,
            "path": self._announcement.path,
            "node": life.node,
            "paused": not life.wanted and not life.stopping,
            "disconnected_s": int(away_s),
            "away_since": round(now.wall - away_s, 1) if life.away_since is not None else None,
            "problem": life.problem or self._trouble() or None,
            "failures": life.failures,
            "joined": self._counts[AnnouncerEvent.JOINED],
            "lost": self._counts[AnnouncerEvent.LOST],
        }

    def _trouble(self) -> str:
        """Of the connection, while there is none."""
        session, away = self._session, self._life.state in (State.CONNECTING, State.LOST)
        return session.trouble if session is not None and away else ""

    # --- the loop ----------------------------------------------------------------------------------------------------

    def _step(self, event: Event, now: Now) -> None:
        before = self._life
        decision = step(before, event, self._waits, now.mono, self._chance())
        self._life = decision.life
        if decision.life.state is not before.state:
            self._since = now.wall
        if decision.life.problem not in ("", before.problem):
            _log.warning("announcing at %s: %s", self._announcement.path, decision.life.problem)
        for action in decision.actions:
            self._perform(action, now)
        self._set_timer(decision.next_wake)

    def _set_timer(self, wake: float | None) -> None:
        """Timers can't be called off, so an earlier one stands for a later."""
        if wake is not None and (self._wake is None or wake < self._wake):
            self._wake = wake
            self._loop.call_at(wake, self._on_timer)

    def _on_timer(self, now: Now) -> None:
        if self._wake is not None and self._wake <= now.mono:
            self._wake = None
        self._step(Event(Happened.TICK), now)

    def _heard(self, number: int, event: Event, now: Now) -> None:
        """From a session, unless it was given up before."""
        if number == self._opening:
            self._step(event, now)

    def _perform(self, action: Tell | Do, now: Now) -> None:
        if isinstance(action, Tell):
            self._counts[action.event] += 1
            if action.text == TIMED_OUT and self._session is not None:
                _log.warning("no ZooKeeper at %s: %s", self._zookeeper.ensemble, self._session.trouble or "no answer")
            _log.info("announcing at %s: %s %s", self._announcement.path, action.event, action.text)
            self._report(action.event, self._told(action), now)
        elif action is Do.OPEN:
            self._open()
        elif action is Do.CLOSE:
            self._close()
        else:
            self._ask(action)

    def _told(self, tell: Tell) -> str:
        """A refusal names the path, and what to do; a timeout has the words it always had."""
        if tell.event is not AnnouncerEvent.FAILED or tell.text == TIMED_OUT:
            return tell.text
        return f"cannot announce at {self._announcement.path}: {tell.text}"

    def _ask(self, action: Do) -> None:
        session, path, life = self._session, self._announcement.path, self._life
        assert session is not None, "asked without a session"
        match action:
            case Do.CREATE:
                session.create(path, self._announcement.data, life.ask)
            case Do.PREPARE:
                session.prepare(path, life.ask)
            case Do.LOOK:
                session.look(path, life.ask)
            case Do.CHECK:
                session.check(life.node or "", life.ask)
            case Do.DELETE:
                session.delete(life.node or "", life.ask)
            case Do.OPEN | Do.CLOSE:
                raise AssertionError("performed elsewhere")
            case _:
                assert_never(action)

    def _open(self) -> None:
        """In the worker: close the old one, then make a new one; it starts in the loop, so that nothing is missed."""
        self._opening += 1
        number, old, self._session = self._opening, self._session, None

        def heed(event: Event) -> None:
            self._loop.post(lambda now: self._heard(number, event, now))

        def make() -> Session:
            if old is not None:
                _close_quietly(old)
            return self._make_session(self._zookeeper, heed, self._ours)

        def made(outcome: Session | Exception, now: Now) -> None:
            if number != self._opening or self._life.is_over:
                return
            if isinstance(outcome, Exception):
                text = f"ZooKeeper at {self._zookeeper.ensemble} can't be used: {outcome}"
                self._step(Event(Happened.UNUSABLE, text), now)
                return
            self._session = outcome
            outcome.start()

        self._workers.submit(make, made)

    def _close(self) -> None:
        session, self._session = self._session, None
        number = self._opening

        def closed(outcome: Exception | None, now: Now) -> None:
            self._heard(number, Event(Happened.CLOSED), now)

        self._workers.submit(lambda: _close_quietly(session) if session is not None else None, closed)


def _close_quietly(session: Session) -> None:
    """What could not be closed ends with the process, or on the server by its timeout."""
    try:
        session.close()
    except Exception as error:  # the rim: closing is all that could be done
        _log.warning("cannot close the ZooKeeper session: %r", error)
