"""What open pages cost: a word a second at most, and only when something happened to what they show; pages are made
once for all who look.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

import pytest
from aiohttp import ClientResponse

from scheduler.event_log import Bell, EventLog
from scheduler.ui import kept as kept_pages
from scheduler.ui import stream
from scheduler.ui.kept import LONGEST, MOST, KeptPages, Shown
from scheduler.ui.pages import KEPT
from tests.scheduler.api.served import Served, run, serving
from tests.scheduler.core import making
from tests.scheduler.ui.test_pages import BROWSER
from tests.scheduler.ui.world import BIG, WEB, config, create

ALL = (None, None, None)


async def heard(answer: ClientResponse, seconds: float = 30.0) -> bytes:
    """The next thing said on a stream."""
    async with asyncio.timeout(seconds):
        return await answer.content.readuntil(b"\n\n")


async def listen(s: Served, query: str = "") -> ClientResponse:
    answer = await s.session.get(f"{s.base}/live{query}")
    assert (answer.status, answer.content_type) == (200, "text/event-stream")
    assert b"welcome" in await heard(answer)
    return answer


def test_a_page_hears_of_its_job_and_of_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PAUSE_S", 0.01)

    async def test() -> None:
        async with serving() as s:
            mine = await listen(s, "?role=www&environment=test&name=webserver")
            of_role = await listen(s, "?role=www")
            everything = await listen(s)
            await create(s, config(BIG), 1)
            for each in (of_role, everything):
                assert await heard(each) == b"event: changed\ndata: {}\n\n"
            with pytest.raises(TimeoutError):
                await heard(mine, 0.05)
            await create(s, config(WEB), 1)
            assert b"changed" in await heard(mine)
            for each in (mine, of_role, everything):
                each.close()

    run(test)


def test_however_much_happens_a_page_hears_of_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And once more behind the pause, for what happened meanwhile."""
    monkeypatch.setattr(stream, "PAUSE_S", 0.2)

    async def test() -> None:
        async with serving() as s:
            mine = await listen(s)
            begun = s.loop.now().mono
            for instance in range(50):
                await s.loop.act(lambda turn, i=instance: s.loop.engine.insert(turn, config(WEB), [i]))
            words, seconds = 0, s.loop.now().mono - begun
            with suppress(TimeoutError):
                while await heard(mine, 30 if words < 2 else 0.6) == b"event: changed\ndata: {}\n\n":
                    words += 1
            assert 2 <= words <= 2 + seconds / 0.2, f"{words} words about 50 changes in {seconds:.2f} s"
            mine.close()

    run(test)


def test_the_end_of_the_server_ends_the_streams() -> None:
    async def test() -> None:
        async with serving() as s:
            mine = await listen(s)
            s.loop.events.close()
            async with asyncio.timeout(30):
                await mine.content.read()

    run(test)


def test_there_is_room_for_so_many_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST", 2)

    async def test() -> None:
        async with serving() as s:
            open_pages = [await listen(s) for _ in range(2)]
            await s.refused("GET", "/live", status=503, code="TRANSIENT")
            assert (await s.ask("HEAD", "/live")).status == 200
            for each in open_pages:
                each.close()

    run(test)


def test_many_pages_hear_less_often() -> None:
    streams = stream.OpenStreams()
    streams.count = 1
    assert streams.pause_s == stream.PAUSE_S
    streams.count = 200
    assert streams.pause_s == 200 / stream.WORDS_PER_S


# --- pages that are kept ---------------------------------------------------------------------------------------------


async def fresh(s: Served, address: str) -> str:
    """As an open page asks: once more, if what it gets is old."""
    while True:
        answer = await s.ask("GET", address, headers=BROWSER)
        if "Retry-After" not in answer.headers:
            return await answer.text()
        await asyncio.sleep(float(answer.headers["Retry-After"]))


def test_a_page_is_made_once_until_something_happens_to_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PAUSE_S", 0.1)

    async def test() -> None:
        async with serving() as s:
            await create(s, config(WEB), 2)
            await create(s, config(BIG), 2)
            kept = s.app[KEPT]
            address = f"/scheduler/{WEB}?fragment=1"
            texts = [await (await s.ask("GET", address, headers=BROWSER)).text() for _ in range(20)]
            assert len(set(texts)) == 1
            assert kept.made <= 2, "anew only if some seconds have passed"
            before = kept.made
            await s.loop.act(lambda turn: s.loop.engine.insert(turn, config(WEB), [2]))
            assert "0-2" in await fresh(s, address)
            assert kept.made == before + 1

    run(test)


