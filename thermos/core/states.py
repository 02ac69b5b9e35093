"""The two state machines of a host, each one table; everything else about states is derived from them.

A *run* is one attempt of a process:

    (none) --starting--> WAITING --forked--> FORKED --running--> RUNNING --exited 0------> SUCCESS
                            |                   |                   |------exited n>0----> FAILED
                            |                   |                   '------exited signal-> KILLED
                            '---setup_failed----+--> FAILED
    WAITING, FORKED, RUNNING --lost--> LOST

A later fact implies the earlier ones: if a record in between was damaged, `running` and `exited` still count.

A *task* goes ACTIVE -> CLEANING -> FINALIZING -> one of SUCCESS, FAILED, KILLED, LOST; a phase may be cut short
when its time is over. Entering the state one is in is what a new owner does; it changes nothing.

Source: spec/thermos.md §2.3, §2.4; FORKED -> FAILED is ours: the child says at which step its set-up failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class ProcessState(StrEnum):
    WAITING = "WAITING"
    FORKED = "FORKED"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    KILLED = "KILLED"
    LOST = "LOST"


class RunEvent(StrEnum):
    """What can be recorded of a run, as far as its state is concerned."""

    STARTING = "starting"
    FORKED = "forked"
    RUNNING = "running"
    SETUP_FAILED = "setup_failed"
    EXITED_OK = "exited 0"
    EXITED_BAD = "exited n"
    EXITED_SIGNAL = "exited signal"
    LOST = "lost"


class TaskState(StrEnum):
    ACTIVE = "ACTIVE"
    CLEANING = "CLEANING"
    FINALIZING = "FINALIZING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    KILLED = "KILLED"
    LOST = "LOST"


class Outcome(StrEnum):
    """What became of a record: every (state, event) pair has one of these."""

    CHANGED = "changed"  # the state is another one now
    NOOP = "noop"  # said again; nothing to do
    NOTE = "note"  # it came after the end: kept, changes no state
    ILLEGAL = "illegal"  # can't be; reported with its place and skipped


_P, _E, _T = ProcessState, RunEvent, TaskState

_LIVE = (_P.WAITING, _P.FORKED, _P.RUNNING)

#: (state before, event) -> state after. `None` is "no such run yet". This is THE table of a run.
RUN_TABLE: Mapping[tuple[ProcessState | None, RunEvent], ProcessState] = {
    (None, _E.STARTING): _P.WAITING,
    (_P.WAITING, _E.FORKED): _P.FORKED,
    (_P.WAITING, _E.RUNNING): _P.RUNNING,
    (_P.FORKED, _E.RUNNING): _P.RUNNING,
    (_P.WAITING, _E.SETUP_FAILED): _P.FAILED,
    (_P.FORKED, _E.SETUP_FAILED): _P.FAILED,
    **{(live, _E.EXITED_OK): _P.SUCCESS for live in _LIVE},
    **{(live, _E.EXITED_BAD): _P.FAILED for live in _LIVE},
    **{(live, _E.EXITED_SIGNAL): _P.KILLED for live in _LIVE},
    **{(live, _E.LOST): _P.LOST for live in _LIVE},
}

#: (state before, state after) of a task. This is THE table of a task.
TASK_TABLE: frozenset[tuple[TaskState | None, TaskState]] = frozenset(
    {
        (None, _T.ACTIVE),
        (_T.ACTIVE, _T.CLEANING),
        (_T.CLEANING, _T.FINALIZING),
        *((phase, end) for phase in (_T.CLEANING, _T.FINALIZING) for end in (_T.SUCCESS, _T.FAILED)),
        *((phase, end) for phase in (_T.ACTIVE, _T.CLEANING, _T.FINALIZING) for end in (_T.KILLED, _T.LOST)),
    }
)

TERMINAL_RUN: frozenset[ProcessState] = frozenset(ProcessState) - {before for before, _ in RUN_TABLE if before}
TERMINAL_TASK: frozenset[TaskState] = frozenset(TaskState) - {before for before, _ in TASK_TABLE if before}


def step_run(state: ProcessState | None, event: RunEvent) -> tuple[ProcessState | None, Outcome]:
    """The state after `event` and what became of it; total over the whole square."""
    after = RUN_TABLE.get((state, event))
    if after is not None:
        return after, Outcome.CHANGED
    return state, Outcome.NOTE if state in TERMINAL_RUN else Outcome.ILLEGAL


def step_task(state: TaskState | None, wanted: TaskState) -> tuple[TaskState | None, Outcome]:
    """The state after somebody recorded `wanted`; total over the whole square."""
    if (state, wanted) in TASK_TABLE:
        return wanted, Outcome.CHANGED
    if state is wanted:
        return state, Outcome.NOOP
    return state, Outcome.NOTE if state in TERMINAL_TASK else Outcome.ILLEGAL
