"""Hosts for scenarios: one a test, cleaned up whatever happens. Tests marked `root` run only as root."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Host


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Another user can only be tried as root."""
    if os.geteuid() == 0:
        return
    rooted = [item for item in items if item.get_closest_marker("root")]
    items[:] = [item for item in items if item not in rooted]
    config.hook.pytest_deselected(items=rooted)


@pytest.fixture
def host(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Host]:
    """`@both_coordinators` runs a test once with each program."""
    host = Host(tmp_path, python_coordinator=getattr(request, "param", "c") == "python")
    yield host
    host.clean_up()


@pytest.fixture
def open_host() -> Iterator[Host]:
    """A host in a place that every user may enter."""
    place = Path(tempfile.mkdtemp(prefix="thermos-e2e-"))
    place.chmod(0o755)
    host = Host(place)
    yield host
    host.clean_up()
    shutil.rmtree(place)
