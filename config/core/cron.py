"""The five fields of a cron schedule: what clients check, and the scheduler checks again.

minute hour day-of-month month day-of-week; each a comma list of `N`, `*`, `a-b`, `*/n` or `a-b/n`, months and days
of the week also by name. Sunday is 0. Only one of the two day fields may be something else than `*`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MOST_LETTERS = 255
_PART = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>[0-9]+))?")


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, _DAYS),
)


def schedule_refusal(schedule: str) -> str | None:
    """Why `schedule` is no cron schedule, or None if it is one."""
    if len(schedule) > _MOST_LETTERS:
        return f"`{schedule[:20]}…` is not a cron schedule: it has {len(schedule)} letters; {_MOST_LETTERS} is the most"
    parts = schedule.split()
    if len(parts) != len(_FIELDS):
        return (
            f"`{schedule}` is not a cron schedule: it needs 5 fields "
            f"(minute hour day-of-month month day-of-week), not {len(parts)}"
        )
    for field, text in zip(_FIELDS, parts, strict=True):
        for part in text.split(","):
            refusal = _part_refusal(field, part)
            if refusal is not None:
                return f"`{schedule}` is not a cron schedule: {refusal}"
    if parts[2] != "*" and parts[4] != "*":
        return f"`{schedule}`: Specifying both dayOfWeek and dayOfMonth is not supported."
    return None


def _part_refusal(field: _Field, part: str) -> str | None:
    match = _PART.fullmatch(part)
    if match is None:
        return f"`{part}` is no value for {field.name}"
    first = last = None
    if match["first"] is not None:
        first = _number(field, match["first"])
        last = _number(field, match["last"]) if match["last"] is not None else first
        if first is None or last is None:
            return f"`{part}` is no value for {field.name} ({field.low}-{field.high})"
        if first > last:
            return f"`{part}` runs backwards"
    step = match["step"]
    if step is not None and first is not None and match["last"] is None:
        return f"`{part}`: a step needs a range, like {field.low}-{field.high}/{step} or */{step}"
    limit = last if last is not None else field.high
    if step is not None and not 0 < int(step) < limit:
        return f"`{part}`: the step must be from 1 to {limit - 1}"
    return None


def _number(field: _Field, text: str) -> int | None:
    if text.upper() in field.names:
        return field.names.index(text.upper()) + field.low
    if not text.isascii() or not text.isdigit() or not field.low <= int(text) <= field.high:
        return None
    return int(text)
