"""The front of a master over real sockets, before a desk that writes down what reaches it."""

from __future__ import annotations

import asyncio
import base64
import json
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from mesos.core.scheduler_api import Call
from mesos.local.faults import Faults, Way
from mesos.local.http_gate import Basic, Bodies, Gate, Realm, Route, Standing, answer, check_loopback
from mesos.local.http_server import HttpServer
from mesos.local.link import Post
from mesos.local.master_http import Limits, SchedulerFront
from mesos.local.streams import Outbox
from mesos.local.timeline import RealTimeline
from tests.mesos.local.rim.wire import JSON, Answer, ask, open_request, until
from tests.mesos.ports import own_port
from thermos.errors import HostError, UserError

PORT = own_port()
PATH = "/api/v1/scheduler"
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SUBSCRIBE = {"type": "SUBSCRIBE", "subscribe": {"framework_info": {"user": "u", "name": "n"}}}
REVIVE = {"type": "REVIVE", "framework_id": {"value": "f"}}


@dataclass
class Said:
    status: int
    text: str = ""


@dataclass
class Desk:
    where: Standing = field(default_factory=lambda: Standing(f"127.0.0.1:{PORT}", leads=True))
    calls: list[tuple[Call, str | None, str | None]] = field(default_factory=list)
    outboxes: dict[str, Outbox] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    says: Said = field(default_factory=lambda: Said(200))

    def standing(self) -> Standing:
        return self.where

    def subscribe(self, call: Call, stream_id: str, outbox: Outbox, principal: str | None) -> Said:
        self.calls.append((call, None, principal))
        if self.says.status == 200:
            self.outboxes[stream_id] = outbox
            outbox.put(b'{"type":"SUBSCRIBED"}')
        return self.says

    def call(self, call: Call, stream_id: str | None, principal: str | None) -> Said:
        self.calls.append((call, stream_id, principal))
        return Said(202)

    def stream_closed(self, stream_id: str) -> None:
        self.closed.append(stream_id)


class Front:
    def __init__(self, desk: Desk, faults: Faults) -> None:
        self.desk, self.faults = desk, faults

    async def post(self, body: Any, headers: dict[str, str] | None = None) -> Answer:
        return await ask(PORT, "POST", PATH, body, headers)


@asynccontextmanager
async def serving(limits: Limits | None = None, basic: Basic | None = None) -> AsyncIterator[Front]:
    desk = Desk()
    faults = Faults(lambda: 0.5)
    post = Post(RealTimeline(asyncio.get_running_loop()), faults)
    routes = SchedulerFront(desk, post, limits or Limits()).routes()

    async def health(request: Any, principal: str | None) -> Any:
        return answer(200)

    routes["/health"] = Route(health, by_leader=False)
    routes["/state"] = Route(health, Realm.READONLY)
    server = HttpServer(Gate(desk, routes, basic or Basic()).handle)
    await server.start("127.0.0.1", PORT)
    try:
        yield Front(desk, faults)
    finally:
        await server.stop()


