"""Whatever stands in an address: a page or a refusal, never an internal error, and always well-formed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from urllib.parse import quote

from scheduler.ui.table import PAGES
from tests.scheduler.api.served import Served, run, serving
from tests.scheduler.api.test_openapi import BAD
from tests.scheduler.ui.markup import check
from tests.scheduler.ui.test_pages import BROWSER
from tests.scheduler.ui.world import BIG, STUCK, WEB, fill

REQUESTS = 1_500
AT_ONCE = 8

WORDS = {
    "q": ["", "0", "host-1", "RUNNING", "rack:r1", "www", "%", "<b>"],
    "sort": ["", "instance", "status", "updated", "host", "role", "job", "tasks", "mode", "name", "active"],
    "reverse": ["", "1", "0", "true"],
    "offset": ["", "0", "1", "25", "9999999"],
    "num": ["", "1", "25", "100"],
    "tab": ["", "active", "completed", "all"],
    "status": ["", "RUNNING", "PENDING", "FAILED", "DELETED"],
    "mode": ["", "NONE", "DRAINING"],
    "left": ["", "0", "1"],
    "right": ["", "0", "1"],
    "hosts": ["", "0", "5", "500"],
    "fragment": ["", "1"],
    "jobView": ["history", "status"],
    "taskView": ["config"],
    "unknown": ["x"],
}

PARTS = {
    "role": ["www", "ads", "none"], "env": ["prod", "test", "none"], "name": ["api", "webserver", "trainer", "nightly"],
    "id": ["0", "2", "59", "99"], "uid": ["active", "00000001-0000-4000-8000-000000000000", "x"],
    "file": ["style.css", "live.js", "x"],
}  # fmt: skip

#: A stream; it does not end by itself.
LEFT_OUT = {"/live"}


def address(pick: random.Random, path: str, task_ids: list[str]) -> str:
    parts = {**PARTS, "taskId": task_ids}
    pieces = [
        (pick.choice(BAD) if pick.random() < 0.08 else quote(pick.choice(parts[piece[1:-1]]), safe=""))
        if piece.startswith("{")
        else piece
        for piece in path.split("/")
    ]
    names = pick.sample(sorted(WORDS), pick.choice((0, 0, 1, 2, 4)))
    values = [pick.choice(BAD) if pick.random() < 0.2 else quote(pick.choice(WORDS[name]), safe="") for name in names]
    query = "&".join(f"{name}={word}" for name, word in zip(names, values, strict=True))
    return "/".join(pieces) + (f"?{query}" if query else "")


async def one(s: Served, where: str, seen: Counter[int]) -> None:
    answer = await s.ask("GET", where, headers=BROWSER)
    text = await answer.text()
    assert answer.status in (200, 302, 400, 404), f"{where}: {answer.status} {text[:500]}"
    seen[answer.status] += 1
    if answer.content_type == "text/html":
        check(text, whole="<html" in text)


def test_no_address_is_an_internal_error() -> None:
    async def test() -> None:
        async with serving() as s:
            await fill(s, big=30)
            pick, seen = random.Random(7), Counter[int]()
            task_ids = [*(task.id for task in s.tables.tasks.all()), "x"]
            paths = [route.path for route in PAGES if route.path not in LEFT_OUT and not route.path.endswith("/")]
            todo = [address(pick, pick.choice(paths), task_ids) for _ in range(REQUESTS)]
            todo += [f"/scheduler/{job}" for job in (BIG, STUCK, WEB)]
            for first in range(0, len(todo), AT_ONCE):
                await asyncio.gather(*(one(s, where, seen) for where in todo[first : first + AT_ONCE]))
            assert min(seen[200], seen[400], seen[404]) > REQUESTS // 25, f"all kinds of answers: {seen}"

    run(test)
