"""What the rules say: a `Finding` is a text and the path to what is wrong, in terms of plain resolved data.

Rules see only plain data (dict, list, str, numbers), so they are pure and cheap; who the path leads to and in which
line of the user's file it was written is added afterwards, for findings only (`config.check`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

Path = tuple[str | int, ...]
Plain = Mapping[str, Any]


class Finding(NamedTuple):
    """What is wrong (or doubtful, if `warning`) at `path` below the object that was looked at.

    It is `certain` if it stays wrong whatever else is mended in that field.
    """

    text: str
    path: Path = ()
    warning: bool = False
    certain: bool = False


def below(path: Path, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings of a part, told from the whole: `path` leads to the part."""
    for finding in findings:
        yield finding._replace(path=path + finding.path)


def mapping_at(data: Plain, field: str) -> Plain:
    """The field if it is an object, else an empty one: what has the wrong type has been reported already."""
    value = data.get(field)
    return value if isinstance(value, Mapping) else {}


def objects_at(data: Plain, field: str) -> list[tuple[int, Plain]]:
    """The objects in a list field with their index; anything else has been reported already."""
    value = data.get(field)
    if not isinstance(value, list | tuple):
        return []
    return [(index, item) for index, item in enumerate(value) if isinstance(item, Mapping)]


def text_at(data: Plain, field: str) -> str | None:
    """The field if it is a fully bound text, else None: an unbound reference is reported elsewhere."""
    value = data.get(field)
    return value if isinstance(value, str) and "{{" not in value else None


def number_at(data: Plain, field: str) -> float | None:
    """The field if it is a finite number (a bool is none), else None."""
    value = data.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value
