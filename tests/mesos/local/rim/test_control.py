"""The door for faults: every verb does what it says to a running cluster, and says in one line what it can't do."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mesos.local.cluster import LocalCluster
from mesos.local.control import VERBS, Control, Door
from mesos.local.faults import Way
from tests.mesos.local.rim.live import FAST, Framework, pid_in
from tests.mesos.local.rim.wire import until
from tests.mesos.ports import own_port
from thermos.errors import HostError

PORT = own_port()


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def ask(path: Path, method: str, verb: str, body: bytes) -> tuple[int, Any]:
    connection = _Connection(path)
    try:
        connection.request(method, f"/{verb}", body)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


class Room:
    def __init__(self, cluster: LocalCluster, path: Path) -> None:
        self.cluster = cluster
        self.path = path

    async def do(self, verb: str, body: bytes | None = None, **words: Any) -> tuple[int, Any]:
        data = json.dumps(words).encode() if body is None else body
        return await asyncio.to_thread(ask, self.path, "POST", verb, data)

    async def state(self) -> Any:
        return (await asyncio.to_thread(ask, self.path, "GET", "", b""))[1]


@asynccontextmanager
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    path = tmp_path / ("long" * 40) / "control"
    async with LocalCluster(tmp_path / "work", PORT, agents=2, master_options=FAST) as cluster:
        door = Door(Control(cluster), path)
        await door.open()
        link = tmp_path / "s"
        link.symlink_to(path)
        try:
            yield Room(cluster, link)
        finally:
            await door.close()
            assert not path.exists()


def test_agents_are_killed_cut_off_and_come_back(tmp_path: Path) -> None:
    async def play() -> None:
        async with room(tmp_path) as r:
            state = await r.state()
            assert state["pid"] == os.getpid()
            assert state["master"] == {"url": f"http://127.0.0.1:{PORT}", "up": True}
            assert [(a["number"], a["host"], a["up"], a["partitioned"]) for a in state["agents"]] == [
                (0, "agent0", True, False),
                (1, "agent1", True, False),
            ]
            assert await r.do("kill-agent", agent=1) == (
                200, {"text": "killed agent 1 (agent1); its executors live on"},
            )  # fmt: skip
            assert not r.cluster.agent_is_up(1)
            assert await r.do("kill-agent", agent=1) == (
                409, {"error": "cannot kill agent 1 (agent1): it is down already"},
            )  # fmt: skip
            assert await r.do("start-agent", agent=1) == (200, {"text": "started agent 1 (agent1)"})
            assert (await r.do("start-agent", agent=1))[0] == 409
            assert (await r.do("partition-agent", agent=0))[0] == 200
            assert (await r.do("partition-agent", agent=0))[0] == 409
            assert {rule.way for rule in r.cluster.faults.rules} == {Way.TO_MASTER, Way.TO_AGENT}
            assert (await r.state())["agents"][0]["partitioned"]
            assert await r.do("heal") == (200, {"text": "agent 0 (agent0) can reach the master again"})
            assert r.cluster.faults.rules == ()
            assert await r.do("heal", agent=0) == (200, {"text": "nothing was cut off"})

    asyncio.run(play())


def test_the_master_and_executors_are_killed(tmp_path: Path) -> None:
    async def play() -> None:
        async with room(tmp_path) as r:
            framework = Framework(PORT)
            await framework.subscribe()
            await framework.launch("t")
            pid = pid_in(await framework.status("t", "TASK_RUNNING"))
            (executor,) = [e for a in (await r.state())["agents"] for e in a["executors"]]
            assert executor["framework"] == framework.id["value"] if framework.id else False
            code, told = await r.do("kill-executor", executor=executor["id"])
            assert (code, told["text"].startswith(f"killed executor {executor['id']} on agent ")) == (200, True)
            await until(lambda: not Path(f"/proc/{pid}").exists())
            assert (await r.do("kill-executor", executor="none"))[0] == 409
            await framework.launch("t2")
            pid = pid_in(await framework.status("t2", "TASK_RUNNING"))
            assert await r.do("end-agents") == (200, {"text": "2 agents end, and all that runs on them"})
            await until(lambda: not any(map(r.cluster.agent_is_up, (0, 1))))
            assert not Path(f"/proc/{pid}").exists()
            framework.close()
            assert (await r.do("kill-master"))[0] == 200
            assert (await r.state())["master"]["up"] is False
            assert (await r.do("kill-master"))[0] == 409
            assert (await r.do("start-master"))[0] == 200
            assert (await r.do("start-master"))[0] == 409
            assert (await r.do("restart-master"))[0] == 200
            assert (await r.state())["master"]["up"] is True

    asyncio.run(play())


@pytest.mark.parametrize(
    ("verb", "body", "status"),
    [
        ("kill-agent", b"{}", 400),
        ("kill-agent", b'{"agent": 2}', 400),
        ("kill-agent", b'{"agent": -1}', 400),
        ("kill-agent", b'{"agent": "one"}', 400),
        ("heal", b'{"agent": 7}', 400),
        ("kill-executor", b"", 400),
        ("kill-agent", b"[", 400),
        ("explode", b"{}", 404),
        ("kill-agent", b"x" * 5000, 413),
    ],
)
def test_what_nobody_understands(tmp_path: Path, verb: str, body: bytes, status: int) -> None:
    async def play() -> None:
        async with room(tmp_path) as r:
            try:
                assert (await r.do(verb, body))[0] == status
            except json.JSONDecodeError:
                assert status == 413
            assert all(agent["up"] for agent in (await r.state())["agents"])

    asyncio.run(play())


def test_only_its_owner_may_open_it_and_a_leftover_is_replaced(tmp_path: Path) -> None:
    async def play() -> None:
        path = tmp_path / "control"
        left = socket.socket(socket.AF_UNIX)
        left.bind(str(path))
        left.close()
        door = Door(Control(LocalCluster(tmp_path / "work", PORT, agents=0)), path)
        await door.open()
        assert path.stat().st_mode & 0o777 == 0o600
        await door.close()
        assert not path.exists()

        (tmp_path / "file").write_text("")
        with pytest.raises(HostError, match="cannot listen on"):
            await Door(Control(LocalCluster(tmp_path / "work", PORT, agents=0)), tmp_path / "file").open()
        assert (tmp_path / "file").read_text() == ""

    asyncio.run(play())


def test_the_page_and_the_table_name_the_same_verbs() -> None:
    assert {verb.replace("-", "_") for verb in VERBS} == {
        name for name in vars(Control) if not name.startswith("_") and name != "state"
    }
