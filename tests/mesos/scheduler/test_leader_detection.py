"""Leader detection in a real ZooKeeper, and in a list of addresses."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import ConnectionLoss, NoNodeError
from kazoo.security import make_digest_acl

from mesos.core.leader import MasterList, ZooKeeperPath
from mesos.leader import LeaderDetector, ListedMasters, ZooKeeperMasters, leader_detector
from tests.mesos.scheduler.masters import driving, good, master, until
from tests.mesos.zookeeper import ZooKeeperEnsemble, ZooKeeperServer, is_installed
from thermos.errors import UserError


@contextmanager
def client_of(address: str, session_s: float = 10.0) -> Iterator[KazooClient]:
    """As a master has it."""
    client = KazooClient(address, timeout=session_s)
    client.start(timeout=30)
    try:
        yield client
    finally:
        client.stop()
        client.close()


def node(port: int) -> bytes:
    address = {"hostname": "m.example", "ip": "127.0.0.1", "port": port}
    return json.dumps({"address": address, "hostname": "m.example", "id": "x", "ip": 16777343, "port": port}).encode()


def announce(client: KazooClient, port: int) -> str:
    return str(client.create("/mesos/json.info_", node(port), ephemeral=True, sequence=True, makepath=True))


async def test_a_list_is_gone_through_in_a_circle() -> None:
    told: list[str | None] = []
    listed = ListedMasters(MasterList(("http://a:1", "http://b:1")))
    listed.failed("http://a:1")  # before the start: nobody to tell
    await listed.start(told.append)
    listed.failed("http://b:1")  # it was not that one's turn
    listed.failed("http://a:1")
    listed.failed("http://b:1")
    await listed.stop()
    listed.failed("http://a:1")
    assert told == ["http://a:1", "http://b:1", "http://a:1"]


async def test_a_single_address_stays() -> None:
    told: list[str | None] = []
    listed = leader_detector("m1")
    await listed.start(told.append)
    listed.failed("http://m1:5050")
    assert told == ["http://m1:5050"]


def test_the_kind_of_detection_follows_the_text() -> None:
    assert isinstance(leader_detector("a,b"), ListedMasters)
    assert isinstance(leader_detector("zk://a/mesos"), ZooKeeperMasters)
    with pytest.raises(UserError):
        leader_detector("zk://a")


class Answers:
    """Of a kazoo client what the detection uses; a test decides when which answer comes."""

    state = "CONNECTED"

    def __init__(self) -> None:
        self.asked: list[tuple[str, Answer]] = []

    def _ask(self, what: str) -> Answer:
        self.asked.append((what, Answer()))
        return self.asked[-1][1]

    def get_children_async(self, path: str, watch: object) -> Answer:
        return self._ask("children")

    def get_async(self, path: str) -> Answer:
        return self._ask(path)

    def exists_async(self, path: str, watch: object) -> Answer:
        return self._ask("exists")


class Answer:
    def __init__(self) -> None:
        self._call: Callable[[object], None] | None = None
        self._value: object = None

    def rawlink(self, call: Callable[[object], None]) -> None:
        self._call = call

    async def comes(self, value: object) -> None:
        self._value = value
        assert self._call is not None
        self._call(self)
        await asyncio.sleep(0)

    def get_nowait(self) -> object:
        if isinstance(self._value, Exception):
            raise self._value
        return self._value


def answered() -> tuple[ZooKeeperMasters, Answers, list[str | None]]:
    detection = ZooKeeperMasters(ZooKeeperPath(("a:1",), "/mesos", "http"))
    answers, told = Answers(), []
    detection._client, detection._report, detection._loop = answers, told.append, asyncio.get_running_loop()
    return detection, answers, told


async def test_a_node_that_goes_before_it_is_read() -> None:
    detection, answers, told = answered()
    detection._begin()
    await answers.asked[0][1].comes(["json.info_0000000001"])
    assert answers.asked[1][0] == "/mesos/json.info_0000000001"
    await answers.asked[1][1].comes(NoNodeError())
    await answers.asked[2][1].comes(["json.info_0000000002"])
    await answers.asked[3][1].comes((node(1002), None))
    assert told == ["http://127.0.0.1:1002"] and len(answers.asked) == 4


async def test_a_path_that_comes_before_it_is_watched() -> None:
    detection, answers, told = answered()
    detection._begin()
    await answers.asked[0][1].comes(NoNodeError())
    await answers.asked[1][1].comes(object())
    assert [what for what, _ in answers.asked] == ["children", "exists", "children"]
    assert told == []


async def test_any_number_of_changes_is_one_more_look() -> None:
    detection, answers, told = answered()
    detection._begin()
    for _ in range(1000):
        detection._on_watch(None)
    await asyncio.sleep(0)
    await answers.asked[0][1].comes(["json.info_0000000001"])
    await answers.asked[1][1].comes((node(1001), None))
    assert told == ["http://127.0.0.1:1001"]
    assert [what for what, _ in answers.asked] == ["children", "/mesos/json.info_0000000001", "children"]


async def test_answers_of_an_older_connection_are_void() -> None:
    detection, answers, told = answered()
    detection._begin()
    detection._on_state("CONNECTED")
    await asyncio.sleep(0)
    await answers.asked[0][1].comes(["json.info_0000000001"])
    assert len(answers.asked) == 2
    await answers.asked[1][1].comes(ConnectionLoss())
    detection.failed("http://x:1")
    assert len(answers.asked) == 3 and told == []


def test_what_comes_after_the_loop_is_closed_is_nothing() -> None:
    async def begin() -> ZooKeeperMasters:
        return answered()[0]

    asyncio.run(begin())._on_watch(None)


class Seen:
    """What a detection reports."""

    def __init__(self) -> None:
        self.told: list[str | None] = []

    async def says(self, url: str | None) -> None:
        await until(lambda: self.told and self.told[-1] == url, seconds=30, what=str(url))


async def test_masters_come_and_go_in_zookeeper(zookeeper: ZooKeeperServer) -> None:
    seen = Seen()
    before = set(threading.enumerate())  # other tests may have left some that wait
    detection = leader_detector(f"zk://{zookeeper.address}/mesos")
    with client_of(zookeeper.address) as masters:
        await detection.start(seen.told.append)
        try:
            await asyncio.to_thread(masters.ensure_path, "/elsewhere")
            await asyncio.to_thread(announce, masters, 1001)  # the path was not there yet
            await seen.says("http://127.0.0.1:1001")
            await asyncio.to_thread(masters.create, "/mesos/log_replicas", b"x")
            second = await asyncio.to_thread(announce, masters, 1002)
            await asyncio.to_thread(masters.delete, "/mesos/json.info_0000000000")
            await seen.says("http://127.0.0.1:1002")
            await asyncio.to_thread(masters.delete, second)
            await seen.says(None)
            again = await asyncio.to_thread(announce, masters, 1002)
            await seen.says("http://127.0.0.1:1002")
            assert seen.told == [f"http://127.0.0.1:{n}" for n in (1001, 1002)] + [None, "http://127.0.0.1:1002"]
            # the same master started anew, while its old node was there: news
            await asyncio.to_thread(announce, masters, 1002)
            await asyncio.to_thread(masters.delete, again)
            await until(lambda: len(seen.told) == 5)
            detection.failed("http://127.0.0.1:1002")  # looked at anew, but nothing is new
            await asyncio.sleep(0.1)
            assert len(seen.told) == 5
        finally:
            await detection.stop()
        await asyncio.to_thread(announce, masters, 1003)
        await asyncio.sleep(0.1)
        assert len(seen.told) == 5  # nothing after the stop
    threads = [thread.name for thread in threading.enumerate() if thread not in before]
    assert all(name.startswith(("MainThread", "asyncio_", "pytest_timeout")) for name in threads), threads


async def test_a_node_that_names_no_master(zookeeper: ZooKeeperServer, caplog: pytest.LogCaptureFixture) -> None:
    seen = Seen()
    detection = leader_detector(f"zk://{zookeeper.address}/mesos")
    with client_of(zookeeper.address) as masters:
        await asyncio.to_thread(announce, masters, 1001)
        bad = await asyncio.to_thread(
            masters.create, "/mesos/json.info_", b"\xff no master", ephemeral=True, sequence=True
        )
        await detection.start(seen.told.append)
        try:
            await seen.says("http://127.0.0.1:1001")
            await asyncio.to_thread(masters.delete, "/mesos/json.info_0000000000")
            await seen.says(None)
            assert f"cannot use ZooKeeper's node {bad}" in caplog.text
            await asyncio.to_thread(announce, masters, 1003)
            await asyncio.to_thread(masters.delete, bad)
            await seen.says("http://127.0.0.1:1003")
        finally:
            await detection.stop()


async def test_a_restart_of_zookeeper_loses_nobody(zookeeper: ZooKeeperServer) -> None:
    """The last leader counts while it is away; what changed meanwhile is seen afterwards."""
    seen = Seen()
    detection = leader_detector(f"zk://{zookeeper.address}/mesos")
    await detection.start(seen.told.append)
    try:
        with client_of(zookeeper.address) as masters:
            await asyncio.to_thread(announce, masters, 1001)
            await seen.says("http://127.0.0.1:1001")
        await seen.says(None)
        with client_of(zookeeper.address) as masters:
            first = await asyncio.to_thread(announce, masters, 1002)
            await seen.says("http://127.0.0.1:1002")
            await asyncio.to_thread(zookeeper.restart)
            await asyncio.to_thread(masters.retry, announce, masters, 1003)
            await asyncio.to_thread(masters.retry, masters.delete, first)
            await seen.says("http://127.0.0.1:1003")
            assert seen.told.count(None) == 1  # not while ZooKeeper was away
    finally:
        await detection.stop()


async def test_a_session_that_was_lost_is_made_anew(zookeeper: ZooKeeperServer) -> None:
    """Somebody closes the detection's session behind its back; the watches are gone with it."""
    seen = Seen()
    detection = leader_detector(f"zk://{zookeeper.address}/mesos")
    assert isinstance(detection, ZooKeeperMasters)
    with client_of(zookeeper.address) as masters:
        first = await asyncio.to_thread(announce, masters, 1001)
        await detection.start(seen.told.append)
        try:
            await seen.says("http://127.0.0.1:1001")
            client = detection._client
            assert client is not None
            session = client.client_id
            states: list[str] = []
            client.add_listener(states.append)
            thief = KazooClient(zookeeper.address, client_id=session)
            await asyncio.to_thread(thief.start)
            await asyncio.to_thread(thief.stop)
            thief.close()
            await until(lambda: "LOST" in states)  # it was lost indeed
            await asyncio.to_thread(announce, masters, 1002)
            await asyncio.to_thread(masters.delete, first)
            await seen.says("http://127.0.0.1:1002")
            assert client.client_id[0] != session[0]
            assert seen.told == ["http://127.0.0.1:1001", "http://127.0.0.1:1002"]
        finally:
            await detection.stop()


