"""Lists and maps: what they are made of, and how they are read."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from config.dsl import Integer, List, Map, Required, String, Struct, frozendict


class Process(Struct):
    name = Required(String)


Names = List(String)
Ports = Map(String, Integer)


@pytest.mark.parametrize("given", [["a", "b"], ("a", "b"), [String("a"), "b"]])
def test_a_list_takes_lists_and_tuples(given: Any) -> None:
    assert Names(given).get() == ("a", "b")


@pytest.mark.parametrize("given", ["ab", {"a": 1}, {"a"}, None, 1])
def test_a_list_refuses_what_is_no_sequence(given: Any) -> None:
    with pytest.raises(ValueError, match="ListContainer expects an iterable, a list or tuple of String, got"):
        Names(given)


def test_a_generator_is_refused_with_advice() -> None:
    with pytest.raises(ValueError, match=r"got a generator: write list\(\.\.\.\) round it"):
        Names(name for name in "ab")


def test_reading_a_list_gives_interpolated_elements() -> None:
    names = Names(["{{a}}", "b"]).bind(a="x")
    assert [str(name) for name in names] == ["x", "b"]
    assert names[0] == String("x")
    assert names[-1] == String("b")
    assert [str(name) for name in names[:1]] == ["x"]
    assert "x" in names
    assert String("b") in names
    assert "{{a}}" not in names
    assert names == Names(["x", "b"])
    assert names.get() == ("{{a}}", "b")
    with pytest.raises(IndexError):
        names[2]


def test_maps_take_dicts_and_pairs_and_keep_their_order() -> None:
    assert Ports({"b": 1, "a": 2}).resolve().data == {"b": 1, "a": 2}
    assert Ports(("b", 1), ("a", 2)) == Ports({"b": 1, "a": 2})
    assert Ports({"b": 1, "a": 2}) != Ports({"a": 2, "b": 1})
    assert list(Ports({"b": 1, "a": 2}).resolve().data) == ["b", "a"]
    for wrong in ("ab", ["a"], 5):
        with pytest.raises(ValueError, match="Unexpected input to MapContainer"):
            Ports(wrong)


def test_reading_a_map() -> None:
    ports = Ports({"{{name}}": "{{n}}", "x": 2}).bind(name="http", n=80)
    assert ports["http"] == Integer(80)
    assert ports["x"].get() == 2
    assert "http" in ports
    assert "nix" not in ports
    assert [str(key) for key in ports] == ["http", "x"]
    with pytest.raises(KeyError, match="nix not found"):
        ports["nix"]
    with pytest.raises(KeyError):
        Map(Integer, String)({1: "a"})["x"]
    assert repr(ports) == "StringIntegerMap(http => 80, x => 2)"


def test_check_names_the_element_as_pystachio_does() -> None:
    assert List(Process)([Process(name="a"), Process()]).check().message() == (
        "Element in ProcessList failed check: Process[name] is required."
    )
    wrong = Ports({"a": "x"}).check().message()
    assert wrong == ("StringIntegerMap[a] value x failed check: Unable to interpolate: Cannot coerce 'x' to Integer")
    assert Map(Integer, String)({"x": "a"}).check().message().startswith("IntegerStringMap key x failed check: ")


def test_problems_name_every_element() -> None:
    fields = [problem.field for problem in List(Process)([Process(), Process(name="a"), Process()]).problems()]
    assert fields == ["[0].name", "[2].name"]
    assert [problem.field for problem in Ports({"a": "x", "b": 1, "c": None}).problems()] == ["[a]", "[c]"]


def test_the_same_parts_make_the_same_type() -> None:
    assert List(String) is List(String)
    assert List(String).__name__ == "StringList"
    assert Map(String, Integer).__name__ == "StringIntegerMap"
    for make in (lambda: List(str), lambda: List("String"), lambda: Map(String, int)):
        with pytest.raises(ValueError, match="takes types such as String or a Struct"):
            make()


@pytest.mark.parametrize(
    "value", [Names(["{{a}}"]).bind(a=1), Ports({"a": 1}), List(Process)([Process(name="x")])], ids=repr
)
def test_containers_survive_pickle_and_copy_and_are_keys(value: Any) -> None:
    assert pickle.loads(pickle.dumps(value)) == value
    assert pickle.loads(pickle.dumps(value)).resolve() == value.resolve()
    assert copy.deepcopy(value) == value
    assert {value: 1}[copy.copy(value)] == 1


def test_frozendict_is_a_key() -> None:
    assert hash(frozendict(a=1, b=2)) == hash(frozendict(b=2, a=1))
    assert {frozendict(a=1): "x"}[frozendict(a=1)] == "x"
    assert isinstance(Ports({"a": 1}).get(), frozendict)
