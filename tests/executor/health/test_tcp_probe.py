"""TCP health checks."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from executor.probes import TcpProbe
from tests.executor.health.servers import needs_ipv6


@pytest.mark.parametrize(
    ("family", "address"),
    [(socket.AF_INET, "127.0.0.1"), pytest.param(socket.AF_INET6, "::1", marks=needs_ipv6)],
)
def test_somebody_listens(family: socket.AddressFamily, address: str) -> None:
    with socket.create_server((address, 0), family=family) as listener:
        probe = TcpProbe("localhost", listener.getsockname()[1], 5.0)
        assert [probe() for _ in range(3)] == [None] * 3
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(1) == b""  # nothing is said, and it is closed


def test_nobody_listens() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        where = f"localhost:{port}"
        assert TcpProbe("localhost", port, 5.0)() == (
            f"Failed to signal tcp://{where}: cannot connect to {where}: Connection refused"
        )


def full_listener() -> tuple[socket.socket, list[socket.socket]]:
    """Its line is full: whoever connects now waits."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = []
    for _ in range(3):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        waiting.append(client)
    return listener, waiting


def test_a_connection_that_takes_too_long() -> None:
    listener, waiting = full_listener()
    began = time.monotonic()
    reason = TcpProbe("localhost", listener.getsockname()[1], 0.3)()
    assert reason is not None and reason.endswith("it did not answer in time")
    assert 0.3 <= time.monotonic() - began < 10
    for sock in (listener, *waiting):
        sock.close()


def test_called_off() -> None:
    listener, waiting = full_listener()
    probe = TcpProbe("localhost", listener.getsockname()[1], 60.0)
    began = threading.Event()
    reasons: list[str | None] = []

    def check() -> None:
        began.set()
        reasons.append(probe())

    thread = threading.Thread(target=check)
    thread.start()
    assert began.wait(30)
    probe.cancel()
    thread.join(30)
    assert len(reasons) == 1 and reasons[0] is not None and "not wanted any more" in reasons[0]
    for sock in (listener, *waiting):
        sock.close()
