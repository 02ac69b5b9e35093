"""HTTP health checks against real servers: body and status, redirects, addresses, and servers that misbehave."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.local_http import MAX_BODY, MAX_REDIRECTS, _resolve, _take_apart
from executor.probes import HttpProbe
from mesos.line import LineError
from tests.executor.health.servers import Answering, Server, answer, needs_ipv6, says

MakeServer = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[MakeServer]:
    made: list[Server] = []

    def make(answering: Answering | dict[str, Answering], address: str = "127.0.0.1", port: int = 0) -> Server:
        made.append(Server(answering, address, port))
        return made[-1]

    yield make
    for server in made:
        server.close()


def differs(expected: str, got: str) -> str:
    return f'Response differs from expected response (expected "{expected}", got "{got}")'


def code_differs(expected: object, got: int) -> str:
    return f"Response code differs from expected response (expected {expected}, got {got})"


# --- body and status (item 114)


@pytest.mark.parametrize(
    ("status", "body", "expected", "code", "reason"),
    [
        ("200 OK", b"ok", "ok", 0, None),
        ("200 OK", b" OK\r\n", "ok", 0, None),
        ("200 OK", b"ok", "OK", 0, None),
        ("200 OK", b"not ok", "ok", 0, differs("ok", "not ok")),
        ("200 OK", b"", "ok", 0, differs("ok", "")),
        ("200 OK", b"ninechars", "ok", 0, differs("ok", "ninechars")),
        ("200 OK", b"ten chars!", "ok", 0, differs("ok", "ten cha...")),
        ("200 OK", b"x", "some long one", 0, differs("some lo...", "x")),
        ("200 OK", b"a\nb", "ok", 0, differs("ok", "a\\nb")),
        ("200 OK", b"\xff\xfe", "ok", 0, differs("ok", "\N{REPLACEMENT CHARACTER}" * 2)),
        ("200 OK", "schön".encode(), "SCHÖN", 0, None),
        ("200 OK", b"anything", "", 0, None),
        ("204 No Content", b"", "", 0, None),
        ("200 OK", b"ok", "ok", 200, None),
        ("201 Created", b"ok", "ok", 200, code_differs(200, 201)),
        ("200 OK", b"anything", "", 200, None),
        # a bad answer has no body, as far as a check is concerned
        ("400 Bad Request", b"ok", "ok", 0, differs("ok", "")),
        ("400 Bad Request", b"ok", "", 200, code_differs(200, 400)),
        ("404 Not Found", b"ok", "", 404, None),
        ("500 Oh", b"ok", "ok", 500, differs("ok", "")),
        ("304 Not Modified", b"", "", 304, None),
    ],
)
def test_body_and_status(
    serve: MakeServer, status: str, body: bytes, expected: str, code: int, reason: str | None
) -> None:
    server = serve(says(answer(status, body)))
    assert HttpProbe(server.url(), 5.0, expected, code)() == reason
    assert server.asked == ["GET /health HTTP/1.1"]


@pytest.mark.parametrize("status", ["500 Oh", "503 Busy", "404 Not Found", "304 Not Modified", "302 Elsewhere"])
def test_defect_13_a_bad_answer_is_never_healthy_unless_expected(serve: MakeServer, status: str) -> None:
    """With neither a body nor a status expected, the original took a 500 for healthy (spec 7.4)."""
    server = serve(says(answer(status, b"")))
    assert HttpProbe(server.url(), 5.0, "", 0)() == code_differs("2xx", int(status[:3]))


def test_what_is_asked(serve: MakeServer) -> None:
    server = serve(says(answer(body=b"ok")))
    assert HttpProbe(server.url("/a b?q=1&x=%20ü#part"), 5.0)() is None
    assert server.asked == ["GET /a%20b?q=1&x=%20%C3%BC HTTP/1.1"]
    head = server.heads[0].lower()
    assert f"host: localhost:{server.port}\r\n" in head
    assert "connection: close\r\n" in head and "content-length" not in head


# --- where it connects


@pytest.mark.parametrize("address", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def test_localhost_is_both_addresses(serve: MakeServer, address: str) -> None:
    """The original asked whatever the host's files say that `localhost` is (spec 7.4, 13)."""
    server = serve(says(answer(body=b"ok")), address)
    assert HttpProbe(server.url(), 5.0)() is None


def test_nobody_there(free_port: int) -> None:
    url = f"http://localhost:{free_port}/health"
    reason = f"Failed to signal {url}: cannot connect to localhost:{free_port}: Connection refused"
    assert HttpProbe(url, 5.0)() == reason


