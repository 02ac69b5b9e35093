"""The event stream over HTTP: what is told, coming back, many readers, slow ones, its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientResponse

from scheduler import event_log
from scheduler.api import events
from scheduler.core.effects import TaskChanged
from scheduler.core.model import JobKey
from tests.scheduler.api.served import MemoryJournal, Served, run, serving
from tests.scheduler.core import making
from tests.scheduler.store.worlds import task_of

Event = dict[str, str]


@asynccontextmanager
async def following(s: Served, query: str = "", last: str = "") -> AsyncIterator[ClientResponse]:
    """Once the reader has begun."""
    headers = {"Last-Event-ID": last} if last else {}
    async with s.session.get(f"{s.base}/api/v1/events{query}", headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        first = await block(response)
        assert first["retry"] == "2000"
        response.begun_at = first["id"]  # type: ignore[attr-defined]
        yield response


async def block(response: ClientResponse) -> Event:
    """One block of lines, as fields."""
    text = (await response.content.readuntil(b"\n\n")).decode().strip("\n")
    return dict(line.split(": ", 1) if not line.startswith(":") else ("comment", line) for line in text.split("\n"))


async def event(response: ClientResponse) -> tuple[str, Any]:
    told = await block(response)
    return told["event"], json.loads(told["data"])


def test_a_job_is_followed() -> None:
    async def test() -> None:
        journal = MemoryJournal()
        async with serving(journal) as s, following(s) as all_of_it, following(s, "?name=other") as other:
            journal.held = []
            creating = asyncio.ensure_future(s.create(2))
            await s.until(lambda: bool(journal.held))
            assert s.loop.events.published == 0, "not before it is durable"
            journal.let_go()
            await creating
            told = [await event(all_of_it) for _ in range(2)]
            assert [(kind, d["instance"], d["status"], d["old"]) for kind, d in told] == [
                ("task", 0, "PENDING", None),
                ("task", 1, "PENDING", None),
            ]
            assert told[0][1]["key"] == {"role": "www", "environment": "prod", "name": "web"}
            s.registered()
            s.offers(making.offer(1))
            kind, data = await event(all_of_it)
            assert (kind, data["status"], data["old"], data["host"]) == (
                "task", "ASSIGNED", "PENDING", "a00001.example",
            )  # fmt: skip
            key = JobKey(role="www", environment="prod", name="other")
            await s.create(key=key, task_config=making.config(job=key, cpus=100))
            assert (await event(other))[1]["key"]["name"] == "other"
            await s.post("/api/v1/jobs/www/prod/other/kill", {"instances": None})
            kind, data = await event(other)
            assert (kind, data["key"]["name"], len(data["taskIds"])) == ("deleted", "other", 1)

    run(test)


def test_who_comes_back_misses_nothing() -> None:
    async def test() -> None:
        async with serving() as s:
            await s.create(3)
            async with following(s, last="b00t-1") as again:
                assert again.begun_at == "b00t-1"  # type: ignore[attr-defined]
                assert [(await event(again))[1]["instance"] for _ in range(2)] == [1, 2]
            async with following(s, "?after=b00t-2") as again:
                assert (await event(again))[1]["instance"] == 2
            for name in ("other-1", "b00t-4", "nonsense", "b00t--1"):
                async with following(s, last=name) as lost:
                    assert await event(lost) == ("reset", {})

    run(test)


def test_heartbeats_say_where_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        monkeypatch.setattr(events, "HEARTBEAT", 0.01)
        async with serving() as s, following(s, "?role=none") as reader:
            await s.create(5)
            told = await block(reader)
            while told["id"] != "b00t-5":
                told = await block(reader)
            assert told["comment"] == ": still here"

    run(test)


def test_a_reader_that_does_not_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its socket is full, the list moves on, and nothing is heaped up for it."""

    async def test() -> None:
        async with serving() as s:
            s.loop.events._kept = type(s.loop.events._kept)(maxlen=100)
            async with following(s) as slow:
                task = task_of("t" * 2000, making.JOB)
                for _ in range(400):
                    for _ in range(50):
                        s.loop.events.publish(TaskChanged(task, None))
                    await asyncio.sleep(0)
                    if s.loop.events.resets:
                        break
                seen = [(await block(slow))["event"] for _ in range(2)]
                while seen[-1] != "reset":
                    seen.append((await block(slow))["event"])
                assert len(seen) < s.loop.events.published
                s.loop.events.publish(TaskChanged(task, None))
                assert (await event(slow))[0] in ("task", "reset")
                assert s.loop.events.resets >= 1

    run(test)


def test_readers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        monkeypatch.setattr(event_log, "MAX_READERS", 1)
        async with serving() as s:
            async with following(s):
                words = await s.refused("GET", "/api/v1/events", status=503, code="TRANSIENT")
                assert "1 readers" in words
            await s.until(lambda: s.loop.events.readers == 0)
            async with following(s):
                pass

    run(test)


def test_many_readers_hear_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        encoded: list[object] = []
        encode = event_log._encoder.encode

        class Counting:
            def encode(self, news: object) -> bytes:
                encoded.append(news)
                return encode(news)

        monkeypatch.setattr(event_log, "_encoder", Counting())

        async def reader(s: Served) -> list[str]:
            async with following(s) as response:
                return [(await event(response))[1]["taskId"] for _ in range(10)]

        async with serving() as s:
            readers = [asyncio.ensure_future(reader(s)) for _ in range(80)]
            await s.until(lambda: s.loop.events.readers == 80)
            await s.create(10)
            heard = await asyncio.gather(*readers)
            assert all(each == heard[0] for each in heard)
            assert len(encoded) == 10, "once each"

    run(test)


def test_many_readers_get_several_events_at_once() -> None:
    """So that they can't take all of the time."""
    assert events.rest_for(1) < events.SHORTEST_REST_S, "one hears at once"
    assert events.rest_for(1000) >= 0.1
    assert events.rest_for(1_000_000) == events.LONGEST_REST_S


def test_the_server_ends_the_streams() -> None:
    async def test() -> None:
        async with serving() as s:
            async with following(s) as reader:
                s.loop.events.close()
                assert await reader.content.read() == b""
            assert (await s.get("/api/v1/jobs"))["total"] == 0

    run(test)
