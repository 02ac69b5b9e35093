"""The executor on a Mesos: the embedded one, and the real one with `--mesos real` (see tests/mesos/conformance)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mesos.conformance.conftest import (
    Clusters,
    MakeMesos,
    clusters,
    make_mesos,
    mend,
    mesos,
    pytest_generate_tests,
    pytest_pyfunc_call,
    runner,
)
from tests.mesos.conformance.embedded import EmbeddedMesos
from tests.mesos.conformance.target import Wanted
from tests.mesos.zookeeper import ZooKeeperServer

__all__ = ["MakeMesos", "clusters", "make_mesos", "mesos", "pytest_generate_tests", "pytest_pyfunc_call", "runner"]


@pytest.fixture
def switchboard(clusters: Clusters, runner: asyncio.Runner) -> Iterator[EmbeddedMesos]:
    """The embedded one, whose faults can be chosen."""
    target = runner.run(clusters.get("embedded", Wanted()))
    assert isinstance(target, EmbeddedMesos)
    yield target
    target.cluster.faults.clear()
    runner.run(mend(target))


@pytest.fixture(scope="session")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeperServer]:
    """A real ZooKeeper for announcing."""
    server = ZooKeeperServer(Path(tmp_path_factory.mktemp("announced")))
    server.start()
    yield server
    server.stop()
