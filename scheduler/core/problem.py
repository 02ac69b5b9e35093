"""One thing that is wrong with what somebody asked for."""

from __future__ import annotations

from dataclasses import dataclass

#: Of a value that is quoted in a problem's text.
QUOTED = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """`field` as it is called on the wire; `text` says what to do."""

    field: str
    text: str

    def __str__(self) -> str:
        return f"{self.field}: {self.text}"


def quoted(value: str) -> str:
    """A long one without its middle."""
    return repr(value if len(value) <= QUOTED else f"{value[: QUOTED // 2]}…{value[-QUOTED // 2 :]}")
