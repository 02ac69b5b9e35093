"""Cron schedules: what is accepted, and the word for what is not."""

import pytest

from config.core.cron import schedule_refusal


@pytest.mark.parametrize(
    "schedule",
    ["* * * * *", "*/5 * * * *", "0 0 1 1 *", "0,30 9-17 * * MON-FRI", "10-50/10 * * jan,DEC *", "0 0 * * 0"],
)
def test_accepted(schedule: str) -> None:
    assert schedule_refusal(schedule) is None


@pytest.mark.parametrize(
    ("schedule", "word"),
    [
        ("@daily", "5 fields"),
        ("* * * *", "not 4"),
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day of month"),
        ("* * * 13 *", "month"),
        ("* * * * 7", "day of week"),
        ("* * * FOO *", "month"),
        ("5-1 * * * *", "backwards"),
        ("5/2 * * * *", "needs a range"),
        ("*/0 * * * *", "step"),
        ("1-5/5 * * * *", "step"),
        ("1,,2 * * * *", "no value"),
        ("0 0 1 * MON", "dayOfWeek and dayOfMonth"),
        ("٣ * * * *", "minute"),
        (f"*/{'9' * 5000} * * * *", "letters"),
    ],
)
def test_refused(schedule: str, word: str) -> None:
    refusal = schedule_refusal(schedule)
    assert refusal is not None
    assert word in refusal
