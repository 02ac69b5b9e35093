"""What each simple type accepts, and when it says no."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from config.dsl import Boolean, CoercionError, Enum, Float, Integer, String
from config.dsl.values import SimpleObject

REFUSED = "refused"

COERCIONS = [
    (String, "a", "a"),
    (String, 1, "1"),
    (String, 1.0, "1.0"),
    (String, True, "True"),
    (String, None, REFUSED),
    (String, {}, REFUSED),
    (String, str, REFUSED),
    (Integer, 1, 1),
    (Integer, "1", 1),
    (Integer, "1 ", 1),
    (Integer, 1.9, 1),
    (Integer, True, 1),
    (Integer, "1.9", REFUSED),
    (Integer, "1e5", REFUSED),
    (Integer, "x", REFUSED),
    (Integer, None, REFUSED),
    (Integer, float("inf"), REFUSED),
    (Float, 1, 1.0),
    (Float, "1e5", 1e5),
    (Float, " 2.5 ", 2.5),
    (Float, "x", REFUSED),
    (Float, [], REFUSED),
    (Boolean, True, True),
    (Boolean, "true", True),
    (Boolean, "TRUE", True),
    (Boolean, "1", True),
    (Boolean, "False", False),
    (Boolean, "0", False),
    (Boolean, 0, False),
    (Boolean, 2.5, True),
    (Boolean, " true", REFUSED),
    (Boolean, "yes", REFUSED),
    (Boolean, None, REFUSED),
]


@pytest.mark.parametrize(("kind", "given", "wanted"), COERCIONS, ids=str)
def test_coercion(kind: Any, given: Any, wanted: Any) -> None:
    value = kind(given)
    if wanted is REFUSED:
        assert not value.check().ok()
        assert value.check().message() == f"Unable to interpolate: Cannot coerce '{given}' to {kind.__name__}"
        with pytest.raises(CoercionError, match="Cannot coerce"):
            value.interpolate()
        assert len(value.problems()) == 1
    else:
        assert value.check().ok()
        assert value.interpolate()[0].get() == wanted
        assert type(value.interpolate()[0].get()) is type(wanted)
        assert value.resolve() == (wanted, [], [])


def test_a_number_waits_for_its_template() -> None:
    waiting = Integer("{{n}}")
    assert waiting.get() == "{{n}}"
    assert waiting.check().message() == "'{{n}}' not an integer"
    assert waiting.bind(n=3).interpolate()[0].get() == 3
    assert not waiting.bind(n="x").check().ok()


@pytest.mark.parametrize(
    ("kind", "noun"), [(Integer, "an integer"), (Float, "a float"), (Boolean, "a boolean")], ids=lambda x: str(x)
)
def test_an_unbound_ref_fails_every_type_but_string(kind: Any, noun: str) -> None:
    assert kind("{{x}}").check().message() == f"'{{{{x}}}}' not {noun}"
    assert String("{{x}}").check().ok()
    assert String("{{x}}").interpolate()[1] == kind("{{x}}").interpolate()[1]


@pytest.mark.parametrize("falsy", [0, 0.0, "", False])
def test_falsy_values_are_bound(falsy: Any) -> None:
    assert String("<{{mesos.instance}}>").bind(mesos={"instance": falsy}).interpolate()[0].get() == f"<{falsy}>"


def test_an_enum_refuses_a_wrong_literal_at_once_and_a_template_late() -> None:
    mode = Enum("Mode", ("RO", "RW"))
    with pytest.raises(
        ValueError, match=r"Mode only accepts the following values: RO, RW; got 'rw'; did you mean `RW`"
    ):
        mode("rw")
    assert mode("{{m}}").bind(m="RO").check().ok()
    assert mode("{{m}}").check().message() == "'{{m}}' not in the enumeration (RO, RW)"
    late = mode("{{m}}").bind(m="rw")
    assert (
        late.check().message().startswith("Unable to interpolate: Cannot coerce 'rw' to Mode: rw is not one of RO, RW")
    )
    assert "did you mean `RW`?" in late.problems()[0].text


def test_an_enum_without_a_name_is_called_after_its_values() -> None:
    assert Enum("a", "b").__name__ == "Enum_a_b"
    with pytest.raises(ValueError, match="Enum takes strings"):
        Enum(1, 2)


def test_comparison_reads_the_interpolated_values_and_ignores_bindings() -> None:
    assert String("{{a}}").bind(a="x") == String("x")
    assert String("x").bind(a=1) == String("x")
    assert hash(String("x").bind(a=1)) == hash(String("x"))
    assert Integer(1) < Integer(2) <= Integer("{{n}}").bind(n=2)
    assert Integer(3) > Integer(2) >= Integer(2)
    assert Integer(1) != String("1")
    with pytest.raises(TypeError):
        bool(Integer(1) < String("2"))


@pytest.mark.parametrize(
    "value", [String("{{a}}").bind(a=1), Integer(3), Boolean("true"), Enum("a", "b")("a")], ids=repr
)
def test_values_survive_pickle_and_copy(value: SimpleObject) -> None:
    assert pickle.loads(pickle.dumps(value)) == value
    assert pickle.loads(pickle.dumps(value)).interpolate()[0].get() == value.interpolate()[0].get()
    assert copy.deepcopy(value) == value


def test_a_coercion_error_survives_pickle() -> None:
    error = pickle.loads(pickle.dumps(CoercionError("x", Integer, "why")))
    assert str(error) == "Cannot coerce 'x' to Integer: why"
    assert isinstance(error, ValueError)
    assert Integer.CoercionError is CoercionError


def test_text_of_values() -> None:
    assert repr(String("a")) == "String(a)"
    assert str(Float("{{x}}").bind(x=1)) == "1.0"
    assert str(Integer("{{x}}")) == "{{x}}"
