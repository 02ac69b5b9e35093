"""Delays grow, stay within their bounds, and differ from client to client."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos.core.backoff import Backoff

DRAWS = st.floats(min_value=0.0, max_value=1.0, exclude_max=True)


def test_the_limit_doubles_up_to_the_cap() -> None:
    assert [Backoff(first_s=0.5, cap_s=15).limit(n) for n in range(8)] == [0.5, 1, 2, 4, 8, 15, 15, 15]


@given(failures=st.integers(min_value=-3, max_value=10**9), draw=DRAWS, cap=st.floats(min_value=0.5, max_value=75))
def test_a_delay_stays_between_the_least_and_the_limit(failures: int, draw: float, cap: float) -> None:
    backoff = Backoff(cap_s=cap)
    assert backoff.least_s <= backoff.delay(failures, draw) <= backoff.limit(failures) <= cap


@given(draw=DRAWS, wanted=st.floats(min_value=0, max_value=1e9))
def test_what_the_other_side_wants_counts_up_to_the_cap(draw: float, wanted: float) -> None:
    backoff = Backoff()
    assert min(wanted, backoff.cap_s) <= backoff.delay(0, draw, wanted) <= backoff.cap_s


@pytest.mark.parametrize("bad", [{"cap_s": 0.1}, {"first_s": 0.0}, {"least_s": 0.0}, {"least_s": 0.6}])
def test_a_backoff_that_never_waits_can_not_be_made(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="back-off needs"):
        Backoff(**bad)
