"""Asking a master or an agent over plain HTTP, as tools and people do; and waiting for what only asking can tell."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from tests.mesos.conformance.target import Target


async def get(base: str, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
    """(status, JSON or text). Redirects are not followed."""
    async with _session() as session, session.get(base + path, headers=headers, allow_redirects=False) as answer:
        return answer.status, await _content(answer)


async def post(base: str, path: str, body: Any, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
    """(status, JSON or text). `body` is JSON, or bytes as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json", **(headers or {})}
    async with (
        _session() as session,
        session.post(base + path, data=data, headers=headers, allow_redirects=False) as answer,
    ):
        return answer.status, await _content(answer)


async def _content(answer: aiohttp.ClientResponse) -> Any:
    text = await answer.text()
    try:
        return json.loads(text)
    except ValueError:
        return text


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))


async def operate(target: Target, kind: str, headers: Mapping[str, str] | None = None, **payload: Any) -> Any:
    """A call of the operator API at the first master; the answer's payload, `{}` if it has none."""
    status, answer = await post(target.master_url, "/api/v1", {"type": kind, **payload}, headers)
    assert status in (200, 202), (kind, status, answer)
    return answer.get(kind.lower(), {}) if isinstance(answer, dict) else {}


def basic(principal: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{principal}:{secret}".encode()).decode()}


async def until(look: Callable[[], Awaitable[Any]], what: str, timeout_s: float = 30) -> Any:
    """What `look` gives when it is true at last. For things that only asking can tell."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            found = await look()
        except (aiohttp.ClientError, OSError):
            found = None
        if found:
            return found
        assert time.monotonic() < end, f"no {what} in {timeout_s} s"
        await asyncio.sleep(0.05)


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port
