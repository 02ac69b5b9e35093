"""What pymesos 0.3.15 does wrong on the scheduler's side, with the numbers of the list of its defects: for each of them
a test that ours does not do it. The masters are sockets with a script."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from mesos.auth import Credentials
from mesos.core import scheduler_api as api
from mesos.core.messages import (
    UUID,
    AgentID,
    CapabilityInfo,
    FrameworkInfo,
    OperationID,
    OperationStatus,
    TaskID,
    TaskStatus,
)
from mesos.scheduler_driver import CallFailed, NotSubscribed
from tests.mesos.scheduler.masters import HEARTBEAT, Exchange, Listener, Script, driving, good, master, rescind, until

STATUS = TaskStatus(
    task_id=TaskID(value="t"), state="TASK_RUNNING", agent_id=AgentID(value="a"), uuid=b"0123456789abcdef"
)


async def test_1_an_exception_in_the_listener_ends_run_and_tears_nothing_down() -> None:
    async def send(exchange: Exchange) -> None:
        await exchange.subscribed()
        await exchange.send(rescind(1))
        await exchange.until_left()

    async def explode(event: api.Event) -> None:
        raise KeyError("as planned")

    async with master(send) as fake, driving(fake.url, listener=Listener(explode)) as driven:
        with pytest.raises(KeyError, match="as planned"):
            await asyncio.shield(driven.task)
        with pytest.raises(NotSubscribed):
            await driven.driver.call(api.revive())
        assert fake.kinds() == ["SUBSCRIBE"]


async def test_1_a_failure_without_a_status_is_an_event_like_others() -> None:
    async def send(exchange: Exchange) -> None:
        await exchange.subscribed()
        await exchange.send({"type": "FAILURE", "failure": {"agent_id": {"value": "a"}}}, rescind(2))
        await exchange.until_left()

    async with master(send) as fake, driving(fake.url) as driven:
        await until(lambda: len(driven.listener.events) == 2)
        failure = driven.listener.events[0].failure
        assert failure is not None and failure.status is None and failure.executor_id is None
        assert driven.driver.subscribed
    assert fake.kinds() == ["SUBSCRIBE"]


async def test_1_a_503_to_an_acknowledge_fails_that_call_and_nothing_else() -> None:
    streams: list[Exchange] = []

    async def subscribe(exchange: Exchange) -> None:
        streams.append(exchange)
        await good(exchange)

    async def refuse_once(exchange: Exchange) -> None:
        first = len(fake.all("ACKNOWLEDGE")) == 1
        await exchange.answer(503 if first else 202, "busy" if first else "")

    async with master(subscribe, refuse_once) as fake, driving(fake.url) as driven:
        await driven.reach("SUBSCRIBED")
        with pytest.raises(CallFailed, match="503: busy"):
            await driven.driver.call(api.acknowledge(STATUS))
        await driven.driver.call(api.acknowledge(STATUS))
        await streams[0].send(rescind(1))
        await until(lambda: driven.listener.events)
        assert fake.kinds() == ["SUBSCRIBE", "ACKNOWLEDGE", "ACKNOWLEDGE"]
        assert not driven.listener.all("disconnected")
    assert "TEARDOWN" not in fake.kinds()


async def answer_503(exchange: Exchange) -> None:
    await exchange.answer(503, "recovering")


async def close_after_subscribed(exchange: Exchange) -> None:
    await exchange.subscribed()
    await exchange.end_stream()


async def redirect_to_itself(exchange: Exchange) -> None:
    await exchange.answer(307, headers={"Location": f"//{exchange.headers['host']}/api/v1/scheduler"})


async def redirect_in_a_circle(exchange: Exchange) -> None:
    other = {"a": "b", "b": "a"}["b" if "/b/" in exchange.path else "a"]
    location = f"//{exchange.headers['host']}/{other}/api/v1/scheduler"
    await exchange.answer(308, headers={"Location": location})


async def close_at_once(exchange: Exchange) -> None:
    exchange.cut()


@pytest.mark.parametrize(
    "script", [answer_503, close_after_subscribed, redirect_to_itself, redirect_in_a_circle, close_at_once]
)
async def test_2_a_master_that_can_not_serve_is_not_stormed(script: Script) -> None:
    """pymesos: 8,971, 7,106 and 4,082 attempts in 5 s."""
    async with master(script) as fake, driving(fake.url) as driven:
        await driven.spend(5)
        await driven.reach("WAITING")
        hops = 3 if script is redirect_in_a_circle else 1
        assert 3 <= len(fake.exchanges) <= 6 * hops
        await driven.spend(600)
        assert 70 <= driven.driver.state()["failures_in_a_row"] <= 90
        assert len(fake.exchanges) <= 90 * hops


async def test_3_a_master_that_falls_silent_is_noticed_after_five_heartbeats() -> None:
    streams: list[Exchange] = []

    async def subscribe(exchange: Exchange) -> None:
        streams.append(exchange)
        await good(exchange)

    async with master(subscribe) as fake, driving(fake.url) as driven:
        await driven.reach("SUBSCRIBED")
        driven.timers.advance(74)
        await streams[0].send(HEARTBEAT)
        await until(lambda: driven.driver.state()["events"].get("HEARTBEAT") == 1)
        driven.timers.advance(74.9)
        assert driven.driver.subscribed
        driven.timers.advance(0.2)
        await driven.reach("WAITING")
        assert driven.listener.all("disconnected") == [f"no heartbeat from {fake.url} for 75 s"]
        await asyncio.wait_for(streams[0].until_left(), 10)  # the old connection is closed, not forgotten
        driven.timers.advance(1)
        await driven.reach("SUBSCRIBED")
        assert driven.listener.all("subscribed") == [("framework-1", False), ("framework-1", True)]
        assert streams[1].call["framework_id"] == {"value": "framework-1"}


async def test_4_a_call_that_hangs_times_out_and_holds_up_nothing() -> None:
    """pymesos: 86,400 s, under a lock that stop() needs."""

    async def hang(exchange: Exchange) -> None:
        if exchange.kind == "REVIVE":
            await exchange.until_left()
        else:
            await exchange.answer(202)

    async with master(good, hang) as fake, driving(fake.url) as driven:
        await driven.reach("SUBSCRIBED")
        hung = asyncio.create_task(driven.driver.call(api.revive()))
        await until(lambda: "REVIVE" in fake.kinds())
        await driven.driver.call(api.suppress())  # not held up
        driven.timers.advance(9.9)
        await driven.driver.call(api.suppress())
        assert not hung.done()
        driven.timers.advance(0.2)
        with pytest.raises(CallFailed, match="within 10 s"):
            await hung
        assert driven.driver.subscribed


async def test_4_stop_is_quick_however_many_calls_hang() -> None:
    async def hang(exchange: Exchange) -> None:
        await exchange.until_left()

    async with master(good, hang) as fake, driving(fake.url, call_concurrency=4) as driven:
        await driven.reach("SUBSCRIBED")
        calls = [asyncio.create_task(driven.driver.call(api.revive())) for _ in range(50)]
        await until(lambda: len(fake.all("REVIVE")) == 4)
        began = time.monotonic()
        await driven.driver.stop()
        await asyncio.shield(driven.task)
        failed = await asyncio.gather(*calls, return_exceptions=True)
        assert time.monotonic() - began < 8  # a call has 10 s
        assert all(isinstance(error, CallFailed | NotSubscribed) for error in failed)
        assert len(fake.all("REVIVE")) == 4  # bounded, and none was sent after the stop
    assert "TEARDOWN" not in fake.kinds()


async def test_5_descriptors_beyond_1023() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip("the hard limit of open files is too low")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    try:
        with ExitStack() as files:
            for _ in range(1100):
                files.callback(os.close, os.open("/dev/null", os.O_RDONLY))
            async with master(good) as fake, driving(fake.url) as driven:
                await driven.reach("SUBSCRIBED")
                await driven.driver.call(api.revive())
                assert fake.exchanges[0].writer.get_extra_info("socket").fileno() > 1023
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_6_a_second_driver_does_not_send_the_first_ones_password() -> None:
    async with master(good) as fake:
        async with driving(fake.url, credentials=Credentials("us", "secret")) as first:
            await first.reach("SUBSCRIBED")
            await first.driver.call(api.revive())
            async with driving(fake.url) as second:
                await second.reach("SUBSCRIBED")
                await second.driver.call(api.suppress())
        sent = [exchange.headers.get("authorization") for exchange in fake.exchanges]
        assert sent == ["Basic dXM6c2VjcmV0", "Basic dXM6c2VjcmV0", None, None]


async def test_7_the_uuid_of_an_operation_is_acknowledged_bare() -> None:
    status = OperationStatus(
        state="OPERATION_FINISHED", operation_id=OperationID(value="op"), uuid=UUID(value=b"0123456789abcdef")
    )
    async with master(good) as fake, driving(fake.url) as driven:
        await driven.reach("SUBSCRIBED")
        await driven.driver.call(api.acknowledge_operation(status))
        assert fake.exchanges[1].call == {
            "type": "ACKNOWLEDGE_OPERATION_STATUS",
            "framework_id": {"value": "framework-1"},
            "acknowledge_operation_status": {"uuid": "MDEyMzQ1Njc4OWFiY2RlZg==", "operation_id": {"value": "op"}},
        }


def test_8_importing_it_in_a_thread_has_no_side_effects() -> None:
    program = """
