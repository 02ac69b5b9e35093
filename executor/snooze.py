"""Health checks that sleep: while `.healthchecksnooze` lies in the sandbox, each counts as a success. Not for ever.

The file's content may say how long:

    (nothing)                     as long as the executor allows by itself
    1800                          so many seconds from when it was written
    1764158400                    until then, in seconds since 1970
    2026-11-26T12:00:00+01:00     until then; without an offset it is UTC

Anything else counts as nothing. No nap is longer than MOST_S. What comes after its end is ignored until somebody writes
the file again.

The file belongs to the task's user, and we may be root: it is opened without following links or waiting for a writer,
little of it is read, and its age is its ctime, which `touch` can't set to what it likes.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

#: The file's name in the sandbox.
SNOOZE_FILE = ".healthchecksnooze"

#: How long a nap is that says nothing, and that of any other at most.
DEFAULT_S, MOST_S = 3600.0, 30 * 86400.0

#: Numbers from here on are points of time.
_EPOCH = 100_000_000

_NUMBER = re.compile(r"\d{1,15}(\.\d{1,9})?")
_ENOUGH = 64  # bytes


class Nap(Struct, frozen=True):
    """Wall time."""

    since: float
    until: float


def look_for_nap(path: Path, default_s: float = DEFAULT_S) -> Nap | None:
    """What the file says, if there is one; whether the nap is over is for others to say."""
    try:
        since = os.lstat(path).st_ctime
    except OSError:
        return None
    until = _read_until(_read(path), since)
    if until is None:
        until = since + default_s
    return Nap(since, min(until, since + MOST_S))


def _read(path: Path) -> str:
    """ "" for what is no regular file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, _ENOUGH).decode("ascii", "replace").strip() if stat.S_ISREG(os.fstat(fd).st_mode) else ""
    except OSError:
        return ""
    finally:
        os.close(fd)


def _read_until(text: str, since: float) -> float | None:
    if _NUMBER.fullmatch(text):
        number = float(text)
        return number if number >= _EPOCH else since + number
    with contextlib.suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    return None
