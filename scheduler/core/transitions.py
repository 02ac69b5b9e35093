"""THE table of a task in the cluster: what may follow which state, and what has to be done then.

    INIT -> PENDING | THROTTLED -> PENDING -> ASSIGNED -> STARTING -> RUNNING -> FINISHED | FAILED | KILLED | LOST
                                                 |            |          |
                                                 '---- PREEMPTING, RESTARTING, DRAINING, KILLING: it is to end
                                                 '---- PARTITIONED: its agent is out of sight, and may return

Effects have a fixed order, in which they are performed inside one write transaction; outward ones (KILL) after the
commit. Every pair of states has a named outcome; a report of a task that should not run makes it be killed again.

Source: spec/scheduler.md §2.1. Mended: a service that FINISHED while its agent was out of sight is replaced, a task can
become PARTITIONED from ASSIGNED, and KILLED while it was PARTITIONED.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum

from scheduler.core.states import ACTIVE, ENDING, REPORTED_ALIVE, TERMINAL, ScheduleStatus


class Effect(Enum):
    """What a transition asks for, in the order in which it is done: nothing is deleted before it is replaced."""

    INCREMENT_FAILURES = 1
    SAVE_STATE = 2
    RESCHEDULE = 3
    TRANSITION_TO_LOST = 4
    KILL = 5
    DELETE = 6


class Result(StrEnum):
    SUCCESS = "SUCCESS"
    NOOP = "NOOP"
    ILLEGAL = "ILLEGAL"
    ILLEGAL_WITH_SIDE_EFFECTS = "ILLEGAL_WITH_SIDE_EFFECTS"
    INVALID_CAS_STATE = "INVALID_CAS_STATE"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules ask of a task. `failures` is its count before this transition."""

    is_service: bool = False
    max_failures: int = 1
    failures: int = 0
    was_killing: bool = False  # its history has KILLING


@dataclass(frozen=True, slots=True)
class Transition:
    """The outcome of a wish or a report. `effects` are in their order."""

    result: Result
    effects: tuple[Effect, ...] = ()


Rule = Callable[[Facts], tuple[Effect, ...]]

_E, _S = Effect, ScheduleStatus


def _always(*effects: Effect) -> Rule:
    return lambda facts: effects


def _if_service(facts: Facts) -> tuple[Effect, ...]:
    return (_E.SAVE_STATE, _E.RESCHEDULE) if facts.is_service else (_E.SAVE_STATE,)


def _failed(facts: Facts) -> tuple[Effect, ...]:
    again = facts.is_service or facts.max_failures == -1 or facts.failures < facts.max_failures - 1
    return (_E.INCREMENT_FAILURES, _E.SAVE_STATE, *((_E.RESCHEDULE,) if again else ()))


def _unless_killing(*more: Effect) -> Rule:
    """Replaced, unless somebody had wanted its end before it went out of sight."""

    def rule(facts: Facts) -> tuple[Effect, ...]:
        return (_E.SAVE_STATE, *(() if facts.was_killing else (_E.RESCHEDULE,)), *more)

    return rule


_SAVE = _always(_E.SAVE_STATE)
_DELETE = _always(_E.DELETE)
_KILL = _always(_E.SAVE_STATE, _E.KILL)
_AGAIN = _always(_E.SAVE_STATE, _E.RESCHEDULE)
_AGAIN_AND_KILL = _always(_E.SAVE_STATE, _E.RESCHEDULE, _E.KILL)
_TO_LOST = _always(_E.SAVE_STATE, _E.TRANSITION_TO_LOST)

_ENDS_BY_ITSELF: Mapping[ScheduleStatus, Rule] = {
    _S.FINISHED: _if_service,
    _S.FAILED: _failed,
    _S.KILLED: _AGAIN,  # nobody had asked for it
    _S.PARTITIONED: _SAVE,
    **dict.fromkeys(ENDING, _KILL),
}

_TO_BE_REPLACED: Mapping[ScheduleStatus, Rule] = {
    **dict.fromkeys((_S.FINISHED, _S.FAILED, _S.KILLED), _AGAIN),
    _S.LOST: _AGAIN_AND_KILL,
    _S.KILLING: _SAVE,
    _S.PARTITIONED: _TO_LOST,
}

_ROWS: Mapping[ScheduleStatus, Mapping[ScheduleStatus, Rule]] = {
    _S.INIT: {_S.PENDING: _SAVE, _S.THROTTLED: _SAVE},
    _S.THROTTLED: {_S.PENDING: _SAVE, _S.KILLING: _DELETE},
    _S.PENDING: {_S.ASSIGNED: _SAVE, _S.KILLING: _DELETE},
    _S.ASSIGNED: {_S.STARTING: _SAVE, _S.RUNNING: _SAVE, _S.LOST: _AGAIN_AND_KILL, **_ENDS_BY_ITSELF},
    _S.STARTING: {_S.RUNNING: _SAVE, _S.LOST: _AGAIN, **_ENDS_BY_ITSELF},
    _S.RUNNING: {_S.LOST: _AGAIN, **_ENDS_BY_ITSELF},
    _S.PARTITIONED: {
        **dict.fromkeys(REPORTED_ALIVE, _SAVE),
        _S.FINISHED: _if_service,
        _S.FAILED: _failed,
        _S.KILLED: _unless_killing(),
        _S.LOST: _unless_killing(_E.KILL),
        **dict.fromkeys(ENDING, _TO_LOST),
    },
    **dict.fromkeys((_S.PREEMPTING, _S.RESTARTING, _S.DRAINING), _TO_BE_REPLACED),
    _S.KILLING: {**dict.fromkeys(TERMINAL, _SAVE), _S.PARTITIONED: _TO_LOST, _S.DELETED: _DELETE},
    **{key: {_S.DELETED: _DELETE} for key in TERMINAL},
    _S.DELETED: {},
}

#: (state before, state after) -> what has to be done. What is not in it is illegal.
TABLE: Mapping[tuple[ScheduleStatus, ScheduleStatus], Rule] = {
    (before, after): rule for before, row in _ROWS.items() for after, rule in row.items()
}

#: States in which a task should not run (any more): an agent that says it does is told to kill it.
SHOULD_NOT_RUN: frozenset[ScheduleStatus] = ENDING | TERMINAL | {_S.DELETED}


def transition(
    before: ScheduleStatus, after: ScheduleStatus, facts: Facts, *, expected: ScheduleStatus | None = None
) -> Transition:
    """What becomes of a task in `before` when it shall be in `after`. With `expected` only from that state."""
    if expected is not None and before is not expected:
        return Transition(Result.INVALID_CAS_STATE)
    if before is after:
        return Transition(Result.NOOP)
    rule = TABLE.get((before, after))
    if rule is not None:
        return Transition(Result.SUCCESS, rule(facts))
    if before in SHOULD_NOT_RUN and after in REPORTED_ALIVE:
        return Transition(Result.ILLEGAL_WITH_SIDE_EFFECTS, (_E.KILL,))
    return Transition(Result.ILLEGAL)


assert set(_ROWS) == set(ScheduleStatus), "every state has a row"
assert set(_ROWS) >= ACTIVE
