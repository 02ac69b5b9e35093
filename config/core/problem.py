"""What is wrong with a config, as values: where it was written, which object and field, and what to do.

The language engine, the schema and the rules all produce `Problem`s; a command prints them one per line with
`render_problem`. A problem is never an exception by itself, so that all of them can be shown at once.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class Place(Struct, frozen=True):
    """A line of a user's file, or the file alone."""

    file: str
    line: int | None = None


class Problem(Struct, frozen=True):
    """One thing to mend. `object` is in words (Job `www`), `field` the full path below it, either may be empty."""

    text: str
    object: str = ""
    field: str = ""
    place: Place | None = None
    severity: Severity = Severity.ERROR


def is_error(problem: Problem) -> bool:
    """Whether the config can't be used before this is mended."""
    return problem.severity is Severity.ERROR


def render_place(place: Place) -> str:
    """`FILE:LINE`, as editors and terminals link it."""
    return place.file if place.line is None else f"{place.file}:{place.line}"


def render_problem(problem: Problem) -> str:
    """One line, `FILE:LINE: OBJECT.FIELD: text`; what is unknown is left out, a warning says so."""
    joint = "" if problem.field.startswith("[") or not (problem.object and problem.field) else "."
    text = problem.text if is_error(problem) else f"warning: {problem.text}"
    place = render_place(problem.place) if problem.place else ""
    parts = (place, f"{problem.object}{joint}{problem.field}", text)
    line = " ".join(": ".join(part for part in parts if part).split("\n"))
    return line.encode("utf-8", "backslashreplace").decode("utf-8")  # a lone surrogate can't be printed
