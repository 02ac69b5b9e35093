"""A page costs the rows that it shows: of large jobs and clusters not much more than of small ones.

CPU time of this process, the least of several tries, so that a busy machine does not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import process_time

import pytest
from aiohttp import ClientSession, TCPConnector, hdrs
from msgspec import structs

from scheduler.core.model import AssignedTask, JobKey, ScheduledTask, TaskConfig, TaskEvent
from scheduler.core.states import ScheduleStatus
from scheduler.core.update_model import JobUpdateAction
from scheduler.store.ops import SaveTasks
from scheduler.ui import kept
from scheduler.ui.kept import LONGEST
from scheduler.ui.pages import KEPT
from tests.scheduler.api.served import Served, run, serving
from tests.scheduler.ui.test_live import fresh, heard, listen
from tests.scheduler.ui.test_pages import BROWSER
from tests.scheduler.ui.world import BIG, WEB, Story, config, move, offers

TRIES = 7
LARGE, SMALL = 4_000, 100
HOSTS, FEW_HOSTS = 10_000, 100

#: The one that BIG is in.
UPDATE = f"/scheduler/{BIG}/update/00000001-0000-4000-8000-000000000000"

_S = ScheduleStatus


@pytest.fixture(autouse=True)
def _nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "LONGEST", -1)


def tasks(wanted: TaskConfig, count: int, host: Callable[[int], int]) -> tuple[ScheduledTask, ...]:
    """All of them run."""
    events = tuple(TaskEvent(timestamp=1_700_000_000_000, status=s) for s in (_S.PENDING, _S.ASSIGNED, _S.RUNNING))
    return tuple(
        ScheduledTask(
            assigned_task=AssignedTask(
                task_id=f"{wanted.job.name}-{n}", task=wanted, instance_id=n, slave_id=f"a{host(n):05}",
                slave_host=f"host-{host(n)}.example",
            ),
            status=_S.RUNNING,
            task_events=events,
        )
        for n in range(count)
    )  # fmt: skip


async def seconds(s: Served, address: str) -> float:
    best = float("inf")
    for _ in range(TRIES):
        begun = process_time()
        answer = await s.ask("GET", address, headers={hdrs.ACCEPT: "text/html"})
        best = min(best, process_time() - begun)
        assert answer.status == 200, address
    return best


async def world(s: Served, instances: int, hosts: int) -> None:
    s.registered()
    await s.loop.act(lambda turn: turn.apply(SaveTasks(tasks=tasks(config(BIG), instances, lambda n: n % hosts))))
    others = [
        tasks(config(structs.replace(WEB, name=f"job{n}")), 1, lambda _, n=n: n % hosts) for n in range(hosts // 2)
    ]
    await s.loop.act(lambda turn: turn.apply(SaveTasks(tasks=tuple(task for each in others for task in each))))
    for first in range(0, hosts, 1_000):
        s.offers(*offers(range(first, min(hosts, first + 1_000))))
    story = Story(s, 1, BIG, config(BIG), config(BIG, "2"), instances, batch=50)
    await story.begin()
    await story.instances(JobUpdateAction.INSTANCE_UPDATING, *range(50))
    await story.instances(JobUpdateAction.INSTANCE_UPDATED, *range(40))


#: (address, how many times as much it may cost); an update shows all of its instances, however many there are.
PAGES = (
    (f"/scheduler/{BIG}?num=100", 4.0),
    (f"/scheduler/{BIG}?num=100&tab=all&sort=updated&q=host-", 4.0),
    (f"/scheduler/{BIG}/7", 3.0),
    ("/cluster?num=100", 4.0),
    ("/cluster?num=100&q=rack:r", 6.0),
    ("/scheduler", 8.0),
    ("/scheduler?q=job4", 8.0),
    ("/pending", 3.0),
    (f"{UPDATE}?num=100", 8.0),
)


def test_pages_of_large_things_cost_little_more_than_of_small_ones() -> None:
    async def test() -> None:
        async with serving() as small, serving() as large:
            await world(small, SMALL, FEW_HOSTS)
            await world(large, LARGE, HOSTS)
            found = [(each, most, await seconds(small, each), await seconds(large, each)) for each, most in PAGES]
            for address, _, one, other in found:
                print(f"{address}: {one * 1000:.1f} ms, {other * 1000:.1f} ms, {other / one:.1f} times")
            for address, most, one, other in found:
                assert other < one * most + 0.005, address

    run(test)


def test_a_large_update_is_no_large_page() -> None:
    async def test() -> None:
        async with serving() as s:
            await world(s, LARGE, FEW_HOSTS)
            answer = await s.ask("GET", UPDATE, headers={hdrs.ACCEPT: "text/html"})
            assert len(await answer.read()) < 150_000

    run(test)


def test_a_role_of_many_jobs_is_paged() -> None:
    async def test() -> None:
        async with serving() as s:
            many = [
                tasks(config(JobKey(role="www", environment="e", name=f"job{n}")), 1, lambda _: 1) for n in range(300)
            ]
            await s.loop.act(lambda turn: turn.apply(SaveTasks(tasks=tuple(task for each in many for task in each))))
            page = await (await s.ask("GET", "/scheduler/www?num=100", headers={hdrs.ACCEPT: "text/html"})).text()
            assert page.count("<tr data-key") == 100 and "1 to 100 of 300" in page

    run(test)


def test_two_hundred_open_pages_are_twenty_that_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a change, a word to each page, and the pages that are asked for then cost, both ends together."""
    monkeypatch.setattr(kept, "LONGEST", LONGEST)
    jobs = [structs.replace(WEB, name=f"job{n}") for n in range(20)]

    async def test() -> None:
        async with serving() as s, ClientSession(connector=TCPConnector(limit=0)) as browsers:
            many = [task for job in jobs for task in tasks(config(job), 100, lambda n: n)]
            await s.loop.act(lambda turn: turn.apply(SaveTasks(tasks=tuple(many))))
            pages = [job for job in jobs for _ in range(10)]
            asked = [f"?role={job.role}&environment={job.environment}&name={job.name}" for job in pages]
            streams = [await listen(replace(s, session=browsers), query) for query in asked]
            for job in jobs:
                await s.ask("GET", f"/scheduler/{job}?fragment=1", headers=BROWSER)
            made, begun = s.app[KEPT].made, process_time()
            for job in jobs:
                await move(s, job, range(4), "FAILED")
            for each in streams:
                assert b"changed" in await heard(each)
            for job in pages:
                await fresh(s, f"/scheduler/{job}?fragment=1")
            took = process_time() - begun
            print(f"80 changes, 200 words, 200 pages: {took * 1000:.0f} ms")
            assert 20 <= s.app[KEPT].made - made <= 60, "once for each job, and again only if seconds have passed"
            assert took < 5.0
            for each in streams:
                each.close()

    run(test)
