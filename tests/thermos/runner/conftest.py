"""Rigs, and the promise that nothing of them is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.thermos.runner.rig import Rig
from thermos.host.kernel import Kernel

MakeRig = Callable[..., Rig]


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[MakeRig]:
    """When the test ends every story must be sound, and nothing of it alive."""
    assert Kernel().set_subreaper()
    rigs: list[Rig] = []

    def make(*processes: Any, **task: Any) -> Rig:
        rigs.append(Rig(tmp_path / str(len(rigs)), *processes, **task))
        return rigs[-1]

    yield make
    left = [pid for rig in rigs for pid in rig.close()]
    for rig in rigs:
        if rig.paths.runner.exists():
            rig.check()
    assert not left, f"still alive: {left}"