def run(test: Callable[[Front], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        async with serving(**options) as front, asyncio.timeout(60):
            await test(front)

    asyncio.run(main())


def test_a_subscription_is_a_stream_until_the_client_goes() -> None:
    async def test(front: Front) -> None:
        stream = await open_request(PORT, "POST", PATH, json.dumps(SUBSCRIBE), JSON)
        assert (stream.status, stream.headers["Content-Type"]) == (200, "application/json")
        assert stream.headers["Transfer-Encoding"] == "chunked"
        await stream.next("SUBSCRIBED")
        (name,) = front.desk.outboxes
        assert stream.headers["Mesos-Stream-Id"] == name
        front.desk.outboxes[name].put(b'{"type":"HEARTBEAT"}')
        await stream.next("HEARTBEAT")
        assert front.desk.closed == []
        stream.close()
        await until(lambda: front.desk.closed == [name])

    run(test)


def test_a_stream_that_the_master_ends_ends_after_what_was_said() -> None:
    async def test(front: Front) -> None:
        stream = await open_request(PORT, "POST", PATH, json.dumps(SUBSCRIBE), JSON)
        (outbox,) = front.desk.outboxes.values()
        outbox.put(b'{"type":"ERROR"}')
        outbox.finish()
        outbox.put(b'{"type":"HEARTBEAT"}')  # too late
        await stream.end()
        assert [event["type"] for event in stream.events] == ["SUBSCRIBED", "ERROR"]
        assert front.desk.closed == [stream.headers["Mesos-Stream-Id"]]
        stream.close()

    run(test)


def test_a_half_closed_client_is_gone() -> None:
    async def test(front: Front) -> None:
        stream = await open_request(PORT, "POST", PATH, json.dumps(SUBSCRIBE), JSON)
        await stream.next("SUBSCRIBED")
        stream.writer.write_eof()
        await until(lambda: front.desk.closed)
        stream.close()

    run(test)


def test_a_call_is_handed_on_with_its_stream_id_and_answered_202() -> None:
    async def test(front: Front) -> None:
        got = await front.post(REVIVE, {"Mesos-Stream-Id": "s1"})
        assert (got.status, got.body) == (202, b"")
        assert "Content-Type" not in got.headers
        ((call, stream_id, principal),) = front.desk.calls
        assert (call.type, stream_id, principal) == ("REVIVE", "s1", None)

    run(test)


def test_a_refused_subscription_is_no_stream() -> None:
    async def test(front: Front) -> None:
        front.desk.says = Said(403, "no")
        got = await front.post(SUBSCRIBE)
        assert (got.status, got.text, front.desk.closed) == (403, "no", [])

    run(test)


def test_where_the_leader_is_comes_before_anything_in_the_request() -> None:
    async def test(front: Front) -> None:
        desk = front.desk
        desk.where = Standing("127.0.0.1:19", leads=False)
        for body in (b"x", json.dumps(SUBSCRIBE).encode()):
            got = await ask(PORT, "POST", PATH + "?a=b", body)
            assert (got.status, got.headers["Location"]) == (307, "//127.0.0.1:19/master/api/v1/scheduler?a=b")
        got = await ask(PORT, "POST", PATH + "/%C3%A4%09%26?a=%26%0d%0aX:y")  # it stays as it was asked
        assert got.headers["Location"] == "//127.0.0.1:19/master/api/v1/scheduler/%C3%A4%09%26?a=%26%0d%0aX:y"
        assert (await ask(PORT, "GET", "/health")).status == 200
        assert (await ask(PORT, "GET", "/nope")).status == 404
        desk.where = Standing(None, leads=False)
        got = await front.post(SUBSCRIBE)
        assert (got.status, got.text) == (503, "No leader elected")
        desk.where = Standing("127.0.0.1:19", leads=True, is_recovered=False)
        got = await front.post(SUBSCRIBE)
        assert (got.status, got.text) == (503, "Master has not finished recovery")
        assert (await ask(PORT, "GET", "/state")).status == 200  # looks are answered while it recovers
        assert desk.calls == []

    run(test)


@pytest.mark.parametrize("header", [None, "Basic x", "Basic bWU6bm8=", "Bearer bWU6cHc=", "Basic", "Basic \xff"])
def test_wrong_credentials_come_before_the_way_to_the_leader(header: str | None) -> None:
    async def test(front: Front) -> None:
        front.desk.where = Standing(None, leads=False)
        got = await front.post(SUBSCRIBE, {"Authorization": header} if header is not None else {})
        assert (got.status, got.text) == (401, "401 Unauthorized.")
        assert got.headers["WWW-Authenticate"] == 'Basic realm="mesos-master-scheduler"'

    run(test, basic=Basic({"me": "pw"}))


def test_the_principal_of_right_credentials_is_told_and_other_realms_are_open() -> None:
    async def test(front: Front) -> None:
        right = {"Authorization": "Basic " + base64.b64encode("me:p:ü".encode()).decode()}
        assert (await front.post(REVIVE, right)).status == 202
        assert front.desk.calls[0][2] == "me"
        assert (await ask(PORT, "GET", "/state")).status == 200

    run(test, basic=Basic({"me": "p:ü"}, frozenset({Realm.SCHEDULER})))


def test_a_reader_that_does_not_read_is_cut_off_and_costs_bounded_memory() -> None:
    async def test(front: Front) -> None:
        slow = await open_request(PORT, "POST", PATH, json.dumps(SUBSCRIBE), JSON)
        quick = await open_request(PORT, "POST", PATH, json.dumps(SUBSCRIBE), JSON)
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        first, second = front.desk.outboxes.values()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        record = b'{"type":"OFFERS","pad":"' + b"x" * 1_000_000 + b'"}'
        most = 0
        for _ in range(200):
            first.put(record)
            second.put(record)
            most = max(most, first.pending)
            await quick.next("OFFERS")
        assert first.overflowed
        assert not second.overflowed
        assert most <= 4_000_000
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 * 1024  # KiB; 200 MB were said
        await until(lambda: front.desk.closed == [slow.headers["Mesos-Stream-Id"]])
        for stream in (slow, quick):
            stream.close()

    run(test, limits=Limits(stream_bytes=4_000_000))


def test_one_record_may_be_larger_than_the_limit_of_a_stream() -> None:
    async def test(front: Front) -> None:
        stream = await open_request(PORT, "POST", PATH, json.dumps(SUBSCRIBE), JSON)
        await stream.next("SUBSCRIBED")
        (outbox,) = front.desk.outboxes.values()
        outbox.put(b'{"type":"OFFERS","pad":"' + b"x" * 3_000_000 + b'"}')
        event = await stream.next("OFFERS")
        assert len(event["pad"]) == 3_000_000
        stream.close()

    run(test, limits=Limits(stream_bytes=1000))


def test_bodies_are_bounded_told_or_not() -> None:
    async def test(front: Front) -> None:
        got = await ask(PORT, "POST", PATH, b"x" * 2001, JSON)
        assert (got.status, got.text) == (413, "The body is larger than 2000 bytes")
        chunk = b"3e8\r\n" + b"x" * 1000 + b"\r\n"
        head = HEAD + "Transfer-Encoding: chunked\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        writer.write(head.encode() + chunk * 3)
        assert b" 413 " in await reader.readline()
        writer.close()
        assert front.desk.calls == []

    run(test, limits=Limits(bodies=Bodies(limit=2000)))


def test_bodies_are_bounded_together() -> None:
    async def test(front: Front) -> None:
        head = HEAD + "Content-Length: 1000\r\n\r\n"
        held = await asyncio.open_connection("127.0.0.1", PORT)
        held[1].write(head.encode() + b"x" * 900)
        await held[1].drain()

        async def refused() -> bool:
            got = await ask(PORT, "POST", PATH, b"x" * 900, JSON)
            return got.status == 503 and got.headers["Retry-After"] == "1"

        await until(refused)
        held[1].close()

        async def parsed() -> bool:
            return (await ask(PORT, "POST", PATH, b"x" * 900, JSON)).status == 400

        await until(parsed)

    run(test, limits=Limits(bodies=Bodies(limit=2000, together=1500)))


def test_a_body_that_never_ends_is_not_waited_for() -> None:
    async def test(front: Front) -> None:
        head = HEAD + "Content-Length: 1000\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        writer.write(head.encode())
        assert b" 408 " in await reader.readline()
        writer.close()

    run(test, limits=Limits(bodies=Bodies(patience_s=0.1)))


def test_there_are_only_so_many_streams() -> None:
    async def test(front: Front) -> None:
        streams = [await open_request(PORT, "POST", PATH, json.dumps(SUBSCRIBE), JSON) for _ in range(2)]
        assert (await front.post(SUBSCRIBE)).status == 503
        streams.pop().close()
        await until(lambda: front.desk.closed)
        streams.append(await open_request(PORT, "POST", PATH, json.dumps(SUBSCRIBE), JSON))
        assert streams[-1].status == 200
        for stream in streams:
            stream.close()

    run(test, limits=Limits(streams=2))


def test_a_dropped_call_is_a_broken_connection() -> None:
    async def test(front: Front) -> None:
        rule = front.faults.drop(Way.FROM_SCHEDULER, kind="REVIVE", framework="f", times=1)
        with pytest.raises(ConnectionError):
            await front.post(REVIVE)
        assert (rule.fired, front.desk.calls) == (1, [])
        assert (await front.post(REVIVE)).status == 202

    run(test)


def test_delayed_doubled_and_held_calls() -> None:
    async def test(front: Front) -> None:
        rules = [front.faults.delay(Way.FROM_SCHEDULER, 0.05, times=1)]
        assert (await front.post(REVIVE)).status == 202
        rules.append(front.faults.duplicate(Way.FROM_SCHEDULER, times=1))
        assert (await front.post(REVIVE)).status == 202
        assert len(front.desk.calls) == 3
        rules.append(front.faults.reorder(Way.FROM_SCHEDULER, times=1))
        held = asyncio.create_task(front.post(REVIVE, {"Mesos-Stream-Id": "first"}))
        await until(lambda: rules[2].fired)
        assert (await front.post(REVIVE, {"Mesos-Stream-Id": "second"})).status == 202
        assert (await held).status == 202
        assert [stream_id for _, stream_id, _ in front.desk.calls[3:]] == ["second", "first"]
        assert [rule.fired for rule in rules] == [1, 1, 1]

    run(test)


def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    async def test(front: Front) -> None:
        async def handle(request: Any) -> Any:
            return answer(200)

        other = HttpServer(handle)
        with pytest.raises(HostError, match=f"cannot listen on 127.0.0.1:{PORT}: something else listens there"):
            await other.start("127.0.0.1", PORT)

    run(test)


def test_an_error_of_ours_is_told_to_the_loop_and_to_the_client() -> None:
    async def test(front: Front) -> None:
        told: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))

        def broken(*_: Any) -> Any:
            raise ValueError("five")

        front.desk.call = broken  # type: ignore[method-assign]
        got = await front.post(REVIVE)
        assert (got.status, got.text) == (500, "Internal error, please report it: ValueError: five")
        assert [(c["message"], str(c["exception"])) for c in told] == [(f"POST {PATH} failed", "five")]
        assert (await ask(PORT, "GET", "/health")).status == 200

    run(test)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::", "example.org", "", "8.8.8.8"])
def test_only_this_machine_may_talk_to_it(host: str) -> None:
    with pytest.raises(UserError, match=r"cannot listen on .*127\.0\.0\.1"):
        check_loopback(host)


def test_loopback_addresses() -> None:
    assert [check_loopback(host) for host in ("127.0.0.1", "127.3.0.1", "::1")] == ["127.0.0.1", "127.3.0.1", "::1"]
