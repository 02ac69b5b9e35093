"""What a request for a page asks for: which part of a list, in which order; and the address of the page itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from aiohttp import web

from scheduler.ui.core.here import Here
from scheduler.ui.core.listing import MOST_ROWS, ROWS, Wanted
from web.asking import Problem, flag, integer, text


def wanted(request: web.Request, sorts: Collection[str]) -> Wanted:
    """Raises Problem."""
    return Wanted(
        query=text(request, "q").strip(),
        sort=choice(request, "sort", sorts),
        reverse=flag(request, "reverse"),
        offset=integer(request, "offset", 0, high=10_000_000),
        num=integer(request, "num", ROWS, low=1, high=MOST_ROWS),
    )


def choice(request: web.Request, name: str, known: Collection[str], default: str = "") -> str:
    """One of these words. Raises Problem."""
    word = text(request, name)
    if not word:
        return default
    if word not in known:
        raise Problem(400, f"{name} has to be one of {', '.join(known)}")
    return word


#: Words of the query that every list knows.
LIST_WORDS = ("q", "sort", "reverse", "offset", "num")


def here(request: web.Request, more: Iterable[str] = ()) -> Here:
    """With the words that the page knows, and no others. Raises Problem."""
    found = {name: text(request, name) for name in (*LIST_WORDS, *more)}
    return Here(request.rel_url.raw_path, {name: word for name, word in found.items() if word})
