"""Requests counted for /metrics: by route, never by address, so that their number stays bounded."""

from __future__ import annotations

from collections import Counter

from aiohttp import web


class RequestCounts:
    """(method, route) of those that have one, all others together."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, str, int]] = Counter()
        self.seconds: Counter[tuple[str, str]] = Counter()

    def count(self, request: web.Request, status: int, seconds: float) -> None:
        resource = request.match_info.route.resource
        path = resource.canonical if resource is not None else ""
        method = request.method if path else ""
        self.answers[method, path, status] += 1
        self.seconds[method, path] += seconds  # type: ignore[assignment]


REQUESTS = web.AppKey("requests", RequestCounts)