@pytest.fixture
def free_port() -> Iterator[int]:
    """Bound, so that nobody else gets it, but nobody listens."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def test_proxies_in_the_environment_are_not_ours(serve: MakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(says(answer(body=b"ok")))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert HttpProbe(server.url(), 5.0)() is None


# --- redirects


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
def test_redirects_are_followed(serve: MakeServer, status: str) -> None:
    other = serve(says(answer(body=b"ok")))
    server = serve(
        {
            "/health": says(answer(f"{status} There", b"", "Location: /next?x=1")),
            "/next?x=1": says(answer(f"{status} There", b"", f"Location: http://localhost:{other.port}/far")),
        }
    )
    assert HttpProbe(server.url(), 5.0)() is None
    assert other.asked == ["GET /far HTTP/1.1"]


def test_redirects_have_an_end(serve: MakeServer) -> None:
    server = serve(says(answer("302 Round", b"", "Location: /health")))
    assert HttpProbe(server.url(), 5.0)() == differs("ok", "")
    assert HttpProbe(server.url(), 5.0, "", 0)() == code_differs("2xx", 302)
    assert len(server.asked) == 2 * (MAX_REDIRECTS + 1)


@pytest.mark.parametrize("location", ["ftp://localhost/x", "file:///etc/passwd", "http://[", "javascript:1", ""])
def test_redirects_that_lead_nowhere_are_answers(serve: MakeServer, location: str) -> None:
    server = serve(says(answer("302 There", b"", f"Location: {location}")))
    assert HttpProbe(server.url(), 5.0, "", 0)() == code_differs("2xx", 302)
    assert HttpProbe(server.url(), 5.0, "", 302)() is None


@pytest.mark.parametrize("location", ["http://localhost:99999/", "http://localhost:x/", "http://me@/"])
def test_redirects_that_nobody_can_follow_are_told(serve: MakeServer, location: str) -> None:
    server = serve(says(answer("302 There", b"", f"Location: {location}")))
    reason = HttpProbe(server.url(), 5.0)()
    assert reason is not None and reason.startswith(f"Failed to signal {server.url()}: no usable URL")


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(list("http://localhost:1/?#[]@% \0\n\u00e9\u4e2d;:&=.")), max_size=40).map("".join))
def test_any_location_is_an_answer_a_failure_or_followed(location: str) -> None:
    """Nothing but a LineError comes out of it."""
    with contextlib.suppress(LineError):
        following = _resolve("http://localhost:1/health", location)
        if following is not None:
            endpoint, target = _take_apart(following)
            assert target.startswith("/") and target.isascii() and target.isprintable() and " " not in target
            assert endpoint.host.isascii()


# --- servers that misbehave


def trickle(connection: socket.socket, head: str) -> None:
    """One byte at a time, for ever: each comes in time, the answer does not."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"o")
        time.sleep(0.02)  # the pace of a slow server


def never(connection: socket.socket, head: str) -> None:
    connection.recv(1)


def flood(connection: socket.socket, head: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def flood_of_headers(connection: socket.socket, head: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X: y\r\n" * 1000)


@pytest.mark.parametrize("answering", [never, trickle])
def test_the_deadline_is_for_all_of_it(serve: MakeServer, answering: Answering) -> None:
    server = serve(answering)
    began = time.monotonic()
    reason = HttpProbe(server.url(), 0.3)()
    assert reason == (
        f"Failed to signal {server.url()}: cannot read from localhost:{server.port}: it did not answer in time"
    )
    assert 0.3 <= time.monotonic() - began < 10


def test_the_deadline_is_for_all_redirects(serve: MakeServer) -> None:
    def slowly(connection: socket.socket, head: str) -> None:
        time.sleep(0.1)
        connection.sendall(answer("302 Round", b"", "Location: /health"))

    server = serve(slowly)
    assert "it did not answer in time" in str(HttpProbe(server.url(), 0.35)())


def test_a_body_without_end_is_read_up_to_a_bound(serve: MakeServer) -> None:
    server = serve(flood)
    assert HttpProbe(server.url(), 10.0)() == differs("ok", "xxxxxxx...")
    assert HttpProbe(server.url(), 10.0, "", 200)() is None


def test_a_body_of_just_the_bound(serve: MakeServer) -> None:
    server = serve(says(answer(body=b"y" * MAX_BODY)))
    assert HttpProbe(server.url(), 5.0, "y" * MAX_BODY)() is None


@pytest.mark.parametrize(
    ("answering", "words"),
    [
        (flood_of_headers, "no HTTP from"),
        (says(b"SSH-2.0-OpenSSH\r\n\r\n"), "no HTTP from"),
        (says(b""), "closed the connection before its answer was complete"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), "closed the connection before its answer"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok"), "no HTTP from"),
        (says(b"HTTP/1.1 100 Go on\r\n\r\n" * 11), "interim"),
    ],
)
def test_what_is_no_answer(serve: MakeServer, answering: Answering, words: str) -> None:
    server = serve(answering)
    reason = HttpProbe(server.url(), 5.0)()
    assert reason is not None and reason.startswith(f"Failed to signal {server.url()}: ") and words in reason
    assert "\n" not in reason


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.0 200 OK\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    ],
    ids=["http1.0", "interim", "chunked", "no-reason"],
)
def test_answers_of_any_kind(serve: MakeServer, data: bytes) -> None:
    assert HttpProbe(serve(says(data)).url(), 5.0)() is None


def test_called_off_from_another_thread(serve: MakeServer) -> None:
    asked = threading.Event()

    def hang(connection: socket.socket, head: str) -> None:
        asked.set()
        connection.recv(1)

    server = serve(hang)
    probe = HttpProbe(server.url(), 60.0)
    reasons: list[str | None] = []
    thread = threading.Thread(target=lambda: reasons.append(probe()))
    thread.start()
    assert asked.wait(30)
    probe.cancel()
    thread.join(30)
    assert len(reasons) == 1 and "not wanted any more" in str(reasons[0])
    assert "not wanted any more" in str(probe())


def test_no_descriptor_is_left(serve: MakeServer) -> None:
    server = serve(says(answer(body=b"ok")))
    probe = HttpProbe(server.url(), 5.0)
    gone = HttpProbe("http://localhost:1/", 5.0)
    probe(), gone()

    def probes_fds() -> int:
        count = 0
        for path in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # a server's thread has just closed it
                count += "eventfd" in str(path.readlink())
        return count

    before = probes_fds()
    for _ in range(5):
        assert probe() is None and gone() is not None
    assert probes_fds() == before
