"""The two state machines, over their whole squares, against lists written down from the specification."""

from __future__ import annotations

from itertools import product

import pytest

from thermos.core.states import (
    TERMINAL_RUN,
    TERMINAL_TASK,
    Outcome,
    ProcessState,
    RunEvent,
    TaskState,
    step_run,
    step_task,
)

#: state before, event, state after: everything a run may do.
RUN_STEPS = """
    -        STARTING       WAITING
    WAITING  FORKED         FORKED
    WAITING  SETUP_FAILED   FAILED
    WAITING  LOST           LOST
    FORKED   RUNNING        RUNNING
    FORKED   SETUP_FAILED   FAILED
    FORKED   LOST           LOST
    RUNNING  EXITED_OK      SUCCESS
    RUNNING  EXITED_BAD     FAILED
    RUNNING  EXITED_SIGNAL  KILLED
    RUNNING  LOST           LOST
"""

#: The same when records in between were damaged: what comes later implies what came before.
RUN_LEAPS = """
    WAITING  RUNNING        RUNNING
    WAITING  EXITED_OK      SUCCESS
    WAITING  EXITED_BAD     FAILED
    WAITING  EXITED_SIGNAL  KILLED
    FORKED   EXITED_OK      SUCCESS
    FORKED   EXITED_BAD     FAILED
    FORKED   EXITED_SIGNAL  KILLED
"""

#: state before, states that may follow: everything a task may do.
TASK_STEPS = """
    -           ACTIVE
    ACTIVE      CLEANING KILLED LOST
    CLEANING    FINALIZING SUCCESS FAILED KILLED LOST
    FINALIZING  SUCCESS FAILED KILLED LOST
"""

ENDS = {"SUCCESS", "FAILED", "KILLED", "LOST"}


def run_steps() -> dict[tuple[ProcessState | None, RunEvent], ProcessState]:
    rows = [line.split() for line in (RUN_STEPS + RUN_LEAPS).splitlines() if line.strip()]
    return {
        (None if before == "-" else ProcessState(before), RunEvent[event]): ProcessState(after)
        for before, event, after in rows
    }


def task_steps() -> set[tuple[TaskState | None, TaskState]]:
    rows = [line.split() for line in TASK_STEPS.strip().splitlines()]
    return {
        (None if before == "-" else TaskState(before), TaskState(after))
        for before, *follow in rows
        for after in follow
    }  # fmt: skip


def test_the_lists_name_only_what_exists() -> None:
    assert len(run_steps()) == 11 + 7
    assert len(task_steps()) == 1 + 3 + 5 + 4


@pytest.mark.parametrize(("state", "event"), list(product([None, *ProcessState], RunEvent)))
def test_a_run_in_every_state_with_every_event(state: ProcessState | None, event: RunEvent) -> None:
    wanted = run_steps().get((state, event))
    after, outcome = step_run(state, event)
    if wanted is not None:
        assert (after, outcome) == (wanted, Outcome.CHANGED)
    elif state is not None and state.value in ENDS:
        assert (after, outcome) == (state, Outcome.NOTE)
    else:
        assert (after, outcome) == (state, Outcome.ILLEGAL)


@pytest.mark.parametrize(("state", "wanted"), list(product([None, *TaskState], TaskState)))
def test_a_task_in_every_state_asked_for_every_state(state: TaskState | None, wanted: TaskState) -> None:
    after, outcome = step_task(state, wanted)
    if (state, wanted) in task_steps():
        assert (after, outcome) == (wanted, Outcome.CHANGED)
    elif state is wanted:
        assert (after, outcome) == (state, Outcome.NOOP)
    elif state is not None and state.value in ENDS:
        assert (after, outcome) == (state, Outcome.NOTE)
    else:
        assert (after, outcome) == (state, Outcome.ILLEGAL)


def test_terminal_states() -> None:
    assert {s.value for s in TERMINAL_RUN} == ENDS
    assert {s.value for s in TERMINAL_TASK} == ENDS


def test_nothing_leaves_a_terminal_state() -> None:
    assert all(step_run(s, e)[0] is s for s in TERMINAL_RUN for e in RunEvent)
    assert all(step_task(s, w)[0] is s for s in TERMINAL_TASK for w in TaskState)


def test_every_state_can_be_reached_and_every_live_one_left() -> None:
    runs = {
        after for before in [None, *ProcessState] for e in RunEvent if (after := step_run(before, e)[0]) is not before
    }
    assert runs == set(ProcessState)
    tasks = {w for before in [None, *TaskState] for w in TaskState if step_task(before, w)[1] is Outcome.CHANGED}
    assert tasks == set(TaskState)


def test_lost_ends_every_live_run() -> None:
    for state in set(ProcessState) - TERMINAL_RUN:
        assert step_run(state, RunEvent.LOST) == (ProcessState.LOST, Outcome.CHANGED)
