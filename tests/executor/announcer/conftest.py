"""A real ZooKeeper, clients of strangers, announcers that are ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kazoo.client import KazooClient

from tests.executor.announcer.rig import Rig
from tests.mesos.zookeeper import ZooKeeperServer, zookeeper

__all__ = ["zookeeper"]


@pytest.fixture
def rig() -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def make(*arguments: Any, **settings: Any) -> Rig:
        made.append(Rig(*arguments, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def stranger(zookeeper: ZooKeeperServer) -> Iterator[KazooClient]:
    """A plain client."""
    client = KazooClient(zookeeper.address, connection_retry={"max_tries": -1, "delay": 0.1, "max_delay": 0.5})
    client.start(30)
    yield client
    client.stop()
    client.close()
