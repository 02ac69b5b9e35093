"""Agents on real sockets that do what a test says, however bad; and a loop that waits for conditions."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mesos.core.executor_session import FLOOR
from mesos.core.recordio import frame
from mesos.core.wire import encode
from mesos.executor_driver import BACKOFF_CAP_S, ExecutorDriver, ExecutorOptions
from tests.mesos.executor.puppets import SUBSCRIBED, Recorder, environment
from thermos.clock import Now, now

PATIENCE_S = 20.0

#: Between two attempts of an executor.
LEAST_PAUSE_S = BACKOFF_CAP_S * FLOOR

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


HELLO = chunk(frame(encode(SUBSCRIBED)))


def reply(status: str, text: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()


class Talk:
    """One connection, as the agent sees it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = b""
        self.sent = 0

    def request(self) -> tuple[dict[str, str], dict[str, Any]] | None:
        """Headers (lower case) and the call, None when the executor closed."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                return None
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        headers["request"] = lines[0]
        size = int(headers["content-length"])
        while len(self._buffer) < size:
            if not self._more():
                return None
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        return headers, json.loads(body)

    def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            count = self.sock.send(view)
            self.sent += count
            view = view[count:]

    def until_closed(self) -> None:
        while self._more():
            pass

    def _more(self) -> bool:
        data = self.sock.recv(65536)
        self._buffer += data
        return bool(data)


Script = Callable[[Talk], None]


class Agent:
    """Every connection runs the script in a thread of its own; what breaks it ends it."""

    def __init__(self, script: Script, listener: socket.socket) -> None:
        self.script = script
        self.talks: list[Talk] = []
        self._listener = listener
        self._threads: list[threading.Thread] = []
        self._accepter = threading.Thread(target=self._accept, name="agent")
        self._accepter.start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.talks.append(Talk(sock))
            thread = threading.Thread(target=self._run, args=(self.talks[-1],), name="agent talk")
            self._threads.append(thread)
            thread.start()

    def _run(self, talk: Talk) -> None:
        with contextlib.suppress(OSError), talk.sock:
            self.script(talk)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepter.join()
        for talk in self.talks:
            with contextlib.suppress(OSError):
                talk.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


@contextlib.contextmanager
def serving(
    script: Script,
    *,
    port: int = 0,
    path: Path | None = None,
    wrap: Callable[[socket.socket], socket.socket] | None = None,
) -> Iterator[Agent]:
    if path is not None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
    else:
        listener = socket.create_server(("127.0.0.1", port))
    listener.listen()
    agent = Agent(script, wrap(listener) if wrap is not None else listener)
    try:
        yield agent
    finally:
        agent.close()


def good(talk: Talk) -> None:
    """A subscription without events, and every call accepted."""
    while (request := talk.request()) is not None:
        if request[1]["type"] == "SUBSCRIBE":
            talk.send(OK + HELLO)
            talk.until_closed()
            return
        talk.send(ACCEPTED)


class RealLoop:
    """Posts and timers on the real clock, for as long as a test waits for something."""

    def __init__(self) -> None:
        self._posted: queue.SimpleQueue[Callable[[Now], None]] = queue.SimpleQueue()
        self._timers: list[tuple[float, int, Callable[[Now], None]]] = []
        self._counter = itertools.count()

    def post(self, call: Callable[[Now], None]) -> None:
        self._posted.put(call)

    def call_at(self, when: float, call: Callable[[Now], None]) -> None:
        heapq.heappush(self._timers, (when, next(self._counter), call))

    def until(self, condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
        end = time.monotonic() + patience_s
        while not condition():
            left = end - time.monotonic()
            assert left > 0, "it did not happen in time"
            if self._timers:
                left = min(left, self._timers[0][0] - time.monotonic())
            try:
                self._posted.get(timeout=min(max(left, 0.0), 0.05))(now())
            except queue.Empty:
                pass
            while self._timers and self._timers[0][0] <= time.monotonic():
                heapq.heappop(self._timers)[2](now())


class Executor:
    """A driver with its real threads."""

    def __init__(self, port: int, options: ExecutorOptions | None = None, **more: Any) -> None:
        self.loop = RealLoop()
        self.listener = Recorder()
        self.before = set(threading.enumerate())
        journal = more.pop("journal", None)
        self.driver = ExecutorDriver(
            environment(**({"agent_endpoint": f"127.0.0.1:{port}"} | more)),
            self.loop,
            self.listener,
            journal=journal,
            options=options or ExecutorOptions(),
        )

    def start(self) -> Executor:
        self.driver.start(now())
        return self

    def until(self, condition: Callable[[], object]) -> None:
        self.loop.until(condition)

    def until_told(self, kind: str, count: int = 1) -> list[Any]:
        self.until(lambda: len(self.listener.of(kind)) >= count)
        return self.listener.of(kind)

    @property
    def threads(self) -> list[threading.Thread]:
        return [t for t in threading.enumerate() if t not in self.before and t.name.startswith("mesos-")]

    def time_for(self, more: int, count: Callable[[], int]) -> float:
        """Seconds until there are so many more of them."""
        started, wanted = time.monotonic(), count() + more
        self.until(lambda: count() >= wanted)
        return time.monotonic() - started

    def stop(self) -> float:
        """Stop it; how long until its threads were gone."""
        started = time.monotonic()
        self.driver.stop(now())
        self.until(lambda: self.listener.of("ended"))
        while self.threads:
            assert time.monotonic() < started + PATIENCE_S, self.threads
            self.threads[0].join(0.01)
        return time.monotonic() - started


@contextlib.contextmanager
def running(port: int, options: ExecutorOptions | None = None, **more: Any) -> Iterator[Executor]:
    """Stopped at the end, and stopping takes no time whatever it is in the middle of."""
    executor = Executor(port, options, **more).start()
    try:
        yield executor
        assert len(executor.threads) <= 2
    finally:
        took = executor.stop()
    assert took < 8.0, f"stopping took {took} s"  # what it is in the middle of has 10 s and more
