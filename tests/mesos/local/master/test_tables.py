"""Each state machine is one table, total over its square."""

from __future__ import annotations

import itertools

import pytest

from mesos.core.messages import TERMINAL_STATES, TaskID, TaskState, TaskStatus
from mesos.local.core import frameworks, tasks
from mesos.local.core.resources import NONE
from mesos.local.core.tasks import Outcome, Says, Standing, TaskRecord, says_of


def test_tables_are_total() -> None:
    assert set(tasks.TABLE) == set(itertools.product(Standing, Says))
    assert set(frameworks.TABLE) == set(itertools.product(frameworks.Phase, frameworks.Happening))


def test_every_outcome_and_step_occurs() -> None:
    assert {outcome for _, outcome in tasks.TABLE.values()} == set(Outcome)
    assert {step for _, step in frameworks.TABLE.values()} == set(frameworks.Step)


@pytest.mark.parametrize("before", TaskState)
@pytest.mark.parametrize("after", TaskState)
def test_a_task_that_ended_stays_as_it_ended(before: TaskState, after: TaskState) -> None:
    record = TaskRecord("f", "a", "t", "t", "", NONE)
    record.update(TaskStatus(task_id=TaskID(value="t"), state=before), before)
    was = record.state
    outcome = record.update(TaskStatus(task_id=TaskID(value="t"), state=after), after)
    if before in TERMINAL_STATES:
        assert (record.state, outcome) == (was, Outcome.LATE)
    else:
        assert record.state == after
        assert record.over == (after in TERMINAL_STATES)
        assert (outcome in (Outcome.ENDED, Outcome.ENDED_AWAY)) == (says_of(after) is Says.ENDED)


def test_statuses_are_few_and_the_last_of_a_state_counts() -> None:
    record = TaskRecord("f", "a", "t", "t", "", NONE)
    for number in range(100):
        state = "TASK_RUNNING" if number % 2 else "TASK_STARTING"
        record.update(TaskStatus(task_id=TaskID(value="t"), state=state, data=b"much"), state)
    assert len(record.statuses) == 10 and not any(status.data for status in record.statuses)
    before = record.statuses
    record.update(TaskStatus(task_id=TaskID(value="t"), state="TASK_RUNNING", message="again"), "TASK_RUNNING")
    assert len(record.statuses) == len(before) and record.statuses[-1].message == "again"


def test_the_latest_state_may_be_ahead_of_what_was_told() -> None:
    record = TaskRecord("f", "a", "t", "t", "", NONE)
    record.update(TaskStatus(task_id=TaskID(value="t"), state="TASK_RUNNING", uuid=b"1"), "TASK_FINISHED")
    assert record.over and record.state == "TASK_FINISHED" and record.reported_state == "TASK_RUNNING"
