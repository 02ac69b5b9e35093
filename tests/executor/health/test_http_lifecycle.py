"""Endpoints by which an application is asked to end: who handles them."""

from __future__ import annotations

import socket
import time

import pytest

from executor.http_lifecycle import post_endpoint
from tests.executor.health.servers import Server, answer, says


@pytest.mark.parametrize(
    "status", ["200 OK", "202 Accepted", "204 None", "404 Not Found", "405 No", "500 Oh", "304 Same"]
)
def test_defect_14_only_a_good_answer_is_handled(status: str) -> None:
    """The original waited the full time after any answer, even a 404 (spec 7.4)."""
    handled = status.startswith("2")
    server = Server(says(answer(status)))
    assert post_endpoint(server.port, "/quitquitquit", 5.0) is handled
    assert server.asked == ["POST /quitquitquit HTTP/1.1"]
    assert "content-length: 0\r\n" in server.heads[0].lower()
    server.close()


@pytest.mark.parametrize(("status", "again"), [("307", "POST"), ("308", "POST"), ("302", "GET"), ("303", "GET")])
def test_redirects(status: str, again: str) -> None:
    server = Server(
        {"/quit": says(answer(f"{status} There", b"", "Location: /there")), "/there": says(answer())}, "127.0.0.1"
    )
    assert post_endpoint(server.port, "quit", 5.0)
    assert server.asked == ["POST /quit HTTP/1.1", f"{again} /there HTTP/1.1"]
    server.close()


def test_nobody_there_and_nobody_answering() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        assert post_endpoint(holder.getsockname()[1], "/quitquitquit", 5.0) is False

    def never(connection: socket.socket, head: str) -> None:
        connection.recv(1)

    server = Server(never)
    began = time.monotonic()
    assert post_endpoint(server.port, "/quitquitquit", 0.3) is False
    assert time.monotonic() - began < 10
    server.close()


def test_an_application_that_dies_of_it_says_nothing() -> None:
    server = Server(lambda connection, head: connection.close())
    assert post_endpoint(server.port, "/abortabortabort", 5.0) is False
    server.close()
