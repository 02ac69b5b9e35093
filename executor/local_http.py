"""HTTP to the ports of our own task: health checks, shutdown endpoints.

`localhost` is both loopback addresses, IPv6 first, whatever the host's files say of the name: a server may listen on
one of them only. Redirects are followed up to a bound. One deadline holds for everything together, headers and bodies
are bounded, and proxies in the environment are for the task, not for us.
"""

from __future__ import annotations

import threading
from urllib.parse import quote, urljoin, urlsplit

from mesos.http1 import Answer, Connection
from mesos.line import Endpoint, LineError, Tls
from thermos.clock import now as look_at_clock
from thermos.version import VERSION

LOOPBACK = ("::1", "127.0.0.1")

#: Redirects that are followed; the answer after the last one counts as it is.
MAX_REDIRECTS = 10

#: Bytes of a body that are read.
MAX_BODY = 64 * 1024

_HEADERS = (("User-Agent", f"thermos-executor/{VERSION}"), ("Accept", "*/*"))

#: Statuses of redirects, and those among them after which the same is to be done again.
_REDIRECTS, _SAME_AGAIN = (301, 302, 303, 307, 308), (307, 308)

#: What may stand in the target of a request as it is; everything else is quoted.
_SAFE = "/%:=&?~#+!$,;'@()*[]"


class Browser:
    """Asks, one question at a time. `interrupt` is for any thread, and for good."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._interrupted = False

    def ask(self, method: str, url: str, timeout_s: float) -> Answer:
        """The answer to `method` without a body, at the end of all redirects. Raises LineError."""
        deadline = look_at_clock().mono + timeout_s
        for _ in range(MAX_REDIRECTS):
            answer = self._ask(method, url, deadline)
            if answer.status not in _REDIRECTS or not answer.location:
                return answer
            following = _resolve(url, answer.location)
            if following is None:
                return answer
            url = following
            method = method if answer.status in _SAME_AGAIN else "GET"
        return self._ask(method, url, deadline)

    def interrupt(self) -> None:
        with self._lock:
            self._interrupted = True
            if self._connection is not None:
                self._connection.interrupt()

    def _ask(self, method: str, url: str, deadline: float) -> Answer:
        endpoint, target = _take_apart(url)
        connection = Connection(endpoint)
        with self._lock:
            self._connection = connection
            if self._interrupted:
                connection.interrupt()
        try:
            return connection.ask(method, target, _HEADERS, deadline - look_at_clock().mono, MAX_BODY)
        finally:
            with self._lock:
                self._connection = None
                connection.close()


def local_endpoint(host: str, port: int, *, tls: bool = False) -> Endpoint:
    addresses = LOOPBACK if host == "localhost" else ()
    return Endpoint(host, port, tls=Tls() if tls else None, addresses=addresses)


def _take_apart(url: str) -> tuple[Endpoint, str]:
    """Where to connect, and what to ask for there."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise LineError(f"no usable URL: {url!r}: {error}") from error
    if parts.scheme not in ("http", "https") or not host or not host.isascii():
        raise LineError(f"no usable URL: {url!r}")
    target = quote(parts.path or "/", safe=_SAFE)
    if parts.query:
        target += f"?{quote(parts.query, safe=_SAFE)}"
    tls = parts.scheme == "https"
    usual = 443 if tls else 80
    return local_endpoint(host, usual if port is None else port, tls=tls), target


def _resolve(url: str, location: str) -> str | None:
    """Where a redirect leads; None if that is not for us (another scheme)."""
    try:
        following = urljoin(url, location)
        return following if urlsplit(following).scheme in ("http", "https") else None
    except ValueError:
        return None
