"""Many things as coloured squares: each leads somewhere and says what it is; of very many only colours are left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from web.core.svg import el, number, picture

WIDTH = 720.0

#: Up to so many squares of that size; beyond the last, the smallest.
_SIZES = ((100, 22.0), (400, 16.0), (1_000, 11.0))
_SMALLEST = 6.0

#: Beyond, squares of one class are drawn as one shape, without links.
MOST_LINKED = 1_000


@dataclass(frozen=True, slots=True)
class Square:
    class_: str
    words: str
    href: str


def squares(title: str, things: Sequence[Square], width: float = WIDTH) -> Markup:
    """Row by row."""
    size = next((size for most, size in _SIZES if len(things) <= most), _SMALLEST)
    gap = 3.0 if size > 10 else 1.0
    pitch = size + gap
    columns = max(1, int((width + gap) // pitch))
    places = [(index % columns * pitch, index // columns * pitch) for index in range(len(things))]
    rows = -(-len(things) // columns)
    if len(things) > MOST_LINKED:
        parts = _shapes(things, places, size)
    else:
        parts = [
            el(
                "a",
                el(
                    "rect", el("title", thing.words), x=x, y=y, width=size, height=size, rx=min(3.0, size / 4),
                    class_=f"square {thing.class_}",
                ),
                href=thing.href,
                aria_label=thing.words,
            )
            for thing, (x, y) in zip(things, places, strict=True)
        ]  # fmt: skip
    used = min(columns, max(1, len(things))) * pitch - gap
    return picture(used, max(size, rows * pitch - gap), title, *parts, class_="squares", natural=True)


def _shapes(things: Sequence[Square], places: Sequence[tuple[float, float]], size: float) -> list[Markup]:
    """One path for each class."""
    side = number(size)
    paths: dict[str, list[str]] = {}
    for thing, (x, y) in zip(things, places, strict=True):
        paths.setdefault(thing.class_, []).append(f"M{number(x)} {number(y)}h{side}v{side}h-{side}z")
    return [el("path", d="".join(path), class_=f"square {class_}") for class_, path in paths.items()]
