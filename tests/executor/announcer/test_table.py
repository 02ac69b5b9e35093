"""The announcer's table: the whole square, and the stories of the specification."""

from __future__ import annotations

import itertools

import pytest
from msgspec.structs import replace

from executor.core.announcing import ASKING, CONNECTED, ITS_SESSION_ENDS, TIMED_OUT, begin, disconnected_s, step
from executor.core.membership import (
    Action,
    AnnouncerEvent,
    Do,
    Event,
    Happened,
    Life,
    State,
    Tell,
    Waits,
)

S, H, A = State, Happened, AnnouncerEvent
WAITS = Waits()
NODE = "/p/member_0000000001"

#: A life in each state, joined before, as it comes to be there.
LIVES = {
    S.IDLE: Life(),
    S.CONNECTING: Life(S.CONNECTING, deadline=0.0),
    S.LOST: Life(S.LOST, node=NODE, announced=True, was_joined=True, ask=3),
    S.LOOKING: Life(S.LOOKING, doubt=True, was_joined=True, ask=3, deadline=0.0),
    S.JOINING: Life(S.JOINING, doubt=True, was_joined=True, ask=3, deadline=0.0),
    S.PREPARING: Life(S.PREPARING, was_joined=True, ask=3, deadline=0.0),
    S.CHECKING: Life(S.CHECKING, node=NODE, was_joined=True, ask=3, deadline=0.0),
    S.JOINED: Life(S.JOINED, node=NODE, announced=True, was_joined=True, ask=3, joined_at=-100.0),
    S.RETRYING: Life(S.RETRYING, was_joined=True, ask=3, deadline=0.0, failures=1),
    S.WITHDRAWING: Life(S.WITHDRAWING, node=NODE, wanted=False, announced=True, was_joined=True, ask=3, deadline=0.0),
    S.PAUSED: Life(S.PAUSED, wanted=False, was_joined=True, ask=3),
    S.LEAVING: Life(S.LEAVING, node=NODE, wanted=False, stopping=True, was_joined=True, ask=3, leave_by=9.0),
    S.LEFT: Life(S.LEFT, wanted=False, stopping=True, was_joined=True, ask=3),
    S.FAILED: Life(S.FAILED, ask=3),
}

#: Where each pair leads to; what is missing changes nothing. Written down a second time, independently of the table.
EXPECTED: dict[tuple[State, Happened], State] = {
    (S.IDLE, H.START): S.CONNECTING, (S.IDLE, H.PAUSE): S.IDLE, (S.IDLE, H.RESUME): S.IDLE, (S.IDLE, H.STOP): S.LEFT,
    (S.CONNECTING, H.PAUSE): S.CONNECTING, (S.CONNECTING, H.RESUME): S.CONNECTING, (S.CONNECTING, H.STOP): S.LEFT,
    (S.CONNECTING, H.TICK): S.FAILED, (S.CONNECTING, H.UNUSABLE): S.FAILED, (S.CONNECTING, H.ENDED): S.FAILED,
    (S.CONNECTING, H.CONNECTED): S.JOINING,
    (S.LOST, H.PAUSE): S.LOST, (S.LOST, H.RESUME): S.LOST, (S.LOST, H.STOP): S.LOST, (S.LOST, H.CONNECTED): S.CHECKING,
    (S.LOST, H.EXPIRED): S.LOST, (S.LOST, H.ENDED): S.RETRYING, (S.LOST, H.UNUSABLE): S.RETRYING,
    (S.LOOKING, H.FOUND): S.CHECKING, (S.LOOKING, H.NOT_FOUND): S.JOINING, (S.LOOKING, H.TICK): S.LOOKING,
    (S.LOOKING, H.REFUSED): S.RETRYING,
    (S.JOINING, H.CREATED): S.CHECKING, (S.JOINING, H.NO_PARENT): S.PREPARING, (S.JOINING, H.TICK): S.LOOKING,
    (S.JOINING, H.REFUSED): S.RETRYING,
    (S.PREPARING, H.PARENTS_MADE): S.JOINING, (S.PREPARING, H.TICK): S.JOINING, (S.PREPARING, H.REFUSED): S.RETRYING,
    (S.CHECKING, H.THERE): S.JOINED, (S.CHECKING, H.GONE): S.JOINING, (S.CHECKING, H.TICK): S.CHECKING,
    (S.CHECKING, H.REFUSED): S.RETRYING,
    (S.JOINED, H.GONE): S.JOINING, (S.JOINED, H.CHANGED): S.CHECKING, (S.JOINED, H.PAUSE): S.WITHDRAWING,
    (S.JOINED, H.STOP): S.WITHDRAWING,
    (S.CHECKING, H.PAUSE): S.WITHDRAWING, (S.CHECKING, H.STOP): S.WITHDRAWING,
    (S.RETRYING, H.TICK): S.JOINING, (S.RETRYING, H.PAUSE): S.PAUSED, (S.RETRYING, H.STOP): S.LEFT,
    (S.RETRYING, H.RESUME): S.RETRYING,
    (S.WITHDRAWING, H.GONE): S.PAUSED, (S.WITHDRAWING, H.THERE): S.RETRYING, (S.WITHDRAWING, H.REFUSED): S.LOST,
    (S.WITHDRAWING, H.TICK): S.WITHDRAWING,
    (S.PAUSED, H.RESUME): S.JOINING, (S.PAUSED, H.STOP): S.LEFT,
    (S.LEAVING, H.CLOSED): S.LEFT, (S.LEAVING, H.TICK): S.LEFT,
    (S.FAILED, H.STOP): S.LEFT,
    **{(state, H.UNKNOWN): S.RETRYING for state in ASKING},
    **{(state, H.ERROR): S.RETRYING for state in ASKING},
    **{(state, H.SUSPENDED): S.LOST for state in CONNECTED},
    **{(state, H.EXPIRED): S.LOST for state in CONNECTED},
    **{(state, H.ENDED): S.RETRYING for state in CONNECTED},
    **{(state, wish): state for state in ASKING if state is not S.CHECKING for wish in (H.PAUSE, H.STOP)},
    **{(state, H.RESUME): state for state in ASKING},
}  # fmt: skip


