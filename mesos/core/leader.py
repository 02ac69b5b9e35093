"""Where masters are: what a person writes, what a redirect says, what masters write into ZooKeeper.

A master's address is `scheme://host:port` or, behind a proxy, `scheme://host:port/prefix`, without a slash at its end;
the path of the API is added to it.

A redirect of Mesos is protocol-relative (`//host:port/api/v1/scheduler`). One that leads to another scheme is followed
by nobody here: credentials meant for TLS must not leave in the clear, and what asks for TLS should be asked in TLS.

Source: Mesos 1.11, `src/master/http.cpp` (redirect), `src/master/contender` (`json.info_`), docs/high-availability.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from mesos.core.messages import MasterInfo
from mesos.core.wire import BadMessage, decode
from thermos.errors import RemoteError, UserError

#: Of a master, when neither a port nor a scheme is written; a URL without a port means what URLs mean.
DEFAULT_PORT = 5050
_URL_PORTS = {"http": 80, "https": 443}
ZOOKEEPER_PORT = 2181

#: What a client of the scheduler API adds to a master's address.
SCHEDULER_PATH = "/api/v1/scheduler"

#: Names of the nodes in which the masters of one cluster stand; the lowest number leads.
NODE_PREFIX = "json.info_"

#: Nobody means a longer one; it also bounds what an error repeats.
_LONGEST_TEXT = 4096

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?\Z")
_NODE = re.compile(re.escape(NODE_PREFIX) + r"([0-9]{1,10})\Z")


class BadLocation(RemoteError):
    """A redirect that can't be followed; the text says why."""


@dataclass(frozen=True, slots=True)
class MasterList:
    """Addresses of masters, in the order in which they are tried."""

    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ZooKeeperPath:
    """Where the masters' nodes are. `auth` is `user:password` for ZooKeeper's digest scheme."""

    hosts: tuple[str, ...]
    path: str
    scheme: str  # of the masters found there
    auth: str | None = field(default=None, repr=False)


def parse_masters(text: str, scheme: str = "http") -> MasterList | ZooKeeperPath:
    """`host:port`, `http(s)://host:port`, several of these with commas, or `zk://[user:password@]a:2181,b:2181/path`.

    `scheme` is for masters that are written without one, and for those found in ZooKeeper. Raises UserError.
    """
    text = text.strip()
    if not text:
        raise UserError("cannot find a master in an empty text; give host:port, a list of these, or zk://…/mesos")
    if len(text) > _LONGEST_TEXT:
        raise UserError(f"cannot find a master in {len(text)} characters; {_LONGEST_TEXT} are allowed")
    if not text.isprintable():  # a library for URLs drops line ends without a word
        raise UserError(f"cannot use {text!r} as a master's address: there are control characters in it")
    if text.startswith("zk://"):
        return _parse_zookeeper(text, scheme)
    urls = [_parse_master(part.strip(), scheme) for part in text.split(",") if part.strip()]
    if not urls:
        raise UserError(f"cannot find a master in {text!r}; give host:port, a list of these, or zk://…/mesos")
    return MasterList(tuple(dict.fromkeys(urls)))


def redirected(base: str, location: str) -> str:
    """The master's address to which an answer of `base` sends us. Raises BadLocation."""
    here = urlsplit(base)
    location = location.strip()
    if not location or len(location) > _LONGEST_TEXT:
        raise BadLocation(f"{base} redirects, but does not say where to")
    try:
        there = urlsplit(location)
        if not there.netloc and not there.scheme:
            return base  # another path of the same master: to itself
        scheme = there.scheme.lower() or here.scheme
        url = _address(scheme, there.hostname, there.port, there.path).removesuffix("/master")  # the same, to Mesos
        if there.username is not None or there.password is not None:
            raise ValueError("it holds a user")
    except (ValueError, UserError) as error:
        raise BadLocation(f"{base} redirects to {location[:200]!r}, which is no address: {error}") from error
    if scheme != here.scheme:
        raise BadLocation(
            f"{base} redirects to {url}, which is not followed since it is not {here.scheme}; "
            f"give the masters' addresses with {scheme}:// if that is meant"
        )
    return url


def leading_node(names: list[str]) -> str | None:
    """The node of the master that leads, among all children of the masters' path; other nodes don't count."""
    nodes = [(int(found[1]), name) for name in names if (found := _NODE.match(name))]
    return min(nodes)[1] if nodes else None


