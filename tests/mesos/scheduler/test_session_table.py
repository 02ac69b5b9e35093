"""The session's table: total, and each cell does what it says. The square below is written by hand, from the plan."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from mesos.core.backoff import Backoff
from mesos.core.scheduler_events import (
    ACTION_ORDER,
    Accepted,
    Action,
    Answer,
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
    classify,
)
from mesos.core.scheduler_session import (
    CONNECTED_PHASES,
    TABLE,
    Decision,
    Outcome,
    Phase,
    Session,
    Settings,
    new_session,
    step,
)

A, B, C = "http://a:5050", "http://b:5050", "http://c:5050"
SETTINGS = Settings(backoff=Backoff(first_s=0.5, cap_s=15))


def run(session: Session, *events: SessionEvent, now: float = 100.0, random: float = 0.5) -> Decision:
    """The last decision."""
    for event in events:
        decision = step(session, event, now, random)
        session = decision.session
    return decision


def in_phase(phase: Phase) -> Session:
    """A session at second 100, on its 1st connection, to A."""
    connecting = [LeaderFound(A)]
    ways: dict[Phase, list[SessionEvent]] = {
        Phase.LEADERLESS: [LeaderLost()],
        Phase.CONNECTING: [*connecting],
        Phase.SUBSCRIBING: [*connecting, Accepted(1, "s-1")],
        Phase.SUBSCRIBED: [*connecting, Accepted(1, "s-1"), Subscribed(1, "f-1", 15.0)],
        Phase.WAITING: [*connecting, Failed(1, "broken")],
        Phase.ENDED: [*connecting, Refused(1, "no")],
    }
    session = run(new_session(SETTINGS, None, 100.0), *ways[phase]).session
    assert session.phase is phase
    return session


#: One of each kind, of the 1st connection.
SAMPLES: dict[type[SessionEvent], SessionEvent] = {
    LeaderFound: LeaderFound(B),
    LeaderGuessed: LeaderGuessed(B),
    LeaderLost: LeaderLost(),
    Accepted: Accepted(1, "s-1"),
    Redirected: Redirected(1, "//b:5050/api/v1/scheduler"),
    Failed: Failed(1, "broken"),
    Refused: Refused(1, "401"),
    Subscribed: Subscribed(1, "f-1", 15.0),
    Heard: Heard(1),
    Resumed: Resumed(1),
    Tick: Tick(),
    Stop: Stop(),
}

_L, _C, _B, _S, _W, _E = Phase

#: Event -> phase -> the phase after, long after the deadline of each phase. Absent: nothing changes.
AFTER: dict[type[SessionEvent], dict[Phase, Phase]] = {
    LeaderFound: {_L: _C, _C: _C, _B: _C, _S: _C, _W: _C},
    LeaderGuessed: {_L: _C},
    LeaderLost: {},
    Accepted: {_C: _B},
    Redirected: {_C: _C},
    Failed: {_C: _W, _B: _W, _S: _W},
    Refused: {_C: _E, _B: _E, _S: _E},
    Subscribed: {_B: _S},
    Heard: {},
    Resumed: {},
    Tick: {_C: _W, _B: _W, _S: _W, _W: _C},
    Stop: {_L: _E, _C: _E, _B: _E, _S: _E, _W: _E},
}


def test_the_table_is_total() -> None:
    assert set(SAMPLES) == set(get_args(SessionEvent)) == set(AFTER)
    assert set(TABLE) == {(phase, kind) for phase in Phase for kind in SAMPLES}
    assert set(TABLE.values()) == set(Outcome)  # each outcome is used
    assert set(ACTION_ORDER) == set(get_args(Action))


@pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("phase", Phase)
def test_the_whole_square(phase: Phase, kind: type[SessionEvent]) -> None:
    before = in_phase(phase)
    decision = step(before, SAMPLES[kind], 1000.0, 0.5)
    assert decision.outcome is TABLE[phase, kind]
    assert decision.session.phase is AFTER[kind].get(phase, phase)
    assert decision.next_wake == decision.session.deadline
    places = [ACTION_ORDER.index(type(action)) for action in decision.actions]
    assert places == sorted(set(places))  # in order, none twice
    if decision.outcome in (Outcome.NOOP, Outcome.LATE, Outcome.ILLEGAL):
        assert decision.session == before and not decision.actions
    if decision.session.phase in (Phase.LEADERLESS, Phase.ENDED):
        assert decision.next_wake is None
    else:
        assert decision.next_wake is not None
    leaves = before.phase is Phase.SUBSCRIBED and decision.session.phase is not Phase.SUBSCRIBED
    assert any(isinstance(a, TellDisconnected) for a in decision.actions) == leaves


@pytest.mark.parametrize("kind", get_args(OfConnection), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("phase", Phase)
def test_what_comes_late_of_an_older_connection_changes_nothing(phase: Phase, kind: type[OfConnection]) -> None:
    before = replace(in_phase(phase), connection=2)
    event = SAMPLES[kind]
    decision = step(before, event, 1000.0, 0.5)
    assert decision.outcome is Outcome.LATE
    assert decision.session == before and not decision.actions


@pytest.mark.parametrize("phase", sorted(CONNECTED_PHASES))
def test_a_tick_before_the_deadline_does_nothing(phase: Phase) -> None:
    before = in_phase(phase)
    assert before.deadline is not None
    assert step(before, Tick(), before.deadline - 0.001, 0.5).session == before
    decision = step(before, Tick(), before.deadline, 0.5)
    assert decision.session.phase is Phase.WAITING
    assert decision.actions[0] == Close(1) and decision.actions[-1] == AskLeader(A)


def test_the_way_to_a_subscription() -> None:
    decision = run(new_session(SETTINGS, "f-9", 0.0), LeaderFound(A))
    assert decision.actions == (Connect(1, A),) and decision.next_wake == 130
    decision = run(decision.session, Accepted(1, "s"), now=101)
    assert decision.session.stream_id == "s" and decision.next_wake == 131
    decision = run(decision.session, Subscribed(1, "f-9", 2.0), now=102)
    assert decision.actions == (TellSubscribed("f-9", False),) and decision.next_wake == 112
    decision = run(decision.session, Heard(1), now=109)
    assert decision.next_wake == 119
    decision = run(decision.session, Tick(), now=119)
    assert decision.actions == (Close(1), TellDisconnected(f"no heartbeat from {A} for 10 s"), AskLeader(A))


def test_the_framework_keeps_its_id_and_is_told_that_it_is_there_again() -> None:
    session = run(in_phase(Phase.SUBSCRIBED), Failed(1, "x"), LeaderFound(B), Accepted(2, "s-2")).session
    decision = run(session, Subscribed(2, "f-1", None))
    assert decision.actions == (TellSubscribed("f-1", True),)
    assert decision.session.stream_id == "s-2" and decision.session.heartbeat_s == 15


def test_a_master_that_calls_us_by_another_id_is_not_believed() -> None:
    session = run(in_phase(Phase.SUBSCRIBED), Failed(1, "x"), LeaderFound(B), Accepted(2, "s-2")).session
    decision = run(session, Subscribed(2, "f-2", None))
    assert decision.session.phase is Phase.WAITING and decision.session.framework == "f-1"
    assert decision.actions[0] == Close(2) and isinstance(decision.actions[1], TellProblem)


@pytest.mark.parametrize(
    ("said", "kept"),
    [(None, 15.0), (float("nan"), 15.0), (0.0, 0.05), (-5.0, 0.05), (1e300, 300.0), (float("inf"), 300.0)],
)
def test_a_heartbeat_that_nobody_can_mean(said: float | None, kept: float) -> None:
    assert run(in_phase(Phase.SUBSCRIBING), Subscribed(1, "f", said)).session.heartbeat_s == kept


def test_redirects_are_followed_at_once_but_not_for_ever() -> None:
    session = in_phase(Phase.CONNECTING)
    for hop in range(5):
        decision = run(session, Redirected(session.connection, f"//m{hop}:1/"))
        assert decision.actions == (Connect(hop + 2, f"http://m{hop}:1"),)
        session = decision.session
    decision = run(session, Redirected(session.connection, "//m9:1/"))
    assert decision.session.phase is Phase.WAITING
    assert "5 redirects" in decision.session.reason


@pytest.mark.parametrize(
    "location", ["//a:5050/", "/api/v1/scheduler", "//a:5050/master/api/v1/scheduler", "http://a:5050"]
)
def test_a_redirect_to_oneself_is_none(location: str) -> None:
    decision = run(in_phase(Phase.CONNECTING), Redirected(1, location))
    assert decision.session.phase is Phase.WAITING and "to itself" in decision.session.reason


def test_redirects_in_a_circle_are_noticed_at_the_first_turn() -> None:
    session = run(in_phase(Phase.CONNECTING), Redirected(1, "//b:5050/")).session
    assert run(session, Redirected(2, "//a:5050/")).session.phase is Phase.WAITING


def test_a_redirect_that_can_not_be_followed_costs_a_delay() -> None:
    decision = run(in_phase(Phase.CONNECTING), Redirected(1, "https://b:5050/"))
    assert decision.session.phase is Phase.WAITING and "not followed" in decision.session.reason


def test_failures_in_a_row_wait_longer_and_longer() -> None:
    session = in_phase(Phase.CONNECTING)
    delays = []
    for _ in range(8):
        decision = step(session, Failed(session.connection, "x"), 0.0, 0.999999)
        assert decision.next_wake is not None
        delays.append(round(decision.next_wake, 3))
        session = step(decision.session, Tick(), decision.next_wake, 0.5).session
    assert delays == [0.5, 1, 2, 4, 8, 15, 15, 15]


def test_only_a_subscription_that_lasted_a_heartbeat_ends_the_row() -> None:
    session = replace(in_phase(Phase.SUBSCRIBED), failures=4)
    assert step(session, Failed(1, "x"), 114.9, 0.5).session.failures == 5
    assert step(session, Failed(1, "x"), 115.0, 0.5).session.failures == 1
    assert step(session, Heard(1), 114.9, 0.5).session.failures == 4
    assert step(session, Heard(1), 115.0, 0.5).session.failures == 0


def test_retry_after_is_heeded_within_the_cap() -> None:
    session = in_phase(Phase.CONNECTING)
    assert step(session, Failed(1, "x", 7.0), 100.0, 0.0).next_wake == 107
    assert step(session, Failed(1, "x", 3600.0), 100.0, 0.0).next_wake == 115


def test_a_new_leader_is_gone_to_at_once_and_the_old_one_is_left() -> None:
    decision = run(in_phase(Phase.SUBSCRIBED), LeaderFound(B))
    assert decision.actions == (Close(1), TellDisconnected(f"the leading master is {B} now"), Connect(2, B))
    decision = run(in_phase(Phase.WAITING), LeaderFound(B))
    assert decision.actions == (Connect(2, B),) and decision.session.failures == 0


def test_a_leader_where_we_are_already_moves_nobody() -> None:
    for phase in CONNECTED_PHASES:
        assert not run(in_phase(phase), LeaderFound(A)).actions
    redirected = run(in_phase(Phase.CONNECTING), Redirected(1, "//b:5050/")).session
    assert not run(redirected, LeaderFound(B)).actions


def test_a_guess_is_where_the_next_attempt_goes_not_before_the_delay_is_over() -> None:
    decision = run(in_phase(Phase.WAITING), LeaderGuessed(B))
    assert not decision.actions and decision.session.failures == 1
    assert run(decision.session, Tick(), now=200).actions == (Connect(2, B),)


def test_a_leader_lost_from_view_ends_nothing() -> None:
    decision = run(in_phase(Phase.SUBSCRIBED), LeaderLost())
    assert not decision.actions and decision.session.phase is Phase.SUBSCRIBED
    decision = run(decision.session, Failed(1, "x"))
    assert decision.actions == (TellDisconnected("x"),)
    decision = run(decision.session, Tick(), now=200)
    assert decision.session.phase is Phase.LEADERLESS and decision.next_wake is None
    assert run(decision.session, LeaderFound(A)).actions == (Connect(2, A),)


def test_time_in_which_we_did_not_read_is_not_the_masters_silence() -> None:
    decision = run(in_phase(Phase.SUBSCRIBED), Resumed(1), now=500)
    assert decision.next_wake == 575
    assert run(in_phase(Phase.CONNECTING), Resumed(1), now=500).next_wake == 530


#: Answer to SUBSCRIBE -> what it is for the session.
ANSWERS: list[tuple[Answer, SessionEvent]] = [
    (Answer(200, content_type="application/json", stream_id="s"), Accepted(7, "s")),
    (
        Answer(200, content_type="application/json"),
        Failed(7, f"cannot subscribe at {A}: its answer has no usable Mesos-Stream-Id; is it a master?"),
    ),
    (
        Answer(200, content_type="text/html", stream_id="s"),
        Failed(7, f"cannot subscribe at {A}: it answers with text/html, which is no stream of events"),
    ),
    (Answer(307, location="//b:1/"), Redirected(7, "//b:1/")),
    (Answer(308, location="//b:1/"), Redirected(7, "//b:1/")),
    (Answer(301, location="//b:1/"), Failed(7, f"cannot subscribe at {A} yet: 301")),
    (Answer(400, "no user"), Refused(7, f"cannot subscribe at {A}: 400: no user")),
    (
        Answer(401, "401 Unauthorized."),
        Refused(7, f"cannot subscribe at {A}: 401: Unauthorized.; check the credentials"),
    ),
    (Answer(403), Refused(7, f"cannot subscribe at {A}: 403; check the principal and what it may do")),
    (Answer(404, "404 Not Found."), Failed(7, f"cannot subscribe at {A} yet: 404: Not Found.")),
    (Answer(429, retry_after="7"), Failed(7, f"cannot subscribe at {A} yet: 429", 7.0)),
    (Answer(408), Failed(7, f"cannot subscribe at {A} yet: 408")),
    (Answer(500, "x"), Failed(7, f"cannot subscribe at {A} yet: 500: x")),
    (Answer(503, "recovering", retry_after="3"), Failed(7, f"cannot subscribe at {A} yet: 503: recovering", 3.0)),
    (Answer(503, retry_after="Fri, 31 Dec 1999 23:59:59 GMT"), Failed(7, f"cannot subscribe at {A} yet: 503")),
    (Answer(503, retry_after="-1"), Failed(7, f"cannot subscribe at {A} yet: 503")),
    (Answer(503, retry_after="9" * 400), Failed(7, f"cannot subscribe at {A} yet: 503")),
    (Answer(202), Failed(7, f"cannot subscribe at {A} yet: 202")),
]


@pytest.mark.parametrize(("answer", "event"), ANSWERS, ids=lambda value: str(getattr(value, "status", "")))
def test_what_an_answer_means(answer: Answer, event: SessionEvent) -> None:
    assert classify(7, A, answer) == event
