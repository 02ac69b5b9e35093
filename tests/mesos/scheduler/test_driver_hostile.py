"""The driver with masters that are broken or mean: it says so, memory is bounded, nothing hangs, nothing is spun on."""

from __future__ import annotations

import asyncio
import gzip
import socket
import tracemalloc
from pathlib import Path
from random import Random

import pytest

from mesos.core import scheduler_api as api
from mesos.scheduler_driver import CallFailed
from tests.mesos.scheduler.masters import (
    HEARTBEAT,
    Driven,
    Exchange,
    Listener,
    Script,
    driving,
    good,
    master,
    rescind,
    subscribed_event,
    until,
)

MB = 1024 * 1024


def peak_mb() -> float:
    return tracemalloc.get_traced_memory()[1] / MB


async def heals(broken: Script, text: str, expires_in: str = "", **options: object) -> list[str]:
    """The first connection is `broken` (by itself, or at the deadline of the phase `expires_in`), which is told with
    `text`; the second one serves."""

    async def subscribe(exchange: Exchange) -> None:
        await (broken if len(fake.exchanges) == 1 else good)(exchange)

    async with master(subscribe) as fake, driving(fake.url, **options) as driven:  # type: ignore[arg-type]
        if expires_in:
            await until(lambda: fake.exchanges)
            await driven.reach(expires_in)
            driven.expire()
        await driven.reach("WAITING")
        driven.timers.advance(1)
        await driven.reach("SUBSCRIBED")
        assert len(fake.exchanges) == 2
        told = driven.listener.all("problem") + driven.listener.all("disconnected")
        assert len(told) == 1 and text in told[0] and len(told[0]) < 1500 and "\n" not in told[0], told
        return told


# --- frames --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad", [b"x", b"-5\n{}", b"12 \n", b"\n", b"0x10\n", b"9" * 21, b"1" * 20 + b"\n", "٣\n{}".encode(), b"\x00" * 30]
)
async def test_a_malformed_frame_ends_the_stream(bad: bytes) -> None:
    async def send(exchange: Exchange) -> None:
        await exchange.subscribed()
        await exchange.chunk(bad)
        await exchange.until_left()

    await heals(send, "lost the master")


async def test_an_empty_record_is_an_event_that_can_not_be_read() -> None:
    async def send(exchange: Exchange) -> None:
        await exchange.subscribed()
        await exchange.chunk(b"0\n")
        await exchange.send(rescind(1))
        await exchange.until_left()

    async with master(send) as fake, driving(fake.url) as driven:
        await until(lambda: driven.listener.events)
        assert len(driven.listener.all("problem")) == 1


