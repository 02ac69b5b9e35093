"""A web page must not be able to start a task here through a browser of this machine, of masters and of agents."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mesos.local.cluster import LocalCluster
from mesos.local.http_gate import check_caller
from mesos.local.http_words import Refusal
from tests.mesos.local.rim.live import PATH
from tests.mesos.local.rim.wire import ask
from tests.mesos.ports import own_port

PORT = own_port()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:5050", "127.0.0.1", "127.1.2.3:1", "[::1]:5050", "[::1]", "localhost:5050", "LOCALHOST", "localhost.",
     "my.localhost:5050", ""],
)  # fmt: skip
def test_programs_ask_at_loopback(host: str) -> None:
    check_caller({"Host": host})
    check_caller({})


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:5050", "127.0.0.1.evil.example:5050", "10.0.0.1:5050", "localhost.evil.example",
     "evillocalhost", "[::2]:5050", "0.0.0.0:5050", "localhost:5050@evil.example", "127.0.0.1:5050, evil.example",
     "2130706433", "[::1", "[]", ":5050"],
)  # fmt: skip
def test_a_name_that_was_made_to_lead_here_does_not(host: str) -> None:
    with pytest.raises(Refusal, match="asked for at a loopback address or at localhost"):
        check_caller({"Host": host})


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:5050", "http://localhost:8080", ""]
)
def test_no_page_may_ask(origin: str) -> None:
    with pytest.raises(Refusal, match="no web pages"):
        check_caller({"Host": "localhost:5050", "Origin": origin})


def test_a_page_subscribes_nobody_tears_nothing_down_and_reads_nothing(tmp_path: Path) -> None:
    subscribe = {"type": "SUBSCRIBE", "subscribe": {"framework_info": {"user": "nobody", "name": "page"}}}
    form = "application/x-www-form-urlencoded"

    async def main() -> None:
        async with asyncio.timeout(60), LocalCluster(tmp_path, PORT, agents=1):
            for page in ({"Host": f"evil.example:{PORT}"}, {"Origin": "https://evil.example"}):
                assert (await ask(PORT, "POST", PATH, subscribe, page)).status == 403
                assert (await ask(PORT, "POST", "/api/v1", {"type": "GET_STATE"}, page)).status == 403
                torn = await ask(PORT, "POST", "/teardown", "frameworkId=x", {"Content-Type": form, **page})
                assert torn.status == 403
                for port in (PORT, PORT + 1):
                    for method in ("GET", "OPTIONS"):
                        refused = await ask(port, method, "/state", headers=page)
                        assert refused.status == 403
                        assert "Access-Control-Allow-Origin" not in refused.headers
                assert (await ask(PORT + 1, "POST", "/api/v1/executor", {"type": "UPDATE"}, page)).status == 403
            assert (await ask(PORT, "GET", "/frameworks")).json["frameworks"] == []

    asyncio.run(main())
