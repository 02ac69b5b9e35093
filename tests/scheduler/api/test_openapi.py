"""The API's description is true: every route is in it, every answer is as it says, whatever is asked.

Requests are made from the document: good, nearly good and bad ones, thousands of them. Never a status that is not
described, never a traceback, never an answer of another form.
"""

from __future__ import annotations

import asyncio
import json
import random
import string
from collections import Counter
from typing import Any
from urllib.parse import quote

import msgspec

from scheduler.api.openapi import openapi_document
from scheduler.api.routes import Way
from scheduler.api.table import ROUTES
from scheduler.core.validation import Rules
from scheduler.service.context import ServiceSettings
from tests.scheduler.api.schemas import Schemas
from tests.scheduler.api.served import JOB, Served, job, run, serving
from tests.scheduler.core import making

REQUESTS = 4_000
AT_ONCE = 8

DOCUMENT = json.loads(msgspec.json.encode(openapi_document(ROUTES)))
SCHEMAS = Schemas(DOCUMENT)

#: Those that do not end by themselves.
STREAMS = {"/api/v1/events"}

GOOD = {
    "role": [*["www"] * 4, "none"], "env": [*["prod"] * 4, "test"], "name": [*["web"] * 4, "db"],
    "job": ["web"], "id": ["0", "1", "active"],
    "taskId": ["www-prod-web-0-0-0", "x"], "metric": ["total_consumed", "quota_consumed"],
}  # fmt: skip
BAD = [
    ".", "..", "%2e%2e", "%00", "%0a", "%ff", "%25", "%", "%zz", "a%2fb", "-1", "9" * 20, "1e9", "0x10", "١", "null",
    "a" * 300, "%F0%9F%92%A9", "*", "\\", ";", "+", "true", "-0", "00", "1.0", "%C3%28", "'", "<b>", "[", "]", "?", "&",
]  # fmt: skip


def every(found: Any) -> Any:
    """All objects in the document."""
    if isinstance(found, dict):
        yield found
        for each in found.values():
            yield from every(each)
    elif isinstance(found, list):
        for each in found:
            yield from every(each)


