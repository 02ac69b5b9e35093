"""Two pictures of a task: the graph of its processes, and when each of them ran (Gantt).

Callers hand in what to draw and where each box leads; states are class names (`s-running` and so on), so both colour
schemes and print are the stylesheet's business. A picture that would be too big is None: show a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from web.core.layout import BOX_WIDTH, COLUMN_GAP, Box, Wire, is_drawable, lay_out
from web.core.svg import Value, clip, el, join, number, picture, shorten
from web.core.words import duration_words, time_step

MARGIN = 8.0


@dataclass(frozen=True, slots=True)
class Node:
    """What a box of the graph shows: `doing` is a class, `note` the second line, `href` where it leads."""

    name: str
    doing: str
    note: str
    href: str
    mark: str = ""  # a small word at the right: "daemon"
    critical: bool = False


def graph_picture(
    title: str,
    nodes: Mapping[str, Node],
    levels: Sequence[Sequence[str]],
    final_levels: Sequence[Sequence[str]],
    edges: Sequence[tuple[str, str]],
    critical: frozenset[tuple[str, str]] = frozenset(),
) -> Markup | None:
    """Boxes left to right by level, the finalizers in a zone of their own at the right."""
    if not is_drawable([*levels, *final_levels], edges):
        return None
    zones = [lay_out(zone, edges) for zone in (levels, final_levels) if any(zone)]
    height = max((zone.height for zone in zones), default=0.0)
    final_zone = 18.0 if any(final_levels) else 0.0
    x, parts = MARGIN, []
    for index, zone in enumerate(zones):
        if index or not any(levels):
            parts.append(_zone_border(x, height + final_zone, "finalizers", first=not index))
            x += COLUMN_GAP if index else 0.0
        y = MARGIN + final_zone + (height - zone.height) / 2
        drawn = [_wire(wire, critical) for wire in sorted(zone.wires, key=lambda w: (w.before, w.after) in critical)]
        drawn += [_box(box, nodes[box.name]) for box in zone.boxes if box.name in nodes]
        parts.append(el("g", *drawn, transform=f"translate({number(x)} {number(y)})"))
        x += zone.width
    return picture(x + MARGIN, height + final_zone + 2 * MARGIN, title, *parts, class_="graph", natural=True)


def _zone_border(x: float, height: float, word: str, *, first: bool) -> Markup:
    left = x if first else x + COLUMN_GAP / 2
    line = el("line", x1=left, x2=left, y1=4, y2=height + 8, class_="zone")
    return el("g", *([] if first else [line]), el("text", word, x=left + 6, y=14, class_="tick"))


def _wire(wire: Wire, critical: frozenset[tuple[str, str]]) -> Markup:
    points = wire.points
    x, y = points[0]
    path = [f"M{number(x)} {number(y)}"]
    for nx, ny in points[1:]:
        half = number((x + nx) / 2)
        straight = abs(ny - y) < 0.05
        path.append(
            f"H{number(nx)}" if straight else f"C{half} {number(y)} {half} {number(ny)} {number(nx)} {number(ny)}"
        )
        x, y = nx, ny
    head = f"M{number(x - 6)} {number(y - 4)} L{number(x)} {number(y)} L{number(x - 6)} {number(y + 4)}"
    class_ = "wire critical" if (wire.before, wire.after) in critical else "wire"
    return el("g", el("path", d=" ".join(path)), el("path", d=head), class_=class_)


def _box(box: Box, node: Node) -> Markup:
    mark = node.mark if len(node.name) + len(node.mark) < 19 else ""
    class_ = f"node d-{node.doing}" + (" critical" if node.critical else "")
    parts = [
        el("title", f"{node.name}: {node.note}" if node.note else node.name),
        el("rect", x=box.x, y=box.y, width=box.width, height=box.height, rx=7, class_="plate"),
        el("rect", x=box.x, y=box.y + 8, width=4, height=box.height - 16, rx=2, class_="flag"),
        el("text", shorten(node.name, 21 - len(mark) if mark else 20), x=box.x + 13, y=box.y + 18.5, class_="name"),
        el("text", clip(node.note or node.doing, 26), x=box.x + 13, y=box.y + 34.5, class_="note"),
    ]
    if mark:
        parts.append(el("text", mark, x=box.x + BOX_WIDTH - 9, y=box.y + 18, class_="mark", text_anchor="end"))
    return el("a", *parts, href=node.href, class_=class_, aria_label=f"{node.name}: {node.doing}. {node.note}".strip())


# --- Gantt -----------------------------------------------------------------------------------------------------------

GANTT_WIDTH, LABELS, ROW, HEAD = 1000.0, 190.0, 26.0, 46.0
MAX_ROWS = 200


@dataclass(frozen=True, slots=True)
class Bar:
    """One stretch of a row, `state` a class; `words` is its title."""

    begin: float
    end: float
    state: str
    words: str
    href: str
    critical: bool = False
    open: bool = False


@dataclass(frozen=True, slots=True)
class Lane:
    """A row of the chart."""

    name: str
    href: str
    bars: Sequence[Bar]
    critical: bool = False


@dataclass(frozen=True, slots=True)
class Phase:
    """What the task did between two moments; `state` is shown and a class."""

    begin: float
    end: float
    state: str


class Scale:
    """Wall time to x."""

    def __init__(self, begin: float, end: float) -> None:
        self.begin, self.span = begin, max(end - begin, 0.001)

    def x(self, at: float) -> float:
        share = min(1.0, max(0.0, (at - self.begin) / self.span))
        return LABELS + share * (GANTT_WIDTH - LABELS - 14)


def gantt_picture(
    title: str, begin: float, end: float, lanes: Sequence[Lane], phases: Sequence[Phase] = ()
) -> Markup | None:
    """Rows in the given order, at most MAX_ROWS of them; None when there is nothing to show."""
    if not lanes or end < begin:
        return None
    shown = lanes[:MAX_ROWS]
    scale = Scale(begin, end)
    height = HEAD + ROW * len(shown) + 6
    parts = [_time_grid(scale, height), *(_phase(scale, phase) for phase in phases)]
    parts += [_lane(scale, lane, HEAD + ROW * index) for index, lane in enumerate(shown)]
    return picture(GANTT_WIDTH, height, title, *parts, class_="gantt")


def _time_grid(scale: Scale, height: float) -> Markup:
    step = time_step(scale.span, 8)
    parts, index = [], 0
    while index * step <= scale.span:
        x = scale.x(scale.begin + index * step)
        parts.append(el("line", x1=x, x2=x, y1=HEAD - 4, y2=height, class_="grid"))
        word = f"+{duration_words(index * step)}" if index else "0"
        anchor = "end" if x > GANTT_WIDTH - 60 else "middle" if index else "start"
        parts.append(el("text", word, x=x, y=HEAD - 9, class_="tick", text_anchor=anchor))
        index += 1
    return join(parts)


def _phase(scale: Scale, phase: Phase) -> Markup:
    left, right = scale.x(phase.begin), scale.x(phase.end)
    width = max(2.0, right - left)
    parts = [
        el("title", f"{phase.state}: {duration_words(phase.end - phase.begin)}"),
        el("rect", x=left, y=4, width=width, height=18, rx=4, class_="plate"),
    ]
    if width > 8 * len(phase.state):
        parts.append(el("text", phase.state, x=left + 7, y=17, class_="name"))
    return el("g", *parts, class_=f"phase t-{phase.state.lower()}")


def _lane(scale: Scale, lane: Lane, y: float) -> Markup:
    label = el("text", shorten(lane.name, 25), x=4, y=y + 17, class_="name")
    parts = [
        el("rect", x=0, y=y, width=GANTT_WIDTH, height=ROW, class_="row"),
        el("a", el("title", lane.name), label, href=lane.href),
        *(_bar(scale, bar, y) for bar in lane.bars),
    ]
    return el("g", *parts, class_="lane critical" if lane.critical else "lane")


def _bar(scale: Scale, bar: Bar, y: float) -> Markup:
    left, right = scale.x(bar.begin), scale.x(bar.end)
    width = max(3.0, right - left)
    class_ = f"bar s-{bar.state.lower()}" + (" critical" if bar.critical else "") + (" open" if bar.open else "")
    parts = [el("title", bar.words), el("rect", x=left, y=y + 5, width=width, height=ROW - 10, rx=4, class_="plate")]
    took = duration_words(bar.end - bar.begin)
    if width > 7 * len(took) + 12:
        parts.append(el("text", took, x=left + 7, y=y + 17, class_="took"))
    href: Value = bar.href
    return el("a", *parts, href=href, class_=class_, aria_label=bar.words)
