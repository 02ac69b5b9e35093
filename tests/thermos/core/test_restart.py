"""A restart that somebody asked for: the run makes way, its end does not count, the next begins at once."""

from __future__ import annotations

import pytest

from tests.thermos.core.samples import exited, forked, running, starting
from thermos.clock import Now
from thermos.core.actions import StartRun, StopRun
from thermos.core.fold import TaskRecord, fold
from thermos.core.lifecycle import Lifecycle
from thermos.core.records import AnyRecord, Exited, Restart, TaskStatus
from thermos.core.states import Outcome, TaskState
from thermos.model import ProcessSpec, TaskSpec

RESTART = Restart(at=20, mono=20, process="p", run=0)


def task_of(*records: AnyRecord) -> tuple[TaskRecord, Lifecycle]:
    life = Lifecycle(TaskSpec(name="t", processes=(ProcessSpec(name="p", cmdline="x", min_duration=60),)))
    task = TaskRecord()
    for record in (TaskStatus(at=0, mono=0, state=TaskState.ACTIVE), *records):
        task, applied = fold(task, record)
        if applied.run is not None and applied.outcome is Outcome.CHANGED:
            life.update(task, applied.run)
    return task, life


def test_a_running_process_is_stopped_once_and_begun_again_at_once() -> None:
    task, life = task_of(starting(), forked(), running(), RESTART)
    assert life.decide(task, Now(21, 21)).actions == (StopRun("p", 0),)
    assert life.decide(task, Now(21, 21)).actions == ()
    task, applied = fold(task, exited(code=1, signal=None))
    assert applied.run is not None
    life.update(task, applied.run)
    assert life.decide(task, Now(22, 22)).actions == (StartRun("p"),)


@pytest.mark.parametrize("end", [{"code": 0}, {"code": 7}, {"code": None, "signal": 15}])
def test_how_it_ends_does_not_count(end: dict[str, int | None]) -> None:
    last = Exited(at=30, mono=30, process="p", run=0, seq=2, **end)
    process = task_of(starting(), forked(), running(), RESTART, last)[0].processes["p"]
    assert (process.restarts, process.successes, process.failures, process.kills) == (1, 0, 0, 0)
    assert process.ended == 1


def test_one_that_waits_for_min_duration_starts_at_once() -> None:
    killed = exited(code=None, signal=9)
    task, life = task_of(starting(), forked(), running(), killed)
    assert life.decide(task, Now(31, killed.mono + 1)).actions == ()
    task, applied = fold(task, RESTART)
    assert applied.run is not None
    life.update(task, applied.run)
    assert life.decide(task, Now(31, killed.mono + 1)).actions == (StartRun("p"),)


def test_asked_twice_is_asked_once_and_strangers_are_refused() -> None:
    task, _ = task_of(starting(), forked(), running(), RESTART)
    assert fold(task, RESTART)[1].outcome is Outcome.NOOP
    assert fold(task, Restart(at=1, mono=1, process="p", run=7))[1].outcome is Outcome.ILLEGAL
    assert fold(task, Restart(at=1, mono=1, process="q", run=0))[1].outcome is Outcome.ILLEGAL