async def test_a_record_of_100_mb_is_refused_by_its_header() -> None:
    sent = 0

    async def send(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.subscribed()
        await exchange.chunk(b"100000000\n")
        for _ in range(100):
            await exchange.chunk(b"x" * MB)
            sent += 1

    tracemalloc.start()
    try:
        await heals(send, "a record of 100000000 bytes; 16777216 are allowed", max_record=16 * MB)
        assert peak_mb() < 8
    finally:
        tracemalloc.stop()
    assert sent < 50  # the connection was closed, not drained


async def test_the_header_of_a_large_record_reserves_no_memory() -> None:
    """200 MB are announced (and allowed), a little comes, then silence: five heartbeats and it is over."""

    async def send(exchange: Exchange) -> None:
        await exchange.subscribed()
        await exchange.chunk(b"200000000\n" + b"x" * 1000)
        await exchange.until_left()

    tracemalloc.start()
    try:
        await heals(send, "no heartbeat", expires_in="SUBSCRIBED")
        assert peak_mb() < 8
    finally:
        tracemalloc.stop()


async def test_a_trickle_inside_a_record_is_no_sign_of_life() -> None:
    streams: list[Exchange] = []

    async def send(exchange: Exchange) -> None:
        streams.append(exchange)
        await exchange.subscribed()
        await exchange.chunk(b"1000\n")
        await exchange.until_left()

    async with master(send) as fake, driving(fake.url) as driven:
        await driven.reach("SUBSCRIBED")
        for _ in range(3):
            driven.timers.advance(20)
            await streams[0].chunk(b" ")
            await asyncio.sleep(0.02)
        driven.timers.advance(15)
        await driven.reach("WAITING")
        assert "no heartbeat" in driven.listener.all("disconnected")[0]


# --- sockets -------------------------------------------------------------------------------------------------------


async def half_close_before_an_answer(exchange: Exchange) -> None:
    exchange.writer.write_eof()
    await exchange.until_left()


async def half_close_in_the_headers(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Type: appl")
    exchange.writer.write_eof()
    await exchange.until_left()


async def half_close_before_subscribed(exchange: Exchange) -> None:
    await exchange.begin_stream()
    exchange.writer.write_eof()
    await exchange.until_left()


async def half_close_in_a_record(exchange: Exchange) -> None:
    await exchange.subscribed()
    await exchange.chunk(b'100\n{"type":')
    exchange.writer.write_eof()
    await exchange.until_left()


async def end_in_a_record(exchange: Exchange) -> None:
    await exchange.subscribed()
    await exchange.chunk(b'100\n{"type":')
    await exchange.end_stream()
    await exchange.until_left()


async def reset(exchange: Exchange) -> None:
    await exchange.subscribed()
    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    exchange.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    exchange.cut()


async def bad_chunk(exchange: Exchange) -> None:
    await exchange.subscribed()
    await exchange.raw(b"zzz\r\n")
    await exchange.until_left()


async def no_http(exchange: Exchange) -> None:
    await exchange.raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    await exchange.until_left()


async def endless_headers(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\n")
    for n in range(20_000):
        await exchange.raw(b"X-%d: " % n + b"x" * 1000 + b"\r\n")


async def endless_header_line(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(20):
        await exchange.raw(b"x" * MB)


@pytest.mark.parametrize(
    "broken",
    [
        half_close_before_an_answer, half_close_in_the_headers, half_close_before_subscribed, half_close_in_a_record,
        end_in_a_record, reset, bad_chunk, no_http, endless_headers, endless_header_line,
    ],
)  # fmt: skip
async def test_a_broken_connection_is_noticed_at_once(broken: Script) -> None:
    tracemalloc.start()
    try:
        await heals(broken, "http://127.0.0.1:")
        assert peak_mb() < 40
    finally:
        tracemalloc.stop()


async def hang(exchange: Exchange) -> None:
    await exchange.until_left()


async def slow_headers(exchange: Exchange) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nContent-Type: application/json":
        await exchange.raw(bytes([byte]))
    await exchange.until_left()


async def slow_refusal(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 503 Later\r\nContent-Length: 100000\r\n\r\nnot ")
    await exchange.until_left()


async def no_subscribed(exchange: Exchange) -> None:
    await exchange.begin_stream()
    await exchange.send(HEARTBEAT, rescind(1))  # such events say nothing before SUBSCRIBED
    await exchange.until_left()


@pytest.mark.parametrize(
    ("slow", "phase"),
    [(hang, "CONNECTING"), (slow_headers, "CONNECTING"), (slow_refusal, "CONNECTING"), (no_subscribed, "SUBSCRIBING")],
)
async def test_a_master_that_takes_for_ever_is_left_at_the_deadline(slow: Script, phase: str) -> None:
    text = {"CONNECTING": "no answer to SUBSCRIBE", "SUBSCRIBING": "no SUBSCRIBED event"}[phase]
    told = await heals(slow, text, expires_in=phase)
    assert told[0].endswith("for 30 s")


async def test_a_host_that_does_not_even_connect() -> None:
    """A socket that listens and whose queue is full: the kernel drops further attempts."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            async with driving(f"http://127.0.0.1:{port}", connect_timeout_s=0.3) as driven:
                await driven.reach("WAITING")
                assert "no connection in time" in driven.listener.all("problem")[0]
        finally:
            for filler in fillers:
                filler.close()


# --- answers -------------------------------------------------------------------------------------------------------


async def test_a_page_instead_of_a_stream() -> None:
    async def page(exchange: Exchange) -> None:
        await exchange.begin_stream(content_type="text/html; charset=utf-8")
        await exchange.chunk(b"<html>log in</html>" * 1000)
        await exchange.until_left()

    await heals(page, "it answers with text/html")


async def test_an_answer_without_a_content_type_or_a_stream_id() -> None:
    async def no_type(exchange: Exchange) -> None:
        await exchange.begin_stream(content_type="")
        await exchange.until_left()

    async def no_id(exchange: Exchange) -> None:
        await exchange.begin_stream(stream_id="")
        await exchange.until_left()

    async def long_id(exchange: Exchange) -> None:
        await exchange.begin_stream(stream_id="x" * 1000)
        await exchange.until_left()

    await heals(no_type, "no stream of events")
    await heals(no_id, "is it a master?")
    await heals(long_id, "is it a master?")


#: Headers with bytes that are no text, and the beginning of what is said about it.
ODD_HEADERS = {
    b"Mesos-Stream-Id: \xff\xfe\r\nContent-Type: application/json": "is it a master?",
    b"Mesos-Stream-Id: s\r\nContent-Type: \xff\x1b[31m/x": "which is no stream of events",
}


@pytest.mark.parametrize("headers", ODD_HEADERS)
async def test_headers_that_are_no_text(headers: bytes) -> None:
    async def odd(exchange: Exchange) -> None:
        await exchange.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + headers + b"\r\n\r\n")
        await exchange.until_left()

    told = await heals(odd, "")
    assert told[0].isprintable() and told[0].encode()
    if b"\x1b" not in headers:  # such a header is no HTTP at all
        assert ODD_HEADERS[headers] in told[0]


async def test_words_that_would_repaint_a_terminal() -> None:
    async def paint(exchange: Exchange) -> None:
        await exchange.answer(503, "\x1b[31m red \u202e \x00")

    told = await heals(paint, "503")
    assert told[0].isprintable()


async def test_a_redirect_that_is_no_text() -> None:
    async def odd(exchange: Exchange) -> None:
        await exchange.raw(b"HTTP/1.1 307 There\r\nContent-Length: 0\r\nLocation: //\xff\xfe:1/\r\n\r\n")

    told = await heals(odd, "no address")
    assert told[0].isprintable()


async def test_an_endless_refusal_is_cut_short() -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.raw(b"HTTP/1.1 500 Bad\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(50):
            await exchange.raw(b"lorem\n" * (MB // 6))

    tracemalloc.start()
    try:
        await heals(endless, "500: lorem lorem")
        assert peak_mb() < 8
    finally:
        tracemalloc.stop()


async def test_a_refusal_that_breaks_off() -> None:
    async def broken(exchange: Exchange) -> None:
        await exchange.raw(b"HTTP/1.1 503 Later\r\nContent-Length: 100\r\n\r\nnot ")
        exchange.writer.close()

    await heals(broken, "503: (the stream broke off)")


async def test_a_compressed_stream_is_not_unpacked() -> None:
    """We say that we want none; what comes all the same could be a bomb."""

    data = gzip.compress(b"5\n" + b"x" * (50 * MB))

    async def bomb(exchange: Exchange) -> None:
        assert exchange.headers["accept-encoding"] == "identity"
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMesos-Stream-Id: s\r\nContent-Encoding: gzip\r\n"
        await exchange.raw(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        await exchange.until_left()

    tracemalloc.start()
    try:
        await heals(bomb, "no length of a record")
        assert peak_mb() < 8
    finally:
        tracemalloc.stop()


async def test_a_master_that_calls_us_by_another_name() -> None:
    async def other(exchange: Exchange) -> None:
        first = len(fake.exchanges) == 1
        await exchange.subscribed(framework="framework-1" if first else "framework-2")
        await (exchange.end_stream() if first else exchange.until_left())

    async with master(other) as fake, driving(fake.url) as driven:
        await driven.reach("WAITING")
        driven.timers.advance(1)
        await until(lambda: driven.listener.all("problem"))
        assert "framework-2" in driven.listener.all("problem")[0]
        assert driven.listener.all("subscribed") == [("framework-1", False)]


async def test_an_answer_to_a_call_that_never_ends() -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.raw(b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n")
        if len(fake.all("REVIVE")) == 1:
            for _ in range(50):
                await exchange.chunk(b"x" * MB)
        await exchange.until_left()

    async with master(good, endless) as fake, driving(fake.url) as driven:
        await driven.reach("SUBSCRIBED")
        await driven.driver.call(api.revive())  # nobody reads all of that
        hung = asyncio.create_task(driven.driver.call(api.revive()))
        await until(lambda: len(fake.all("REVIVE")) == 2)
        driven.timers.advance(11)
        with pytest.raises(CallFailed, match="no answer"):
            await hung
        assert driven.driver.subscribed


@pytest.mark.parametrize("how", ["cut", "garbage", "half"])
async def test_calls_whose_connection_breaks_fail_alone(how: str) -> None:
    async def break_off(exchange: Exchange) -> None:
        if how == "garbage":
            await exchange.raw(b"\x00\x01\x02\r\n\r\n")
        if how == "half":
            await exchange.raw(b"HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\nabc")
        exchange.writer.close()

    async with master(good, break_off) as fake, driving(fake.url) as driven:
        await driven.reach("SUBSCRIBED")
        for _ in range(3):
            with pytest.raises(CallFailed, match=r"\Acannot REVIVE: "):
                await driven.driver.call(api.revive())
        assert driven.driver.subscribed and len(fake.all("REVIVE")) == 3


# --- events --------------------------------------------------------------------------------------------------------

UNREADABLE: list[bytes] = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"{}",
    b'{"type": 5}',
    b'{"type": "OFFERS", "offers": []}',
    b'{"type": "UPDATE", "update": {"status": {"state": "TASK_RUNNING"}}}',
    b'{"type": "MESSAGE", "message": {"data": "%%%", "agent_id": {"value": "a"}, "executor_id": {"value": "e"}}}',
    b'{"type": "RESCIND", "rescind": {"offer_id": "\xff\xfe"}}',
    b'{"type": "OFFERS", "offers": ' + b"[" * 100_000,
    b'{"type": "SUBSCRIBED", "subscribed": {}}',
    b"x" * 100_000,
]


async def test_events_that_can_not_be_read_are_told_and_skipped() -> None:
    async def send(exchange: Exchange) -> None:
        await exchange.subscribed()
        for event in UNREADABLE:
            await exchange.send(event, rescind(1))
        await exchange.until_left()

    async with master(send) as fake, driving(fake.url) as driven:
        await until(lambda: len(driven.listener.events) == len(UNREADABLE))
        problems = driven.listener.all("problem")
        assert len(problems) == len(UNREADABLE)
        assert all(text.startswith("skipped an event: cannot read") and len(text) < 1100 for text in problems)
        assert driven.driver.state()["events"]["UNREADABLE"] == len(UNREADABLE)
        assert driven.driver.subscribed and len(fake.exchanges) == 1


async def test_events_of_unknown_types_are_counted_and_skipped() -> None:
    async def send(exchange: Exchange) -> None:
        await exchange.subscribed()
        for n in range(1000):
            await exchange.send({"type": f"NEW_{n}", "new": {"x": [n]}})
        await exchange.send(rescind(1))
        await exchange.until_left()

    async with master(send) as fake, driving(fake.url) as driven:
        await until(lambda: driven.listener.events)
        assert driven.driver.state()["events"] == {"SUBSCRIBED": 1, "UNKNOWN": 1000, "RESCIND": 1}
        assert not driven.listener.all("problem")


async def test_events_without_what_they_should_carry() -> None:
    async def send(exchange: Exchange) -> None:
        await exchange.subscribed()
        await exchange.send({"type": "OFFERS"}, {"type": "SUBSCRIBED"}, {"type": "UPDATE", "offers": {}}, HEARTBEAT)
        await exchange.until_left()

    async with master(send) as fake, driving(fake.url) as driven:
        await until(lambda: driven.driver.state()["events"].get("HEARTBEAT"))
        assert driven.listener.all("problem") == [
            "skipped an event: OFFERS without its payload",
            "skipped an event: SUBSCRIBED without its payload",
            "skipped an event: UPDATE without its payload",
        ]
        assert not driven.listener.events and driven.driver.subscribed


async def test_subscribed_twice_is_told_once() -> None:
    async def send(exchange: Exchange) -> None:
        await exchange.subscribed()
        await exchange.send(subscribed_event(), rescind(1))
        await exchange.until_left()

    async with master(send) as fake, driving(fake.url) as driven:
        await until(lambda: driven.listener.events)
        assert driven.listener.told == [("subscribed", ("framework-1", False)), ("event", "RESCIND")]


async def test_events_before_subscribed_are_not_told() -> None:
    async def send(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(rescind(1), HEARTBEAT, subscribed_event(), rescind(2))
        await exchange.until_left()

    async with master(send) as fake, driving(fake.url) as driven:
        await until(lambda: driven.listener.events)
        assert [name for name, _ in driven.listener.told] == ["subscribed", "event"]


# --- floods --------------------------------------------------------------------------------------------------------


async def test_a_flood_waits_in_the_socket_while_the_listener_is_slow() -> None:
    """40 MB of events; the listener takes its time, so the master has to wait; nothing is heaped up, nothing lost."""
    total, size = 40_000, 1000
    sent = 0
    gate = asyncio.Event()

    async def flood(exchange: Exchange) -> None:
        nonlocal sent
        exchange.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        await exchange.subscribed()
        for n in range(total):
            await exchange.send(rescind(n, size))
            sent += 1
        await exchange.until_left()

    numbers: list[int] = []

    class Slow(Listener):
        async def event(self, event: api.Event) -> None:
            await gate.wait()
            assert event.rescind is not None
            numbers.append(int(event.rescind.offer_id.value.strip("ox")))

    async with master(flood) as fake, driving(fake.url, listener=Slow()) as driven:
        await until(lambda: driven.driver.state()["listener_busy"] and sent > 100)
        tracemalloc.start()
        before = -1
        while sent != before:  # until the master can't send any more
            before = sent
            await asyncio.sleep(0.2)
        assert sent < total * 0.6
        assert peak_mb() < 4
        tracemalloc.stop()
        driven.timers.advance(3600)  # a slow listener is not a silent master
        gate.set()
        await until(lambda: len(numbers) == total, seconds=50)
        assert numbers == list(range(total))
        assert driven.driver.subscribed and not driven.listener.all("disconnected")
        driven.expire()  # and from now on silence counts again
        await driven.reach("WAITING")


async def test_a_listener_slower_than_the_deadline_while_connecting() -> None:
    """Telling of the failure takes an hour; the next attempt has its whole time all the same."""
    gate = asyncio.Event()

    async def refuse_once(exchange: Exchange) -> None:
        if len(fake.exchanges) == 1:
            await exchange.subscribed()
            await exchange.end_stream()
        else:
            await good(exchange)

    class Slow(Listener):
        async def disconnected(self, reason: str) -> None:
            await gate.wait()
            await super().disconnected(reason)

    async with master(refuse_once) as fake, driving(fake.url, listener=Slow()) as driven:
        await until(lambda: driven.phase == "WAITING" and driven.driver.state()["listener_busy"])
        driven.timers.advance(3600)
        gate.set()
        await driven.reach("SUBSCRIBED")
        assert driven.listener.all("subscribed") == [("framework-1", False), ("framework-1", True)]
        assert len(fake.exchanges) == 2


# --- all of it together --------------------------------------------------------------------------------------------

MEAN: list[Script] = [
    half_close_before_an_answer, half_close_in_the_headers, half_close_before_subscribed, half_close_in_a_record,
    end_in_a_record, reset, bad_chunk, no_http, hang, slow_headers, slow_refusal, no_subscribed, good,
]  # fmt: skip


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def give_up(driven: Driven) -> None:
    """Until the driver waits for its next attempt: by itself, or, when nothing happens any more, at a deadline."""
    while not (driven.phase == "WAITING" and driven.settled()):
        for _ in range(10):
            await asyncio.sleep(0.002)
            if driven.phase == "WAITING" and driven.settled():
                return
        driven.expire()


@pytest.mark.parametrize("seed", range(5))
async def test_after_any_sequence_of_faults_the_driver_subscribes_again(seed: int) -> None:
    """40 connections with masters that fail in some way or other; then one that does not. Nothing is left over."""
    random = Random(seed)
    plan = random.choices(MEAN, k=40)
    fired: set[str] = set()
    left = 0

    async def mean(exchange: Exchange) -> None:
        nonlocal left
        number = len(fake.exchanges) - 1
        script = plan[number] if number < len(plan) else good
        fired.add(script.__name__)
        try:
            await script(exchange)
            await exchange.until_left()
        finally:
            left += 1

    async with master(mean) as fake:
        before = open_descriptors()
        async with driving(fake.url, random=random.random()) as driven:
            for number in range(len(plan)):
                await until(lambda number=number: len(fake.exchanges) > number)
                await give_up(driven)
                driven.expire()
            await driven.reach("SUBSCRIBED")
            assert len(fake.exchanges) == len(plan) + 1
            await until(lambda: left >= len(plan))  # each connection was closed before or soon after the next
            told = [name for name, _ in driven.listener.told if name != "problem"]
            assert told[::2] == ["subscribed"] * len(told[::2]) and told[1::2] == ["disconnected"] * len(told[1::2])
            assert {call for name, call in driven.listener.told if name == "subscribed"} == {
                ("framework-1", False),
                ("framework-1", True),
            }
            await driven.driver.call(api.revive())
        await until(lambda: open_descriptors() <= before)
    assert len(fired) > 8
    assert set(fake.kinds()) == {"SUBSCRIBE", "REVIVE"}