def master_address(data: bytes, scheme: str = "http") -> str:
    """The address of the master that wrote this node. Raises BadMessage.

    Over TLS it is the host name (certificates hold names), otherwise the IP address, as Mesos' own clients do.
    """
    info = decode(data, MasterInfo)
    address = info.address
    ip = (address.ip if address else "") or _dotted(info.ip)
    hostname = (address.hostname if address else "") or info.hostname
    port = (address.port if address else 0) or info.port or DEFAULT_PORT
    host = hostname or ip if scheme == "https" else ip or hostname
    try:
        return _address(scheme, host, port, "")
    except (ValueError, UserError) as error:
        raise BadMessage(f"cannot read where the leading master is: {error}") from error


def _parse_zookeeper(text: str, scheme: str) -> ZooKeeperPath:
    form = "zk://[user:password@]host:port,host:port/path"
    servers, slash, path = text.removeprefix("zk://").partition("/")
    auth, _, servers = servers.rpartition("@")
    shown = f"zk://{'…@' if auth else ''}{servers}{slash}{path}"  # without the password
    if not path.strip("/"):
        raise UserError(f"cannot find a master with {shown}: the path is missing; write {form}")
    if auth and (":" not in auth or auth.startswith(":")):
        raise UserError(f"cannot find a master with {shown}: before the @ belongs user:password; write {form}")
    if "//" in path or any(part in {".", ".."} for part in path.split("/")):
        raise UserError(f"cannot find a master with {shown}: the path is none; write {form}")
    hosts = [_host_and_port(part.strip(), ZOOKEEPER_PORT, shown) for part in servers.split(",") if part.strip()]
    if not hosts:
        raise UserError(f"cannot find a master with {shown}: no server is named; write {form}")
    return ZooKeeperPath(tuple(hosts), "/" + path.strip("/"), scheme, unquote(auth) or None)


def _parse_master(text: str, scheme: str) -> str:
    bare = "://" not in text
    try:
        parts = urlsplit(f"{scheme}://{text}" if bare else text)
        port = parts.port or (DEFAULT_PORT if bare and parts.port is None else parts.port)
    except ValueError as error:
        raise UserError(f"cannot use {text!r} as a master's address: {error}") from error
    if parts.scheme.lower() not in {"http", "https"}:
        raise UserError(f"cannot use {text!r} as a master's address: write http://, https:// or zk:// before it")
    if parts.username is not None or parts.password is not None:
        raise UserError("cannot use a master's address with a user in it; credentials are given on their own")
    if parts.query or parts.fragment:
        raise UserError(f"cannot use {text!r} as a master's address: leave out what follows the path")
    try:
        return _address(parts.scheme.lower(), parts.hostname, port, parts.path)
    except ValueError as error:
        raise UserError(f"cannot use {text!r} as a master's address: {error}") from error


def _address(scheme: str, host: str | None, port: int | None, path: str) -> str:
    """Raises ValueError."""
    if scheme not in {"http", "https"}:
        raise ValueError(f"{scheme!r} is neither http nor https")
    if not host:
        raise ValueError("no host is named")
    if port == 0 or (port is not None and not 0 < port < 65536):
        raise ValueError(f"{port} is no port")
    prefix = path.rstrip("/").removesuffix(SCHEDULER_PATH).rstrip("/")
    if not re.fullmatch(r"(/[A-Za-z0-9._~%-]+)*", prefix):
        raise ValueError("the path is none")
    return f"{scheme}://{_bracketed(host)}:{port or _URL_PORTS[scheme]}{prefix}"


def _bracketed(host: str) -> str:
    """Raises ValueError for what is no name and no address."""
    if re.fullmatch(r"[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?", host) and ":" in host:
        return f"[{host}]"
    if not _HOST.match(host) or len(host) > 253 or any(not 0 < len(label) < 64 for label in host.split(".")):
        raise ValueError(f"{host[:100]!r} is no host")
    return host


def _host_and_port(text: str, default: int, shown: str) -> str:
    try:
        parts = urlsplit(f"//{text}")
        port = parts.port
        if not parts.hostname or parts.path or port == 0:
            raise ValueError("no host is named")
        return f"{_bracketed(parts.hostname)}:{port or default}"
    except ValueError as error:
        raise UserError(f"cannot find a master with {shown}: {text!r} is no host:port") from error


def _dotted(ip: int) -> str:
    """Mesos writes an IPv4 address as the number that lies in memory: the first part of it is the lowest byte."""
    return ".".join(str(ip >> shift & 255) for shift in (0, 8, 16, 24)) if 0 < ip < 2**32 else ""
