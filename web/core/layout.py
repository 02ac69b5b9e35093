"""Where the boxes of a layered graph stand, and how their wires run. Left to right, one column a level.

A wire that passes a level gets a bend there, which takes part in everything like a thin box: so wires run between
boxes, not through them. Order within a column: a few barycentre sweeps, the one with the fewest crossings wins. Height:
every item wants to stand beside its neighbours; the pool-adjacent-violators rule gives the nearest places that keep
order and distance. Linear but for the sorting; nothing here knows about pictures.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

BOX_WIDTH, BOX_HEIGHT = 164.0, 44.0
COLUMN_GAP, ROW_GAP, BEND_HEIGHT = 42.0, 14.0, 6.0

#: Above these a picture helps nobody; callers show a table.
MAX_NODES, MAX_WIRES = 200, 1_000
MAX_BENDS = 2_000
SWEEPS = 6


@dataclass(frozen=True, slots=True)
class Box:
    name: str
    level: int
    x: float
    y: float
    width: float = BOX_WIDTH
    height: float = BOX_HEIGHT


@dataclass(frozen=True, slots=True)
class Wire:
    before: str
    after: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Layout:
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]
    width: float
    height: float


class _Item:
    """A box or a bend, while its place is looked for."""

    __slots__ = ("after", "before", "height", "level", "name", "y")

    def __init__(self, name: str, level: int, height: float) -> None:
        self.name, self.level, self.height, self.y = name, level, height, 0.0
        self.before: list[_Item] = []
        self.after: list[_Item] = []


def is_drawable(levels: Sequence[Sequence[str]], edges: Sequence[tuple[str, str]]) -> bool:
    """Whether a picture of it would still be one."""
    return sum(map(len, levels)) <= MAX_NODES and len(edges) <= MAX_WIRES


def lay_out(levels: Sequence[Sequence[str]], edges: Iterable[tuple[str, str]]) -> Layout:
    """Places of all names. Edges that touch an unknown name or don't lead to a higher level are left out."""
    items = {name: _Item(name, level, BOX_HEIGHT) for level, names in enumerate(levels) for name in names}
    columns = [
        [items[name] for name in dict.fromkeys(names) if items[name].level == i] for i, names in enumerate(levels)
    ]
    chains = _connect(items, columns, edges)
    _order(columns)
    _place(columns)
    top = min((item.y for column in columns for item in column), default=0.0)
    for column in columns:
        for item in column:
            item.y -= top
    return _finish(columns, chains)


def _connect(
    items: dict[str, _Item], columns: list[list[_Item]], edges: Iterable[tuple[str, str]]
) -> list[list[_Item]]:
    """Link the items; a chain per edge: first box, bends, last box."""
    chains, bends = [], 0
    for before, after in dict.fromkeys(edges):
        first, last = items.get(before), items.get(after)
        if first is None or last is None or first.level >= last.level:
            continue
        chain = [first]
        span = range(first.level + 1, last.level)
        if bends + len(span) <= MAX_BENDS:
            bends += len(span)
            for level in span:
                bend = _Item("", level, BEND_HEIGHT)
                columns[level].append(bend)
                chain.append(bend)
        chain.append(last)
        for one, other in pairwise(chain):
            one.after.append(other)
            other.before.append(one)
        chains.append(chain)
    return chains


def _order(columns: list[list[_Item]]) -> None:
    best = [list(column) for column in columns]
    fewest = _crossings(columns)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        forward = sweep % 2 == 0
        for column in columns[1:] if forward else columns[-2::-1]:
            _sort_by_neighbours(column, columns, forward=forward)
        count = _crossings(columns)
        if count < fewest:
            fewest, best = count, [list(column) for column in columns]
    for column, order in zip(columns, best, strict=True):
        column[:] = order


def _sort_by_neighbours(column: list[_Item], columns: list[list[_Item]], *, forward: bool) -> None:
    position = {id(item): index for other in columns for index, item in enumerate(other)}
    weight = {}
    for index, item in enumerate(column):
        near = item.before if forward else item.after
        weight[id(item)] = sum(position[id(n)] for n in near) / len(near) if near else float(index)
    column.sort(key=lambda item: weight[id(item)])


def _crossings(columns: list[list[_Item]]) -> int:
    total = 0
    for left, right in pairwise(columns):
        place = {id(item): index for index, item in enumerate(right)}
        seen: list[int] = []
        for item in left:
            ends = sorted(place[id(after)] for after in item.after if id(after) in place)
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _place(columns: list[list[_Item]]) -> None:
    for column in columns:
        y = 0.0
        for item in column:
            item.y = y
            y += item.height + ROW_GAP
        for item in column:
            item.y -= y / 2
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for column in columns if forward else reversed(columns):
            wishes = [_wish(item, forward=forward) for item in column]
            for item, y in zip(column, settle(wishes, [item.height for item in column]), strict=True):
                item.y = y


def _wish(item: _Item, *, forward: bool) -> float:
    near = (item.before if forward else item.after) or item.before or item.after
    if not near:
        return item.y
    return sum(n.y + n.height / 2 for n in near) / len(near) - item.height / 2


def settle(wishes: Sequence[float], heights: Sequence[float], gap: float = ROW_GAP) -> list[float]:
    """Tops nearest to `wishes` (least squares) that keep the order and leave `gap` between neighbours."""
    shifts, shift = [], 0.0
    for height in heights:
        shifts.append(shift)
        shift += height + gap
    pools: list[tuple[float, int]] = []  # mean, members
    for wish, before in zip(wishes, shifts, strict=True):
        mean, count = wish - before, 1
        while pools and pools[-1][0] > mean:
            other, members = pools.pop()
            mean, count = (mean * count + other * members) / (count + members), count + members
        pools.append((mean, count))
    means = [mean for mean, count in pools for _ in range(count)]
    return [mean + before for mean, before in zip(means, shifts, strict=True)]


def _finish(columns: list[list[_Item]], chains: list[list[_Item]]) -> Layout:
    pitch = BOX_WIDTH + COLUMN_GAP
    boxes = tuple(Box(i.name, i.level, i.level * pitch, i.y) for column in columns for i in column if i.name)
    wires = []
    for chain in chains:
        points = []
        for item in chain:
            x, y = item.level * pitch, item.y + item.height / 2
            if item is not chain[0]:
                points.append((x, y))
            if item is not chain[-1]:
                points.append((x + BOX_WIDTH, y))
        wires.append(Wire(chain[0].name, chain[-1].name, tuple(points)))
    height = max((item.y + item.height for column in columns for item in column), default=0.0)
    return Layout(boxes, tuple(wires), max(0.0, len(columns) * pitch - COLUMN_GAP), height)
