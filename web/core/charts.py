"""Charts over time as SVG: one filled line with its limit, a grid, and three words on each axis; bars of parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from markupsafe import Markup

from web.core.svg import el, join, number, picture
from web.core.words import duration_words, nice_step

WIDTH, HEIGHT = 360.0, 150.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 8.0, 8.0, 22.0

#: Points of a line; more are thinned by taking the biggest of each bucket, so no peak is lost.
MAX_POINTS = 180


def thin(points: Sequence[tuple[float, float]], limit: int = MAX_POINTS) -> list[tuple[float, float]]:
    """At most `limit` points: of each bucket the biggest, and the last one."""
    if len(points) <= limit:
        return list(points)
    count = limit - 1
    edges = [len(points) * i // count for i in range(count + 1)]
    best = [max(points[a:b], key=lambda p: p[1]) for a, b in pairwise(edges)]
    return [*best, points[-1]] if best[-1] != points[-1] else best


def line_chart(
    title: str,
    points: Sequence[tuple[float, float]],
    words: Callable[[float], str],
    *,
    limit: float | None = None,
    class_: str = "",
    least: float = 1.0,
    binary: bool = False,
) -> Markup:
    """`points` are (at, value), oldest first. `limit` is drawn when it is in sight of the values. The axis reaches
    `least` at least, so noise stays small. `binary`: grid lines
    at powers of two."""
    shown = thin([(at, max(0.0, value)) for at, value in points])
    if len(shown) < 2 or shown[-1][0] <= shown[0][0]:
        return _nothing(title)
    peak = max(value for _, value in shown)
    top = max(peak, least, limit if limit is not None and limit <= peak * 3 else 0.0)
    step = _grid_step(top, binary=binary)
    top = step * -(-top // step)
    begin, end = shown[0][0], shown[-1][0]

    def place(at: float, value: float) -> tuple[float, float]:
        x = LEFT + (at - begin) / (end - begin) * (WIDTH - LEFT - RIGHT)
        return x, HEIGHT - BOTTOM - min(1.0, value / top) * (HEIGHT - TOP - BOTTOM)

    path = " L".join(f"{number(x)} {number(y)}" for x, y in (place(*point) for point in shown))
    base = number(HEIGHT - BOTTOM)
    area = f"M{number(LEFT)} {base} L{path} L{number(WIDTH - RIGHT)} {base} Z"
    parts = [_grid(top, step, words), el("path", d=area, class_="area"), el("path", d=f"M{path}", class_="line")]
    if limit is not None and 0 < limit <= top:
        y = place(begin, limit)[1]
        parts.append(el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="limit"))
    parts += _time_words(end - begin)
    said = f"{title}: now {words(shown[-1][1])}, peak {words(peak)}"
    return picture(WIDTH, HEIGHT, said, *parts, class_=f"chart {class_}".strip())


def _grid_step(top: float, *, binary: bool) -> float:
    if not binary:
        return nice_step(top, 3)
    step = 1.0
    while step * 3 < top:
        step *= 2
    return step


def _grid(top: float, step: float, words: Callable[[float], str]) -> Markup:
    parts = []
    for i in range(round(top / step) + 1):
        y = HEIGHT - BOTTOM - i * step / top * (HEIGHT - TOP - BOTTOM)
        parts.append(el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        parts.append(el("text", words(i * step) if i else "0", x=LEFT - 6, y=y + 3.5, class_="tick", text_anchor="end"))
    return join(parts)


def _time_words(span: float) -> list[Markup]:
    y = HEIGHT - 6
    return [
        el("text", f"−{duration_words(span)}", x=LEFT, y=y, class_="tick"),
        el("text", "now", x=WIDTH - RIGHT, y=y, class_="tick", text_anchor="end"),
    ]


def _nothing(title: str) -> Markup:
    text = el("text", "no samples yet", x=WIDTH / 2, y=HEIGHT / 2, class_="tick", text_anchor="middle")
    return picture(WIDTH, HEIGHT, f"{title}: no samples yet", text, class_="chart empty")


def parts_bar(title: str, parts: Sequence[tuple[str, int]], width: float = 96, height: float = 8) -> Markup:
    """A bar cut into (class, count) parts side by side; every part that is not empty can be seen."""
    total = sum(count for _, count in parts)
    out, x = [el("rect", x=0, y=0, width=width, height=height, rx=3, class_="empty")], 0.0
    least = 3.0
    shown = [(class_, count) for class_, count in parts if count]
    room = max(0.0, width - least * len(shown))
    for class_, count in shown:
        part = least + room * count / total
        out.append(el("rect", x=x, y=0, width=max(1.0, part - 1), height=height, rx=2, class_=f"part {class_}"))
        x += part
    return picture(width, height, title, *out, class_="bar", natural=True)


def level_bar(title: str, share: float, width: float = 64, height: float = 6) -> Markup:
    """How full something is; above 90 % it warns."""
    share = min(1.0, max(0.0, share))
    out = [el("rect", x=0, y=0, width=width, height=height, rx=3, class_="empty")]
    if share > 0:
        class_ = "part high" if share > 0.9 else "part level"
        out.append(el("rect", x=0, y=0, width=max(2.0, share * width), height=height, rx=3, class_=class_))
    return picture(width, height, title, *out, class_="bar", natural=True)
