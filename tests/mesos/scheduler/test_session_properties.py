"""Whatever happens in whatever order: one connection at a time, bounded delays, an end that is an end."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mesos.core.backoff import Backoff
from mesos.core.scheduler_events import (
    Accepted,
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
    TellSubscribed,
    Tick,
)
from mesos.core.scheduler_session import (
    CONNECTED_PHASES,
    Decision,
    Outcome,
    Phase,
    Session,
    Settings,
    new_session,
    step,
)

URLS = st.sampled_from(["http://a:1", "http://b:1", "https://c:1"])
LOCATIONS = st.sampled_from(
    ["//a:1/", "//b:1/", "//c:1/", "//d:1/", "/x", "https://c:1/", "", "//e:1/", "//f:1/", "//g:1/"]
)
#: Mostly of the newest connection, sometimes of an older one, or of one that never was.
OFFSETS = st.sampled_from([0, 0, 0, 0, -1, -2, 1])
SECONDS = st.one_of(st.just(0.0), st.floats(min_value=0, max_value=200))
DRAWS = st.floats(min_value=0.0, max_value=1.0, exclude_max=True)
#: An event once the number of its connection is known.
MAKERS = st.one_of(
    st.builds(lambda url: lambda n: LeaderFound(url), URLS),
    st.builds(lambda url: lambda n: LeaderGuessed(url), URLS),
    st.just(lambda n: LeaderLost()),
    st.just(lambda n: Accepted(n, "s")),
    st.builds(lambda location: lambda n: Redirected(n, location), LOCATIONS),
    st.builds(lambda wanted: lambda n: Failed(n, "x", wanted), st.none() | st.floats(min_value=0, max_value=1e6)),
    st.builds(lambda beat: lambda n: Subscribed(n, "f", beat), st.none() | st.floats()),
    st.just(lambda n: Heard(n)),
    st.just(lambda n: Resumed(n)),
    st.just(lambda n: Tick()),
)
ENDS = st.sampled_from([lambda n: Refused(n, "no"), lambda n: Stop()])
WALKS = st.lists(st.tuples(st.one_of(*[MAKERS] * 20, ENDS), OFFSETS, SECONDS, DRAWS), max_size=60)
SETTINGS = Settings(backoff=Backoff(cap_s=15))


@dataclass
class Walk:
    """A session, and what somebody sees who only performs its actions."""

    session: Session = field(default_factory=lambda: new_session(SETTINGS, None, 0.0))
    now: float = 0.0
    open: int | None = None  # the connection that is
    told_subscribed: bool = False

    def take(self, event: SessionEvent, random: float) -> Decision:
        before = self.session
        decision = step(before, event, self.now, random)
        self.session = decision.session
        ends = isinstance(event, Failed | Redirected | Refused) and event.connection == self.open
        if ends and decision.outcome is not Outcome.ILLEGAL:
            self.open = None  # such an event is the connection's end
        for action in decision.actions:
            self._perform(action)
        self._check(before, decision)
        return decision

    def _perform(self, action: object) -> None:
        match action:
            case Close():
                assert self.open in (None, action.connection)
                self.open = None
            case Connect():
                assert self.open is None, "two connections at once"
                self.open = action.connection
            case TellSubscribed():
                assert not self.told_subscribed
                self.told_subscribed = True
            case TellDisconnected():
                assert self.told_subscribed
                self.told_subscribed = False

    def _check(self, before: Session, decision: Decision) -> None:
        after = decision.session
        assert (after.phase in CONNECTED_PHASES) == (self.open is not None)
        assert (after.phase is Phase.SUBSCRIBED) == self.told_subscribed
        assert after.connection >= before.connection
        if before.phase is Phase.ENDED:
            assert after == before and not decision.actions
        if after.phase is Phase.WAITING and before.phase is not Phase.WAITING:
            assert after.deadline is not None
            assert SETTINGS.backoff.least_s <= round(after.deadline - self.now, 6) <= SETTINGS.backoff.cap_s
        if after.phase in CONNECTED_PHASES or after.phase is Phase.WAITING:
            assert after.deadline is not None  # nothing waits for ever


@given(WALKS)
def test_any_walk_keeps_the_rules(walk: list[tuple[object, int, float, float]]) -> None:
    state = Walk()
    for make, offset, seconds, random in walk:
        state.now += seconds
        event = make(state.session.connection + offset)  # type: ignore[operator]
        before = state.session
        decision = state.take(event, random)
        if isinstance(event, OfConnection) and offset != 0:
            assert decision.outcome is Outcome.LATE and decision.session == before


@given(
    st.lists(st.tuples(st.sampled_from(["fail", "close", "circle", "silent", "self"]), DRAWS), min_size=60, max_size=60)
)
def test_a_master_that_never_serves_is_asked_seldom(plan: list[tuple[str, float]]) -> None:
    """However it fails, and whatever the dice say: in the long run no more often than the cap allows."""
    state = Walk()
    state.take(LeaderFound("http://a:1"), 0.0)
    connects_at = [0.0]
    for how, random in plan:
        number = state.session.connection
        match how:
            case "fail":
                state.take(Failed(number, "503"), random)
            case "close":
                for event in (Accepted(number, "s"), Subscribed(number, "f", 15.0), Failed(number, "closed")):
                    state.take(event, random)
            case "circle":
                state.take(Redirected(number, "//b:1/"), random)
                state.take(Redirected(number + 1, "//a:1/"), random)
            case "self":
                state.take(Redirected(number, "//a:1/"), random)
            case _:
                assert state.session.deadline is not None
                state.now = state.session.deadline
                state.take(Tick(), random)
        assert state.session.phase is Phase.WAITING and state.session.deadline is not None
        state.now = state.session.deadline
        state.take(Tick(), random)
        connects_at.append(state.now)
    assert state.session.failures == 60
    assert all(later - earlier >= SETTINGS.backoff.least_s * 0.999 for earlier, later in pairwise(connects_at))
