"""Owners that were started with closed descriptors, or have none left."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from tests.thermos.runner.conftest import MakeRig
from tests.thermos.runner.rig import process, wait_ended
from thermos.core.states import TaskState


@pytest.mark.parametrize("closed", [(0,), (0, 1, 2), (3,), (0, 1, 2, 3, 4)], ids=str)
def test_an_owner_without_the_usual_descriptors(make_rig: MakeRig, closed: tuple[int, ...]) -> None:
    """Then a checkpoint's directory may be descriptor 0, where coordinators expect their orders."""
    rig = make_rig(process("p", "cat; echo fine"))

    def act() -> None:
        for fd in closed:
            os.closerange(fd, fd + 1)
        assert rig.finish(rig.own()).state is TaskState.SUCCESS

    assert wait_ended(rig.in_a_child(act)) == 0, rig.complaint() + rig.story()


def test_running_out_of_descriptors_is_trouble_not_loss(make_rig: MakeRig) -> None:
    """Some starts fail in words; nothing is lost, nothing hangs, what ran is known."""
    rig = make_rig(*(process(f"p{n}", "sleep 0.2", max_failures=0) for n in range(12)))

    def act() -> None:
        highest = max(60, *(int(path.name) for path in Path("/proc/self/fd").iterdir()))  # more than is asked for
        null = os.open(os.devnull, os.O_RDONLY)
        while os.dup(null) < highest:
            pass  # no holes below
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, highest + 8))
        task = rig.finish(rig.own())
        assert task.state is TaskState.SUCCESS
        assert not any(known.losses for known in task.processes.values())
        assert any(known.failures for known in task.processes.values()), "the limit was never reached"
        assert {known.successes for known in task.processes.values()} == {1}

    assert wait_ended(rig.in_a_child(act)) == 0, rig.complaint() + rig.story()
