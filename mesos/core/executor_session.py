"""The subscription of an executor at its agent, as one total table.

    IDLE --start--> CONNECTING --200--> SUBSCRIBING --SUBSCRIBED--> SUBSCRIBED
                        ^  |                 |                          |
                  back-off over; lost, 503, too late                   lost
                        |  v                 v                          v
                       WAITING <----------------------------------------'
    any --refused, ERROR; lost for good without checkpointing--> ABANDONED --stop--> ENDED

- Each attempt has a number; what comes of an older one is stale and changes nothing.
- An agent that is away is tried again and again, in short random pauses, because it may be back any moment and waits
  only seconds for its executors. It may be away for `away_s` (MESOS_RECOVERY_TIMEOUT); then the executor is told to
  shut down, and the attempts go on so that its last words may still be heard. Without checkpointing an agent that was
  lost doesn't know us when it comes back: shutdown at once, no attempt.
- 503, 404 (an agent that just started) and other passing troubles are tried again; any other 4xx and an ERROR event are
  a refusal: told with the agent's own words, never tried again.
- Shutdown is told once. The executor ends the session (`STOP`) when it has killed everything.

Time and random numbers are arguments. `step` gives the next session and what to do;
`due` says what time alone makes happen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, structs

#: Least pause between two attempts, as a share of the cap: nothing ever spins.
FLOOR = 0.2


class Phase(StrEnum):
    IDLE = "idle"
    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"  # the agent said 200, SUBSCRIBED has not come yet
    SUBSCRIBED = "subscribed"
    WAITING = "waiting"  # for the next attempt
    ABANDONED = "abandoned"  # no further attempt: refused, or the agent is away for good
    ENDED = "ended"


class Kind(StrEnum):
    """What can happen."""

    START = "start"
    ACCEPTED = "accepted"  # 200
    REFUSED = "refused"  # a 4xx that will not pass
    LOST = "lost"  # no connection, 503, the stream ended or can't be read
    HELLO = "SUBSCRIBED"
    EVENT = "event"  # LAUNCH, KILL, ACKNOWLEDGED, MESSAGE, …
    SHUTDOWN = "SHUTDOWN"
    ERROR = "ERROR"
    RETRY_DUE = "retry due"
    ATTEMPT_LATE = "attempt late"
    AWAY_TOO_LONG = "away too long"
    STOP = "stop"


class Outcome(StrEnum):
    """What becomes of an event; every (phase, kind) pair has one."""

    CONNECT = "connect"
    READ = "read"
    GREET = "greet"
    DELIVER = "deliver"
    RETRY = "retry"  # lost, but tried again
    DISCONNECT = "disconnect"  # a subscription was lost
    GIVE_UP = "give up"  # refused
    SHUT_DOWN = "shut down"
    END = "end"
    NONSENSE = "nonsense"  # the agent said what it can't say now: the connection is given up and tried anew
    NOOP = "noop"


#: Kinds that come from a connection and carry its number.
OF_CONNECTION = frozenset(
    {Kind.ACCEPTED, Kind.REFUSED, Kind.LOST, Kind.HELLO, Kind.EVENT, Kind.SHUTDOWN, Kind.ERROR},
)

_P, _K, _O = Phase, Kind, Outcome

#: THE table; pairs that are not here are NOOP.
TABLE: Mapping[tuple[Phase, Kind], Outcome] = {
    (_P.IDLE, _K.START): _O.CONNECT,
    (_P.WAITING, _K.RETRY_DUE): _O.CONNECT,
    (_P.CONNECTING, _K.ACCEPTED): _O.READ,
    (_P.SUBSCRIBING, _K.HELLO): _O.GREET,
    **{(_P.SUBSCRIBED, kind): _O.DELIVER for kind in (_K.EVENT, _K.SHUTDOWN)},
    **{(phase, _K.LOST): _O.RETRY for phase in (_P.CONNECTING, _P.SUBSCRIBING)},
    **{(phase, _K.ATTEMPT_LATE): _O.RETRY for phase in (_P.CONNECTING, _P.SUBSCRIBING)},
    (_P.SUBSCRIBED, _K.LOST): _O.DISCONNECT,
    **{(phase, _K.REFUSED): _O.GIVE_UP for phase in (_P.CONNECTING, _P.SUBSCRIBING, _P.SUBSCRIBED)},
    **{(phase, _K.ERROR): _O.GIVE_UP for phase in (_P.SUBSCRIBING, _P.SUBSCRIBED)},
    (_P.SUBSCRIBING, _K.SHUTDOWN): _O.DELIVER,  # an agent that doesn't want us any more may say so at once
    **{(phase, _K.AWAY_TOO_LONG): _O.SHUT_DOWN for phase in (_P.CONNECTING, _P.SUBSCRIBING, _P.WAITING)},
    **{(phase, _K.STOP): _O.END for phase in Phase if phase is not _P.ENDED},
    **{(_P.CONNECTING, kind): _O.NONSENSE for kind in (_K.HELLO, _K.EVENT, _K.SHUTDOWN, _K.ERROR)},
    **{(_P.SUBSCRIBING, kind): _O.NONSENSE for kind in (_K.ACCEPTED, _K.EVENT)},
    **{(_P.SUBSCRIBED, kind): _O.NONSENSE for kind in (_K.ACCEPTED, _K.HELLO)},
}


def outcome(phase: Phase, kind: Kind) -> Outcome:
    """Total over the whole square."""
    return TABLE.get((phase, kind), Outcome.NOOP)


class Terms(Struct, frozen=True):
    """How patient a session is; seconds."""

    checkpoint: bool
    away_s: float  # how long an agent may be away; without checkpointing: how long the first subscription may take
    backoff_s: float  # the longest pause between two attempts
    attempt_s: float  # from the call to SUBSCRIBED


class Happening(Struct, frozen=True):
    """An event; `connection` where it comes from one, `text` says why."""

    kind: Kind
    connection: int = 0
    text: str = ""


class Session(Struct, frozen=True):
    """Everything that is known. Deadlines are monotonic."""

    terms: Terms
    phase: Phase = Phase.IDLE
    connection: int = 0  # number of the newest attempt
    attempts: int = 0  # since the last subscription
    subscriptions: int = 0
    retry_at: float = math.inf
    late_at: float = math.inf
    away_at: float = math.inf
    doomed: bool = False  # shutdown was told
    problem: str = ""  # of the last attempt, told once

    @property
    def next_wake(self) -> float:
        """When something is due by itself; infinity: never."""
        return min(self.retry_at, self.late_at, self.away_at)


# --- what to do, in this order -----------------------------------------------------------------------------------


class Close(Struct, frozen=True):
    """Give this connection up."""

    connection: int


class Connect(Struct, frozen=True):
    """Call SUBSCRIBE with everything that is unacknowledged."""

    connection: int


class Deliver(Struct, frozen=True):
    """The event of this step is for the executor (SUBSCRIBED and the others)."""

    again: bool = False


class TellDisconnected(Struct, frozen=True):
    reason: str


class TellProblem(Struct, frozen=True):
    text: str


class TellShutdown(Struct, frozen=True):
    reason: str


class TellEnded(Struct, frozen=True):
    reason: str


Action = Close | Connect | Deliver | TellDisconnected | TellProblem | TellShutdown | TellEnded


class Decision(Struct, frozen=True):
    session: Session
    actions: tuple[Action, ...] = ()
    outcome: Outcome = Outcome.NOOP


def due(session: Session, now: float) -> Happening | None:
    """What time alone makes happen; ask again after stepping it."""
    for when, kind in (
        (session.away_at, Kind.AWAY_TOO_LONG),
        (session.late_at, Kind.ATTEMPT_LATE),
        (session.retry_at, Kind.RETRY_DUE),
    ):
        if when <= now:
            return Happening(kind, text=_LATE if kind is Kind.ATTEMPT_LATE else "")
    return None


def step(session: Session, event: Happening, now: float, random: float) -> Decision:
    """`random` is in [0, 1)."""
    if event.kind in OF_CONNECTION and event.connection != session.connection:
        return Decision(session)
    what = outcome(session.phase, event.kind)
    after, actions = _STEPS[what](session, event, now, random)
    return Decision(after, actions, what)


_LATE = "the agent did not answer in time"
_Step = tuple[Session, tuple[Action, ...]]


def _connect(session: Session, event: Happening, now: float, random: float) -> _Step:
    number = session.connection + 1
    away_at = now + session.terms.away_s if event.kind is Kind.START else session.away_at
    after = structs.replace(
        session,
        phase=Phase.CONNECTING,
        connection=number,
        attempts=session.attempts + 1,
        retry_at=math.inf,
        late_at=now + session.terms.attempt_s,
        away_at=away_at,
    )
    return after, (Connect(number),)


def _read(session: Session, event: Happening, now: float, random: float) -> _Step:
    return structs.replace(session, phase=Phase.SUBSCRIBING), ()


def _greet(session: Session, event: Happening, now: float, random: float) -> _Step:
    after = structs.replace(
        session,
        phase=Phase.SUBSCRIBED,
        attempts=0,
        subscriptions=session.subscriptions + 1,
        late_at=math.inf,
        away_at=math.inf,
        problem="",
    )
    return after, (Deliver(again=session.subscriptions > 0),)


def _deliver(session: Session, event: Happening, now: float, random: float) -> _Step:
    if event.kind is not Kind.SHUTDOWN:
        return session, (Deliver(),)
    if session.doomed:
        return session, ()
    return structs.replace(session, doomed=True, away_at=math.inf), (
        TellShutdown(event.text or "the agent says SHUTDOWN"),
    )


def _retry(session: Session, event: Happening, now: float, random: float) -> _Step:
    """A failed attempt. What went wrong is told when it is something new."""
    pause = session.terms.backoff_s * (FLOOR + (1 - FLOOR) * random)
    after = structs.replace(
        session, phase=Phase.WAITING, retry_at=now + pause, late_at=math.inf, problem=event.text or session.problem
    )
    told = (TellProblem(event.text),) if event.text and event.text != session.problem else ()
    return after, (Close(session.connection), *told)


def _disconnect(session: Session, event: Happening, now: float, random: float) -> _Step:
    """The agent was there, and is away."""
    reason = event.text or "the agent is away"
    if not session.terms.checkpoint:
        after, actions = _abandon(session, f"{reason}; without checkpointing that is for good")
        return after, (actions[0], TellDisconnected(reason), *actions[1:])
    pause = session.terms.backoff_s * (FLOOR + (1 - FLOOR) * random)
    after = structs.replace(
        session,
        phase=Phase.WAITING,
        retry_at=now + pause,
        away_at=math.inf if session.doomed else now + session.terms.away_s,
        problem=reason,
    )
    return after, (Close(session.connection), TellDisconnected(reason))


def _give_up(session: Session, event: Happening, now: float, random: float) -> _Step:
    after, actions = _abandon(session, event.text)
    if session.phase is Phase.SUBSCRIBED:
        return after, (actions[0], TellDisconnected(event.text), *actions[1:])
    return after, actions


def _shut_down(session: Session, event: Happening, now: float, random: float) -> _Step:
    away = f"the agent is away for {session.terms.away_s:g} s"
    reason = f"{away} ({session.problem})" if session.problem else away
    if not session.terms.checkpoint:
        return _abandon(session, reason)
    return structs.replace(session, doomed=True, away_at=math.inf), (TellShutdown(reason),)


def _abandon(session: Session, reason: str) -> _Step:
    after = structs.replace(
        session,
        phase=Phase.ABANDONED,
        doomed=True,
        retry_at=math.inf,
        late_at=math.inf,
        away_at=math.inf,
        problem=reason,
    )
    told = () if session.doomed else (TellShutdown(reason),)
    return after, (Close(session.connection), *told)


def _end(session: Session, event: Happening, now: float, random: float) -> _Step:
    after = structs.replace(session, phase=Phase.ENDED, retry_at=math.inf, late_at=math.inf, away_at=math.inf)
    return after, (Close(session.connection), TellEnded(event.text or "stopped"))


def _nonsense(session: Session, event: Happening, now: float, random: float) -> _Step:
    text = f"the agent said {event.kind} when it can't ({session.phase})"
    happening = Happening(Kind.LOST, event.connection, text)
    if session.phase is Phase.SUBSCRIBED:
        return _disconnect(session, happening, now, random)
    return _retry(session, happening, now, random)


def _noop(session: Session, event: Happening, now: float, random: float) -> _Step:
    return session, ()


_STEPS = {
    Outcome.CONNECT: _connect,
    Outcome.READ: _read,
    Outcome.GREET: _greet,
    Outcome.DELIVER: _deliver,
    Outcome.RETRY: _retry,
    Outcome.DISCONNECT: _disconnect,
    Outcome.GIVE_UP: _give_up,
    Outcome.SHUT_DOWN: _shut_down,
    Outcome.END: _end,
    Outcome.NONSENSE: _nonsense,
    Outcome.NOOP: _noop,
}
assert set(_STEPS) == set(Outcome)
