"""Fixtures: a desk with a cluster `rz1`, whose scheduler is a fake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.aurora.desk import Desk
from tests.client.aurora.fake_scheduler import FakeScheduler, fake_scheduler


@pytest.fixture
def fake() -> Iterator[FakeScheduler]:
    with fake_scheduler() as fake:
        yield fake


@pytest.fixture
def bare_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    """No cluster is known."""
    monkeypatch.setenv("AURORA_CONFIG_ROOT", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("DIFF_VIEWER", "BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path, capsys)


@pytest.fixture
def desk(bare_desk: Desk, fake: FakeScheduler) -> Desk:
    bare_desk.clusters({"name": "rz1", "scheduler_uri": fake.url})
    bare_desk.config()
    return bare_desk
