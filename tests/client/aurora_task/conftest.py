"""A cluster for the task verbs: a scheduler that knows some tasks, their sandboxes, and an ssh that goes nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.aurora_task.site import Site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Site]:
    with Site(tmp_path, monkeypatch, capfd) as site:
        yield site
