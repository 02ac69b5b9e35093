"""What is left open is filled in; equal jobs are equal values in whatever order they were written."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from scheduler.core.canonical import populated, populated_config
from scheduler.core.groups import group_key
from scheduler.core.model import (
    Container,
    DockerContainer,
    DockerParameter,
    JobConfiguration,
    MesosContainer,
    Resource,
    TaskConfig,
    parse_task_config,
)
from scheduler.core.validation import Rules, check_job
from tests.scheduler.core.test_validation import ENOUGH, GOOD, job, with_

RULES = Rules()


def port(name: str) -> Resource:
    return Resource(named_port=name)


def test_the_tier_and_what_follows_from_it() -> None:
    assert populated_config(GOOD, RULES).tier == "preemptible"
    for tier, lie in ((None, True), ("revocable", True), ("preferred", False)):
        assert populated_config(with_(tier=tier, production=lie), RULES).production is (tier == "preferred")


def test_links_of_well_known_ports_unless_there_are_others() -> None:
    ports = (*ENOUGH[:3], port("http"), port("health"), port("admin"))
    filled = populated_config(with_(resources=ports), RULES).task_links
    assert filled == {"health": "http://%host%:%port:health%", "http": "http://%host%:%port:http%"}
    assert populated_config(with_(resources=ports, task_links={"x": "y"}), RULES).task_links == {"x": "y"}
    assert populated_config(with_(resources=ENOUGH[:3]), RULES).task_links == {}


def test_a_container_is_always_there() -> None:
    assert populated_config(GOOD, RULES).container == Container(mesos=MesosContainer())


def test_parameters_of_docker_that_everybody_gets_may_be_said_again() -> None:
    default = (DockerParameter(name="init", value="true"),)
    rules = Rules(container_types=("docker",), default_docker_parameters=default)
    plain = job(with_(container=Container(docker=DockerContainer(image="i"))))
    filled = populated(plain, rules)
    assert filled.task_config.container == Container(docker=DockerContainer(image="i", parameters=default))
    assert check_job(plain, rules) == check_job(filled, rules) == []
    other = with_(container=Container(docker=DockerContainer(image="i", parameters=default * 2)))
    assert [problem.field for problem in check_job(job(other), rules)] == ["container.docker.parameters"]
    assert populated_config(other, rules).container == other.container


FULL: dict[str, Any] = {
    "job": {"role": "www", "environment": "prod", "name": "web"},
    "isService": True,
    "resources": [{"numCpus": 1.0}, {"ramMb": 128}, {"diskMb": 64}, {"namedPort": "http"}, {"namedPort": "admin"}],
    "constraints": [
        {"name": "rack", "constraint": {"limit": {"limit": 1}}},
        {"name": "os", "constraint": {"value": {"values": ["b", "a", "c"]}}},
    ],
    "metadata": [{"key": "b", "value": "1"}, {"key": "a", "value": "2"}, {"key": "a", "value": "1"}],
    "mesosFetcherUris": [{"value": "u2", "cache": True}, {"value": "u1"}],
    "taskLinks": {"one": "1", "two": "2"},
    "executorConfig": {"name": "AuroraExecutor", "data": "{}"},
}


def shuffled(value: Any, chance: random.Random) -> Any:
    """Another order of everything."""
    if isinstance(value, dict):
        items = [(key, shuffled(each, chance)) for key, each in value.items()]
        return dict(chance.sample(items, len(items)))
    if isinstance(value, list):
        return [shuffled(each, chance) for each in chance.sample(value, len(value))]
    return value


@given(st.randoms(use_true_random=False))
def test_the_order_of_what_has_none_makes_no_difference(chance: random.Random) -> None:
    plain = populated_config(parse_task_config(FULL), RULES)
    text = json.dumps(shuffled(FULL, chance))
    other = populated_config(parse_task_config(json.loads(text)), RULES)
    assert other == plain and group_key(other) == group_key(plain)
    assert populated_config(other, RULES) == other


@pytest.mark.parametrize("field", ["constraints", "metadata", "mesosFetcherUris", "resources"])
def test_what_is_in_a_set_twice_is_there_once(field: str) -> None:
    twice = populated_config(parse_task_config(FULL | {field: FULL[field] + FULL[field][:1]}), RULES)
    assert twice == populated_config(parse_task_config(FULL), RULES)


def test_what_has_an_order_keeps_it() -> None:
    parameters = (DockerParameter(name="b", value="1"), DockerParameter(name="a", value="1"))
    given_ = with_(container=Container(docker=DockerContainer(image="i", parameters=parameters)))
    assert populated_config(given_, RULES).container == given_.container


def test_a_job_keeps_all_else() -> None:
    before = JobConfiguration(key=GOOD.job, task_config=GOOD, cron_schedule="* * * * *", instance_count=3)
    after = populated(before, RULES)
    assert structs.replace(after, task_config=GOOD) == before
    assert msgspec.json.decode(msgspec.json.encode(after), type=JobConfiguration) == after
    assert isinstance(after.task_config, TaskConfig)
