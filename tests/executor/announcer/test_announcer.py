"""The announcer's rim, by hand: sessions that are told what to say, a loop that runs when told, no ZooKeeper."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from executor.announcer import Announcer, AnnouncerEvent, Waits, ZooKeeperOptions
from executor.announcer_auth import AnnouncerAuth, Credential
from executor.core.announcing import TIMED_OUT
from executor.core.membership import (
    Event,
    Happened,
)
from tests.executor.announcer.rig import an_announcement
from thermos.clock import Now

A, H = AnnouncerEvent, Happened


class Session:
    def __init__(self, heed: Callable[[Event], None]) -> None:
        self.heed = heed
        self.asked: list[tuple[Any, ...]] = []
        self.started = self.closed = False
        self.close_fails = False
        self.trouble = "refused"

    def start(self) -> None:
        self.started = True

    def create(self, path: str, data: bytes, ask: int) -> None:
        self.asked.append(("create", path, data, ask))

    def prepare(self, path: str, ask: int) -> None:
        self.asked.append(("prepare", path, ask))

    def check(self, node: str, ask: int) -> None:
        self.asked.append(("check", node, ask))

    def look(self, path: str, ask: int) -> None:
        self.asked.append(("look", path, ask))

    def delete(self, node: str, ask: int) -> None:
        self.asked.append(("delete", node, ask))

    def close(self) -> None:
        self.closed = True
        if self.close_fails:
            raise RuntimeError("it won't")

    def says(self, what: Happened, text: str = "", node: str | None = None) -> None:
        """In answer to the last question."""
        ask = self.asked[-1][-1] if self.asked else 0
        self.heed(Event(what, text, node, ask if what not in (H.CONNECTED, H.SUSPENDED, H.EXPIRED, H.ENDED) else 0))


class Desk:
    """Loop, workers and sessions of one announcer."""

    def __init__(self, *, options: ZooKeeperOptions | None = None, **settings: Any) -> None:
        self.mono = 0.0
        self.posted: deque[Callable[[Now], None]] = deque()
        self.timers: list[tuple[float, Callable[[Now], None]]] = []
        self.work: deque[tuple[Callable[[], Any], Callable[[Any, Now], None]]] = deque()
        self.sessions: list[Session] = []
        self.reports: list[tuple[AnnouncerEvent, str]] = []
        self.failure: Exception | None = None
        self.announcer = Announcer(
            an_announcement(),
            options or ZooKeeperOptions("zk:2181"),
            self,
            lambda event, text, now: self.reports.append((event, text)),
            clock=lambda: self.now,
            chance=lambda: 0.0,
            make_session=self._make,
            workers=self,  # type: ignore[arg-type]
            **settings,
        )

    def _make(self, options: ZooKeeperOptions, heed: Callable[[Event], None], ours: deque[int]) -> Session:
        if self.failure is not None:
            raise self.failure
        self.sessions.append(Session(heed))
        return self.sessions[-1]

    @property
    def now(self) -> Now:
        return Now(1e9 + self.mono, self.mono)

    @property
    def session(self) -> Session:
        return self.sessions[-1]

    def post(self, call: Callable[[Now], None]) -> None:
        self.posted.append(call)

    def call_at(self, when: float, call: Callable[[Now], None]) -> None:
        self.timers.append((when, call))

    def submit(self, work: Callable[[], Any], done: Callable[[Any, Now], None]) -> None:
        self.work.append((work, done))

    def run(self) -> None:
        """What is posted, and what workers have to do."""
        while self.posted or self.work:
            while self.posted:
                self.posted.popleft()(self.now)
            if self.work:
                work, done = self.work.popleft()
                try:
                    outcome = work()
                except Exception as error:
                    outcome = error
                done(outcome, self.now)

    def after(self, seconds: float) -> None:
        self.mono += seconds
        due = [timer for timer in self.timers if timer[0] <= self.mono]
        self.timers = [timer for timer in self.timers if timer[0] > self.mono]
        for _, call in due:
            call(self.now)
        self.run()

    def says(self, what: Happened, text: str = "", node: str | None = None) -> None:
        self.session.says(what, text, node)
        self.run()

    def wish(self, call: Callable[[Now], None]) -> None:
        call(self.now)
        self.run()

    def join(self, node: str = "/p/member_1") -> Desk:
        if not self.sessions:
            self.wish(self.announcer.start)
        self.says(H.CONNECTED)
        self.says(H.CREATED, node=node)
        self.says(H.THERE, node=node)
        return self


def test_what_is_asked() -> None:
    desk = Desk()
    desk.wish(desk.announcer.start)
    assert desk.session.started
    desk.says(H.CONNECTED)
    desk.says(H.NO_PARENT)
    desk.says(H.PARENTS_MADE)
    desk.says(H.CREATED, node="/p/member_1")
    desk.says(H.THERE, node="/p/member_1")
    path, data = an_announcement().path, an_announcement().data
    assert desk.session.asked == [
        ("create", path, data, 1), ("prepare", path, 2), ("create", path, data, 3), ("check", "/p/member_1", 4),
    ]  # fmt: skip
    desk.wish(desk.announcer.stop)
    assert desk.session.asked[-1] == ("delete", "/p/member_1", 5)
    desk.says(H.GONE, node="/p/member_1")
    assert desk.session.closed
    assert desk.reports == [(A.JOINED, "/p/member_1"), (A.LEFT, "")]


def test_retry_after_an_exception() -> None:
    """Spec §6.2 item 119."""
    desk = Desk()
    desk.wish(desk.announcer.start)
    desk.says(H.CONNECTED)
    desk.says(H.ERROR, "whoops")
    assert len(desk.session.asked) == 1
    desk.after(0.9)
    assert len(desk.session.asked) == 1
    desk.after(0.1)
    assert len(desk.session.asked) == 2
    assert desk.announcer.state()["problem"] == "whoops"
    desk.says(H.CREATED, node="/p/member_1")
    desk.says(H.THERE, node="/p/member_1")
    assert desk.announcer.state()["problem"] is None


def test_disconnected_time() -> None:
    """Spec §6.2 item 119: 0 while joined, and after stop."""
    desk = Desk()
    desk.wish(desk.announcer.start)
    desk.after(3.0)
    assert desk.announcer.disconnected_s(desk.now) == 3.0
    desk.join()
    desk.after(1.0)
    assert desk.announcer.disconnected_s(desk.now) == 0.0
    desk.says(H.SUSPENDED)
    desk.after(2.5)
    assert desk.announcer.disconnected_s(desk.now) == 2.5
    state = desk.announcer.state()
    assert (state["disconnected_s"], state["away_since"]) == (2, 1e9 + 4.0)
    assert state["problem"] == "refused"
    desk.wish(desk.announcer.stop)
    desk.after(Waits().leave_s)
    assert desk.announcer.disconnected_s(desk.now) == 0.0
    assert desk.announcer.state()["away_since"] is None


def test_state() -> None:
    desk = Desk(options=ZooKeeperOptions("zk:2181", AnnouncerAuth((Credential("digest", "me:secret"),)))).join()
    desk.after(5.0)
    state = desk.announcer.state()
    assert state == {
        "state": "joined", "since": 1e9, "path": "/aurora/role/env/job", "node": "/p/member_1", "paused": False,
        "disconnected_s": 0, "away_since": None, "problem": None, "failures": 0, "joined": 1, "lost": 0,
    }  # fmt: skip


def test_connect_timeout(caplog: pytest.LogCaptureFixture) -> None:
    """Spec §6.2 item 120."""
    desk = Desk(connect_wait_s=7.0)
    desk.wish(desk.announcer.start)
    desk.after(6.9)
    assert desk.reports == []
    desk.after(0.1)
    assert desk.reports == [(A.FAILED, TIMED_OUT)]
    assert "no ZooKeeper at zk:2181: refused" in caplog.messages, "the executor's log says more"
    assert desk.session.closed
    desk.says(H.CONNECTED)
    assert desk.session.asked == [], "too late"
    desk.wish(desk.announcer.stop)
    assert desk.reports == [(A.FAILED, TIMED_OUT), (A.LEFT, "")]


def test_a_client_that_can_not_be_made_is_one_failure() -> None:
    desk = Desk()
    desk.failure = ImportError("no kazoo")
    desk.wish(desk.announcer.start)
    assert desk.reports == [
        (A.FAILED, "cannot announce at /aurora/role/env/job: ZooKeeper at zk:2181 can't be used: no kazoo")
    ]


def test_a_client_that_can_not_be_made_later_is_tried_again() -> None:
    """No thread to be had, for example: a running task does not die of it."""
    desk = Desk().join()
    desk.says(H.ENDED, "it ended")
    desk.failure = RuntimeError("can't start new thread")
    desk.after(1.0)
    assert desk.reports == [(A.JOINED, "/p/member_1")]
    assert "can't start new thread" in str(desk.announcer.state()["problem"])
    desk.failure = None
    desk.after(60.0)
    assert len(desk.sessions) == 2
    assert desk.sessions[0].closed
    desk.says(H.CONNECTED)
    assert desk.session.asked[-1][:2] == ("check", "/p/member_1")


def test_an_old_session_has_no_say() -> None:
    desk = Desk().join()
    desk.says(H.ENDED, "it ended")
    desk.after(1.0)
    old, new = desk.sessions
    old.says(H.CONNECTED)
    old.says(H.EXPIRED)
    desk.run()
    assert new.asked == []
    new.says(H.CONNECTED)
    desk.run()
    assert len(new.asked) == 1


def test_stop_while_kazoo_is_being_imported() -> None:
    desk = Desk()
    desk.announcer.start(desk.now)
    desk.announcer.stop(desk.now)
    assert desk.reports == [(A.LEFT, "")]
    desk.run()
    assert not desk.session.started
    assert desk.reports == [(A.LEFT, "")]


def test_a_session_that_won_t_be_closed() -> None:
    desk = Desk().join()
    desk.session.close_fails = True
    desk.wish(desk.announcer.stop)
    desk.says(H.REFUSED)  # only the end of the session removes the node
    assert desk.session.closed
    assert [event for event, _ in desk.reports] == [A.JOINED, A.LEFT]


def test_a_session_that_hangs_in_closing_does_not_hold_up_the_stop() -> None:
    desk = Desk(leave_s=3.0).join()
    desk.announcer.stop(desk.now)
    desk.session.says(H.REFUSED)
    while desk.posted:
        desk.posted.popleft()(desk.now)
    assert desk.work, "closing goes on and on"
    desk.mono += 3.0
    for _, call in desk.timers:
        call(desk.now)
    assert desk.reports[-1][0] is A.LEFT


def test_words_of_a_problem_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk().join()
    with caplog.at_level(logging.WARNING, "executor.announcer"):
        desk.says(H.GONE, node="/p/member_1")
        for _ in range(3):
            desk.says(H.REFUSED, "not allowed")
            desk.after(20.0)
    assert [record.message for record in caplog.records] == ["announcing at /aurora/role/env/job: not allowed"]


def test_timers_do_not_pile_up() -> None:
    desk = Desk().join()
    for i in range(200):
        desk.says(H.GONE, node=f"/p/member_{i + 1}")
        desk.says(H.CREATED, node=f"/p/member_{i + 2}")
        desk.says(H.THERE, node=f"/p/member_{i + 2}")
        desk.after(11.0)
    assert desk.reports.count((A.JOINED, "/p/member_201")) == 1
    assert len(desk.timers) < 5


def test_gated_by_health() -> None:
    desk = Desk(paused=True)
    desk.wish(desk.announcer.start)
    desk.says(H.CONNECTED)
    assert desk.announcer.state()["paused"]
    assert desk.session.asked == []
    desk.wish(desk.announcer.resume)
    assert desk.session.asked[-1][0] == "create"


def test_kazoo_is_not_in_memory_without_an_announcer() -> None:
    modules = "executor.announcer, executor.announcer_auth, executor.core.announcing, executor.disk"
    code = f"import sys, {modules}; print(sorted({{'kazoo', 'ssl', 'asyncio'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
