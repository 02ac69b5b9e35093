"""The event stream: what happens is told, resumed, bounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse

from observer import events
from observer.events import QUEUE, Broker, TooManyReaders
from tests.observer.build import Builder
from tests.observer.served import PATIENCE, Served, run, serving
from thermos.core.states import TaskState


@dataclass
class Message:
    id: str
    kind: str
    data: dict[str, Any]


class Stream:
    """Reads server-sent events as a browser does."""

    def __init__(self, response: ClientResponse) -> None:
        self._response = response
        self.last_id = ""

    async def next(self) -> Message:
        """The next event that has a name."""
        async with asyncio.timeout(PATIENCE):
            while True:
                fields: dict[str, str] = {}
                while (line := (await self._response.content.readline()).decode()) != "\n":
                    if not line:
                        raise EOFError
                    name, _, value = line.rstrip("\n").partition(": ")
                    fields[name] = value
                self.last_id = fields.get("id", self.last_id)
                if "event" in fields:
                    return Message(fields["id"], fields["event"], json.loads(fields["data"]))

    async def until(self, **wanted: object) -> Message:
        """The first event whose data say so."""
        while True:
            message = await self.next()
            if all(message.data.get(name) == value for name, value in wanted.items()):
                return message


@asynccontextmanager
async def listening(s: Served, query: str = "", last_id: str = "") -> AsyncIterator[Stream]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    async with s.client.get(f"/api/v1/events{query}", headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        yield Stream(response)


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    made = Builder(tmp_path / "root")
    made.task("a")
    return made


def test_the_list_hears_of_tasks_and_a_task_of_its_own_runs(builder: Builder) -> None:
    async def test() -> None:
        async with serving(builder.root) as s, listening(s) as all_news, listening(s, "?task=a") as own_news:
            task = builder.task("b")
            told = await all_news.until(change="appeared")
            assert told.data["task_id"] == "b"
            task.run("main").finish(TaskState.SUCCESS)
            await all_news.until(change="finished", task_id="b")
            watched = s.host.inventory.find("a")
            assert watched is not None
            done = builder.task("c")
            await all_news.until(change="appeared", task_id="c")
            done.start("main")
            news = await all_news.until(change="changed", task_id="c", processes=["main"])
            assert news.data["records"]
            assert s.host.broker.watched() == {"", watched.key}
            watched.paths.active.rename(watched.paths.finished)
            message = await own_news.until(change="finished")
            assert message.data["task_id"] == "a"

    run(test)


def test_a_stream_is_resumed_where_it_was_left(builder: Builder) -> None:
    async def test() -> None:
        async with serving(builder.root) as s:
            async with listening(s) as stream:
                builder.task("b")
                await stream.until(task_id="b")
                last_id = stream.last_id
            for name in ("c", "d"):
                builder.task(name)
            while s.host.inventory.find("d") is None:
                await s.changes.get()
            async with listening(s, last_id=last_id) as again:
                seen = set()
                while not {"c", "d"} <= seen:
                    message = await again.next()
                    assert message.kind != "reset"
                    seen.add(message.data["task_id"])
            async with listening(s, f"?since={last_id}") as other:
                assert (await other.until(change="appeared", task_id="c")).kind == "task"

    run(test)


@pytest.mark.parametrize("last_id", ["deadbeef-3", "nonsense", "-", "-1", "9" * 100, "deadbeef-٣"])
def test_an_id_of_another_server_resets(builder: Builder, last_id: str) -> None:
    async def test() -> None:
        async with serving(builder.root) as s, listening(s, f"?since={last_id}") as stream:
            assert (await stream.next()).kind == "reset"

    run(test)


def test_the_stream_of_an_unknown_task_is_refused(builder: Builder) -> None:
    async def test() -> None:
        async with serving(builder.root) as s:
            await s.get("/api/v1/events?task=nope", status=404)

    run(test)


def test_streams_end_with_the_server(builder: Builder) -> None:
    async def test() -> None:
        async with serving(builder.root) as s, listening(s) as stream:
            await s.host.close()
            with pytest.raises(EOFError):
                await stream.next()

    run(test)


class TestBroker:
    def test_a_slow_reader_is_cut_off_and_the_others_go_on(self) -> None:
        async def test() -> None:
            broker = Broker("e")
            slow, quick = broker.subscribe("k"), broker.subscribe("k")
            for number in range(QUEUE + 1):
                broker.publish("task", "k", {"n": number})
                assert await quick.queue.get() is not None
            assert slow.dropped
            assert await slow.queue.get() is None
            assert (broker.dropped, broker.subscribers) == (1, {quick})

        run(test)

    def test_what_was_missed_too_long_ago_is_a_reset(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def test() -> None:
            monkeypatch.setattr(events, "KEPT", 5)
            broker = Broker("e")
            broker._kept = type(broker._kept)(maxlen=5)
            for number in range(20):
                broker.publish("task", "k", {"n": number})
            item = await broker.subscribe("k", "e-3").queue.get()
            assert item is not None
            assert item.kind == "reset"
            caught_up = broker.subscribe("k", "e-17")
            numbers = [item.number for _ in range(3) if (item := await caught_up.queue.get()) is not None]
            assert numbers == [18, 19, 20]
            assert broker.subscribe("k", "e-20").queue.empty()

        run(test)

    def test_no_more_readers_than_fit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def test() -> None:
            monkeypatch.setattr(events, "MAX_SUBSCRIBERS", 2)
            broker = Broker("e")
            broker.subscribe("")
            broker.subscribe("")
            with pytest.raises(TooManyReaders):
                broker.subscribe("")

        run(test)

    def test_usage_of_a_task_is_no_news_for_other_tasks(self) -> None:
        async def test() -> None:
            broker = Broker("e")
            one, other, everything = broker.subscribe("one"), broker.subscribe("other"), broker.subscribe("")
            broker.publish("task", "one", {})
            assert (one.queue.qsize(), other.queue.qsize(), everything.queue.qsize()) == (1, 0, 1)

        run(test)
