"""Words of queries that several addresses understand: lists, ranges, pages, yes and no."""

from __future__ import annotations

from typing import TypeVar

from aiohttp import web

from scheduler.api.problems import ApiProblem, ErrorCode
from scheduler.service.pages import MOST, Page
from web.asking import integer, parse_int, shorten

T = TypeVar("T")

#: Words of a list; numbers of all ranges together.
MOST_WORDS = 1000
MOST_NUMBERS = 10_000

INT32 = 2**31 - 1

_YES, _NO = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})


def listed(request: web.Request, name: str) -> frozenset[str]:
    """`a,b`. Raises ApiProblem."""
    words = frozenset(word.strip() for word in request.query.get(name, "").split(",")) - {""}
    if len(words) > MOST_WORDS:
        raise invalid(f"{name}: more than {MOST_WORDS} at once")
    return words


def numbers(request: web.Request, name: str) -> frozenset[int]:
    """`0-2,5`. Raises ApiProblem."""
    found: set[int] = set()
    for word in listed(request, name):
        low, dash, high = word.partition("-")
        first = parse_int(low)
        last = parse_int(high) if dash else first
        if first is None or last is None or not 0 <= first <= last <= INT32:
            raise invalid(f"{name}: {shorten(word, 40)!r} is no instance and no range such as 0-2")
        if len(found) + last - first + 1 > MOST_NUMBERS:
            raise invalid(f"{name}: more than {MOST_NUMBERS} at once")
        found.update(range(first, last + 1))
    return frozenset(found)


def truth(request: web.Request, name: str, default: T) -> bool | T:
    """Raises ApiProblem."""
    word = request.query.get(name, "").lower()
    if not word:
        return default
    if word not in _YES | _NO:
        raise invalid(f"{name} has to be true or false")
    return word in _YES


def page_of(request: web.Request, limit: int = 1000) -> Page:
    """Raises Problem."""
    return Page(limit=integer(request, "limit", limit, low=1, high=MOST), offset=integer(request, "offset", 0))


def invalid(text: str) -> ApiProblem:
    return ApiProblem(ErrorCode.INVALID_REQUEST, text)
