"""Masters that elect their leader through a real ZooKeeper, and the nodes that others find it by."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import pytest
from kazoo.client import KazooClient

from mesos.core.leader import ZooKeeperPath, parse_masters
from mesos.core.messages import Address, MasterInfo
from mesos.local.election import Alone, Leader, ZooKeeperElection
from tests.mesos.local.rim.wire import until
from tests.mesos.zookeeper import ZooKeeperServer, zookeeper
from thermos.errors import RemoteError

__all__ = ["zookeeper"]


class Candidate:
    """An election, and all that it said."""

    def __init__(self, where: ZooKeeperPath, port: int, session_timeout_s: float = 10.0) -> None:
        self.port = port
        self.said: list[Leader | None] = []
        numbers = count()
        self.election = ZooKeeperElection(where, lambda: info(port, f"{port}-{next(numbers)}"), session_timeout_s)

    @property
    def leader(self) -> Leader | None:
        return self.said[-1] if self.said else None

    @property
    def leads(self) -> bool:
        return self.leader is not None and self.leader.is_us

    async def start(self) -> None:
        await self.election.start(self.said.append)


def info(port: int, identity: str) -> MasterInfo:
    return MasterInfo(id=identity, port=port, address=Address(hostname="127.0.0.1", ip="127.0.0.1", port=port))


def path_of(text: str) -> ZooKeeperPath:
    where = parse_masters(text)
    assert isinstance(where, ZooKeeperPath)
    return where


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(90):
            await test()

    asyncio.run(main())


def test_alone_it_leads() -> None:
    async def test() -> None:
        said: list[Any] = []
        election = Alone(lambda: info(5050, "a"))
        await election.start(said.append)
        assert [(leader.is_us, leader.address) for leader in said] == [(True, "127.0.0.1:5050")]
        await election.stop()

    run(test)


def test_the_first_leads_and_when_it_leaves_the_next(zookeeper: ZooKeeperServer) -> None:
    async def test() -> None:
        everyone = [Candidate(path_of(f"zk://{zookeeper.address}/a/mesos"), 5050 + n) for n in range(3)]
        for candidate in everyone:
            await candidate.start()
            await until(lambda candidate=candidate: candidate.leader)  # so the order is known
        assert [candidate.leads for candidate in everyone] == [True, False, False]
        assert {c.leader.address for c in everyone if c.leader} == {"127.0.0.1:5050"}
        client = KazooClient(zookeeper.address)
        client.start()
        names = sorted(client.get_children("/a/mesos"))
        assert names == [f"json.info_{number:010}" for number in range(3)]
        data, stat = client.get(f"/a/mesos/{names[0]}")
        assert stat.ephemeralOwner != 0
        assert json.loads(data)["address"] == {"hostname": "127.0.0.1", "ip": "127.0.0.1", "port": 5050}
        client.create("/a/mesos/log_replicas")  # what others keep there does not matter
        await everyone[0].election.stop()
        await until(lambda: everyone[1].leads)
        await until(lambda: everyone[2].leader == Leader(everyone[1].leader.info, is_us=False))  # type: ignore[union-attr]
        assert everyone[0].said[1:] == []
        client.stop()
        client.close()
        for candidate in everyone[1:]:
            await candidate.election.stop()

    run(test)


def test_a_leader_whose_zookeeper_is_away_steps_down_and_comes_back_as_another(zookeeper: ZooKeeperServer) -> None:
    async def test() -> None:
        candidate = Candidate(path_of(f"zk://{zookeeper.address}/mesos"), 5050, session_timeout_s=2.0)
        await candidate.start()
        await until(lambda: candidate.leads)
        zookeeper.kill()
        await until(lambda: candidate.leader is None, what="stepping down")
        await asyncio.to_thread(zookeeper.start)
        await until(lambda: candidate.leads, 60)
        first, gap, *rest = [leader and leader.info.id for leader in candidate.said]
        assert (first, gap) == ("5050-0", None)
        assert "5050-0" not in rest
        await candidate.election.stop()

    run(test)


def test_a_short_absence_of_zookeeper_changes_nothing(zookeeper: ZooKeeperServer) -> None:
    async def test() -> None:
        where = path_of(f"zk://{zookeeper.address}/mesos")
        said: list[Leader | None] = []
        election = ZooKeeperElection(where, lambda: info(5050, "only"), session_timeout_s=10.0)
        await election.start(said.append)
        await until(lambda: said)
        await asyncio.to_thread(zookeeper.restart)
        client = KazooClient(zookeeper.address)
        await asyncio.to_thread(client.start)
        assert client.get_children("/mesos") == ["json.info_0000000000"]
        await asyncio.to_thread(client.stop)
        client.close()
        assert len(said) == 1
        await election.stop()

    run(test)


def test_a_password_protects_the_nodes(zookeeper: ZooKeeperServer) -> None:
    async def test() -> None:
        candidate = Candidate(path_of(f"zk://me:pw@{zookeeper.address}/mesos"), 5050)
        await candidate.start()
        await until(lambda: candidate.leads)
        client = KazooClient(zookeeper.address)
        await asyncio.to_thread(client.start)
        acls = client.get_acls("/mesos/json.info_0000000000")[0]
        assert sorted(acl.id.scheme for acl in acls) == ["digest", "world"]
        assert [acl.acl_list for acl in acls if acl.id.scheme == "world"] == [["READ"]]
        await asyncio.to_thread(client.stop)
        client.close()
        await candidate.election.stop()

    run(test)


def test_without_a_zookeeper_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        monkeypatch.setattr("mesos.local.election._START_S", 0.5)
        candidate = Candidate(path_of("zk://127.0.0.1:1/mesos"), 5050)
        with pytest.raises(RemoteError, match=r"cannot reach ZooKeeper at 127\.0\.0\.1:1:"):
            await candidate.start()

    run(test)
