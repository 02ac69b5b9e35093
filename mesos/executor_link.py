"""The two threads of an executor driver: one reads the subscription, one makes the calls. They decide nothing.

Orders come in over a queue, everything that happens is posted. The reader has at most two batches of events under way
in the loop, so a flood waits in the socket, not in memory. To stop, or to give an order up, interrupts whatever the
thread waits for; what was given up is never reported.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol

from msgspec import Struct

from mesos.core.executor_api import Event
from mesos.core.executor_session import Happening, Kind
from mesos.core.recordio import RecordReader
from mesos.core.wire import BadMessage, decode
from mesos.http1 import Answer, Connection
from mesos.line import Endpoint, Interrupted
from thermos.errors import ThermosError, UserError

TARGET = "/api/v1/executor"

#: Batches of events in the loop's hands before more is read.
CREDITS = 2

#: Statuses of an agent that has just started, or is busy: tried again. Any other 4xx is a refusal.
PASSING = frozenset({404, 408, 425, 429})


class Heard(Struct, frozen=True):
    """Events, and what could not be read as one. `done` must be called when they were dealt with."""

    connection: int
    events: tuple[Event | BadMessage, ...]
    done: Callable[[], None]


class Called(Struct, frozen=True):
    """What became of a call: the agent's answer, or why there is none."""

    number: int
    answer: Answer | None
    text: str = ""


Report = Happening | Heard | Called
Post = Callable[[Report], None]
Headers = tuple[tuple[str, str], ...]


class LinkTerms(Struct, frozen=True):
    """Times in seconds, sizes in bytes."""

    attempt_s: float
    call_timeout_s: float
    max_record: int


class Link(Protocol):
    """What carries a driver's orders out."""

    def start(self) -> None: ...

    def subscribe(self, connection: int, body: bytes) -> None:
        """Reports `ACCEPTED` and what is heard, or `REFUSED`; at last `LOST`."""

    def call(self, number: int, body: bytes) -> None:
        """Reports `Called`."""

    def give_up(self, connection: int, call: int) -> None:
        """Both, and all before them."""

    def stop(self) -> None:
        """For good; waits for nothing."""


class ThreadLink:
    """The two threads."""

    def __init__(self, endpoint: Endpoint, headers: Headers, terms: LinkTerms, post: Post) -> None:
        self._reader = _Reader(endpoint, headers, terms, post)
        self._caller = _Caller(endpoint, headers, terms, post)

    def start(self) -> None:
        self._reader.thread.start()
        self._caller.thread.start()

    def subscribe(self, connection: int, body: bytes) -> None:
        self._reader.orders.put(_Order(connection, body))

    def call(self, number: int, body: bytes) -> None:
        self._caller.orders.put(_Order(number, body))

    def give_up(self, connection: int, call: int) -> None:
        self._reader.give_up(connection)
        self._caller.give_up(call)

    def stop(self) -> None:
        self._reader.stop()
        self._caller.stop()


class _Order(Struct, frozen=True):
    number: int
    body: bytes


class _Worker(ABC):
    """A thread that carries out orders, on the connection that is there or a new one."""

    def __init__(self, name: str, endpoint: Endpoint, headers: Headers, post: Post) -> None:
        self.orders: SimpleQueue[_Order | None] = SimpleQueue()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._endpoint = endpoint
        self._headers = headers
        self._post = post
        self._lock = threading.Lock()
        self._connection: Connection | None = None  # what an interrupt has to end
        self._unwanted = 0  # orders up to this number
        self._stopped = False

    def give_up(self, number: int) -> None:
        with self._lock:
            self._unwanted = max(self._unwanted, number)
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.interrupt()

    def stop(self) -> None:
        self._stopped = True
        self.orders.put(None)
        self.give_up(2**62)

    def _run(self) -> None:
        kept: Connection | None = None
        while (order := self.orders.get()) is not None:
            try:
                kept = self._hold(order.number, kept)
            except OSError as error:  # no descriptor is left
                kept = None
                self._fail(order, f"cannot open a connection to {self._endpoint}: {error.strerror}")
                continue
            if kept is not None:
                self._carry_out(order, kept)
        if kept is not None:
            kept.close()

    def _hold(self, number: int, kept: Connection | None) -> Connection | None:
        """The connection for an order, None when that is not wanted any more."""
        with self._lock:
            wanted = number > self._unwanted
            if wanted and kept is not None and kept is self._connection:
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

    @abstractmethod
    def _carry_out(self, order: _Order, connection: Connection) -> None:
        """Do it, on this connection. Raises ThermosError."""

    @abstractmethod
    def _fail(self, order: _Order, text: str) -> None:
        """It could not be done; `text` says why."""


class _Reader(_Worker):
    """An order is a SUBSCRIBE; its number is the connection's."""

    def __init__(self, endpoint: Endpoint, headers: Headers, terms: LinkTerms, post: Post) -> None:
        super().__init__("mesos-events", endpoint, headers, post)
        self._terms = terms
        self._credits = threading.Semaphore(CREDITS)

    def stop(self) -> None:
        super().stop()
        self._credits.release(CREDITS)  # nobody gives them back any more

    def _carry_out(self, order: _Order, connection: Connection) -> None:
        number = order.number
        try:
            answer = connection.stream(TARGET, self._headers, order.body, self._terms.attempt_s)
            if answer.status == 200:
                self._post(Happening(Kind.ACCEPTED, number))
                self._read(number, connection)
                self._post(Happening(Kind.LOST, number, f"the agent at {self._endpoint} closed the stream"))
            else:
                self._post(_declined(number, answer))
        except Interrupted:
            pass  # whoever wanted that knows
        except Exception as error:  # the rim of this thread: whatever it is, the loop hears of it
            if isinstance(error, UserError):
                self._post(Happening(Kind.REFUSED, number, str(error)))
            else:
                self._fail(order, _text(error))
        finally:
            connection.hang_up()

    def _fail(self, order: _Order, text: str) -> None:
        self._post(Happening(Kind.LOST, order.number, text))

    def _read(self, number: int, connection: Connection) -> None:
        records = RecordReader(self._terms.max_record)
        while data := connection.read():
            events = tuple(map(_event, records.feed(data)))
            if events:
                self._credits.acquire()
                if self._stopped:
                    raise Interrupted("the driver has ended")
                self._post(Heard(number, events, self._credits.release))
        records.close()


class _Caller(_Worker):
    """An order is any other call."""

    def __init__(self, endpoint: Endpoint, headers: Headers, terms: LinkTerms, post: Post) -> None:
        super().__init__("mesos-calls", endpoint, headers, post)
        self._timeout_s = terms.call_timeout_s

    def _carry_out(self, order: _Order, connection: Connection) -> None:
        try:
            answer = connection.post(TARGET, self._headers, order.body, self._timeout_s)
        except Interrupted:
            pass  # whoever wanted that knows
        except Exception as error:  # the rim of this thread: whatever it is, the loop hears of it
            self._fail(order, _text(error))
        else:
            self._post(Called(order.number, answer))

    def _fail(self, order: _Order, text: str) -> None:
        self._post(Called(order.number, None, text))


def _declined(connection: int, answer: Answer) -> Happening:
    """An answer to SUBSCRIBE that is not 200."""
    refused = 400 <= answer.status < 500 and answer.status not in PASSING
    return Happening(Kind.REFUSED if refused else Kind.LOST, connection, f"cannot subscribe: {answer.words}")


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, ThermosError) else f"internal error, please report it: {error!r}"


def _event(record: bytes) -> Event | BadMessage:
    try:
        return decode(record, Event)
    except BadMessage as error:
        return error
