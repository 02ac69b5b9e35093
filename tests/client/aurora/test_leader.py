"""Where a cluster's scheduler is."""

from __future__ import annotations

import json
import socket

import pytest
from kazoo.client import KazooClient

from client import leader
from client.api_errors import NetworkError
from client.clusters import Cluster
from client.connection import Origin
from client.leader import find_scheduler, parse_member, zookeeper_hosts
from tests.mesos.zookeeper import ZooKeeperServer, zookeeper
from thermos.errors import UserError

__all__ = ["zookeeper"]

ZK = Cluster("rz1", zk="z", scheduler_zk_path="/aurora/scheduler", file="clusters.json")


def member(**extra: object) -> bytes:
    return json.dumps({"serviceEndpoint": {"host": "s", "port": 8081}, "status": "ALIVE", **extra}).encode()


def test_a_plain_uri() -> None:
    assert find_scheduler(Cluster("a", scheduler_uri="https://s")) == Origin("https", "s", 443)


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        (Cluster("a", file="f"), "f: cluster 'a': it has neither scheduler_uri nor zk and scheduler_zk_path"),
        (Cluster("a", zk="z", file="f"), "it has neither scheduler_uri nor zk"),
        (Cluster("a", scheduler_uri="x://y", file="f"), "f: cluster 'a': scheduler_uri is no http://"),
        (Cluster("a", scheduler_uri="y", auth_mechanism="KERBEROS"), "auth_mechanism KERBEROS is not supported"),
    ],
)
def test_entries_that_do_not_say(cluster: Cluster, words: str) -> None:
    with pytest.raises(UserError) as caught:
        find_scheduler(cluster)
    assert words in str(caught.value)


def test_hosts_of_zookeeper() -> None:
    assert zookeeper_hosts(Cluster("a", zk="z1, z2:2182", zk_port=99)) == "z1:99,z2:2182"


@pytest.mark.parametrize(
    ("data", "origin"),
    [
        (member(), Origin("http", "s", 8081)),
        (member(additionalEndpoints={"http": {"host": "t", "port": 80}}), Origin("http", "t", 80)),
        (member(additionalEndpoints={"https": {"host": "t", "port": 443}}), Origin("https", "t", 443)),
    ],
)
def test_what_a_leader_announces(data: bytes, origin: Origin) -> None:
    assert parse_member(ZK, [data, b"nonsense"]) == origin


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"serviceEndpoint": 7}', b"[" * 100_000])
def test_nonsense_in_zookeeper(data: bytes) -> None:
    with pytest.raises(NetworkError, match="says of the leader is not understood"):
        parse_member(ZK, [data])


def test_nobody_leads() -> None:
    with pytest.raises(NetworkError, match="no scheduler leads: there is no member in ZooKeeper z:2181 at /aurora/sch"):
        parse_member(ZK, [])


def test_in_a_real_zookeeper(zookeeper: ZooKeeperServer) -> None:
    cluster = Cluster("rz1", zk=zookeeper.address, scheduler_zk_path="/client/scheduler")
    with pytest.raises(NetworkError, match="has nothing at /client/scheduler"):
        find_scheduler(cluster)
    client = KazooClient(zookeeper.address)
    client.start()
    try:
        client.create("/client/scheduler/singleton_candidate_1", b"s", makepath=True)
        client.create("/client/scheduler/member_0000000007", member())
        assert find_scheduler(cluster) == Origin("http", "s", 8081)
    finally:
        client.delete("/client", recursive=True)
        client.stop()
        client.close()


def test_no_zookeeper(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(leader, "LOOKUP_S", 0.2)
    with socket.socket() as bound:  # nobody listens, and nobody else can
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(NetworkError, match=f"cannot connect to ZooKeeper 127.0.0.1:{port}"):
            find_scheduler(Cluster("a", zk="127.0.0.1", zk_port=port, scheduler_zk_path="/s"))
    assert caplog.records == [], "the error is the one line that is said"
