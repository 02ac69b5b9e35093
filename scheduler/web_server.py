"""The web server of the scheduler: where it listens, and how it ends.

Source: spec/scheduler.md §9.1, §12. TLS is new.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterable

from aiohttp import web

from scheduler.settings import Settings
from thermos.errors import HostError, UserError

#: Seconds that open requests have when the server stops.
PATIENCE_S = 2.0

#: Seconds after which a connection is closed that says nothing, or does not get to the end of a request's head.
IDLE_S = 75.0

#: Bytes of a request line or header.
MAX_LINE = 8190

_EVERYWHERE = {"0.0.0.0", "::"}
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class WebServer:
    """`url` is right once it has started: port 0 is any that is free."""

    def __init__(self, app: web.Application, settings: Settings) -> None:
        """Raises UserError, HostError."""
        self._settings = settings
        self._tls = tls_of(settings)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=PATIENCE_S,
            keepalive_timeout=IDLE_S,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
        )
        self.url = ""

    async def start(self) -> None:
        """Raises HostError when the port can't be had."""
        ip, port = self._settings.flags.ip, self._settings.flags.http_port
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, ip, port, ssl_context=self._tls).start()
        except (OSError, OverflowError) as error:
            number = getattr(error, "errno", None) or 0
            reason = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or str(error)
            raise HostError(f"cannot listen on {ip}:{port}: {reason}") from error
        name = self._settings.hostname if ip in _EVERYWHERE else f"[{ip}]" if ":" in ip else ip
        self.url = f"{'https' if self._tls else 'http'}://{name}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self._runner.cleanup()


def is_loopback(ip: str) -> bool:
    """Nobody else's machine gets there."""
    return ip in _LOOPBACK or ip.startswith("127.")


def host_names(ip: str, allowed: Iterable[str], *, is_protected: bool) -> frozenset[str]:
    """Names to answer to. On loopback without users only our own: a page elsewhere must not reach us by a name that it
    has made point here. Everywhere else any."""
    if not is_loopback(ip) or is_protected:
        return frozenset()
    own = {*_LOOPBACK, ip, "[::1]", socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(own | {name.lower() for name in allowed})


def tls_of(settings: Settings) -> ssl.SSLContext | None:
    """Raises UserError, HostError."""
    cert, key = settings.flags.tls_cert, settings.flags.tls_key
    if cert is None:
        if key is not None:
            raise UserError("--tls_key needs --tls_cert")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise HostError(f"cannot use the certificate {cert}: {error}") from error
    return context
