"""The suite runs once for each Mesos: always against the embedded one, and against real Mesos when `--mesos` says so.

    pytest tests/mesos/conformance                    the embedded one (a part of `make test`)
    pytest tests/mesos/conformance --mesos real       real Mesos 1.11, from the kit
    make test-mesos                                   both, and says so when there is no kit

Tests are coroutines; one event loop serves the whole session, because the embedded Mesos lives in it. A cluster is
shared by the tests of a module that want the same one; each test has frameworks of its own.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.mesos.conformance.asking import get, post
from tests.mesos.conformance.embedded import EmbeddedMesos
from tests.mesos.conformance.real import RealMesos, build_kit, kit_folder
from tests.mesos.conformance.target import CLUSTERS, PORTS_PER_CLUSTER, Target, Wanted
from tests.mesos.ports import Block


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kind" in metafunc.fixturenames:
        metafunc.parametrize("kind", metafunc.config.getoption("--mesos") or ["embedded"], scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    runner: asyncio.Runner = pyfuncitem.funcargs["runner"]
    wanted = pyfuncitem._fixtureinfo.argnames
    runner.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted}))
    return True


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as loop:
        yield loop


class Clusters:
    """Starts what is wanted, once per session, and ends it all."""

    def __init__(self, runner: asyncio.Runner, folder: Path) -> None:
        self._runner, self._folder = runner, folder
        self._running: dict[tuple[str, str], Target] = {}
        self._ports: dict[int, Block] = {}  # by the first of them
        self._started = 0

    async def get(self, kind: str, wanted: Wanted) -> Target:
        key = (kind, repr(wanted))
        if key not in self._running:
            self._running[key] = await self._start(kind, wanted)
        return self._running[key]

    async def _start(self, kind: str, wanted: Wanted) -> Target:
        self._started += 1
        work_dir = self._folder / f"{kind}-{self._started}"
        ports = Block(CLUSTERS, PORTS_PER_CLUSTER)
        port = ports.first
        self._ports[port] = ports
        target: Target
        if kind == "real":
            kit = kit_folder()
            assert kit is not None, "there is no kit: set MESOS_KIT to its folder, or leave --mesos real out"
            build_kit(kit)
            target = RealMesos(kit, work_dir, port, wanted)
        else:
            target = EmbeddedMesos(work_dir, port, wanted)
        try:
            await target.start()
        except BaseException:
            await target.stop()
            raise
        return target

    def stop(self, *, kept: Callable[[Target], bool] = lambda _: False) -> None:
        for key, target in list(self._running.items()):
            if not kept(target):
                del self._running[key]
                self._runner.run(target.stop())
                self._ports.pop(target.port).close()


@pytest.fixture(scope="session")
def clusters(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clusters]:
    all_of_them = Clusters(runner, tmp_path_factory.mktemp("mesos"))
    yield all_of_them
    all_of_them.stop()


@pytest.fixture
def mesos(clusters: Clusters, runner: asyncio.Runner, kind: str) -> Iterator[Target]:
    """Two agents and a master. What a test stopped is started again after it."""
    target = runner.run(clusters.get(kind, Wanted()))
    yield target
    runner.run(mend(target))


class MakeMesos(Protocol):
    """A cluster of another make, by the fields of `Wanted`."""

    async def __call__(self, **fields: Any) -> Target: ...


@pytest.fixture
def make_mesos(clusters: Clusters, kind: str) -> Iterator[MakeMesos]:
    """Several masters are for one test only: their ZooKeeper clients are threads, which never rest."""

    async def make(**fields: Any) -> Target:
        return await clusters.get(kind, Wanted(**fields))

    yield make
    clusters.stop(kept=lambda target: target.masters == 1)


async def mend(target: Target) -> None:
    """Start what has ended, and end the frameworks that a failed test left."""
    for number in range(target.agents):
        if not await target.agent_is_up(number):
            await target.start_agent(number)
    status, answer = await get(target.master_url, "/frameworks")
    assert status == 200
    for framework in answer["frameworks"]:
        await post(target.master_url, "/teardown", f"frameworkId={framework['id']}".encode())
