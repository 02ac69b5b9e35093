"""The two threads of an executor driver: one reads the subscription, one makes the calls. They decide nothing.

Orders come in over a queue, everything that happens is posted to the loop. The reader has at most two batches of
events under way in the loop, so a flood waits in the socket, not in memory. An order to stop, or to give a connection
up, interrupts whatever the thread waits for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from mesos.core.executor_api import Event
from mesos.core.recordio import RecordReader
from mesos.core.wire import BadMessage, decode
from mesos.http1 import Answer, Connection
from mesos.line import Endpoint, Interrupted
from thermos.errors import ThermosError, UserError

#: Batches of events in the loop's hands before more is read.
CREDITS = 2

TARGET = "/api/v1/executor"


@dataclass(frozen=True, slots=True)
class Accepted:
    """200; the stream begins."""

    connection: int


@dataclass(frozen=True, slots=True)
class Declined:
    """Any other status."""

    connection: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Heard:
    """Events, and what could not be read as one. `done` must be called when they were dealt with."""

    connection: int
    events: tuple[Event | BadMessage, ...]
    done: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Broken:
    """The connection is gone; `hopeless` where it is no use to try again (certificates that can't be read)."""

    connection: int
    text: str
    hopeless: bool = False


@dataclass(frozen=True, slots=True)
class Called:
    """What became of a call: the agent's answer, or why there is none."""

    number: int
    answer: Answer | None
    text: str = ""


Report = Accepted | Declined | Heard | Broken | Called
Post = Callable[[Report], None]
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Order:
    number: int
    body: bytes


class _Worker:
    """A thread that carries out orders, each on the connection that is there or a new one."""

    def __init__(self, name: str, endpoint: Endpoint, headers: Headers, timeout_s: float, post: Post) -> None:
        self._endpoint = endpoint
        self._headers = headers
        self._timeout_s = timeout_s
        self._post = post
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._unwanted = 0  # orders up to this number are not wanted any more
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def order(self, number: int, body: bytes) -> None:
        self._orders.put(_Order(number, body))

    def give_up(self, number: int) -> None:
        """Orders up to this one: whatever waits ends at once."""
        with self._lock:
            self._unwanted = max(self._unwanted, number)
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.interrupt()

    def stop(self) -> None:
        """The thread ends soon; nobody needs to wait for it."""
        self._stopped = True
        self._orders.put(None)
        self.give_up(2**62)

    def join(self, timeout_s: float) -> bool:
        """Has it ended?"""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        kept: Connection | None = None
        while (order := self._orders.get()) is not None:
            kept = self._hold(order.number, kept)
            if kept is not None:
                self._carry_out(order, kept)
        if kept is not None:
            kept.close()

    def _hold(self, number: int, kept: Connection | None) -> Connection | None:
        """The connection for an order, None when it is not wanted any more."""
        with self._lock:
            wanted = number > self._unwanted
            if kept is not None and self._connection is kept and wanted:
                return kept
        if kept is not None:
            kept.close()
        if not wanted:
            return None
        fresh = Connection(self._endpoint)
        with self._lock:
            if number > self._unwanted:
                self._connection = fresh
                return fresh
        fresh.close()
        return None

    def _carry_out(self, order: _Order, connection: Connection) -> None:
        raise NotImplementedError


class Reader(_Worker):
    """An order is a SUBSCRIBE; its number is the connection's."""

    def __init__(self, endpoint: Endpoint, headers: Headers, timeout_s: float, post: Post, max_record: int) -> None:
        super().__init__("mesos-events", endpoint, headers, timeout_s, post)
        self._max_record = max_record
        self._credits = threading.Semaphore(CREDITS)

    def stop(self) -> None:
        super().stop()
        self._credits.release(CREDITS)

    def _carry_out(self, order: _Order, connection: Connection) -> None:
        try:
            answer = connection.stream(TARGET, self._headers, order.body, self._timeout_s)
            if answer.status != 200:
                self._post(Declined(order.number, answer))
                return
            self._post(Accepted(order.number))
            self._read(order.number, connection)
        except Interrupted:
            pass  # whoever wanted that knows
        except Exception as error:  # the rim of this thread: whatever it is, the loop hears of it
            self._post(Broken(order.number, _text(error), isinstance(error, UserError)))
        finally:
            connection.hang_up()

    def _read(self, number: int, connection: Connection) -> None:
        records = RecordReader(self._max_record)
        while data := connection.read():
            events = tuple(_event(record) for record in records.feed(data))
            if events:
                self._credits.acquire()
                if self._stopped:
                    return
                self._post(Heard(number, events, self._credits.release))
        records.close()
        self._post(Broken(number, f"the agent at {self._endpoint} closed the stream"))


class Caller(_Worker):
    """An order is any other call."""

    def __init__(self, endpoint: Endpoint, headers: Headers, timeout_s: float, post: Post) -> None:
        super().__init__("mesos-calls", endpoint, headers, timeout_s, post)

    def _carry_out(self, order: _Order, connection: Connection) -> None:
        try:
            answer = connection.post(TARGET, self._headers, order.body, self._timeout_s)
        except Exception as error:  # the rim of this thread: whatever it is, the loop hears of it
            self._post(Called(order.number, None, _text(error)))
        else:
            self._post(Called(order.number, answer))


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, ThermosError) else f"internal error, please report it: {error!r}"


def _event(record: bytes) -> Event | BadMessage:
    try:
        return decode(record, Event)
    except BadMessage as error:
        return error
