"""One request over real sockets: every way in which it can fail is told apart."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from client import connection
from client.connection import Broken, NotConnected, NotTrusted, Origin, TooLate, credentials, exchange, parse_origin
from thermos.errors import UserError


@contextmanager
def server(behave: Callable[[socket.socket], None]) -> Iterator[Origin]:
    """Takes one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            with accepted:
                behave(accepted)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Origin("http", "127.0.0.1", listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            assert not thread.is_alive()


def answering(text: bytes, heard: list[bytes]) -> Callable[[socket.socket], None]:
    def behave(accepted: socket.socket) -> None:
        got = accepted.recv(65536)
        while b"body" in text and not got.endswith(b"body"):
            got += accepted.recv(65536)
        heard.append(got)
        accepted.sendall(text)

    return behave


def test_an_answer() -> None:
    heard: list[bytes] = []
    text = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nX-Name: body\r\n\r\n{}"
    with server(answering(text, heard)) as origin:
        answer = exchange(origin, "POST", "/x?y=1", {"A": "b"}, b"body")
    assert (answer.status, answer.body, answer.headers["x-name"]) == (201, b"{}", "body")
    assert heard[0].startswith(b"POST /x?y=1 HTTP/1.1\r\n")
    assert heard[0].endswith(b"\r\n\r\nbody")


def test_nobody_listens() -> None:
    with socket.socket() as bound:  # nobody listens, and nobody else can
        bound.bind(("127.0.0.1", 0))
        origin = Origin("http", "127.0.0.1", bound.getsockname()[1])
        with pytest.raises(NotConnected) as caught:
            exchange(origin, "GET", "/", {})
    assert str(caught.value) == f"cannot connect to {origin}: Connection refused"


def test_no_such_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_arguments: object, **_named: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(NotConnected) as caught:
        exchange(Origin("http", "nowhere", 8081), "GET", "/", {})
    assert str(caught.value) == "cannot connect to http://nowhere:8081: Name or service not known"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_a_broken_answer(text: bytes) -> None:
    with server(answering(text, [])) as origin, pytest.raises(Broken) as caught:
        exchange(origin, "GET", "/", {})
    assert f"the connection to {origin} broke" in str(caught.value)


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"])
def test_an_answer_that_takes_too_long(begin: bytes) -> None:
    over = threading.Event()

    def behave(accepted: socket.socket) -> None:
        accepted.sendall(begin)
        over.wait(10)

    with server(behave) as origin:
        with pytest.raises(TooLate, match=r"within 0\.05 s"):
            exchange(origin, "GET", "/", {}, answer_s=0.05)
        over.set()


def test_an_answer_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MOST", 10)
    text = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n12345678901"
    with server(answering(text, [])) as origin, pytest.raises(NotTrusted, match="longer than"):
        exchange(origin, "GET", "/", {})


def test_plain_text_where_tls_is_expected() -> None:
    with server(answering(b"HTTP/1.1 400 Bad\r\n\r\n", [])) as origin, pytest.raises(NotConnected):
        exchange(Origin("https", origin.host, origin.port), "GET", "/", {})


def test_a_certificate_that_nobody_vouches_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(self: object) -> None:
        error = ssl.SSLCertVerificationError("x")
        error.verify_message = "self-signed certificate"
        raise error

    monkeypatch.setattr("http.client.HTTPSConnection.connect", connect)
    with pytest.raises(NotTrusted, match=r"https://127.0.0.1 is not trusted: self-signed certificate"):
        exchange(Origin("https", "127.0.0.1", 443), "GET", "/", {})


def test_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []
    with server(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", heard)) as proxy:
        monkeypatch.setenv("http_proxy", str(proxy))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert exchange(Origin("http", "scheduler.example", 8081), "GET", "/x", {}).status == 200
    assert heard[0].startswith(b"GET http://scheduler.example:8081/x HTTP/1.1\r\nHost: scheduler.example:8081")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "a.localhost"])
def test_this_machine_is_never_asked_for_through_a_proxy(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:1")
    assert connection._proxy(Origin("http", host, 8081)) is None
    monkeypatch.setenv("no_proxy", "x.example")
    assert connection._proxy(Origin("http", "x.example", 8081)) is None


@pytest.mark.parametrize(
    ("url", "origin", "text"),
    [
        ("http://a", Origin("http", "a", 80), "http://a"),
        ("https://a/", Origin("https", "a", 443), "https://a"),
        ("a:8081", Origin("http", "a", 8081), "http://a:8081"),
        ("http://[::1]:8081/x", Origin("http", "::1", 8081), "http://[::1]:8081"),
    ],
)
def test_origins(url: str, origin: Origin, text: str) -> None:
    assert parse_origin(url, "uri") == origin
    assert str(origin) == text


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "no http:// or https:// URL"),
        ("zk://a/b", "no http:// or https:// URL"),
        ("http://", "no http:// or https:// URL"),
        ("http://a:99999", "uri is no URL"),
        ("http://a:x", "uri is no URL"),
        ("http://[::1", "uri is no URL"),
        ("http://me:secret@a", "put them into ~/.netrc"),
    ],
)
def test_bad_origins(url: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_origin(url, "uri")
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "netrc"
    monkeypatch.setenv("NETRC", str(file))
    here = Origin("http", "a", 80)
    assert credentials(here) is None
    file.write_text("machine a login me password secret\n")
    assert credentials(here) == "Basic bWU6c2VjcmV0"
    assert credentials(Origin("http", "b", 80)) is None
    file.write_text("default login me password secret\n")
    assert credentials(Origin("http", "b", 80)) == "Basic bWU6c2VjcmV0"
    file.write_text("nonsense\n")
    with pytest.raises(UserError, match=r"netrc:[12]: bad toplevel token 'nonsense'"):
        credentials(here)
    file.unlink()
    file.mkdir()
    with pytest.raises(UserError, match=r"cannot read .*netrc: Is a directory"):
        credentials(here)