async def test_a_zookeeper_that_is_not_there_holds_nothing_up(zookeeper: ZooKeeperServer) -> None:
    zookeeper.kill()
    seen = Seen()
    detection = leader_detector(f"zk://{zookeeper.address}/mesos")
    await detection.start(seen.told.append)
    detection.failed("http://127.0.0.1:1")
    began = time.monotonic()
    await detection.stop()
    assert time.monotonic() - began < 20
    assert seen.told == []


async def test_nodes_behind_a_password(zookeeper: ZooKeeperServer) -> None:
    acl = [make_digest_acl("user", "p@ss", all=True)]
    with client_of(zookeeper.address) as masters:
        masters.add_auth("digest", "user:p@ss")
        await asyncio.to_thread(masters.create, "/mesos", b"", acl)
        await asyncio.to_thread(masters.create, "/mesos/json.info_", node(1001), acl, True, True)
        known, unknown = Seen(), Seen()
        detections: list[LeaderDetector] = [
            leader_detector(f"zk://user:p%40ss@{zookeeper.address}/mesos"),
            leader_detector(f"zk://{zookeeper.address}/mesos"),
        ]
        try:
            await detections[1].start(unknown.told.append)
            await detections[0].start(known.told.append)
            await known.says("http://127.0.0.1:1001")
            assert unknown.told == []
        finally:
            for detection in detections:
                await detection.stop()


