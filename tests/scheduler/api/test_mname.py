"""`/mname` leads to where an instance runs, with all that was asked, and nowhere else."""

from __future__ import annotations

import msgspec
import pytest

from scheduler.core.model import Resource
from tests.scheduler.api.served import Served, run, serving
from tests.scheduler.core import making

WEB = "/mname/www/prod/web"


async def running(s: Served, *ports: str, host: str = "a.example") -> dict[str, int]:
    """Instance 0 runs; its ports."""
    config = making.config()
    resources = (
        *(each for each in config.resources if each.named_port is None),
        *(Resource(named_port=p) for p in ports),
    )
    await s.create(2, task_config=msgspec.structs.replace(config, is_service=True, resources=resources))
    s.registered()
    s.offers(making.offer(1, host=host))
    await s.until(lambda: s.active(0).status == "ASSIGNED")
    s.status(s.active(0).id, "RUNNING")
    await s.until(lambda: s.active(0).status == "RUNNING")
    return dict(s.active(0).assigned_task.assigned_ports)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
def test_it_leads_there_with_all_that_was_asked(method: str) -> None:
    async def test() -> None:
        async with serving() as s:
            ports = await running(s, "other", "admin", "http")
            base = f"http://a.example:{ports['http']}"
            for asked, to in [
                ("", "/"), ("/", "/"), ("/a/b%2Fc", "/a/b%2Fc"), ("?x=1&y=%20", "/?x=1&y=%20"),
                ("/deep/er?q=//evil", "/deep/er?q=//evil"), ("//evil.example", "//evil.example"),
            ]:  # fmt: skip
                answer = await s.ask(method, f"{WEB}/0{asked}", data=b"{}" if method in ("POST", "PUT") else None)
                assert (answer.status, answer.headers["Location"]) == (307, base + to), asked

    run(test)


def test_the_first_of_the_ports_is_taken() -> None:
    async def test() -> None:
        async with serving() as s:
            ports = await running(s, "web", "http", "health")
            assert (await s.ask("GET", f"{WEB}/0")).headers["Location"] == f"http://a.example:{ports['health']}/"

    run(test)


def test_there_is_nothing_to_be_led_to() -> None:
    async def test() -> None:
        async with serving() as s:
            await running(s, "other")
            for path, words in [
                (f"{WEB}/0", "www/prod/web/0 has no port that is called health, http"),
                (f"{WEB}/1/x", "www/prod/web/1 is not running"),
                (f"{WEB}/7", "www/prod/web/7 is not running"),
                (f"{WEB}/x", "there is no instance x"),
                (f"{WEB}/-1", "there is no instance -1"),
                ("/mname/www/prod/web", "there is no such address"),
            ]:
                assert words in await s.refused("GET", path, status=404, code="NOT_FOUND")

    run(test)


@pytest.mark.parametrize("host", ["a b", "a\r\nX-Evil: 1", "a/../b", "a@b"])
def test_a_host_of_an_odd_name_leads_nowhere(host: str) -> None:
    async def test() -> None:
        async with serving() as s:
            await running(s, "http", host=host)
            told = await s.refused("GET", f"{WEB}/0", status=404, code="NOT_FOUND")
            assert told == "the host of www/prod/web/0 has no name that could be asked"

    run(test)


def test_a_host_that_is_an_address() -> None:
    async def test() -> None:
        async with serving() as s:
            ports = await running(s, "http", host="fe80::1")
            assert (await s.ask("GET", f"{WEB}/0/x")).headers["Location"] == f"http://[fe80::1]:{ports['http']}/x"

    run(test)
