"""What a request asks for, taken apart and bounded.

A `Problem` is the only way in which a handler says no; a server renders it as JSON or as a page.
"""

from __future__ import annotations

from aiohttp import web

#: Query values longer than this are refused.
MAX_VALUE = 1000
_BIGGEST = 2**53


class Problem(Exception):
    """The answer is no. `status` is HTTP's, `detail` one line for people."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def text(request: web.Request, name: str, default: str = "") -> str:
    """Raises Problem when it is too long."""
    value = request.query.get(name, default)
    if len(value) > MAX_VALUE:
        raise Problem(400, f"{name} is longer than {MAX_VALUE} characters")
    return value


def integer(request: web.Request, name: str, default: int, low: int = 0, high: int = _BIGGEST) -> int:
    """A number from the query, within bounds. Raises Problem."""
    value = request.query.get(name)
    if value is None or value == "":
        return default
    return _bounded(name, value, low, high)


def optional(request: web.Request, name: str, low: int = 0, high: int = _BIGGEST) -> int | None:
    """The same without a default. Raises Problem."""
    value = request.query.get(name)
    return None if value is None or value == "" else _bounded(name, value, low, high)


def _bounded(name: str, value: str, low: int, high: int) -> int:
    number = parse_int(value)
    if number is None or not low <= number <= high:
        raise Problem(400, f"{name} has to be a number from {low} to {high}")
    return number


def parse_int(value: str) -> int | None:
    """None for what is no plain decimal number, or an absurdly long one."""
    digits = value[1:] if value[:1] == "-" else value
    if not digits or len(digits) > 18 or not (digits.isascii() and digits.isdigit()):
        return None
    return int(value)


def flag(request: web.Request, name: str) -> bool:
    return request.query.get(name, "").lower() in ("1", "true", "yes", "on")


def shorten(value: str, limit: int = 120) -> str:
    """To be shown in a message."""
    clean = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return clean if len(clean) <= limit else f"{clean[:limit]}…"
