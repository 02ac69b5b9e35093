"""The whole square of an update's table against a list of its own: spec/scheduler.md §4.5, row by row."""

from __future__ import annotations

import pytest

from scheduler.core.update_model import UPDATE_ACTIVE, UPDATE_ENDED, JobUpdateStatus
from scheduler.core.update_states import (
    AWAITING_PULSE,
    BACKWARD,
    PAUSED,
    ROLLING,
    Outcome,
    Wish,
    awaiting_of,
    outcome,
    paused_of,
    rolling_of,
    turned,
    wished,
)
from thermos.errors import Bug

S = JobUpdateStatus

#: As the specification writes it.
ROWS = """
ROLLING_FORWARD ROLLING_BACK ROLL_FORWARD_PAUSED ROLL_FORWARD_AWAITING_PULSE ROLLED_FORWARD ABORTED FAILED ERROR
ROLLING_BACK ROLL_BACK_PAUSED ROLL_BACK_AWAITING_PULSE ROLLED_BACK ABORTED FAILED ERROR
ROLL_FORWARD_PAUSED ROLLING_FORWARD ROLLING_BACK ROLL_FORWARD_AWAITING_PULSE ABORTED ERROR
ROLL_BACK_PAUSED ROLLING_BACK ROLL_BACK_AWAITING_PULSE ABORTED ERROR
ROLL_FORWARD_AWAITING_PULSE ROLLING_FORWARD ROLL_FORWARD_PAUSED ROLLING_BACK ABORTED ERROR
ROLL_BACK_AWAITING_PULSE ROLLING_BACK ROLL_BACK_PAUSED ABORTED ERROR
"""

ALLOWED = {
    (S(words[0]), S(after)) for words in (line.split() for line in ROWS.strip().splitlines()) for after in words[1:]
}

#: What a wish makes of a status: pause, resume, resume while blocked, abort, rollback; "-" it stays, "x" it can't be.
WISHES = """
ROLLING_FORWARD             ROLL_FORWARD_PAUSED - - ABORTED ROLLING_BACK
ROLL_FORWARD_PAUSED         - ROLLING_FORWARD ROLL_FORWARD_AWAITING_PULSE ABORTED ROLLING_BACK
ROLL_FORWARD_AWAITING_PULSE ROLL_FORWARD_PAUSED - - ABORTED ROLLING_BACK
ROLLING_BACK                ROLL_BACK_PAUSED - - ABORTED -
ROLL_BACK_PAUSED            - ROLLING_BACK ROLL_BACK_AWAITING_PULSE ABORTED x
ROLL_BACK_AWAITING_PULSE    ROLL_BACK_PAUSED - - ABORTED x
ROLLED_FORWARD              x x x x x
ROLLED_BACK                 x x x x x
FAILED                      x x x x x
ERROR                       x x x x x
ABORTED                     x x x - x
"""


@pytest.mark.parametrize("before", list(S))
def test_the_whole_square(before: JobUpdateStatus) -> None:
    for after in S:
        if before is after:
            assert outcome(before, after) is Outcome.NOOP
        else:
            expected = Outcome.SUCCESS if (before, after) in ALLOWED else Outcome.ILLEGAL
            assert outcome(before, after) is expected, f"{before} -> {after}"
        if (before, after) in ALLOWED:
            assert turned(before, after) is after
        else:
            with pytest.raises(Bug, match=f"cannot turn an update from {before} to {after}"):
                turned(before, after)


def test_nothing_follows_an_end() -> None:
    assert {before for before, _ in ALLOWED} == UPDATE_ACTIVE
    assert not any(outcome(before, after) is Outcome.SUCCESS for before in UPDATE_ENDED for after in S)


@pytest.mark.parametrize("line", WISHES.strip().splitlines(), ids=lambda line: line.split()[0])
def test_what_wishes_lead_to(line: str) -> None:
    name, *cells = line.split()
    before = S(name)
    asked = [
        (Wish.PAUSE, False),
        (Wish.RESUME, False),
        (Wish.RESUME, True),
        (Wish.ABORT, False),
        (Wish.ROLLBACK, False),
    ]
    for (wish, blocked), cell in zip(asked, cells, strict=True):
        expected = {"-": before, "x": None}[cell] if cell in "-x" else S(cell)
        found = wished(before, wish, blocked=blocked)
        assert found is expected, f"{wish} {before}"
        assert found is None or outcome(before, found) is not Outcome.ILLEGAL


def test_all_active_statuses_have_their_three_faces() -> None:
    assert UPDATE_ACTIVE == ROLLING | PAUSED | AWAITING_PULSE
    for status in UPDATE_ACTIVE:
        faces = {rolling_of(status), paused_of(status), awaiting_of(status)}
        assert status in faces
        assert len(faces) == 3
        assert len({face in BACKWARD for face in faces}) == 1
