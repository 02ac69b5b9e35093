"""One request over HTTP: connect (through a proxy where the environment says so), send, read a bounded answer.

Nothing is tried twice here, and nothing is understood: `client.api_client` decides. Which stage failed is told, because
that says what may be repeated.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import ipaddress
import netrc
import os
import socket
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from thermos.errors import UserError

CONNECT_S = 10.0
ANSWER_S = 60.0
#: The longest answer that is read.
MOST = 512 * 1024 * 1024


class Failed(Exception):
    """A request that brought no answer."""


class NotConnected(Failed):
    """Nothing was sent."""


class NotTrusted(Failed):
    """The other side's certificate is no good; trying again does not help."""


class Broken(Failed):
    """It may have been received, or not."""


class TooLate(Broken):
    """No answer in time."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass(frozen=True)
class Begun:
    """An answer whose body is still to be read from `wire`."""

    connection: http.client.HTTPConnection
    response: http.client.HTTPResponse
    wire: socket.socket

    def close(self) -> None:
        self.response.close()
        self.connection.close()

    def wake(self) -> None:
        """Whoever waits for more of the body is told that there is none. May be called by any thread."""
        with contextlib.suppress(OSError):
            self.wire.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class Origin:
    """Where a scheduler listens."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        usual = {"http": 80, "https": 443}[self.scheme]
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" if self.port == usual else f"{self.scheme}://{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost" or self.host.endswith(".localhost")


def parse_origin(url: str, what: str) -> Origin:
    """Raises UserError, which names `what` has the URL."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError as error:
        raise UserError(f"{what} is no URL: {url!r}: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"{what} is no http:// or https:// URL: {url!r}")
    if parts.username is not None or parts.password is not None:
        raise UserError(f"{what} may not have a user or password in it; put them into ~/.netrc")
    return _origin(parts, port)


def _origin(parts: SplitResult, port: int | None) -> Origin:
    assert parts.hostname is not None
    return Origin(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80))


def credentials(origin: Origin) -> str | None:
    """The Authorization that ~/.netrc (or $NETRC) has for the host. Raises UserError: it can't be read."""
    path = os.environ.get("NETRC")
    try:
        found = netrc.netrc(path).authenticators(origin.host)
    except FileNotFoundError:
        return None
    except netrc.NetrcParseError as error:
        raise UserError(f"{error.filename}:{error.lineno}: {error.msg}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path or '~/.netrc'}: {getattr(error, 'strerror', error)}") from error
    if found is None:
        return None
    login, _account, password = found
    return "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()


def exchange(
    origin: Origin,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    *,
    connect_s: float = CONNECT_S,
    answer_s: float = ANSWER_S,
) -> Answer:
    """Raises Failed (its subclasses say where)."""
    begun = begin(origin, method, target, headers, body, answer_s, connect_s)
    response = begun.response
    try:
        content = response.read(MOST + 1)
    except TimeoutError as error:
        raise TooLate(f"{origin} did not finish its answer within {answer_s:g} s") from error
    except (OSError, http.client.HTTPException) as error:
        raise Broken(f"the connection to {origin} broke: {words_of(error)}") from error
    finally:
        begun.close()
    if response.length and len(content) <= MOST:
        raise Broken(f"the connection to {origin} broke in the middle of its answer")
    if len(content) > MOST:
        raise NotTrusted(f"the answer of {origin} is longer than {MOST // 1024 // 1024} MiB")
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)


def begin(
    origin: Origin,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes | None,
    patience_s: float,
    connect_s: float = CONNECT_S,
) -> Begun:
    """The request is sent and the head of the answer read; whoever calls closes it. Raises Failed."""
    connection, prefix = _connect(origin, connect_s)
    assert connection.sock is not None
    connection.sock.settimeout(patience_s)
    try:
        connection.request(method, prefix + target, body=body, headers=dict(headers))
        wire = connection.sock
        return Begun(connection, connection.getresponse(), wire)
    except TimeoutError as error:
        connection.close()
        raise TooLate(f"{origin} did not answer within {patience_s:g} s") from error
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise Broken(f"the connection to {origin} broke: {words_of(error)}") from error


def _connect(origin: Origin, connect_s: float) -> tuple[http.client.HTTPConnection, str]:
    """(the connection, what stands before a request's target: a proxy wants all of the URL)."""
    proxy = _proxy(origin)
    at = proxy or origin
    kind = http.client.HTTPSConnection if origin.scheme == "https" else http.client.HTTPConnection
    connection = kind(at.host, at.port, timeout=connect_s)
    prefix = ""
    if proxy is not None and origin.scheme == "https":
        connection.set_tunnel(origin.host, origin.port)
    elif proxy is not None:
        prefix = str(origin)
    through = f" (through the proxy {proxy})" if proxy is not None else ""
    try:
        connection.connect()
    except ssl.SSLCertVerificationError as error:
        raise NotTrusted(f"{origin} is not trusted: {error.verify_message}") from error
    except TimeoutError as error:
        raise NotConnected(f"no connection to {origin}{through} within {connect_s:g} s") from error
    except (OSError, http.client.HTTPException) as error:
        raise NotConnected(f"cannot connect to {origin}{through}: {words_of(error)}") from error
    return connection, prefix


def _proxy(origin: Origin) -> Origin | None:
    """What the environment's http_proxy, https_proxy and no_proxy say; never for this machine."""
    if origin.is_loopback or urllib.request.proxy_bypass(origin.host):
        return None
    url = urllib.request.getproxies().get(origin.scheme)
    return parse_origin(url, f"the environment's {origin.scheme}_proxy") if url else None


def words_of(error: Exception) -> str:
    """What the system says, without its number."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__