def test_what_is_kept_is_bounded_and_grows_old() -> None:
    async def test() -> None:
        clock = [0.0]
        log, kept = EventLog("b"), KeptPages[str](lambda: clock[0], lambda _: 2.0)
        assert kept.get("/a", log, ALL, lambda: "one", str) == Shown("one")
        clock[0] = 1.9
        assert kept.get("/a", log, ALL, lambda: "two", str) == Shown("one")
        clock[0] = 2.0
        assert kept.get("/a", log, ALL, lambda: "two", str) == Shown("two")
        for number in range(3 * MOST):
            kept.get(f"/{number}", log, ALL, lambda: "x", str)
        kept.get("/long", log, ALL, lambda: "x" * (LONGEST + 1), str)
        with pytest.raises(ZeroDivisionError):
            kept.get("/broken", log, ALL, lambda: str(1 // 0), str)
        assert len(log._waiting[ALL]) == MOST, "bells of what is not kept are gone, too"

    asyncio.run(test())


def test_a_slow_page_is_not_made_at_every_word() -> None:
    async def test() -> None:
        async with serving() as s:
            clock, made = [0.0], []

            def slow() -> str:
                clock[0] += 0.25
                made.append(clock[0])
                return f"page {len(made)}"

            kept = KeptPages[str](lambda: clock[0], lambda _: 2.0)
            for _ in range(100):
                await s.loop.act(lambda turn: s.loop.engine.insert(turn, making.config(), [len(s.tables.tasks)]))
                shown = kept.get("/slow", s.loop.events, ALL, slow, str)
                assert shown.html == f"page {len(made)}"
                is_new = made[-1] == clock[0]
                assert shown.fresh_in_s == (0 if is_new else pytest.approx(made[-1] - 0.25 + 2.5 - clock[0]))
                clock[0] += 0.1
            assert len(made) <= 5, "a tenth of the time goes into it at most"

    run(test)


def test_what_open_pages_ask_for_is_not_made_at_every_word_either() -> None:
    """However quick it is. Who opens a page gets what is true."""

    async def test() -> None:
        async with serving() as s:
            clock, made = [0.0], {True: 0, False: 0}
            kept = KeptPages[str](lambda: clock[0], lambda _: 2.0)

            def quick(is_open: bool) -> str:
                made[is_open] += 1
                clock[0] += 0.005
                return "seen"

            def shown(text: str) -> str:
                clock[0] += 0.005
                return text

            for _ in range(100):
                await s.loop.act(lambda turn: s.loop.engine.insert(turn, making.config(), [len(s.tables.tasks)]))
                for is_open in (True, False):
                    address = f"/{is_open}"
                    kept.get(address, s.loop.events, ALL, partial(quick, is_open), shown, at_every_word=is_open)
            assert made[False] == 100
            assert clock[0] > 1.0 and 10 <= made[True] <= clock[0] / 0.1 + 1, "a tenth of the time at most"

    run(test)


def test_who_gets_an_old_page_is_told_when_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_pages, "SLOW_S", 0.0)
    monkeypatch.setattr(kept_pages, "SHARE", 1e6)

    async def test() -> None:
        async with serving() as s:
            await create(s, config(WEB), 1)
            first = await s.ask("GET", f"/scheduler/{WEB}")
            assert "Retry-After" not in first.headers
            await s.loop.act(lambda turn: s.loop.engine.insert(turn, config(WEB), [1]))
            second = await s.ask("GET", f"/scheduler/{WEB}")
            assert await second.text() == await first.text()
            assert float(second.headers["Retry-After"]) > 0
            monkeypatch.setattr(kept_pages, "SHARE", 40)
            told = []
            for number in range(2, 30):
                await s.loop.act(lambda turn, n=number: s.loop.engine.insert(turn, config(WEB), [n]))
                answer = await s.ask("GET", f"/scheduler/{WEB}?fragment=1")
                told.append(float(answer.headers.get("Retry-After", 0)))
            waits = [each for each in told if each]
            assert waits and min(waits) >= 1.0, "an open page hears of news once a second, and asks no more often"

    run(test)


def test_a_bell_rings_once_until_it_is_armed_again() -> None:
    async def test() -> None:
        async with serving() as s:
            events = s.loop.events
            mine, other = Bell(events, ("www", "prod", "web")), Bell(events, ("ads", None, None))
            await create(s, making.config(), 1)
            await mine.rung()
            assert mine.has_rung and not other.has_rung
            mine.arm()
            assert not mine.has_rung
            mine.close()
            await s.loop.act(lambda turn: s.loop.engine.insert(turn, making.config(), [1]))
            assert not mine.has_rung, "it is closed"
            events.close()
            await other.rung()
            other.arm()
            assert other.has_rung, "the end does not go away"

    run(test)
