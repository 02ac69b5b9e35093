"""Constructors under `recording`: nothing raises, all is told once, what is good is kept."""

from typing import Any

import pytest

from config.core.problem import render_problem
from config.dsl import Default, Empty, Enum, Integer, List, Map, Required, String, Struct, tracking
from config.dsl.refusals import raising, recording

Colour = Enum("Colour", ("red", "green"))


class Leaf(Struct):
    name = Required(String)
    colour = Required(Colour)
    size = Default(Integer, 1)


class Tree(Struct):
    name = Default(String, "{{leaves[0].name}}")
    leaves = List(Leaf)
    by_name = Map(String, Leaf)
    colours = List(Colour)
    best = Required(Leaf)


def made(build: Any) -> tuple[Any, list[str]]:
    """The object and what was refused while it was made."""
    with recording() as refused:
        obj = build()
    return obj, [render_problem(problem) for problem in refused]


def test_a_good_element_stays_where_it_was_beside_a_bad_one() -> None:
    tree, told = made(
        lambda: Tree(
            leaves=[{"name": "a", "colour": "red"}, 17, {"name": "c", "colour": "blue"}],
            by_name={"x": {"name": "x", "colour": "red"}, "y": 5},
            colours=["red", "gren"],
            best=3,
        )
    )
    assert told == [
        "Leaf.colour: Colour only accepts the following values: red, green; got 'blue'",
        "Tree.leaves[1]: Leaf takes fields, as in Leaf(name=...), got 17",
        "Tree.by_name[y]: Leaf takes fields, as in Leaf(name=...), got 5",
        "Tree.colours[1]: Colour only accepts the following values: red, green; got 'gren'; did you mean `green`?",
        "Tree.best: Leaf takes fields, as in Leaf(name=...), got 3",
    ]
    assert [str(leaf.name()) for leaf in (tree.leaves()[0], tree.leaves()[2])] == ["a", "c"]
    assert [str(key) for key in tree.by_name()] == ["x"]
    assert tree.colours().get() == ("red",)
    assert tree.best() is Empty
    assert sorted({render_problem(problem) for problem in tree.problems()}) == sorted(told)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Leaf(nmae="a", colour="red"),
        lambda: Leaf(colour="red")(nmae="a"),
        lambda: Leaf({"nmae": "a"}, colour="red"),
        lambda: Leaf(name="a", colour="blue").bind(x=1),
        lambda: Leaf(17),
        lambda: Tree(leaves=5, best=Leaf(name="a", colour="red")),
        lambda: Tree(leaves=[5], best=Leaf(name="a", colour="red")),
        lambda: Tree(name="t", best=Leaf(name="a", colour="blue")).interpolate()[0],
    ],
)
def test_what_follows_from_a_refusal_is_not_told(build: Any) -> None:
    obj, told = made(build)
    assert len(told) == 1
    assert [render_problem(problem) for problem in obj.problems()] == told


def test_a_field_that_is_given_after_all_is_looked_at() -> None:
    leaf, told = made(lambda: Leaf(nmae="a", colour="red")(name="b", size="big"))
    assert [problem.text for problem in leaf.problems()] == [
        "unknown field `nmae` of Leaf; did you mean `name`?",
        "'big' is not an integer",
    ]
    assert len(told) == 1


def test_an_inner_recording_shares_the_list_and_names_its_part() -> None:
    with recording() as outer:
        with recording("part: ") as inner:
            Leaf(x=1)
        Leaf(y=1)
    assert inner is outer
    assert [problem.text.split(" of ")[0] for problem in outer] == ["part: unknown field `x`", "unknown field `y`"]


def test_trying_raises_and_afterwards_everything_raises() -> None:
    with recording() as refused:
        with raising(), pytest.raises(AttributeError, match="unknown field `x`"):
            Leaf(x=1)
        Leaf(y=1)
    assert len(refused) == 1
    with pytest.raises(AttributeError, match="unknown field `y`"):
        Leaf(y=1)


def test_a_refusal_has_the_line_that_caused_it() -> None:
    with tracking(), recording() as refused:
        Leaf(x=1)
    (problem,) = refused
    assert problem.place is not None
    assert problem.place.file == __file__
    line = problem.place.line
    with tracking(), recording() as refused:
        Leaf(x=1)
    assert line is not None and refused[0].place is not None and refused[0].place.line == line + 6
