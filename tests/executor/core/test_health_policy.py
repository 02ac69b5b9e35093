"""The worked cases of spec/thermos.md §4.5, and what must hold for any sequence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.core.health_policy import TOO_LATE, Health, HealthLimits, Verdict, after_check, before_check

S, R, U = Verdict.STARTING, Verdict.RUNNING, Verdict.UNHEALTHY


def verdicts(limits: HealthLimits, checks: str) -> list[Verdict]:
    """One a check ("S" or "F"); UNHEALTHY before a check ends the list."""
    health, said = Health(), []
    for check in checks:
        health = before_check(health, limits)
        if health.unhealthy:
            return [*said, U]
        health = after_check(health, limits, None if check == "S" else "no")
        said.append(health.verdict)
    return said


@pytest.mark.parametrize(
    ("limits", "checks", "expected"),
    [
        (HealthLimits(), "FFF", [S, S, U]),
        (HealthLimits(), "FFS", [S, S, R]),
        (HealthLimits(), "SFF", [R, R, U]),
        (HealthLimits(), "SSF", [R, R, U]),
        (HealthLimits(max_failures=2, min_successes=4), "FFFFF", [S, S, S, S, U]),
        (HealthLimits(max_failures=2, min_successes=2), "FFSFSFSS", [S, S, S, S, S, S, S, U]),
        (HealthLimits(max_failures=2, min_successes=2), "FFSS", [S, S, S, R]),
        (HealthLimits(initial_interval_s=0), "F", [U]),
        (HealthLimits(initial_interval_s=0), "SF", [R, U]),
        (HealthLimits(initial_interval_s=0, max_failures=1), "SFSFF", [R, R, R, R, U]),
        (HealthLimits(min_successes=0), "S", [R]),
        (HealthLimits(min_successes=0), "FFF", [S, S, U]),
        (HealthLimits(min_successes=3), "SSS", [S, S, R]),
        (HealthLimits(min_successes=3), "SSFF", [S, S, U, U]),  # three more don't fit: it is said at once
        (HealthLimits(max_failures=1, min_successes=1), "FFFS", [S, S, S, R]),
        # once it is running no number of successes has to fit any more
        (HealthLimits(initial_interval_s=0, max_failures=5, min_successes=3), "SSSSSFFFFFF", [S, S, *[R] * 8, U]),
    ],
)  # fmt: skip
def test_worked_cases(limits: HealthLimits, checks: str, expected: list[Verdict]) -> None:
    assert verdicts(limits, checks)[: len(expected)] == expected


def test_attempts_are_counted_until_they_make_no_difference() -> None:
    limits, health = HealthLimits(), Health()
    for _ in range(100):
        health = after_check(health, limits, None)
    assert health.attempts == limits.attempts_to_running + 1


def test_reasons() -> None:
    assert after_check(Health(attempts=2), HealthLimits(), "it said 500").reason == "it said 500"
    assert before_check(Health(attempts=4), HealthLimits()).reason == TOO_LATE
    assert not before_check(Health(attempts=4, running=True), HealthLimits()).unhealthy


_limits = st.builds(
    HealthLimits,
    initial_interval_s=st.floats(0, 60),
    interval_s=st.floats(0.5, 20),
    max_failures=st.integers(0, 5),
    min_successes=st.integers(0, 5),
)


@given(_limits, st.text("SF", max_size=60))
def test_running_and_unhealthy_are_for_good(limits: HealthLimits, checks: str) -> None:
    said = verdicts(limits, checks)
    rank = [S, R, U].index
    assert [rank(v) for v in said] == sorted(rank(v) for v in said)


@given(_limits, st.text("SF", max_size=60))
def test_nobody_starts_for_ever(limits: HealthLimits, checks: str) -> None:
    said = verdicts(limits, checks)
    assert said.count(S) <= limits.attempts_to_running + 1


@given(_limits)
def test_only_successes_lead_to_running_as_soon_as_may_be(limits: HealthLimits) -> None:
    said = verdicts(limits, "S" * (limits.min_successes + 1))
    assert said.index(R) == max(limits.min_successes - 1, 0)


@given(_limits, st.integers(0, 60))
def test_failures_in_the_grace_period_are_forgotten(limits: HealthLimits, failures: int) -> None:
    health = Health()
    for _ in range(min(failures, limits.forgiven)):
        health = after_check(before_check(health, limits), limits, "no")
    assert health.failures == 0 and health.verdict is S