import logging, signal, sys, threading
before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)]
errors = []
def load():
    try:
        import mesos.scheduler_driver, mesos.leader
    except BaseException as error:
        errors.append(error)
thread = threading.Thread(target=load)
thread.start(); thread.join()
assert not errors, errors
assert before == [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)]
assert not logging.root.handlers and not logging.getLogger("mesos").handlers
assert threading.active_count() == 1
assert "mesos.scheduler_driver" in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60, stdin=subprocess.DEVNULL)


def offers_event(agents: int) -> bytes:
    """Offers as a real master writes them, about 1.3 KB each."""

    def scalar(name: str, value: float) -> dict[str, object]:
        role = {"role": "*"}
        return {"name": name, "type": "SCALAR", "scalar": {"value": value}, "allocation_info": role, "role": "*"}

    def text(name: str, value: str) -> dict[str, object]:
        return {"name": name, "type": "TEXT", "text": {"value": value}}

    def offer(n: int) -> dict[str, object]:
        host = f"agent-{n:05}.rack-{n % 40}.example.org"
        ranges = [{"begin": 31000 + 100 * i, "end": 31060 + 100 * i} for i in range(8)]
        return {
            "id": {"value": f"b3c6f4a2-6a1f-4a0e-9d7c-2d6f0c9a8e11-O{n}"},
            "framework_id": {"value": "b3c6f4a2-6a1f-4a0e-9d7c-2d6f0c9a8e11-0000"},
            "agent_id": {"value": f"b3c6f4a2-6a1f-4a0e-9d7c-2d6f0c9a8e11-S{n}"},
            "hostname": host,
            "allocation_info": {"role": "*"},
            "url": {
                "scheme": "http",
                "address": {"hostname": host, "ip": "10.0.0.1", "port": 5051},
                "path": "/slave(1)",
            },
            "resources": [
                scalar("cpus", 31.5),
                scalar("mem", 126976.0),
                scalar("disk", 900000.0),
                {"name": "ports", "type": "RANGES", "ranges": {"range": ranges}, "allocation_info": {"role": "*"}},
            ],
            "attributes": [text("rack", f"r{n % 40}"), text("host", host), text("zone", f"z{n % 3}")],
        }

    return json.dumps({"type": "OFFERS", "offers": {"offers": [offer(n) for n in range(agents)]}}).encode()


