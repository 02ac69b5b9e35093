"""Configs as JSON, also of older and newer schemas."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from config.dsl import Choice, Default, Integer, List, Map, Required, String, Struct


class Process(Struct):
    name = Required(String)
    max_failures = Default(Integer, 1)


class Docker(Struct):
    image = Required(String)


class Mesos(Struct):
    image = String
    volumes = Default(List(String), [])


class Job(Struct):
    name = String
    main = Process
    processes = List(Process)
    named = Map(String, Process)
    container = Choice([Docker, Mesos])


FULL: dict[str, Any] = {
    "name": "j",
    "main": {"name": "m", "max_failures": 2},
    "processes": [{"name": "a", "max_failures": 1}],
    "named": {"k": {"name": "b", "max_failures": 0}},
    "container": {"image": "i", "volumes": ["v"]},
}


def test_a_round_trip_gives_an_equal_object() -> None:
    job = Job(FULL)
    assert Job.json_loads(job.json_dumps()) == job
    assert Job.json_loads(job.json_dumps(), strict=True) == job
    assert json.loads(job.json_dumps()) == FULL
    held = io.StringIO()
    job.json_dump(held)
    held.seek(0)
    assert Job.json_load(held) == job


def test_dumping_fills_the_references() -> None:
    assert json.loads(Process(name="{{x}}").bind(x=1).json_dumps()) == {"name": "1", "max_failures": 1}


@pytest.mark.parametrize("path", [(), ("main",), ("processes", 0), ("named", "k"), ("container",)], ids=str)
def test_unknown_keys_are_ignored_wherever_they_stand(path: tuple[Any, ...]) -> None:
    newer = json.loads(json.dumps(FULL))
    at = newer
    for step in path:
        at = at[step]
    at["from_the_future"] = {"x": 1}
    text = json.dumps(newer)
    assert Job.json_loads(text) == Job(FULL)
    if path == ("container",):  # a choice is read when it is used
        assert not Job.json_loads(text, strict=True).check().ok()
    else:
        with pytest.raises(AttributeError, match="unknown field `from_the_future`"):
            Job.json_loads(text, strict=True)


def test_what_is_missing_gets_its_default() -> None:
    assert Job.json_loads('{"processes": [{"name": "a"}]}').resolve().data == {
        "processes": [{"name": "a", "max_failures": 1}]
    }


def test_a_choice_takes_the_alternative_that_knows_most_keys() -> None:
    assert type(Job.json_loads('{"container": {"volumes": [], "new": 1}}').container().unwrap()) is Mesos
    assert type(Job.json_loads('{"container": {"image": "a", "new": 1}}').container().unwrap()) is Docker


def test_scalars_where_a_struct_is_wanted_are_left_to_the_constructor() -> None:
    with pytest.raises(ValueError, match="Process takes fields"):
        Job.json_loads('{"main": "x"}')
