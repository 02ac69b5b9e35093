"""The HTTP client fed with bytes instead of a socket: however an answer is cut, and whatever is in it."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos.http1 import MAX_BODY, MAX_INTERIM, Answer, BadAnswer, Connection
from mesos.line import Endpoint, LineError

LONG = 60.0


class PuppetLine:
    """Gives what it was told to give, then the end of the stream."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.sent = b""
        self.opened = self.hung_up = 0
        self.is_open = False
        self.deadlines: list[float] = []

    def open(self, deadline: float) -> None:
        self.is_open = True
        self.opened += 1

    def send(self, data: bytes, deadline: float) -> None:
        self.sent += data

    def receive(self, deadline: float) -> bytes:
        self.deadlines.append(deadline)
        return self.pieces.pop(0) if self.pieces else b""

    def is_quiet(self) -> bool:
        return True

    def hang_up(self) -> None:
        self.is_open = False
        self.hung_up += 1


def connection(*pieces: bytes) -> tuple[Connection, PuppetLine]:
    made = Connection(Endpoint("agent", 5051))
    made.close()
    line = PuppetLine(*pieces)
    made._line = line  # type: ignore[assignment]
    return made, line


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({p % (len(data) + 1) for p in places}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if a != b]


ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"


# --- GET, for servers of any kind

ASKED = b"GET /x HTTP/1.1\r\nHost: agent:5051\r\nConnection: close\r\n\r\n"


def test_ask_sends_no_body_and_closes() -> None:
    made, line = connection(ANSWER)
    assert made.ask("GET", "/x", (), LONG, 100) == Answer(202, "Accepted", b"hello")
    assert (line.sent, line.is_open) == (ASKED, False)
    made, line = connection(ANSWER)
    made.ask("POST", "/x", (), LONG, 100)
    assert b"\r\nContent-Length: 0\r\n" in line.sent


def test_ask_reads_a_bounded_part_of_good_answers_only() -> None:
    made, line = connection(ANSWER[:-3], b"llo", b"never read")
    assert made.ask("GET", "/x", (), LONG, 1).body == b"h"
    assert line.pieces[-1:] == [b"never read"]
    made, line = connection(b"HTTP/1.1 302 There\r\nLocation: /y\r\nContent-Length: 9\r\n\r\n")
    answer = made.ask("GET", "/x", (), LONG, 100)
    assert (answer, answer.location) == (Answer(302, "There"), "/y")


def test_what_cannot_be_asked_is_said() -> None:
    made, line = connection(ANSWER)
    with pytest.raises(LineError, match="cannot ask agent:5051 for '/a b'"):
        made.ask("GET", "/a b", (), LONG, 100)
    assert line.sent == b"" and not line.is_open


@given(st.lists(st.integers(0, 1000), max_size=10))
def test_an_answer_in_any_pieces(places: list[int]) -> None:
    made, _ = connection(*cut(ANSWER, places))
    assert made.post("/x", (), b"{}", LONG) == Answer(202, "Accepted", b"hello")


@given(st.lists(st.integers(0, 1000), max_size=10))
def test_a_stream_in_any_pieces(places: list[int]) -> None:
    made, line = connection(*cut(CHUNKED, places))
    assert made.stream("/x", (), b"{}", LONG) == Answer(200, "OK")
    got = b""
    while piece := made.read():
        got += piece
    assert got == b"abcde"
    assert {d for d in line.deadlines if not math.isinf(d)} == {line.deadlines[0]}  # one for all of the head


@given(st.binary(max_size=200), st.integers(0, 200), st.sampled_from([ANSWER, CHUNKED]), st.booleans())
def test_no_bytes_upset_it(noise: bytes, place: int, answer: bytes, insert: bool) -> None:
    data = answer[:place] + noise + answer[place if insert else place + len(noise) :]
    made, line = connection(data)
    try:
        if made.stream("/x", (), b"{}", LONG).status == 200:
            while made.read():
                pass
    except LineError as error:
        assert str(error)
        assert not line.is_open


@given(st.integers(0, len(CHUNKED) - 1), st.sampled_from([ANSWER, CHUNKED]))
def test_an_answer_that_ends_early_is_an_error(length: int, answer: bytes) -> None:
    made, line = connection(answer[: min(length, len(answer) - 1)])
    with pytest.raises(LineError, match="closed the connection before its answer was complete"):
        made.post("/x", (), b"{}", LONG)
    assert not line.is_open


def test_what_is_sent() -> None:
    made, line = connection(ANSWER)
    made.post("/api", (("Accept", "application/json"),), b'{"a":1}', LONG)
    assert line.sent == (
        b'POST /api HTTP/1.1\r\nHost: agent:5051\r\nContent-Length: 7\r\nAccept: application/json\r\n\r\n{"a":1}'
    )


def test_the_connection_is_kept_as_long_as_both_want_it() -> None:
    close = ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    made, line = connection(ANSWER, ANSWER, close, ANSWER)
    for opened in (1, 1, 1, 2):
        made.post("/x", (), b"{}", LONG)
        assert line.opened == opened


def test_after_an_error_the_next_request_has_a_new_connection() -> None:
    made, line = connection(b"nonsense\r\n\r\n", ANSWER)
    with pytest.raises(BadAnswer, match=r"^no HTTP from agent:5051: "):
        made.post("/x", (), b"{}", LONG)
    assert made.post("/x", (), b"{}", LONG).status == 202
    assert line.opened == 2


def test_bounds() -> None:
    made, _ = connection(b"HTTP/1.1 100 Continue\r\n\r\n" * MAX_INTERIM + ANSWER)
    with pytest.raises(BadAnswer, match="interim"):
        made.post("/x", (), b"{}", LONG)
    body = b"x" * (MAX_BODY + 1)
    made, _ = connection(b"HTTP/1.1 500 Oops\r\nContent-Length: %d\r\n\r\n" % len(body), body)
    with pytest.raises(BadAnswer, match=f"more than {MAX_BODY} bytes"):
        made.post("/x", (), b"{}", LONG)


def test_the_words_of_an_answer_are_one_short_line() -> None:
    assert Answer(503, "Service Unavailable").words == "503 Service Unavailable"
    assert Answer(400, "Bad Request", b"a\n b\xff\r\n").words == "400 Bad Request: a b\N{REPLACEMENT CHARACTER}"
    assert len(Answer(400, "Bad Request", b"x" * 100_000).words) < 600
