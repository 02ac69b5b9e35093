"""What tests of the driver need: a master made of raw sockets that does what a script says, a listener that remembers,
a clock that stands still until it is told to go on."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from mesos.core.messages import FrameworkID, FrameworkInfo, MasterInfo
from mesos.core.scheduler_api import Event
from mesos.leader import LeaderDetector, leader_detector
from mesos.scheduler_driver import DriverOptions, SchedulerDriver

INFO = FrameworkInfo(user="nobody", name="tests")


async def until(condition: Callable[[], Any], seconds: float = 20.0, what: str = "the condition") -> None:
    """Real time passes, but the test waits for something to be so, not for a time to be over."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"{what} did not come within {seconds} s"
        await asyncio.sleep(0.002)


# --- time ----------------------------------------------------------------------------------------------------------


@dataclass(order=True)
class VirtualTimer:
    at: float
    number: int
    call: Callable[[], None] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.cancelled = True


class VirtualTimers:
    """Stands at 1000 s until `advance`."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._heap: list[VirtualTimer] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        return self._now

    def call_later(self, seconds: float, call: Callable[[], None]) -> VirtualTimer:
        timer = VirtualTimer(self._now + seconds, next(self._numbers), call)
        heapq.heappush(self._heap, timer)
        return timer

    def advance(self, seconds: float) -> None:
        end = self._now + seconds
        while self._heap and self._heap[0].at <= end:
            timer = heapq.heappop(self._heap)
            if not timer.cancelled:
                self._now = timer.at
                timer.call()
        self._now = end

    def next_at(self) -> float | None:
        while self._heap and self._heap[0].cancelled:
            heapq.heappop(self._heap)
        return self._heap[0].at if self._heap else None


# --- a listener ----------------------------------------------------------------------------------------------------


class Listener:
    """Remembers; `on_event` may do more."""

    def __init__(self, on_event: Callable[[Event], Awaitable[None]] | None = None) -> None:
        self.told: list[tuple[str, Any]] = []
        self.events: list[Event] = []
        self.on_event = on_event

    async def subscribed(self, framework_id: FrameworkID, master: MasterInfo | None, again: bool) -> None:
        self.told.append(("subscribed", (framework_id.value, again)))

    async def disconnected(self, reason: str) -> None:
        self.told.append(("disconnected", reason))

    async def event(self, event: Event) -> None:
        self.told.append(("event", event.type))
        self.events.append(event)
        if self.on_event is not None:
            await self.on_event(event)

    async def problem(self, text: str) -> None:
        self.told.append(("problem", text))

    def all(self, kind: str) -> list[Any]:
        return [value for name, value in self.told if name == kind]


# --- a master ------------------------------------------------------------------------------------------------------


class Exchange:
    """One request, and the connection for its answer."""

    def __init__(
        self,
        path: str,
        headers: dict[str, str],
        body: bytes,
        writer: asyncio.StreamWriter,
        reader: asyncio.StreamReader,
    ) -> None:
        self.path, self.headers, self.body = path, headers, body
        self.call: dict[str, Any] = json.loads(body) if body else {}
        self.kind: str = self.call.get("type", "")
        self.writer, self.reader = writer, reader
        self.keep = False  # the connection, for another request

    async def answer(self, status: int, text: str = "", headers: dict[str, str] | None = None) -> None:
        lines = [f"HTTP/1.1 {status} Words", f"Content-Length: {len(text.encode())}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        await self.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + text.encode())
        self.keep = True

    async def begin_stream(self, stream_id: str = "stream-1", content_type: str = "application/json") -> None:
        lines = ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked"]
        lines += [f"Content-Type: {content_type}"] if content_type else []
        lines += [f"Mesos-Stream-Id: {stream_id}"] if stream_id else []
        await self.raw("\r\n".join(lines).encode() + b"\r\n\r\n")

    async def send(self, *events: dict[str, Any] | bytes) -> None:
        for event in events:
            record = event if isinstance(event, bytes) else json.dumps(event).encode()
            await self.chunk(b"%d\n" % len(record) + record)

    async def chunk(self, data: bytes) -> None:
        await self.raw(b"%x\r\n" % len(data) + data + b"\r\n")

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def subscribed(self, heartbeat: float | None = 15.0, framework: str | None = None, **stream: str) -> None:
        """200 and the SUBSCRIBED event; the framework keeps its id."""
        await self.begin_stream(**stream)
        own = self.call.get("framework_id", {}).get("value", "framework-1")
        await self.send(subscribed_event(framework or own, heartbeat))

    async def end_stream(self) -> None:
        await self.raw(b"0\r\n\r\n")

    def cut(self) -> None:
        self.writer.transport.abort()

    async def until_left(self) -> None:
        """The other end closes."""
        while await self.reader.read(65536):
            pass


def subscribed_event(framework: str = "framework-1", heartbeat: float | None = 15.0) -> dict[str, Any]:
    event: dict[str, Any] = {"framework_id": {"value": framework}, "master_info": {"id": "m", "ip": 1, "port": 5050}}
    if heartbeat is not None:
        event["heartbeat_interval_seconds"] = heartbeat
    return {"type": "SUBSCRIBED", "subscribed": event}


def rescind(number: int, size: int = 0) -> dict[str, Any]:
    """The smallest event that carries something."""
    return {"type": "RESCIND", "rescind": {"offer_id": {"value": f"o{number}" + "x" * size}}}


HEARTBEAT = {"type": "HEARTBEAT"}

Script = Callable[[Exchange], Awaitable[None]]


class FakeMaster:
    """Gives each SUBSCRIBE to `on_subscribe` and each other call to `on_call`; remembers all of them."""

    def __init__(self, on_subscribe: Script, on_call: Script | None = None) -> None:
        self.on_subscribe, self.on_call = on_subscribe, on_call
        self.exchanges: list[Exchange] = []
        self.connections = 0
        self.port = 0
        self.scheme = "http"
        self._handlers: set[asyncio.Task[None]] = set()
        self.faults: list[BaseException] = []

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def kinds(self) -> list[str]:
        return [exchange.kind for exchange in self.exchanges]

    def all(self, kind: str) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if exchange.kind == kind]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self.connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the driver left
        except asyncio.CancelledError:
            pass  # the test is over; a server's handler must not end as cancelled
        except Exception as error:
            self.faults.append(error)
        finally:
            self._handlers.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        exchange = Exchange(head[0].split()[1], headers, body, writer, reader)
        self.exchanges.append(exchange)
        if exchange.kind == "SUBSCRIBE":
            await self.on_subscribe(exchange)
        elif self.on_call is not None:
            await self.on_call(exchange)
        else:
            await exchange.answer(202)
        return exchange.keep

    async def end(self) -> None:
        for task in list(self._handlers):
            task.cancel()
        if self._handlers:
            await asyncio.wait(self._handlers, timeout=20)


@asynccontextmanager
async def master(
    on_subscribe: Script, on_call: Script | None = None, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[FakeMaster]:
    fake = FakeMaster(on_subscribe, on_call)
    server = await asyncio.start_server(fake.handle, host, 0, ssl=tls, limit=2**20)
    fake.port = server.sockets[0].getsockname()[1]
    fake.scheme = "https" if tls is not None else "http"
    try:
        yield fake
    finally:
        server.close()
        await fake.end()
        await server.wait_closed()
    assert not fake.faults, fake.faults


async def good(exchange: Exchange) -> None:
    """A master as it should be: SUBSCRIBED, then silence until the driver leaves."""
    await exchange.subscribed()
    await exchange.until_left()


# --- a driver ------------------------------------------------------------------------------------------------------


@dataclass
class Driven:
    driver: SchedulerDriver
    listener: Listener
    timers: VirtualTimers
    task: asyncio.Task[None]

    @property
    def phase(self) -> str:
        return str(self.driver.state()["phase"])

    async def reach(self, phase: str) -> None:
        """Also waits until the listener has heard of it."""
        await until(lambda: (self.phase == phase and self.settled()) or self.task.done(), what=phase)
        assert self.phase == phase, (self.phase, self.task.done() and self.task.exception())

    def settled(self) -> bool:
        state = self.driver.state()
        return not state["listener_busy"] and not state["untold"]

    def expire(self) -> None:
        """Virtual time goes on to the deadline of the phase, and no further."""
        deadline = self.driver.state()["next_wake_mono"]
        self.timers.advance(deadline - self.timers.now())

    async def spend(self, seconds: float) -> None:
        """Virtual seconds, most of which the driver waits for its next attempt."""
        end = self.timers.now() + seconds
        while self.timers.now() < end:
            await self.reach("WAITING")
            wake = self.timers.next_at()
            self.timers.advance(min(end, wake if wake is not None else end) - self.timers.now())


@asynccontextmanager
async def driving(
    leader: str | LeaderDetector,
    *,
    listener: Listener | None = None,
    info: FrameworkInfo = INFO,
    random: float = 0.5,
    **options: Any,
) -> AsyncIterator[Driven]:
    """A running driver on virtual time; stopped in the end, quickly."""
    timers = VirtualTimers()
    listener = listener if listener is not None else Listener()
    chosen = DriverOptions(timers=timers, random=lambda: random, **options)
    detector = leader_detector(leader) if isinstance(leader, str) else leader
    driver = SchedulerDriver(info, detector, listener, options=chosen)
    task = asyncio.create_task(driver.run())
    try:
        yield Driven(driver, listener, timers, task)
    finally:
        await driver.stop()
        done, _ = await asyncio.wait((task,), timeout=20)
        if not done:
            task.cancel()
            await asyncio.wait((task,), timeout=20)
        assert done, "run did not return after stop"
        if not task.cancelled():
            task.exception()  # seen; tests look at it where it matters
