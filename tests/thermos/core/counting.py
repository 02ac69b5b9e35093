"""Names that count how often they are looked up: the cost of an algorithm in steps, not in seconds."""

from __future__ import annotations


class Name(str):
    """A process name that counts how often it is hashed: every look into a dict or set costs one."""

    __slots__ = ()
    hashed = 0

    def __hash__(self) -> int:
        Name.hashed += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other)
