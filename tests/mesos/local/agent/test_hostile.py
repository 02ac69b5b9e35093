"""Executors that do not read, break off, flood or talk nonsense: a clear answer, bounded memory, nothing hangs."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesos.local import agent_http
from mesos.local.agent_http import parse_executor_call
from mesos.local.agent_operator import CALLS
from mesos.local.core.agent_calls import invalidity
from mesos.local.core.protocol import MessageExecutor
from mesos.local.http_words import Refusal
from tests.mesos.local.agent.harness import FRAMEWORK, executor_info
from tests.mesos.local.agent.live import Live

CALL = {"framework_id": {"value": "m-0000"}, "executor_id": {"value": "ex"}}
EX = executor_info().executor_id


def play(scenario: Coroutine[Any, Any, None]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60):
            await scenario

    asyncio.run(main())


async def launch(live: Live) -> None:
    live.run("t1", command="exec sleep 1000")
    await live.until(lambda: live.agent and live.agent.executors_by_container)


def is_connected(live: Live) -> bool:
    executor = live.agent.executor(FRAMEWORK.value, "ex") if live.agent is not None else None
    return executor is not None and executor.is_connected


def subscription() -> bytes:
    body = json.dumps({"type": "SUBSCRIBE", **CALL, "subscribe": {}}).encode()
    head = "POST /api/v1/executor HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


async def leave(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        await writer.wait_closed()
    except ConnectionError:
        pass  # it was broken by the other side


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_an_executor_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Live(tmp_path) as live:
            await launch(live)
            reader, writer = await asyncio.open_connection("127.0.0.1", live.port, limit=1024)
            writer.write(subscription())
            await live.until(lambda: is_connected(live))
            before = resident()
            message = MessageExecutor(framework_id=FRAMEWORK, executor_id=EX, data=b"x" * 500_000)
            for _ in range(400):  # 270 MB on the wire
                live.say(message)
                if not is_connected(live):
                    break
                await asyncio.sleep(0)
            await live.until(lambda: not is_connected(live))
            assert resident() - before < 6 * agent_http.MAX_WAITING
            try:
                while await reader.read(1 << 20):
                    pass
            except ConnectionError:
                pass  # or it ends in order; either way it ends
            await leave(writer)
            assert (await live.request("GET", "/health"))[0] == 200

    play(scenario())


def test_an_executor_that_says_it_will_say_no_more(tmp_path: Path) -> None:
    """A half-closed connection is a closed one, as with a real agent."""

    async def scenario() -> None:
        async with Live(tmp_path) as live:
            await launch(live)
            reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
            writer.write(subscription())
            assert b"SUBSCRIBED" in await reader.readuntil(b"}}")
            writer.write_eof()
            await live.until(lambda: not is_connected(live))
            await leave(writer)

    play(scenario())


def test_an_executor_that_breaks_off_in_the_middle_of_a_call(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Live(tmp_path) as live:
            await launch(live)
            for end in (10, 60, 110, 180):
                _, writer = await asyncio.open_connection("127.0.0.1", live.port)
                writer.write(subscription()[:end])
                await writer.drain()
                writer.transport.abort()
            await asyncio.sleep(0.05)
            assert not is_connected(live)
            assert (await live.request("GET", "/health"))[0] == 200

    play(scenario())


@pytest.mark.parametrize("noise", [b"\x00\xff" * 100, b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n", b"A" * 70_000])
def test_noise_is_refused(tmp_path: Path, noise: bytes) -> None:
    async def scenario() -> None:
        async with Live(tmp_path) as live:
            reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
            writer.write(noise)
            writer.write_eof()
            try:
                answer = await reader.read(100)
            except ConnectionError:
                answer = b""  # it had enough before it had all
            assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
            await leave(writer)
            assert (await live.request("GET", "/health"))[0] == 200

    play(scenario())


def test_a_flood_of_updates_is_bounded(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Live(tmp_path) as live:
            live.acknowledges = False
            live.run("t1")
            running = await live.status("t1", "TASK_RUNNING")
            codes = []
            for number in range(1100):
                uuid = "QUFBQUFBQUFBQUFB" + f"{number:04d}" + "AA=="
                status = {
                    "task_id": {"value": "t1"},
                    "state": "TASK_RUNNING",
                    "source": "SOURCE_EXECUTOR",
                    "uuid": uuid,
                }
                answer = live.agent.executor_call(  # type: ignore[union-attr]
                    parse_executor_call(json.dumps({"type": "UPDATE", **CALL, "update": {"status": status}}).encode()),
                    None,
                    live.timeline.now(),
                )
                codes.append(answer.status)
            assert codes.count(202) == 1023
            assert set(codes[1023:]) == {503}
            assert running.state == "TASK_RUNNING"

    play(scenario())


# --- parsers ------------------------------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_FIELDS = st.sampled_from(["type", "framework_id", "executor_id", "subscribe", "update", "message", "status", "value"])
_CALLS = st.dictionaries(_FIELDS, _JSON | st.sampled_from(["UPDATE", "SUBSCRIBE", {"value": "x"}, {"status": {}}]))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | _CALLS.map(lambda call: json.dumps(call).encode()))
def test_any_body_is_a_call_or_is_refused(body: bytes) -> None:
    try:
        call = parse_executor_call(body)
    except Refusal as refusal:
        assert refusal.status == 400
        assert refusal.text
        return
    problem = invalidity(call)
    assert problem is None or problem


def test_every_operator_call_that_is_not_there_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Live(tmp_path) as live:
            codes = {}
            for kind, needed in CALLS.items():
                operand = {needed: {"path": "/x", "offset": 0}} if needed else {}
                code, text, _ = await live.request("POST", "/api/v1", {"type": kind, **operand})
                codes[kind] = code
                assert code in (200, 404, 501), (kind, code, text)
            assert codes["LAUNCH_NESTED_CONTAINER"] == 501
            assert codes["GET_STATE"] == 200

    play(scenario())
