"""Numbers of many rounds: medians with their range, ratios to the bare loop round by round, a line through points."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that a case yields."""

    key: str
    title: str
    digits: int
    has_ratio: bool = False  # is its ratio to the bare loop worth a column


def values_of(rows: Iterable[Row], key: str) -> list[float]:
    """Of the rows that have it."""
    return [row["figures"][key] for row in rows if row["figures"].get(key) is not None]


def render_value(values: Sequence[float], digits: int) -> str:
    """Median, and the range if there is one: `1.23 [1.20–1.31]`."""
    if not values:
        return "–"
    text = f"{statistics.median(values):.{digits}f}"
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return text if low == high else f"{text} [{low}–{high}]"


def ratio_to(rows: Iterable[Row], bare: Iterable[Row], key: str) -> float | None:
    """Median of the ratios within each round."""
    base = {row["round"]: row["figures"].get(key) for row in bare if "figures" in row}
    ratios = [
        row["figures"][key] / base[row["round"]]
        for row in rows
        if row["figures"].get(key) is not None and base.get(row["round"])
    ]
    return statistics.median(ratios) if ratios else None


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """Of the least-squares line; None for fewer than two different abscissae."""
    if len({x for x, _ in points}) < 2:
        return None
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope
