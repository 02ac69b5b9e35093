"""The stage for one task; when a test ends, what stands on disk must be what the runner believes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.thermos.host.puppets import Stage

MakeStage = Callable[..., Stage]


@pytest.fixture
def make_stage(tmp_path: Path) -> Iterator[MakeStage]:
    stages: list[Stage] = []

    def make(*processes: Any, **task: Any) -> Stage:
        stages.append(Stage(tmp_path / str(len(stages)), *processes, **task))
        return stages[-1]

    yield make
    for stage in stages:
        if stage.runner is not None:
            stage.runner.close()
            assert msgspec.to_builtins(stage.on_disk()) == msgspec.to_builtins(stage.runner.task)
        stage.kernel.close_all()
