"""What keeps a server's pages from being used by other pages: headers, and the names that it answers to.

And who it is that asks, as it stands in a request.
"""

from __future__ import annotations

import base64
import binascii

from aiohttp import hdrs, web

#: Nothing from elsewhere, nothing inline, in no frame; no type is guessed; no address is told to others.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """For `on_response_prepare`."""
    for name, value in HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    if request.secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"


def knows_host(hosts: frozenset[str], header: str) -> bool:
    """Whether the `Host` header names one of `hosts` (lower case); without any, every name is ours. A page elsewhere
    can reach a loopback address by a name of its own (DNS rebinding), but it can't choose this header."""
    if not hosts:
        return True
    name = header.rsplit(":", 1)[0] if not header.endswith("]") else header
    return name.lower() in hosts


def presented(authorization: str) -> str:
    """`basic user:password` or `bearer token`, whatever the writing; "" for anything else."""
    scheme, _, value = authorization.partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer" and value:
        return f"bearer {value}"
    if scheme.lower() != "basic" or len(value) > 4096:
        return ""
    try:
        return f"basic {base64.b64decode(value, validate=True).decode()}"
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