async def test_a_driver_follows_the_leader_in_zookeeper(zookeeper: ZooKeeperServer) -> None:
    async with master(good) as a, master(good) as b:
        with client_of(zookeeper.address) as masters:
            first = await asyncio.to_thread(announce, masters, a.port)
            async with driving(f"zk://{zookeeper.address}/mesos") as driven:
                await driven.reach("SUBSCRIBED")
                await asyncio.to_thread(announce, masters, b.port)
                await asyncio.to_thread(masters.delete, first)
                await until(lambda: driven.driver.master_url == b.url)
                await driven.reach("SUBSCRIBED")
                assert driven.listener.all("subscribed") == [("framework-1", False), ("framework-1", True)]
                await asyncio.to_thread(zookeeper.kill)  # the stream does not need it
                await asyncio.sleep(0.2)
                assert driven.driver.subscribed


@pytest.mark.slow
async def test_three_servers_one_of_which_dies(tmp_path: Path) -> None:
    if not is_installed():
        pytest.fail("no ZooKeeper here: scripts/setup-zookeeper installs it")
    ensemble = ZooKeeperEnsemble(tmp_path)
    seen = Seen()
    try:
        await asyncio.to_thread(ensemble.start)
        detection = leader_detector(f"zk://{ensemble.address}/mesos")
        await detection.start(seen.told.append)
        try:
            with client_of(ensemble.address) as masters:
                await asyncio.to_thread(announce, masters, 1001)
                await seen.says("http://127.0.0.1:1001")
                for server in ensemble.servers[:1]:
                    await asyncio.to_thread(server.kill)
                await asyncio.to_thread(masters.retry, announce, masters, 1002)
                await asyncio.to_thread(masters.retry, masters.delete, "/mesos/json.info_0000000000")
                await seen.says("http://127.0.0.1:1002")
        finally:
            await detection.stop()
    finally:
        ensemble.stop()
