"""Where a user's file made an object. Off by default; the loader turns it on while it runs a file.

An object keeps only (code, instruction) of the first frame outside our package, which costs two attribute reads.
The line is looked up when a problem is shown: asking a frame for its line while a long file runs would scan the
code's line table each time, which is quadratic in the length of the file.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType

from config.core.problem import Place

#: (code object, instruction offset) of the call that made an object, or its place where that is known already.
Mark = tuple[CodeType, int] | Place

_OURS = str(Path(__file__).parent.parent) + "/"


class _Switch:
    """How many loaders want places now (they nest: a file includes another), and the one place if there is no code."""

    on = 0
    fixed: Place | None = None


@contextmanager
def tracking(fixed: Place | None = None) -> Iterator[None]:
    """While this is open, every Struct remembers the line that made it, or the fixed place: a file without code."""
    before = _Switch.fixed
    _Switch.on += 1
    _Switch.fixed = fixed
    try:
        yield
    finally:
        _Switch.on -= 1
        _Switch.fixed = before


def mark_caller() -> Mark | None:
    """The innermost frame outside `config/`, or None when tracking is off."""
    if not _Switch.on or _Switch.fixed is not None:
        return _Switch.fixed
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    return None if frame is None else (frame.f_code, frame.f_lasti)


@lru_cache(maxsize=256)
def _lines(code: CodeType) -> tuple[list[int], list[int | None]]:
    """Start offsets and line numbers of a code object, for bisection."""
    starts, lines = [], []
    for start, _, line in code.co_lines():
        starts.append(start)
        lines.append(line)
    return starts, lines


def place_of(mark: Mark | None) -> Place | None:
    """The file and line of a mark."""
    if mark is None or isinstance(mark, Place):
        return mark
    code, offset = mark
    starts, lines = _lines(code)
    line = lines[max(0, bisect_right(starts, offset) - 1)] if starts else None
    return Place(code.co_filename, line or code.co_firstlineno)
