"""What a row of the table of URLs says: everything that routing, checking and describing it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from aiohttp import web

from scheduler.api.problems import ErrorCode
from scheduler.core.permissions import ADMIN, SCHEDULER

JSON, TEXT, HTML, SSE = "application/json", "text/plain", "text/html", "text/event-stream"

RawHandler = Callable[[web.Request, str], Awaitable[web.StreamResponse]]


class Way(Enum):
    """How a handler is called; scheduler.api.asked."""

    READ = "read"  # handler(asked) -> answer
    CHANGE = "change"  # handler(asked, turn, body) -> answer
    RAW = "raw"  # async handler(request, user) -> response


@dataclass(frozen=True, slots=True)
class Query:
    """A parameter; `schema` as in OpenAPI."""

    name: str
    about: str
    schema: dict[str, Any]
    where: str = "query"


@dataclass(frozen=True, slots=True)
class Permit:
    """The call of the original that a change counts as, for permissions. `of_job`: it is about one."""

    service: str
    call: str
    of_job: bool


@dataclass(frozen=True, slots=True)
class Route:
    """A URL and a method. `answer`: the type of the answer where it is JSON of a known form. `refusals`: codes besides
    those that every route has. `keyed`: it understands an Idempotency-Key. `open`: nobody is asked who he is.
    `failure`: a status that is an answer, too. `status_of`: the status by the answer, `status` or
    `other_status`. A page (HTML) is JSON for those who don't ask for pages."""

    method: str
    path: str
    handler: Callable[..., Any]
    about: str
    answer: Any = None
    way: Way = Way.READ
    media: str = JSON
    status: int = 200
    other_status: int | None = None
    status_of: Callable[[bytes], int] | None = None
    query: tuple[Query, ...] = ()
    body: Any = None
    permit: Permit | None = None
    refusals: tuple[ErrorCode, ...] = ()
    keyed: bool = False
    open: bool = False
    failure: int | None = None

    @property
    def names(self) -> list[str]:
        """Of the components of the path."""
        return [piece[1:-1] for piece in self.path.split("/") if piece.startswith("{")]


def of_job(call: str) -> Permit:
    return Permit(SCHEDULER, call, of_job=True)


def of_admin(call: str) -> Permit:
    return Permit(ADMIN, call, of_job=False)


def word(name: str, about: str, *words: str) -> Query:
    return Query(
        name, about, {"type": "string", "enum": list(words)} if words else {"type": "string", "maxLength": 1000}
    )


def number(name: str, about: str, low: int = 0, high: int = 2**53) -> Query:
    return Query(name, about, {"type": "integer", "minimum": low, "maximum": high})


def flag(name: str, about: str) -> Query:
    return Query(name, about, {"type": "boolean"})
