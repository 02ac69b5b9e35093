"""The shape of answers: JSON for programs, and one form of every refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

_TITLES = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "Conflict",
    413: "Too large",
    414: "Too long",
    415: "Wrong kind of content",
    416: "Range not satisfiable",
    421: "Misdirected",
    500: "Internal error",
    503: "Busy",
}


def titles(status: int) -> str:
    return _TITLES.get(status, "Error")


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


def problem_json(status: int, detail: str, more: Mapping[str, object] | None = None) -> web.Response:
    """`more`: further fields of the error, for programs."""
    return answer({"error": {"status": status, "title": titles(status), "detail": detail, **(more or {})}}, status)