async def receive(data: bytes, agents: int) -> float:
    """CPU seconds of the process from the first byte to the listener (the fake master's are in it)."""
    async with asyncio.timeout(60):

        async def send(exchange: Exchange) -> None:
            await exchange.subscribed()
            await go.wait()
            for at in range(0, len(data), 16384):  # as a real master's chunks come
                piece = data[at : at + 16384]
                await exchange.chunk(b"%d\n" % len(data) + piece if at == 0 else piece)
            await exchange.until_left()

        go = asyncio.Event()
        async with master(send) as fake, driving(fake.url) as driven:
            await driven.reach("SUBSCRIBED")
            began = time.process_time()
            go.set()
            await until(lambda: driven.listener.events, seconds=50)
            took = time.process_time() - began
            offers = driven.listener.events[0].offers
            assert offers is not None and len(offers.offers) == agents
            return took


async def test_11_offers_of_ten_thousand_agents_cost_a_fraction_of_a_second_and_grow_linearly() -> None:
    """pymesos: 1.85 s for 13.9 MB."""
    small, large = offers_event(2_500), offers_event(10_000)
    assert len(large) > 12_000_000
    quarter = min([await receive(small, 2_500) for _ in range(3)])
    whole = min([await receive(large, 10_000) for _ in range(3)])
    print(f"\n{len(large) / 1e6:.1f} MB, 10,000 offers: {whole:.2f} s of CPU; a quarter of it: {quarter:.2f} s")
    assert whole < 1.5
    assert whole < 4 * quarter * 2  # linear, with room for noise


async def test_12_nothing_is_forced_upon_a_framework() -> None:
    async with master(good) as fake:
        async with driving(fake.url, info=FrameworkInfo(user="u", name="n")) as driven:
            await driven.reach("SUBSCRIBED")
        plain = {"type": "SUBSCRIBE", "subscribe": {"framework_info": {"user": "u", "name": "n"}}}
        assert fake.exchanges[0].call == plain
        own = FrameworkInfo(user="u", name="n", failover_timeout=7.5, capabilities=(CapabilityInfo(type="MULTI_ROLE"),))
        async with driving(fake.url, info=own) as driven:
            await driven.reach("SUBSCRIBED")
        assert fake.exchanges[1].call["subscribe"]["framework_info"] == {
            "user": "u",
            "name": "n",
            "failover_timeout": 7.5,
            "capabilities": [{"type": "MULTI_ROLE"}],
        }
