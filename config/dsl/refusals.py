"""What a constructor refuses: an unknown field, a word that an Enum lacks, a number where an object belongs.

By default that is raised, as always. While a config file is loaded (`recording`), it is kept as a problem instead, and
the object goes on without the field, so that all mistakes of a file are told at once. The object remembers what it
lost: nobody may use it, but it is not complained about a second time because of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from msgspec import structs

from config.core.problem import Problem
from config.dsl.places import mark_caller, place_of

#: More of a text is not shown; a refused value may be a whole job.
_LONGEST = 1000


class Refusal(NamedTuple):
    """Fields that an object lacks for a reason that is told; the problem is None if its holder has it."""

    lost: tuple[str, ...]
    problem: Problem | None = None


class _Recorder:
    """Where refusals go now; None: they are raised."""

    kept: list[Problem] | None = None
    prefix = ""


@contextmanager
def recording(prefix: str = "") -> Iterator[list[Problem]]:
    """While this is open, refusals are kept in the list; an inner one shares it and puts `prefix` before the texts."""
    outer = _Recorder.kept, _Recorder.prefix
    kept = _Recorder.kept = [] if _Recorder.kept is None else _Recorder.kept
    _Recorder.prefix = prefix
    try:
        yield kept
    finally:
        _Recorder.kept, _Recorder.prefix = outer


@contextmanager
def raising() -> Iterator[None]:
    """While this is open, refusals are raised: somebody only tries whether a value fits."""
    kept, _Recorder.kept = _Recorder.kept, None
    try:
        yield
    finally:
        _Recorder.kept = kept


def is_recording() -> bool:
    return _Recorder.kept is not None


def refuse(error: Exception, problem: Problem, lost: tuple[str, ...]) -> Refusal:
    """Keep the problem, with the caller's place, or raise the error."""
    if _Recorder.kept is None:
        raise error from None
    text = " ".join(f"{_Recorder.prefix}{problem.text}".split())
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    told = structs.replace(problem, text=text, place=place_of(mark_caller()))
    _Recorder.kept.append(told)
    return Refusal(lost, told)
