"""Small real servers for probes: what they answer is bytes, and what they were asked is kept."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


#: For tests with `::1`.
needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this host has no IPv6 loopback")

#: What a server does with a connection, given the head of the request.
Answering = Callable[[socket.socket, str], None]


def says(data: bytes) -> Answering:
    return lambda connection, head: connection.sendall(data)


def answer(status: str = "200 OK", body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Server:
    """Listens on one address; a thread for each connection. `asked` are the first lines of requests."""

    def __init__(self, answering: Answering | dict[str, Answering], address: str = "127.0.0.1", port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._answering = answering
        self._listener = socket.create_server((address, port), family=family)
        self.port: int = self._listener.getsockname()[1]
        self.asked: list[str] = []
        self.heads: list[str] = []
        self._closed = False
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path: str = "/health") -> str:
        return f"http://localhost:{self.port}{path}"

    def close(self) -> None:
        self._closed = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            connection.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            head = b""
            try:
                while b"\r\n\r\n" not in head:
                    data = connection.recv(65536)
                    if not data:
                        return
                    head += data
                text = head.decode("latin-1")
                self.heads.append(text)
                first = text.split("\r\n")[0]
                self.asked.append(first)
                path = first.split()[1]
                act = self._answering[path] if isinstance(self._answering, dict) else self._answering
                act(connection, text)
            except (OSError, KeyError):
                return  # the probe has gone, or asks for what nobody expects
            finally:
                self._open.discard(connection)
