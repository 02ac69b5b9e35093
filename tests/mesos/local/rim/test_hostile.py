"""Clients that mean no good, or know no better: a LocalCluster answers the others, and its memory stays bounded."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mesos.local.cluster import LocalCluster
from mesos.local.http_gate import Bodies
from mesos.local.master_http import Limits
from tests.mesos.local.rim.live import FAST, PATH, Framework
from tests.mesos.local.rim.wire import JSON, ask, open_request, until
from tests.mesos.ports import own_port

PORT = own_port()
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
INFO = {"user": "nobody", "name": "n"}


def run(folder: Path, test: Callable[[LocalCluster], Awaitable[None]], limits: Limits | None = None) -> None:
    async def main() -> None:
        async with (
            asyncio.timeout(100),
            LocalCluster(folder, PORT, agents=1, limits=limits, master_options=FAST) as cluster,
        ):
            await test(cluster)
            assert (await ask(PORT, "GET", "/health")).status == 200
            framework = Framework(PORT)  # and an honest one is served
            await framework.subscribe()
            assert (await framework.offer())["hostname"] == "agent0"
            framework.close()

    asyncio.run(main())


def memory_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize("whose", ["master", "agent"])
@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 10_000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /api/v1/scheduler HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/v1/scheduler HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /api/v1/scheduler HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100_000,
        b"GET / HTTP/1.1\r\nX: " + b"y" * 1_000_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["zeros", "version", "negative", "huge", "chunks", "long path", "many fields", "long field", "tls"],
)
def test_what_is_no_http(tmp_path: Path, whose: str, data: bytes) -> None:
    async def test(cluster: LocalCluster) -> None:
        port = PORT if whose == "master" else PORT + 1
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(data)
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 20)
        except ConnectionError:
            pass  # it had enough
        writer.close()

    run(tmp_path, test)


def test_many_connections_that_say_nothing(tmp_path: Path) -> None:
    async def test(cluster: LocalCluster) -> None:
        idle = [await asyncio.open_connection("127.0.0.1", port) for port in (PORT, PORT + 1) for _ in range(150)]
        assert (await ask(PORT, "GET", "/state")).status == 200
        for _, writer in idle:
            writer.close()

    run(tmp_path, test)


def test_subscriptions_that_come_and_go(tmp_path: Path) -> None:
    async def test(cluster: LocalCluster) -> None:
        body = json.dumps({"type": "SUBSCRIBE", "subscribe": {"framework_info": INFO}})
        for _ in range(10):
            streams = [await open_request(PORT, "POST", PATH, body, JSON) for _ in range(30)]
            assert {stream.status for stream in streams} == {200}
            for stream in streams:
                stream.close()

        async def all_gone() -> bool:
            return (await ask(PORT, "GET", "/frameworks")).json["frameworks"] == []

        await until(all_gone)
        completed = (await ask(PORT, "GET", "/frameworks")).json["completed_frameworks"]
        assert len(completed) <= 50

    run(tmp_path, test)


def test_a_body_of_a_hundred_megabytes(tmp_path: Path) -> None:
    async def test(cluster: LocalCluster) -> None:
        before = memory_kib()
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        size = 100 * 1024 * 1024
        head = HEAD + f"Content-Length: {size}\r\n\r\n"
        writer.write(head.encode())
        assert b" 413 " in await asyncio.wait_for(reader.readline(), 20)
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)  # and one that does not say its size
        head = HEAD + "Transfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        try:
            for _ in range(100):
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass  # it was refused before its end
        writer.close()
        assert memory_kib() - before < 40 * 1024

    run(tmp_path, test, Limits(bodies=Bodies(limit=8 * 1024 * 1024)))


def test_a_scheduler_that_does_not_read_is_cut_off_and_its_framework_disconnected(tmp_path: Path) -> None:
    """Its own messages come back to it (a reconciliation of many tasks), and it does not take them."""

    async def test(cluster: LocalCluster) -> None:
        body = json.dumps({"type": "SUBSCRIBE", "subscribe": {"framework_info": INFO | {"failover_timeout": 60}}})
        stream = await open_request(PORT, "POST", PATH, body, JSON)
        identity = (await stream.next("SUBSCRIBED"))["subscribed"]["framework_id"]
        stream.writer.transport.pause_reading()  # type: ignore[attr-defined]
        tasks = [{"task_id": {"value": f"{number}" + "x" * 2000}} for number in range(500)]
        call = {"type": "RECONCILE", "framework_id": identity, "reconcile": {"tasks": tasks}}
        headers = {"Mesos-Stream-Id": stream.headers["Mesos-Stream-Id"]}
        before = memory_kib()
        statuses = [(await ask(PORT, "POST", PATH, call, headers)).status for _ in range(30)]  # 30 MB of answers
        assert statuses[0] == 202
        assert statuses[-1] == 403  # "Framework is not subscribed"
        assert memory_kib() - before < 40 * 1024
        stream.close()
        assert (await ask(PORT, "POST", "/teardown", f"frameworkId={identity['value']}")).status == 200

    run(tmp_path, test, Limits(stream_bytes=2_000_000))
