"""THE table of a job update: what may follow which status, and what becomes of it when somebody wishes something.

    ROLLING_FORWARD --failure--> ROLLING_BACK     each of the two may be PAUSED by a person, or AWAITING_PULSE of a
          |                           |           service that watches; from all of them it can be ABORTED
    ROLLED_FORWARD              ROLLED_BACK       FAILED: it could not be done; ERROR: the scheduler itself failed

There is one way only, from forward to back. What has ended stays as it is.

Source: spec/scheduler.md §4.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from scheduler.core.update_model import UPDATE_ACTIVE, UPDATE_ENDED, JobUpdateStatus
from thermos.errors import Bug

_S = JobUpdateStatus

#: status before -> those that may follow.
TABLE: Mapping[JobUpdateStatus, frozenset[JobUpdateStatus]] = {
    _S.ROLLING_FORWARD: frozenset(
        {
            _S.ROLLING_BACK,
            _S.ROLL_FORWARD_PAUSED,
            _S.ROLL_FORWARD_AWAITING_PULSE,
            _S.ROLLED_FORWARD,
            _S.ABORTED,
            _S.FAILED,
            _S.ERROR,
        }
    ),
    _S.ROLLING_BACK: frozenset(
        {_S.ROLL_BACK_PAUSED, _S.ROLL_BACK_AWAITING_PULSE, _S.ROLLED_BACK, _S.ABORTED, _S.FAILED, _S.ERROR}
    ),
    _S.ROLL_FORWARD_PAUSED: frozenset(
        {_S.ROLLING_FORWARD, _S.ROLLING_BACK, _S.ROLL_FORWARD_AWAITING_PULSE, _S.ABORTED, _S.ERROR}
    ),
    _S.ROLL_BACK_PAUSED: frozenset({_S.ROLLING_BACK, _S.ROLL_BACK_AWAITING_PULSE, _S.ABORTED, _S.ERROR}),
    _S.ROLL_FORWARD_AWAITING_PULSE: frozenset(
        {_S.ROLLING_FORWARD, _S.ROLL_FORWARD_PAUSED, _S.ROLLING_BACK, _S.ABORTED, _S.ERROR}
    ),
    _S.ROLL_BACK_AWAITING_PULSE: frozenset({_S.ROLLING_BACK, _S.ROLL_BACK_PAUSED, _S.ABORTED, _S.ERROR}),
    **{ended: frozenset() for ended in UPDATE_ENDED},
}

ROLLING: frozenset[JobUpdateStatus] = frozenset({_S.ROLLING_FORWARD, _S.ROLLING_BACK})
PAUSED: frozenset[JobUpdateStatus] = frozenset({_S.ROLL_FORWARD_PAUSED, _S.ROLL_BACK_PAUSED})
AWAITING_PULSE: frozenset[JobUpdateStatus] = frozenset({_S.ROLL_FORWARD_AWAITING_PULSE, _S.ROLL_BACK_AWAITING_PULSE})

#: Those on the way back; all other active ones are on the way forward.
BACKWARD: frozenset[JobUpdateStatus] = frozenset({_S.ROLLING_BACK, _S.ROLL_BACK_PAUSED, _S.ROLL_BACK_AWAITING_PULSE})


class Outcome(StrEnum):
    SUCCESS = "SUCCESS"
    NOOP = "NOOP"
    ILLEGAL = "ILLEGAL"


class Wish(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    ROLLBACK = "rollback"


def outcome(before: JobUpdateStatus, after: JobUpdateStatus) -> Outcome:
    if before is after:
        return Outcome.NOOP
    return Outcome.SUCCESS if after in TABLE[before] else Outcome.ILLEGAL


def turned(before: JobUpdateStatus, after: JobUpdateStatus) -> JobUpdateStatus:
    """`after`. Raises Bug if the table does not let it follow."""
    if outcome(before, after) is not Outcome.SUCCESS:
        raise Bug(f"cannot turn an update from {before} to {after}")
    return after


def is_backward(status: JobUpdateStatus) -> bool:
    return status in BACKWARD


def rolling_of(status: JobUpdateStatus) -> JobUpdateStatus:
    """The status of an active update that goes on in its direction."""
    return _S.ROLLING_BACK if is_backward(status) else _S.ROLLING_FORWARD


def paused_of(status: JobUpdateStatus) -> JobUpdateStatus:
    return _S.ROLL_BACK_PAUSED if is_backward(status) else _S.ROLL_FORWARD_PAUSED


def awaiting_of(status: JobUpdateStatus) -> JobUpdateStatus:
    return _S.ROLL_BACK_AWAITING_PULSE if is_backward(status) else _S.ROLL_FORWARD_AWAITING_PULSE


def wished(before: JobUpdateStatus, wish: Wish, *, blocked: bool = False) -> JobUpdateStatus | None:
    """The status that the wish leads to, the same one if it is so already; None: it can't be.

    `blocked`: the update is a coordinated one, and its pulses have stopped.
    """
    if wish is Wish.ABORT and before is _S.ABORTED:
        return before
    if before not in UPDATE_ACTIVE:
        return None
    match wish:
        case Wish.ABORT:
            return _S.ABORTED
        case Wish.PAUSE:
            return paused_of(before)
        case Wish.RESUME:
            if before not in PAUSED:
                return before
            return awaiting_of(before) if blocked else rolling_of(before)
        case Wish.ROLLBACK:
            return _S.ROLLING_BACK if before is _S.ROLLING_BACK or before not in BACKWARD else None


assert set(TABLE) == set(JobUpdateStatus), "every status has a row"
