"""What every request to a master passes before it is looked at: path, credentials, who leads, method, size of the body.

Before anything else, what a web page may have made a browser send is refused (`check_caller`), by agents, too. Then the
order is Mesos': an unknown path is 404 to everybody, then come wrong credentials (401), then the way to the leader
(307, or 503 while there is none or it recovers), then the method (405). Bodies are bounded one by one and all together,
and must arrive in time.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import ipaddress
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from urllib.parse import quote

from aiohttp import web

from mesos.local import http_words as words
from thermos.errors import UserError

#: Bytes of the largest body: an ACCEPT that launches on 10,000 offers has about 20 MB.
MAX_BODY = 64 * 1024 * 1024

#: Bytes of all bodies that are being read at one time.
MAX_BODIES = 256 * 1024 * 1024

#: Seconds for a whole body.
BODY_PATIENCE_S = 30.0


def check_loopback(host: str) -> str:
    """The embedded Mesos runs any command that it is told to: nobody but this machine may talk to it."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError as error:
        raise UserError(f"cannot listen on {host!r}: not an IP address; the embedded Mesos needs 127.0.0.1") from error
    if not address.is_loopback:
        raise UserError(f"cannot listen on {host}: the embedded Mesos serves loopback addresses only, use 127.0.0.1")
    return host


def check_caller(headers: Mapping[str, str]) -> None:
    """No web page may reach us through a browser of this machine: it could start any command. Browsers name the page
    that asks (Origin); a page whose own name was made to lead here (DNS rebinding) is given away by that name (Host).
    Raises the 403."""
    if "Origin" in headers:
        raise words.Refusal(403, "The embedded Mesos answers no web pages, and this request has an Origin")
    host = headers.get("Host", "").strip()
    if host and not _is_loopback(host):
        text = f"The embedded Mesos is asked for at a loopback address or at localhost, not at {host[:200]!r}"
        raise words.Refusal(403, text)


def _is_loopback(host: str) -> bool:
    """Of `name`, `name:port`, `[address]:port`."""
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(:[0-9]*)?", host)
    if found is None:
        return False
    name = found[1].strip("[]").removesuffix(".").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


class Realm(StrEnum):
    """Which endpoints ask for credentials together."""

    SCHEDULER = "mesos-master-scheduler"
    READONLY = "mesos-master-readonly"
    READWRITE = "mesos-master-readwrite"


def principal_of(header: str | None, secrets: Mapping[str, str]) -> str | None:
    """Whose basic credentials an Authorization header shows; None where they are not among these."""
    kind, _, value = (header or "").partition(" ")
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    known = secrets.get(name)
    if kind.lower() != "basic" or known is None or not hmac.compare_digest(known.encode(), secret.encode()):
        return None
    return name


@dataclass(frozen=True, slots=True)
class Basic:
    """HTTP basic authentication: principal -> secret, asked for in these realms."""

    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    realms: frozenset[Realm] = frozenset(Realm)

    def principal(self, realm: Realm, header: str | None) -> str | None:
        """Whose credentials these are; None where none are asked for. Raises the 401."""
        if not self.secrets or realm not in self.realms:
            return None
        name = principal_of(header, self.secrets)
        if name is None:
            raise words.unauthorized(realm)
        return name


@dataclass(frozen=True, slots=True)
class Standing:
    """Of a master: where the leader is (`host:port`, None: nobody leads), whether that is itself, and is ready."""

    leader: str | None
    leads: bool
    is_recovered: bool = True


Handler = Callable[[web.Request, str | None], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """`methods`: None for any. Followers answer themselves what is not `by_leader`."""

    handle: Handler
    realm: Realm | None = None
    methods: tuple[str, ...] | None = None
    by_leader: bool = True
    after_recovery: bool = False


class HasStanding(Protocol):
    def standing(self) -> Standing: ...


class Gate:
    """Finds the route of a request, or refuses it."""

    def __init__(self, desk: HasStanding, routes: Mapping[str, Route], basic: Basic) -> None:
        self._desk = desk
        self._routes = routes
        self._basic = basic

    async def handle(self, request: web.Request) -> web.StreamResponse:
        try:
            path, route = self._find(request.path)
            principal = None
            if route.realm is not None:
                principal = self._basic.principal(route.realm, request.headers.get("Authorization"))
            if route.by_leader:
                self._check_standing(route, "/master" + quote(path), request.rel_url.raw_query_string)
            if route.methods is not None and request.method not in route.methods:
                raise words.method_not_allowed(request.method, route.methods)
            return await route.handle(request, principal)
        except words.Refusal as refusal:
            return answer(refusal.status, refusal.text, refusal.headers)

    def _find(self, path: str) -> tuple[str, Route]:
        """The longest known beginning, as Mesos does it: /quota/web is /quota."""
        parts = [part for part in path.split("/") if part]
        if parts[:1] == ["master"]:
            parts = parts[1:]
        for end in range(len(parts), 0, -1):
            route = self._routes.get("/" + "/".join(parts[:end]))
            if route is not None:
                return "/" + "/".join(parts), route
        raise words.not_found()

    def _check_standing(self, route: Route, path: str, query: str) -> None:
        standing = self._desk.standing()
        if standing.leader is None:
            raise words.no_leader()
        if not standing.leads:
            raise words.redirect(standing.leader, path + (f"?{query}" if query else ""))
        if route.after_recovery and not standing.is_recovered:
            raise words.still_recovering()


class Bodies:
    """Reads bodies within bounds."""

    def __init__(self, limit: int = MAX_BODY, together: int = MAX_BODIES, patience_s: float = BODY_PATIENCE_S) -> None:
        self._limit = limit
        self._together = together
        self._patience_s = patience_s
        self._held = 0

    async def read(self, request: web.Request) -> bytes:
        if (request.content_length or 0) > self._limit:
            raise self._too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(self._patience_s):
                while piece := await request.content.readany():
                    self._held += len(piece)
                    body += piece
                    if len(body) > self._limit:
                        raise self._too_large()
                    if self._held > self._together:
                        raise words.Refusal(503, "Too many large requests at once, try again", {"Retry-After": "1"})
        except TimeoutError as error:
            text = f"The body did not arrive within {self._patience_s:g} seconds"
            raise words.Refusal(408, text, {"Connection": "close"}) from error
        finally:
            self._held -= len(body)
        return bytes(body)

    def _too_large(self) -> words.Refusal:
        return words.Refusal(413, f"The body is larger than {self._limit} bytes", {"Connection": "close"})


def answer(status: int, text: str = "", headers: Mapping[str, str] | None = None) -> web.Response:
    """Plain text; an empty one has no type, as with Mesos. What was asked may stand in headers: they stay one line."""
    fields = {name: _printable(value) for name, value in (headers or {}).items()}
    if text:
        fields["Content-Type"] = words.TEXT
    return web.Response(status=status, body=text.encode(), headers=fields)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def json_answer(data: bytes) -> web.Response:
    return web.Response(body=data, headers={"Content-Type": words.JSON})
