"""A value of one of several types, also written as a dict."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from config.dsl import Choice, CoercionError, Default, Empty, Integer, List, Required, String, Struct


class Docker(Struct):
    image = Required(String)
    parameters = Default(List(String), [])


class Image(Struct):
    name = Required(String)
    tag = Required(String)


class Appc(Struct):
    name = Required(String)
    image_id = Required(String)


class Mesos(Struct):
    image = Choice([Appc, Image])
    volumes = Default(List(String), [])


class Legacy(Struct):
    docker = Docker


class Job(Struct):
    name = String
    container = Choice([Legacy, Docker, Mesos])


DICTS: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({"docker": {"image": "a"}}, "Legacy", {"docker": {"image": "a", "parameters": []}}),
    ({"image": "a"}, "Docker", {"image": "a", "parameters": []}),
    ({"image": {"name": "a", "tag": "{{t}}"}}, "Mesos", {"image": {"name": "a", "tag": "3"}, "volumes": []}),
    (
        {"image": {"name": "a", "image_id": "i"}, "volumes": ["v"]},
        "Mesos",
        {"image": {"name": "a", "image_id": "i"}, "volumes": ["v"]},
    ),
    ({"volumes": []}, "Mesos", {"volumes": []}),
]


@pytest.mark.parametrize(("given", "kind", "data"), DICTS, ids=[str(row[0]) for row in DICTS])
def test_a_dict_becomes_any_alternative(given: dict[str, Any], kind: str, data: dict[str, Any]) -> None:
    job = Job(container=given).bind(t="3")
    assert type(job.container().unwrap()).__name__ == kind
    assert job.check().ok()
    assert job.resolve() == ({"container": data}, [], [])
    assert Job.json_loads(job.json_dumps()) == job


def test_the_first_alternative_that_is_well_typed_wins() -> None:
    either = Choice([Integer, String])
    assert either(5).unwrap() == Integer(5)
    assert either("5").unwrap() == Integer(5)
    assert either("five").unwrap() == String("five")
    assert either(String("5")).unwrap() == String("5")
    assert either("{{x}}").bind(x=5).unwrap() == Integer(5)
    assert either("{{x}}").bind(x="y").unwrap() == String("y")


def test_a_dict_skips_an_alternative_that_lacks_a_required_field() -> None:
    class Strict(Struct):
        a = Required(String)
        b = String

    class Lenient(Struct):
        b = String

    either = Choice([Strict, Lenient])({"b": "x"})
    assert type(either.unwrap()) is Lenient
    assert either.resolve() == ({"b": "x"}, [], [])
    assert type(Choice([Strict])({"b": "x"}).unwrap()) is Strict


def test_a_failure_names_each_alternative_and_why() -> None:
    job = Job(name="web", container={"imag": "a"})
    assert job.check().message() == (
        "Job[container] failed: Choice_Legacy_Docker_Mesos typecheck failed: value {'imag': 'a'} "
        "did not match any of its alternatives"
    )
    (problem,) = job.problems()
    assert (problem.object, problem.field) == ("Job `web`", "container")
    assert "fits none of Legacy, Docker, Mesos" in problem.text
    assert "Docker: unknown field `imag` of Docker; did you mean `image`?" in problem.text
    assert "Legacy: unknown field `imag` of Legacy; its fields are docker" in problem.text


def test_a_missing_field_is_said_for_a_dict_and_for_an_object() -> None:
    (of_dict,) = Job(container={"parameters": []}).problems()
    assert "Docker: Docker needs `image`, which is not set" in of_dict.text
    (of_object,) = Job(container=Docker()).problems()
    assert (of_object.field, of_object.text) == ("container.image", "Docker needs `image`, which is not set")
    assert Job(container=Docker()).check().message() == "Job[container] failed: Docker[image] is required."


def test_a_scalar_that_fits_nothing() -> None:
    number = Choice("Number", [Integer])
    assert number("x").check().message() == "Number typecheck failed: value x did not match any of its alternatives"
    with pytest.raises(CoercionError):
        number("x").interpolate()
    assert number("{{x}}").resolve().unbound == Integer("{{x}}").resolve().unbound


def test_choice_values_compare_copy_and_pickle() -> None:
    number = Choice([Integer, String])
    value = number("{{n}}").bind(n=3)
    assert value == number(3)
    assert value != number("x")
    assert pickle.loads(pickle.dumps(value)) == value
    assert copy.deepcopy(value) == value
    assert hash(number(3)) == hash(number(3))
    assert str(value) == "3"
    assert repr(number("x")) == "Choice_Integer_String('x')"
    assert not Job(container=Empty).has_container()


@pytest.mark.parametrize("args", [(), ("x", []), ([],), ([str],), (1, [String])])
def test_wrong_choices_are_refused(args: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="Choice takes"):
        Choice(*args)