def test_the_document_is_whole() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    routed = {(route.path, route.method.lower()) for route in ROUTES}
    assert routed == {(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods}
    ids = [operation["operationId"] for methods in DOCUMENT["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids)) == len(ROUTES)
    for each in every(DOCUMENT):
        if "$ref" in each:
            assert SCHEMAS.resolve(each)
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            named = [p["name"] for p in operation["parameters"] if p["in"] == "path"]
            assert named == [piece[1:-1] for piece in path.split("/") if piece.startswith("{")]
            assert any(status.startswith("2") for status in operation["responses"])


def test_the_server_tells_it() -> None:
    async def test() -> None:
        async with serving() as s:
            assert await s.get("/api/v1/openapi.json") == DOCUMENT

    run(test)


def test_changes_ask_for_permission_and_a_key() -> None:
    for route in ROUTES:
        if route.way is Way.CHANGE:
            operation = DOCUMENT["paths"][route.path]["post"]
            assert operation["x-permission"].startswith("thrift.AuroraSchedulerManager:")
            assert "Idempotency-Key" in [p["name"] for p in operation["parameters"]]
            assert {"401", "403", "409", "413", "415", "503"} <= set(operation["responses"])


class Fuzzer:
    """One seed, one sequence of requests."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.operations = [
            (path, method.upper(), operation)
            for path, methods in DOCUMENT["paths"].items()
            for method, operation in methods.items()
            if path not in STREAMS
        ]

    def request(self) -> tuple[str, str, bytes | None, dict[str, str], dict[str, Any]]:
        """Method, address, body, headers; the responses that may come."""
        path, method, operation = self.chance.choice(self.operations)
        wrong = self.chance.choice((0.0, 0.0, 0.02, 0.3))
        parts = [self.part(p[1:-1], wrong) if p.startswith("{") else p for p in path.split("/")]
        body, headers = None, {"Accept": self.chance.choice(("text/html", "application/json", "*/*"))}
        if "requestBody" in operation:
            body, headers["Content-Type"] = self.body(operation, wrong), "application/json"
            if self.chance.random() < 0.2:
                headers["Idempotency-Key"] = self.chance.choice(("a", "b", "c d"))
        return method, "/".join(parts) + self.query(operation, wrong), body, headers, operation["responses"]

    def part(self, name: str, wrong: float) -> str:
        if self.chance.random() < wrong:
            return quote(self.chance.choice(BAD), safe="%") if self.chance.random() < 0.8 else self.text() or "x"
        return self.chance.choice(GOOD[name])

    def body(self, operation: dict[str, Any], wrong: float) -> bytes:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        value = SCHEMAS.make(schema, self.chance, wrong)
        if isinstance(value, dict) and self.chance.random() < 0.5:
            value = self.mended(value)
        encoded = json.dumps(value).encode()
        if self.chance.random() < wrong:
            at = self.chance.randrange(len(encoded) + 1)
            encoded = encoded[:at] + self.chance.randbytes(2) + encoded[at:]
        return encoded

    def mended(self, value: dict[str, Any]) -> dict[str, Any]:
        """With parts that can be taken, so that something happens."""
        key = msgspec.structs.replace(making.JOB, name=self.chance.choice(("web", "db", *"abcdefghi")))
        good = msgspec.to_builtins(job(self.chance.randrange(1, 4), key=key, task_config=making.config(job=key)))
        if "key" in value:
            return {**good, **{name: value[name] for name in self.some(value)}} if self.chance.random() < 0.5 else good
        if "taskConfig" in value:
            config = msgspec.structs.replace(job().task_config, priority=self.chance.randrange(3))
            settings = {"settings": {}} if "settings" in value and self.chance.random() < 0.7 else {}
            return {**value, "taskConfig": msgspec.to_builtins(config), "instanceCount": 3, **settings}
        return value

    def some(self, value: dict[str, Any]) -> list[str]:
        return [name for name in value if self.chance.random() < 0.3]

    def query(self, operation: dict[str, Any], wrong: float) -> str:
        given = [p for p in operation["parameters"] if p["in"] == "query" and self.chance.random() < 0.4]
        words = [f"{p['name']}={self.value(p['schema'], wrong)}" for p in given]
        if self.chance.random() < wrong:
            words.append(self.text())
        return "?" + "&".join(words) if words else ""

    def value(self, schema: dict[str, Any], wrong: float) -> str:
        if self.chance.random() < wrong:
            return quote(self.chance.choice(BAD), safe="%")
        if "example" in schema:
            return quote(str(schema["example"]))
        made = SCHEMAS.make(schema, self.chance, 0.0)
        return quote(json.dumps(made) if not isinstance(made, str) else made)

    def text(self) -> str:
        length = self.chance.randrange(12)
        plain = "".join(self.chance.choice(string.printable[:94]) for _ in range(length))
        return quote(self.chance.randbytes(length) if self.chance.random() < 0.5 else plain.encode(), safe="")


def check(method: str, path: str, status: int, kind: str, text: str, responses: dict[str, Any]) -> None:
    where = f"{method} {path}: {status} {text[:300]}"
    if status in (404, 405) and ("there is no such address" in text or "here are only" in text):
        assert kind == "text/html" or json.loads(text)["error"]["status"] == status, where
        return  # a part of the path was none
    assert status < 500 or responses.get(str(status), {}).get("description") != "Internal error", where
    assert "Traceback" not in text, where
    content = responses.get(str(status), {}).get("content", {})
    assert kind in content, where
    if kind == "application/json":
        assert list(SCHEMAS.problems(json.loads(text), content[kind]["schema"])) == [], where


async def something_there(s: Served) -> None:
    await s.create(3)
    s.registered()
    s.offers(*(making.offer(n, rack="a" if n % 2 else "b", cpus=0.5 * n) for n in range(6)))
    await s.until(lambda: not s.tables.tasks.count(s.active(0).status) or s.active(2).status == "ASSIGNED")
    s.status(s.active(0).id, "RUNNING")
    s.status(s.active(1).id, "FAILED")
    await s.post(f"{JOB}/instances", {"template": 0, "count": 2})


def test_thousands_of_requests() -> None:
    fuzzer = Fuzzer(20261126)
    seen: Counter[int] = Counter()
    reached: Counter[str] = Counter()

    async def test() -> None:
        rules = Rules(max_tasks_per_job=20)
        async with serving(service=ServiceSettings(cluster="rz1", rules=rules)) as s:
            await something_there(s)

            async def send() -> None:
                for _ in range(REQUESTS // AT_ONCE):
                    method, path, body, headers, responses = fuzzer.request()
                    answer = await s.ask(method, path, data=body, headers=headers)
                    text = await answer.text(errors="replace")
                    seen[answer.status] += 1
                    reached[f"{method} {path.partition('?')[0]}"] += answer.status < 300
                    check(method, path, answer.status, answer.content_type, text, responses)

            await asyncio.gather(*(send() for _ in range(AT_ONCE)))
            assert (await s.ask("GET", "/health")).status == 200
            assert s.loop.stats.bugs == 0

    run(test)
    assert seen[200] > REQUESTS / 3, "most of it must get somewhere"
    assert seen[201] > 5 and seen[400] > REQUESTS / 20 and seen[404] > REQUESTS / 100 and seen[409] > 5, seen
    for path in (
        "GET /api/v1/tasks", f"POST {JOB}/diff", "POST /api/v1/config/populate", "GET /api/v1/updates",
        f"POST {JOB}/updates/plan", f"POST {JOB}/updates", f"GET {JOB}/updates/active",
    ):  # fmt: skip
        assert reached[path] > 3, path
    assert reached[f"POST {JOB}/kill"] > 0 and reached[f"POST {JOB}/updates/active/abort"] > 0