@pytest.mark.parametrize(("state", "what"), list(itertools.product(State, Happened)))
def test_the_whole_square(state: State, what: Happened) -> None:
    life = LIVES[state]
    answer = what in (H.CREATED, H.FOUND, H.GONE, H.CHANGED)
    event = Event(what, "text", NODE if answer else None, 0 if what in (H.GONE, H.CHANGED) else life.ask)
    decision = step(life, event, WAITS, 10.0, 0.5)
    expected = EXPECTED.get((state, what))
    if (state, what) == (S.RETRYING, H.GONE):  # a member of nothing here; its own story below
        return
    if expected is None:
        assert decision.life == life
        assert not decision.actions
    else:
        assert decision.life.state is expected


def test_every_state_that_waits_for_an_answer_has_a_deadline() -> None:
    for state, what in itertools.product(State, Happened):
        for life in (LIVES[state], replace(LIVES[state], wanted=False), replace(LIVES[state], node=NODE)):
            after = step(life, Event(what, "x", NODE, life.ask), WAITS, 10.0, 0.5).life
            if after != life and after.state in (*ASKING, S.CONNECTING, S.RETRYING):
                assert after.deadline is not None
                assert after.deadline > 10.0 or (after.state, after.ask) == (life.state, life.ask)


def test_stop_always_has_an_end() -> None:
    for state in State:
        after = step(LIVES[state], Event(H.STOP), WAITS, 10.0, 0.5).life
        if state is S.LEAVING:
            continue
        assert after.state is S.LEFT or after.leave_by == 10.0 + WAITS.leave_s


# --- stories -----------------------------------------------------------------------------------------------------


class Story:
    """Drives the machine; answers carry the number of the last question."""

    def __init__(self, life: Life | None = None, waits: Waits = WAITS) -> None:
        self.life = life or begin()
        self.waits = waits
        self.now = 0.0
        self.actions: list[Action] = []

    def on(self, what: Happened, text: str = "", node: str | None = None) -> list[Action]:
        decision = step(self.life, Event(what, text, node, self.life.ask), self.waits, self.now, 0.0)
        self.life = decision.life
        self.actions += decision.actions
        return list(decision.actions)

    def after(self, seconds: float) -> list[Action]:
        self.now += seconds
        return self.on(H.TICK)

    def join(self) -> Story:
        self.on(H.START)
        self.on(H.CONNECTED)
        self.on(H.CREATED, node=NODE)
        self.on(H.THERE, node=NODE)
        assert self.life.state is S.JOINED
        return self


def test_join() -> None:
    story = Story().join()
    assert story.actions == [Do.OPEN, Do.CREATE, Do.CHECK, Tell(A.JOINED, NODE)]


def test_join_where_no_parent_is() -> None:
    story = Story()
    story.on(H.START)
    story.on(H.CONNECTED)
    assert story.on(H.NO_PARENT) == [Do.PREPARE]
    assert story.on(H.PARENTS_MADE) == [Do.CREATE]


def test_connect_timeout_fails() -> None:
    """Spec §6.2 item 120."""
    story = Story(waits=Waits(connect_s=15.0))
    story.on(H.START)
    assert story.after(14.9) == []
    assert story.after(0.1) == [Tell(A.FAILED, TIMED_OUT), Do.CLOSE]
    assert TIMED_OUT == "Creating Announcer Serverset timed out."
    assert story.life.next_wake is None
    assert story.on(H.STOP) == [Tell(A.LEFT), Do.CLOSE], "a stop is answered all the same"
    assert story.on(H.STOP) == []


