"""A small HTTP/1.1 client for threads: h11 speaks, a `Line` owns the socket.

Headers, bodies and the number of interim answers are bounded, every exchange has one deadline for the whole of it. A
connection is kept between requests. One thread uses it; `interrupt` is for all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import h11

from mesos.line import Endpoint, Line, LineError
from thermos.clock import now as look_at_clock

#: Bytes of a status line with its headers, and of a body that is read as a whole.
MAX_HEADERS, MAX_BODY = 32 * 1024, 1024 * 1024

#: 1xx answers before the real one.
MAX_INTERIM = 10

#: "Until it ends": a stream is read without a deadline.
FOREVER = float("inf")


class BadAnswer(LineError):
    """An answer that is no HTTP, or too large."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is empty where it is streamed. `location` is where a redirect leads."""

    status: int
    reason: str
    body: bytes = b""
    location: str = field(default="", compare=False)

    @property
    def words(self) -> str:
        """What the server says, in one line."""
        text = " ".join(self.body[:2000].decode(errors="replace").split())[:500]
        return f"{self.status} {self.reason}: {text}" if text else f"{self.status} {self.reason}"


class Connection:
    """Connects when it has to. After any error it is closed, and may be used again."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._line = Line(endpoint)
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEADERS)

    def post(self, target: str, headers: tuple[tuple[str, str], ...], body: bytes, timeout_s: float) -> Answer:
        """The whole answer."""
        deadline = look_at_clock().mono + timeout_s
        try:
            answer = self._begin("POST", target, headers, body, deadline)
            return Answer(answer.status, answer.reason, self._read_all(deadline))
        except BaseException:
            self.hang_up()
            raise

    def ask(
        self, method: str, target: str, headers: tuple[tuple[str, str], ...], timeout_s: float, max_body: int
    ) -> Answer:
        """A request without a body; of the answer's at most so many bytes, and nothing if it is no good one (2xx). The
        connection is closed: this is for servers that may say what they like."""
        deadline = look_at_clock().mono + timeout_s
        try:
            answer = self._begin(method, target, (*headers, ("Connection", "close")), b"", deadline)
            if not 200 <= answer.status < 300:
                return answer
            body = bytearray()
            while len(body) <= max_body and (piece := self._read(deadline)):
                body += piece
            return Answer(answer.status, answer.reason, bytes(body[:max_body]), answer.location)
        except h11.LocalProtocolError as error:
            raise LineError(f"cannot ask {self._endpoint} for {target!r}: {error}") from error
        finally:
            self.hang_up()

    def stream(self, target: str, headers: tuple[tuple[str, str], ...], body: bytes, timeout_s: float) -> Answer:
        """The head of an answer; with 200 `read` what follows, otherwise the body is there."""
        deadline = look_at_clock().mono + timeout_s
        try:
            answer = self._begin("POST", target, headers, body, deadline)
            if answer.status == 200:
                return answer
            return Answer(answer.status, answer.reason, self._read_all(deadline))
        except BaseException:
            self.hang_up()
            raise

    def read(self) -> bytes:
        """The next piece of a stream, b"" when it ended as it should."""
        try:
            return self._read(FOREVER)
        except BaseException:
            self.hang_up()
            raise

    def interrupt(self) -> None:
        """From any thread, for good."""
        self._line.interrupt()

    def hang_up(self) -> None:
        self._line.hang_up()

    def close(self) -> None:
        self._line.close()

    def _begin(
        self, method: str, target: str, headers: tuple[tuple[str, str], ...], body: bytes, deadline: float
    ) -> Answer:
        self._ready(deadline)
        length = () if method == "GET" else (("Content-Length", str(len(body))),)
        request = h11.Request(
            method=method, target=target, headers=[("Host", self._endpoint.authority), *length, *headers]
        )
        data = self._http.send(request) or b""
        data += self._http.send(h11.Data(data=body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        self._line.send(data, deadline)
        for _ in range(MAX_INTERIM):
            event = self._next(deadline)
            if isinstance(event, h11.Response):
                location = next((value for name, value in event.headers if name == b"location"), b"")
                return Answer(event.status_code, event.reason.decode("latin-1"), location=location.decode("latin-1"))
            if not isinstance(event, h11.InformationalResponse):
                raise LineError(f"{self._endpoint} closed the connection before its answer was complete")
        raise BadAnswer(f"no answer of {self._endpoint} but {MAX_INTERIM} interim ones")

    def _ready(self, deadline: float) -> None:
        """A fresh exchange, on the old connection if that is still good."""
        if self._line.is_open and self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            if self._line.is_quiet():
                return
        self._line.hang_up()
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEADERS)
        self._line.open(deadline)

    def _read_all(self, deadline: float) -> bytes:
        body = bytearray()
        while piece := self._read(deadline):
            body += piece
            if len(body) > MAX_BODY:
                raise BadAnswer(f"an answer of more than {MAX_BODY} bytes from {self._endpoint}")
        return bytes(body)

    def _read(self, deadline: float) -> bytes:
        while True:
            event = self._next(deadline)
            if isinstance(event, h11.Data):
                if event.data:
                    return bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return b""
            else:
                raise LineError(f"{self._endpoint} closed the connection before its answer was complete")

    def _next(self, deadline: float) -> h11.Event:
        """The next event; never NEED_DATA."""
        closed = False
        while True:
            try:
                event = self._http.next_event()
                if isinstance(event, h11.Event):
                    return event
                data = self._line.receive(deadline)
                closed = not data
                self._http.receive_data(data)
            except h11.RemoteProtocolError as error:
                if closed:
                    raise LineError(f"{self._endpoint} closed the connection before its answer was complete") from error
                raise BadAnswer(f"no HTTP from {self._endpoint}: {error}") from error
