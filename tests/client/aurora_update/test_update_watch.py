"""An update is watched: looked at when something happens, and now and then. Time passes only where the watch waits."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from client.api_errors import NetworkError
from client.aurora.core.sse import ServerEvent
from client.aurora.event_feed import REOPEN_S
from client.aurora.event_stream import Ended, Heard, Opened
from client.aurora.update_watch import AWAY_S, GAP_S, GAP_TIMES, LOOK_S, MOST_LOOK_S, RELOOK_S, UpdateWatch
from client.job_keys import ClusterJobKey
from tests.client.aurora_update.fake_updates import ID, update

WEB = ClusterJobKey("rz1", "www", "test", "web")
NEWS = ServerEvent("update", "{}", "b-1")


class World:
    """Stands in for the client, the stream, and time. `heard` comes one by one, each at its time."""

    def __init__(self, *heard: tuple[float, Heard], look_takes: float = 0.0, of_it_waiting: float = 0.0) -> None:
        self.now = 0.0
        self.looks: list[float] = []
        self.look_takes = look_takes
        self.of_it_waiting = of_it_waiting
        self.waited_s = 0.0
        self.trouble: Exception | None = None
        self.heard = deque(heard)
        self.opened: list[tuple[float, str]] = []
        self.last_id = ""

    # of the client
    def get(self, path: str) -> dict[str, Any]:
        assert path == f"/jobs/www/test/web/updates/{ID}"
        self.looks.append(self.now)
        self.now += self.look_takes
        self.waited_s += self.of_it_waiting
        if self.trouble is not None:
            raise self.trouble
        return update()

    # of the stream
    def open(self, _api: object, query: object, after: str) -> Any:
        assert query == {"role": "www", "environment": "test", "name": "web"}
        self.opened.append((self.now, after))
        return self

    def next(self, seconds: float) -> Heard | None:
        if self.heard and self.heard[0][0] <= self.now + seconds:
            at, heard = self.heard.popleft()
            self.now = max(self.now, at)
            self.last_id = heard.id if isinstance(heard, ServerEvent) else self.last_id
            return heard
        self.now += seconds
        return None

    def close(self) -> None:
        """Nothing was open."""

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def watch(self) -> UpdateWatch:
        api: Any = self
        return UpdateWatch(api, WEB, ID, make_stream=self.open, clock=lambda: self.now, pause=self.pause)


def test_it_is_looked_at_when_something_happens() -> None:
    world = World((0.5, Opened()), (3.0, NEWS), (3.1, NEWS))
    watch = world.watch()
    watch.wait(None)
    assert world.looks == [0.0, 0.5], "what happened before the stream was open is looked at"
    watch.wait(None)
    watch.wait(None)
    assert world.looks[2:] == pytest.approx([3.0, 3.0 + GAP_S]), "not more often than that"


def test_a_look_that_takes_long_is_not_repeated_often() -> None:
    world = World((0.5, Opened()), *((1.0 + n / 10, NEWS) for n in range(100)), look_takes=1.0)
    watch = world.watch()
    for _ in range(2):
        watch.wait(None)
    gaps = [later - sooner for sooner, later in zip(world.looks, world.looks[1:], strict=False)]
    assert gaps == pytest.approx([1.0 + GAP_TIMES, 1.0 + GAP_TIMES])


def test_waiting_for_a_scheduler_that_is_away_does_not_count_as_a_long_look() -> None:
    world = World((0.5, Opened()), (4.0, NEWS), look_takes=2.0, of_it_waiting=2.0)
    watch = world.watch()
    watch.wait(None)
    assert world.looks == [0.0, 2.0 + GAP_S], "as soon as after any other look"


def test_with_events_it_is_looked_at_now_and_then_for_what_it_waits_for() -> None:
    world = World((0.0, Opened()))
    watch = world.watch()
    watch.wait(None)
    watch.wait(None)
    assert world.looks[2] - world.looks[1] == pytest.approx(RELOOK_S)


def test_without_a_stream_looks_are_at_growing_intervals() -> None:
    world = World((0.0, Ended("no event stream", for_good=True)))
    watch = world.watch()
    for _ in range(6):
        watch.wait(None)
    gaps = [later - sooner for sooner, later in zip(world.looks, world.looks[1:], strict=False)]
    assert gaps == pytest.approx([LOOK_S, 2 * LOOK_S, 4 * LOOK_S, MOST_LOOK_S, MOST_LOOK_S, MOST_LOOK_S])
    assert len(world.opened) == 1


def test_a_broken_stream_is_opened_anew_where_it_ended() -> None:
    world = World((0.1, Opened()), (1.0, NEWS), (1.5, Ended("broken")))
    watch = world.watch()
    for _ in range(6):
        watch.wait(None)
    assert world.opened[0] == (0.0, "")
    assert world.opened[1][1] == "b-1"
    assert world.opened[1][0] >= 1.5 + REOPEN_S


def test_a_wait_ends_when_its_time_is_over() -> None:
    world = World((0.0, Ended("none", for_good=True)))
    watch = world.watch()
    watch.wait(0.25)
    assert (world.now, world.looks) == (0.25, [0.0])


def test_a_scheduler_may_be_away_for_a_while() -> None:
    world = World((0.0, Ended("none", for_good=True)))
    watch = world.watch()
    world.trouble = NetworkError("away")
    while world.now < AWAY_S - 10:
        watch.wait(None)
    with pytest.raises(NetworkError, match="away"):
        for _ in range(5):
            watch.wait(None)
    assert AWAY_S < world.now < AWAY_S + 20
    assert len(world.looks) < AWAY_S
