"""Layers over time and coloured squares: well-formed, true to their numbers, bounded."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from web.core.squares import MOST_LINKED, Square, squares
from web.core.stacks import BOTTOM, HEIGHT, LEFT, MOST_POINTS, RIGHT, TOP, WIDTH, stack_chart

SVG = "{http://www.w3.org/2000/svg}"
LAYERS = (("a", "apples"), ("b", "pears"))


def paths(text: str) -> list[ET.Element]:
    return [node for node in ET.fromstring(text).iter(f"{SVG}path") if "layer" in node.get("class", "")]


def points(path: ET.Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML ]?(-?[\d.]+) (-?[\d.]+)", path.get("d", ""))]


def test_layers_lie_upon_each_other() -> None:
    drawn = paths(stack_chart("Fruit", LAYERS, [(0.0, (10, 10)), (10.0, (20, 0))]))
    assert [path.get("class") for path in drawn] == ["layer a", "layer b"]
    apples, pears = map(points, drawn)
    height = HEIGHT - TOP - BOTTOM
    assert apples == [(LEFT, HEIGHT - BOTTOM - height / 2), (WIDTH - RIGHT, TOP), (WIDTH - RIGHT, HEIGHT - BOTTOM),
                      (LEFT, HEIGHT - BOTTOM)]  # fmt: skip
    assert pears[0] == (LEFT, TOP) and pears[-1] == apples[0]


def test_steps_stay_until_the_next_point() -> None:
    (path,) = paths(stack_chart("Steps", LAYERS[:1], [(0.0, (0,)), (5.0, (4,)), (10.0, (4,))], steps=True))
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    assert (middle, HEIGHT - BOTTOM) in points(path) and (middle, TOP) in points(path)


def test_a_layer_without_anything_is_not_drawn_and_words_tell_the_end() -> None:
    text = stack_chart("Fruit", LAYERS, [(0.0, (0, 3)), (9.0, (0, 1234))])
    assert len(paths(text)) == 1
    assert "Fruit: 1,234 pears" in text
    assert "no samples yet" in stack_chart("Fruit", LAYERS, [(0.0, (1, 1))])
    assert "none" in stack_chart("Fruit", LAYERS, [(0.0, (0, 0)), (1.0, (0, 0))])


@given(st.lists(st.tuples(st.floats(0, 1e9), st.tuples(st.integers(0, 10**6), st.integers(0, 10**6))), max_size=900))
def test_any_numbers_give_a_bounded_picture(values: list[tuple[float, tuple[int, int]]]) -> None:
    text = stack_chart("Any", LAYERS, sorted(values))
    for path in paths(text):
        found = points(path)
        assert len(found) <= 2 * MOST_POINTS
        assert all(LEFT - 0.1 <= x <= WIDTH - RIGHT + 0.1 and TOP - 0.1 <= y <= HEIGHT - BOTTOM + 0.1 for x, y in found)


def test_squares_lead_somewhere_and_say_what_they_are() -> None:
    root = ET.fromstring(squares("All", [Square("c-done", f"<{n}>", f"/x/{n}") for n in range(70)]))
    links = list(root.iter(f"{SVG}a"))
    assert [link.get("href") for link in links] == [f"/x/{n}" for n in range(70)]
    assert links[3].get("aria-label") == "<3>"
    places = [(rect.get("x"), rect.get("y")) for rect in root.iter(f"{SVG}rect")]
    assert len(set(places)) == 70


def test_of_very_many_squares_only_colours_are_left() -> None:
    things = [Square(f"c-{n % 3}", "words", "/x") for n in range(4 * MOST_LINKED)]
    text = squares("All", things)
    root = ET.fromstring(text)
    drawn = list(root.iter(f"{SVG}path"))
    assert [path.get("class") for path in drawn] == ["square c-0", "square c-1", "square c-2"]
    assert sum(path.get("d", "").count("z") for path in drawn) == len(things)
    assert not list(root.iter(f"{SVG}a"))
    assert len(text) < 30 * len(things)
    assert ET.fromstring(squares("None", [])) is not None