def test_noauth_is_never_joined_defect_15() -> None:
    story = Story()
    story.on(H.START)
    story.on(H.CONNECTED)
    assert story.on(H.REFUSED, "not allowed") == [Tell(A.FAILED, "not allowed"), Do.CLOSE]
    assert story.life.state is S.FAILED
    assert not story.life.was_joined


def test_noauth_of_the_parents_is_told_too_defect_15() -> None:
    story = Story()
    story.on(H.START)
    story.on(H.CONNECTED)
    story.on(H.NO_PARENT)
    assert story.on(H.REFUSED, "not allowed") == [Tell(A.FAILED, "not allowed"), Do.CLOSE]


def test_noauth_later_is_told_in_words_but_kills_no_running_task_defect_15() -> None:
    story = Story().join()
    story.now = 100.0
    assert story.on(H.GONE, node=NODE) == [Tell(A.LOST, f"{NODE} was deleted"), Do.CREATE]
    assert story.on(H.REFUSED, "not allowed") == []
    assert story.life.state is S.RETRYING
    assert story.life.problem == "not allowed"
    assert disconnected_s(story.life, 103.0) == 3.0
    assert story.after(60.0) == [Do.CREATE]


def test_expiry_rejoins_with_a_new_node() -> None:
    """Spec §6.2 item 119."""
    story = Story().join()
    assert story.on(H.SUSPENDED) == [], "the session may live"
    assert story.on(H.EXPIRED, "expired") == [Tell(A.LOST, "expired")]
    assert story.on(H.CONNECTED) == [Do.CREATE]
    story.on(H.CREATED, node="/p/member_0000000002")
    assert story.on(H.THERE) == [Tell(A.JOINED, "/p/member_0000000002")]


def test_a_connection_that_breaks_keeps_the_node() -> None:
    story = Story().join()
    story.on(H.SUSPENDED)
    assert story.on(H.CONNECTED) == [Do.CHECK]
    assert story.on(H.THERE, node=NODE) == [], "nothing new to tell"
    assert story.life.node == NODE


def test_errors_are_retried_slower_and_slower() -> None:
    """Spec §6.2 item 119: retry after an exception; at most every 15 s."""
    story = Story()
    story.on(H.START)
    story.on(H.CONNECTED)
    delays = []
    for _ in range(7):
        story.on(H.ERROR, "no")
        assert story.life.deadline is not None
        delays.append(story.life.deadline - story.now)
        assert story.after(delays[-1]) == [Do.CREATE]
    assert delays == [1, 2, 4, 8, 15, 15, 15]


def test_who_deletes_each_node_is_not_spun_with() -> None:
    story = Story().join()
    delays = []
    for i in range(5):
        story.on(H.GONE, node=story.life.node)
        if story.life.state is S.RETRYING:
            assert story.life.deadline is not None
            delays.append(story.life.deadline - story.now)
            story.after(delays[-1])
        assert story.life.state is S.JOINING
        story.on(H.CREATED, node=f"/p/member_{i}")
        story.on(H.THERE)
    assert delays == [1, 2, 4, 8], "the first at once"
    story.now += WAITS.steady_s
    assert story.on(H.GONE, node=story.life.node)[-1] is Do.CREATE, "all is forgotten after a while"


def test_a_create_without_an_answer_is_looked_for() -> None:
    story = Story()
    story.on(H.START)
    story.on(H.CONNECTED)
    story.on(H.SUSPENDED)
    assert story.on(H.CONNECTED) == [Do.LOOK]
    assert story.on(H.FOUND, node=NODE) == [Do.CHECK]


def test_a_late_answer_is_void() -> None:
    story = Story()
    story.on(H.START)
    story.on(H.CONNECTED)
    late = Event(H.CREATED, node=NODE, ask=story.life.ask)
    story.on(H.SUSPENDED)
    story.on(H.CONNECTED)
    decision = step(story.life, late, WAITS, 0.0, 0.0)
    assert decision.life == story.life
    assert not decision.actions


def test_news_of_an_old_node_is_void() -> None:
    story = Story().join()
    assert story.on(H.GONE, node="/p/member_0000000000") == []
    assert story.life.state is S.JOINED


def test_pause_and_resume() -> None:
    story = Story().join()
    assert story.on(H.PAUSE) == [Do.DELETE]
    assert story.on(H.GONE, node=NODE) == [Tell(A.PAUSED)]
    assert disconnected_s(story.life, 50.0) == 0.0, "nobody wants it to be announced"
    assert story.on(H.RESUME) == [Do.CREATE]


