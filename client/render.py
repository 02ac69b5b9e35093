"""Values become words for people, and columns of a terminal. (Durations, counts, ends: `thermos.core.words`.) Pure."""

from __future__ import annotations

import datetime as dt
import unicodedata

from thermos.core.words import duration


def running_clock(seconds: float) -> str:
    """Whole seconds of something that goes on."""
    return duration(float(int(seconds))) if seconds >= 10 else f"{max(0, int(seconds))} s"


def clock_time(at: float) -> str:
    """`17:03:21.4`, local time."""
    moment = dt.datetime.fromtimestamp(at)
    return f"{moment:%H:%M:%S}.{moment.microsecond // 100_000}"


def date_time(at: float) -> str:
    """`2026-11-22 17:03:21`, local time."""
    return f"{dt.datetime.fromtimestamp(at):%Y-%m-%d %H:%M:%S}"


def long_time(at: float) -> str:
    """`Sun Nov 22 17:03:21 2026`, local time."""
    return dt.datetime.fromtimestamp(at).ctime()


def utc_time(at: float) -> str:
    """`2026-11-22T17:03:21`."""
    return f"{dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%dT%H:%M:%S}"


def size_words(size: float) -> str:
    """`0 B`, `980 B`, `12 KB`, `3.4 MB`, `512 MB`, `1.2 GB`; units of 1024."""
    units = ("B", "KB", "MB", "GB", "TB")
    unit = 0
    while size >= 999.5 and unit < len(units) - 1:
        size /= 1024
        unit += 1
    return f"{size:.1f} {units[unit]}" if 0 < size < 9.95 and unit else f"{size:.0f} {units[unit]}"


def cores(rate: float) -> str:
    """CPU seconds per second: `0.00`, `0.53`, `3.1`, `12`."""
    return f"{rate:.2f}" if rate < 9.995 else f"{rate:.0f}"


def width_of(text: str) -> int:
    """Columns on a terminal."""
    if text.isascii():
        return len(text)
    return sum(_char_width(c) for c in text)


def _char_width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def fit(text: str, columns: int) -> str:
    """At most so many columns; what was cut is shown by `…`."""
    if width_of(text) <= columns:
        return text
    kept, used = [], 0
    for char in text:
        used += _char_width(char)
        if used > columns - 1:
            break
        kept.append(char)
    return "".join(kept) + "…" if columns > 0 else ""


def pad(text: str, columns: int) -> str:
    """Exactly so many columns."""
    text = fit(text, columns)
    return text + " " * (columns - width_of(text))
