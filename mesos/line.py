"""A socket that one thread waits on and any other may interrupt.

Every wait is a `poll` on the socket and on an eventfd, until a deadline for the whole of what is done: a slow peer
can't stretch it byte by byte, and `interrupt` ends whoever is waiting at once, in the middle of a connect, too.

ssl is imported with the first https connection: it costs an executor 2.6 MiB that most don't need.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import socket
import threading
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from thermos.clock import now as look_at_clock
from thermos.errors import RemoteError

#: Bytes of one read.
CHUNK = 64 * 1024

#: Bytes of a path that fit into a `sockaddr_un`.
MAX_SOCKET_PATH = 107

#: Longest single wait; poll takes milliseconds in an int.
MAX_WAIT_S = 3600.0

#: A dead peer behind a silent connection is noticed after 15 + 3 * 5 seconds.
_KEEP_ALIVE = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))


class LineError(RemoteError):
    """No connection (any more)."""


class TimedOut(LineError):
    """The deadline came first."""


class Interrupted(LineError):
    """Somebody doesn't want it any more."""


class Wait(Enum):
    """What a channel waits for."""

    READABLE = select.POLLIN
    WRITABLE = select.POLLOUT


class Tls(Struct, frozen=True):
    """Where certificates are. Without `ca_file` and `ca_dir` the system's authorities count."""

    ca_file: str | None = None
    ca_dir: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify: bool = True


class Endpoint(Struct, frozen=True):
    """Where a server listens. With `socket_path` the host is only a name in the request; with `addresses` these are
    tried in their order, and nobody is asked where the host is."""

    host: str
    port: int
    socket_path: str | None = None
    tls: Tls | None = None
    addresses: tuple[str, ...] = ()

    @property
    def authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return self.socket_path or self.authority


class Channel(Protocol):
    """A connected socket that never blocks."""

    def handshake(self) -> Wait | None: ...
    def send(self, data: memoryview) -> int | Wait: ...
    def receive(self, size: int) -> bytes | Wait: ...
    def close(self) -> None: ...


class PlainChannel:
    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def handshake(self) -> Wait | None:
        return None

    def send(self, data: memoryview) -> int | Wait:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return Wait.WRITABLE

    def receive(self, size: int) -> bytes | Wait:
        try:
            return self._socket.recv(size)
        except BlockingIOError:
            return Wait.READABLE

    def close(self) -> None:
        self._socket.close()


class Line:
    """Deadlines are monotonic. Texts of errors begin with what could not be done."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._lock = threading.Lock()  # the eventfd's number must not be used after it was closed
        self._wake: int | None = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._interrupted = False
        self._channel: Channel | None = None
        self._fd = -1

    @property
    def is_open(self) -> bool:
        return self._channel is not None

    def interrupt(self) -> None:
        """From any thread, for good: whoever waits and whoever will gets `Interrupted`."""
        with self._lock:
            self._interrupted = True
            if self._wake is not None:
                os.eventfd_write(self._wake, 1)

    def open(self, deadline: float) -> None:
        failure: OSError | None = None
        for family, address in self._addresses():
            try:
                self._open(family, address, deadline)
                return
            except OSError as error:
                failure = error
                self.hang_up()
            except LineError:
                self.hang_up()
                raise
        raise LineError(f"cannot connect to {self.endpoint}: {_reason(failure)}") from failure

    def hang_up(self) -> None:
        """Close the socket; it may be opened again."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def close(self) -> None:
        self.hang_up()
        with self._lock:
            if self._wake is not None:
                os.close(self._wake)
                self._wake = None

    def send(self, data: bytes, deadline: float) -> None:
        """All of it."""
        rest = memoryview(data)
        while rest:
            self._check()
            try:
                sent = self._open_channel().send(rest)
            except OSError as error:
                raise LineError(f"cannot send to {self.endpoint}: {_reason(error)}") from error
            if isinstance(sent, Wait):
                self._wait(sent, deadline, "send to")
            else:
                rest = rest[sent:]

    def receive(self, deadline: float) -> bytes:
        """What has come, at least something; b"" when the peer closed."""
        while True:
            self._check()
            try:
                data = self._open_channel().receive(CHUNK)
            except OSError as error:
                raise LineError(f"cannot read from {self.endpoint}: {_reason(error)}") from error
            if not isinstance(data, Wait):
                return data
            self._wait(data, deadline, "read from")

    def is_quiet(self) -> bool:
        """Between two requests: has the peer neither closed nor said anything?"""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return not poll.poll(0)

    def _open_channel(self) -> Channel:
        if self._channel is None:
            raise LineError(f"the connection to {self.endpoint} is closed")
        return self._channel

    def _addresses(self) -> list[tuple[int, object]]:
        if self.endpoint.socket_path is not None:
            return [(socket.AF_UNIX, self.endpoint.socket_path)]
        hosts = self.endpoint.addresses or (self.endpoint.host,)
        try:
            found = [socket.getaddrinfo(host, self.endpoint.port, type=socket.SOCK_STREAM) for host in hosts]
        except (OSError, UnicodeError) as error:
            raise LineError(f"cannot connect to {self.endpoint}: {_reason(error)}") from error
        return [(family, address) for addresses in found for family, _, _, _, address in addresses]

    def _open(self, family: int, address: object, deadline: float) -> None:
        sock = socket.socket(family, socket.SOCK_STREAM)
        self._fd = sock.fileno()
        self._channel = PlainChannel(sock)
        sock.setblocking(False)
        if family == socket.AF_UNIX:
            self._check()
            with _short_path(str(address)) as path:
                sock.connect(path)  # never in progress: somebody listens or not
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEP_ALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        with contextlib.suppress(BlockingIOError):
            sock.connect(address)  # type: ignore[arg-type]
        self._wait(Wait.WRITABLE, deadline, "connect to")
        failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise OSError(failed, os.strerror(failed))
        if self.endpoint.tls is not None:
            self._channel = _tls_channel(sock, self.endpoint.host, self.endpoint.tls)
            while (wait := self._channel.handshake()) is not None:
                self._wait(wait, deadline, "shake hands with")

    def _wait(self, wait: Wait, deadline: float, verb: str) -> None:
        """Until the socket is ready."""
        poll = select.poll()
        poll.register(self._fd, wait.value)
        if self._wake is not None:
            poll.register(self._wake, select.POLLIN)
        left = deadline - look_at_clock().mono
        ready = poll.poll(min(left, MAX_WAIT_S) * 1000 + 1) if left > 0 else []
        self._check()
        if not ready and left <= MAX_WAIT_S:
            raise TimedOut(f"cannot {verb} {self.endpoint}: it did not answer in time")

    def _check(self) -> None:
        if self._interrupted:
            raise Interrupted(f"the connection to {self.endpoint} is not wanted any more")


def _reason(error: OSError | UnicodeError | None) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error) if error is not None else "it has no address"


@contextlib.contextmanager
def _short_path(path: str) -> Iterator[str]:
    """A long one through the descriptor of its folder."""
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        yield path
        return
    folder = os.open(Path(path).parent, os.O_PATH | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{Path(path).name}"
    finally:
        os.close(folder)


def _tls_channel(sock: socket.socket, host: str, tls: Tls) -> Channel:
    channel: Channel = importlib.import_module("mesos.line_tls").TlsChannel(sock, host, tls)
    return channel
