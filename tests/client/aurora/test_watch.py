"""A job is watched: events first, looks where there are none. Time passes only where the watch waits."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import pytest

from client.api_client import ApiClient
from client.api_errors import NetworkError
from client.aurora.core.sse import ServerEvent
from client.aurora.event_feed import REOPEN_S
from client.aurora.event_stream import Ended, EventStream, Heard, Opened
from client.aurora.watch import AWAY_S, MOST_LOOK_S, REASONS_S, RELOOK_S, Watch
from client.clusters import Cluster
from client.job_keys import ClusterJobKey
from tests.client.aurora.fake_scheduler import FakeScheduler

WEB = ClusterJobKey("rz1", "www", "test", "web")


def task(task_id: str, status: str, at: int = 1) -> dict[str, Any]:
    assigned = {"taskId": task_id, "instanceId": 0}
    return {"assignedTask": assigned, "status": status, "taskEvents": [{"timestamp": at, "status": status}]}


def change(task_id: str, status: str, at: int) -> ServerEvent:
    data = {"taskId": task_id, "instance": 0, "status": status, "timestamp": at, "host": "h", "message": "m"}
    return ServerEvent("task", json.dumps(data), f"b-{at}")


class World:
    """Stands in for the client, the stream, and time. `heard` comes one by one, after so many seconds each."""

    def __init__(self, *tasks: dict[str, Any]) -> None:
        self.tasks = list(tasks)
        self.now = 0.0
        self.looks: list[float] = []
        self.trouble: Exception | None = None
        self.heard: deque[tuple[float, Heard]] = deque()
        self.opened: list[tuple[float, str]] = []
        self.last_id = ""
        self.closed = 0

    # of the client
    def each_page(self, path: str, items: str, query: dict[str, Any]) -> list[dict[str, Any]]:
        assert (path, items, query["name"]) == ("/tasks", "tasks", "web")
        self.looks.append(self.now)
        if self.trouble is not None:
            raise self.trouble
        return [{"tasks": self.tasks, "total": len(self.tasks), "reasons": {"t": "no CPU"}}]

    # of the stream
    def open(self, _api: object, _query: object, after: str) -> Any:
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
        self.closed += 1

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def watch(self) -> Watch:
        api: Any = self
        return Watch(api, WEB, make_stream=self.open, clock=lambda: self.now, pause=self.pause)


def status(watch: Watch) -> str:
    return watch.instances.known[0].status


def test_events_are_taken_in_at_once() -> None:
    world = World(task("t", "PENDING"))
    world.heard += [(1.0, Opened()), (2.0, change("t", "ASSIGNED", 2)), (3.0, change("t", "RUNNING", 3))]
    watch = world.watch()
    watch.wait(None)
    assert (world.looks, watch.fresh) == ([0.0, 1.0], True), "what happened before the stream was open is looked at"
    watch.wait(None)
    assert (world.now, status(watch), watch.fresh) == (2.0, "ASSIGNED", False)
    watch.wait(None)
    assert (world.now, status(watch)) == (3.0, "RUNNING")
    assert watch.instances.known[0].message == "m"
    watch.look()
    assert watch.fresh


def test_a_wait_is_no_longer_than_it_may_be() -> None:
    world = World(task("t", "RUNNING"))
    world.heard.append((0.0, Opened()))
    watch = world.watch()
    watch.wait(None)
    watch.wait(3.0)
    assert world.now == 3.0
    watch.wait(0.0)
    assert world.now == 3.0


def test_without_events_looks_become_rarer_and_a_change_makes_them_frequent_again() -> None:
    world = World(task("t", "RUNNING"))
    world.heard.append((0.0, Ended("none", for_good=True)))
    watch = world.watch()
    for _ in range(7):
        watch.wait(None)
    gaps = [b - a for a, b in zip(world.looks, world.looks[1:], strict=False)]
    assert gaps == [2, 4, 8, MOST_LOOK_S, MOST_LOOK_S, MOST_LOOK_S, MOST_LOOK_S][: len(gaps)]
    assert len(world.opened) == 1, "a scheduler without a stream is not asked for it again"


def test_with_events_it_looks_for_reasons_while_something_waits() -> None:
    world = World(task("t", "PENDING"))
    world.heard.append((0.0, Opened()))
    watch = world.watch()
    watch.wait(None)
    assert watch.instances.known[0].reason == "no CPU"
    watch.wait(None)
    watch.wait(None)
    assert world.looks == [0.0, 0.0, REASONS_S, 2 * REASONS_S]
    world.tasks = [task("t", "RUNNING", 2)]
    watch.wait(None)
    watch.wait(None)
    assert world.looks[-2:] == [3 * REASONS_S, 3 * REASONS_S + RELOOK_S]


def test_a_broken_stream_is_opened_anew_where_it_ended() -> None:
    world = World(task("t", "RUNNING"))
    world.heard += [(0.0, Opened()), (0.5, change("t", "KILLING", 2)), (1.0, Ended("broke"))]
    watch = world.watch()
    watch.wait(None)
    watch.wait(None)
    while world.now < 4.0:
        watch.wait(1.0)
    assert world.opened == [(0.0, ""), (1.0 + REOPEN_S, "b-2")]
    assert world.closed == 1
    watch.close()
    assert world.closed == 2


@pytest.mark.parametrize("event", [ServerEvent("reset", ""), ServerEvent("deleted", '{"taskIds": ["t"]}')])
def test_other_events(event: ServerEvent) -> None:
    world = World(task("t", "PENDING"))
    world.heard += [(0.0, Opened()), (1.0, event)]
    watch = world.watch()
    watch.wait(None)
    world.tasks = []
    watch.wait(None)
    assert (world.now, status(watch)) == (1.0, "DELETED")
    assert watch.fresh is (event.name == "reset")


@pytest.mark.parametrize(
    "data", ["", "{", "[]", "7", '{"instance": "x"}', "[" * 100_000, '{"instance": 0, "timestamp": 0}']
)
def test_events_that_nobody_understands_change_nothing(data: str) -> None:
    world = World(task("t", "RUNNING", 5))
    world.heard += [(0.0, Opened()), (1.0, ServerEvent("task", data)), (1.5, ServerEvent("news", "{}"))]
    watch = world.watch()
    watch.wait(None)
    watch.wait(2.0)
    assert (status(watch), watch.fresh) == ("RUNNING", True)


def test_a_scheduler_may_be_away_for_a_while() -> None:
    world = World(task("t", "RUNNING"))
    world.heard.append((0.0, Ended("none", for_good=True)))
    watch = world.watch()
    world.trouble = NetworkError("gone")
    while world.now < AWAY_S - MOST_LOOK_S:
        watch.wait(None)
    assert status(watch) == "RUNNING"
    assert not watch.fresh
    with pytest.raises(NetworkError):
        while world.now < 2 * AWAY_S:
            watch.wait(None)
    assert world.now > AWAY_S


def test_one_that_is_not_there_at_first_is_an_error() -> None:
    world = World()
    world.trouble = NetworkError("gone")
    with pytest.raises(NetworkError):
        world.watch()


# --- the stream over a real socket -----------------------------------------------------------------------------------


def listen(fake: FakeScheduler, after: str = "") -> EventStream:
    api = ApiClient(Cluster("rz1", scheduler_uri=fake.url), say=print)
    return EventStream(api, {"role": "www"}, after)


def test_a_stream(fake: FakeScheduler) -> None:
    stream = listen(fake, "b-7")
    assert stream.next(10) == Opened()
    assert fake.requests[0][1:3] == ("/events", {"role": "www"})
    assert fake.headers[0]["Last-Event-ID"] == "b-7"
    assert stream.next(0) is None
    fake.add("www/test/web", 0, "PENDING")
    event = stream.next(10)
    assert isinstance(event, ServerEvent)
    assert (event.name, json.loads(event.data)["status"], stream.last_id) == ("task", "PENDING", event.id)
    fake.hang_up()
    assert stream.next(10) == Ended("the scheduler ended it")


def test_closing_wakes_the_reader(fake: FakeScheduler) -> None:
    stream = listen(fake)
    assert stream.next(10) == Opened()
    stream.close()
    assert isinstance(stream.next(10), Ended)


def test_no_stream(fake: FakeScheduler) -> None:
    fake.streams = False
    assert listen(fake).next(10) == Ended("no event stream (HTTP status 404)", for_good=True)
    stream = EventStream(ApiClient(Cluster("rz1", scheduler_uri="http://127.0.0.1:1"), say=print), {})
    assert stream.next(10) == Ended("cannot connect to http://127.0.0.1:1: Connection refused")
    stream = EventStream(ApiClient(Cluster("rz1"), say=print), {})
    ended = stream.next(10)
    assert isinstance(ended, Ended)
    assert "neither scheduler_uri nor zk" in ended.why
