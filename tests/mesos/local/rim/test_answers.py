"""Odd requests at a LocalCluster get the answers that a real master gave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesos.local.cluster import LocalCluster
from tests.mesos.local.rim.answers import CALLS, FORMS, INFO, MAINTENANCE, METHODS, OPERATIONS, SUBSCRIPTIONS, Row
from tests.mesos.local.rim.wire import JSON, Open, ask, open_request
from tests.mesos.ports import own_port

PORT = own_port()


class Asked:
    """A cluster with one framework, and a loop to ask it from."""

    def __init__(self, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self.cluster = LocalCluster(folder, PORT, agents=1)
        self.runner.run(self.cluster.start())
        body = {"type": "SUBSCRIBE", "subscribe": {"framework_info": INFO | {"failover_timeout": 3600}}}
        self.stream: Open = self.runner.run(open_request(PORT, "POST", "/api/v1/scheduler", json.dumps(body), JSON))
        subscribed = self.runner.run(self.stream.next("SUBSCRIBED"))["subscribed"]
        self.framework: str = subscribed["framework_id"]["value"]

    def fill(self, text: str) -> str:
        stream = self.stream.headers["Mesos-Stream-Id"]
        return text.replace("{stream}", stream).replace("{framework}", self.framework)

    def check(self, row: Row) -> None:
        headers = {key: self.fill(value) for key, value in row.headers.items()}
        got = self.runner.run(ask(PORT, row.method, row.path, self.fill(row.body), headers))
        wanted = self.fill(row.text) if row.text is not None else got.text
        assert (got.status, got.text) == (row.status, wanted)
        assert {key: got.headers.get(key) for key in row.answered} == row.answered
        if row.status >= 400:
            assert got.headers["Content-Type"] == "text/plain; charset=utf-8"

    def close(self) -> None:
        self.stream.close()
        self.runner.run(self.cluster.stop())
        self.runner.close()


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    one = Asked(tmp_path_factory.mktemp("cluster"))
    yield one
    one.close()


@pytest.mark.parametrize("row", [*METHODS, *FORMS, *SUBSCRIPTIONS, *CALLS, *OPERATIONS], ids=str)
def test_a_request_gets_the_answer_of_a_real_master(asked: Asked, row: Row) -> None:
    asked.check(row)


def test_a_maintenance_from_schedule_to_up(asked: Asked) -> None:
    for row in MAINTENANCE:
        asked.check(row)


def test_views_are_what_tools_read(asked: Asked) -> None:
    def view(path: str) -> Any:
        return asked.runner.run(ask(PORT, "GET", path)).json

    state = view("/master/state")
    assert state["version"] == "1.11.0"
    assert state["leader"] == f"master@127.0.0.1:{PORT}"
    assert [slave["hostname"] for slave in state["slaves"]] == ["agent0"]
    assert [framework["name"] for framework in state["frameworks"]] == ["x"]
    assert view("/slaves")["slaves"][0]["resources"]["cpus"] == 4.0
    assert view("/metrics/snapshot")["master/elected"] == 1.0
    assert view("/flags")["flags"]["port"] == str(PORT)
    assert view("/version")["version"] == "1.11.0"
    assert view("/state-summary")["slaves"][0]["TASK_RUNNING"] == 0


def test_the_redirect_leads_to_the_leader_without_a_scheme(asked: Asked) -> None:
    for path in ("/redirect", "/master/redirect"):
        got = asked.runner.run(ask(PORT, "GET", path))
        assert (got.status, got.headers["Location"], got.body) == (307, f"//127.0.0.1:{PORT}", b"")


def test_an_invalid_framework_is_told_on_its_stream_which_ends(asked: Asked) -> None:
    async def test() -> None:
        info = INFO | {"roles": ["a", "b"]}
        body = json.dumps({"type": "SUBSCRIBE", "subscribe": {"framework_info": info}})
        stream = await open_request(PORT, "POST", "/api/v1/scheduler", body, JSON)
        assert stream.status == 200
        await stream.end()
        text = "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable"
        assert stream.events == [{"type": "ERROR", "error": {"message": text}}]
        stream.close()

    asked.runner.run(test())


def test_a_second_subscription_takes_over_and_the_first_stream_is_told(asked: Asked) -> None:
    async def test() -> None:
        body = {"type": "SUBSCRIBE", "subscribe": {"framework_info": INFO | {"failover_timeout": 3600}}}
        first = await open_request(PORT, "POST", "/api/v1/scheduler", json.dumps(body), JSON)
        identity = (await first.next("SUBSCRIBED"))["subscribed"]["framework_id"]
        info = INFO | {"failover_timeout": 3600, "id": identity}
        body = {"type": "SUBSCRIBE", "framework_id": identity, "subscribe": {"framework_info": info}}
        second = await open_request(PORT, "POST", "/api/v1/scheduler", json.dumps(body), JSON)
        await second.next("SUBSCRIBED")
        assert (await first.next("ERROR"))["error"]["message"] == "Framework failed over"
        await first.end()
        revive = {"type": "REVIVE", "framework_id": identity}
        old = {"Mesos-Stream-Id": first.headers["Mesos-Stream-Id"]}
        assert (await ask(PORT, "POST", "/api/v1/scheduler", revive, old)).status == 400
        second.close()
        new = {"Mesos-Stream-Id": second.headers["Mesos-Stream-Id"]}

        async def gone() -> bool:
            got = await ask(PORT, "POST", "/api/v1/scheduler", revive, new)
            return (got.status, got.text) == (403, "Framework is not subscribed")

        async with asyncio.timeout(20):
            while not await gone():
                await asyncio.sleep(0.02)
        got = await ask(PORT, "POST", "/teardown", f"frameworkId={identity['value']}")
        assert (got.status, got.body) == (200, b"")
        again = await open_request(PORT, "POST", "/api/v1/scheduler", json.dumps(body), JSON)
        await again.end()
        assert again.events == [{"type": "ERROR", "error": {"message": "Framework has been removed"}}]
        for stream in (first, again):
            stream.close()

    asked.runner.run(test())


def test_the_stream_of_an_operator(asked: Asked) -> None:
    async def test() -> None:
        stream = await open_request(PORT, "POST", "/api/v1", '{"type":"SUBSCRIBE"}', JSON)
        assert (stream.status, stream.headers["Content-Type"]) == (200, "application/json")
        subscribed = (await stream.next("SUBSCRIBED"))["subscribed"]
        assert [a["agent_info"]["hostname"] for a in subscribed["get_state"]["get_agents"]["agents"]] == ["agent0"]
        await stream.next("HEARTBEAT")
        body = json.dumps({"type": "SUBSCRIBE", "subscribe": {"framework_info": INFO}})
        framework = await open_request(PORT, "POST", "/api/v1/scheduler", body, JSON)
        await stream.next("FRAMEWORK_ADDED")
        framework.close()
        await stream.next("FRAMEWORK_REMOVED")
        stream.close()

    asked.runner.run(test())
