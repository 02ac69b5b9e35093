"""10,000 requests that nobody should send, over real connections: never a 500, never a crash, never a write.

The requests are made from the OpenAPI document (good and bad values for every parameter) and from noise.
"""

from __future__ import annotations

import asyncio
import json
import random
import string
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from observer.table import openapi_document
from observer.ui import render
from tests.observer.build import Builder
from tests.observer.served import raw_get, run, serving
from thermos.core.states import TaskState

SEEDS = range(20261122, 20261126)
REQUESTS = 2_500  # of each: all of them at once would take minutes on a busy machine
AT_ONCE = 20

GOOD = {
    "ref": ["t", "done", "bad", "t~00000000"],
    "process": ["main", "other", "x"],
    "run": ["0", "1", "7"],
    "stream": ["stdout", "stderr"],
    "path": ["file", "dir", "dir/deep", "", ".logs/main/0/stdout"],
    "type": ["all", "active", "finished"],
    "offset": ["0", "5", "-3"],
    "num": ["0", "20"],
    "name": ["style.css", "build.version"],
}
BAD = [
    "", ".", "..", "%2e%2e", "%00", "%0a", "%ff", "%25", "%", "%zz", "a%2fb", "-1", "99999999999999999999", "1e9",
    "NaN",
    "0x10", "١", "null", "[]", "{}", "'", '"', "<b>", "a" * 300, "%F0%9F%92%A9", "~", "t~", "*", "\\", ";", "a;b", "+",
    "true", "-0", "00", "1.0", "inf", "%C3%28", "..%5c..", "CON",
]  # fmt: skip


class Fuzzer:
    """One seed, one sequence of requests."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.paths: dict[str, Any] = openapi_document()["paths"]
        self.names = sorted(path for path in self.paths if path != "/api/v1/events")

    def request(self) -> str:
        if self.random.random() < 0.1:
            return self.noise()
        path = self.random.choice(self.names)
        parts = [self.piece(part[1:-1]) if part.startswith("{") else part for part in path.split("/")]
        return "/".join(parts) + self.query(self.paths[path]["get"]["parameters"])

    def piece(self, name: str) -> str:
        if self.random.random() < 0.7:
            return self.random.choice(GOOD[name])
        return quote(self.random.choice(BAD), safe="%~") if self.random.random() < 0.8 else self.text()

    def query(self, parameters: list[dict[str, Any]]) -> str:
        chosen = [p for p in parameters if p["in"] == "query" and self.random.random() < 0.4]
        words = [f"{p['name']}={self.value(p['schema'])}" for p in chosen]
        if self.random.random() < 0.05:
            words.append(self.text())
        return "?" + "&".join(words) if words else ""

    def value(self, schema: dict[str, Any]) -> str:
        if self.random.random() < 0.3:
            return quote(self.random.choice(BAD), safe="%")
        if "enum" in schema:
            return str(self.random.choice(schema["enum"]))
        match schema["type"]:
            case "integer":
                edges = [schema.get("minimum", 0), schema.get("maximum", 10), 0, 1, 3, 1000, 2**31, 2**63]
                return str(self.random.choice(edges) + self.random.choice((-1, 0, 1)))
            case "boolean":
                return self.random.choice(("1", "0", "true", ""))
            case _:
                return self.random.choice(("main", "t", "line", "10:00:00", "2025-10-09 08:53", "t,done", self.text()))

    def noise(self) -> str:
        return "/" + "/".join(self.text() for _ in range(self.random.randrange(1, 6)))

    def text(self) -> str:
        length = self.random.randrange(12)
        raw = bytes(self.random.randrange(256) for _ in range(length))
        plain = "".join(self.random.choice(string.printable[:94]) for _ in range(length))
        return quote(raw) if self.random.random() < 0.5 else quote(plain, safe="/.;~%&=+")


def build(tmp_path: Path) -> Builder:
    made = Builder(tmp_path / "root")
    task = made.task("t", processes=("main", "other")).run("main", code=1).start("main")
    for run_number in (0, 1):
        task.log("main", run_number, "stdout", "2025-10-09 08:53:20 line\n" * 50)
    task.log("main", 1, "stdout", b"\xff\x00\x1b[31m old\n", rotated=1)
    (task.sandbox / "dir" / "deep").mkdir(parents=True)
    (task.sandbox / "file").write_bytes(b"\xff text\n" * 100)
    made.task("done").run("main").finish(TaskState.SUCCESS)
    bad = made.task("bad").start("main")
    bad.paths.runner.write_bytes(b"not a record\n" * 3)
    return made


def snapshot(directory: Path) -> list[tuple[str, int, int]]:
    return sorted((str(p), p.lstat().st_mtime_ns, p.lstat().st_size) for p in directory.rglob("*"))


@pytest.mark.parametrize("seed", SEEDS)
def test_ten_thousand_requests(tmp_path: Path, seed: int) -> None:
    made = build(tmp_path)
    before = snapshot(tmp_path)
    fuzzer = Fuzzer(seed)
    seen: dict[int, int] = {}

    async def test() -> None:
        async with serving(made.root, render=render) as s:

            async def send() -> None:
                for _ in range(REQUESTS // AT_ONCE):
                    path = fuzzer.request()
                    accept = {"Accept": fuzzer.random.choice(("text/html", "application/json"))}
                    answer = await raw_get(s.client, path, accept)
                    seen[answer.status] = seen.get(answer.status, 0) + 1
                    assert answer.status in (200, 206, 304, 400, 401, 403, 404, 405, 412, 414, 416, 421, 503), path
                    body = await answer.read()
                    assert b"Traceback" not in body, path
                    if answer.content_type == "application/json" and answer.status != 416:
                        json.loads(body)

            await asyncio.gather(*(send() for _ in range(AT_ONCE)))
            assert (await s.json("/j/task_id_count"))["all"] == 3

    run(test)
    assert sum(seen.values()) == REQUESTS
    assert seen[200] > REQUESTS / 10, "most of it must get somewhere"
    assert seen[404] > REQUESTS / 10
    assert snapshot(tmp_path) == before, "something was written"


def test_raw_nonsense_on_the_wire(tmp_path: Path) -> None:
    made = build(tmp_path)
    texts = [
        b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", b"G" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5_000 + b"\r\n", b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"CONNECT x:1 HTTP/1.1\r\n\r\n",
        b"GET //evil.example/%2e%2e HTTP/1.1\r\nHost: x\r\n\r\n", b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    ]  # fmt: skip

    async def test() -> None:
        async with serving(made.root) as s:
            for text in texts:
                reader, writer = await asyncio.open_connection(s.client.host, s.client.port)
                writer.write(text)
                try:
                    writer.write_eof()
                    answer = await asyncio.wait_for(reader.read(100_000), 20)
                except ConnectionError:
                    answer = b""  # it had enough before it had all
                assert not answer.startswith(b"HTTP/1.1 500"), text[:50]
                assert b"Traceback" not in answer, text[:50]
                writer.close()
            assert (await s.json("/j/task_id_count"))["all"] == 3

    run(test)
