"""Large answers: their bytes arrive, slow readers hold a bounded amount of memory, and not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from web.answers import problem_json
from web.asking import Problem
from web.large import LARGE, LargeAnswers

BODY = bytes(range(256)) * 40_000  # 10 MB: more than a connection takes by itself


@asynccontextmanager
async def served(answers: LargeAnswers, body: bytes = BODY) -> AsyncIterator[TestServer]:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await answers.send(request, web.Response(body=body, content_type="application/json"))
        except Problem as problem:
            return problem_json(problem.status, problem.detail)

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestServer(app) as server:
        yield server


async def reader(server: TestServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Asks, and reads the head only."""
    opened = await asyncio.open_connection(server.host, server.port, limit=1000)
    opened[1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await opened[0].readuntil(b"\r\n\r\n")
    return opened


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(bounded())


@pytest.mark.parametrize("body", [b"", b"{}", b"x" * (LARGE - 1), b"x" * LARGE, BODY])
def test_every_byte_arrives_and_the_connection_lives_on(body: bytes) -> None:
    async def test() -> None:
        answers = LargeAnswers()
        async with served(answers, body) as server, ClientSession() as session:
            for _ in range(2):
                answer = await session.get(server.make_url("/"))
                assert await answer.read() == body
                assert answer.headers["Content-Type"] == "application/json"
                assert answer.headers["Content-Length"] == str(len(body))
            head = await session.head(server.make_url("/"))
            assert head.headers.get("Content-Length", "0") == str(len(body)) and not await head.read()
            assert answers.under_way == 0

    run(test)


def test_what_is_under_way_is_bounded_and_who_reads_makes_room() -> None:
    async def test() -> None:
        answers = LargeAnswers(most=2 * len(BODY))
        async with served(answers) as server, ClientSession() as session:
            slow = [await reader(server) for _ in range(2)]
            assert answers.under_way == 2 * len(BODY)
            refused = await session.get(server.make_url("/"))
            assert refused.status == 503 and "ask again later" in await refused.text()
            assert await slow[0][0].readexactly(len(BODY)) == BODY
            while answers.under_way > len(BODY):
                await asyncio.sleep(0.001)
            assert await (await session.get(server.make_url("/"))).read() == BODY
            for _, writer in slow:
                writer.close()

    run(test)


def test_one_answer_is_always_sent() -> None:
    async def test() -> None:
        async with served(LargeAnswers(most=1)) as server, ClientSession() as session:
            assert await (await session.get(server.make_url("/"))).read() == BODY

    run(test)


def test_who_does_not_read_loses_the_connection() -> None:
    async def test() -> None:
        answers = LargeAnswers(patience_s=0.05)
        async with served(answers) as server:
            stream, writer = await reader(server)
            while answers.under_way:
                await asyncio.sleep(0.001)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await stream.readexactly(len(BODY))
            writer.close()

    run(test)


def test_who_goes_away_holds_nothing() -> None:
    async def test() -> None:
        answers = LargeAnswers()
        async with served(answers) as server:
            _, writer = await reader(server)
            assert answers.under_way == len(BODY)
            writer.transport.abort()
            while answers.under_way:
                await asyncio.sleep(0.001)

    run(test)
