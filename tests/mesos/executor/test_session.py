"""The table of an executor's subscription: the whole square, and the stories that it has to tell."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos.core import executor_session
from mesos.core.executor_session import (
    FLOOR,
    OF_CONNECTION,
    Close,
    Connect,
    Decision,
    Deliver,
    Happening,
    Kind,
    Outcome,
    Phase,
    Session,
    TellDisconnected,
    TellEnded,
    TellProblem,
    TellShutdown,
    Terms,
    due,
    outcome,
    step,
)

O = Outcome  # noqa: E741

KEPT = Terms(checkpoint=True, away_s=900.0, backoff_s=0.5, attempt_s=10.0)
UNKEPT = Terms(checkpoint=False, away_s=60.0, backoff_s=0.5, attempt_s=10.0)

#: The whole square, written down by hand: a row a phase, a column an event, in the order of `Kind`.
SQUARE = """
             start    accepted  refused  lost        SUBSCRIBED event    SHUTDOWN ERROR    retry    late   away       stop
idle         connect  noop      noop     noop        noop       noop     noop     noop     noop     noop   noop       end
connecting   noop     read      give_up  retry       nonsense   nonsense nonsense nonsense noop     retry  shut_down  end
subscribing  noop     nonsense  give_up  retry       greet      nonsense deliver  give_up  noop     retry  shut_down  end
subscribed   noop     nonsense  give_up  disconnect  nonsense   deliver  deliver  give_up  noop     noop   noop       end
waiting      noop     noop      noop     noop        noop       noop     noop     noop     connect  noop   shut_down  end
abandoned    noop     noop      noop     noop        noop       noop     noop     noop     noop     noop   noop       end
ended        noop     noop      noop     noop        noop       noop     noop     noop     noop     noop   noop       noop
"""  # noqa: E501

CELLS = {
    (Phase(row.split()[0]), kind): Outcome(cell.replace("_", " "))
    for row in SQUARE.strip().splitlines()[1:]
    for kind, cell in zip(Kind, row.split()[1:], strict=True)
}


def at(phase: Phase, terms: Terms = KEPT, **more: object) -> Session:
    """A session in a phase, with connection 3."""
    return Session(terms, phase, connection=3, **more)  # type: ignore[arg-type]


def test_the_square_is_whole() -> None:
    assert set(CELLS) == set(itertools.product(Phase, Kind))


@pytest.mark.parametrize(("phase", "kind"), sorted(CELLS), ids=str)
def test_every_cell(phase: Phase, kind: Kind) -> None:
    assert outcome(phase, kind) is CELLS[phase, kind]
    decision = step(at(phase), Happening(kind, 3, "why"), 100.0, 0.5)
    assert decision.outcome is CELLS[phase, kind]
    if decision.outcome is Outcome.NOOP:
        assert decision == Decision(at(phase))


@pytest.mark.parametrize(("phase", "kind"), sorted(itertools.product(Phase, sorted(OF_CONNECTION))), ids=str)
def test_what_an_old_connection_says_changes_nothing(phase: Phase, kind: Kind) -> None:
    for number in (0, 2, 4):
        assert step(at(phase), Happening(kind, number, "why"), 100.0, 0.5) == Decision(at(phase))


def test_every_outcome_is_in_the_square_and_has_a_step() -> None:
    assert set(CELLS.values()) == set(Outcome)
    assert set(executor_session._STEPS) == set(Outcome)


# --- stories -----------------------------------------------------------------------------------------------------


def tell(session: Session, *events: tuple[Kind, str] | Kind, now: float = 100.0) -> tuple[Session, list[object]]:
    """All of these on the newest connection, at one moment; what was done."""
    actions: list[object] = []
    for event in events:
        kind, text = event if isinstance(event, tuple) else (event, "")
        decision = step(session, Happening(kind, session.connection, text), now, 0.5)
        session = decision.session
        actions += decision.actions
    return session, actions


def pass_time(session: Session, now: float) -> tuple[Session, list[object]]:
    actions: list[object] = []
    while (event := due(session, now)) is not None:
        decision = step(session, event, now, 0.5)
        session = decision.session
        actions += decision.actions
    return session, actions


def test_from_start_to_subscribed() -> None:
    session, actions = tell(Session(KEPT), Kind.START)
    assert actions == [Connect(1)]
    assert (session.phase, session.late_at, session.away_at) == (Phase.CONNECTING, 110.0, 1000.0)
    session, actions = tell(session, Kind.ACCEPTED, Kind.HELLO)
    assert actions == [Deliver(again=False)]
    assert (session.phase, session.next_wake) == (Phase.SUBSCRIBED, math.inf)


def test_an_agent_that_is_away_is_tried_again_and_again_and_told_once() -> None:
    session, _ = tell(Session(KEPT), Kind.START, Kind.ACCEPTED, Kind.HELLO)
    session, actions = tell(session, (Kind.LOST, "closed"))
    assert actions == [Close(1), TellDisconnected("closed")]
    now, told = 100.0, []
    for number in range(2, 50):
        assert session.phase is Phase.WAITING and now < session.next_wake <= now + KEPT.backoff_s
        now = session.next_wake
        session, actions = pass_time(session, now)
        assert actions == [Connect(number)]
        session, actions = tell(session, (Kind.LOST, "refused"), now=now)
        assert actions[0] == Close(number)
        told += actions[1:]
    assert told == [TellProblem("refused")]
    session, _ = pass_time(session, session.next_wake)
    session, actions = tell(session, Kind.ACCEPTED, Kind.HELLO)
    assert actions == [Deliver(again=True)] and session.away_at == math.inf and session.attempts == 0


def test_the_recovery_timeout_runs_from_the_loss_and_shutdown_is_told_once() -> None:
    session, _ = tell(Session(KEPT), Kind.START, Kind.ACCEPTED, Kind.HELLO)
    session, _ = tell(session, (Kind.LOST, "closed"), now=500.0)
    assert session.away_at == 1400.0
    session, actions = pass_time(session, 1400.0)
    assert TellShutdown("the agent is away for 900 s (closed)") in actions
    session, actions = tell(session, Kind.ACCEPTED, Kind.HELLO, now=1401.0)  # it is back, too late
    assert actions == [Deliver(again=True)] and session.doomed
    _, actions = tell(session, Kind.SHUTDOWN, (Kind.LOST, "closed"), (Kind.STOP, "done"), now=1402.0)
    assert not any(isinstance(action, TellShutdown) for action in actions)


def test_without_checkpoints_a_lost_agent_is_the_end() -> None:
    session, _ = tell(Session(UNKEPT), Kind.START, Kind.ACCEPTED, Kind.HELLO)
    session, actions = tell(session, (Kind.LOST, "closed"))
    assert actions == [
        Close(1),
        TellDisconnected("closed"),
        TellShutdown("closed; without checkpointing that is for good"),
    ]
    assert (session.phase, session.next_wake) == (Phase.ABANDONED, math.inf)


def test_without_checkpoints_the_first_subscription_has_its_time() -> None:
    session, _ = tell(Session(UNKEPT), Kind.START)
    session, actions = tell(session, (Kind.LOST, "503"))
    assert actions == [Close(1), TellProblem("503")] and session.phase is Phase.WAITING
    session, actions = pass_time(session, 160.0)
    assert (session.phase, actions[0]) == (Phase.ABANDONED, Close(1))
    assert TellShutdown("the agent is away for 60 s (503)") in actions


@pytest.mark.parametrize("terms", [KEPT, UNKEPT])
@pytest.mark.parametrize("kind", [Kind.REFUSED, Kind.ERROR])
def test_a_refusal_is_told_in_the_agents_words_and_never_tried_again(terms: Terms, kind: Kind) -> None:
    session, _ = tell(Session(terms), Kind.START, Kind.ACCEPTED, Kind.HELLO)
    session, actions = tell(session, (kind, "403 Forbidden: no"))
    assert actions == [Close(1), TellDisconnected("403 Forbidden: no"), TellShutdown("403 Forbidden: no")]
    assert (session.phase, session.next_wake, due(session, 1e9)) == (Phase.ABANDONED, math.inf, None)
    session, actions = tell(session, (Kind.STOP, "all killed"))
    assert actions == [Close(1), TellEnded("all killed")] and session.phase is Phase.ENDED


def test_an_attempt_that_hangs_is_given_up_in_time() -> None:
    for kinds in ((Kind.START,), (Kind.START, Kind.ACCEPTED)):
        session, _ = tell(Session(KEPT), *kinds)
        assert due(session, 109.9) is None
        session, actions = pass_time(session, 110.0)
        assert actions[0] == Close(1) and session.phase is Phase.WAITING


KINDS = st.sampled_from([k for k in Kind if k not in (Kind.RETRY_DUE, Kind.ATTEMPT_LATE, Kind.AWAY_TOO_LONG)])


@given(st.booleans(), st.lists(st.tuples(KINDS, st.floats(0, 30), st.floats(0, 0.999), st.booleans()), max_size=60))
def test_whatever_happens(checkpoint: bool, story: list[tuple[Kind, float, float, bool]]) -> None:
    """Nothing spins, shutdown and the end are told once, no connection is left open, numbers only grow."""
    session = Session(KEPT if checkpoint else UNKEPT)
    now, connected_at, opened, closed = 0.0, -math.inf, [], set()
    told: list[object] = []
    for kind, pause, random, is_late in story:
        now += pause
        events = [Happening(kind, session.connection - is_late, "why")]
        while events:
            decision = step(session, events.pop(), now, random)
            session = decision.session
            for action in decision.actions:
                if isinstance(action, Connect):
                    assert action.connection == len(opened) + 1
                    assert all(number in closed for number in opened)
                    assert now - connected_at >= KEPT.backoff_s * FLOOR or not opened
                    opened.append(action.connection)
                    connected_at = now
                elif isinstance(action, Close):
                    closed.add(action.connection)
            told += [action for action in decision.actions if isinstance(action, TellShutdown | TellEnded)]
            if (event := due(session, now)) is not None:
                events.append(event)
        assert session.next_wake > now
        if session.phase in (Phase.ABANDONED, Phase.ENDED):
            assert set(opened) <= closed | {0}
            assert session.next_wake == math.inf
        if session.phase is Phase.ABANDONED:
            assert session.doomed
    assert sum(isinstance(action, TellShutdown) for action in told) <= 1
    assert sum(isinstance(action, TellEnded) for action in told) <= 1
