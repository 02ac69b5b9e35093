"""What a request asks for, taken apart and bounded; and the one shape of refusals.

A `Problem` is the only way in which a handler says no; the server renders it as JSON or as a page. Paths are taken
from the raw URL and decoded once, so that a name may hold anything a file name may.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from aiohttp import web

from observer.core.sandbox_path import Refused, decode_name, split_path
from observer.host import Host
from observer.pages import Renderer
from observer.task import Task

HOST = web.AppKey("host", Host)
RENDER = web.AppKey("render", object)

#: Query values longer than this are refused.
MAX_VALUE = 1000
_BIGGEST = 2**53


class Problem(Exception):
    """The answer is no. `title` is the short form of `status`, `detail` one line for people."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def titles(status: int) -> str:
    return {
        400: "Bad request",
        401: "Unauthorized",
        403: "Forbidden",
        404: "Not found",
        405: "Method not allowed",
        413: "Too large",
        414: "Too long",
        416: "Range not satisfiable",
        421: "Misdirected",
        500: "Internal error",
        503: "Busy",
    }.get(status, "Error")


def host_of(request: web.Request) -> Host:
    return request.app[HOST]


def renderer_of(request: web.Request) -> Renderer:
    return request.app[RENDER]  # type: ignore[return-value]


def part(request: web.Request, name: str) -> str:
    """One named component of the path, decoded from the raw URL. Raises Problem."""
    template = request.match_info.route.resource
    pattern = template.canonical.split("/") if template is not None else []
    raw = request.rel_url.raw_path.split("/")
    index = next((i for i, piece in enumerate(pattern) if piece == f"{{{name}}}"), None)
    if index is None or index >= len(raw):
        return ""
    try:
        return decode_name(raw[index])
    except Refused as error:
        raise Problem(404, str(error)) from error


def rest(request: web.Request) -> tuple[str, ...]:
    """The path behind the last named component (`{path}`), as names. Raises Problem."""
    template = request.match_info.route.resource
    pattern = template.canonical.split("/") if template is not None else [""]
    if pattern[-1] != "{path}":
        return ()
    depth = len(pattern) - 1
    try:
        return split_path("/".join(request.rel_url.raw_path.split("/")[depth:]))
    except Refused as error:
        raise Problem(403 if "goes up" in str(error) else 404, f"cannot show this: {error}") from error


def text(request: web.Request, name: str, default: str = "") -> str:
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
    value = request.query.get(name)
    return None if value is None or value == "" else _bounded(name, value, low, high)


def _bounded(name: str, value: str, low: int, high: int) -> int:
    number = parse_int(value)
    if number is None or not low <= number <= high:
        raise Problem(400, f"{name} has to be a number from {low} to {high}")
    return number


def parse_int(value: str) -> int | None:
    digits = value[1:] if value[:1] == "-" else value
    if not digits or len(digits) > 18 or not (digits.isascii() and digits.isdigit()):
        return None
    return int(value)


def flag(request: web.Request, name: str) -> bool:
    return request.query.get(name, "").lower() in ("1", "true", "yes", "on")


def path_number(request: web.Request, name: str) -> int:
    """A run number in the path. Raises Problem."""
    number = parse_int(part(request, name))
    if number is None or number < 0:
        raise Problem(404, f"there is no such {name}")
    return number


def task_of(request: web.Request, ref: str | None = None) -> Task:
    """The task that the path means. Raises Problem."""
    ref = part(request, "ref") if ref is None else ref
    task = host_of(request).inventory.find(ref)
    if task is None:
        raise Problem(404, f"Unknown task_id: {shorten(ref)}")
    return task


def shorten(value: str, limit: int = 120) -> str:
    clean = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return clean if len(clean) <= limit else f"{clean[:limit]}…"


def to_json(value: object) -> bytes:
    """Any view, any record; numbers too big for a machine word too."""
    try:
        return msgspec.json.encode(value)
    except (OverflowError, ValueError):
        return json.dumps(_plain(value)).encode()


def _plain(value: Any) -> Any:
    try:
        return msgspec.to_builtins(value)
    except (OverflowError, ValueError):
        return str(value)


def answer(value: object, status: int = 200) -> web.Response:
    return web.Response(body=to_json(value), status=status, content_type="application/json", charset="utf-8")


def problem_json(status: int, detail: str) -> web.Response:
    return answer({"error": {"status": status, "title": titles(status), "detail": detail}}, status)
