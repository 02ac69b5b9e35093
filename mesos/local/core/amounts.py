"""How much of something: whole thousandths, spans that do not touch, or items; added and taken apart exactly."""

from __future__ import annotations

import math
from collections.abc import Iterable

from thermos.errors import Bug

Span = tuple[int, int]
#: Thousandths of a scalar, spans of ranges, items of a set.
Amount = int | tuple[Span, ...] | frozenset[str]


def add(a: Amount, b: Amount) -> Amount:
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    if isinstance(a, tuple) and isinstance(b, tuple):
        return merge_spans((*a, *b))
    if isinstance(a, frozenset) and isinstance(b, frozenset):
        return a | b
    raise Bug("amounts of different types were added")


def subtract(a: Amount, b: Amount) -> Amount:
    """Only for `covers(a, b)`."""
    if isinstance(a, int) and isinstance(b, int):
        return a - b
    if isinstance(a, tuple) and isinstance(b, tuple):
        return cut_spans(a, b)
    if isinstance(a, frozenset) and isinstance(b, frozenset):
        return a - b
    raise Bug("amounts of different types were subtracted")


def covers(a: Amount, b: Amount) -> bool:
    if isinstance(a, int) and isinstance(b, int):
        return a >= b
    if isinstance(a, tuple) and isinstance(b, tuple):
        return all(any(low <= x and y <= high for low, high in a) for x, y in b)
    if isinstance(a, frozenset) and isinstance(b, frozenset):
        return a >= b
    return False


def common(a: Amount, b: Amount) -> Amount:
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return cut_spans(a, cut_spans(a, b))
    if isinstance(a, frozenset) and isinstance(b, frozenset):
        return a & b
    return 0


def merge_spans(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Sorted, joined where they overlap or touch."""
    merged: list[Span] = []
    for low, high in sorted(spans):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)


def cut_spans(spans: tuple[Span, ...], holes: tuple[Span, ...]) -> tuple[Span, ...]:
    """`spans` without what lies in `holes`; both sorted and merged."""
    left: list[Span] = []
    for start, high in spans:
        low = start
        for a, b in holes:
            if b < low or a > high:
                continue
            if a > low:
                left.append((low, a - 1))
            low = b + 1
        if low <= high:
            left.append((low, high))
    return tuple(left)


def thousandths(value: float) -> int:
    """Only for `is_countable` values."""
    return round(value * 1000)


def is_countable(value: float) -> bool:
    """Neither infinite, nor so large that its thousandths would be, nor no number at all."""
    return math.isfinite(value * 1000)


def describe_amount(amount: Amount) -> str:
    if isinstance(amount, int):
        return f"{amount / 1000:.3f}".rstrip("0").rstrip(".")
    if isinstance(amount, tuple):
        return "[" + ", ".join(f"{a}-{b}" for a, b in amount) + "]"
    return "{" + ", ".join(sorted(amount)) + "}"
