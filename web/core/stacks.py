"""Layers over time, one upon the other: how many things were in which state. With a grid, and words on the axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from markupsafe import Markup

from web.core.svg import el, join, number, picture
from web.core.words import duration_words, nice_step

WIDTH, HEIGHT = 720.0, 180.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 8.0, 8.0, 22.0

#: Points of a layer; of more, each bucket's last one is shown, and the very last.
MOST_POINTS = 240

Point = tuple[float, Sequence[float]]


def stack_chart(
    title: str,
    layers: Sequence[tuple[str, str]],
    points: Sequence[Point],
    *,
    words: Callable[[float], str] = "{:,.0f}".format,
    least: float = 1.0,
    steps: bool = False,
    end: str = "now",
) -> Markup:
    """`layers`: (class, words), from below to above. `points`: (at, a value for each layer), oldest first. The axis
    reaches `least` at least. `steps`: values stay as they are until the next point."""
    shown = _thin(points)
    if len(shown) < 2 or shown[-1][0] <= shown[0][0]:
        text = el("text", "no samples yet", x=WIDTH / 2, y=HEIGHT / 2, class_="tick", text_anchor="middle")
        return picture(WIDTH, HEIGHT, f"{title}: no samples yet", text, class_="chart empty")
    top = max(least, max(sum(values) for _, values in shown))
    step = nice_step(top, 3)
    top = step * -(-top // step)
    parts = [_grid(top, step, words)]
    below = [0.0] * len(shown)
    for index, (class_, name) in enumerate(layers):
        above = [low + values[index] for low, (_, values) in zip(below, shown, strict=True)]
        if above != below:
            parts.append(_layer([at for at, _ in shown], below, above, top, f"layer {class_}", name, steps=steps))
        below = above
    span = shown[-1][0] - shown[0][0]
    parts.append(el("text", f"−{duration_words(span)}", x=LEFT, y=HEIGHT - 6, class_="tick"))
    parts.append(el("text", end, x=WIDTH - RIGHT, y=HEIGHT - 6, class_="tick", text_anchor="end"))
    last = [f"{words(value)} {name}" for (_, name), value in zip(layers, shown[-1][1], strict=True) if value]
    return picture(WIDTH, HEIGHT, f"{title}: {', '.join(last) or 'none'}", *parts, class_="chart stack")


def _thin(points: Sequence[Point]) -> list[Point]:
    if len(points) <= MOST_POINTS:
        return list(points)
    count = MOST_POINTS - 1
    ends = [len(points) * i // count for i in range(1, count + 1)]
    return [points[0], *(points[end - 1] for end in ends)]


def _layer(
    moments: Sequence[float],
    below: Sequence[float],
    above: Sequence[float],
    top: float,
    class_: str,
    words: str,
    *,
    steps: bool,
) -> Markup:
    upper, lower = _line(moments, above, top, steps=steps), _line(moments, below, top, steps=steps)
    path = " L".join(f"{number(x)} {number(y)}" for x, y in (*upper, *reversed(lower)))
    return el("path", el("title", words), d=f"M{path} Z", class_=class_)


def _line(moments: Sequence[float], values: Sequence[float], top: float, *, steps: bool) -> list[tuple[float, float]]:
    begin, span = moments[0], moments[-1] - moments[0]
    points = [
        (LEFT + (at - begin) / span * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM))
        for at, value in zip(moments, values, strict=True)
    ]
    if not steps:
        return points
    corners = [((nx, y), (nx, ny)) for (_, y), (nx, ny) in pairwise(points)]
    return [points[0], *(point for corner in corners for point in corner)]


def _grid(top: float, step: float, words: Callable[[float], str]) -> Markup:
    parts = []
    for i in range(round(top / step) + 1):
        y = HEIGHT - BOTTOM - i * step / top * (HEIGHT - TOP - BOTTOM)
        parts.append(el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        parts.append(el("text", words(i * step) if i else "0", x=LEFT - 6, y=y + 3.5, class_="tick", text_anchor="end"))
    return join(parts)
