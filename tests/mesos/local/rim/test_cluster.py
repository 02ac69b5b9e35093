"""A LocalCluster end to end: real executors, agents and masters killed and back, faults on every way, credentials."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mesos.local.cluster import LocalCluster
from mesos.local.faults import Act, Rule, Way
from tests.mesos.local.rim.live import FAST, Framework, basic, pid_in, val
from tests.mesos.local.rim.wire import ask, until
from tests.mesos.ports import own_port
from tests.mesos.zookeeper import ZooKeeperServer, zookeeper
from thermos.errors import HostError, RemoteError, UserError

__all__ = ["zookeeper"]

PORT = own_port()
Test = Callable[[LocalCluster, Framework], Awaitable[None]]


def run(folder: Path, test: Test, headers: dict[str, str] | None = None, **options: Any) -> None:
    """In a cluster of its own, which leaves nothing behind."""
    options = {
        "agents": 1,
        "master_options": FAST,
        "agent_options": {"executor_reregistration_timeout_s": 4.0},
    } | options

    async def main() -> None:
        async with asyncio.timeout(100), LocalCluster(folder, PORT, **options) as cluster:
            framework = Framework(PORT, headers)
            number = cluster.leader()
            assert number is not None
            await framework.subscribe(int(cluster.url_of_master(number).rpartition(":")[2]))
            try:
                await test(cluster, framework)
            finally:
                framework.close()
        assert children() == before

    before = children()
    asyncio.run(main())
    gc.collect()  # what was left open warns now, in the test that left it


def children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_task_from_offer_to_end(tmp_path: Path) -> None:
    async def test(cluster: LocalCluster, framework: Framework) -> None:
        offer = await framework.launch("t")
        attributes = {a["name"]: a["text"]["value"] for a in offer["attributes"]}
        assert attributes == {"host": "agent0", "rack": "r0"}
        ports = next(r for r in offer["resources"] if r["name"] == "ports")
        assert ports["ranges"]["range"] == [{"begin": 31000, "end": 31099}]
        running = await framework.status("t", "TASK_RUNNING")
        assert is_alive(pid_in(running))
        state = (await ask(PORT + 1, "GET", "/state")).json
        assert [f["name"] for f in state["frameworks"]] == ["test"]
        await framework.kill("t")
        await framework.status("t", "TASK_KILLED")
        shutdown = {"executor_id": val("t"), "agent_id": offer["agent_id"]}
        await framework.call("SHUTDOWN", shutdown=shutdown)
        await until(lambda: not is_alive(pid_in(running)))

    run(tmp_path, test)


def test_an_executor_killed_fails_its_task(tmp_path: Path) -> None:
    async def test(cluster: LocalCluster, framework: Framework) -> None:
        await framework.launch("t")
        pid = pid_in(await framework.status("t", "TASK_RUNNING"))
        assert cluster.kill_executor(0, "t")
        assert not cluster.kill_executor(0, "nope")
        failed = await framework.status("t", "TASK_FAILED")
        assert failed["reason"] == "REASON_EXECUTOR_TERMINATED"
        assert not is_alive(pid)

    run(tmp_path, test)


def test_an_agent_killed_and_back_finds_its_executor_and_loses_no_update(tmp_path: Path) -> None:
    async def test(cluster: LocalCluster, framework: Framework) -> None:
        await framework.launch("stays")
        await framework.launch("ends", finish=1.0)
        pid = pid_in(await framework.status("stays", "TASK_RUNNING"))
        await framework.status("ends", "TASK_RUNNING")
        identity = cluster.agent(0).disk.agent_id
        await cluster.kill_agent(0)
        assert is_alive(pid)
        assert not cluster.agent_is_up(0)
        with pytest.raises(ConnectionRefusedError):
            await ask(PORT + 1, "GET", "/health")
        await asyncio.sleep(1.2)  # "ends" has its say while nobody hears it
        await cluster.start_agent(0)
        assert cluster.agent(0).disk.agent_id == identity
        await framework.status("ends", "TASK_FINISHED")
        await framework.kill("stays")
        await framework.status("stays", "TASK_KILLED")
        assert {s["state"] for s in framework.statuses} <= {"TASK_RUNNING", "TASK_FINISHED", "TASK_KILLED"}

    run(tmp_path, test, master_options=FAST | {"agent_ping_timeout_s": 5.0})


def test_an_agent_that_stays_away_is_unreachable_and_its_task_back_with_it(tmp_path: Path) -> None:
    async def test(cluster: LocalCluster, framework: Framework) -> None:
        await framework.launch("t")
        await framework.status("t", "TASK_RUNNING")
        await cluster.kill_agent(0)
        await framework.status("t", "TASK_UNREACHABLE")
        await cluster.start_agent(0)
        await framework.status("t", "TASK_RUNNING")
        await framework.kill("t")
        await framework.status("t", "TASK_KILLED")

    run(tmp_path, test)


def test_a_partition_by_the_switchboard_looks_the_same(tmp_path: Path) -> None:
    async def test(cluster: LocalCluster, framework: Framework) -> None:
        await framework.launch("t")
        await framework.status("t", "TASK_RUNNING")
        rules = cluster.faults.partition(0)
        await framework.status("t", "TASK_UNREACHABLE")
        assert rules[1].fired
        cluster.faults.remove(*rules)
        await framework.status("t", "TASK_RUNNING", 40)
        await framework.kill("t")
        await framework.status("t", "TASK_KILLED")

    run(tmp_path, test)


def test_executors_of_a_framework_that_does_not_checkpoint_end_with_their_agent(tmp_path: Path) -> None:
    async def test(cluster: LocalCluster, framework: Framework) -> None:
        other = Framework(PORT, checkpoint=False)
        await other.subscribe()
        await framework.call("SUPPRESS")
        await framework.call("DECLINE", decline={"offer_ids": [o["id"] for o in [await framework.offer()]]})
        await other.launch("t")
        pid = pid_in(await other.status("t", "TASK_RUNNING"))
        await cluster.kill_agent(0)
        await until(lambda: not is_alive(pid))
        await cluster.start_agent(0)
        async with asyncio.timeout(20):
            while not any(s["state"] in ("TASK_GONE", "TASK_LOST", "TASK_FAILED") for s in other.statuses):
                await other.pump()
        other.close()

    run(tmp_path, test)


def test_a_master_killed_and_back_knows_framework_and_task_again(tmp_path: Path) -> None:
    async def test(cluster: LocalCluster, framework: Framework) -> None:
        await framework.launch("t")
        await framework.status("t", "TASK_RUNNING")
        old = (await ask(PORT, "GET", "/state")).json["id"]
        await cluster.kill_master()
        await framework.end()
        assert cluster.leader() is None
        with pytest.raises(ConnectionRefusedError):
            await ask(PORT, "GET", "/state")
        await cluster.start_master()
        assert (await ask(PORT, "GET", "/state")).json["id"] != old
        identity = framework.id
        await framework.subscribe()
        assert framework.id == identity
        await until(lambda: cluster.agent(0).is_registered)
        await framework.call("RECONCILE", reconcile={"tasks": []})
        assert (await framework.status("t", "TASK_RUNNING"))["reason"] == "REASON_RECONCILIATION"
        await framework.kill("t")
        await framework.status("t", "TASK_KILLED")

    run(tmp_path, test)


def test_an_elected_master_may_take_its_time(tmp_path: Path) -> None:
    async def test(cluster: LocalCluster) -> None:
        await cluster.kill_master()
        await cluster.start_master()
        got = await ask(PORT, "POST", "/api/v1/scheduler", {"type": "SUBSCRIBE"})
        assert (got.status, got.text) == (503, "Master has not finished recovery")

        async def is_ready() -> bool:
            return (await ask(PORT, "POST", "/api/v1/scheduler", {"type": "SUBSCRIBE"})).status == 400

        await until(is_ready)

    async def main() -> None:
        async with LocalCluster(tmp_path, PORT, agents=0, recovery_s=3.0) as cluster:
            await test(cluster)

    asyncio.run(main())


def test_an_agent_shut_down_ends_with_its_executors_and_comes_back_as_another(tmp_path: Path) -> None:
    async def test(cluster: LocalCluster, framework: Framework) -> None:
        offer = await framework.launch("t")
        pid = pid_in(await framework.status("t", "TASK_RUNNING"))
        await cluster.shutdown_agent(0)
        assert not is_alive(pid)
        assert not cluster.agent_is_up(0)
        await cluster.forget_agent(0)
        await cluster.start_agent(0)
        while (await framework.offer())["agent_id"] == offer["agent_id"]:
            pass

    run(tmp_path, test)


def test_an_agent_with_other_attributes_may_not_come_back_but_as_a_new_one(tmp_path: Path) -> None:
    async def test(cluster: LocalCluster, framework: Framework) -> None:
        identity = cluster.agent(0).disk.agent_id
        await cluster.kill_agent(0)
        cluster.attributes = "host:agent{i};rack:other"
        with pytest.raises(HostError, match="agent 0 ended: "):
            await cluster.start_agent(0)
        assert not cluster.agent_is_up(0)
        await cluster.forget_agent(0)
        await cluster.start_agent(0)
        assert cluster.agent(0).disk.agent_id != identity

    run(tmp_path, test)


def test_faults_on_every_way_fire_and_the_task_lives_through_them(tmp_path: Path) -> None:
    """Lost, late, doubled and swapped messages on all six ways; what may be lost comes again."""

    async def test(cluster: LocalCluster, framework: Framework) -> None:
        faults = cluster.faults
        rules = [
            faults.drop(Way.TO_MASTER, kind="StatusUpdate", times=1),
            faults.duplicate(Way.TO_AGENT, kind="RunTask", times=1),
            faults.duplicate(Way.TO_SCHEDULER, kind="UPDATE", times=1),
            faults.delay(Way.FROM_SCHEDULER, 0.2, kind="ACCEPT", times=1),
            faults.delay(Way.TO_EXECUTOR, 0.2, kind="LAUNCH", times=1, executor="t"),
            faults.drop(Way.FROM_EXECUTOR, kind="UPDATE", times=1),
            faults.reorder(Way.FROM_EXECUTOR, kind="UPDATE", times=1, framework="nobody"),
        ]
        await framework.launch("t")
        first = await framework.status("t", "TASK_RUNNING", 40)
        second = await framework.status("t", "TASK_RUNNING", 40)
        assert first["uuid"] == second["uuid"]
        await framework.kill("t")
        await framework.status("t", "TASK_KILLED")
        assert [rule.fired for rule in rules] == [1] * 6 + [0]

    run(tmp_path, test, agent_options={"update_retry_min_s": 1.0})


@pytest.mark.parametrize("act", list(Act))
@pytest.mark.parametrize(
    ("way", "kind"),
    [
        (Way.TO_MASTER, "StatusUpdate"),
        (Way.TO_AGENT, "AcknowledgeUpdate"),
        (Way.TO_SCHEDULER, "UPDATE"),
        (Way.FROM_SCHEDULER, "ACKNOWLEDGE"),
        (Way.TO_EXECUTOR, "ACKNOWLEDGED"),
        (Way.FROM_EXECUTOR, "UPDATE"),
    ],
)
def test_no_fault_of_an_update_on_its_way_loses_it(
    tmp_path: Path, way: Way, kind: str, act: Act, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mesos.local.link.HOLD_S", 0.5)

    async def test(cluster: LocalCluster, framework: Framework) -> None:
        rule = cluster.faults.add(Rule(way, act, kind, delay_s=0.1, times=1))
        await framework.launch("t", finish=0.1)

        async def hear() -> None:
            while not any(s["state"] == "TASK_FINISHED" for s in framework.statuses):
                try:
                    await framework.pump()
                except ConnectionError:  # a lost acknowledgement; the update comes again
                    assert (way, act) == (Way.FROM_SCHEDULER, Act.DROP)

        async with asyncio.timeout(40):
            await hear()
        states = list(dict.fromkeys(s["state"] for s in framework.statuses))
        assert set(states) == {"TASK_RUNNING", "TASK_FINISHED"}
        assert rule.fired == 1

    run(tmp_path, test, agent_options={"update_retry_min_s": 0.5})


def test_credentials(tmp_path: Path) -> None:
    async def test(cluster: LocalCluster, framework: Framework) -> None:
        nobody = Framework(PORT)
        with pytest.raises(AssertionError, match="401"):
            await nobody.subscribe()
        nobody.close()
        assert (await ask(PORT, "POST", "/api/v1", {"type": "GET_HEALTH"})).status == 401
        assert (await ask(PORT, "POST", "/api/v1", {"type": "GET_HEALTH"}, basic("me", "pw"))).status == 200
        assert (await ask(PORT, "GET", "/state")).status == 200
        await framework.launch("t")  # its executor shows its token
        await framework.status("t", "TASK_RUNNING")
        call = {"type": "SUBSCRIBE", "framework_id": framework.id, "executor_id": val("t"), "subscribe": {}}
        assert (await ask(PORT + 1, "POST", "/api/v1/executor", call)).status == 401
        await framework.kill("t")
        await framework.status("t", "TASK_KILLED")

    run(tmp_path, test, basic("me", "pw"), credentials={"me": "pw"})


async def shows_the_way(port: int, way: str) -> bool:
    """To the leader; a master that has not heard of one says 503."""
    got = await ask(port, "POST", "/api/v1/scheduler", b"x")
    assert got.status in (307, 503)
    return got.status == 307 and got.headers["Location"] == way


def test_three_masters_with_zookeeper_and_the_leader_killed(tmp_path: Path, zookeeper: ZooKeeperServer) -> None:
    async def test(cluster: LocalCluster, framework: Framework) -> None:
        first = cluster.leader()
        assert first is not None
        followers = [number for number in range(3) if number != first]
        for number in followers:
            port = int(cluster.url_of_master(number).rpartition(":")[2])
            leader = cluster.url_of_master(first).removeprefix("http:")
            way = f"{leader}/master/api/v1/scheduler"
            assert await until(partial(shows_the_way, port, way)), "a follower hears of its leader"
        await framework.launch("t")
        await framework.status("t", "TASK_RUNNING")
        await cluster.kill_master(first)
        await framework.end()
        second = await until(lambda: (cluster.leader() not in (None, first)) and [cluster.leader()], 60)
        await framework.subscribe(int(cluster.url_of_master(second[0]).rpartition(":")[2]))
        await until(lambda: cluster.agent(0).is_registered)
        await framework.call("RECONCILE", reconcile={"tasks": [{"task_id": val("t")}]})
        await framework.status("t", "TASK_RUNNING")
        await cluster.start_master(first)  # an earlier life's node may still be there
        await framework.kill("t")
        await framework.status("t", "TASK_KILLED")

    run(tmp_path, test, masters=3, zk=f"zk://{zookeeper.address}/mesos", zk_session_timeout_s=4.0)


def test_a_signal_to_an_executor_is_seen_as_such(tmp_path: Path) -> None:
    async def test(cluster: LocalCluster, framework: Framework) -> None:
        await framework.launch("t")
        pid = pid_in(await framework.status("t", "TASK_RUNNING"))
        os.kill(pid, signal.SIGKILL)
        await framework.status("t", "TASK_FAILED")
        async with asyncio.timeout(20):
            while not framework.failures:
                await framework.pump()
        status = framework.failures[0]["status"]
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 128 + signal.SIGKILL

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"host": "0.0.0.0"}, "cannot listen on 0.0.0.0: .* loopback"),
        ({"port": 0}, "cannot use port 0"),
        ({"port": 65500}, "cannot use port 65500"),
        ({"agents": 49}, "cannot run 49 agents"),
        ({"agents": -1}, "cannot run -1 agents"),
        ({"masters": 0}, "cannot run 0 masters"),
        ({"masters": 3}, "without a ZooKeeper"),
        ({"zk": "127.0.0.1:2181"}, "expected zk://"),
        ({"resources": "cpus:many"}, "cpus:many"),
        ({"attributes": "nonsense"}, "nonsense"),
        ({"attributes": ["a:b"]}, "no text for agent 1"),
        ({"master_options": {"nope": 1}}, "no master option 'nope'"),
        ({"agent_options": {"nope": 1}}, "no agent option 'nope'"),
    ],
)
def test_what_can_not_be_is_refused_at_once(tmp_path: Path, options: dict[str, Any], text: str) -> None:
    with pytest.raises(UserError, match=text):
        LocalCluster(tmp_path, **{"port": PORT, **options})


def test_a_taken_port_leaves_nothing_running(tmp_path: Path) -> None:
    async def main() -> None:
        taken = await asyncio.start_server(lambda r, w: None, "127.0.0.1", PORT + 2)
        cluster = LocalCluster(tmp_path, PORT, agents=2)
        with pytest.raises(HostError, match=f"cannot listen on 127.0.0.1:{PORT + 2}: something else listens there"):
            await cluster.start()
        for port in (PORT, PORT + 1):
            with pytest.raises(ConnectionRefusedError):
                await ask(port, "GET", "/health")
        taken.close()
        await taken.wait_closed()

    asyncio.run(main())


def test_no_zookeeper_leaves_nothing_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesos.local.election._START_S", 0.5)

    async def main() -> None:
        cluster = LocalCluster(tmp_path, PORT, agents=1, zk="zk://127.0.0.1:1/mesos")
        with pytest.raises(RemoteError, match="cannot reach ZooKeeper"):
            await cluster.start()
        with pytest.raises(ConnectionRefusedError):
            await ask(PORT, "GET", "/health")

    asyncio.run(main())
