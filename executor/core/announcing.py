"""One instance as a ZooKeeper member: join, stay joined, leave, as one table of (state, what happened).

    IDLE --start--> CONNECTING --connected--> JOINING --created--> CHECKING --there--> JOINED
                        |                      ^  |                   ^                  |
                        | too late             |  no parent           |  changed         | gone: at once again
                        v                      |  v                   '------------------+-----> JOINING
                      FAILED                PREPARING                                    |
                                                          connection lost, in any state: v
                               LOOKING or CHECKING or JOINING  <--connected--  LOST  <---'
    pause: WITHDRAWING --gone--> PAUSED --resume--> JOINING          (stop: likewise, then LEFT)

Between two states that wait for something outside, `_settle` says from the facts alone what is asked next:

    a create without an answer (`doubt`)     LOOKING: is there a node that one of our sessions owns?
    a node that may be there, and is wanted  CHECKING: is it, and tell when it goes
    nothing there, but wanted                JOINING
    a node, but not wanted                   WITHDRAWING, then PAUSED or LEFT

Invariants, for any order of events, lost answers and broken connections:
- never two members at a time: nothing is created while a node or a create of ours may exist;
- "joined" is told only of a node that the server has confirmed, never after a refusal (spec/thermos.md §7.4.15);
- every state in which an answer is awaited has a deadline; `stop` is answered with exactly one LEFT by `leave_by`;
  FAILED is told at most once, and only by an instance that was never joined: a running task does not die of ZooKeeper.

A connection that breaks takes nothing away while its session lives; only the server can say that a session has expired.
While a connection is down what was asked may still be sent later, in order: hence a question asked after it decides.

Source: spec/thermos.md §4.6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import structs

from executor.core.membership import (
    Action,
    AnnouncerEvent,
    Decision,
    Do,
    Event,
    Happened,
    Life,
    Moment,
    State,
    Tell,
    Waits,
)

#: Between attempts to remove the node in the little time that stopping has.
STOPPING_RETRY_S = 0.5

#: What LEFT says when the server has not confirmed that nothing is left.
ITS_SESSION_ENDS = "what may be left in ZooKeeper goes with its session"

#: The words of the original for a ZooKeeper that never answered.
TIMED_OUT = "Creating Announcer Serverset timed out."

Handler = Callable[[Life, Event, Moment], Decision]


def begin(*, paused: bool = False) -> Life:
    return Life(wanted=not paused)


def disconnected_s(life: Life, now: float) -> float:
    """Seconds without a member in ZooKeeper although there should be one; 0 while joined."""
    return 0.0 if life.away_since is None else max(0.0, now - life.away_since)


def step(life: Life, event: Event, waits: Waits, now: float, random: float) -> Decision:
    """What to do about `event` at `now` (mono). Events that have no row are of no consequence in that state."""
    moment = Moment(waits, now, random)
    if event.what is Happened.TICK:
        if life.leave_by is not None and now >= life.leave_by and not life.is_over:
            return _leave_anyway(life, event, moment)
        if life.deadline is None or now < life.deadline:
            return Decision(life)
    if event.ask not in (0, life.ask):
        return Decision(life)  # to something that nobody waits for any more
    if event.what in (Happened.GONE, Happened.CHANGED) and event.node != life.node:
        return Decision(life)  # of a node that was given up before
    handler = TABLE.get((life.state, event.what))
    return handler(life, event, moment) if handler is not None else Decision(life)


# --- what comes next ---------------------------------------------------------------------------------------------


def _settle(life: Life, m: Moment) -> Decision:
    """Connected, and nothing is awaited: what the facts ask for."""
    if life.doubt:
        return _ask(life, State.LOOKING, Do.LOOK, m)
    if life.wanted and life.node is None:
        return _ask(structs.replace(life, doubt=True), State.JOINING, Do.CREATE, m)
    if life.wanted:
        return _ask(life, State.CHECKING, Do.CHECK, m)
    if life.node is not None and not life.undeletable:
        return _ask(life, State.WITHDRAWING, Do.DELETE, m)
    if life.node is not None:
        return _close(life, m) if life.stopping else _ask(life, State.WITHDRAWING, Do.CHECK, m)
    return _left(life, "") if life.stopping else _paused(life)


def _ask(life: Life, state: State, do: Do, m: Moment) -> Decision:
    asked = structs.replace(life, state=state, ask=life.ask + 1, deadline=m.now + m.waits.answer_s)
    return Decision(asked, (do,))


def _paused(life: Life) -> Decision:
    told = (Tell(AnnouncerEvent.PAUSED),) if life.announced else ()
    return Decision(structs.replace(life, state=State.PAUSED, deadline=None, announced=False, problem=""), told)


def _close(life: Life, m: Moment) -> Decision:
    return Decision(structs.replace(life, state=State.LEAVING, deadline=None), (Do.CLOSE,))


def _left(life: Life, text: str) -> Decision:
    """Nothing of ours is there (or nothing can be done about it): tell it, then tidy up."""
    life = structs.replace(life, state=State.LEFT, deadline=None, leave_by=None, announced=False, away_since=None)
    return Decision(life, (Tell(AnnouncerEvent.LEFT, text), Do.CLOSE))


def _failed(life: Life, text: str) -> Decision:
    life = structs.replace(life, state=State.FAILED, deadline=None, problem=text)
    return Decision(life, (Tell(AnnouncerEvent.FAILED, text), Do.CLOSE))


def _retry(life: Life, text: str, m: Moment) -> Decision:
    life = structs.replace(life, failures=life.failures + 1, problem=text)
    return _retry_in(STOPPING_RETRY_S if life.stopping else _delay_s(life.failures, m), life, m)


def _retry_in(delay_s: float, life: Life, m: Moment) -> Decision:
    return Decision(structs.replace(life, state=State.RETRYING, deadline=m.now + delay_s))


def _delay_s(failures: int, m: Moment) -> float:
    """1, 2, 4, 8, 15, 15 … seconds, or down to half of that: not all instances at the same time."""
    return min(m.waits.retry_max_s, 2.0 ** min(failures - 1, 16)) * (1 - m.random / 2)


def _away(life: Life, now: float) -> Life:
    """No member is known to be there."""
    return structs.replace(life, away_since=now) if life.away_since is None and life.wanted else life


def _lost_member(life: Life, m: Moment) -> Life:
    return _away(structs.replace(life, node=None, undeletable=False, announced=False), m.now)


def _told_lost(life: Life, text: str) -> tuple[Action, ...]:
    return (Tell(AnnouncerEvent.LOST, text),) if life.announced else ()


# --- rows: wishes ------------------------------------------------------------------------------------------------


def _start(life: Life, event: Event, m: Moment) -> Decision:
    life = structs.replace(life, state=State.CONNECTING, deadline=m.now + m.waits.connect_s)
    return Decision(_away(life, m.now), (Do.OPEN,))


def _pause(life: Life, event: Event, m: Moment) -> Decision:
    """To be heeded when the answer is there that is awaited, or the connection."""
    return Decision(structs.replace(life, wanted=False, away_since=None))


def _pause_now(life: Life, event: Event, m: Moment) -> Decision:
    life = _pause(life, event, m).life
    return Decision(life) if life.ended else _settle(life, m)


def _resume(life: Life, event: Event, m: Moment) -> Decision:
    if life.stopping:
        return Decision(life)
    life = structs.replace(life, wanted=True)
    return Decision(life if life.announced else _away(life, m.now))


def _resume_now(life: Life, event: Event, m: Moment) -> Decision:
    return _settle(_resume(life, event, m).life, m)


def _stop(life: Life, event: Event, m: Moment) -> Decision:
    if life.stopping:
        return Decision(life)
    return Decision(structs.replace(life, wanted=False, stopping=True, leave_by=m.now + m.waits.leave_s))


def _stop_now(life: Life, event: Event, m: Moment) -> Decision:
    """Nothing is awaited: begin at once."""
    life = _stop(life, event, m).life
    return _unreachable(life, m) if life.ended else _settle(life, m)


def _stop_lost(life: Life, event: Event, m: Moment) -> Decision:
    """What may be there needs a connection to be removed; it may come in time."""
    life = _stop(life, event, m).life
    return _left(life, "") if life.has_nothing else Decision(life)


def _stop_at_once(life: Life, event: Event, m: Moment) -> Decision:
    return _unreachable(structs.replace(life, stopping=True, wanted=False), m)


def _leave_anyway(life: Life, event: Event, m: Moment) -> Decision:
    where = f"{life.node} goes" if life.node is not None else "what may be left there goes"
    text = (
        ""
        if life.has_nothing
        else f"ZooKeeper could not be asked within {m.waits.leave_s:g} s: {where} with its session"
    )
    return _left(life, text)


def _unreachable(life: Life, m: Moment) -> Decision:
    """Stopping, and nobody can be asked: what a session may own goes with it."""
    return _left(life, "" if life.has_nothing else ITS_SESSION_ENDS)


# --- rows: the connection ----------------------------------------------------------------------------------------


def _connected(life: Life, event: Event, m: Moment) -> Decision:
    return _settle(life, m)


def _suspended(life: Life, event: Event, m: Moment) -> Decision:
    if life.stopping and life.has_nothing:
        return _left(life, "")
    return Decision(_away(structs.replace(life, state=State.LOST, deadline=None), m.now))


def _expired(life: Life, event: Event, m: Moment) -> Decision:
    """What the session owned is gone; a create that was on its way may still be done, in the next session."""
    told = _told_lost(life, event.text)
    life = _lost_member(structs.replace(life, state=State.LOST, deadline=None), m)
    if life.stopping and life.has_nothing:
        return _left(life, "")
    return Decision(life, told)


def _ended(life: Life, event: Event, m: Moment) -> Decision:
    """Nobody connects again by himself. What the session owns may live on for its timeout: it is not forgotten."""
    if life.stopping:
        return _unreachable(life, m)
    if not life.was_joined:
        return _failed(life, event.text)
    return _retry(_away(structs.replace(life, ended=True), m.now), event.text, m)


def _closed(life: Life, event: Event, m: Moment) -> Decision:
    return _left(life, ITS_SESSION_ENDS)


def _never_connected(life: Life, event: Event, m: Moment) -> Decision:
    return _failed(life, TIMED_OUT)


# --- rows: answers -----------------------------------------------------------------------------------------------


def _created(life: Life, event: Event, m: Moment) -> Decision:
    return _settle(structs.replace(life, node=event.node, doubt=False), m)


def _no_parent(life: Life, event: Event, m: Moment) -> Decision:
    life = structs.replace(life, doubt=False)
    return _ask(life, State.PREPARING, Do.PREPARE, m) if life.wanted else _settle(life, m)


def _answered(life: Life, event: Event, m: Moment) -> Decision:
    return _settle(life, m)


def _join_refused(life: Life, event: Event, m: Moment) -> Decision:
    """Told at once by an instance that begins; one that was announced before goes on and tries again."""
    life = structs.replace(life, doubt=False)
    if not life.wanted:
        return _settle(life, m)
    return _retry(life, event.text, m) if life.was_joined else _failed(life, event.text)


def _join_error(life: Life, event: Event, m: Moment) -> Decision:
    life = structs.replace(life, doubt=False)
    return _retry(life, event.text, m) if life.wanted else _settle(life, m)


def _again_later(life: Life, event: Event, m: Moment) -> Decision:
    return _retry(life, event.text, m)


def _again(life: Life, event: Event, m: Moment) -> Decision:
    """No answer came, or it is time to try again."""
    if life.ended:
        return Decision(structs.replace(life, state=State.LOST, ended=False, deadline=None), (Do.OPEN,))
    return _settle(life, m)


def _there(life: Life, event: Event, m: Moment) -> Decision:
    """The server knows the node and will tell when it goes: joined, and not before."""
    told: tuple[Action, ...] = ()
    if not life.announced:
        told = (Tell(AnnouncerEvent.JOINED, life.node or ""),)
        life = structs.replace(life, announced=True, was_joined=True, joined_at=m.now)
    return Decision(structs.replace(life, state=State.JOINED, deadline=None, away_since=None, problem=""), told)


def _gone(life: Life, event: Event, m: Moment) -> Decision:
    """Somebody deleted the node: join at once, but slower and slower against one who deletes each."""
    told = _told_lost(life, event.text or f"{life.node} was deleted")
    steady = life.announced and m.now - life.joined_at >= m.waits.steady_s
    failures = 1 if steady else life.failures + 1
    life = structs.replace(_lost_member(life, m), failures=failures)
    decision = _settle(life, m) if failures == 1 else _retry_in(_delay_s(failures - 1, m), life, m)
    return Decision(decision.life, told + decision.actions)


def _gone_meanwhile(life: Life, event: Event, m: Moment) -> Decision:
    """A retry is due anyway, if it is still wanted."""
    if not life.wanted and not life.ended:
        return _withdrawn(life, event, m)
    return Decision(_lost_member(life, m), _told_lost(life, event.text or f"{life.node} was deleted"))


def _withdrawn(life: Life, event: Event, m: Moment) -> Decision:
    decision = _settle(structs.replace(life, node=None, undeletable=False), m)
    if decision.life.state is State.JOINING:  # it was resumed meanwhile: the old member is gone nevertheless
        told = _told_lost(life, "it was taken back")
        return Decision(_away(structs.replace(decision.life, announced=False), m.now), told + decision.actions)
    return decision


def _withdraw_refused(life: Life, event: Event, m: Moment) -> Decision:
    """We may create but not delete: the end of the session removes what it owns, whatever the ACLs say."""
    life = structs.replace(life, undeletable=True, problem=event.text)
    if life.stopping:
        return _close(life, m)
    return Decision(structs.replace(life, state=State.LOST, deadline=None), (Do.OPEN,))


def _not_gone_yet(life: Life, event: Event, m: Moment) -> Decision:
    """The session that owns it has ended, or will: look again."""
    return _retry(life, "the node is still there, until its session ends", m)


def _found(life: Life, event: Event, m: Moment) -> Decision:
    return _settle(structs.replace(life, node=event.node, doubt=False), m)


def _look_refused(life: Life, event: Event, m: Moment) -> Decision:
    """We may create but not list: only a new session leaves no doubt."""
    if life.stopping:
        return _close(life, m)
    return _retry(structs.replace(life, doubt=False, ended=True), event.text, m)


_S, _H = State, Happened

#: A question was asked, the answer is awaited.
ASKING = (_S.LOOKING, _S.JOINING, _S.PREPARING, _S.CHECKING, _S.WITHDRAWING)

#: There is a connection, as far as is known.
CONNECTED = (*ASKING, _S.JOINED, _S.RETRYING, _S.PAUSED)

#: THE table. What is not in it is of no consequence: answers that come late, a second stop, …
TABLE: Mapping[tuple[State, Happened], Handler] = {
    (_S.IDLE, _H.START): _start,
    (_S.IDLE, _H.PAUSE): _pause,
    (_S.IDLE, _H.RESUME): _resume,
    (_S.IDLE, _H.STOP): _stop_at_once,
    (_S.CONNECTING, _H.CONNECTED): _connected,
    (_S.CONNECTING, _H.UNUSABLE): _ended,
    (_S.CONNECTING, _H.ENDED): _ended,
    (_S.CONNECTING, _H.PAUSE): _pause,
    (_S.CONNECTING, _H.RESUME): _resume,
    (_S.CONNECTING, _H.STOP): _stop_at_once,
    (_S.CONNECTING, _H.TICK): _never_connected,
    (_S.LOST, _H.CONNECTED): _connected,
    (_S.LOST, _H.EXPIRED): _expired,
    (_S.LOST, _H.ENDED): _ended,
    (_S.LOST, _H.UNUSABLE): _ended,
    (_S.LOST, _H.PAUSE): _pause,
    (_S.LOST, _H.RESUME): _resume,
    (_S.LOST, _H.STOP): _stop_lost,
    **{(state, _H.SUSPENDED): _suspended for state in CONNECTED},
    **{(state, _H.EXPIRED): _expired for state in CONNECTED},
    **{(state, _H.ENDED): _ended for state in CONNECTED},
    **{(state, what): handler for state in ASKING for what, handler in (
        (_H.PAUSE, _pause), (_H.RESUME, _resume), (_H.STOP, _stop), (_H.UNKNOWN, _again_later), (_H.TICK, _again),
    )},
    (_S.LOOKING, _H.FOUND): _found,
    (_S.LOOKING, _H.NOT_FOUND): _found,
    (_S.LOOKING, _H.REFUSED): _look_refused,
    (_S.LOOKING, _H.ERROR): _again_later,
    (_S.JOINING, _H.CREATED): _created,
    (_S.JOINING, _H.NO_PARENT): _no_parent,
    (_S.JOINING, _H.REFUSED): _join_refused,
    (_S.JOINING, _H.ERROR): _join_error,
    (_S.PREPARING, _H.PARENTS_MADE): _answered,
    (_S.PREPARING, _H.REFUSED): _join_refused,
    (_S.PREPARING, _H.ERROR): _join_error,
    (_S.CHECKING, _H.THERE): _there,
    (_S.CHECKING, _H.GONE): _gone,
    (_S.CHECKING, _H.REFUSED): _again_later,
    (_S.CHECKING, _H.ERROR): _again_later,
    (_S.CHECKING, _H.PAUSE): _pause_now,
    (_S.CHECKING, _H.STOP): _stop_now,
    (_S.JOINED, _H.GONE): _gone,
    (_S.JOINED, _H.CHANGED): _answered,
    (_S.JOINED, _H.PAUSE): _pause_now,
    (_S.JOINED, _H.STOP): _stop_now,
    (_S.RETRYING, _H.GONE): _gone_meanwhile,
    (_S.RETRYING, _H.PAUSE): _pause_now,
    (_S.RETRYING, _H.RESUME): _resume,
    (_S.RETRYING, _H.STOP): _stop_now,
    (_S.RETRYING, _H.TICK): _again,
    (_S.WITHDRAWING, _H.GONE): _withdrawn,
    (_S.WITHDRAWING, _H.THERE): _not_gone_yet,
    (_S.WITHDRAWING, _H.REFUSED): _withdraw_refused,
    (_S.WITHDRAWING, _H.ERROR): _again_later,
    (_S.PAUSED, _H.RESUME): _resume_now,
    (_S.PAUSED, _H.STOP): _stop_now,
    (_S.LEAVING, _H.CLOSED): _closed,
    (_S.FAILED, _H.STOP): _stop_at_once,
}  # fmt: skip