def test_resumed_before_it_was_taken_back() -> None:
    story = Story().join()
    story.on(H.PAUSE)
    assert story.on(H.RESUME) == []
    assert story.on(H.GONE, node=NODE) == [Tell(A.LOST, "it was taken back"), Do.CREATE]


def test_health_gated_from_the_start() -> None:
    story = Story(begin(paused=True))
    story.on(H.START)
    assert story.on(H.CONNECTED) == []
    assert story.life.state is S.PAUSED
    assert story.on(H.RESUME) == [Do.CREATE]


def test_paused_while_the_answer_of_the_create_is_due() -> None:
    story = Story()
    story.on(H.START)
    story.on(H.CONNECTED)
    assert story.on(H.PAUSE) == []
    assert story.on(H.CREATED, node=NODE) == [Do.DELETE]
    assert story.on(H.GONE, node=NODE) == [], "it was never told, so nothing is taken back"
    assert story.life.state is S.PAUSED


def test_who_may_not_delete_ends_the_session() -> None:
    story = Story().join()
    story.on(H.PAUSE)
    assert story.on(H.REFUSED, "no") == [Do.OPEN], "which closes the old one"
    assert story.on(H.CONNECTED) == [Do.CHECK]
    assert story.on(H.THERE, node=NODE) == []
    assert story.after(20.0) == [Do.CHECK]
    assert story.on(H.GONE, node=NODE) == [Tell(A.PAUSED)]


def test_who_may_not_list_and_is_in_doubt_begins_a_new_session() -> None:
    story = Story()
    story.on(H.START)
    story.on(H.CONNECTED)
    story.on(H.SUSPENDED)
    story.on(H.CONNECTED)
    assert story.on(H.REFUSED, "no") == []
    assert story.after(20.0) == [Do.OPEN]
    assert story.on(H.CONNECTED) == [Do.CREATE]


def test_stop_cancels() -> None:
    """Spec §6.2 item 119: cancel on stop."""
    story = Story().join()
    assert story.on(H.STOP) == [Do.DELETE]
    assert story.on(H.RESUME) == []
    assert story.on(H.GONE, node=NODE) == [Tell(A.LEFT), Do.CLOSE]
    assert story.life.next_wake is None
    assert disconnected_s(story.life, 99.0) == 0.0


def test_stop_while_disconnected_waits_for_its_deadline_only() -> None:
    story = Story().join()
    story.on(H.SUSPENDED)
    assert story.on(H.STOP) == []
    assert story.life.next_wake == WAITS.leave_s
    told, close = story.after(WAITS.leave_s)
    assert close is Do.CLOSE
    assert isinstance(told, Tell)
    assert told.event is A.LEFT
    assert NODE in told.text


def test_stop_while_disconnected_leaves_when_it_is_back_in_time() -> None:
    story = Story().join()
    story.on(H.SUSPENDED)
    story.on(H.STOP)
    assert story.on(H.CONNECTED) == [Do.DELETE]
    assert story.on(H.GONE, node=NODE) == [Tell(A.LEFT), Do.CLOSE]


def test_stop_without_permission_to_delete_closes_the_session() -> None:
    story = Story().join()
    story.on(H.STOP)
    assert story.on(H.REFUSED) == [Do.CLOSE]
    assert story.on(H.CLOSED) == [Tell(A.LEFT, ITS_SESSION_ENDS), Do.CLOSE]


def test_refused_credentials_fail_an_instance_that_begins() -> None:
    story = Story()
    story.on(H.START)
    story.on(H.CONNECTED)
    assert story.on(H.ENDED, "refused") == [Tell(A.FAILED, "refused"), Do.CLOSE]


def test_a_client_that_ends_is_begun_anew_and_finds_the_old_node() -> None:
    story = Story().join()
    assert story.on(H.ENDED, "it ended") == []
    assert story.after(1.0) == [Do.OPEN]
    assert story.on(H.CONNECTED) == [Do.CHECK], "the old session's node may still be there"
    assert story.on(H.THERE, node=NODE) == []
    story.now = 100.0
    assert story.on(H.GONE, node=NODE)[-1] is Do.CREATE


def test_disconnected_time() -> None:
    """Spec §6.2 item 119."""
    story = Story()
    assert disconnected_s(story.life, 0.0) == 0.0
    story.on(H.START)
    assert disconnected_s(story.life, 3.0) == 3.0
    story = Story().join()
    assert disconnected_s(story.life, 7.0) == 0.0
    story.now = 10.0
    story.on(H.SUSPENDED)
    assert disconnected_s(story.life, 12.0) == 2.0
    story.on(H.EXPIRED)
    story.on(H.CONNECTED)
    story.on(H.CREATED, node=NODE)
    assert disconnected_s(story.life, 13.0) == 3.0
    story.on(H.THERE, node=NODE)
    assert disconnected_s(story.life, 14.0) == 0.0
