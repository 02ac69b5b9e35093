"""Numbers with limits: what a schema refuses that a plain Integer takes."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from config.dsl import (
    Boolean,
    Float,
    Integer,
    List,
    NonNegativeInteger,
    PositiveFloat,
    PositiveInteger,
    Range,
    Required,
    StrictFloat,
    StrictInteger,
    String,
    Struct,
    TypeFactory,
)

REFUSALS = [
    (NonNegativeInteger, -1, "must be at least 0, got -1"),
    (NonNegativeInteger, "-1", "must be at least 0, got -1"),
    (PositiveInteger, 0, "must be at least 1, got 0"),
    (StrictInteger, 1.9, "is to be an integer, got 1.9"),
    (StrictInteger, True, "is to be an integer, got True"),
    (StrictInteger, "1.9", "'1.9' is not an integer"),
    (StrictInteger, None, "None is not an integer"),
    (PositiveFloat, 0, "must be more than 0, got 0"),
    (PositiveFloat, False, "is to be a float, got False"),
    (StrictFloat, "nan", "must be finite, got nan"),
    (StrictFloat, float("inf"), "must be finite, got inf"),
    (Range(Integer, 1, 9), 10, "must be at most 9, got 10"),
]


@pytest.mark.parametrize(("kind", "given", "text"), REFUSALS)
def test_refusals_say_what_is_allowed(kind: Any, given: Any, text: str) -> None:
    value = kind(given)
    assert not value.check().ok()
    assert value.check().message().startswith(f"Unable to interpolate: Cannot coerce '{given}' to {kind.__name__}")
    assert [problem.text for problem in value.problems()] == [text]


@pytest.mark.parametrize(
    ("kind", "given", "wanted"),
    [
        (NonNegativeInteger, 0, 0),
        (PositiveInteger, "7", 7),
        (StrictInteger, -3, -3),
        (StrictInteger, 2.0, 2),
        (PositiveFloat, 1, 1.0),
        (Range(Integer, 1, 9), 9, 9),
        (Range(Float, max=1), "0.5", 0.5),
    ],
)
def test_what_is_accepted(kind: Any, given: Any, wanted: Any) -> None:
    assert kind(given).resolve() == (wanted, [], [])
    assert type(kind(given).resolve().data) is type(wanted)
    assert kind(given).check().ok()


def test_a_template_is_judged_when_it_is_filled() -> None:
    waiting = PositiveInteger("{{n}}")
    assert waiting.check().message() == "'{{n}}' not an integer"
    assert waiting.bind(n=1).check().ok()
    (problem,) = waiting.bind(n=0).problems()
    assert problem.text == "`{{n}}` gives a wrong value: must be at least 1, got 0"


def test_ranges_and_plain_numbers_mix() -> None:
    class Resources(Struct):
        ram = Required(PositiveInteger)

    class Old(Struct):
        ram = Integer

    assert Resources(ram=Integer("{{n}}").bind(n=3)).resolve().data == {"ram": 3}
    assert not Resources(ram=Integer(-3)).check().ok()
    assert Resources(ram=String("3")).resolve().data == {"ram": 3}
    assert not Resources(ram=Boolean(True)).check().ok()
    assert Old(ram=PositiveInteger(3)).resolve().data == {"ram": 3}
    assert Resources(ram=3).ram() == Integer(3)
    assert Integer(2) < PositiveInteger(3)
    assert List(PositiveInteger).__name__ == "IntegerList"
    assert Resources(ram=Integer(3)) == Resources(ram=3)


def test_equal_limits_are_the_same_type_and_can_be_written_down() -> None:
    assert Range(Integer, min=0) is NonNegativeInteger
    assert isinstance(PositiveInteger(1), Integer)
    assert not isinstance(Integer(1), PositiveInteger)
    assert TypeFactory.new({}, *PositiveInteger.serialize_type()) is PositiveInteger
    assert pickle.loads(pickle.dumps(PositiveInteger(3))) == PositiveInteger(3)
    with pytest.raises(ValueError, match="Range takes Integer or Float"):
        Range(str)
