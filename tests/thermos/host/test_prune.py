"""Runs that the fold forgets lose their logs too, also when an owner died in between."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.thermos.runner.rig import Rig
from thermos.core.fold import KEEP_FORGOTTEN, KEEP_RUNS, ProcessRecord
from thermos.core.states import TaskState
from thermos.host.kernel import Kernel
from thermos.model import ProcessSpec


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Rigs whose runs are forgotten, so there is no account of every execution."""
    assert Kernel().set_subreaper()
    rigs: list[Rig] = []

    def make(*processes: ProcessSpec) -> Rig:
        rigs.append(Rig(tmp_path, *processes))
        return rigs[-1]

    yield make
    assert not [pid for rig in rigs for pid in rig.close()]


def logs(rig: Rig) -> set[int]:
    return {int(path.name) for path in (rig.sandbox / ".logs" / "p").iterdir()}


def counting(line: str, **more: int) -> ProcessSpec:
    """A process that knows which run it is by counting; the rig's own marks would need every run on record."""
    return ProcessSpec(name="p", cmdline=f"echo >> n; n=$(wc -l < n); {line}", daemon=True, min_duration=0, **more)


def test_directories_of_forgotten_runs_are_removed(make_rig: Callable[..., Rig]) -> None:
    """Run 3 fails, so it is kept longer than its neighbours."""
    rig = make_rig(counting("[ $n != 4 -a $n != 110 ]", max_failures=2))
    task = rig.finish(rig.own())
    record = task.processes["p"]
    assert task.state is TaskState.FAILED and record.total == 110
    assert set(record.runs) == {3, *range(110 - KEEP_RUNS, 110)} == logs(rig)


def test_an_owner_that_takes_over_makes_up_for_what_was_missed(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(counting("[ $n = 105 ] && { echo > up; sleep 1000; }; [ $n != 110 ]"))
    os.mkfifo(rig.sandbox / "up")
    up = os.open(rig.sandbox / "up", os.O_RDWR)
    runner = rig.own()
    rig.drive(runner, lambda: runner.task.processes["p"].total == 105 and rig.is_running(runner, "p"))
    assert select.select([up], (), (), 60)[0], "a shell that runs has not counted"
    os.close(up)
    runner.close()
    rig.kill_coordinators()
    for number in (1, 2):
        missed = rig.sandbox / ".logs" / "p" / str(number)
        missed.mkdir()
        (missed / "stdout").touch()
    rig.finish(rig.own())
    assert logs(rig) == set(rig.on_disk().processes["p"].runs)


def test_only_the_last_few_are_remembered(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(counting("[ $n != 120 ]"))
    record: ProcessRecord = rig.finish(rig.own()).processes["p"]
    assert record.forgotten == list(range(20 - KEEP_FORGOTTEN, 20))
