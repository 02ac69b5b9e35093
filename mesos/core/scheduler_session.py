"""The session of a scheduler with the leading master, as one table; no sockets, no clock, no random numbers.

    LEADERLESS --a leader--> CONNECTING --200--> SUBSCRIBING --SUBSCRIBED--> SUBSCRIBED
        ^                      |    ^  '--307: there instead                      |
        |                      |    '------------------ the delay is over -----.  |
        '---no leader known--- WAITING <---refused, broken, silent, too slow------'
    anything but ENDED --401, 403, 400, an ERROR event, stop--> ENDED

- `step` is fed what happened and gives what to do. Whoever performs it tells with each thing that happens on a
  connection that connection's number; what comes late from an older one changes nothing.
- There is at most one connection: each `Connect` comes after the end of the one before, or with a `Close` of it.
- Every phase of a connection has a deadline. That of SUBSCRIBED is five heartbeats of silence.
- A failure costs a delay that doubles with each failure in a row (jitter: mesos.core.backoff). The row ends only with a
  subscription that lasted a heartbeat, and with news of a leader: a master that closes after SUBSCRIBED is not spun on,
  nor is one that answers 503 while it recovers, nor are masters that redirect in a circle.
- What a retry can't mend (credentials, a framework that was removed) ends the session with the master's own words.
- News of another leader moves the session there at once. A *guess* (the next one in a list) is only where the next
  attempt goes. That no leader is seen ends nothing: the stream is kept while it lives.

Source: Mesos 1.11, docs/scheduler-http-api (subscribe, disconnections, redirects); spec/libraries.md §2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from mesos.core.backoff import Backoff
from mesos.core.leader import BadLocation, redirected
from mesos.core.scheduler_events import (
    Accepted,
    Action,
    AskLeader,
    Close,
    Connect,
    Failed,
    Heard,
    LeaderFound,
    LeaderGuessed,
    LeaderLost,
    OfConnection,
    Redirected,
    Refused,
    Resumed,
    SessionEvent,
    Stop,
    Subscribed,
    TellDisconnected,
    TellProblem,
    TellSubscribed,
    Tick,
)


class Phase(StrEnum):
    LEADERLESS = "LEADERLESS"  # nobody knows whom to ask
    CONNECTING = "CONNECTING"  # the SUBSCRIBE is on its way
    SUBSCRIBING = "SUBSCRIBING"  # the master answered 200, SUBSCRIBED is to come
    SUBSCRIBED = "SUBSCRIBED"
    WAITING = "WAITING"  # until the next attempt
    ENDED = "ENDED"  # for good


#: In these there is a connection.
CONNECTED_PHASES = frozenset({Phase.CONNECTING, Phase.SUBSCRIBING, Phase.SUBSCRIBED})


@dataclass(frozen=True, slots=True)
class Settings:
    subscribe_timeout_s: float = 30.0  # for the answer, and again for SUBSCRIBED
    heartbeat_s: float = 15.0  # when the master names none
    missed_heartbeats: int = 5
    most_hops: int = 5  # redirects in a row
    backoff: Backoff = field(default_factory=Backoff)


#: What a master may name as its heartbeat; beyond that it is taken for the nearest.
HEARTBEAT_BOUNDS_S = (0.05, 300.0)


@dataclass(frozen=True, slots=True)
class Session:
    settings: Settings
    phase: Phase = Phase.LEADERLESS
    framework: str | None = None
    leader: str | None = None  # where leader detection points to
    connection: int = 0  # number of the newest one
    url: str | None = None  # of the master it goes to
    visited: tuple[str, ...] = ()  # addresses since the last attempt began, for redirects
    stream_id: str | None = None
    heartbeat_s: float = 15.0
    failures: int = 0  # in a row
    since: float = 0.0  # of the phase
    deadline: float | None = None  # of the phase
    subscriptions: int = 0  # so far
    reason: str = ""  # of the last failure, or of the end
    refused: bool = False  # the end is a refusal, not our wish


def new_session(settings: Settings, framework: str | None, now: float) -> Session:
    return Session(settings=settings, framework=framework, since=now, heartbeat_s=settings.heartbeat_s)


# --- the table -----------------------------------------------------------------------------------------------------


class Outcome(StrEnum):
    """What becomes of an event: every (phase, event) pair has one of these."""

    CONNECT = "connect to the leader"
    MOVE = "move to the leader, unless there already"
    NOTE = "remember the leader"
    FORGET = "forget the leader"
    ACCEPT = "wait for SUBSCRIBED"
    FOLLOW = "follow a redirect"
    RETREAT = "wait, then try again"
    END = "end, with the master's words"
    ENTER = "subscribed"
    ALIVE = "a sign of life"
    RESTART = "begin the phase's deadline anew"
    EXPIRE = "give up the connection if its deadline is over"
    RESUME = "try again if the delay is over"
    LEAVE = "end, as we wish"
    NOOP = "nothing"
    LATE = "nothing: that connection is over"
    ILLEGAL = "nothing: it can't be"


_O = Outcome

#: Event -> what becomes of it in each phase, in the order of `Phase`.
_ROWS: Mapping[type[SessionEvent], tuple[Outcome, ...]] = {
    #               LEADERLESS  CONNECTING  SUBSCRIBING SUBSCRIBED  WAITING     ENDED
    LeaderFound: (_O.CONNECT, _O.MOVE, _O.MOVE, _O.MOVE, _O.CONNECT, _O.NOOP),
    LeaderGuessed: (_O.CONNECT, _O.NOTE, _O.NOTE, _O.NOTE, _O.NOTE, _O.NOOP),
    LeaderLost: (_O.NOOP, _O.FORGET, _O.FORGET, _O.FORGET, _O.FORGET, _O.NOOP),
    Accepted: (_O.LATE, _O.ACCEPT, _O.ILLEGAL, _O.ILLEGAL, _O.LATE, _O.LATE),
    Redirected: (_O.LATE, _O.FOLLOW, _O.ILLEGAL, _O.ILLEGAL, _O.LATE, _O.LATE),
    Failed: (_O.LATE, _O.RETREAT, _O.RETREAT, _O.RETREAT, _O.LATE, _O.LATE),
    Refused: (_O.LATE, _O.END, _O.END, _O.END, _O.LATE, _O.LATE),
    Subscribed: (_O.LATE, _O.ILLEGAL, _O.ENTER, _O.ALIVE, _O.LATE, _O.LATE),
    Heard: (_O.LATE, _O.ILLEGAL, _O.NOOP, _O.ALIVE, _O.LATE, _O.LATE),
    Resumed: (_O.LATE, _O.RESTART, _O.RESTART, _O.RESTART, _O.LATE, _O.LATE),
    Tick: (_O.NOOP, _O.EXPIRE, _O.EXPIRE, _O.EXPIRE, _O.RESUME, _O.NOOP),
    Stop: (_O.LEAVE, _O.LEAVE, _O.LEAVE, _O.LEAVE, _O.LEAVE, _O.NOOP),
}

#: (phase, event) -> outcome. This is THE table.
TABLE: Mapping[tuple[Phase, type[SessionEvent]], Outcome] = {
    (phase, kind): outcome for kind, row in _ROWS.items() for phase, outcome in zip(Phase, row, strict=True)
}


class Decision(NamedTuple):
    session: Session
    outcome: Outcome
    actions: tuple[Action, ...]
    next_wake: float | None  # when to say Tick, at the latest


def outcome_of(session: Session, event: SessionEvent) -> Outcome:
    if isinstance(event, OfConnection) and event.connection != session.connection:
        return Outcome.LATE
    return TABLE[session.phase, type(event)]


def step(session: Session, event: SessionEvent, now: float, random: float) -> Decision:
    """`now` is monotonic, `random` in [0, 1). Total: whatever happens when, there is a decision."""
    outcome = outcome_of(session, event)
    after, actions = _PERFORM[outcome](session, event, now, random)
    return Decision(after, outcome, actions, after.deadline)


# --- performing it -------------------------------------------------------------------------------------------------

_Step = tuple[Session, tuple[Action, ...]]


def _nothing(session: Session, event: SessionEvent, now: float, random: float) -> _Step:
    return session, ()


def _connect(session: Session, event: SessionEvent, now: float, random: float) -> _Step:
    if isinstance(event, LeaderFound | LeaderGuessed):
        session = replace(session, leader=event.url)
    if isinstance(event, LeaderFound):
        session = replace(session, failures=0)  # they were another's
    if session.leader is None:
        return replace(session, phase=Phase.LEADERLESS, since=now, deadline=None, url=None), ()
    return _connect_to(session, session.leader, (), now)


def _connect_to(session: Session, url: str, visited: tuple[str, ...], now: float) -> _Step:
    number = session.connection + 1
    after = replace(
        session,
        phase=Phase.CONNECTING,
        connection=number,
        url=url,
        visited=(*visited, url),
        stream_id=None,
        since=now,
        deadline=now + session.settings.subscribe_timeout_s,
    )
    return after, (Connect(number, url),)


def _move(session: Session, event: SessionEvent, now: float, random: float) -> _Step:
    assert isinstance(event, LeaderFound)
    after = replace(session, leader=event.url)
    if event.url == session.url:
        return after, ()
    reason = f"the leading master is {event.url} now"
    told = (TellDisconnected(reason),) if session.phase is Phase.SUBSCRIBED else ()
    after = replace(after, failures=0, reason=reason)
    after, actions = _connect_to(after, event.url, (), now)
    return after, (Close(session.connection), *told, *actions)


def _note(session: Session, event: SessionEvent, now: float, random: float) -> _Step:
    assert isinstance(event, LeaderGuessed)
    return replace(session, leader=event.url), ()


def _forget(session: Session, event: SessionEvent, now: float, random: float) -> _Step:
    return replace(session, leader=None), ()


def _accept(session: Session, event: SessionEvent, now: float, random: float) -> _Step:
    assert isinstance(event, Accepted)
    deadline = now + session.settings.subscribe_timeout_s
    return replace(session, phase=Phase.SUBSCRIBING, stream_id=event.stream_id, since=now, deadline=deadline), ()


def _follow(session: Session, event: SessionEvent, now: float, random: float) -> _Step:
    assert isinstance(event, Redirected)
    assert session.url is not None
    try:
        url = redirected(session.url, event.location)
    except BadLocation as error:
        return _give_up(session, f"cannot subscribe: {error}", now, random)
    if url in session.visited:
        where = "itself" if url == session.url else f"{url}, where we come from"
        return _give_up(session, f"cannot subscribe at {session.url} yet: it redirects to {where}", now, random)
    if len(session.visited) > session.settings.most_hops:
        text = f"cannot subscribe: {session.settings.most_hops} redirects in a row, the last to {url}"
        return _give_up(session, text, now, random)
    return _connect_to(session, url, session.visited, now)


def _retreat(session: Session, event: SessionEvent, now: float, random: float) -> _Step:
    assert isinstance(event, Failed)
    return _give_up(session, event.text, now, random, event.retry_after_s)


def _expire(session: Session, event: SessionEvent, now: float, random: float) -> _Step:
    if session.deadline is None or now < session.deadline:
        return session, ()
    silence = now - session.since
    if session.phase is Phase.SUBSCRIBED:
        silence = _patience(session)
    what = {
        Phase.CONNECTING: "no answer to SUBSCRIBE",
        Phase.SUBSCRIBING: "no SUBSCRIBED event",
        Phase.SUBSCRIBED: "no heartbeat",
    }
    after, actions = _give_up(session, f"{what[session.phase]} from {session.url} for {silence:.3g} s", now, random)
    return after, (Close(session.connection), *actions)


def _give_up(session: Session, reason: str, now: float, random: float, wanted_s: float | None = None) -> _Step:
    """The connection is over (or is closed with this): wait, and look for another leader meanwhile."""
    failures = _row(session, now)
    after = replace(
        session,
        phase=Phase.WAITING,
        url=None,
        stream_id=None,
        failures=failures + 1,
        since=now,
        deadline=now + session.settings.backoff.delay(failures, random, wanted_s),
        reason=reason,
    )
    told: Action = TellDisconnected(reason) if session.phase is Phase.SUBSCRIBED else TellProblem(reason)
    return after, (told, *((AskLeader(session.leader),) if session.leader is not None else ()))


def _row(session: Session, now: float) -> int:
    """Failures in a row so far, seen from the end of this connection."""
    lasted = session.phase is Phase.SUBSCRIBED and now - session.since >= session.heartbeat_s
    return 0 if lasted else session.failures


def _end(session: Session, event: SessionEvent, now: float, random: float) -> _Step:
    assert isinstance(event, Refused)
    return _ended(session, event.text, True, now)


def _leave(session: Session, event: SessionEvent, now: float, random: float) -> _Step:
    return _ended(session, "stopped", False, now)


def _ended(session: Session, reason: str, refused: bool, now: float) -> _Step:
    after = replace(
        session, phase=Phase.ENDED, url=None, stream_id=None, since=now, deadline=None, reason=reason, refused=refused
    )
    close = (Close(session.connection),) if session.phase in CONNECTED_PHASES else ()
    told = (TellDisconnected(reason),) if session.phase is Phase.SUBSCRIBED else ()
    return after, (*close, *told)


def _enter(session: Session, event: SessionEvent, now: float, random: float) -> _Step:
    assert isinstance(event, Subscribed)
    if not event.framework or (session.framework is not None and session.framework != event.framework):
        reason = f"{session.url} says that we are framework {event.framework!r}, but we are {session.framework!r}"
        after, actions = _give_up(session, reason[:500], now, random)
        return after, (Close(session.connection), *actions)
    after = replace(
        session,
        phase=Phase.SUBSCRIBED,
        framework=event.framework,
        heartbeat_s=_bounded(event.heartbeat_s, session.settings.heartbeat_s),
        since=now,
        subscriptions=session.subscriptions + 1,
    )
    again = session.subscriptions > 0
    return replace(after, deadline=now + _patience(after)), (TellSubscribed(event.framework, again),)


def _alive(session: Session, event: SessionEvent, now: float, random: float) -> _Step:
    return replace(session, deadline=now + _patience(session), failures=_row(session, now)), ()


def _restart(session: Session, event: SessionEvent, now: float, random: float) -> _Step:
    patience = _patience(session) if session.phase is Phase.SUBSCRIBED else session.settings.subscribe_timeout_s
    return replace(session, deadline=now + patience), ()


def _resume(session: Session, event: SessionEvent, now: float, random: float) -> _Step:
    if session.deadline is not None and now < session.deadline:
        return session, ()
    return _connect(session, event, now, random)


def _patience(session: Session) -> float:
    return session.heartbeat_s * session.settings.missed_heartbeats


def _bounded(heartbeat_s: float | None, default: float) -> float:
    least, most = HEARTBEAT_BOUNDS_S
    if heartbeat_s is None or heartbeat_s != heartbeat_s:  # NaN
        return default
    return min(most, max(least, heartbeat_s))


_PERFORM: Mapping[Outcome, Callable[[Session, SessionEvent, float, float], _Step]] = {
    Outcome.CONNECT: _connect,
    Outcome.MOVE: _move,
    Outcome.NOTE: _note,
    Outcome.FORGET: _forget,
    Outcome.ACCEPT: _accept,
    Outcome.FOLLOW: _follow,
    Outcome.RETREAT: _retreat,
    Outcome.END: _end,
    Outcome.ENTER: _enter,
    Outcome.ALIVE: _alive,
    Outcome.RESTART: _restart,
    Outcome.EXPIRE: _expire,
    Outcome.RESUME: _resume,
    Outcome.LEAVE: _leave,
    Outcome.NOOP: _nothing,
    Outcome.LATE: _nothing,
    Outcome.ILLEGAL: _nothing,
}
assert set(_PERFORM) == set(Outcome)
