"""The scheduler with our executor on a Mesos: the embedded one, and the real one with `--mesos real`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

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

__all__ = ["MakeMesos", "clusters", "make_mesos", "mesos", "pytest_generate_tests", "pytest_pyfunc_call", "runner"]


@pytest.fixture
def embedded(clusters: Clusters, runner: asyncio.Runner) -> Iterator[EmbeddedMesos]:
    """For what has nothing to do with Mesos."""
    yield from _embedded(clusters, runner, Wanted())


@pytest.fixture
def embedded_of_four(clusters: Clusters, runner: asyncio.Runner) -> Iterator[EmbeddedMesos]:
    """Whose faults can be chosen."""
    yield from _embedded(clusters, runner, Wanted(agents=4))


def _embedded(clusters: Clusters, runner: asyncio.Runner, wanted: Wanted) -> Iterator[EmbeddedMesos]:
    target = runner.run(clusters.get("embedded", wanted))
    assert isinstance(target, EmbeddedMesos)
    yield target
    target.cluster.faults.clear()
    runner.run(mend(target))
